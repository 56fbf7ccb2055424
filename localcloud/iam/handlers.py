"""What CloudFormation asks IAM with the rights of whoever deploys, resource type by resource type. Pure.

From `handlers.json`, which `dev/handlers.py` makes of AWS's resource schemas. The schemas list what a handler may
ask for any properties; what it never asks for ours is in `unused.py`, with the reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from localcloud.iam.policy import Request, like
from localcloud.iam.resources import BROUGHT, NAMES, UNTAGGED, Place
from localcloud.iam.unused import FORBIDDEN, is_unused

TAGGING = re.compile(r":(AddTags|CreateTags|CreateOrUpdateTags|Tag(?!s))")
UNTAGGING = re.compile(r":(DeleteTags|RemoveTags|Untag)")
CREATING = re.compile(r":(Allocate|Create|RegisterScalableTarget|RegisterTaskDefinition|Request|Restore)")


@cache
def table() -> dict[str, Any]:
    """The table as it is checked in."""
    whole: dict[str, Any] = json.loads(Path(__file__).with_name("handlers.json").read_text(encoding="utf-8"))
    return whole


@dataclass(frozen=True)
class Asked:
    """A request of a handler of a resource type; `is_new` if what it goes to is made by it."""

    handler: str
    request: Request
    is_new: bool = False


# The kind of resource that each type makes, as IAM calls it. What is missing makes none of its own.
MAKES = {
    "AWS::ApplicationAutoScaling::ScalableTarget": "application-autoscaling:ScalableTarget",
    "AWS::AutoScaling::AutoScalingGroup": "autoscaling:autoScalingGroup",
    "AWS::Backup::BackupPlan": "backup:backupPlan",
    "AWS::Backup::BackupVault": "backup:backupVault",
    "AWS::Budgets::Budget": "budgets:budget",
    "AWS::CertificateManager::Certificate": "acm:certificate",
    "AWS::CloudFormation::Stack": "cloudformation:stack",
    "AWS::CloudTrail::Trail": "cloudtrail:trail",
    "AWS::CloudWatch::Alarm": "cloudwatch:alarm",
    "AWS::CloudWatch::Dashboard": "cloudwatch:dashboard",
    "AWS::CodeDeploy::Application": "codedeploy:application",
    "AWS::CodeDeploy::DeploymentGroup": "codedeploy:deploymentgroup",
    "AWS::EC2::EIP": "ec2:elastic-ip",
    "AWS::EC2::FlowLog": "ec2:vpc-flow-log",
    "AWS::EC2::InternetGateway": "ec2:internet-gateway",
    "AWS::EC2::LaunchTemplate": "ec2:launch-template",
    "AWS::EC2::NatGateway": "ec2:natgateway",
    "AWS::EC2::PrefixList": "ec2:prefix-list",
    "AWS::EC2::RouteTable": "ec2:route-table",
    "AWS::EC2::SecurityGroup": "ec2:security-group",
    "AWS::EC2::Subnet": "ec2:subnet",
    "AWS::EC2::VPC": "ec2:vpc",
    "AWS::EC2::VPCEndpoint": "ec2:vpc-endpoint",
    "AWS::ECS::CapacityProvider": "ecs:capacity-provider",
    "AWS::ECS::Cluster": "ecs:cluster",
    "AWS::ECS::Service": "ecs:service",
    "AWS::ECS::TaskDefinition": "ecs:task-definition",
    "AWS::EFS::AccessPoint": "elasticfilesystem:access-point",
    "AWS::EFS::FileSystem": "elasticfilesystem:file-system",
    "AWS::ElastiCache::ParameterGroup": "elasticache:parametergroup",
    "AWS::ElastiCache::ReplicationGroup": "elasticache:replicationgroup",
    "AWS::ElastiCache::SubnetGroup": "elasticache:subnetgroup",
    "AWS::ElasticLoadBalancingV2::Listener": "elasticloadbalancing:listener/app",
    "AWS::ElasticLoadBalancingV2::LoadBalancer": "elasticloadbalancing:loadbalancer/app/",
    "AWS::ElasticLoadBalancingV2::TargetGroup": "elasticloadbalancing:targetgroup",
    "AWS::IAM::InstanceProfile": "iam:instance-profile",
    "AWS::IAM::ManagedPolicy": "iam:policy",
    "AWS::IAM::Role": "iam:role",
    "AWS::KMS::Key": "kms:key",
    "AWS::Logs::LogGroup": "logs:log-group",
    "AWS::RDS::DBCluster": "rds:cluster",
    "AWS::RDS::DBClusterParameterGroup": "rds:cluster-pg",
    "AWS::RDS::DBInstance": "rds:db",
    "AWS::RDS::DBParameterGroup": "rds:pg",
    "AWS::RDS::DBSubnetGroup": "rds:subgrp",
    "AWS::S3::Bucket": "s3:bucket",
    "AWS::SNS::Topic": "sns:topic",
    "AWS::SQS::Queue": "sqs:queue",
    "AWS::SSM::Parameter": "ssm:parameter",
    "AWS::SecretsManager::Secret": "secretsmanager:Secret",
    "AWS::ServiceDiscovery::PrivateDnsNamespace": "servicediscovery:namespace",
    "AWS::ServiceDiscovery::Service": "servicediscovery:service",
    "AWS::WAFv2::WebACL": "wafv2:webacl",
}
# Services to which CloudFormation passes a role of ours.
PASSED_TO = {
    "AWS::AutoScaling::AutoScalingGroup": "ec2",
    "AWS::Backup::BackupSelection": "backup",
    "AWS::CodeDeploy::DeploymentGroup": "codedeploy",
    "AWS::EC2::FlowLog": "vpc-flow-logs",
    "AWS::ECS::CapacityProvider": "ecs",
    "AWS::ECS::TaskDefinition": "ecs-tasks",
    "AWS::IAM::InstanceProfile": "ec2",
    "AWS::KinesisFirehose::DeliveryStream": "firehose",
}
LAUNCH = "ec2:RunInstances"
SNAPSHOTS = {"rds:CreateDBSnapshot": "rds:snapshot", "rds:CreateDBClusterSnapshot": "rds:cluster-snapshot"}


def matched(table: dict[str, dict[str, list[str]]], kinds: str, action: str) -> bool:
    """Whether a pattern of actions and one of resource types are in the table at all."""
    return any(
        like(action, one)
        for kind, verbs in table.items()
        if like(kinds, kind)
        for actions in verbs.values()
        for one in actions
    )


def asked(kind: str, place: Place, asker: Place) -> Iterator[Asked]:
    """What the handlers of a resource type ask for the resources of `place`, deployed as those of `asker`."""
    for verb, actions in table()["handlers"][kind].items():
        for action in actions:
            if not is_unused(kind, action) and action not in FORBIDDEN:
                yield from _of_action(kind, verb, action, place, asker)


def _of_action(kind: str, verb: str, action: str, place: Place, asker: Place) -> Iterator[Asked]:
    handler = f"{verb} of {kind}"
    context = _context(kind, action, asker)
    goes_to = table()["goes_to"].get(action, [])
    if action == "iam:CreateServiceLinkedRole":
        role = f"arn:{place.partition}:iam::{place.account}:role/aws-service-role/x.amazonaws.com/AWSServiceRoleForX"
        yield Asked(handler, Request(action, role, context), is_new=True)
        return
    if not goes_to:
        yield Asked(handler, Request(action, "*", context), is_new=True)
        return
    makes = SNAPSHOTS.get(action, MAKES.get(kind))
    # A capacity provider tags its group of hosts.
    for one in goes_to if makes not in goes_to or not _tags(action) else [makes]:
        if one in BROUGHT and action != LAUNCH:
            continue
        is_new = one in BROUGHT or (one == makes and verb in _new_in(action) and _makes(action))
        tags = {} if is_new or not _is_tagged(one) else place.tags("aws:ResourceTag")
        for arn in place.arns(one):
            yield Asked(handler, Request(action, arn, context | tags), is_new)
    if not NAMES.keys() & goes_to:
        raise LookupError(f"{action}, {handler}: say in resources.py what {' or '.join(goes_to)} is called")


def _tags(action: str) -> bool:
    return bool(TAGGING.search(action) or UNTAGGING.search(action))


def _new_in(action: str) -> tuple[str, ...]:
    """Snapshots are made as a database goes."""
    return ("delete",) if action in SNAPSHOTS else ("create",)


def _makes(action: str) -> bool:
    return bool(TAGGING.search(action) or CREATING.search(action))


def _is_tagged(kind: str) -> bool:
    return kind in table()["tagged"] and kind not in UNTAGGED


def _context(kind: str, action: str, asker: Place) -> dict[str, str]:
    if action == "iam:PassRole":
        return {"iam:PassedToService": f"{PASSED_TO[kind]}.amazonaws.com"}
    if action == LAUNCH:
        template = next(asker.arns("ec2:launch-template"))
        return {"ec2:LaunchTemplate": template}
    return asker.tags("aws:RequestTag") if _makes(action) else {}
