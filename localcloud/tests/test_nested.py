"""Nested stacks through change sets, with types of ours inside."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError, WaiterError

from localcloud.tests.conftest import RunningCloud, Stacks
from localcloud.tests.test_cfn import DB_OUTPUTS, SECRET, database, query

CHILD = {
    "Parameters": {"Visibility": {"Type": "Number", "Default": "30"}},
    "Resources": {
        "Db": SECRET,
        "Database": database("Db"),
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": {"Ref": "Visibility"}}},
        "Kept": {"Type": "AWS::SQS::Queue", "DeletionPolicy": "Retain"},
    },
    "Outputs": {key: {"Value": value} for key, value in {**DB_OUTPUTS, "Kept": {"Ref": "Kept"}}.items()},
}


def parent(url: str, visibility: int) -> dict:
    return {
        "Resources": {
            "Child": {
                "Type": "AWS::CloudFormation::Stack",
                "Properties": {"TemplateURL": url, "Parameters": {"Visibility": visibility}},
            }
        },
        "Outputs": {
            key: {"Value": {"Fn::GetAtt": ["Child", f"Outputs.{key}"]}}
            for key in ("Host", "Port", "Secret", "Kept")
        },
    }


def run_change_set(stacks: Stacks, stack: str, template: dict, kind: str, number: int) -> dict:
    made = stacks.api.create_change_set(
        StackName=stack, ChangeSetName=f"c{number}", ChangeSetType=kind, TemplateBody=json.dumps(template),
        IncludeNestedStacks=True, Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )  # fmt: skip
    stacks.api.get_waiter("change_set_create_complete").wait(
        ChangeSetName=made["Id"], WaiterConfig={"Delay": 1, "MaxAttempts": 10}
    )
    described = stacks.api.describe_change_set(ChangeSetName=made["Id"])
    stacks.api.execute_change_set(ChangeSetName=made["Id"])
    return described


def test_create_update_delete_through_change_sets(cloud: RunningCloud, stacks: Stacks, name: str) -> None:
    stacks.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    url = stacks.upload(name, "child.json", CHILD)
    run_change_set(stacks, name, parent(url, 60), "CREATE", 1)
    assert stacks.settle(name) == "CREATE_COMPLETE", stacks.reasons(name)
    out = stacks.outputs(name)
    password = json.loads(
        cloud.client("secretsmanager").get_secret_value(SecretId=out["Secret"])["SecretString"]
    )["password"]
    assert query(out["Host"], out["Port"], "airflow", password, "airflow").stdout.strip() == "1"

    child = stacks.api.describe_stack_resource(StackName=name, LogicalResourceId="Child")[
        "StackResourceDetail"
    ]
    described = stacks.api.describe_stacks(StackName=child["PhysicalResourceId"])["Stacks"][0]
    assert described["ParentId"] == stacks.api.describe_stacks(StackName=name)["Stacks"][0]["StackId"]
    in_progress = [e for e in stacks.events(name) if e["LogicalResourceId"] == "Child"
                   and e["ResourceStatus"] == "CREATE_IN_PROGRESS"]  # fmt: skip
    assert child["PhysicalResourceId"] in [e.get("PhysicalResourceId") for e in in_progress]

    with pytest.raises(WaiterError) as nothing:
        run_change_set(stacks, name, parent(url, 60), "UPDATE", 2)
    reason = nothing.value.last_response["StatusReason"]
    assert "didn't contain changes" in reason or "No updates" in reason

    changes = run_change_set(stacks, name, parent(url, 90), "UPDATE", 3)["Changes"]
    assert [
        (c["ResourceChange"]["LogicalResourceId"], c["ResourceChange"]["Replacement"]) for c in changes
    ] == [("Child", "False")]
    assert stacks.settle(name) == "UPDATE_COMPLETE", stacks.reasons(name)
    assert stacks.outputs(name) == out
    same = cloud.client("secretsmanager").get_secret_value(SecretId=out["Secret"])["SecretString"]
    assert json.loads(same)["password"] == password
    assert stacks.status(child["PhysicalResourceId"]) == "UPDATE_COMPLETE"

    assert stacks.delete(name) == "DELETE_COMPLETE"
    assert stacks.status(child["PhysicalResourceId"]) == "DELETE_COMPLETE"
    assert query(out["Host"], out["Port"], "airflow", password, "airflow").returncode != 0
    sqs = cloud.client("sqs")
    assert sqs.get_queue_attributes(QueueUrl=out["Kept"], AttributeNames=["QueueArn"])["Attributes"]


BROKEN = {
    "Type": "AWS::RDS::DBInstance",
    "Properties": {"Engine": "postgres", "MasterUsername": "airflow", "MasterUserPassword": "short"},
}


def test_a_child_that_fails_leaves_nothing_and_names_its_cause(
    cloud: RunningCloud, stacks: Stacks, name: str
) -> None:
    stacks.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name}}
    child = {"Resources": {"Queue": queue, "Database": {**BROKEN, "DependsOn": "Queue"}}}
    url = stacks.upload(name, "child.json", child)
    nested = {"Child": {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": url}}}
    stack = stacks.create(name, nested)
    assert stacks.settle(stack) == "ROLLBACK_COMPLETE"
    children = {
        e.get("PhysicalResourceId") for e in stacks.events(stack) if e["LogicalResourceId"] == "Child"
    }
    child_id = next(c for c in children if c and c.startswith("arn:"))
    assert any("not a valid password" in reason for reason in stacks.reasons(child_id))
    assert stacks.status(child_id) == "DELETE_COMPLETE"
    with pytest.raises(ClientError, match="NonExistentQueue"):
        cloud.client("sqs").get_queue_url(QueueName=name)


def test_a_child_update_that_fails_goes_back(cloud: RunningCloud, stacks: Stacks, name: str) -> None:
    stacks.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name, "VisibilityTimeout": 60}}
    good = stacks.upload(name, "good.json", {"Resources": {"Queue": queue}})
    changed = {**queue, "Properties": {**queue["Properties"], "VisibilityTimeout": 90}}
    bad = stacks.upload(
        name, "bad.json", {"Resources": {"Queue": changed, "Database": {**BROKEN, "DependsOn": "Queue"}}}
    )
    stacks.made(name, {"Child": {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": good}}})
    template = {
        "Resources": {"Child": {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": bad}}}
    }
    stacks.api.update_stack(StackName=name, TemplateBody=json.dumps(template))
    assert stacks.settle(name) == "UPDATE_ROLLBACK_COMPLETE"
    sqs = cloud.client("sqs")
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
    assert attributes["VisibilityTimeout"] == "60"
    child = stacks.api.describe_stack_resource(StackName=name, LogicalResourceId="Child")[
        "StackResourceDetail"
    ]
    assert stacks.status(child["PhysicalResourceId"]) == "UPDATE_ROLLBACK_COMPLETE"
