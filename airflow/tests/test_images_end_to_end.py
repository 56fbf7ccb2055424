"""Every component as an ECS task: real Airflow started as its containers start it, on Postgres, SQS and S3.

All start before the database is migrated, as services of a new stack do; wait, and are healthy ones; work after the
migration; a task of Airflow runs on the worker, which ECS has protected, and its log is read through the API from S3.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import boto3
import pytest
import taskkit
from conftest import new_database, wait_for
from hostkit import Api, begin_anew, make_stack, publish, revision_tree, temporary_root
from test_valkey import slow

from ductwork_airflow.hosts import health, run, services
from ductwork_airflow.images import protection

COMPONENTS = ("api-server", "scheduler", "scaler", "dag-processor", "triggerer", "worker")
# Another address than this machine's usual one: the API server of a local cloud listens on that of its task alone.
ADDRESS = "127.64.0.2"
PASSWORDS = ("first-password-of-admin", "password-of-the-service-user", "aB3aB3", "J7wJ7w", "A9pA9p")


class Task:
    """A component in a folder of its own."""

    def __init__(self, root: Path, component: str, environ: dict[str, str]) -> None:
        self.component, self.folder = component, root / component
        self.folder.mkdir()
        self.agent = taskkit.Agent(ADDRESS if component == "api-server" else "127.0.0.1")
        image = taskkit.of_image(root, self.folder / "state")
        revision = root / "opt/ductwork/revision"
        self.env = environ | image | self.agent.variables | {"PYTHONPATH": str(revision)}
        self.log = self.folder / "log"
        self.process = subprocess.Popen(
            [*taskkit.START, component], env=self.env, stdout=self.log.open("wb"), stderr=subprocess.STDOUT, cwd=root,
            start_new_session=True,
        )  # fmt: skip

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def health(self) -> str:
        began = time.monotonic()
        command = [*taskkit.HEALTH, self.component]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, check=False)
        assert done.stderr == ""
        assert (done.returncode == 0) == (done.stdout == f"{self.component} works\n")
        print(f"{done.stdout.strip()}, told within {time.monotonic() - began:.2f} s")
        return done.stdout

    def works(self) -> bool:
        assert self.process.poll() is None, self.said()
        return self.health() == f"{self.component} works\n"

    def started(self) -> bool:
        """The wait for the migration is over; one that waits works, too."""
        return f"starting {self.component} of image" in self.said() and self.works()

    def close(self) -> None:
        for name in (signal.SIGCONT, signal.SIGTERM):
            if self.process.poll() is None:
                self.process.send_signal(name)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.agent.close()


@contextmanager
def tasks(root: Path, variables: dict[str, dict[str, str]]) -> Iterator[dict[str, Task]]:
    """All of them; what they said is shown where the test fails."""
    found: dict[str, Task] = {}
    with ExitStack() as stack:
        try:
            for component in COMPONENTS:
                found[component] = Task(root, component, variables[component])
                stack.callback(found[component].close)
            yield found
        except BaseException:
            for one in found.values():
                print(f"--- {one.component}\n{one.said()[-4000:]}")
            raise


def variables(port: int, outputs: dict[str, str], endpoint: str) -> dict[str, dict[str, str]]:
    """What each container is given; secrets as ECS puts them there."""
    secrets = boto3.client("secretsmanager")
    arns = [value for name, value in outputs.items() if name.endswith("SecretArn")]
    values = {arn: secrets.get_secret_value(SecretId=arn)["SecretString"] for arn in arns}
    parameters = {"AirflowPort": str(port), "AirflowConfig": "{}", "EntryScheme": "none", "EnvironmentVariables": "{}",
                  "Local": "true", "LoginConfig": "{}", "MailConfig": "{}"}  # fmt: skip
    told = outputs | {"ExecutionUrl": f"http://{ADDRESS}:{port}"}
    common = {"AWS_ENDPOINT_URL": endpoint, "AWS_EC2_METADATA_DISABLED": "true"}
    return {
        component: taskkit.variables(told, parameters, values, component) | common
        for component in (*COMPONENTS, "migrate")
    }


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_all_components_wait_migrate_and_work(aws, s3, postgres):
    begin_anew(aws)
    new_database(postgres, "tasks")
    port, outputs = make_stack(postgres | {"database": "tasks"})
    with temporary_root() as root:
        revision_tree(root / "opt/ductwork/revision")
        publish(s3, {"slow.py": slow(root / "go")})
        environ = variables(port, outputs, aws)
        with tasks(root, environ) as running:
            for one in running.values():
                wait_for("the wait", lambda one=one: "waiting for the migration" in one.said())
                assert one.works(), "one that waits is a healthy one"
            migrate(root, environ["migrate"])
            for one in running.values():
                wait_for(f"the work of {one.component}", one.started, pause=1)
            check_run(Api(port), running, s3, root)
            check_what_does_not_work(running)
            check_secrets(root, running)


def migrate(root: Path, environ: dict[str, str]) -> None:
    """The one-off task of the release tool."""
    env = (
        environ
        | taskkit.of_image(root, root / "migrate")
        | {"PYTHONPATH": str(root / "opt/ductwork/revision")}
    )
    env |= {"ECS_CONTAINER_METADATA_URI_V4": "http://127.0.0.1:1/nobody"}
    done = subprocess.run([*taskkit.START, "migrate"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "database schema: migrated" in done.stderr


def check_run(api: Api, running: dict[str, Task], s3, root: Path) -> None:
    """Through SQS to the worker, under protection, and its log back from S3."""
    api.base = api.base.replace("127.0.0.1", ADDRESS)
    worker = running["worker"]
    api.login("admin", "first-password-of-admin")
    for dag in ("ductwork_smoke", "slow"):
        wait_for(f"the DAG {dag}", lambda dag=dag: api.dag(dag))
    assert worker.agent.protections == []
    first = api.trigger("slow")
    wait_for("the slow task", lambda: api.task("slow", first, "wait")["state"] == "running")
    assert worker.agent.wanted == [True]
    assert protection.is_protected(worker.folder / "state", time.time())
    (root / "go").touch()
    wait_for("its end", lambda: api.state("slow", first)["state"] == "success")
    smoke = api.trigger("ductwork_smoke")
    wait_for("the smoke run", lambda: api.state("ductwork_smoke", smoke)["state"] == "success")
    assert api.value("ductwork_smoke", smoke, "report")["revision"] == taskkit.DIGEST
    check_log(api, smoke, s3, worker)


def check_log(api: Api, smoke: str, s3, worker: Task) -> None:
    """From S3: the worker's own copy is gone."""
    prefix = f"airflow/dag_id=ductwork_smoke/run_id={smoke}/"
    wait_for("its log", lambda: s3.list_objects_v2(Bucket="logs", Prefix=prefix).get("KeyCount"))
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(300) == 0
    for file in (worker.folder / "state/logs").rglob("*.log"):
        file.unlink()
    path = f"/api/v2/dags/ductwork_smoke/dagRuns/{smoke}/taskInstances/report/logs/1"
    assert "s3://logs/" in str(api.call("GET", path)["content"])


