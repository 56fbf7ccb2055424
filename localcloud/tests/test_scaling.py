"""Scaling in with hooks and protection, mixed groups, and what an instance learns and asks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from localcloud.fleet.hostenv import access_key
from localcloud.tests.conftest import REGION, STUCK, RunningCloud, Stacks, until
from localcloud.tests.fleetkit import OUTPUTS, Site, resources, telling
from localcloud.tests.test_services import TAGS, key, part, ref, trust

TAGGED = [{"Key": "component", "Value": "worker", "PropagateAtLaunch": True}]


def hooked(capacity: int, timeout: int, **group: object) -> dict:
    parts = resources(capacity, TerminationHookEnabled=False)
    parts["Group"]["Properties"].update(
        Tags=TAGGED,
        LifecycleHookSpecificationList=[
            {
                "LifecycleHookName": "drain",
                "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
                "HeartbeatTimeout": timeout,
                "DefaultResult": "CONTINUE",
            }
        ],
        **group,
    )
    del parts["Bucket"]
    return parts


class Hosts:
    """A group, seen through the Auto Scaling API, with programs of the test on its instances."""

    def __init__(self, cloud: RunningCloud, group: str) -> None:
        self.cloud, self.name = cloud, group
        self.api = cloud.client("autoscaling")
        self.programs: list[subprocess.Popen] = []

    def group(self) -> dict:
        return self.api.describe_auto_scaling_groups(AutoScalingGroupNames=[self.name])["AutoScalingGroups"][
            0
        ]

    def states(self) -> dict[str, str]:
        return {i["InstanceId"]: i["LifecycleState"] for i in self.group()["Instances"]}

    def want(self, number: int) -> None:
        self.api.set_desired_capacity(AutoScalingGroupName=self.name, DesiredCapacity=number)

    def busy(self, *instances: str) -> None:
        for name in instances:
            root = str(self.cloud.state / "instances" / name)
            env = {**os.environ, "DUCTWORK_HOST_ROOT": root}
            program = subprocess.Popen(
                [sys.executable, "-c", "print('here', flush=True); input()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=env,
            )
            self.programs.append(program)
            assert program.stdout.readline() == b"here\n"  # before, its environment may not be seen

    def action(self, name: str, **more: str) -> dict:
        return {"AutoScalingGroupName": self.name, "LifecycleHookName": "drain", "InstanceId": name, **more}

    def protect(self, name: str, protect: bool) -> None:
        self.api.set_instance_protection(
            AutoScalingGroupName=self.name, InstanceIds=[name], ProtectedFromScaleIn=protect
        )


@pytest.fixture
def hosts(cloud: RunningCloud, stacks: Stacks, name: str) -> Iterator[Callable[..., Hosts]]:
    made: list[Hosts] = []

    def make(capacity: int, timeout: int, **group: object) -> Hosts:
        outputs = {key: value for key, value in OUTPUTS.items() if key != "Bucket"}
        out = stacks.made(name, hooked(capacity, timeout, **group), outputs)
        made.append(Hosts(cloud, out["Group"]))
        return made[0]

    yield make
    for program in made[0].programs:
        program.kill()
        program.wait()
    assert stacks.delete(name) == "DELETE_COMPLETE"


def test_a_hook_holds_an_instance_until_it_is_completed(hosts: Callable[..., Hosts]) -> None:
    group = hosts(1, 3600)
    (first,) = group.states()
    assert metadata(group, first, "autoscaling/target-lifecycle-state") == "InService"
    group.busy(first)
    with pytest.raises(ClientError, match="No active Lifecycle Action"):
        group.api.complete_lifecycle_action(**group.action(first, LifecycleActionResult="CONTINUE"))
    group.want(0)
    assert group.states() == {first: "Terminating:Wait"}
    assert metadata(group, first, "autoscaling/target-lifecycle-state") == "Terminated"
    listed = group.api.describe_auto_scaling_instances(InstanceIds=[first])["AutoScalingInstances"]
    assert [entry["LifecycleState"] for entry in listed] == ["Terminating:Wait"]
    group.want(1)  # a new one does not wait for the old one to go
    until(lambda: "InService" in group.states().values(), what="a new instance")
    group.api.record_lifecycle_action_heartbeat(**group.action(first))
    assert group.states()[first] == "Terminating:Wait"
    group.api.complete_lifecycle_action(**group.action(first, LifecycleActionResult="CONTINUE"))
    until(lambda: first not in group.states(), what="the instance is gone")
    assert group.programs[0].wait(STUCK) is not None
    assert not (group.cloud.state / "instances" / first).exists()
    replaced_by_way_of_standby(group)


def replaced_by_way_of_standby(group: Hosts) -> None:
    """One on standby goes on, another comes in its stead, and its end waits for the hook as any other's."""
    (old,) = group.states()
    group.busy(old)
    stand_by = {"AutoScalingGroupName": group.name, "InstanceIds": [old]}
    group.api.enter_standby(**stand_by, ShouldDecrementDesiredCapacity=False)
    assert group.states()[old] == "Standby"
    assert metadata(group, old, "autoscaling/target-lifecycle-state") == "Standby"
    with pytest.raises(ClientError, match="is not in InService"):
        group.api.enter_standby(**stand_by, ShouldDecrementDesiredCapacity=False)
    until(lambda: "InService" in group.states().values(), what="another instance")
    group.protect(old, False)
    group.api.terminate_instance_in_auto_scaling_group(InstanceId=old, ShouldDecrementDesiredCapacity=False)
    assert group.states()[old] == "Terminating:Wait"
    group.api.complete_lifecycle_action(**group.action(old, LifecycleActionResult="CONTINUE"))
    until(lambda: list(group.states().values()) == ["InService"], what="only the other one is left")


