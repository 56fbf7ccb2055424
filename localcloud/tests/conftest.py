"""Fixtures: a cloud shared by the session, and fresh ones for tests that kill or restart it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from localcloud.base import procs

ROOT = Path(__file__).resolve().parents[2]
REGION = "eu-central-1"
STUCK = 300  # seconds after which a wait is given up; on a busy machine what it waits for just comes later


class RunningCloud:
    """A `serve` process on a state folder, ended by pid."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.process: subprocess.Popen | None = None
        self.endpoint = ""

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "localcloud", *args, "--state", str(self.state)]

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT), "DUCTWORK_VENVS": str(self.state / "venvs")}

    def start(self, *args: str) -> RunningCloud:
        self.state.mkdir(parents=True, exist_ok=True)
        ready = self.state / "cloud.json"
        ready.unlink(missing_ok=True)
        with (self.state / "cloud.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command("serve", *args),
                cwd=ROOT,
                env=self.env,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + STUCK
        while not ready.exists():
            assert self.process.poll() is None, (self.state / "cloud.log").read_text()
            assert time.monotonic() < deadline, "the cloud did not come up"
            time.sleep(0.01)
        self.endpoint = json.loads(ready.read_text())["endpoint"]
        return self

    def kill(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self, drain: float = 5) -> None:
        subprocess.run(
            self.command("stop", "--drain", str(drain)), cwd=ROOT, env=self.env, check=True, timeout=STUCK
        )
        if self.process is not None:
            self.process.wait(STUCK)

    def client(self, service: str, region: str = REGION):
        return client(self.endpoint, service, region)

    def post(self, path: str) -> int:
        request = urllib.request.Request(self.endpoint + path, method="POST")
        with urllib.request.urlopen(request, timeout=STUCK) as answer:
            return answer.status

    def saved(self, **words: str) -> None:
        """Wait until each service's file holds its word, so that a kill may follow."""
        for service, word in words.items():
            file = self.state / "services" / f"{service}.json"
            until(partial(_holds, file, word), what=f"`{word}` in {file.name}")

    def processes(self) -> list[procs.Identity]:
        """Everything that lives below the state folder."""
        mark = str(self.state)
        return procs.tagged(lambda env: any(mark in value for value in env.values())) + [
            identity
            for path in self.state.glob("postgres/*/pid.json")
            if (identity := procs.recall(path)) is not None
        ]


def _holds(file: Path, word: str) -> bool:
    return file.exists() and word in file.read_text()


@cache
def client(endpoint: str, service: str, region: str):
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    running = RunningCloud(tmp_path_factory.mktemp("shared") / "local").start()
    yield running
    running.stop()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[RunningCloud]:
    running = RunningCloud(tmp_path / "local").start()
    yield running
    running.stop()


@pytest.fixture
def name() -> str:
    """A name no other test uses."""
    return f"t{uuid.uuid4().hex[:10]}"


def until(check: Callable[[], object], what: str = "the condition") -> object:
    deadline = time.monotonic() + STUCK
    while time.monotonic() < deadline:
        value = check()
        if value:
            return value
        time.sleep(0.03)
    raise AssertionError(f"{what} did not hold within {STUCK} s")


class Stacks:
    """CloudFormation as the Rust tool uses it."""

    def __init__(self, running: RunningCloud) -> None:
        self.api = running.client("cloudformation")
        self.s3 = running.client("s3")
        self.endpoint = running.endpoint

    def upload(self, bucket: str, key: str, template: dict) -> str:
        self.s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(template).encode())
        return f"{self.endpoint}/{bucket}/{key}"

    def status(self, stack: str) -> str:
        return self.api.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]

    def settle(self, stack: str) -> str:
        until(lambda: not self.status(stack).endswith("_IN_PROGRESS"), what=f"{stack} settled")
        return self.status(stack)

    def _request(
        self, stack: str, resources: dict, outputs: dict | None, tags: dict | None, more: dict
    ) -> dict:
        template = {
            "Resources": resources,
            "Outputs": {k: {"Value": v} for k, v in (outputs or {}).items()},
            **more,
        }
        request = {"StackName": stack, "TemplateBody": json.dumps(template)}
        if tags is not None:
            request["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
        return request

    def create(
        self, stack: str, resources: dict, outputs: dict | None = None, tags: dict | None = None, **more
    ) -> str:
        return self.api.create_stack(**self._request(stack, resources, outputs, tags, more))["StackId"]

    def made(self, stack: str, resources: dict, outputs: dict | None = None, **more) -> dict[str, str]:
        """Create, wait, and answer the outputs."""
        stack_id = self.create(stack, resources, outputs, **more)
        status = self.settle(stack_id)
        assert status == "CREATE_COMPLETE", (status, self.reasons(stack_id))
        return self.outputs(stack)

    def updated(
        self, stack: str, resources: dict, outputs: dict | None = None, tags: dict | None = None, **more
    ) -> dict[str, str]:
        self.api.update_stack(**self._request(stack, resources, outputs, tags, more))
        status = self.settle(stack)
        assert status == "UPDATE_COMPLETE", (status, self.reasons(stack))
        return self.outputs(stack)

    def delete(self, stack: str) -> str:
        stack_id = self.api.describe_stacks(StackName=stack)["Stacks"][0]["StackId"]
        self.api.delete_stack(StackName=stack)
        until(lambda: self.status(stack_id) in ("DELETE_COMPLETE", "DELETE_FAILED"), what="deleted")
        return self.status(stack_id)

    def outputs(self, stack: str) -> dict[str, str]:
        found = self.api.describe_stacks(StackName=stack)["Stacks"][0].get("Outputs", [])
        return {o["OutputKey"]: o["OutputValue"] for o in found}

    def events(self, stack: str) -> list[dict]:
        return self.api.describe_stack_events(StackName=stack)["StackEvents"]

    def reasons(self, stack: str) -> list[str]:
        return [
            f"{e['LogicalResourceId']} {e['ResourceStatus']}: {e.get('ResourceStatusReason', '')}"
            for e in self.events(stack)
            if "FAILED" in e["ResourceStatus"]
        ]


@pytest.fixture
def stacks(cloud: RunningCloud) -> Stacks:
    return Stacks(cloud)
