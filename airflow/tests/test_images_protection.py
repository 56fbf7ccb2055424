"""A worker's ECS task is protected while it has Airflow tasks: the rules with a clock of our own and a fake agent, and
a real Celery worker with its pool.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import taskkit
from celery.signals import worker_shutting_down
from conftest import AIRFLOW, wait_for
from test_keeper import WORKER

from ductwork_airflow.extensions import worker_signals
from ductwork_airflow.hosts import keeper
from ductwork_airflow.images import health, place, protection

HOUR = protection.MINUTES * 60
ON = {"ProtectionEnabled": True, "ExpiresInMinutes": protection.MINUTES}
OFF = {"ProtectionEnabled": False}


@pytest.fixture
def agent():
    found = taskkit.Agent()
    yield found
    found.close()


class Rounds:
    """One round after the other."""

    @pytest.fixture(autouse=True)
    def make(self, tmp_path, agent):
        self.now = 1_800_000_000.0
        self.state = tmp_path
        self.agent = agent
        url = agent.variables["ECS_AGENT_URI"]
        self.one = protection.Protection(tmp_path, protection.Agent(url), clock=lambda: self.now)

    @pytest.fixture
    def task(self):
        """Begins tasks: processes with a mark, as worker_signals makes it."""
        started = []

        def begin() -> subprocess.Popen[bytes]:
            process = subprocess.Popen(["sleep", "3600"])
            started.append(process)
            self.mark(process).parent.mkdir(exist_ok=True)
            self.mark(process).touch()
            return process

        yield begin
        for process in started:
            process.kill()
            process.wait()

    def mark(self, process: subprocess.Popen[bytes]) -> Path:
        return self.state / "tasks" / str(process.pid)

    def round(self, seconds: float = 0.0) -> None:
        self.now += seconds
        self.one.round()


class TestRules(Rounds):
    """Of the protection."""

    def test_on_at_once_and_off_a_minute_after_the_last_log(self, task):
        self.round()
        assert self.agent.protections == []
        assert not protection.is_protected(self.state, self.now)
        first = task()
        self.round()
        self.round()
        assert self.agent.protections == [ON]
        assert protection.is_protected(self.state, self.now)
        self.mark(first).unlink()
        self.round(1)
        self.round(keeper.IDLE_SECONDS - 1)
        assert self.agent.protections == [ON]
        self.round(1)
        assert self.agent.protections == [ON, OFF]
        assert not protection.is_protected(self.state, self.now)
        self.round(900)
        assert self.agent.protections == [ON, OFF]
        task()
        self.round()
        assert self.agent.protections == [ON, OFF, ON]

    def test_it_is_renewed_in_time_for_as_long_as_the_task_lasts(self, task):
        task()
        for _ in range(49 * 60):
            self.round(60)
            assert protection.is_protected(self.state, self.now + 20 * 60), "it never comes near to its end"
        assert set(self.agent.wanted) == {True}
        assert len(self.agent.wanted) == pytest.approx(49 * 2, abs=4)

    def test_a_broken_agent_is_asked_again_and_told_of_once(self, task, caplog):
        caplog.set_level("INFO", "ductwork")
        process = task()
        self.agent.broken = True
        for _ in range(3):
            self.round(protection.RETRY_SECONDS)
        assert not protection.is_protected(self.state, self.now)
        self.agent.broken = False
        self.round(protection.RETRY_SECONDS - 0.5)
        assert self.agent.protections == [], "not more often than is good for it"
        self.round(0.5)
        assert self.agent.protections == [ON]
        assert process.poll() is None
        told = [message for message in caplog.messages if message.startswith("task protection")]
        assert len(told) == 2
        assert '500: {"error"' in told[0]
        assert told[1] == "task protection: works again"

    def test_a_refusal_is_no_protection_though_it_comes_with_200(self, task, caplog):
        task()
        self.agent.refuses = True
        self.round()
        assert not protection.is_protected(self.state, self.now)
        assert "DEPLOYMENT_BLOCKED" in caplog.text

    def test_an_agent_that_is_away_for_less_than_half_of_it_costs_nothing(self, task):
        task()
        self.round()
        self.agent.broken = True
        for _ in range(29):
            self.round(60 * 2)
            if self.now - 1_800_000_000.0 < HOUR:
                assert protection.is_protected(self.state, self.now)
        self.agent.broken = False
        self.round(protection.RETRY_SECONDS)
        assert self.agent.protections == [ON, ON]

    def test_a_drop_that_fails_is_tried_again(self, task):
        process = task()
        self.round()
        self.mark(process).unlink()
        self.round()
        self.agent.broken = True
        self.round(61)
        assert self.agent.protections == [ON]
        assert not protection.is_protected(self.state, self.now), (
            "nobody begins on a protection that may be gone"
        )
        self.agent.broken = False
        self.round(protection.RETRY_SECONDS)
        assert self.agent.protections == [ON, OFF]

    def test_a_task_that_begins_while_it_is_dropped_is_protected(self, task, monkeypatch):
        """It made its mark after the round looked for marks, and read the file before the round removed it."""
        self.mark(process := task()).unlink()
        monkeypatch.setattr(self.one, "until", self.now + HOUR)
        self.one.confirm()
        self.round()
        looks = [[], [process.pid]]
        monkeypatch.setattr(self.one, "busy", lambda: looks.pop(0))
        self.round(61)
        assert self.agent.protections == [], "still protected, and not dropped"
        monkeypatch.undo()
        self.mark(process).touch()
        self.round()
        assert protection.is_protected(self.state, self.now)

    def test_a_task_begins_when_ecs_has_confirmed(self, task):
        task()
        waited = []

        def sleep(seconds: float) -> None:
            waited.append(seconds)
            self.round(0.1)

        assert protection.wait(self.state, 5, lambda: self.now, sleep)
        assert len(waited) == 1

    def test_a_task_begins_without_after_a_few_seconds_and_that_is_logged(self, caplog):
        def sleep(_: float) -> None:
            self.now += 0.05

        begun = self.now
        assert not protection.wait(self.state, 5, lambda: self.now, sleep)
        assert self.now - begun == pytest.approx(5, abs=0.2)
        assert "an Airflow task begins without" in caplog.text

    def test_what_cannot_end_before_the_kill_is_told_to(self, task, caplog):
        process = task()
        left: list[int | None] = []

        def tell() -> None:
            left.append(process.poll())
            raise RuntimeError("the bucket refuses")

        self.one.tell = tell
        self.round()
        self.one.stopping_since = self.now
        self.round(protection.STOP_SECONDS - keeper.LAST_WORDS_SECONDS - 1)
        assert process.poll() is None
        self.round(1)
        assert process.wait(120) == -signal.SIGTERM
        assert left == [None], "a loss report is left while the task still works, and holds nothing up"
        task()
        self.round(1)
        told = [message for message in caplog.messages if "to end" in message]
        assert told == ["ECS ends this task in 30 s: told 1 tasks to end"], (
            "once: handlers may take their time"
        )


def of_service(primary: str, running: int, desired: int = 1, pending: int = 0) -> dict:
    """As DescribeServices answers."""
    old = {
        "status": "ACTIVE",
        "taskDefinition": "arn:x:task-definition/worker:1",
        "runningCount": 1,
        "desiredCount": 1,
    }
    new = {"status": "PRIMARY", "taskDefinition": f"arn:x:task-definition/{primary}", "runningCount": running,
           "desiredCount": desired, "pendingCount": pending}  # fmt: skip
    return {"runningCount": 1 + running, "deployments": [new, old]}


@pytest.mark.parametrize(
    ("service", "superseded"),
    [
        (of_service("worker:2", 1), True),
        (of_service("worker:2", 0, desired=0), True),  # to zero: this one is the last
        (of_service("worker:2", 0), False),  # nobody is there to take over
        (of_service("worker:2", 1, pending=1), False),
        (of_service("worker:1", 1), False),
        (of_service("worker:12", 1), True),
        ({}, False),
    ],
)
def test_another_revision_has_come_when_its_tasks_run(service, superseded):
    assert protection.seen(service, "worker:1").superseded is superseded


@pytest.mark.parametrize(
    ("name", "desired", "superseded"),
    [("canary-default", 0, True), ("canary-default", 1, False), ("worker-canary", 0, False)],
)
def test_a_canary_is_done_when_none_is_wanted(name, desired, superseded):
    """While one worker less of the set goes on until it is idle: nobody comes in its place before."""
    service = of_service("worker:1", 1, desired) | {"serviceName": name, "desiredCount": desired}
    assert protection.seen(service, "worker:1").superseded is superseded


def test_a_worker_asks_for_the_service_of_its_task(monkeypatch):
    asked: list[object] = []

    class Ecs:
        def describe_services(self, **words: object) -> dict:
            asked.append(words)
            return {"services": [of_service("worker:2", 1)]}

    def ask(url: str) -> dict:
        asked.append(url)
        return {"Cluster": "arn:c", "ServiceName": "worker-default", "Family": "worker", "Revision": "1"}

    monkeypatch.setattr(protection.place, "ask", ask)
    monkeypatch.setattr(protection.background, "client", lambda *_: Ecs())
    look = protection.looker(
        {"ECS_CONTAINER_METADATA_URI_V4": "http://agent/v4/one", "AWS_REGION": "eu-central-1"}
    )
    assert look().superseded
    assert look().superseded
    words = {"cluster": "arn:c", "services": ["worker-default"]}
    assert asked == ["http://agent/v4/one/task", words, words]


GIVES_WAY = """
import threading
from celery import Celery
from celery.signals import worker_ready
from ductwork_airflow.images import protection

