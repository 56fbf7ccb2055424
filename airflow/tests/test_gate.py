"""When a worker may take tasks: CodeDeploy's states, its silence, and the keeper's mark."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone

import pytest
from botocore.exceptions import ClientError

from ductwork_airflow.hosts import deployments, gate, health

OLD, NEW = "a" * 64, "b" * 64


def info(number: int, status: str, digest: str, code: str = "", creator: str = "user") -> dict:
    found = {
        "deploymentId": f"d-{number}",
        "status": status,
        "creator": creator,
        "description": f"mark {number}",
        "createTime": datetime(2026, 1, 1, tzinfo=timezone.utc) + timedelta(minutes=number),
        "revision": {
            "revisionType": "S3",
            "s3Location": {"bucket": "b", "key": f"hosts/{digest}.zip", "bundleType": "zip"},
        },
    }
    if code:
        found["errorInformation"] = {"code": code, "message": "words"}
    return found


class CodeDeploy:
    """The three questions, on a list of deployments, oldest first."""

    def __init__(self, *infos: dict) -> None:
        self.infos = infos

    def get_deployment_group(self, applicationName, deploymentGroupName):
        assert (applicationName, deploymentGroupName) == ("app", "group")
        last = (
            {"lastAttemptedDeployment": {"deploymentId": self.infos[-1]["deploymentId"]}}
            if self.infos
            else {}
        )
        return {"deploymentGroupInfo": last}

    def get_deployment(self, deploymentId):
        return {"deploymentInfo": next(one for one in self.infos if one["deploymentId"] == deploymentId)}

    def list_deployments(self, applicationName, deploymentGroupName):
        return {"deployments": [one["deploymentId"] for one in reversed(self.infos)]}

    def batch_get_deployments(self, deploymentIds):
        assert len(deploymentIds) <= 25
        return {"deploymentsInfo": [one for one in self.infos if one["deploymentId"] in deploymentIds]}


@pytest.fixture
def env(tmp_path):
    return {"DUCTWORK_STATE": str(tmp_path), "DUCTWORK_REVISION": OLD, "AWS_REGION": "eu-central-1"}


def look(*infos: dict):
    return lambda: deployments.last_attempt(CodeDeploy(*infos), "app", "group")


@pytest.mark.parametrize(
    ("infos", "open_"),
    [
        ((), True),
        ((info(1, "Succeeded", OLD),), True),
        ((info(1, "Succeeded", OLD), info(2, "Created", NEW)), False),
        ((info(1, "Succeeded", OLD), info(2, "InProgress", NEW)), False),
        ((info(1, "Succeeded", OLD), info(2, "Succeeded", NEW)), False),
        ((info(1, "Succeeded", OLD), info(2, "Failed", NEW, "NO_INSTANCES")), False),
        ((info(1, "Succeeded", OLD), info(2, "Failed", NEW, "HEALTH_CONSTRAINTS")), True),
        ((info(1, "Succeeded", OLD), info(2, "Stopped", NEW)), True),
        ((info(1, "Failed", OLD, "HEALTH_CONSTRAINTS"),), True),
        # what a launch brings is no attempt: the rollout that found nobody still counts
        (
            (info(1, "Failed", NEW, "NO_INSTANCES"), info(2, "InProgress", OLD, creator="autoscaling")),
            False,
        ),
        ((info(1, "Succeeded", OLD), info(2, "Succeeded", OLD, creator="autoscaling")), True),
        ((info(1, "Succeeded", OLD, creator="autoscaling"),), True),
        (
            (
                info(1, "Failed", NEW, "NO_INSTANCES"),
                info(2, "Succeeded", OLD, creator="autoscalingTermination"),
            ),
            False,
        ),
        # the rollback after a failed rollout
        (
            (
                info(1, "Failed", NEW, "SCRIPT_FAILED"),
                info(2, "InProgress", OLD, creator="codeDeployRollback"),
            ),
            True,
        ),
    ],
)
def test_states(env, infos, open_):
    why = gate.reason(env, look(*infos))
    assert (why is None) is open_, why


def test_many_launches_since(env):
    launches = [info(number, "Succeeded", OLD, creator="autoscaling") for number in range(2, 60)]
    assert gate.reason(env, look(info(1, "Failed", NEW, "NO_INSTANCES"), *launches)) is not None


@pytest.mark.parametrize(
    ("code", "forgotten"), [("DeploymentDoesNotExistException", True), ("ThrottlingException", False)]
)
def test_a_deployment_that_codedeploy_has_forgotten_is_none(code, forgotten):
    class Forgetful(CodeDeploy):
        def get_deployment(self, deploymentId):
            raise ClientError({"Error": {"Code": code}}, "GetDeployment")

    api = Forgetful(info(1, "Succeeded", OLD))
    if forgotten:
        assert deployments.last_attempt(api, "app", "group") is None
    else:
        with pytest.raises(ClientError):
            deployments.last_attempt(api, "app", "group")


def test_what_cannot_be_compared_lets_pass(env):
    assert gate.reason(env | {"DUCTWORK_REVISION": "unknown"}, look(info(1, "Succeeded", NEW))) is None
    assert gate.reason(env, look(info(1, "Succeeded", "x"))) is None
    github = info(1, "Succeeded", NEW) | {"revision": {"revisionType": "GitHub"}}
    assert gate.reason(env, look(github)) is None


def test_silence_lets_pass(env):
    def silence():
        raise OSError("no route")

    assert gate.reason(env, silence) is None


def test_a_host_of_no_worker_set_asks_nobody(env, monkeypatch):
    monkeypatch.setattr(gate.background, "client", lambda *_: pytest.fail("asked"))
    assert gate.looker(env | {"DUCTWORK_APPLICATION": "app"})() is None


def test_waits_until_the_reason_has_gone_and_says_so(env, monkeypatch):
    gate.closed_file(env).write_text("x")
    seen = []

    def sleep(seconds):
        seen.append(gate.waits(env, os.getpid()))
        process = health.Process("worker", os.getpid(), 0.0)
        assert health.worker_fault(env, process) is None, "a waiting worker is no fault of a rollout"
        assert health.worker_fault(env, health.Process("worker", 1, 0.0)) is not None
        if len(seen) == 3:
            gate.closed_file(env).unlink()

    gate.wait(env, look(info(1, "Succeeded", OLD)), sleep)
    assert seen == [True, True, True]
    assert not gate.waits(env, os.getpid())
