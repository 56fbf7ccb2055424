"""Receipts: what is written when, by rules with a clock of our own; and the companion of a real process, with an S3."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import AIRFLOW, REGION, wait_for
from test_keeper import Cloud

from ductwork_airflow import contract
from ductwork_airflow.receipts import companion, notes, outcome, send, work

REVISION = "a" * 64


class Sending:
    """A process that sends a receipt; ends when it is told how."""

    def __init__(self, body: bytes) -> None:
        self.document: dict[str, Any] = json.loads(body)
        self.returncode: int | None = None
        self.stderr = io.BytesIO()
        self.killed = False

    def ends(self, code: int = 0, words: str = "") -> None:
        self.returncode, self.stderr = code, io.BytesIO(words.encode())

    def poll(self) -> int | None:
        return self.returncode

    def wait(self) -> None:
        assert self.returncode is not None or self.killed

    def kill(self) -> None:
        self.killed = True


class Worker:
    """A worker's companion, a clock, and what was sent."""

    def __init__(self, state: Path) -> None:
        self.now = 1000.0
        self.sent: list[Sending] = []
        self.env = {"DUCTWORK_STATE": str(state), "DUCTWORK_REVISION": REVISION, "DUCTWORK_WORKER_SET": "big"}
        self.one = companion.Companion("worker", self.env, self.send, lambda: self.now)  # type: ignore[arg-type]

    def send(self, body: bytes) -> Sending:
        self.sent.append(Sending(body))
        return self.sent[-1]

    def after(self, seconds: float) -> int:
        """Two rounds later: how many receipts were begun in all."""
        self.now += seconds
        self.one.round()
        self.one.round()
        return len(self.sent)

    def note(self, subject: str, value: str) -> None:
        notes.write(self.env, "worker", subject, {"run_id": value})


@pytest.fixture
def worker(tmp_path):
    return Worker(tmp_path)


class TestWhatIsWrittenWhen:
    def test_at_once_then_at_each_beat(self, worker):
        assert worker.after(0) == 1
        assert worker.sent[0].document == {
            "component": "worker", "revision": REVISION, "worker_set": "big", "started": worker.one.started,
        }  # fmt: skip
        assert worker.after(30) == 1, "one is on its way"
        worker.sent[0].ends()
        assert worker.after(1) == 1
        assert worker.after(contract.RECEIPT_SECONDS - 5) == 1
        assert worker.after(5) == 2
        assert worker.sent[1].document == worker.sent[0].document

    def test_the_smoke_test_is_told_at_once_and_another_task_with_the_next_beat(self, worker):
        worker.after(0)
        worker.sent[0].ends()
        worker.after(1)
        worker.note("task", "one")
        assert worker.after(60) == 1
        worker.note("smoke", "manual__1")
        assert worker.after(1) == 2
        told = worker.sent[1].document
        assert (told["smoke"], told["task"]) == ({"run_id": "manual__1"}, {"run_id": "one"})

    def test_the_first_task_that_ends_well_is_told_at_once(self, worker):
        def ran(state: str) -> int:
            notes.write(worker.env, "worker", "task", {"state": state})
            begun = worker.after(1)
            worker.sent[-1].ends()
            worker.after(1)
            return begun

        assert ran("unknown") == 1, "with the first receipt"
        assert [ran(state) for state in ("failure", "failure", "success")] == [2, 2, 3]
        assert worker.sent[-1].document["task"] == {"state": "success"}
        assert [ran(state) for state in ("failure", "success")] == [3, 3]
        assert worker.after(contract.RECEIPT_SECONDS) == 4

    def test_what_does_not_arrive_is_sent_again_later_and_told_once(self, worker, capsys):
        worker.after(0)
        for words in ("ClientError: AccessDenied 17", "ClientError: AccessDenied 17"):
            worker.sent[-1].ends(1, f"{words}\n")
            begun = len(worker.sent)
            assert worker.after(1) == begun
            worker.note("smoke", f"manual__{begun}")
            assert worker.after(companion.RETRY_SECONDS - 2) == begun, "not even for a change"
            assert worker.after(2) == begun + 1
        worker.sent[-1].ends()
        worker.after(1)
        said = capsys.readouterr().err.splitlines()
        assert said == ["receipt: ClientError: AccessDenied 17", "receipt: works again"]

    def test_a_request_that_hangs_is_ended(self, worker, capsys):
        worker.after(0)
        assert worker.after(companion.SEND_SECONDS) == 1
        assert worker.sent[0].killed and "no answer within 60 s" in capsys.readouterr().err


