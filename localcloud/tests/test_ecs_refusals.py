"""What AWS refuses of task definitions, tasks, services and strategies is refused; answers fit the service's model."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError
from botocore.model import Shape

from localcloud.ecs import breaker, capacity, checks
from localcloud.ecs.errors import ApiError
from localcloud.tests.conftest import RunningCloud
from localcloud.tests.ecskit import Place, make_place

STRATEGY = [
    {"capacityProvider": "FARGATE", "base": 1, "weight": 1},
    {"capacityProvider": "FARGATE_SPOT", "weight": 3},
]
PORT = {"portMappings": [{"containerPort": 80}]}


@pytest.fixture(scope="module")
def place(cloud: RunningCloud) -> Place:
    return make_place(cloud, "refusals", capacityProviders=["FARGATE", "FARGATE_SPOT"])


def needs(name: str, condition: str = "START") -> dict:
    return {"dependsOn": [{"containerName": name, "condition": condition}]}


@pytest.mark.parametrize(
    ("containers", "more", "refusal"),
    [
        ([{}], {"cpu": "300"}, "No Fargate configuration exists for given values: 300 CPU, 512 memory"),
        ([{}], {"cpu": "512", "memory": "512"}, "No Fargate configuration exists"),
        ([{}], {"cpu": "16384", "memory": "36864"}, "No Fargate configuration exists"),
        ([{}], {"networkMode": "bridge"}, "Fargate only supports network mode 'awsvpc'"),
        ([{}], {"executionRoleArn": ""}, "execution role ARN to support log driver awslogs"),
        ([{"secrets": [{"name": "A", "valueFrom": "x"}], "logConfiguration": None}], {"executionRoleArn": ""},
         "specify a value for 'executionRoleArn'"),
        ([{"image": "000000000000.dkr.ecr.eu-central-1.amazonaws.com/a:b", "logConfiguration": None}],
         {"executionRoleArn": ""}, "to support ECR images"),
        ([PORT, {"name": "b", **PORT}], {}, "both use port 80"),
        ([{"portMappings": [{"containerPort": 80, "hostPort": 81}]}], {}, "must match"),
        ([{}, {"name": "b", "links": ["main"]}], {}, "Links are not supported when networkMode=awsvpc"),
        ([{}, {}], {}, "Container names must be unique"),
        ([{"essential": False}], {}, "at least one essential container"),
        ([needs("none")], {}, "depends on unknown container"),
        ([needs("b"), {"name": "b", **needs("main")}], {}, "Cyclic container dependency"),
        ([needs("b", "HEALTHY"), {"name": "b"}], {}, "has no health check"),
        ([needs("b", "SUCCESS"), {"name": "b"}], {}, "which is an essential container"),
        ([{"healthCheck": {"command": ["CMD", "x"], "interval": 1}}], {}, "interval must be between 5 and 300"),
        ([{"healthCheck": {"command": ["x"]}}], {}, "must begin with CMD"),
        ([{"stopTimeout": 121}], {}, "stopTimeout"),
        ([{"privileged": True}], {}, "do not support privileged"),
        ([{"mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}]}], {}, "Unknown volume 'v'"),
        ([{}], {"volumes": [{"name": "v", "host": {"sourcePath": "/"}}]}, "do not support sourcePath"),
        ([{}], {"ephemeralStorage": {"sizeInGiB": 20}}, "between 21 and 200"),
        ([{"logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "x"}}}], {}, "stream-prefix"),
        ([{"cpu": 512}], {}, "more than the task's"),
        ([{"image": ""}], {}, "should not be null"),
        ([{"logConfiguration": None}], {"requiresCompatibilities": ["EC2"], "memory": ""}, "'memoryReservation'"),
    ],
)  # fmt: skip
def test_a_task_definition_is_refused(place: Place, containers: list, more: dict, refusal: str) -> None:
    whole = [{k: v for k, v in place.container(**one).items() if v is not None} for one in containers]
    with pytest.raises(ClientError, match=re.escape(refusal)):
        place.define(*whole, **more)


def test_fargate_has_the_sizes_that_aws_lists() -> None:
    for cpu, memory in [
        ("256", "512"),
        ("1 vCPU", "2 GB"),
        (4096, 30720),
        ("16384", "122880"),
        (".25 vCPU", "0.5GB"),
    ]:
        checks.fargate_pair(cpu, memory)
    for cpu, memory in [
        ("256", "4096"),
        ("1024", "1024"),
        ("8192", "18432"),
        ("4096", "31744"),
        ("32768", "65536"),
    ]:
        with pytest.raises(ApiError):
            checks.fargate_pair(cpu, memory)


def test_revisions_count_up_and_the_family_stands_for_the_newest_active_one(place: Place) -> None:
    first, second = (place.define(place.container(), family="counting") for _ in range(2))
    assert second.endswith("counting:2")
    describe = place.ecs.describe_task_definition
    assert describe(taskDefinition="counting")["taskDefinition"]["taskDefinitionArn"] == second
    place.ecs.deregister_task_definition(taskDefinition=second)
    assert describe(taskDefinition="counting")["taskDefinition"]["taskDefinitionArn"] == first
    assert describe(taskDefinition=second)["taskDefinition"]["status"] == "INACTIVE"
    with pytest.raises(ClientError, match="TaskDefinition is inactive"):
        place.run(second)
    place.ecs.delete_task_definitions(taskDefinitions=[second])
    assert place.define(place.container(), family="counting").endswith(":3"), "a number never comes again"
    assert len(place.ecs.list_task_definitions(familyPrefix="counting")["taskDefinitionArns"]) == 2


@pytest.mark.parametrize(
    ("request_", "refusal"),
    [
        ({"networkConfiguration": {}}, "Network Configuration must be provided"),
        ({"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-0f"]}}}, "InvalidSubnetID.NotFound"),
        ({"group": True}, "InvalidGroup.NotFound"),
        ({"launchType": "FARGATE", "capacityProviderStrategy": STRATEGY}, "both a launch type and capacity provider"),
        ({"launchType": None, "capacityProviderStrategy": [*STRATEGY, {"capacityProvider": "own", "weight": 1}]},
         "cannot contain a mix"),
        ({"launchType": None, "capacityProviderStrategy": [{"capacityProvider": "other"}]}, "was not found"),
        ({"launchType": None, "capacityProviderStrategy": [{"capacityProvider": "own"}]}, "not associated with"),
        ({"launchType": None, "capacityProviderStrategy": [{"capacityProvider": "FARGATE", "weight": 0}]},
         "weight greater than 0"),
        ({"launchType": "EC2"}, "does not support launch_type EC2"),
        ({"overrides": {"containerOverrides": [{"name": "x"}]}}, "not a container in the TaskDefinition"),
        ({"overrides": {"cpu": "300"}}, "No Fargate configuration exists"),
        ({"cluster": "none"}, "ClusterNotFoundException"),
        ({"taskDefinition": "none"}, "TaskDefinition not found"),
        ({"count": 11}, "between 1 and 10"),
    ],
)  # fmt: skip
def test_a_task_is_refused(place: Place, request_: dict, refusal: str) -> None:
    provider(place)
    asked = {"launchType": "FARGATE", "networkConfiguration": place.network, **request_}
    if asked.pop("group", None):
        asked["networkConfiguration"]["awsvpcConfiguration"]["securityGroups"] = ["sg-0000000f"]
    asked = {key: value for key, value in asked.items() if value is not None}
    with pytest.raises(ClientError, match=re.escape(refusal)):
        place.ecs.run_task(
            **{"cluster": place.name, "taskDefinition": place.define(place.container()), **asked}
        )


def provider(place: Place) -> None:
    """An Auto Scaling group and a capacity provider of it, `own`, that no cluster has."""
    if place.ecs.describe_capacity_providers(capacityProviders=["own"])["capacityProviders"]:
        return
    place.cloud.client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName="own", MinSize=0, MaxSize=0, AvailabilityZones=["eu-central-1a"],
        LaunchTemplate={"LaunchTemplateId": template(place)},
    )  # fmt: skip
    group = {"autoScalingGroupArn": "own", "managedScaling": {"status": "ENABLED"}}
    with pytest.raises(ClientError, match="instance protection from scale in"):
        place.ecs.create_capacity_provider(
            name="own", autoScalingGroupProvider={**group, "managedTerminationProtection": "ENABLED"}
        )
    place.ecs.create_capacity_provider(name="own", autoScalingGroupProvider=group)


def template(place: Place) -> str:
    made = place.cloud.client("ec2").create_launch_template(
        LaunchTemplateName="own", LaunchTemplateData={"InstanceType": "t3.micro"}
    )
    return made["LaunchTemplate"]["LaunchTemplateId"]


@pytest.mark.parametrize(
    ("request_", "refusal"),
    [
        ({"loadBalancers": [{"targetGroupArn": "arn:x", "containerName": "main", "containerPort": 1}]}, "target group"),
        ({"healthCheckGracePeriodSeconds": 60}, "only valid for services configured to use load balancers"),
        ({"deploymentConfiguration": {"minimumHealthyPercent": 100, "maximumPercent": 100}}, "block deployments"),
        ({"serviceRegistries": [{"registryArn": "arn:x"}]}, "does not exist"),
        ({"enableExecuteCommand": True}, "a valid taskRoleArn is not being used"),
        ({"serviceName": "a b"}, "Invalid identifier"),
        ({"capacityProviderStrategy": [{"capacityProvider": "none"}]}, "was not found"),
    ],
)  # fmt: skip
def test_a_service_is_refused(place: Place, request_: dict, refusal: str) -> None:
    with pytest.raises(ClientError, match=re.escape(refusal)):
        place.serve(place.define(place.container()), 0, **{"name": "refused", **renamed(request_)})
    found = place.ecs.describe_services(cluster=place.name, services=["refused"])
    assert found["failures"][0]["reason"] == "MISSING"


def test_targets_of_tasks_are_addresses(place: Place) -> None:
    network = place.network["awsvpcConfiguration"]["subnets"][0]
    vpc = place.cloud.client("ec2").describe_subnets(SubnetIds=[network])["Subnets"][0]["VpcId"]
    made = place.cloud.client("elbv2").create_target_group(Name="hosts", Protocol="HTTP", Port=80, VpcId=vpc)
    balancer = {"targetGroupArn": made["TargetGroups"][0]["TargetGroupArn"], "containerName": "main"}
    with pytest.raises(ClientError, match="has target type instance, which is incompatible with the awsvpc"):
        place.serve(
            place.define(place.container(**PORT)),
            0,
            "hosts",
            loadBalancers=[{**balancer, "containerPort": 80}],
        )


def test_an_update_is_refused_and_changes_nothing(place: Place) -> None:
    place.serve(place.define(place.container(command=["wait"])), 0, "updated")
    before = place.deployed("updated")
    for request, refusal in [
        ({"capacityProviderStrategy": STRATEGY}, "you must force a new deployment"),
        ({"deploymentConfiguration": {"maximumPercent": 100}, "desiredCount": 7}, "block deployments"),
        ({"taskDefinition": "none"}, "TaskDefinition not found"),
        ({"desiredCount": -1}, "must not be negative"),
    ]:
        with pytest.raises(ClientError, match=refusal):
            place.update("updated", **request)
    shown = place.service("updated")
    assert (shown["launchType"], shown["desiredCount"]) == ("FARGATE", 0)
    assert shown["deploymentConfiguration"]["maximumPercent"] == 200
    place.update("updated", capacityProviderStrategy=STRATEGY, forceNewDeployment=True)
    assert place.deployed("updated")["serviceDeploymentArn"] != before["serviceDeploymentArn"]
    place.ecs.delete_service(cluster=place.name, service="updated")
    with pytest.raises(ClientError, match="ServiceNotActiveException"):
        place.update("updated", desiredCount=1)


def renamed(request: dict) -> dict:
    return {"name" if key == "serviceName" else key: value for key, value in request.items()}


def test_tasks_are_shared_out_by_base_and_weight() -> None:
    used: list[str] = []
    for _ in range(9):
        used.append(capacity.next_provider(capacity.whole(STRATEGY), used))
    assert used[0] == "FARGATE" and used.count("FARGATE_SPOT") == 6
    assert capacity.next_provider(capacity.whole([{"capacityProvider": "x"}]), []) == "x"


def test_thresholds_of_the_circuit_breaker_and_bounds_of_a_rolling_update() -> None:
    assert [breaker.threshold({}, count) for count in (0, 1, 7, 500)] == [3, 3, 4, 200]
    percent = {"thresholdConfiguration": {"type": "UNBOUNDED_PERCENT", "value": 50}}
    assert [breaker.threshold(percent, count) for count in (1, 500)] == [1, 250]
    assert breaker.threshold({"thresholdConfiguration": {"type": "COUNT", "value": 2}}, 500) == 2
    assert breaker.bounds({"minimumHealthyPercent": 50, "maximumPercent": 150}, 3) == (2, 4)
    assert breaker.bounds({}, 3) == (3, 6)
    assert [breaker.wait(failures) for failures in (0, 2, 3, 5, 50)] == [0, 0, 1, 4, 60]


# -- answers
def wrong(value: object, shape: Shape, at: str) -> Iterator[str]:
    """What of an answer its shape in the service's model does not have."""
    kinds = {
        "string": str,
        "integer": int,
        "long": int,
        "boolean": bool,
        "timestamp": (int, float),
        "double": float,
    }
    if shape.type_name == "structure":
        assert isinstance(value, dict), at
        for key, one in value.items():
            if key not in shape.members:
                yield f"{at}.{key} is not in the model"
            else:
                yield from wrong(one, shape.members[key], f"{at}.{key}")
        yield from (f"{at}.{key} is missing" for key in shape.required_members if key not in value)
    elif shape.type_name == "list":
        for one in value:
            yield from wrong(one, shape.member, f"{at}[]")
    elif shape.type_name == "map":
        for one in value.values():
            yield from wrong(one, shape.value, f"{at}{{}}")
    else:
        if not isinstance(value, kinds[shape.type_name]):
            yield f"{at} is {value!r}, not a {shape.type_name}"
        if getattr(shape, "enum", None) and value not in shape.enum:
            yield f"{at} is {value!r}, none of {shape.enum}"


