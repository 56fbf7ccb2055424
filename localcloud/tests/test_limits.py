"""What CloudFormation takes of a template at most, sent as text, read from S3, and nested
(docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html).
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.tests.conftest import Stacks

HANDLE = {"Type": "AWS::CloudFormation::WaitConditionHandle"}
INLINE, FROM_S3 = 51_200, 1_000_000


def template(resources: int = 1, parameters: int = 0, outputs: int = 0) -> dict[str, Any]:
    return {
        "Resources": {f"R{n}": HANDLE for n in range(resources)},
        "Parameters": {f"P{n}": {"Type": "String", "Default": ""} for n in range(parameters)},
        "Outputs": {f"O{n}": {"Value": "v"} for n in range(outputs)},
    }


def of_size(size: int) -> dict[str, Any]:
    """Of so many bytes, as JSON."""
    filled = {**template(), "Metadata": {"Filler": ""}}
    filled["Metadata"]["Filler"] = "x" * (size - len(json.dumps(filled)))
    return filled


# One more than the most, and what is said of it.
COUNTS = [
    ({"resources": 501}, "Number of resources, 501, is greater than maximum allowed, 500"),
    ({"parameters": 201}, "Number of parameters, 201, is greater than maximum allowed, 200"),
    ({"outputs": 201}, "Number of outputs, 201, is greater than maximum allowed, 200"),
]
counts = pytest.mark.parametrize(("number", "said"), COUNTS, ids=lambda one: next(iter(one), ""))


@pytest.fixture
def bucket(stacks: Stacks, name: str) -> str:
    location = {"LocationConstraint": "eu-central-1"}
    stacks.s3.create_bucket(Bucket=name, CreateBucketConfiguration=location)
    return name


def change_set(stacks: Stacks, name: str, **text: str) -> dict:
    """Made for a new stack, and described."""
    made = stacks.api.create_change_set(
        StackName=name, ChangeSetName="c", ChangeSetType="CREATE", IncludeNestedStacks=True, **text
    )
    return stacks.api.describe_change_set(ChangeSetName=made["Id"])


def refused(stacks: Stacks, name: str, **text: str) -> str:
    with pytest.raises(ClientError) as caught:
        change_set(stacks, name, **text)
    assert caught.value.response["Error"]["Code"] == "ValidationError"
    return caught.value.response["Error"]["Message"]


def nested_fault(stacks: Stacks, name: str, child: dict) -> str:
    """Why a change set with this nested template cannot be made."""
    url = stacks.upload(name, "child.json", child)
    parent = {
        "Resources": {"Child": {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": url}}}
    }
    made = change_set(stacks, name, TemplateBody=json.dumps(parent))
    assert made["Status"] == "FAILED", made["Status"]
    arn = made["StatusReason"].split()[3]
    return stacks.api.describe_change_set(ChangeSetName=arn)["StatusReason"]


@counts
def test_more_than_the_most_is_refused(stacks: Stacks, name: str, number: dict, said: str) -> None:
    [(kind, one_too_many)] = number.items()
    stacks.api.validate_template(TemplateBody=json.dumps(template(**{kind: one_too_many - 1})))
    assert said in refused(stacks, name, TemplateBody=json.dumps(template(**number)))


@counts
def test_so_it_is_in_a_nested_stack(stacks: Stacks, bucket: str, number: dict, said: str) -> None:
    assert said in nested_fault(stacks, bucket, template(**number))


def test_a_text_has_51200_bytes_at_most_and_a_file_a_million(stacks: Stacks, bucket: str) -> None:
    stacks.api.validate_template(TemplateBody=json.dumps(of_size(INLINE)))
    said = refused(stacks, bucket, TemplateBody=json.dumps(of_size(INLINE + 1)))
    assert said.endswith("Member must have length less than or equal to 51200")
    url = stacks.upload(bucket, "large.json", of_size(FROM_S3))
    stacks.api.validate_template(TemplateURL=url)
    url = stacks.upload(bucket, "larger.json", of_size(FROM_S3 + 1))
    too_large = "Template may not exceed 1000000 bytes in size."
    assert refused(stacks, bucket, TemplateURL=url) == too_large
    assert nested_fault(stacks, bucket, of_size(FROM_S3 + 1)) == too_large
