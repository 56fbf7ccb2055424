"""AWS::ECS::* and AWS::ApplicationAutoScaling::* in stacks: made, changed, replaced, rolled back, deleted."""

from __future__ import annotations

import copy

import pytest
from botocore.exceptions import ClientError

from localcloud.tests.conftest import RunningCloud, Stacks, until
from localcloud.tests.ecskit import EVERYTHING, TRUST, Place, make_place

HEALTHY = {"Command": ["CMD", "true"], "Interval": "5"}
NEVER = {"Command": ["CMD", "false"], "Interval": 5, "StartPeriod": 300}
KEY = {"ServiceNamespace": "ecs", "ScalableDimension": "ecs:service:DesiredCount"}


@pytest.fixture
def place(cloud: RunningCloud, name: str) -> Place:
    return make_place(cloud, name)


def resources(place: Place, word: str = "wait") -> dict:
    """A cluster with a service whose definition is written as templates are: numbers and truths as text, too."""
    subnets = place.network["awsvpcConfiguration"]["subnets"]
    statement = {"Effect": "Allow", "Action": list(EVERYTHING), "Resource": "*"}
    policy = {"PolicyName": "p", "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}}
    container = {
        "Name": "main", "Image": place.image, "Essential": "true", "Command": [word], "StopTimeout": "2",
        "HealthCheck": HEALTHY,
        "LogConfiguration": {"LogDriver": "awslogs", "Options": {
            "awslogs-group": {"Ref": "Logs"}, "awslogs-region": {"Ref": "AWS::Region"}, "awslogs-stream-prefix": "p",
        }},
        "MountPoints": [{"SourceVolume": "data", "ContainerPath": "/data", "ReadOnly": "false"}],
    }  # fmt: skip
    return {
        "Logs": {"Type": "AWS::Logs::LogGroup"},
        "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": TRUST, "Policies": [policy]}},
        "Namespace": {
            "Type": "AWS::ServiceDiscovery::PrivateDnsNamespace",
            "Properties": {"Name": f"{place.name}.local", "Vpc": "vpc-00000000"},
        },
        "Discovery": {
            "Type": "AWS::ServiceDiscovery::Service",
            "Properties": {
                "Name": "service",
                "DnsConfig": {
                    "NamespaceId": {"Ref": "Namespace"}, "DnsRecords": [{"Type": "A", "TTL": 10}],
                },
            },
        },
        "Cluster": {
            "Type": "AWS::ECS::Cluster",
            "Properties": {"ClusterSettings": [{"Name": "containerInsights", "Value": "enhanced"}]},
        },
        "Capacity": {
            "Type": "AWS::ECS::ClusterCapacityProviderAssociations",
            "Properties": {
                "Cluster": {"Ref": "Cluster"},
                "CapacityProviders": ["FARGATE", "FARGATE_SPOT"],
                "DefaultCapacityProviderStrategy": [{"CapacityProvider": "FARGATE", "Weight": "1"}],
            },
        },
        "Definition": {
            "Type": "AWS::ECS::TaskDefinition",
            "UpdateReplacePolicy": "Retain",
            "Properties": {
                "Family": place.name, "Cpu": 256, "Memory": "512", "NetworkMode": "awsvpc",
                "RequiresCompatibilities": ["FARGATE"], "ExecutionRoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
                "TaskRoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
                "Volumes": [{"Name": "data"}], "ContainerDefinitions": [container],
            },
        },
        "Service": {
            "Type": "AWS::ECS::Service",
            "DependsOn": ["Capacity", "Definition"],
            "Properties": {
                "Cluster": {"Ref": "Cluster"},
                "TaskDefinition": place.name,
                "CapacityProviderStrategy": [{"CapacityProvider": "FARGATE_SPOT", "Weight": 1}],
                "NetworkConfiguration": {"AwsvpcConfiguration": {"Subnets": subnets}},
                "PropagateTags": "SERVICE",
                "ServiceRegistries": [{"RegistryArn": {"Fn::GetAtt": ["Discovery", "Arn"]}}],
                "DeploymentConfiguration": {
                    "DeploymentCircuitBreaker": {
                        "Enable": "true", "Rollback": "true",
                        "ThresholdConfiguration": {"Type": "COUNT", "Value": "1"},
                    }
                },
            },
        },
        "Target": {
            "Type": "AWS::ApplicationAutoScaling::ScalableTarget",
            "Properties": {
                **KEY,
                "ResourceId": {"Fn::Sub": "service/${Cluster}/${Service.Name}"},
                "MinCapacity": "2",
                "MaxCapacity": 4,
                "ScheduledActions": [
                    {"ScheduledActionName": "night", "Schedule": "cron(0 20 * * ? *)",
                     "ScalableTargetAction": {"MinCapacity": "0", "MaxCapacity": 0}}
                ],
            },
        },
        "Policy": {
            "Type": "AWS::ApplicationAutoScaling::ScalingPolicy",
            "Properties": {
                "PolicyName": "cpu",
                "PolicyType": "TargetTrackingScaling",
                "ScalingTargetId": {"Ref": "Target"},
                "TargetTrackingScalingPolicyConfiguration": {
                    "TargetValue": "60",
                    "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
                },
            },
        },
    }  # fmt: skip


