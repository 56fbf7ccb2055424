"""Change sets with IncludeNestedStacks: what AWS knows of nested stacks before anything runs."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from localcloud.tests.conftest import RunningCloud, Stacks

EMPTY = "The submitted information didn't contain changes."
NETWORK = {
    "Parameters": {"Delay": {"Type": "Number", "Default": "0"}},
    "Resources": {
        "One": {"Type": "AWS::SQS::Queue", "Properties": {"DelaySeconds": {"Ref": "Delay"}}},
        "Two": {"Type": "AWS::SQS::Queue"},
    },
    "Outputs": {
        "Name": {"Value": {"Fn::GetAtt": ["One", "QueueName"]}},
        "Names": {"Value": {"Fn::Sub": "${One.QueueName},${Two.QueueName}"}},
    },
}


def queue(name: object) -> dict:
    """A nested template with a queue that is replaced when its name changes."""
    return {
        "Parameters": {"Wired": {"Type": "String", "AllowedPattern": "[A-Za-z0-9,-]+"}},
        "Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name}}},
    }


PLAIN = queue({"Fn::Sub": "${Wired}-more"})
SECOND = queue(
    {"Fn::Sub": ["${It}-more", {"It": {"Fn::Select": [1, {"Fn::Split": [",", {"Ref": "Wired"}]}]}}]}
)


class Tree:
    """A root stack with two nested ones, of which the second is wired from an output of the first."""

    def __init__(self, cloud: RunningCloud, stacks: Stacks, name: str) -> None:
        self.stacks, self.name = stacks, name
        self.api = cloud.client("cloudformation")
        location = {"LocationConstraint": "eu-central-1"}
        stacks.s3.create_bucket(Bucket=name, CreateBucketConfiguration=location)
        self.network = stacks.upload(name, "network.json", NETWORK)

    def root(self, wired: dict, output: str = "Name", delay: int = 0, other: int = 30) -> dict:
        """The root's template."""
        url = self.stacks.upload(self.name, f"{output}.json", wired)
        stack = {
            "Network": {"TemplateURL": self.network, "Parameters": {"Delay": delay}},
            "Wired": {
                "TemplateURL": url,
                "Parameters": {"Wired": {"Fn::GetAtt": ["Network", f"Outputs.{output}"]}},
            },
        }
        nested = {
            key: {"Type": "AWS::CloudFormation::Stack", "Properties": one} for key, one in stack.items()
        }
        own = {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": other}}
        return {"Resources": {**nested, "Own": own}}

    def made(self, template: dict) -> Tree:
        """With its stacks."""
        self.stacks.made(self.name, template["Resources"])
        return self

    def change_set(self, template: dict, kind: str = "UPDATE", *, nested: bool = True) -> dict:
        """A change set, described."""
        made = self.api.create_change_set(
            StackName=self.name, ChangeSetName=f"c-{self.name}-{nested}", ChangeSetType=kind,
            TemplateBody=json.dumps(template), IncludeNestedStacks=nested,
        )  # fmt: skip
        return self.describe(made["Id"])

    def describe(self, arn: str) -> dict:
        """A change set, with its changes by logical id."""
        described = self.api.describe_change_set(ChangeSetName=arn)
        changes = [change["ResourceChange"] for change in described["Changes"]]
        return {**described, "rows": {change["LogicalResourceId"]: change for change in changes}}

    def token(self, path: str) -> str:
        """What stands for an output of a sibling."""
        return f"{{{{IntrinsicFunction:{self.name}/{path}/Fn::GetAtt}}}}"


@pytest.fixture
def tree(cloud: RunningCloud, stacks: Stacks, name: str) -> Tree:
    """Its bucket and nothing more."""
    return Tree(cloud, stacks, name)


def test_a_value_from_a_sibling_that_changes_is_a_token_and_looks_like_a_replacement(tree: Tree) -> None:
    tree.made(tree.root(PLAIN))
    root = tree.change_set(tree.root(PLAIN, delay=5))
    assert root["Status"] == "CREATE_COMPLETE" and root["IncludeNestedStacks"]
    assert set(root["rows"]) == {"Network", "Wired"}

    network = tree.describe(root["rows"]["Network"]["ChangeSetId"])
    assert network["rows"]["One"]["Replacement"] == "False"
    wired = tree.describe(root["rows"]["Wired"]["ChangeSetId"])
    assert (wired["ParentChangeSetId"], wired["RootChangeSetId"]) == (root["ChangeSetId"],) * 2
    token = tree.token("Network.Outputs.Name")
    assert wired["Parameters"] == [{"ParameterKey": "Wired", "ParameterValue": token}]
    row = wired["rows"]["Queue"]
    assert row["Replacement"] == "True"
    assert [(d["ChangeSource"], d["Evaluation"], d.get("CausingEntity")) for d in row["Details"]] == [
        ("DirectModification", "Dynamic", None),
        ("ParameterReference", "Static", "Wired"),
    ]

    tree.api.execute_change_set(ChangeSetName=root["ChangeSetId"])
    assert tree.stacks.settle(tree.name) == "UPDATE_COMPLETE", tree.stacks.reasons(tree.name)
    events = tree.stacks.events(root["rows"]["Wired"]["PhysicalResourceId"])
    assert not [event for event in events if event["ResourceStatus"].startswith("UPDATE")], "it was false"


def test_a_value_from_a_sibling_that_stays_is_known(tree: Tree) -> None:
    tree.made(tree.root(SECOND, "Names"))
    root = tree.change_set(tree.root(SECOND, "Names", other=60))
    assert root["Status"] == "CREATE_COMPLETE", root["StatusReason"]
    assert set(root["rows"]) == {"Own"}
    tree.api.delete_change_set(ChangeSetName=root["ChangeSetId"])
    root = tree.change_set(tree.root(SECOND, "Names"))
    assert root["Status"] == "FAILED" and EMPTY in root["StatusReason"]


def test_a_token_cannot_be_taken_apart(tree: Tree) -> None:
    tree.made(tree.root(SECOND, "Names"))
    changed = tree.root(SECOND, "Names", delay=5)
    root = tree.change_set(changed)
    assert root["Status"] == "FAILED" and root["ExecutionStatus"] == "UNAVAILABLE"
    child = root["StatusReason"].split()[3]
    assert (
        root["StatusReason"]
        == f"Nested change set {child} was not successfully created: Currently in FAILED."
    )
    reason = tree.describe(child)["StatusReason"]
    assert reason == "Template error: Fn::Select cannot select nonexistent value at index 1"
    tree.api.delete_change_set(ChangeSetName=root["ChangeSetId"])

    root = tree.change_set(changed, nested=False)
    assert root["Status"] == "CREATE_COMPLETE", root["StatusReason"]
    assert "ChangeSetId" not in root["rows"]["Network"]


def test_what_is_yet_to_be_made_is_told_too(tree: Tree) -> None:
    root = tree.change_set(tree.root(PLAIN), "CREATE")
    assert [(name, row["Action"]) for name, row in root["rows"].items()] == [
        (name, "Add") for name in ("Network", "Own", "Wired")
    ]
    wired = tree.describe(root["rows"]["Wired"]["ChangeSetId"])
    assert wired["rows"]["Queue"]["Action"] == "Add"
    assert wired["Parameters"][0]["ParameterValue"] == tree.token("Network.Outputs.Name")
    with pytest.raises(ClientError, match="InvalidChangeSetStatus"):
        tree.api.execute_change_set(ChangeSetName=wired["ChangeSetId"])
    tree.api.delete_change_set(ChangeSetName=root["ChangeSetId"])
    with pytest.raises(ClientError, match="ChangeSetNotFound"):
        tree.describe(wired["ChangeSetId"])


def test_a_function_over_a_token_is_one_token(tree: Tree) -> None:
    template = tree.root(PLAIN)
    parameters = template["Resources"]["Wired"]["Properties"]["Parameters"]
    parameters["Wired"] = {"Fn::Sub": "${Network.Outputs.Name}-${Own.QueueName}"}
    root = tree.change_set(template, "CREATE")
    wired = tree.describe(root["rows"]["Wired"]["ChangeSetId"])
    assert wired["Parameters"][0]["ParameterValue"] == f"{{{{IntrinsicFunction:{tree.name}//Fn::Sub}}}}"
