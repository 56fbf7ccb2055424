"""The keeper: its rules with a clock of our own, and the whole of it on a host with supervisord, the real units,
wrapper and gate, and a real Celery worker that stands for Airflow's.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import REGION, new_database, wait_for
from hostkit import Host, revision_tree, temporary_root

from ductwork_airflow.hosts import database, gate, keeper, metadata

TOKEN = "a-token"


class Cloud:
    """The metadata service and the few calls of AWS that a worker host makes; says what it was asked, and when."""

    def __init__(self) -> None:
        self.state: str | None = "InService"
        self.notice: str | None = None
        self.calls: list[tuple[float, str, dict[str, str]]] = []
        self.secrets: dict[str, str] = {}
        self.tokens = 0
        cloud = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self, status: int, text: str, kind: str = "text/plain") -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def do_PUT(self) -> None:
                assert self.path == "/metadata/latest/api/token"
                assert self.headers["X-aws-ec2-metadata-token-ttl-seconds"] == "21600"
                cloud.tokens += 1
                self.answer(200, TOKEN)

            def do_GET(self) -> None:
                if self.headers["X-aws-ec2-metadata-token"] != TOKEN:
                    return self.answer(401, "")
                found = {
                    "instance-id": "i-1",
                    "autoscaling/target-lifecycle-state": cloud.state,
                    "spot/instance-action": cloud.notice,
                }.get(self.path.removeprefix("/metadata/latest/meta-data/"))
                return self.answer(404, "") if found is None else self.answer(200, found)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                if "secretsmanager" in (self.headers.get("X-Amz-Target") or ""):
                    value = cloud.secrets[json.loads(body)["SecretId"]]
                    return self.answer(200, json.dumps({"SecretString": value}), "application/x-amz-json-1.1")
                words = dict(urllib.parse.parse_qsl(body))
                cloud.calls.append((time.time(), words["Action"], words))
                action = words["Action"]
                return self.answer(200, f"<{action}Response><{action}Result/></{action}Response>", "text/xml")

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def named(self, action: str) -> list[dict[str, str]]:
        return [words for _, name, words in self.calls if name == action]

    def at(self, action: str) -> float:
        return next(at for at, name, _ in self.calls if name == action)


@pytest.fixture
def cloud():
    found = Cloud()
    yield found
    found.server.shutdown()
    found.server.server_close()


SETS = json.dumps({"default": {"auto_scaling_group": "asg", "deployment_group": "-"}})


class TestRules:
    """One round after the other, with a clock, a worker and an AWS of our own."""

    @pytest.fixture
    def one(self, tmp_path, cloud):
        return self.keeper(tmp_path, cloud)

    def keeper(self, tmp_path, cloud, **more) -> keeper.Keeper:
        import boto3

        self.now = getattr(self, "now", 1_800_000_000.0)
        self.worker: int | None = getattr(self, "worker", None)
        env = {
            "DUCTWORK_STATE": str(tmp_path),
            "DUCTWORK_WORKER_SET": "default",
            "DUCTWORK_WORKER_SETS": SETS,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"{cloud.endpoint}/metadata",
        }
        client = boto3.client("autoscaling", region_name=REGION, endpoint_url=cloud.endpoint)
        found = keeper.Keeper(
            env,
            metadata.metadata(env),
            client,
            main_pid=lambda _: self.worker,
            clock=lambda: self.now,
            **more,
        )
        return found

    @pytest.fixture(autouse=True)
    def no_report(self, monkeypatch):
        self.reports = 0
        self.told: list[list[str]] = []

        def run(command, **_):
            self.told.append(command[3:])
            self.reports += "--since" in command
            return subprocess.CompletedProcess(command, 0, "cut short: dag run a (try 1)\n", "")

        monkeypatch.setattr(keeper.subprocess, "run", run)

    @pytest.fixture
    def task(self, tmp_path):
        """Starts and ends tasks: processes with a mark, as worker_signals makes it."""
        started = []

        def start() -> subprocess.Popen:
            process = subprocess.Popen(["sleep", "3600"])
            started.append(process)
            (tmp_path / "tasks").mkdir(exist_ok=True)
            (tmp_path / "tasks" / str(process.pid)).touch()
            return process

        yield start
        for process in started:
            process.kill()
            process.wait()

    def protection(self, cloud) -> list[str]:
        return [words["ProtectedFromScaleIn"] for words in cloud.named("SetInstanceProtection")]

    def test_protection_is_on_at_once_and_off_a_minute_later(self, one, cloud, task, tmp_path):
        one.round()
        assert self.protection(cloud) == []
        process = task()
        one.round()
        one.round()
        assert self.protection(cloud) == ["true"]
        assert cloud.named("SetInstanceProtection")[0]["AutoScalingGroupName"] == "asg"
        assert cloud.named("SetInstanceProtection")[0]["InstanceIds.member.1"] == "i-1"
        (tmp_path / "tasks" / str(process.pid)).unlink()
        for _ in range(12):
            one.round()
            assert self.protection(cloud) == ["true"]
            self.now += 5
        one.round()
        assert self.protection(cloud) == ["true", "false"]
        task()
        one.round()
        assert self.protection(cloud) == ["true", "false", "true"]
        assert cloud.tokens == 1

    def test_a_restarted_keeper_takes_back_what_the_one_before_left(self, one, cloud):
        """A host that is idle for a minute after the start may have kept its protection."""
        one.round()
        self.now += 61
        one.round()
        assert self.protection(cloud) == ["false"]

    def test_dead_processes_and_their_namesakes_are_not_busy(self, one, cloud, task, tmp_path):
        process = task()
        process.kill()
        process.wait()
        os.utime(tmp_path / "tasks" / str(process.pid))
        (tmp_path / "tasks" / str(os.getpid())).touch()
        os.utime(tmp_path / "tasks" / str(os.getpid()), (1, 1))  # this number was another process's then
        assert keeper.busy_pids(tmp_path / "tasks") == []
        assert list((tmp_path / "tasks").iterdir()) == []

    def test_a_refused_protection_is_tried_again(self, one, cloud, task, monkeypatch):
        task()
        refused = [True, False]

        def call(**words):
            if refused.pop(0):
                raise RuntimeError("The instance i-1 is not in InService")

        monkeypatch.setattr(one.autoscaling, "set_instance_protection", call)
        one.round()
        assert one.protected is None
        one.round()
        assert one.protected is True

    def test_drains_until_the_last_process_has_ended(self, one, cloud, task, tmp_path, caplog):
        caplog.set_level(logging.INFO, "ductwork")
        process, worker = task(), subprocess.Popen(["sleep", "3600"])
        self.worker = worker.pid
        one.round()
        cloud.state = "Terminated"
        one.round()
        assert gate.closed_file(one.env).exists()
        assert worker.wait(120) == -signal.SIGTERM
        assert process.poll() is None, "tasks are not signalled"
        assert len(cloud.named("RecordLifecycleActionHeartbeat")) == 1
        self.worker = None
        for number in range(1, 25 * 720):  # 25 hours: no budget
            self.now += 5
            if number % 12 == 0:
                one.round()
        assert len(cloud.named("RecordLifecycleActionHeartbeat")) == 25 * 60
        assert cloud.named("CompleteLifecycleAction") == []
        (tmp_path / "tasks" / str(process.pid)).unlink()
        self.now += 5
        one.round()
        one.round()
        done = cloud.named("CompleteLifecycleAction")
        assert len(done) == 1
        assert {key: done[0][key] for key in ("LifecycleHookName", "AutoScalingGroupName", "InstanceId")} == {
            "LifecycleHookName": "drain", "AutoScalingGroupName": "asg", "InstanceId": "i-1"}  # fmt: skip
        assert done[0]["LifecycleActionResult"] == "CONTINUE"
        assert self.reports == 1
        assert "cut short: dag run a (try 1)" in caplog.messages
        beats = len(cloud.named("RecordLifecycleActionHeartbeat"))
        self.now += 300
        one.round()
        assert len(cloud.named("RecordLifecycleActionHeartbeat")) == beats, "nothing more after the end"

    def test_a_worker_that_starts_during_the_drain_is_stopped_too(self, one, cloud):
        """Its supervisor had started it before the gate closed."""
        cloud.state = "Terminated"
        first, second = subprocess.Popen(["sleep", "3600"]), subprocess.Popen(["sleep", "3600"])
        for process in (first, second):
            self.worker = process.pid
            one.round()
            assert process.wait(120) == -signal.SIGTERM
            assert cloud.named("CompleteLifecycleAction") == []
        self.worker = None
        one.round()
        assert len(cloud.named("CompleteLifecycleAction")) == 1

    def test_a_worker_that_waits_at_the_gate_has_ended(self, one, cloud):
        cloud.state = "Terminated"
        waiting = subprocess.Popen(["sleep", "3600"])
        self.worker = waiting.pid
        gate.waiting_file(one.env).write_text(str(waiting.pid))
        one.round()
        assert waiting.poll() is None
        assert len(cloud.named("CompleteLifecycleAction")) == 1
        waiting.kill()
        waiting.wait()

    def test_a_restarted_keeper_goes_on_with_the_drain(self, one, cloud, task, tmp_path):
        task()
        cloud.state = "Terminated"
        one.round()
        began = gate.closed_file(one.env).stat().st_mtime
        again = self.keeper(tmp_path, cloud)
        again.round()
        assert gate.closed_file(again.env).stat().st_mtime == began
        assert cloud.named("CompleteLifecycleAction") == []

    def test_metadata_that_does_not_answer_changes_nothing(self, one, cloud, task):
        task()
        cloud.state = "Terminated"
        one.round()
        one.metadata = metadata.Metadata("http://127.0.0.1:9")
        one.round()
        assert one.ending is not None
        assert gate.closed_file(one.env).exists()
        fresh = one.metadata.get
        with pytest.raises(OSError, match="refused"):
            fresh("instance-id")

    def test_a_token_that_has_run_out_is_renewed(self, one, cloud):
        one.metadata._token = "old"
        one.round()
        assert one.instance == "i-1"
        assert cloud.tokens == 1

    def test_an_action_that_is_over_already_is_no_fault(self, one, cloud, monkeypatch):
        cloud.state = "Terminated"
        answers = [
            RuntimeError("slow down"),
            RuntimeError("No active Lifecycle Action found with instance ID i-1"),
        ]

        def call(**_):
            raise answers.pop(0)

        monkeypatch.setattr(one.autoscaling, "complete_lifecycle_action", call)
        one.round()
        assert not one.completed
        one.round()
        assert one.completed

    def test_a_spot_interruption_tells_tasks_to_end_in_time(self, one, cloud, task):
        process = task()
        deadline = datetime.fromtimestamp(self.now + 120, tz=timezone.utc)
        cloud.notice = json.dumps({"action": "terminate", "time": deadline.strftime("%Y-%m-%dT%H:%M:%SZ")})
        one.round()
        assert gate.closed_file(one.env).exists()
        assert cloud.calls == [], "there is no lifecycle action to wait for"
        self.now += 85
        one.round()
        assert process.poll() is None
        assert self.told == []
        self.now += 5
        one.round()
        assert process.wait(120) == -signal.SIGTERM
        assert self.told == [["--told", "--why", "Spot interruption"]], "EC2 may leave no time for it later"
        # Auto Scaling's own end of the host comes after it
        cloud.state = "Terminated"
        one.round()
        assert len(cloud.named("CompleteLifecycleAction")) == 1

    def test_a_host_that_a_rollout_replaces_works_on_and_then_has_a_budget(self, one, cloud, task, tmp_path):
        one.env = {**one.env, "DUCTWORK_DRAIN_SECONDS": "86400"}
        self.now = time.time()  # the drain begins by the clock of the file system
        worker = subprocess.Popen(["sleep", "3600"])
        self.worker = worker.pid
        process = task()
        # One that does not end when it is told to.
        stubborn = subprocess.Popen(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"],
                                    stdout=subprocess.PIPE)  # fmt: skip
        assert stubborn.stdout
        stubborn.stdout.readline()
        (tmp_path / "tasks" / str(stubborn.pid)).touch()
        cloud.state = "Standby"
        one.round()
        assert worker.poll() is None
        assert not gate.closed_file(one.env).exists(), "it takes tasks until others have come"
        one = self.keeper(tmp_path, cloud)  # one that is started again in between
        one.env = {**one.env, "DUCTWORK_DRAIN_SECONDS": "86400"}
        cloud.state = "Terminated"
        one.round()
        assert worker.wait(120) == -signal.SIGTERM
        self.worker = None
        closed = gate.closed_file(one.env)
        os.utime(closed, (self.now, self.now))
        self.now += 86400 - 31
        one.round()
        assert process.poll() is None
        self.now += 1
        one.round()
        assert process.wait(120) == -signal.SIGTERM
        why = "a rollout has replaced this host"
        assert self.told == [["--told", "--why", why]]
        self.now += 29
        one.round()
        assert stubborn.poll() is None
        assert cloud.named("CompleteLifecycleAction") == []
        self.now += 1
        one.round()
        assert stubborn.wait(120) == -signal.SIGKILL
        one.round()
        assert self.told[1:] == [["--since", str(closed.stat().st_mtime), "--why", why]]
        assert len(cloud.named("CompleteLifecycleAction")) == 1

    def test_a_host_that_is_back_from_standby_is_ended_by_scaling_as_any_other(self, one, cloud):
        for state in ("Standby", "InService", "Terminated"):
            cloud.state = state
            one.round()
        assert one.ending == keeper.Ending("Auto Scaling ends this host", None, hooked=True)

    def test_an_odd_notice_still_drains(self, one, cloud):
        cloud.notice = "soon"
        one.round()
        assert one.ending == keeper.Ending("Spot interruption", None)

    def test_a_host_that_comes_back_works_again(self, one, cloud):
        cloud.notice = json.dumps({"action": "stop", "time": "2027-01-15T08:02:00Z"})
        one.round()
        assert gate.closed_file(one.env).exists()
        cloud.notice = None
        one.round()
        assert not gate.closed_file(one.env).exists()

    def test_a_host_outside_of_auto_scaling_calls_nobody(self, tmp_path, cloud, task):
        cloud.state = None
        one = self.keeper(tmp_path, cloud)
        one.env = {**one.env, "DUCTWORK_WORKER_SETS": "{}"}
        task()
        one.round()
        assert cloud.calls == []
        assert (tmp_path / "keeper.beat").read_text() == str(os.getpid())


# Stands for `airflow celery worker`: Celery itself, with the pool, signals and warm shutdown of the real one, and a
# broker of files. The long task lasts until the test says `go`, and uploads its log when the test says `upload`.
WORKER = """#!{python}
import os, sys, time
from pathlib import Path
from celery import Celery, bootsteps
from celery.signals import worker_shutdown
root = Path(os.environ["DUCTWORK_HOST_ROOT"])
app = Celery("fake")
app.conf.update(broker_url="filesystem://", imports=["ductwork_airflow.extensions.worker_signals"], task_acks_late=True,
    worker_prefetch_multiplier=1, broker_transport_options={{"data_folder_in": str(root / "broker"),
    "data_folder_out": str(root / "broker"), "control_folder": str(root / "control")}})