def test_answers_fit_the_model_of_the_service(place: Place) -> None:
    """As they come over the wire: clients of other languages do not forgive what boto3 leaves out."""
    model = place.ecs.meta.service_model
    seen = []

    def call(operation: str, **request: object) -> dict:
        asked = urllib.request.Request(
            place.cloud.endpoint, data=json.dumps(request).encode(), method="POST",
            headers={
                "X-Amz-Target": f"AmazonEC2ContainerServiceV20141113.{operation}",
                "Content-Type": "application/x-amz-json-1.1",
                "Authorization": "AWS4-HMAC-SHA256 Credential=local/20260101/eu-central-1/ecs/aws4_request",
            },
        )  # fmt: skip
        with urllib.request.urlopen(asked, timeout=60) as answer:
            document = json.loads(answer.read())
        seen.append(operation)
        assert list(wrong(document, model.operation_model(operation).output_shape, operation)) == []
        return document

    definition = place.define(place.container(command=["wait"], healthCheck={"command": ["CMD", "true"]}))
    where = {"cluster": place.name, "networkConfiguration": place.network}
    place.serve(definition, 1, "shapes", capacityProviderStrategy=STRATEGY, propagateTags="SERVICE")
    place.deployed("shapes")
    task = call("RunTask", **where, taskDefinition=definition, launchType="FARGATE")["tasks"][0]["taskArn"]
    place.wait(task, "RUNNING")
    call("DescribeTasks", cluster=place.name, tasks=[task, "none"], include=["TAGS"])
    call("ListTasks", cluster=place.name)
    call("StopTask", cluster=place.name, task=task)
    place.wait(task)
    call("DescribeTasks", cluster=place.name, tasks=[task])
    call("DescribeClusters", clusters=[place.name, "none"], include=["TAGS", "SETTINGS"])
    call("ListClusters")
    call("DescribeTaskDefinition", taskDefinition=definition, include=["TAGS"])
    call("ListTaskDefinitions", familyPrefix=place.name)
    call("ListTaskDefinitionFamilies")
    call("DescribeServices", cluster=place.name, services=["shapes", "none"], include=["TAGS"])
    call("ListServices", cluster=place.name)
    call("UpdateService", cluster=place.name, service="shapes", desiredCount=2)
    deployments = call("ListServiceDeployments", cluster=place.name, service="shapes")["serviceDeployments"]
    arns = [one["serviceDeploymentArn"] for one in deployments]
    shown = call("DescribeServiceDeployments", serviceDeploymentArns=arns)["serviceDeployments"][0]
    call("DescribeServiceRevisions", serviceRevisionArns=[shown["targetServiceRevision"]["arn"], "none"])
    running = place.tasks("shapes")
    call(
        "UpdateTaskProtection",
        cluster=place.name,
        tasks=running[:1],
        protectionEnabled=True,
        expiresInMinutes=5,
    )
    call("GetTaskProtection", cluster=place.name, tasks=running)
    call("DescribeCapacityProviders")
    call("ListContainerInstances", cluster=place.name)
    call("TagResource", resourceArn=definition, tags=[{"key": "a", "value": "b"}])
    assert call("ListTagsForResource", resourceArn=definition)["tags"] == [{"key": "a", "value": "b"}]
    call("UntagResource", resourceArn=definition, tagKeys=["a"])
    with pytest.raises(ClientError, match="while Services are active"):
        place.ecs.delete_cluster(cluster=place.name)
    call("DeleteService", cluster=place.name, service="shapes", force=True)
    call("DeregisterTaskDefinition", taskDefinition=definition)
    assert len(seen) == len(set(seen)) + 1
    assert {place.task(arn)["capacityProviderName"] for arn in running} <= {"FARGATE", "FARGATE_SPOT"}