OUTPUTS = {
    "Cluster": {"Ref": "Cluster"},
    "Service": {"Fn::GetAtt": ["Service", "Name"]},
    "Definition": {"Ref": "Definition"},
    "Discovery": {"Ref": "Discovery"},
}


def test_a_stack_makes_changes_and_deletes_a_service(place: Place, stacks: Stacks) -> None:
    stack = f"{place.name}-stack"
    parts = resources(place)
    out = stacks.made(stack, parts, OUTPUTS, tags={"project": "p"})
    ecs = place.ecs

    def service() -> dict:
        found = ecs.describe_services(cluster=out["Cluster"], services=[out["Service"]], include=["TAGS"])
        return found["services"][0]

    first = service()
    assert (
        first["taskDefinition"] == out["Definition"]
        and first["deployments"][0]["rolloutState"] == "COMPLETED"
    )
    assert {"key": "project", "value": "p"} in first["tags"]
    assert ecs.describe_clusters(clusters=[out["Cluster"]])["clusters"][0]["settings"] == []
    cluster = ecs.describe_clusters(clusters=[out["Cluster"]], include=["SETTINGS"])["clusters"][0]
    assert cluster["settings"][0]["value"] == "enhanced" and cluster["capacityProviders"] == [
        "FARGATE",
        "FARGATE_SPOT",
    ]
    until(lambda: service()["runningCount"] == 2, what="the target's least number runs")
    discovery = place.cloud.client("servicediscovery")
    until(
        lambda: len(discovery.list_instances(ServiceId=out["Discovery"])["Instances"]) == 2,
        what="two records",
    )
    definition = ecs.describe_task_definition(taskDefinition=out["Definition"])["taskDefinition"]
    assert definition["cpu"] == "256" and definition["containerDefinitions"][0]["stopTimeout"] == 2

    # A new revision is registered and the one before stays; nothing moves, since the service names the family.
    changed = copy.deepcopy(parts)
    changed["Definition"]["Properties"]["ContainerDefinitions"][0]["Command"] = ["wait", "more"]
    new = stacks.updated(stack, changed, OUTPUTS, tags={"project": "p"})
    assert new["Definition"] == out["Definition"].removesuffix(":1") + ":2"
    assert (
        ecs.describe_task_definition(taskDefinition=out["Definition"])["taskDefinition"]["status"] == "ACTIVE"
    )
    assert service()["taskDefinition"] == out["Definition"] and service()["desiredCount"] == 2
    tasks = ecs.list_tasks(cluster=out["Cluster"], serviceName=out["Service"])["taskArns"]
    shown = ecs.describe_tasks(cluster=out["Cluster"], tasks=tasks, include=["TAGS"])["tasks"]
    assert {one["capacityProviderName"] for one in shown} == {"FARGATE_SPOT"}
    assert all({"key": "project", "value": "p"} in one["tags"] for one in shown)

    # A change of the service takes the newest revision and leaves the count alone.
    changed["Service"]["Properties"]["EnableExecuteCommand"] = "true"
    changed["Service"]["Properties"]["CapacityProviderStrategy"][0]["CapacityProvider"] = "FARGATE"
    stacks.updated(stack, changed, OUTPUTS, tags={"project": "p"})
    assert service()["taskDefinition"] == new["Definition"] and service()["desiredCount"] == 2
    assert service()["capacityProviderStrategy"][0]["capacityProvider"] == "FARGATE"

    # One that fails is the stack's failure, and undone.
    main = changed["Definition"]["Properties"]["ContainerDefinitions"][0]
    main.update(Command=["exit", "1"], HealthCheck=NEVER)
    changed["Service"]["Properties"]["PropagateTags"] = "TASK_DEFINITION"
    stacks.api.update_stack(**stacks._request(stack, changed, OUTPUTS, {"project": "p"}, {}))
    assert stacks.settle(stack) == "UPDATE_ROLLBACK_COMPLETE"
    assert any("ECS Deployment Circuit Breaker was triggered" in one for one in stacks.reasons(stack))

    # Another launch type replaces the service, which has another name then.
    main.update(Command=["wait"], HealthCheck=HEALTHY)
    del changed["Service"]["Properties"]["CapacityProviderStrategy"]
    changed["Service"]["Properties"]["LaunchType"] = "FARGATE"
    replaced = stacks.updated(stack, changed, OUTPUTS, tags={"project": "p"})
    assert replaced["Service"] != out["Service"] and service()["status"] == "INACTIVE"

    scaling = place.cloud.client("application-autoscaling")
    resource = f"service/{out['Cluster']}/{replaced['Service']}"
    target = scaling.describe_scalable_targets(ServiceNamespace="ecs", ResourceIds=[resource])[
        "ScalableTargets"
    ][0]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (2, 4)
    action = scaling.describe_scheduled_actions(ServiceNamespace="ecs", ResourceId=resource)[
        "ScheduledActions"
    ][0]
    assert action["ScalableTargetAction"] == {"MinCapacity": 0, "MaxCapacity": 0}
    policy = scaling.describe_scaling_policies(ServiceNamespace="ecs", ResourceId=resource)[
        "ScalingPolicies"
    ][0]
    assert policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 60.0
    assert stacks.delete(stack) == "DELETE_COMPLETE"
    assert not scaling.describe_scalable_targets(ServiceNamespace="ecs", ResourceIds=[resource])[
        "ScalableTargets"
    ]
    assert ecs.describe_clusters(clusters=[out["Cluster"]])["clusters"][0]["status"] == "INACTIVE"


