"""Container instances: joining a cluster, placement, managed scaling, protection and draining."""

from __future__ import annotations

import base64
import json

import pytest
from botocore.exceptions import ClientError

from localcloud.ecs import managed
from localcloud.fleet import types
from localcloud.tests.conftest import RunningCloud, Stacks, until
from localcloud.tests.ecskit import TRUST, Place, make_place

IMAGE = "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id"
JOIN = ("ecs:DiscoverPollEndpoint", "ecs:RegisterContainerInstance")
EC2_TRUST = json.loads(json.dumps(TRUST).replace("ecs-tasks", "ec2"))
USER_DATA = "#!/bin/bash\ncat >>/etc/ecs/ecs.config <<'S'\nECS_CLUSTER=%s\nECS_ENABLE_SPOT_INSTANCE_DRAINING=true\nS\n"


@pytest.fixture
def place(cloud: RunningCloud, name: str) -> Place:
    return make_place(cloud, name)


def resources(place: Place, most: int, actions: tuple[str, ...], *, spot: bool = False) -> dict:
    image = place.cloud.client("ssm").get_parameter(Name=IMAGE)["Parameter"]["Value"]
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    data = base64.b64encode((USER_DATA % place.name).encode()).decode()
    policy = {"PolicyName": "p", "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}}
    template = {
        "LaunchTemplateId": {"Ref": "Template"},
        "Version": {"Fn::GetAtt": ["Template", "LatestVersionNumber"]},
    }
    return {
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {"AssumeRolePolicyDocument": EC2_TRUST, "Policies": [policy]},
        },
        "Profile": {"Type": "AWS::IAM::InstanceProfile", "Properties": {"Roles": [{"Ref": "Role"}]}},
        "Template": {
            "Type": "AWS::EC2::LaunchTemplate",
            "Properties": {"LaunchTemplateData": {
                "ImageId": image, "InstanceType": "m7i.large", "UserData": data,
                "IamInstanceProfile": {"Arn": {"Fn::GetAtt": ["Profile", "Arn"]}},
            }},
        },
        "Group": {
            "Type": "AWS::AutoScaling::AutoScalingGroup",
            "Properties": {
                "MinSize": "0", "MaxSize": str(most), "NewInstancesProtectedFromScaleIn": True,
                "VPCZoneIdentifier": place.network["awsvpcConfiguration"]["subnets"],
                **({"MixedInstancesPolicy": {
                    "InstancesDistribution": {"OnDemandPercentageAboveBaseCapacity": 0},
                    "LaunchTemplate": {"LaunchTemplateSpecification": template},
                }} if spot else {"LaunchTemplate": template}),
            },
        },
        "Provider": {
            "Type": "AWS::ECS::CapacityProvider",
            "Properties": {"AutoScalingGroupProvider": {
                "AutoScalingGroupArn": {"Ref": "Group"}, "ManagedDraining": "ENABLED",
                "ManagedScaling": {"Status": "ENABLED", "TargetCapacity": 100},
                "ManagedTerminationProtection": "ENABLED",
            }},
        },
        "Association": {
            "Type": "AWS::ECS::ClusterCapacityProviderAssociations",
            "Properties": {
                "Cluster": place.name, "CapacityProviders": ["FARGATE", "FARGATE_SPOT", {"Ref": "Provider"}],
                "DefaultCapacityProviderStrategy": [{"CapacityProvider": {"Ref": "Provider"}, "Weight": 1}],
            },
        },
    }  # fmt: skip


class Hosted:
    """A cluster whose capacity provider has a group of its own."""

    def __init__(
        self, place: Place, most: int = 4, actions: tuple[str, ...] = JOIN, *, spot: bool = False
    ) -> None:
        self.place = place
        self.stacks = Stacks(place.cloud)
        outputs = {key: {"Ref": key} for key in ("Group", "Provider")}
        made = self.stacks.made(f"{place.name}-hosts", resources(place, most, actions, spot=spot), outputs)
        self.group_name, self.provider = made["Group"], made["Provider"]

    def define(self, memory: str = "512", **more: object) -> str:
        return self.place.define(
            self.place.container(command=["wait"]),
            requiresCompatibilities=["EC2"],
            memory=memory,
            cpu="128",
            **more,
        )

    def run(self, definition: str, **more: object) -> dict:
        return self.place.ecs.run_task(
            cluster=self.place.name,
            taskDefinition=definition,
            networkConfiguration=self.place.network,
            **more,
        )

    @property
    def group(self) -> dict:
        api = self.place.cloud.client("autoscaling")
        return api.describe_auto_scaling_groups(AutoScalingGroupNames=[self.group_name])["AutoScalingGroups"][
            0
        ]

    def hosts(self) -> list[dict]:
        ecs, cluster = self.place.ecs, self.place.name
        names = ecs.list_container_instances(cluster=cluster)["containerInstanceArns"]
        if not names:
            return []
        described = ecs.describe_container_instances(cluster=cluster, containerInstances=names)
        return described["containerInstances"]

    def strategy(self) -> list[dict]:
        return [{"capacityProvider": self.provider, "weight": 1}]