app = Celery("gives_way", broker="filesystem://")
folders = ("data_folder_in", "data_folder_out", "control_folder")
app.conf.broker_transport_options = dict.fromkeys(folders, ".")

@worker_ready.connect
def ready(**_):
    threading.Thread(target=protection.take_no_more).start()

app.worker_main(["worker", "--concurrency", "1", "--loglevel", "INFO"])
"""


def test_a_real_worker_ends_well_when_it_gives_way(tmp_path):
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(AIRFLOW)}
    done = subprocess.run([sys.executable, "-c", GIVES_WAY], env=env, cwd=tmp_path, capture_output=True, text=True,
                          timeout=120, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "ready." in done.stderr + done.stdout


def test_many_workers_of_a_service_ask_less_often():
    assert protection.Seen(superseded=False, workers=3).pause == protection.LOOK_SECONDS
    assert protection.Seen(superseded=False, workers=1000).pause == 200


class TestGivingWay(Rounds):
    """A protected worker of a revision that is no longer wanted."""

    @pytest.fixture(autouse=True)
    def service(self):
        self.asked, self.ended, self.superseded = [], [], False

        def look() -> protection.Seen:
            self.asked.append(self.now)
            return protection.Seen(self.superseded, workers=1)

        self.one.look, self.one.retire = look, lambda: self.ended.append(self.now)

    def test_it_asks_only_while_it_is_protected_and_ends_once(self, task):
        self.round(60)
        assert self.asked == []
        task()
        for _ in range(40):
            self.round(0.5)
        assert len(self.asked) == 2
        self.superseded = True
        for _ in range(40):
            self.round(1)
        assert len(self.ended) == 1
        assert self.one.stopping_since is None, "nobody hurries its tasks"
        assert self.agent.wanted == [True], "it stays protected until they have ended"

    def test_silence_ends_no_worker(self, task, caplog):
        def fails() -> protection.Seen:
            raise RuntimeError("ThrottlingException")

        self.one.look = fails
        task()
        for _ in range(30):
            self.round(1)
        assert self.ended == []
        assert caplog.text.count("ThrottlingException") == 1


def test_an_old_file_protects_nobody(tmp_path):
    file = protection.protected_file(tmp_path)
    for text, protected in (("", False), ("x", False), ("99.5", False), ("100.5", True)):
        file.write_text(text)
        assert protection.is_protected(tmp_path, 100.0) is protected


def test_celerys_handler_of_sigterm_starts_the_two_minutes_once(tmp_path, monkeypatch):
    one = protection.Protection(tmp_path, protection.Agent("http://127.0.0.1:1"))
    monkeypatch.setattr(worker_signals, "_protections", [one])
    words = {"sender": "w", "sig": "SIGTERM", "how": "Warm", "exitcode": 0}
    worker_shutting_down.send(**words)
    first = one.stopping_since
    assert time.time() - 300 < first <= time.time()
    worker_shutting_down.send(**words)
    assert one.stopping_since == first


class Worker:
    """A real Celery worker that stands for Airflow's, in a task of its own."""

    def __init__(self, root: Path, agent: taskkit.Agent) -> None:
        self.root, self.agent = root, agent
        self.state = root / "state"
        for folder in ("broker", "control", "state"):
            (root / folder).mkdir()
        program = root / "airflow"
        program.write_text(WORKER.format(python=sys.executable))
        self.env = {
            "PATH": os.environ["PATH"], "PYTHONPATH": str(AIRFLOW), "DUCTWORK_HOST_ROOT": str(root),
            "DUCTWORK_STATE": str(self.state), **agent.variables,
        }  # fmt: skip
        self.log = root / "log"
        self.process = subprocess.Popen(
            [sys.executable, program, "celery", "worker"], env=self.env, cwd=root, stdout=self.log.open("wb"),
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        place.write(self.state, "worker", place.Place(self.process.pid, "", 0, 0))

    def notes(self) -> str:
        file = self.root / "notes"
        return file.read_text() if file.exists() else ""

    def send(self, name: str) -> None:
        from celery import Celery

        folders = {"data_folder_in": str(self.root / "broker"), "data_folder_out": str(self.root / "broker"),
                   "control_folder": str(self.root / "control")}  # fmt: skip
        with Celery("fake", broker="filesystem://") as app:
            app.conf.broker_transport_options = folders
            app.send_task("work", [name])

    def health(self) -> str:
        done = subprocess.run(
            [*taskkit.HEALTH, "worker"], env=self.env, capture_output=True, text=True, check=False
        )
        assert (done.returncode == 0) == (done.stdout == "worker works\n"), done.stderr
        return done.stdout

    def close(self) -> None:
        print(self.log.read_text())
        self.process.kill()
        self.process.wait()


@pytest.fixture
def worker(tmp_path, agent):
    made = Worker(tmp_path, agent)
    yield made
    made.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_real_worker_protects_itself_before_its_first_task_and_ends_after_the_last_log(worker):
    agent = worker.agent
    wait_for("the worker", lambda: worker.health() == "worker works\n")
    assert agent.protections == [], "an idle worker may be ended"
    agent.broken = True
    worker.send("long")
    wait_for("its mark", lambda: list(worker.state.glob("tasks/*")))
    assert "long begins" not in worker.notes(), "it waits for ECS"
    agent.broken = False
    wait_for("its begin", lambda: "long begins" in worker.notes())
    assert agent.protections == [ON]
    assert protection.protected_file(worker.state).exists()
    worker.process.send_signal(signal.SIGTERM)
    wait_for("the end of taking tasks", lambda: "takes no more" in worker.notes())
    assert worker.health() == "worker works\n", "ECS shall not end it for being unhealthy"
    for word in ("go", "upload"):
        (worker.root / word).touch()
    assert worker.process.wait(300) == 0
    assert "long uploaded" in worker.notes()
    assert agent.wanted == [True]
    assert health.fault("worker", worker.env) == "its process has ended"