def test_a_service_that_never_runs_fails_its_stack_and_leaves_nothing(fresh: RunningCloud) -> None:
    # Tasks of other tests would run beside its own.
    place, stacks = make_place(fresh, "never"), Stacks(fresh)
    stack = f"{place.name}-stack"
    parts = resources(place)
    main = parts["Definition"]["Properties"]["ContainerDefinitions"][0]
    main.update(Command=["exit", "1"], HealthCheck=NEVER)
    stack_id = stacks.create(stack, {k: v for k, v in parts.items() if k not in ("Target", "Policy")})
    assert stacks.settle(stack_id) == "ROLLBACK_COMPLETE"
    assert any("ECS Deployment Circuit Breaker was triggered" in one for one in stacks.reasons(stack_id))
    left = [s for s in place.ecs.list_clusters()["clusterArns"] if stack in s]
    assert left == []
    assert not [p for p in place.cloud.processes() if p.pid in _running_tasks(place)]


def _running_tasks(place: Place) -> set[int]:
    return {int(file.read_text()) for file in place.cloud.state.glob("tasks/*/containers/*/pid")}


@pytest.mark.parametrize("lost", [False, True])
def test_a_service_cut_short_is_deleted_and_what_was_lost_is_made_again(
    fresh: RunningCloud, lost: bool
) -> None:
    place, stacks = make_place(fresh, "cut"), Stacks(fresh)
    parts = {key: one for key, one in resources(place).items() if key not in ("Target", "Policy")}
    container = parts["Definition"]["Properties"]["ContainerDefinitions"][0]
    stacks.made("cut", {key: one for key, one in parts.items() if key != "Service"})
    container["HealthCheck"] = NEVER
    stacks.api.update_stack(**stacks._request("cut", parts, None, None, {}))
    until(lambda: list(fresh.state.glob("tasks/*/containers/*/pid")), what="a task runs")
    fresh.saved(cloudformation='"StackStatus": "UPDATE_IN', ecs="unfinished")
    fresh.kill()
    if lost:
        (fresh.state / "services" / "ecs.json").unlink()
    fresh.start()
    stacks = Stacks(fresh)
    assert stacks.status("cut") == "UPDATE_ROLLBACK_COMPLETE"
    until(lambda: not list(fresh.state.glob("tasks/*")), what="its task is gone")
    container["HealthCheck"] = HEALTHY
    stacks.updated("cut", parts)
    assert stacks.delete("cut") == "DELETE_COMPLETE"


