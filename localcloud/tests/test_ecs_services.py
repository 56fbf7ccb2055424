"""Services of ECS: rolling updates, the circuit breaker, protection from scale-in, health, traffic."""

from __future__ import annotations

import socket
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from localcloud.base import ports
from localcloud.ecs import tasks
from localcloud.tests.conftest import RunningCloud, Stacks, until
from localcloud.tests.ecskit import Place, make_place
from localcloud.tests.test_ecs_tasks import DATA, environment, fetch

BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
HEALTHY = {"command": ["CMD", "true"]}
NEVER = {"command": ["CMD", "false"], "startPeriod": 300}
BROKEN = {"command": ["exit", "5"], "healthCheck": NEVER}
ACTIONS = ("ecs:GetTaskProtection", "ecs:UpdateTaskProtection")


@pytest.fixture
def place(cloud: RunningCloud, name: str) -> Place:
    return make_place(cloud, name)


def waiting(place: Place, **more: object) -> str:
    return place.define(place.container(command=["wait"], healthCheck=HEALTHY), **more)


def put(url: str, body: bytes) -> bytes:
    request = urllib.request.Request(url, data=body, method="PUT")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


def test_a_rolling_update_starts_the_new_before_it_stops_the_old(place: Place) -> None:
    first = waiting(place)
    place.serve(first, 2)
    made = place.deployed()
    target = made["targetServiceRevision"]
    assert (target["requestedTaskCount"], target["runningTaskCount"], made["sourceServiceRevisions"]) == (
        2,
        2,
        [],
    )
    old = set(place.tasks())
    check = {"command": ["CMD", "test", "-e", "/data/ok"], "interval": 5, "startPeriod": 300}
    container = place.container(command=["wait"], healthCheck=check, mountPoints=[DATA])
    second = place.define(container, volumes=[{"name": "data"}])
    place.update(taskDefinition=second)
    new = until(lambda: set(place.tasks()) - old if len(place.tasks()) == 4 else None, what="four tasks run")
    for arn in new:
        place.wait(arn, "RUNNING")
    assert set(place.tasks()) == old | new, "none is stopped before the new ones are healthy"
    going = place.deployments()[0]
    assert (going["status"], len(going["sourceServiceRevisions"])) == ("IN_PROGRESS", 1)
    assert [d["status"] for d in place.service()["deployments"]] == ["PRIMARY", "ACTIVE"]
    for arn in new:
        (place.folder(arn).parents[1] / "volumes/data/ok").touch()
    revision = place.deployed()["targetServiceRevision"]["arn"]
    assert set(place.tasks()) == new
    shown = place.ecs.describe_service_revisions(serviceRevisionArns=[revision])["serviceRevisions"][0]
    assert shown["taskDefinition"] == second and shown["containerImages"][0]["imageDigest"] in place.image
    assert place.service()["deployments"][0]["rolloutState"] == "COMPLETED"
    assert place.task(old.pop())["stopCode"] == "ServiceSchedulerInitiated"


def test_old_tasks_make_room_where_no_more_may_run(place: Place) -> None:
    place.serve(
        waiting(place), 2, deploymentConfiguration={"minimumHealthyPercent": 50, "maximumPercent": 100}
    )
    place.deployed()
    old = set(place.tasks())
    place.update(taskDefinition=place.define(place.container(command=["wait"], healthCheck=NEVER)))
    (new,) = until(lambda: set(place.tasks()) - old, what="a new task")
    place.wait(new, "RUNNING")
    assert len(place.tasks()) == 2 and len(set(place.tasks()) & old) == 1
    place.update(taskDefinition=waiting(place))
    place.deployed()
    assert [one["status"] for one in place.deployments()] == ["SUCCESSFUL", "STOPPED", "SUCCESSFUL"]


def test_tasks_that_do_not_last_are_started_later_and_later(place: Place) -> None:
    place.serve(place.define(place.container(**BROKEN)))

    def made() -> list[dict]:
        # The live ones first: one that ends meanwhile is found twice, and not missed.
        arns = dict.fromkeys([*place.tasks(), *place.tasks(status="STOPPED")])
        found = [place.task(arn) for arn in arns]
        return sorted(found, key=lambda one: one["createdAt"])

    until(lambda: len(made()) >= 4, what="four tasks")
    third, fourth = made()[2:4]
    assert (fourth["createdAt"] - third["stoppedAt"]).total_seconds() > 0.5
    place.ecs.delete_service(cluster=place.name, service="s", force=True)