def check_what_does_not_work(running: dict[str, Task]) -> None:
    """Each is told by its own sign, here of processes that hang."""
    assert running["worker"].health() == "worker does not work: its process has ended\n"
    signs = {"api-server": "no answer from", "scheduler": "no answer from", "dag-processor": "last heartbeat",
             "triggerer": "last heartbeat", "scaler": "its last round was"}  # fmt: skip
    for component in signs:
        os.killpg(running[component].process.pid, signal.SIGSTOP)
    long_ago = time.time() - health.FRESH_ROUND_SECONDS - 1
    beat = run.beat_file(running["scaler"].env, "scaler")
    # A process that has begun later has not had this round.
    begun = services.started(running["scaler"].process.pid)
    os.utime(beat, (max(long_ago, begun + 1),) * 2)
    for component, sign in signs.items():
        told = f"{component} does not work: {sign}"
        wait_for(told, lambda one=running[component], told=told: one.health().startswith(told), pause=1)
    for component in signs:
        os.killpg(running[component].process.pid, signal.SIGCONT)


def check_secrets(root: Path, running: dict[str, Task]) -> None:
    """In no file, and in no argument."""
    written = "".join(file.read_text(errors="replace") for file in root.rglob("*") if file.is_file())
    arguments = "".join(
        Path(f"/proc/{one.process.pid}/cmdline").read_text()
        for one in running.values()
        if one.process.poll() is None
    )
    assert "starting scheduler of image" in written
    assert not [one for one in PASSWORDS if one in written or one in arguments]


def test_a_check_imports_no_airflow():
    """Each half a minute, in every container."""
    code = "import sys, ductwork_airflow.images.health, sqlalchemy; print('airflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=taskkit.of_image(Path("/"), Path("/nowhere")),
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout == "False\n"
