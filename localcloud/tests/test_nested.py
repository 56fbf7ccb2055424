"""Nested stacks through change sets, with types of ours inside."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError, WaiterError

from localcloud.tests.conftest import REGION, RunningCloud, Stacks, until
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


ADDRESSES = {
    "bucket in the path": "https://s3.{region}.{suffix}/{bucket}/{key}",
    "bucket in the host": "https://{bucket}.s3.{region}.{suffix}/{key}",
}


@pytest.fixture
def bucket(cloud: RunningCloud, stacks: Stacks) -> str:
    """The artifact bucket, whose name follows from the account and the region."""
    account = cloud.client("sts").get_caller_identity()["Account"]
    bucket = f"ductwork-{account}-{REGION}"
    if bucket not in [found["Name"] for found in stacks.s3.list_buckets()["Buckets"]]:
        stacks.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    return bucket


def queue_named(name: str) -> dict:
    return {"Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name}}}}


def exists(cloud: RunningCloud, queue: str) -> bool:
    return bool(cloud.client("sqs").list_queues(QueueNamePrefix=queue).get("QueueUrls"))


@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
def test_a_nested_stack_reads_its_template_wherever_the_parent_is_deployed(
    cloud: RunningCloud, stacks: Stacks, name: str, bucket: str, address: str
) -> None:
    key = f"templates/{name}.yaml"
    stacks.upload(bucket, key, queue_named(name))
    url = address.format(
        region="${AWS::Region}", suffix="${AWS::URLSuffix}", key=key,
        bucket="ductwork-${AWS::AccountId}-${AWS::Region}",
    )  # fmt: skip
    child = {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": {"Fn::Sub": url}}}
    template = {"Resources": {"Child": child}}
    stacks.api.validate_template(TemplateBody=json.dumps(template))
    changes = run_change_set(stacks, name, template, "CREATE", 1)["Changes"]
    assert [change["ResourceChange"]["LogicalResourceId"] for change in changes] == ["Child"]
    assert stacks.settle(name) == "CREATE_COMPLETE", stacks.reasons(name)
    assert exists(cloud, name)

    with pytest.raises(WaiterError) as nothing:
        run_change_set(stacks, name, template, "UPDATE", 2)
    reason = nothing.value.last_response["StatusReason"]
    assert "didn't contain changes" in reason or "No updates" in reason


@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
def test_a_root_template_is_read_by_its_aws_address(
    cloud: RunningCloud, stacks: Stacks, name: str, bucket: str, address: str
) -> None:
    url = address.format(region=REGION, suffix="amazonaws.com", bucket=bucket, key=f"templates/{name}.json")
    stacks.upload(bucket, f"templates/{name}.json", queue_named(name))
    stacks.api.create_stack(StackName=name, TemplateURL=url)
    assert stacks.settle(name) == "CREATE_COMPLETE", stacks.reasons(name)
    assert exists(cloud, name)

    stacks.upload(bucket, f"templates/{name}.json", queue_named(f"{name}-2"))
    made = stacks.api.create_change_set(StackName=name, ChangeSetName="second", TemplateURL=url)
    until(
        lambda: stacks.api.describe_change_set(ChangeSetName=made["Id"])["Status"] == "CREATE_COMPLETE",
        "the change set is made",
    )
    stacks.api.execute_change_set(ChangeSetName=made["Id"])
    assert stacks.settle(name) == "UPDATE_COMPLETE", stacks.reasons(name)
    assert exists(cloud, f"{name}-2")


@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
def test_a_template_that_is_not_there_fails_the_nested_stack(
    stacks: Stacks, name: str, bucket: str, address: str
) -> None:
    url = address.format(region=REGION, suffix="amazonaws.com", bucket=bucket, key=f"templates/{name}.yaml")
    nested = {"Child": {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": url}}}
    stack = stacks.create(name, nested)
    assert stacks.settle(stack) == "ROLLBACK_COMPLETE"
    assert any(f"the template at {url} cannot be read" in reason for reason in stacks.reasons(stack))