def test_an_idle_instance_does_not_wait_for_its_hook(hosts: Callable[..., Hosts]) -> None:
    group = hosts(1, 3600)
    group.want(0)
    until(lambda: not group.states(), what="the idle instance is gone")


def test_a_silent_hook_ends_in_time(hosts: Callable[..., Hosts]) -> None:
    group = hosts(1, 5)
    (silent,) = group.states()
    group.busy(silent)
    begun = time.monotonic()
    group.want(0)
    group.api.record_lifecycle_action_heartbeat(**group.action(silent))
    until(lambda: not group.states(), what="the silent instance is gone")
    assert time.monotonic() - begun >= 4.9


def test_a_protected_instance_is_not_scaled_in(hosts: Callable[..., Hosts]) -> None:
    group = hosts(2, 60)
    one, two = group.states()
    for name in (one, two):
        group.protect(name, True)
    group.want(1)
    assert set(group.states().values()) == {"InService"}
    group.protect(two, False)
    until(lambda: set(group.states()) == {one}, what="the unprotected one is gone")
    with pytest.raises(ClientError, match="not part of"):
        group.protect("i-00000000000000000", True)
    with pytest.raises(ClientError, match="above max value 10"):
        group.want(11)
    group.api.update_auto_scaling_group(AutoScalingGroupName=group.name, MinSize=2, MaxSize=3)
    assert group.group()["DesiredCapacity"] == 2
    with pytest.raises(ClientError, match="min size constraint"):
        group.api.terminate_instance_in_auto_scaling_group(
            InstanceId=one, ShouldDecrementDesiredCapacity=True
        )
    hooks = group.api.describe_lifecycle_hooks(AutoScalingGroupName=group.name)["LifecycleHooks"]
    transitions = {hook["LifecycleHookName"].split("-")[0]: hook["LifecycleTransition"] for hook in hooks}
    assert transitions == {
        "drain": "autoscaling:EC2_INSTANCE_TERMINATING",
        "CodeDeploy": "autoscaling:EC2_INSTANCE_LAUNCHING",
    }
    group.protect(one, False)  # or the stack could not be deleted


def test_a_waiting_instance_survives_the_cloud(fresh: RunningCloud) -> None:
    outputs = {key: value for key, value in OUTPUTS.items() if key != "Bucket"}
    out = Stacks(fresh).made("hooked", hooked(1, 3600), outputs)
    group = Hosts(fresh, out["Group"])
    (name,) = group.states()
    group.busy(name)
    try:
        group.want(0)
        fresh.saved(autoscaling="Terminating:Wait", localfleet="Terminating:Wait")
        fresh.kill()
        fresh.start()
        group.api = fresh.client("autoscaling")
        assert group.states() == {name: "Terminating:Wait"}
        Stacks(fresh).api.delete_stack(StackName="hooked")
        until(
            lambda: Stacks(fresh).status(stack_of(fresh)) == "DELETE_IN_PROGRESS", what="the deletion begins"
        )
        assert group.states() == {name: "Terminating:Wait"}, "the deletion waits for the keeper"
        group.api.complete_lifecycle_action(**group.action(name, LifecycleActionResult="CONTINUE"))
        until(lambda: Stacks(fresh).status(stack_of(fresh)) == "DELETE_COMPLETE", what="deleted")
    finally:
        group.programs[0].kill()
        group.programs[0].wait()


