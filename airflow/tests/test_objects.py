"""Connections and variables of the current release, as tasks and the API server read them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from typing import Any

import boto3
import pytest
from conftest import AIRFLOW
from test_settings import HOST, OUTPUTS, PARAMETERS

from ductwork_airflow import contract
from ductwork_airflow.extensions import objects
from ductwork_airflow.extensions.secrets_backend import DuctworkSecretsBackend
from ductwork_airflow.hosts.settings import host_environment

OBJECTS = {
    "connections": {
        "warehouse": {"conn_type": "postgres", "host": "db", "port": 5432, "login": "airflow",
                      "extra": {"sslmode": "require"}, "secret": "connections/shared"},
        "plain": {"conn_type": "http", "host": "https://example.com"},
        "key": {"conn_type": "aws", "secret": "connections/key"},
    },
    "variables": {"lake": "s3://lake", "api_token": {"secret": "variables/token"}, "gone": {"secret": "variables/no"}},
}  # fmt: skip
PASSWORD = "p@ss {word}: %41"


class World:
    """An environment with its bucket and its prefix of secrets."""

    def __init__(self, s3: Any) -> None:
        self.s3 = s3
        self.bucket = f"artifacts-{uuid.uuid4().hex}"
        self.environment = f"env-{uuid.uuid4().hex[:8]}"
        self.prefix = f"ductwork/{self.environment}"
        s3.create_bucket(Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})

    def put(self, key: str, document: Any) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=json.dumps(document).encode())

    def release(self, release: str, found: dict[str, Any]) -> None:
        """Records a release and moves the pointer to it."""
        self.put(contract.release_key(self.environment, release), {"environment": {"objects": found}})
        self.put(contract.pointer_key(self.environment), {"release": release, "bundle": "b"})

    def secret(self, name: str, value: str) -> None:
        boto3.client("secretsmanager").create_secret(Name=f"{self.prefix}/{name}", SecretString=value)

    def backend(self) -> DuctworkSecretsBackend:
        prefixes = {f"{kind}_prefix": f"{self.prefix}/{kind}" for kind in ("connections", "variables")}
        return DuctworkSecretsBackend(
            bucket=self.bucket, environment=self.environment, config_prefix=None, **prefixes
        )


@pytest.fixture
def world(s3) -> World:
    """Nothing is released yet."""
    return World(s3)


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """The clock of the backend, in its only element."""
    now = [0.0]
    monkeypatch.setattr(objects.time, "monotonic", lambda: now[0])
    return now


def test_a_declared_connection_has_its_password_from_its_secret(world):
    world.release("1", OBJECTS)
    world.secret("connections/shared", PASSWORD)
    world.secret("connections/key", json.dumps({"username": "me", "password": "x", "extra": {"region": "r"}}))
    backend = world.backend()
    found = backend.get_connection("warehouse")
    assert (found.conn_type, found.host, found.port, found.login) == ("postgres", "db", 5432, "airflow")
    assert (found.password, found.extra_dejson) == (PASSWORD, {"sslmode": "require"})
    assert backend.get_connection("plain").host == "https://example.com"
    key = backend.get_connection("key")
    assert (key.conn_type, key.login, key.password, key.extra_dejson) == ("aws", "me", "x", {"region": "r"})


def test_a_declared_variable_has_its_value_or_that_of_its_secret(world):
    world.release("1", OBJECTS)
    world.secret("variables/token", "t0ken")
    backend = world.backend()
    assert (backend.get_variable("lake"), backend.get_variable("api_token")) == ("s3://lake", "t0ken")
    assert backend.get_variable("gone") is None


def test_what_is_not_declared_is_in_secrets_manager_as_ever(world):
    world.release("1", OBJECTS)
    world.secret("connections/other", "ftp://u:p@h")
    world.secret("variables/other", "x")
    backend = world.backend()
    assert backend.get_connection("other").host == "h"
    assert backend.get_variable("other") == "x"
    assert backend.get_connection("nobody") is None
    assert backend.get_variable("nobody") is None


def test_objects_change_with_the_pointer_and_come_back_with_a_rollback(world, clock):
    backend = world.backend()
    assert backend.get_variable("lake") is None, "nothing is released"
    for release, found, value in [("1", OBJECTS, "s3://lake"), ("2", {}, None), ("1", OBJECTS, "s3://lake")]:
        world.release(release, found)
        clock[0] += objects.FRESH_SECONDS
        assert backend.get_variable("lake") == value


def test_while_s3_does_not_answer_the_last_objects_stay(world, clock, monkeypatch):
    world.release("1", OBJECTS)
    backend = world.backend()
    assert backend.get_variable("lake") == "s3://lake"

    def fails(key: str) -> None:
        raise OSError("no route")

    monkeypatch.setattr(backend._released, "_read", fails)
    clock[0] += objects.FRESH_SECONDS
    assert backend.get_variable("lake") == "s3://lake"
    fresh = world.backend()
    monkeypatch.setattr(fresh._released, "_read", fails)
    with pytest.raises(OSError, match="no route"):
        fresh.get_variable("lake")


def test_a_fork_connects_for_itself(world, monkeypatch):
    world.release("1", OBJECTS)
    backend = world.backend()
    assert backend.get_variable("lake") == "s3://lake"
    before = backend._released._s3()
    assert backend._released._s3() is before
    monkeypatch.setattr(objects.os, "getpid", lambda: -1)
    assert backend._released._s3() is not before


READ = """
import json
from airflow.sdk import BaseHook, Variable
from airflow.models import Connection
print("ANSWER" + json.dumps([
    BaseHook.get_connection("warehouse").password, Variable.get("lake"),
    Connection.get_connection_from_secrets("warehouse").extra_dejson,
]))"""


def test_airflow_reads_them_with_the_settings_of_a_host(world, aws):
    world.release("1", OBJECTS)
    world.secret("connections/shared", PASSWORD)
    from dataclasses import replace

    outputs = OUTPUTS | {"SecretsPrefix": world.prefix, "ArtifactBucket": world.bucket}
    env = host_environment(
        outputs, PARAMETERS, replace(HOST, environment=world.environment, endpoint_url=aws)
    )
    mine = {name: os.environ[name] for name in os.environ if name.startswith("AWS_")} | {
        "PATH": os.environ["PATH"],
        "AIRFLOW_HOME": os.environ["AIRFLOW_HOME"],
        "PYTHONPATH": str(AIRFLOW),
    }
    done = subprocess.run([sys.executable, "-c", READ], env=env | mine, capture_output=True, text=True)
    answer = [line for line in done.stdout.splitlines() if line.startswith("ANSWER")]
    assert answer, done.stderr[-3000:]
    assert json.loads(answer[0].removeprefix("ANSWER")) == [PASSWORD, "s3://lake", {"sslmode": "require"}]