def test_a_task_waits_for_a_host_which_comes_for_it_and_goes_after_it(place: Place) -> None:
    hosted = Hosted(place)
    task = hosted.run(hosted.define())["tasks"][0]
    assert (task["lastStatus"], task["capacityProviderName"]) == ("PROVISIONING", hosted.provider)
    assert "containerInstanceArn" not in task
    running = place.wait(task["taskArn"], "RUNNING")
    host = hosted.hosts()[0]
    assert running["containerInstanceArn"] == host["containerInstanceArn"]
    assert (host["capacityProviderName"], host["runningTasksCount"]) == (hosted.provider, 1)
    left = {
        one["name"]: one["integerValue"] for one in host["remainingResources"] if one["type"] == "INTEGER"
    }
    assert left == {"CPU": 2048 - 128, "MEMORY": types.usable_mib("m7i.large") - 512}
    assert [one["ProtectedFromScaleIn"] for one in hosted.group["Instances"]] == [True]
    place.ecs.stop_task(cluster=place.name, task=task["taskArn"])
    until(lambda: hosted.group["DesiredCapacity"] == 0 and not hosted.hosts(), what="the host is gone")
    place.cloud.client("cloudformation").delete_stack(StackName=f"{place.name}-hosts")


def test_network_interfaces_are_what_an_instance_has_first_too_few_of(place: Place) -> None:
    """Two tasks in awsvpc on a m7i.large, whatever memory is left."""
    hosted = Hosted(place, most=1)
    definition = hosted.define()
    names = [hosted.run(definition)["tasks"][0]["taskArn"] for _ in range(3)]
    for name in names[:2]:
        place.wait(name, "RUNNING")
    assert place.task(names[2])["lastStatus"] == "PROVISIONING"
    refused = hosted.run(definition, launchType="EC2")
    assert [one["reason"] for one in refused["failures"]] == ["RESOURCE:ENI"]
    place.ecs.stop_task(cluster=place.name, task=names[2])
    assert place.wait(names[2])["stopCode"] == "UserInitiated"


def test_a_provider_stays_in_the_cluster_as_long_as_a_task_uses_it(place: Place) -> None:
    hosted = Hosted(place)
    task = hosted.run(hosted.define())["tasks"][0]["taskArn"]
    without = {"capacityProviders": ["FARGATE"], "defaultCapacityProviderStrategy": []}
    with pytest.raises(ClientError, match="is in use and cannot be removed"):
        place.ecs.put_cluster_capacity_providers(cluster=place.name, **without)
    place.ecs.stop_task(cluster=place.name, task=task)
    place.wait(task)
    place.ecs.put_cluster_capacity_providers(cluster=place.name, **without)
    place.cloud.client("ecs").delete_capacity_provider(capacityProvider=hosted.provider)


def test_a_service_tells_that_it_finds_no_host(place: Place) -> None:
    hosted = Hosted(place, most=1, actions=())
    hosted.place.serve(hosted.define(), capacityProviderStrategy=hosted.strategy())
    wanted = "unable to place a task because no container instance met all of its requirements"
    until(lambda: any(wanted in one["message"] for one in place.service()["events"]), what="the event")
    assert place.service()["pendingCount"] == 1
    assert not hosted.hosts()  # its role may not register it
    with pytest.raises(ClientError, match="No Container Instances were found in your cluster"):
        hosted.run(hosted.define(), launchType="EC2")


def test_a_host_that_is_ended_drains_first(place: Place) -> None:
    hosted = Hosted(place)
    place.serve(hosted.define(), capacityProviderStrategy=hosted.strategy())
    place.deployed()
    before = hosted.hosts()[0]
    place.cloud.client("autoscaling").terminate_instance_in_auto_scaling_group(
        InstanceId=before["ec2InstanceId"], ShouldDecrementDesiredCapacity=False
    )
    until(lambda: [h["ec2InstanceId"] for h in hosted.hosts()] not in ([before["ec2InstanceId"]], []))
    until(lambda: all(h["ec2InstanceId"] != before["ec2InstanceId"] for h in hosted.hosts()), what="gone")
    running = [place.task(arn) for arn in place.tasks()]
    assert [task["lastStatus"] for task in running] == ["RUNNING"]
    stopped = place.task(place.tasks(status="STOPPED")[0])
    assert stopped["stopCode"] == "ServiceSchedulerInitiated"
    assert stopped["stoppedAt"] > running[0]["startedAt"]  # its replacement ran before it went


def test_draining_by_hand_and_a_restart_of_the_cloud(place: Place) -> None:
    hosted = Hosted(place)
    place.serve(hosted.define(), capacityProviderStrategy=hosted.strategy())
    place.deployed()
    host = hosted.hosts()[0]["containerInstanceArn"]
    place.ecs.update_container_instances_state(
        cluster=place.name, containerInstances=[host], status="DRAINING"
    )
    until(lambda: len(hosted.hosts()) == 2, what="a second host")
    until(
        lambda: [place.task(a).get("containerInstanceArn") != host for a in place.tasks()] == [True],
        what="moved",
    )


def test_arithmetic_of_managed_scaling() -> None:
    assert managed.reservation(3, 2) == 150
    assert (managed.reservation(1, 0), managed.reservation(0, 0)) == (200, 100)
    assert managed.wanted_size(3, 3, {"targetCapacity": 50}) == 6
    assert managed.wanted_size(9, 1, {"maximumScalingStepSize": 2}) == 3
    assert (types.usable_mib("t3.medium"), types.interfaces("t3.medium")) == (3911, 3)