def note(text):
    with open(root / "notes", "a") as file: file.write(f"{{time.time()}} {{text}}\\n")
@app.task(name="work")
def work(name):
    note(f"{{name}} begins")
    wait = lambda word: name == "long" and not (root / word).exists()
    while wait("go"): time.sleep(0.1)
    note(f"{{name}} success")
    while wait("upload"): time.sleep(0.1)
    note(f"{{name}} uploaded")
class Taking(bootsteps.ConsumerStep):
    requires = ("celery.worker.consumer.tasks:Tasks",)
    def get_consumers(self, channel): return []
    def stop(self, consumer): note("takes no more")
app.steps["consumer"].add(Taking)
@worker_shutdown.connect
def ended(**_): note("worker ended")
assert sys.argv[1:3] == ["celery", "worker"]
app.worker_main(["worker", "-P", "prefork", "-c", "2", "-l", "WARNING", "--without-mingle", "--without-gossip"])
"""


def settings(postgres: dict[str, str], cloud: Cloud, root: Path) -> dict[str, str]:
    """airflow.env as far as worker and keeper read it."""
    cloud.secrets = {
        "db": json.dumps({"username": postgres["username"], "password": postgres["password"]}),
        "fernet": "f" * 43,
        "api": "a" * 64,
    }
    return {
        "AIRFLOW_HOME": str(root / "var/lib/ductwork/airflow"),
        "PYTHONPATH": str(root / "opt/ductwork/revision"),
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": cloud.endpoint,
        "DUCTWORK_LOCAL": "True",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"{cloud.endpoint}/metadata",
        "DUCTWORK_DATABASE_ENGINE": "postgres",
        "DUCTWORK_DATABASE_HOST": postgres["host"],
        "DUCTWORK_DATABASE_PORT": postgres["port"],
        "DUCTWORK_DATABASE_NAME": "keeper",
        "DUCTWORK_DATABASE_SECRET_ARN": "db",
        "DUCTWORK_FERNET_KEY_SECRET_ARN": "fernet",
        "DUCTWORK_API_SECRET_ARN": "api",
        "DUCTWORK_BROKER_KIND": "sqs",
        "DUCTWORK_QUEUES": "default",
        "DUCTWORK_STATE": str(root / "var/lib/ductwork"),
        "DUCTWORK_WORKER_SET": "default",
        "DUCTWORK_WORKER_SETS": SETS,
        "DUCTWORK_REVISION": "a" * 64,
    }


@pytest.fixture
def drain_database(postgres):
    """What drain.py asks at the end."""
    url = new_database(postgres, "keeper")
    with database.open_url(url) as connection:
        connection.exec_driver_sql(
            "create table task_instance (dag_id text, run_id text, task_id text, map_index int, try_number int,"
            " pid int, state text, hostname text, last_heartbeat_at timestamptz, start_date timestamptz)"
        )


@pytest.fixture
def host(postgres, cloud, drain_database):
    """A worker host: real units, wrapper, run.py, gate and keeper."""
    with temporary_root() as root:
        host = Host(root, cloud.endpoint, "worker keeper", "default")
        host.env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = f"{cloud.endpoint}/metadata"
        revision_tree(root / "opt/ductwork/revision")
        for folder in ("var/lib/ductwork", "var/log/ductwork", "broker", "control"):
            (root / folder).mkdir(parents=True)
        venv = root / "opt/ductwork/venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
        packages = next(venv.glob("lib/python3*/site-packages"))
        (packages / "airflow.pth").write_text(next(path for path in sys.path if path.startswith(sys.prefix)
                                                   and path.endswith("site-packages")))  # fmt: skip
        (venv / "bin/airflow").write_text(WORKER.format(python=sys.executable))
        (venv / "bin/airflow").chmod(0o755)
        lines = "".join(f"{key}={value}\n" for key, value in settings(postgres, cloud, root).items())
        (root / "etc/ductwork/airflow.env").write_text(lines)
        supervisord = host.boot()
        yield host
        supervisord.terminate()
        supervisord.wait(120)


def notes(host: Host) -> dict[str, float]:
    """When what happened."""
    file = host.root / "notes"
    lines = file.read_text().splitlines() if file.exists() else []
    return {text: float(at) for at, _, text in (line.partition(" ") for line in lines)}


def send(host: Host, name: str) -> None:
    """A message in the worker's queue."""
    from celery import Celery

    folders = {"data_folder_in": str(host.root / "broker"), "data_folder_out": str(host.root / "broker"),
               "control_folder": str(host.root / "control")}  # fmt: skip
    with Celery("fake", broker="filesystem://") as app:
        app.conf.broker_transport_options = folders
        app.send_task("work", [name])