def test_a_capacity_provider_of_a_group_in_a_stack(place: Place, stacks: Stacks) -> None:
    stack = f"{place.name}-stack"
    group = {"MinSize": "0", "MaxSize": "2", "DesiredCapacity": "0", "NewInstancesProtectedFromScaleIn": "true",
             "LaunchTemplate": {"LaunchTemplateId": {"Ref": "Template"}, "Version": "1"}}  # fmt: skip
    provider = {
        "AutoScalingGroupArn": {"Ref": "Group"},
        "ManagedScaling": {"Status": "ENABLED", "TargetCapacity": "100"},
        "ManagedTerminationProtection": "ENABLED",
        "ManagedDraining": "ENABLED",
    }
    parts = {
        "Template": {"Type": "AWS::EC2::LaunchTemplate", "Properties": {"LaunchTemplateData": {}}},
        "Group": {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": group},
        "Provider": {"Type": "AWS::ECS::CapacityProvider", "Properties": {"AutoScalingGroupProvider": provider}},
        "Cluster": {"Type": "AWS::ECS::Cluster"},
        "Capacity": {
            "Type": "AWS::ECS::ClusterCapacityProviderAssociations",
            "Properties": {
                "Cluster": {"Ref": "Cluster"}, "CapacityProviders": [{"Ref": "Provider"}],
                "DefaultCapacityProviderStrategy": [{"CapacityProvider": {"Ref": "Provider"}, "Weight": 1}],
            },
        },
    }  # fmt: skip
    out = stacks.made(stack, parts, {"Cluster": {"Ref": "Cluster"}, "Provider": {"Ref": "Provider"}})
    made = place.ecs.describe_capacity_providers(capacityProviders=[out["Provider"]])["capacityProviders"][0]
    assert made["autoScalingGroupProvider"]["managedScaling"] == {"status": "ENABLED", "targetCapacity": 100}
    definition = place.define(place.container(command=["exit", "0"]), requiresCompatibilities=["EC2"])
    ran = place.ecs.run_task(
        cluster=out["Cluster"], taskDefinition=definition, networkConfiguration=place.network
    )
    assert (ran["tasks"][0]["capacityProviderName"], ran["tasks"][0]["launchType"]) == (
        out["Provider"],
        "EC2",
    )
    # The group's instances have no agent, so none ever joins the cluster.
    asked = {"cluster": out["Cluster"], "task": ran["tasks"][0]["taskArn"]}
    assert place.ecs.stop_task(**asked)["task"]["lastStatus"] == "STOPPED"
    # Its protection is taken away when managed scaling lets it go, which a deletion of the group would wait for.
    scaling = place.cloud.client("autoscaling")
    until(lambda: not any(
        one["Instances"] for one in scaling.describe_auto_scaling_groups()["AutoScalingGroups"]
        if one["AutoScalingGroupName"].startswith(stack)
    ), what="the group is empty")  # fmt: skip
    assert stacks.delete(stack) == "DELETE_COMPLETE"


def test_bounds_of_a_target_move_the_service_and_need_one(place: Place) -> None:
    scaling = place.cloud.client("application-autoscaling")
    key = {**KEY, "ResourceId": f"service/{place.name}/s"}
    with pytest.raises(ClientError, match="ECS service doesn't exist"):
        scaling.register_scalable_target(**key, MinCapacity=1, MaxCapacity=2)
    place.serve(place.define(place.container(command=["wait"])), 3)
    place.deployed()
    scaling.register_scalable_target(**key, MinCapacity=1, MaxCapacity=2)
    until(lambda: place.service()["desiredCount"] == 2 == len(place.tasks()), what="two tasks are left")
    scaling.register_scalable_target(**key, MinCapacity=0)
    assert place.service()["desiredCount"] == 2
    with pytest.raises(ClientError, match="ObjectNotFoundException"):
        scaling.delete_scheduled_action(**key, ScheduledActionName="none")
    scaling.deregister_scalable_target(**key)
    with pytest.raises(ClientError, match="ObjectNotFoundException"):
        scaling.put_scaling_policy(**key, PolicyName="p")
