"""Tasks of ECS: what a container is given, in which order containers run, how they end, and what stops them from it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from localcloud.iam.calls import read
from localcloud.tests.conftest import RunningCloud, until
from localcloud.tests.ecskit import EVERYTHING, TRUST, Place, make_place

DATA = {"sourceVolume": "data", "containerPath": "/data"}
OK = "import os, sys; sys.exit(not os.path.exists(os.environ['OK']))"


def needs(name: str, condition: str) -> dict:
    return {"containerName": name, "condition": condition}


def states(place: Place, arn: str) -> dict[str, str]:
    return {one["name"]: one["lastStatus"] for one in place.task(arn)["containers"]}


def fetch(url: str) -> dict:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return json.loads(answer.read())


def environment(place: Place, arn: str) -> dict[str, str]:
    """That of the process itself."""
    pid = (place.folder(arn) / "pid").read_text()
    raw = Path(f"/proc/{pid}/environ").read_text().rstrip("\0").split("\0")
    return dict(line.partition("=")[::2] for line in raw)


@pytest.fixture
def place(cloud: RunningCloud, name: str) -> Place:
    return make_place(cloud, name)


def test_a_container_gets_its_command_places_variables_and_secrets(place: Place) -> None:
    cloud = place.cloud
    secret = cloud.client("secretsmanager").create_secret(
        Name=place.name, SecretString='{"user": "u", "n": 7}'
    )["ARN"]
    cloud.client("ssm").put_parameter(Name=f"/{place.name}", Value="hidden", Type="SecureString")
    place.role("task", ())
    definition = place.define(
        place.container(
            command=["tell"],
            environment=[{"name": "PLAIN", "value": "1"}, {"name": "LIBRARY", "value": "/app/venv:/data/x"}],
            secrets=[
                {"name": "WHOLE", "valueFrom": secret},
                {"name": "USER_NAME", "valueFrom": f"{secret}:user::"},
                {"name": "PARAMETER", "valueFrom": f"/{place.name}"},
            ],
            mountPoints=[{"sourceVolume": "data", "containerPath": "/data"}],
            workingDirectory="/app",
        ),
        volumes=[{"name": "data"}],
        taskRoleArn=f"arn:aws:iam::000000000000:role/{place.name}-task",
    )
    override = {"name": "main", "environment": [{"name": "PLAIN", "value": "2"}]}
    task = place.wait(place.run(definition, overrides={"containerOverrides": [override]}))
    assert (task["stopCode"], task["containers"][0]["exitCode"]) == ("EssentialContainerExited", 0)
    begins, told = place.lines(task["taskArn"])
    assert begins == "begins tell"
    told = json.loads(told)
    env, images = told["env"], cloud.state / "images"
    assert env["PLAIN"] == "2" and env["WHOLE"] == '{"user": "u", "n": 7}'
    assert env["USER_NAME"] == "u" and env["PARAMETER"] == "hidden"
    rootfs = env["DUCTWORK_ROOT"]
    assert (
        rootfs.startswith(str(images))
        and told["cwd"] == told["prefix"].removesuffix("/venv") == f"{rootfs}/app"
    )
    library, data = env["LIBRARY"].split(":")
    assert (
        library == f"{rootfs}/app/venv"
        and data.startswith(str(cloud.state / "tasks"))
        and data.endswith("/data/x")
    )
    assert env["AWS_ENDPOINT_URL"] == cloud.endpoint and env["AWS_REGION"] == "eu-central-1"
    assert "AWS_ACCESS_KEY_ID" not in env and env["AWS_CONTAINER_CREDENTIALS_FULL_URI"].startswith(
        cloud.endpoint
    )
    assert not set(env) & {"PYTHONPATH", "VIRTUAL_ENV", "DUCTWORK_VENVS"}, "nothing of the cloud's own"


def test_an_essential_container_ends_the_task_and_the_others_are_asked_then_killed(place: Place) -> None:
    definition = place.define(
        place.container("main", command=["until", "/data/go", "3"], mountPoints=[DATA]),
        place.container("side", command=["wait"], mountPoints=[DATA], essential=False),
        place.container("deaf", command=["deaf"], essential=False, stopTimeout=2),
        volumes=[{"name": "data"}],
    )
    arn = place.run(definition)
    for container in ("side", "deaf"):
        until(lambda of=container: len(place.lines(arn, of)) == 1, what=f"{container} has begun")
    (place.folder(arn).parents[1] / "volumes/data/go").touch()
    task = place.wait(arn)
    assert (task["stopCode"], task["stoppedReason"]) == (
        "EssentialContainerExited",
        "Essential container in task exited",
    )
    codes = {one["name"]: one["exitCode"] for one in task["containers"]}
    assert codes == {"main": 3, "side": 0, "deaf": 137}
    assert place.lines(arn, "deaf") == ["begins deaf", "no"], "asked before it was killed"
    until(lambda: not place.folder(arn).parents[1].exists(), what="its folder is gone")


def test_containers_start_when_their_dependencies_say_so(place: Place) -> None:
    definition = place.define(
        place.container("first", command=["until", "/data/first", "0"], essential=False, mountPoints=[DATA]),
        place.container(
            "main", command=["wait"], mountPoints=[DATA], dependsOn=[needs("first", "SUCCESS")],
            environment=[{"name": "OK", "value": "/data/ok"}],
            healthCheck={"command": ["CMD", "python", "-c", OK], "interval": 5, "startPeriod": 300},
        ),
        place.container("last", command=["wait"], essential=False, dependsOn=[needs("main", "HEALTHY")]),
        volumes=[{"name": "data"}],
    )  # fmt: skip
    arn = place.run(definition)
    until(lambda: place.lines(arn, "first"), what="the first has begun")
    assert states(place, arn) == {"first": "RUNNING", "main": "PENDING", "last": "PENDING"}
    data = place.folder(arn).parents[1] / "volumes/data"
    (data / "first").touch()
    until(lambda: place.lines(arn), what="the second has begun")
    assert states(place, arn) == {"first": "STOPPED", "main": "RUNNING", "last": "PENDING"}
    assert place.task(arn)["lastStatus"] == "PENDING" and place.task(arn)["healthStatus"] == "UNKNOWN"
    (data / "ok").touch()
    assert place.wait(arn, "RUNNING")["healthStatus"] == "HEALTHY"
    (data / "ok").unlink()
    place.ecs.stop_task(cluster=place.name, task=arn, reason="enough")
    task = place.wait(arn)
    assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "enough")


def test_a_dependency_that_fails_fails_the_task(place: Place) -> None:
    definition = place.define(
        place.container("first", command=["exit", "4"], essential=False),
        place.container("main", command=["wait"], dependsOn=[needs("first", "SUCCESS")]),
    )
    task = place.wait(place.run(definition))
    assert (task["stopCode"], task["stoppedReason"]) == ("TaskFailedToStart", "Container first exited with 4")


@pytest.mark.parametrize(
    ("container", "reason"),
    [
        ({"image": "docker.io/library/python:3"}, "CannotPullContainerError: pull image manifest"),
        ({"image": "127.0.0.1/none:latest"}, "CannotPullContainerError: pull image manifest"),
        ({"entryPoint": ["/no/such/thing"]}, "CannotStartContainerError: exec: \"/no/such/thing\": No such file"),
        ({"secrets": [{"name": "A", "valueFrom": "/none"}]}, "ResourceInitializationError: unable to pull secrets or "
         "registry auth: execution resource retrieval failed: unable to retrieve secrets from ssm"),
        ({"secrets": [{"name": "A", "valueFrom": "arn:aws:secretsmanager:eu-central-1:000000000000:secret:no-AbCdEf"}]},
         "Secrets Manager can't find the specified secret."),
        ({"group": "none"}, "ResourceInitializationError: failed to validate logger args"),
    ],
)  # fmt: skip
def test_what_is_missing_keeps_a_task_from_starting(place: Place, container: dict, reason: str) -> None:
    wanted = place.container(command=["wait"])
    if "group" in container:
        wanted["logConfiguration"]["options"]["awslogs-group"] = "none"
        container = {}
    task = place.wait(place.run(place.define({**wanted, **container})))
    assert task["stopCode"] == "TaskFailedToStart" and reason in task["stoppedReason"], task["stoppedReason"]


def test_a_log_group_is_made_if_the_driver_may(place: Place) -> None:
    wanted = place.container(command=["exit", "0"])
    group = f"{place.name}-new"
    wanted["logConfiguration"]["options"] |= {"awslogs-group": group, "awslogs-create-group": "true"}
    arn = place.wait(place.run(place.define(wanted)))["taskArn"]
    events = place.logs.get_log_events(logGroupName=group, logStreamName=f"p/main/{arn.rpartition('/')[2]}")
    assert [event["message"] for event in events["events"]] == ["begins exit"]


def test_roles_have_to_be_there_trusted_and_allowed_what_they_are_used_for(place: Place) -> None:
    secret = place.cloud.client("secretsmanager").create_secret(Name=place.name, SecretString="s")["ARN"]
    container = place.container(command=["wait"], secrets=[{"name": "A", "valueFrom": secret}])

    def reason(role: str, **more: str) -> str:
        task = place.wait(place.run(place.define(container, executionRoleArn=role, **more)))
        assert task["stopCode"] == "TaskFailedToStart"
        return task["stoppedReason"]

    good = f"arn:aws:iam::000000000000:role/{place.name}-execution"
    assert "unable to assume the role" in reason("arn:aws:iam::000000000000:role/none")
    foreign = json.loads(json.dumps(TRUST).replace("ecs-tasks", "ec2"))
    assert "unable to assume the role" in reason(place.role("foreign", trust=foreign))
    assert "unable to assume the role" in reason(good, taskRoleArn="arn:aws:iam::000000000000:role/none")
    assert "perform: ecr:GetAuthorizationToken" in reason(place.role("no-image", EVERYTHING[1:]))
    assert "perform: secretsmanager:GetSecretValue" in reason(place.role("no-secret", ("ecr:*", "logs:*")))
    assert "perform: logs:CreateLogStream" in reason(place.role("no-logs", ("ecr:*", EVERYTHING[2])))


def test_a_task_asks_its_agent_and_aws_with_its_own_role(place: Place) -> None:
    role = place.role("task", ("sqs:*",))
    waiting = place.define(place.container(command=["wait"]), taskRoleArn=role, family=f"{place.name}-b")
    arn = place.run(waiting, tags=[{"key": "component", "value": "worker"}])
    place.wait(arn, "RUNNING")
    env = environment(place, arn)
    agent, endpoint = env["ECS_AGENT_URI"], env["ECS_CONTAINER_METADATA_URI_V4"]
    credentials = fetch(env["AWS_CONTAINER_CREDENTIALS_FULL_URI"])
    assert credentials["RoleArn"] == role
    metadata = fetch(f"{endpoint}/task")
    assert (metadata["TaskARN"], metadata["Family"], metadata["Cluster"].rpartition("/")[2]) == (
        arn, f"{place.name}-b", place.name,
    )  # fmt: skip
    address = fetch(endpoint)["Networks"][0]["IPv4Addresses"][0]
    assert (
        address.startswith("127.") and address == metadata["Containers"][0]["Networks"][0]["IPv4Addresses"][0]
    )
    sqs = boto3.client(
        "sqs", endpoint_url=env["AWS_ENDPOINT_URL"], region_name=env["AWS_REGION"],
        aws_access_key_id=credentials["AccessKeyId"], aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["Token"],
    )  # fmt: skip
    queue = sqs.create_queue(QueueName=place.name)["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody="x")
    with pytest.raises(urllib.error.HTTPError) as refused:
        fetch(f"{agent}/task-protection/v1/state")
    error = json.loads(refused.value.read())["error"]
    assert error["Code"] == "AccessDeniedException" and "ecs:GetTaskProtection" in error["Message"]
    with pytest.raises(urllib.error.HTTPError):
        fetch(f"{endpoint.rpartition('/')[0]}/other")
    calls = read(place.cloud.state / "calls.jsonl")
    mine = {
        (c["component"], c["role"], c["action"]) for c in calls if c.get("role", "").startswith(place.name)
    }
    execution = f"{place.name}-execution"
    assert ("worker", f"{place.name}-task", "sqs:SendMessage") in mine
    assert ("worker", f"{place.name}-task", "ecs:GetTaskProtection") in mine
    assert {("worker", execution, "ecr:BatchGetImage"), ("worker", execution, "logs:PutLogEvents")} <= mine
    protection = next(c for c in calls if c["action"] == "ecs:GetTaskProtection" and c["resource"] == arn)
    assert protection["context"] == {"ecs:cluster": metadata["Cluster"]}


def test_what_the_tool_asks_of_ecs_is_recorded_as_iam_judges_it(place: Place) -> None:
    place.role("task", ())
    definition = place.define(
        place.container(command=["exit", "0"]),
        taskRoleArn=f"arn:aws:iam::000000000000:role/{place.name}-task",
    )
    ecs = boto3.client(
        "ecs", endpoint_url=place.cloud.endpoint, region_name="eu-central-1", aws_access_key_id="local",
        aws_secret_access_key="local", config=Config(user_agent_appid=place.name),
    )  # fmt: skip
    arn = ecs.run_task(
        cluster=place.name,
        taskDefinition=place.name,
        launchType="FARGATE",
        networkConfiguration=place.network,
    )["tasks"][0]["taskArn"]
    ecs.describe_services(cluster=place.name, services=["a", "b"])
    ecs.describe_tasks(cluster=place.name, tasks=[arn])
    here = "arn:aws:ecs:eu-central-1:000000000000"
    calls = [c for c in read(place.cloud.state / "calls.jsonl") if c.get("app") == place.name]
    found = {(c["action"], c["resource"], *c.get("context", {}).items()) for c in calls}
    in_cluster, passed = (
        ("ecs:cluster", f"{here}:cluster/{place.name}"),
        ("iam:PassedToService", "ecs-tasks.amazonaws.com"),
    )
    role = f"arn:aws:iam::000000000000:role/{place.name}"
    assert found == {
        ("ecs:RunTask", definition, in_cluster),
        ("iam:PassRole", f"{role}-task", passed),
        ("iam:PassRole", f"{role}-execution", passed),
        ("ecs:DescribeServices", f"{here}:service/{place.name}/a", in_cluster),
        ("ecs:DescribeServices", f"{here}:service/{place.name}/b", in_cluster),
        ("ecs:DescribeTasks", arn, in_cluster),
    }
