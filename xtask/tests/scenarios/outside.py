"""Changes what deployments read without being part of the project: one JSON document with what is there afterwards.

`outside.py image AMI` moves the parameter of the hosts' image; `outside.py secret PART` makes a new version of the
secret with PART in its name; `outside.py deployments` counts the deployments of each deployment group;
`outside.py workers [on|off]` tells where the tasks of the worker set run, after protecting them or ending that.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import boto3

REGION, PARAMETER = "us-east-1", "/images/airflow"


def image(client: Callable[[str], Any], value: str) -> dict:
    client("ssm").put_parameter(Name=PARAMETER, Value=value, Type="String", Overwrite=True)
    return {}


def secret(client: Callable[[str], Any], part: str) -> dict:
    secrets = client("secretsmanager")
    pages = secrets.get_paginator("list_secrets").paginate()
    [name] = [one["Name"] for page in pages for one in page["SecretList"] if part in one["Name"]]
    value = secrets.get_secret_value(SecretId=name)["SecretString"]
    secrets.put_secret_value(SecretId=name, SecretString=value)
    return {}


def deployments(client: Callable[[str], Any], _: str) -> dict:
    deploy = client("codedeploy")
    [application] = deploy.list_applications()["applications"]
    groups = deploy.list_deployment_groups(applicationName=application)["deploymentGroups"]
    asked = {
        group: deploy.list_deployments(applicationName=application, deploymentGroupName=group)
        for group in groups
    }
    return {group: len(found["deployments"]) for group, found in asked.items()}


def workers(client: Callable[[str], Any], protection: str) -> dict:
    ecs = client("ecs")
    [cluster] = ecs.list_clusters()["clusterArns"]
    tasks = ecs.list_tasks(cluster=cluster, serviceName="worker-default")["taskArns"]
    if protection:
        ecs.update_task_protection(cluster=cluster, tasks=tasks, protectionEnabled=protection == "on")
    described = ecs.describe_tasks(cluster=cluster, tasks=tasks)["tasks"]
    return {task["taskArn"]: f"{task['lastStatus']} on {task['launchType']}" for task in described}


def main() -> int:
    """The command line."""
    verbs = {"image": image, "secret": secret, "deployments": deployments, "workers": workers}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=verbs)
    parser.add_argument("what", nargs="?", default="")
    parser.add_argument("--state", type=Path, required=True)
    options = parser.parse_args()
    endpoint = json.loads((options.state / "cloud.json").read_text(encoding="utf-8"))["endpoint"]
    session = boto3.Session("local", "local", region_name=REGION)
    done = verbs[options.verb](partial(session.client, endpoint_url=endpoint), options.what)
    json.dump(done, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