def test_a_protected_instance_holds_up_the_deletion_of_its_stack(fresh: RunningCloud) -> None:
    outputs = {key: value for key, value in OUTPUTS.items() if key != "Bucket"}
    stacks = Stacks(fresh)
    group = Hosts(fresh, stacks.made("hooked", hooked(1, 3600), outputs)["Group"])
    (name,) = group.states()
    group.protect(name, True)
    group.busy(name)
    try:
        stacks.api.delete_stack(StackName="hooked")
        until(lambda: group.group()["MaxSize"] == 0, what="the group is to be empty")
        assert group.states() == {name: "InService"}
        group.protect(name, False)
        until(lambda: group.states() == {name: "Terminating:Wait"}, what="the scale-in goes on")
        group.api.delete_lifecycle_hook(AutoScalingGroupName=group.name, LifecycleHookName="drain")
        until(lambda: stacks.status(stack_of(fresh)) == "DELETE_COMPLETE", what="deleted")
    finally:
        group.programs[0].kill()
        group.programs[0].wait()


def stack_of(cloud: RunningCloud) -> str:
    return cloud.client("cloudformation").list_stacks()["StackSummaries"][0]["StackId"]


def test_mixed_groups_and_scheduled_sizes(cloud: RunningCloud, stacks: Stacks, name: str) -> None:
    template = part(
        "EC2::LaunchTemplate",
        LaunchTemplateData={
            "InstanceType": "m5.large",
            "MetadataOptions": {"HttpTokens": "required"},
            "BlockDeviceMappings": [
                {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 40, "Encrypted": True}}
            ],
            "TagSpecifications": [
                {"ResourceType": "volume", "Tags": [{"Key": "component", "Value": "worker"}]}
            ],
        },
    )
    group = part(
        "AutoScaling::AutoScalingGroup",
        MinSize="3",
        MaxSize="5",
        CapacityRebalance=True,
        Tags=TAGGED,
        MetricsCollection=[{"Granularity": "1Minute"}],
        MixedInstancesPolicy={
            "InstancesDistribution": {
                "OnDemandBaseCapacity": 1,
                "OnDemandPercentageAboveBaseCapacity": 0,
                "SpotAllocationStrategy": "price-capacity-optimized",
            },
            "LaunchTemplate": {
                "LaunchTemplateSpecification": {
                    "LaunchTemplateId": ref("Template"),
                    "Version": {"Fn::GetAtt": ["Template", "LatestVersionNumber"]},
                },
                "Overrides": [{"InstanceType": "m5.large"}, {"InstanceType": "m6i.large"}],
            },
        },
    )
    group["UpdatePolicy"] = {
        "AutoScalingScheduledAction": {"IgnoreUnmodifiedGroupSizeProperties": True},
        "AutoScalingRollingUpdate": {
            "Fn::If": ["Roll", {"MinInstancesInService": 0}, {"Ref": "AWS::NoValue"}]
        },
    }
    group["CreationPolicy"] = {"ResourceSignal": {"Count": 3, "Timeout": "PT30M"}}
    parts = {
        "Template": template,
        "Group": group,
        "Sleep": part("AutoScaling::ScheduledAction", AutoScalingGroupName=ref("Group"), MinSize=0, MaxSize=0,
                      DesiredCapacity=0, Recurrence="0 20 * * 1-5", TimeZone="Europe/Berlin"),
    }  # fmt: skip
    conditions = {
        "Conditions": {"Roll": {"Fn::Equals": [{"Fn::Select": [0, {"Fn::Split": [",", "a,b"]}]}, "b"]}}
    }
    out = stacks.made(name, parts, {"Group": ref("Group")}, tags=TAGS, **conditions)
    hosts = Hosts(cloud, out["Group"])
    found = hosts.group()
    assert found["MixedInstancesPolicy"]["InstancesDistribution"]["OnDemandBaseCapacity"] == 1
    assert [o["InstanceType"] for o in found["MixedInstancesPolicy"]["LaunchTemplate"]["Overrides"]] == [
        "m5.large", "m6i.large",
    ]  # fmt: skip
    assert found["CapacityRebalance"] and len(found["EnabledMetrics"]) > 5
    assert sorted(i["InstanceType"] for i in found["Instances"]) == ["m5.large", "m5.large", "m6i.large"]
    markets = [metadata(hosts, name, "instance-life-cycle") for name in hosts.states()]
    assert sorted(markets) == ["on-demand", "spot", "spot"]
    ec2 = cloud.client("ec2")
    own = [{"Name": "tag:aws:autoscaling:groupName", "Values": [out["Group"]]}]
    machine = ec2.describe_instances(Filters=own)["Reservations"][0]["Instances"][0]
    assert {"Key": "component", "Value": "worker"} in machine["Tags"]
    volume = ec2.describe_volumes(VolumeIds=[machine["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]])[
        "Volumes"
    ][0]
    assert (volume["Size"], volume["Encrypted"]) == (40, True)
    action = hosts.api.describe_scheduled_actions(AutoScalingGroupName=out["Group"])[
        "ScheduledUpdateGroupActions"
    ][0]
    assert (action["MinSize"], action["MaxSize"], action["TimeZone"]) == (0, 0, "Europe/Berlin")

    # What the schedule did (here: a request) is not undone by an update of something else, and nothing is replaced.
    hosts.api.update_auto_scaling_group(
        AutoScalingGroupName=out["Group"], MinSize=1, MaxSize=1, DesiredCapacity=1
    )
    until(lambda: len(hosts.states()) == 1, what="one left")
    before = hosts.states()
    template["Properties"]["LaunchTemplateData"]["InstanceType"] = "m7i.large"
    stacks.updated(name, parts, {"Group": ref("Group")}, tags=TAGS, **conditions)
    assert (hosts.group()["MaxSize"], hosts.states()) == (1, before)
    group["Properties"]["MaxSize"] = "6"
    stacks.updated(name, parts, {"Group": ref("Group")}, tags=TAGS, **conditions)
    assert (hosts.group()["MinSize"], hosts.group()["MaxSize"]) == (3, 6)
    assert stacks.delete(name) == "DELETE_COMPLETE"
    assert not ec2.describe_instances(Filters=own)["Reservations"]
    assert volume["VolumeId"] not in [v["VolumeId"] for v in ec2.describe_volumes()["Volumes"]]


# -- metadata
def fetch(url: str, method: str = "GET", **headers: str) -> str:
    request = urllib.request.Request(url, method=method, headers=headers)
    with urllib.request.urlopen(request, timeout=STUCK) as answer:
        return answer.read().decode()


def endpoint(hosts: Hosts, instance: str) -> str:
    return f"{hosts.cloud.endpoint}/_localcloud/metadata/{instance}"


def metadata(hosts: Hosts, instance: str, path: str) -> str:
    base = endpoint(hosts, instance)
    token = fetch(f"{base}/latest/api/token", "PUT", **{"X-aws-ec2-metadata-token-ttl-seconds": "60"})
    return fetch(f"{base}/latest/meta-data/{path}", **{"X-aws-ec2-metadata-token": token})


def test_metadata_of_an_instance(hosts: Callable[..., Hosts]) -> None:
    group = hosts(1, 60)
    (name,) = group.states()
    assert metadata(group, name, "instance-id") == name
    assert metadata(group, name, "placement/region") == REGION
    assert metadata(group, name, "placement/availability-zone").startswith(REGION)
    assert "instance-id" in metadata(group, name, "").splitlines()
    for path, code in (("spot/instance-action", 404), ("no/such", 404)):
        with pytest.raises(urllib.error.HTTPError) as refused:
            metadata(group, name, path)
        assert refused.value.code == code
    with pytest.raises(urllib.error.HTTPError, match="401"):
        fetch(endpoint(group, name) + "/latest/meta-data/instance-id")
    notice = group.cloud.state / "instances" / name / "run/spot-instance-action"
    notice.write_text('{"action": "terminate"}')
    assert json.loads(metadata(group, name, "spot/instance-action")) == {"action": "terminate"}
    # botocore's own client of the service.
    script = (
        "import boto3; from botocore.utils import IMDSRegionProvider as P; import botocore.session as s;"
        "print(P(s.get_session(), environ=None).provide())"
    )
    env = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": endpoint(group, name), "PATH": os.environ["PATH"]}
    told = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == REGION


# -- calls
def test_calls_of_instances_are_recorded_as_iam_sees_them(
    cloud: RunningCloud, stacks: Stacks, name: str
) -> None:
    parts = {
        "Key": key(),
        "Role": part("IAM::Role", AssumeRolePolicyDocument=trust("ec2.amazonaws.com")),
        "Profile": part("IAM::InstanceProfile", Roles=[ref("Role")]),
        "Secret": part("SecretsManager::Secret", KmsKeyId={"Fn::GetAtt": ["Key", "Arn"]}, SecretString="s"),
        "Queue": part("SQS::Queue", KmsMasterKeyId={"Fn::GetAtt": ["Key", "Arn"]}),
        **resources(1),
    }
    parts["Group"]["Properties"]["Tags"] = TAGGED
    parts["Template"]["Properties"]["LaunchTemplateData"]["IamInstanceProfile"] = {
        "Arn": {"Fn::GetAtt": ["Profile", "Arn"]}
    }
    out = stacks.made(name, parts, {**OUTPUTS, **{k: ref(k) for k in ("Secret", "Queue", "Profile")},
                                    "QueueArn": {"Fn::GetAtt": ["Queue", "Arn"]},
                                    "KeyArn": {"Fn::GetAtt": ["Key", "Arn"]}})  # fmt: skip
    site = Site(cloud, name, out["Group"], out["Application"], out["Deploy"], out["Bucket"])
    done = site.run(telling("one"))
    (instance,) = site.instances()

    def mine(service: str):
        return boto3.client(service, endpoint_url=cloud.endpoint, region_name=REGION,
                            aws_access_key_id=access_key(instance), aws_secret_access_key="local")  # fmt: skip

    mine("secretsmanager").get_secret_value(SecretId=out["Secret"])
    mine("sqs").send_message_batch(QueueUrl=out["Queue"], Entries=[{"Id": "1", "MessageBody": "m"}])
    mine("sqs").receive_message(QueueUrl=out["Queue"])
    s3 = mine("s3")
    s3.put_object(Bucket=out["Bucket"], Key="logs/a b.log", Body=b"x")
    s3.list_objects_v2(Bucket=out["Bucket"])
    s3.head_object(Bucket=out["Bucket"], Key="logs/a b.log")
    mine("cloudwatch").put_metric_data(Namespace="Ductwork", MetricData=[{"MetricName": "m", "Value": 1}])
    mine("cloudformation").describe_stacks(StackName=name)
    asg = mine("autoscaling")
    asg.describe_auto_scaling_groups(AutoScalingGroupNames=[out["Group"]])
    asg.set_instance_protection(
        AutoScalingGroupName=out["Group"], InstanceIds=[instance], ProtectedFromScaleIn=False
    )
    deploys = mine("codedeploy")
    deploys.get_deployment(deploymentId=done["deploymentId"])
    deploys.get_deployment_group(applicationName=out["Application"], deploymentGroupName=out["Deploy"])
    mine("sts").get_caller_identity()
    cloud.client("sqs").list_queues()  # not an instance's

    file = Path(cloud.state / "calls.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    mine_only = [line for line in lines if line["profile"] == out["Profile"]]
    assert {line["component"] for line in mine_only} == {"worker"}
    assert all(line["service"] == line["action"].split(":")[0] for line in lines)
    group = asg.describe_auto_scaling_groups(AutoScalingGroupNames=[out["Group"]])["AutoScalingGroups"][0]
    stack = stacks.api.describe_stacks(StackName=name)["Stacks"][0]["StackId"]
    deploy = f"arn:aws:codedeploy:{REGION}:000000000000:deploymentgroup:{out['Application']}/{out['Deploy']}"
    revision = done["revision"]["s3Location"]["key"]
    contexts = {line["action"]: line["context"] for line in mine_only if "context" in line}
    assert contexts == {"cloudwatch:PutMetricData": {"cloudwatch:namespace": "Ductwork"}}
    assert {(line["action"], line["resource"]) for line in mine_only} == {
        ("s3:GetObject", f"arn:aws:s3:::{out['Bucket']}/{revision}"),
        ("secretsmanager:GetSecretValue", out["Secret"]),
        ("kms:Decrypt", out["KeyArn"]),
        ("kms:GenerateDataKey", out["KeyArn"]),
        ("sqs:SendMessage", out["QueueArn"]),
        ("sqs:ReceiveMessage", out["QueueArn"]),
        ("s3:PutObject", f"arn:aws:s3:::{out['Bucket']}/logs/a b.log"),
        ("s3:GetObject", f"arn:aws:s3:::{out['Bucket']}/logs/a b.log"),
        ("s3:ListBucket", f"arn:aws:s3:::{out['Bucket']}"),
        ("cloudwatch:PutMetricData", "*"),
        ("cloudformation:DescribeStacks", stack),
        ("autoscaling:DescribeAutoScalingGroups", "*"),
        ("autoscaling:SetInstanceProtection", group["AutoScalingGroupARN"]),
        ("codedeploy:GetDeployment", deploy),
        ("codedeploy:GetDeploymentGroup", deploy),
    }
    before = file.read_text()
    s3.head_object(Bucket=out["Bucket"], Key="logs/a b.log")
    assert file.read_text() == before, "only what is new is written"