def message(dag_id: str, **more: Any) -> list[str]:
    instance = {"dag_id": dag_id, "run_id": "manual__1", "task_id": "report", "try_number": 1} | more
    return [
        json.dumps({"type": "ExecuteTask", "ti": instance, "bundle_info": {"name": "dags", "version": "v"}})
    ]


class TestTasksOfAWorker:
    def test_the_last_one_and_the_last_smoke_test_are_noted(self, tmp_path, monkeypatch):
        monkeypatch.setenv("DUCTWORK_STATE", str(tmp_path))
        work.note(message(contract.SMOKE_DAG), "SUCCESS")
        work.note(message("another"), "FAILURE")
        found = notes.read(tmp_path, "worker")
        assert found["smoke"] == {
            "dag_id": contract.SMOKE_DAG, "run_id": "manual__1", "task_id": "report", "try_number": 1,
            "bundle": "dags", "version": "v", "state": "success", "ended": found["smoke"]["ended"],
        }  # fmt: skip
        assert (found["task"]["dag_id"], found["task"]["state"]) == ("another", "failure")

    def test_a_task_has_ended_as_airflow_calls_it(self, tmp_path, monkeypatch):
        from airflow.sdk.listener import get_listener_manager

        from ductwork_airflow.extensions.plugin import DuctworkPlugin

        monkeypatch.setenv("DUCTWORK_STATE", str(tmp_path))
        manager = get_listener_manager.__wrapped__()
        for listener in DuctworkPlugin().listeners:
            manager.add_listener(listener)
        told, failed = manager.hook, {"previous_state": None, "error": None}

        def ended(number: int, celerys: str = "SUCCESS", **hooks: dict[str, Any]) -> str:
            one = SimpleNamespace(id=f"0{number}")
            for name, more in hooks.items():
                getattr(told, f"on_task_instance_{name}")(task_instance=one, **({"previous_state": None} | more))
            work.note(message("a", id=one.id), celerys)
            return str(notes.read(tmp_path, "worker")["task"]["state"])

        assert ended(1, running={}, failed=failed) == "success", "nobody listens yet"
        outcome.begin(os.environ)
        assert ended(2, running={}, success={}) == "success"
        assert ended(3, running={}, skipped={}) == "success"
        assert ended(4, running={}, failed=failed) == "failure"
        assert ended(5) == "failure", "its file could not even be imported"
        assert ended(6, running={}) == "unknown", "deferred, or killed"
        assert ended(7, "IGNORED", running={}, success={}) == "ignored", "it runs elsewhere"
        assert ended(8, "FAILURE", running={}, success={}) == "failure"
        assert not list((tmp_path / "outcomes").iterdir())
        (tmp_path / "outcomes/left").touch()
        outcome.begin(os.environ)
        assert not list((tmp_path / "outcomes").iterdir())

    @pytest.mark.parametrize("arguments", [[], [None], ["x"], ["[]"], ["{}"], [b"\xff"]])
    def test_other_messages_are_no_tasks_and_no_fault(self, tmp_path, monkeypatch, arguments):
        monkeypatch.setenv("DUCTWORK_STATE", str(tmp_path))
        work.note(arguments, "SUCCESS")
        assert notes.read(tmp_path, "worker") == {}

    def test_celery_tells_of_them(self, tmp_path, monkeypatch):
        from ductwork_airflow.extensions import worker_signals

        monkeypatch.setenv("DUCTWORK_STATE", str(tmp_path))
        worker_signals.task_postrun.send(sender=None, args=message("told"), kwargs={}, state="SUCCESS")
        assert notes.read(tmp_path, "worker")["task"]["dag_id"] == "told"