def test_the_circuit_breaker_goes_back_to_the_last_revision_that_ran(place: Place) -> None:
    good = waiting(place)
    place.serve(good, 1, deploymentConfiguration=BREAKER)
    place.deployed()
    old = place.tasks()
    bad = place.define(place.container(**BROKEN))
    place.update(taskDefinition=bad)
    failed = place.deployed(status="ROLLBACK_SUCCESSFUL")
    assert failed["deploymentCircuitBreaker"] == {"status": "TRIGGERED", "failureCount": 3, "threshold": 3}
    before = place.deployments()[1]["targetServiceRevision"]["arn"]
    assert failed["rollback"]["serviceRevisionArn"] == before
    assert place.service()["taskDefinition"] == good
    stopped = [place.task(arn) for arn in place.tasks(status="STOPPED")]
    broken = [task for task in stopped if task["taskDefinitionArn"] == bad]
    assert len(broken) == 3 and {task["containers"][0]["exitCode"] for task in broken} == {5}
    assert place.tasks() == old, "what ran before goes on"
    messages = " ".join(event["message"] for event in place.service()["events"])
    assert "deployment failed: tasks failed to start." in messages and "rolling back" in messages


def test_without_a_rollback_or_anything_to_go_back_to_a_failed_deployment_stays(place: Place) -> None:
    bad = place.define(place.container(**BROKEN))
    threshold = {"type": "COUNT", "value": 1}
    breaker = {"enable": True, "rollback": True, "thresholdConfiguration": threshold}
    place.serve(bad, 1, "never", deploymentConfiguration={"deploymentCircuitBreaker": breaker})
    assert "no completed service revision" in place.deployed("never", "ROLLBACK_FAILED")["statusReason"]
    breaker = {**breaker, "rollback": False}
    place.serve(bad, 1, "stays", deploymentConfiguration={"deploymentCircuitBreaker": breaker})
    assert place.deployed("stays", "STOPPED")["deploymentCircuitBreaker"]["status"] == "TRIGGERED"
    assert place.service("stays")["deployments"][0]["rolloutState"] == "FAILED"
    assert len(place.tasks("stays", "STOPPED")) == 1 and not place.tasks("stays")
    place.update("stays", taskDefinition=waiting(place))
    place.deployed("stays")


def test_protected_tasks_outlive_scale_in_and_deployments(place: Place) -> None:
    role = place.role("task", ACTIONS)
    place.serve(waiting(place, taskRoleArn=role), 3)
    place.deployed()
    old = place.tasks()
    agent = environment(place, old[0])["ECS_AGENT_URI"] + "/task-protection/v1/state"
    assert fetch(agent)["protection"] == {"TaskArn": old[0], "ProtectionEnabled": False}
    put(agent, b'{"ProtectionEnabled": true, "ExpiresInMinutes": 60}')
    shown = fetch(agent)["protection"]
    assert shown["ProtectionEnabled"] and shown["ExpirationDate"].endswith("Z")
    with pytest.raises(urllib.error.HTTPError):
        put(agent, b'{"ProtectionEnabled": true, "ExpiresInMinutes": 2881}')
    place.update(desiredCount=0)
    until(lambda: place.tasks() == old[:1], what="only the protected one is left")
    place.update(desiredCount=1, taskDefinition=waiting(place, taskRoleArn=role))
    until(lambda: len(place.tasks()) == 2, what="both run")
    new = next(arn for arn in place.tasks() if arn not in old)
    place.wait(new, "RUNNING")
    until(lambda: place.service()["runningCount"] == 2, what="both run")
    assert place.deployments()[0]["status"] == "IN_PROGRESS", "the old one holds the deployment"
    answer = place.ecs.get_task_protection(cluster=place.name, tasks=[*old[:1], "none"])
    assert [t["protectionEnabled"] for t in answer["protectedTasks"]] == [True]
    assert [f["reason"] for f in answer["failures"]] == ["MISSING"]
    place.ecs.update_task_protection(cluster=place.name, tasks=old[:1], protectionEnabled=False)
    place.deployed()
    assert place.tasks() == [new]
    alone = place.run(waiting(place))
    refused = place.ecs.update_task_protection(cluster=place.name, tasks=[alone], protectionEnabled=True)
    assert refused["failures"][0]["reason"] == "TASK_NOT_VALID"
    place.ecs.stop_task(cluster=place.name, task=alone)


def test_unhealthy_tasks_are_replaced(place: Place, tmp_path: Path) -> None:
    ill = tmp_path / "ill"
    ill.touch()
    check = {"command": ["CMD-SHELL", f"test ! -e {ill}"], "interval": 5, "retries": 1}
    place.serve(place.define(place.container(command=["wait"], healthCheck=check)))
    first = until(lambda: place.tasks(), what="a task")[0]
    task = place.wait(first)
    assert task["stoppedReason"] == "Task failed container health checks"
    assert task["healthStatus"] == "UNHEALTHY"
    ill.unlink()
    place.deployed()
    assert first not in place.tasks() and place.service()["deployments"][0]["failedTasks"] == 0


def test_protection_ends_with_its_time() -> None:
    now = time.time()
    task = {"taskArn": "arn:a", "local": {"protected_until": now + 60}}
    assert tasks.is_protected(task) and tasks.protection(task)["expirationDate"] == now + 60
    task["local"]["protected_until"] = now - 1
    assert tasks.protection(task) == {"taskArn": "arn:a", "protectionEnabled": False}


