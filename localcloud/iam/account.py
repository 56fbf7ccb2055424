"""Reads what the judgement needs from a cloud: the roles of a stack, who has them, and the tags of groups."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import unquote

import boto3

from localcloud.iam.policy import Statement, statements


@dataclass(frozen=True)
class Role:
    """A role and everything that it allows or denies."""

    name: str
    profile: str  # the instance profile of the hosts that have it; empty where no host does
    statements: list[Statement]
    is_task: bool = False  # whether tasks of ECS have it, or ECS for them


class Account:
    """One account and region, asked through boto3; answers are kept for the life of this object."""

    def __init__(self, endpoint: str, region: str) -> None:
        keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
        self._session = boto3.Session(region_name=region, **keys)
        self._endpoint = endpoint
        self.region = region
        self.client = cache(self._client)

    def _client(self, service: str) -> Any:
        return self._session.client(service, endpoint_url=self._endpoint)

    def pages(self, service: str, operation: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        """All pages of an operation."""
        yield from self.client(service).get_paginator(operation).paginate(**arguments)

    def resources(self, stack: str) -> Iterator[dict[str, Any]]:
        """Every resource of a stack and of those nested in it."""
        for page in self.pages("cloudformation", "list_stack_resources", StackName=stack):
            for resource in page["StackResourceSummaries"]:
                yield resource
                if resource["ResourceType"] == "AWS::CloudFormation::Stack":
                    yield from self.resources(resource["PhysicalResourceId"])

    def roles(self, stack: str) -> list[Role]:
        """The roles of a stack."""
        names = [
            r["PhysicalResourceId"] for r in self.resources(stack) if r["ResourceType"] == "AWS::IAM::Role"
        ]
        profiles = {
            role["RoleName"]: profile["InstanceProfileName"]
            for page in self.pages("iam", "list_instance_profiles")
            for profile in page["InstanceProfiles"]
            for role in profile["Roles"]
        }
        return [
            Role(name, profiles.get(name, ""), self._statements(name), self._is_task(name)) for name in names
        ]

    def _is_task(self, name: str) -> bool:
        trust = self.client("iam").get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
        return "ecs-tasks.amazonaws.com" in json.dumps(trust)

    def _statements(self, name: str) -> list[Statement]:
        iam = self.client("iam")
        documents = [
            iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
            for page in self.pages("iam", "list_role_policies", RoleName=name)
            for policy in page["PolicyNames"]
        ]
        for page in self.pages("iam", "list_attached_role_policies", RoleName=name):
            for policy in page["AttachedPolicies"]:
                arn = policy["PolicyArn"]
                if arn.split(":")[4] == "aws":
                    continue  # AWS's own: service roles have some, and a host's only by the user's wish
                version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
                answer = iam.get_policy_version(PolicyArn=arn, VersionId=version)
                documents.append(answer["PolicyVersion"]["Document"])
        return [statement for document in documents for statement in statements(_decoded(document))]

    def group_tags(self) -> dict[str, dict[str, str]]:
        """Tags of every Auto Scaling group, by its name."""
        found = {}
        for page in self.pages("autoscaling", "describe_auto_scaling_groups"):
            for group in page["AutoScalingGroups"]:
                tags = {tag["Key"]: tag["Value"] for tag in group["Tags"]}
                found[group["AutoScalingGroupName"]] = tags
        return found


def _decoded(document: Any) -> Mapping[str, Any]:
    """A policy document as it comes: parsed, as JSON, or as JSON in the escapes of a URL."""
    if not isinstance(document, str):
        return dict(document)
    return dict(json.loads(unquote(document) if re.match(r"\s*%7B", document, re.IGNORECASE) else document))