def test_notes_are_those_of_this_process(tmp_path):
    env = {"DUCTWORK_STATE": str(tmp_path)}
    notes.write(env, "dag-processor", "bundle", {"version": "old"})
    notes.write(env, "worker", "task", {"dag_id": "a"})
    (tmp_path / "receipts/dag-processor.bundle.json.1234").write_text("{")
    notes.clear(tmp_path, "dag-processor")
    assert notes.read(tmp_path, "dag-processor") == {} and notes.read(tmp_path, "worker")
    notes.write({}, "worker", "task", {})
    notes.write({"DUCTWORK_STATE": "/dev/null/x"}, "worker", "task", {})


def test_a_companion_gets_no_secret_and_no_mark():
    env = {
        "PATH": "/bin", "AWS_REGION": REGION, "DUCTWORK_STATE": "/s", "DUCTWORK_COMPONENTS": "worker",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x", "DUCTWORK_SECRET_JWT": "s", "DUCTWORK_COMPONENT": "worker",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "s",
    }  # fmt: skip
    left = {"DUCTWORK_SECRET_JWT", "DUCTWORK_COMPONENT", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"}
    assert set(companion.passed_on(env)) == set(env) - left


def test_a_task_says_what_it_was_made_of(monkeypatch):
    arn = "arn:aws:ecs:eu-central-1:111122223333:task/p-dev/0123abcd"
    answer = {"TaskARN": arn, "Family": "p-dev-worker-default", "Revision": "7"}
    monkeypatch.setattr(send.place, "ask", lambda url: answer if url == "http://m/task" else None)
    found = send.identity({"ECS_CONTAINER_METADATA_URI_V4": "http://m"})
    assert found == {"id": "0123abcd", "task_definition": "p-dev-worker-default:7"}


@pytest.fixture
def cloud():
    made = Cloud()
    yield made
    made.server.shutdown()


COMPONENT = """
import os, sys
from ductwork_airflow.receipts import companion
companion.start("dag-processor", os.environ)
os.execve("/bin/sleep", ["sleep", "600"], dict(os.environ))
"""


def children(pid: int) -> str:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text()


def companions(state: Path) -> list[int]:
    """Those of a host, by its folder in their environment."""
    found = []
    for one in Path("/proc").glob("[0-9]*"):
        try:
            words, env = (one / "cmdline").read_bytes(), (one / "environ").read_bytes()
        except OSError:
            continue
        if b"receipts.companion" in words and str(state).encode() in env:
            found.append(int(one.name))
    return found


def test_the_companion_of_a_real_process(s3, cloud, tmp_path):
    bucket = f"receipts-{os.getpid()}"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    names = ("PATH", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")
    env = {name: os.environ[name] for name in names} | {
        "PYTHONPATH": str(AIRFLOW),
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"{cloud.endpoint}/metadata",
        "DUCTWORK_ARTIFACT_BUCKET": bucket,
        "DUCTWORK_ENVIRONMENT": "test",
        "DUCTWORK_HOST_ROOT": str(tmp_path),
        "DUCTWORK_REVISION": REVISION,
        "DUCTWORK_STATE": str(tmp_path / "state"),
    }
    notes.write(env, "dag-processor", "bundle", {"version": "of the process before"})
    process = subprocess.Popen([sys.executable, "-c", COMPONENT], env=env, cwd=tmp_path)
    key = contract.receipt_key("test", "i-1", "dag-processor")

    def read() -> dict[str, Any] | None:
        listed = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
        assert [one["Key"] for one in listed] in ([], [key])
        return json.load(s3.get_object(Bucket=bucket, Key=key)["Body"]) if listed else None

    try:
        told = wait_for("the first receipt", read)
        assert (told["id"], told["revision"], told["component"]) == ("i-1", REVISION, "dag-processor")
        assert "bundle" not in told
        (one,) = companions(tmp_path)
        assert children(process.pid) == "", "a component has no child that it does not know"
        os.kill(one, signal.SIGTERM)  # as a stop of the whole group does, while the component still drains
        notes.write(env, "dag-processor", "bundle", {"version": "b" * 64})
        wait_for("the bundle", lambda: (read() or {}).get("bundle") == {"version": "b" * 64})
    finally:
        process.kill()
        process.wait()
    wait_for("the companion's end", lambda: not companions(tmp_path))