def rounds(state: Path, count: int) -> None:
    """Waits until the keeper has ended so many more rounds, 5 s each."""
    beat = state / "keeper.beat"
    for _ in range(count):
        last = beat.stat().st_mtime_ns
        wait_for("a round of the keeper", lambda last=last: beat.stat().st_mtime_ns != last)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_host_with_a_running_task_ends_after_its_last_log(host, cloud):
    state = host.root / "var/lib/ductwork"
    for component in ("worker", "keeper"):
        assert (
            host.svc("install", component, "3").returncode == 0
        )  # the budget of rollouts: shorter than the task
        assert host.svc("start", component).returncode == 0
    wait_for("worker", (state / "worker.ready").exists)
    wait_for("keeper", (state / "keeper.beat").exists)
    assert cloud.named("SetInstanceProtection") == []

    send(host, "long")
    wait_for("protection", lambda: cloud.named("SetInstanceProtection"))
    assert cloud.named("SetInstanceProtection")[0]["ProtectedFromScaleIn"] == "true"
    assert "long success" not in notes(host)

    cloud.state = "Terminated"
    wait_for("gate", (state / "worker.closed").exists)
    send(host, "last")  # in the moment between: it may be taken, and is finished then
    wait_for("heartbeat", lambda: cloud.named("RecordLifecycleActionHeartbeat"))
    wait_for("the end of taking tasks", lambda: "takes no more" in notes(host))
    send(host, "late")
    rounds(state, 2)
    assert "long success" not in notes(host), "it goes on beyond the budget of a rollout"
    assert cloud.named("CompleteLifecycleAction") == []
    (host.root / "go").touch()
    wait_for("end of the task", lambda: "long success" in notes(host))
    rounds(state, 1)
    assert cloud.named("CompleteLifecycleAction") == [], "its log is not uploaded yet"
    (host.root / "upload").touch()
    wait_for("completion", lambda: cloud.named("CompleteLifecycleAction"))

    happened = notes(host)
    assert happened["long uploaded"] <= happened["worker ended"] <= cloud.at("CompleteLifecycleAction")
    assert ("last begins" in happened) == ("last uploaded" in happened)
    assert happened.get("last uploaded", 0) <= happened["worker ended"]
    assert "late begins" not in happened, "a task that came after the end was left to other hosts"
    wait_for("the next worker at the gate", (state / "worker.waiting").exists)
    rounds(state, 1)
    assert "late begins" not in notes(host)
    said = (host.root / "var/log/ductwork/keeper.log").read_text()
    assert "Auto Scaling ends this host: the worker takes no more tasks, 1 are running" in said
    assert "drained: no task was cut short" in said
    assert not list((state / "tasks").iterdir())
    assert host.svc("stop", "worker").returncode == 0
    supervisor = (host.root / "var/log/supervisord.log").read_text()
    assert "with SIGKILL" not in supervisor, "one that waits ends by itself"
