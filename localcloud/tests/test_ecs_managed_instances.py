"""ECS Managed Instances: instances that come for tasks and go after them, and what AWS refuses about them."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from localcloud.ecs.managed_instances import instance_type
from localcloud.tests.conftest import RunningCloud, Stacks, until
from localcloud.tests.ecskit import TRUST, Place, make_place

POLICY = "arn:aws:iam::aws:policy/AmazonECS{}RolePolicyForManagedInstances"


def trust(service: str) -> dict:
    return json.loads(json.dumps(TRUST).replace("ecs-tasks", service))


def role(service: str, kind: str, *statements: dict) -> dict:
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    own = {"Policies": [{"PolicyName": "p", "PolicyDocument": document}]} if statements else {}
    trusted = {
        "AssumeRolePolicyDocument": trust(service),
        "ManagedPolicyArns": [POLICY.format(kind)],
        "Path": "/p/",
    }
    return {"Type": "AWS::IAM::Role", "Properties": {**trusted, **own}}


def resources(place: Place, *, passes: bool = True) -> dict:
    """A cluster's provider, with roles of names and a path that AWS's policy does not know."""
    passing = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": {"Fn::GetAtt": ["Role", "Arn"]}}
    launched = {
        "Ec2InstanceProfileArn": {"Fn::GetAtt": ["Profile", "Arn"]},
        "NetworkConfiguration": {
            "Subnets": place.network["awsvpcConfiguration"]["subnets"],
            "SecurityGroups": [],
        },
        "StorageConfiguration": {"StorageSizeGiB": 30},
        "InstanceRequirements": {"VCpuCount": {"Min": 1}, "MemoryMiB": {"Min": 2048}},
    }
    return {
        "Role": role("ec2", "Instance"),
        "Profile": {"Type": "AWS::IAM::InstanceProfile", "Properties": {"Roles": [{"Ref": "Role"}]}},
        "Infrastructure": role("ecs", "Infrastructure", *([passing] if passes else [])),
        "Provider": {
            "Type": "AWS::ECS::CapacityProvider",
            "Properties": {
                "ClusterName": place.name,
                "ManagedInstancesProvider": {
                    "InfrastructureRoleArn": {"Fn::GetAtt": ["Infrastructure", "Arn"]},
                    "InstanceLaunchTemplate": launched,
                },
            },
        },
    }


@pytest.fixture
def place(cloud: RunningCloud, name: str) -> Place:
    return make_place(cloud, name)


def provider(place: Place, stacks: Stacks, **more: bool) -> str:
    outputs = {"Provider": {"Ref": "Provider"}}
    return stacks.made(f"{place.name}-managed", resources(place, **more), outputs)["Provider"]


def define(place: Place, **more: object) -> str:
    whole = {"requiresCompatibilities": ["MANAGED_INSTANCES"], "cpu": "300", "memory": "700", **more}
    return place.define(place.container(command=["wait"]), **whole)


def hosts(place: Place) -> list[dict]:
    names = place.ecs.list_container_instances(cluster=place.name)["containerInstanceArns"]
    if not names:
        return []
    found = place.ecs.describe_container_instances(cluster=place.name, containerInstances=names)
    return found["containerInstances"]


def test_an_instance_comes_for_tasks_and_goes_after_them(place: Place, stacks: Stacks) -> None:
    name = provider(place, stacks)
    strategy = [{"capacityProvider": name, "weight": 1}]
    cluster = place.ecs.describe_clusters(clusters=[place.name])["clusters"][0]
    assert name in cluster["capacityProviders"], "by being made"
    place.ecs.put_cluster_capacity_providers(
        cluster=place.name, capacityProviders=["FARGATE"], defaultCapacityProviderStrategy=[]
    )
    assert hosts(place) == []

    place.serve(define(place), count=2, capacityProviderStrategy=strategy)
    place.deployed()
    [host] = hosts(place)
    assert (host["capacityProviderName"], host["runningTasksCount"]) == (name, 2)
    task = place.task(place.tasks()[0])
    assert (task["launchType"], task["capacityProviderName"]) == ("MANAGED_INSTANCES", name)
    assert task["containerInstanceArn"] == host["containerInstanceArn"]
    with pytest.raises(ClientError, match="in use by tasks"):
        place.ecs.delete_capacity_provider(capacityProvider=name)

    place.update(desiredCount=0)
    until(lambda: not hosts(place), what="the idle instance has gone")
    place.ecs.delete_service(cluster=place.name, service="s")
    place.ecs.delete_capacity_provider(capacityProvider=name)
    cluster = place.ecs.describe_clusters(clusters=[place.name])["clusters"][0]
    assert cluster["capacityProviders"] == ["FARGATE"]


def test_ecs_has_to_be_allowed_to_hand_over_the_instance_role(place: Place, stacks: Stacks) -> None:
    name = provider(place, stacks, passes=False)
    task = place.ecs.run_task(
        cluster=place.name, taskDefinition=define(place), networkConfiguration=place.network,
        capacityProviderStrategy=[{"capacityProvider": name}],
    )["tasks"][0]["taskArn"]  # fmt: skip
    reason = place.wait(task)["stoppedReason"]
    assert "is not authorized to perform: iam:PassRole" in reason


def test_what_is_refused(place: Place, stacks: Stacks) -> None:
    name = provider(place, stacks)
    strategy = [{"capacityProvider": name}]

    def refused(call: str, message: str, **asked: object) -> None:
        with pytest.raises(ClientError, match=message):
            getattr(place.ecs, call)(**asked)

    refused(
        "put_cluster_capacity_providers", "Cannot associate Managed Instances",
        cluster=place.name, capacityProviders=[name], defaultCapacityProviderStrategy=[],
    )  # fmt: skip
    run = {"cluster": place.name, "networkConfiguration": place.network}
    other = define(place, requiresCompatibilities=["FARGATE"], cpu="256", memory="512")
    refused("run_task", "does not support", taskDefinition=other, capacityProviderStrategy=strategy, **run)
    mine = define(place)
    refused("run_task", "does not support", taskDefinition=mine, launchType="FARGATE", **run)
    service = {**run, "serviceName": "s", "desiredCount": 1, "taskDefinition": mine}
    mixed = [*strategy, {"capacityProvider": "FARGATE", "weight": 1}]
    refused("create_service", "cannot contain a mix", capacityProviderStrategy=mixed, **service)
    spread = [{"type": "spread", "field": "instanceId"}]
    refused(
        "create_service", "Placement strategies", capacityProviderStrategy=strategy,
        placementStrategy=spread, **service,
    )  # fmt: skip
    with pytest.raises(ClientError, match="only support the network modes"):
        define(place, networkMode="bridge")
    described = place.ecs.describe_capacity_providers(capacityProviders=[name])["capacityProviders"][0]
    wanted = described["managedInstancesProvider"]

    def made(message: str, cluster: str = place.name, **more: object) -> None:
        asked = {"name": "p", "managedInstancesProvider": {**wanted, **more}}
        refused("create_capacity_provider", message, **asked, **({"cluster": cluster} if cluster else {}))

    made("A cluster must be specified", "")
    made(
        "unable to assume the infrastructure role",
        infrastructureRoleArn="arn:aws:iam::000000000000:role/none",
    )
    template = wanted["instanceLaunchTemplate"]
    made(
        "instance profile does not exist",
        instanceLaunchTemplate={**template, "ec2InstanceProfileArn": "none"},
    )
    nowhere = {**template["networkConfiguration"], "subnets": ["subnet-0"]}
    made("names what does not exist", instanceLaunchTemplate={**template, "networkConfiguration": nowhere})


def test_the_smallest_type_with_room_is_started() -> None:
    def chosen(cpu: str, memory: str, arm: bool = False, **requirements: object) -> str | None:
        platform = {"runtimePlatform": {"cpuArchitecture": "ARM64" if arm else "X86_64"}}
        definition = {
            "containerDefinitions": [],
            "networkMode": "awsvpc",
            "cpu": cpu,
            "memory": memory,
            **platform,
        }
        return instance_type(requirements, definition, {})

    assert chosen("256", "512") == "t3.small"
    assert chosen("256", "512", memoryMiB={"min": 4096}, vCpuCount={"min": 1}) == "t3.medium"
    assert chosen("4096", "8192") == "t3.xlarge"
    assert chosen("256", "512", arm=True) == "t4g.small"
    assert chosen("256", "512", arm=True, cpuManufacturers=["intel", "amd"]) is None
    assert chosen("128000", "8192") is None