def test_traffic_of_127_0_0_1_goes_to_healthy_tasks_in_turn(place: Place, stacks: Stacks) -> None:
    port = ports.free()
    listening = place.container(command=["serve", str(port)], portMappings=[{"containerPort": port}])
    out = stacks.made(place.name, balancer(port), {"Group": {"Ref": "Group"}})
    balancers = [{"targetGroupArn": out["Group"], "containerName": "main", "containerPort": port}]
    place.serve(place.define(listening), 2, loadBalancers=balancers)
    place.deployed()

    def answer() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as found:
                return found.read().decode()
        except OSError:
            return ""

    until(answer, what="an answer")
    assert len({answer() for _ in range(4)}) == 2
    health = place.cloud.client("elbv2").describe_target_health(TargetGroupArn=out["Group"])
    addresses = {target["Target"]["Id"] for target in health["TargetHealthDescriptions"]}
    assert len(addresses) == 2 and all(address.startswith("127.") for address in addresses)
    unbalanced = place.serve(place.define(listening), 1, "other")
    place.deployed("other")
    assert len({answer() for _ in range(4)}) == 2, "a load balancer's port is nobody else's"
    place.update(desiredCount=0)
    until(lambda: not answer(), what="nobody answers")
    place.ecs.delete_service(cluster=place.name, service="s", force=True)
    until(lambda: place.service()["status"] == "INACTIVE", what="the service is gone")
    until(answer, what="an answer of the only one that is left")
    place.ecs.delete_service(cluster=place.name, service=unbalanced, force=True)

    def is_free() -> bool:
        with socket.socket() as other:
            return other.connect_ex(("127.0.0.1", port)) != 0

    until(is_free, what="the door is closed")


def balancer(port: int) -> dict:
    subnets = {"Fn::Split": [",", "subnet-00000000,subnet-00000001"]}
    return {
        "Group": {
            "Type": "AWS::ElasticLoadBalancingV2::TargetGroup",
            "Properties": {"Port": port, "Protocol": "HTTP", "TargetType": "ip", "VpcId": "vpc-00000000"},
        },
        "Balancer": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer", "Properties": {"Subnets": subnets}},
        "Listener": {
            "Type": "AWS::ElasticLoadBalancingV2::Listener",
            "Properties": {
                "LoadBalancerArn": {"Ref": "Balancer"},
                "Port": 80,
                "Protocol": "HTTP",
                "DefaultActions": [{"Type": "forward", "TargetGroupArn": {"Ref": "Group"}}],
            },
        },
    }


def test_a_registered_service_has_records_and_can_be_forced_stopped_and_started_again(place: Place) -> None:
    discovery = place.cloud.client("servicediscovery")
    operation = discovery.create_private_dns_namespace(Name=f"{place.name}.local", Vpc="vpc-00000000")[
        "OperationId"
    ]
    namespace = discovery.get_operation(OperationId=operation)["Operation"]["Targets"]["NAMESPACE"]
    service = discovery.create_service(Name="redis", NamespaceId=namespace)["Service"]
    place.serve(waiting(place), 1, serviceRegistries=[{"registryArn": service["Arn"]}])
    place.deployed()
    found = discovery.list_instances(ServiceId=service["Id"])["Instances"]
    assert found[0]["Attributes"]["AWS_INSTANCE_IPV4"].startswith("127.")
    before = place.tasks()
    place.update(forceNewDeployment=True)
    place.deployed()
    assert not set(before) & set(place.tasks())
    newest = place.deployments()[0]["serviceDeploymentArn"]
    with pytest.raises(ClientError, match="ConflictException"):
        place.ecs.stop_service_deployment(serviceDeploymentArn=newest)
    never = place.define(place.container(command=["wait"], healthCheck=NEVER))
    place.update(taskDefinition=never)
    going = place.deployments()[0]["serviceDeploymentArn"]
    place.ecs.stop_service_deployment(serviceDeploymentArn=going, stopType="ROLLBACK")
    place.deployed(status="ROLLBACK_SUCCESSFUL")


def test_only_an_empty_list_takes_a_balancer_from_a_service(place: Place, stacks: Stacks) -> None:
    port = ports.free()
    served = place.container(command=["wait"], portMappings=[{"containerPort": port}])
    out = stacks.made(place.name, balancer(port), {"Group": {"Ref": "Group"}})
    balancers = [{"targetGroupArn": out["Group"], "containerName": "main", "containerPort": port}]
    place.serve(place.define(served), 0, loadBalancers=balancers, healthCheckGracePeriodSeconds=60)
    place.update(desiredCount=0)
    assert place.service()["loadBalancers"] == balancers, "what an update does not name stays"
    with pytest.raises(ClientError, match="grace period is only valid"):
        place.update(loadBalancers=[], healthCheckGracePeriodSeconds=60)
    place.update(loadBalancers=[])
    shown = place.service()
    assert shown["loadBalancers"] == [] and "healthCheckGracePeriodSeconds" not in shown
