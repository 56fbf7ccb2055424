"""Airflow from the container image: every component, a run on a Celery worker, and a stop that lets a task end.

Not part of the suite, since it needs an image and Docker: `xtask/tests/whole/image.rs` makes the one and runs this.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from conftest import free_port, new_database, wait_for
from cryptography.fernet import Fernet
from hostkit import Api, publish
from serverkit import valkey
from test_valkey import slow

IMAGE = os.environ["DUCTWORK_TEST_IMAGE"]
PASSWORD = "of-admin"
COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer", "worker")
# A root file system that nobody writes to, no rights of any kind.
LOCKED = ("--read-only", "--tmpfs", "/tmp", "--tmpfs", "/var/lib/ductwork", "--tmpfs", "/var/log/ductwork",
          "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "host")  # fmt: skip


# Processes that have ended, and that PID 1 has to reap.
LEFT = "for file in /proc/[0-9]*/status; do grep -q '^PPid:.1$' $file && grep '^State:.Z' $file; done | wc -l"


def docker(*words: str | Path) -> str:
    """What Docker says, or its complaint."""
    done = subprocess.run(["docker", *words], check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
    return done.stdout.strip()


@pytest.fixture(scope="module")
def gate() -> Iterator[Path]:
    """A folder that containers see, too."""
    with tempfile.TemporaryDirectory(prefix="dw-image-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="module")
def settings(aws, postgres, gate) -> Iterator[dict[str, str]]:
    """The variables that a platform gives a container."""
    url = new_database(postgres, "image")
    pointer = {"bucket": "artifacts", "pointer_key": "environments/test/current.json", "refresh_interval": 1}
    bundles = [
        {"name": "dags", "classpath": "ductwork_airflow.extensions.bundle.S3DigestBundle", "kwargs": pointer},
        {
            "name": "ductwork",
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": "/opt/ductwork/revision/ductwork_airflow/smoke"},
        },
    ]
    ports = [str(free_port()) for _ in range(4)]
    with valkey(PASSWORD) as port:
        options = {
            "API__HOST": "127.0.0.1",
            "API__PORT": ports[0],
            "API__WORKERS": "1",
            "API__SECRET_KEY": "of-the-api",
            "API_AUTH__JWT_SECRET": "of-the-tokens-of-tasks",
            "CELERY__BROKER_URL": f"redis://:{PASSWORD}@127.0.0.1:{port}/0",
            "CELERY__RESULT_BACKEND": f"db+{url}",
            "CELERY__WORKER_CONCURRENCY": "2",
            "CELERY__OPERATION_TIMEOUT": "300",
            "CORE__AUTH_MANAGER": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
            "CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{ports[0]}/execution/",
            "CORE__EXECUTOR": "CeleryExecutor",
            "CORE__FERNET_KEY": Fernet.generate_key().decode(),
            "DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
            "DATABASE__SQL_ALCHEMY_CONN": url,
            "LOGGING__TRIGGER_LOG_SERVER_PORT": ports[1],
            "LOGGING__WORKER_LOG_SERVER_PORT": ports[2],
            "SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": ports[3],
        }
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_REGION")
        yield (
            {f"AIRFLOW__{name}": value for name, value in options.items()}
            | {
                "AWS_ENDPOINT_URL": aws,
                "DUCTWORK_BEHIND_BALANCER": "False",
            }
            | {name: os.environ[name] for name in names}
        )


@pytest.fixture(scope="module")
def variables(settings, gate) -> Path:
    """The same as a file, so that no secret is in an argument."""
    file = gate.parent / f"{gate.name}.env"
    file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()), encoding="utf-8")
    file.chmod(0o600)
    yield file
    file.unlink()


def once(variables: Path, *words: str) -> str:
    """A command of Airflow in a container of its own."""
    return docker("run", "--rm", *LOCKED, "--env-file", variables, IMAGE, "airflow", *words)


@contextmanager
def container(variables: Path, gate: Path, component: str) -> Iterator[str]:
    """A running component; what it said is shown where the test fails."""
    words = ("run", "--detach", *LOCKED, "--env-file", variables, "--volume", f"{gate}:/gate")
    name = docker(*words, IMAGE, component)
    try:
        yield name
    finally:
        print(f"--- {component}\n{logs(name)[-4000:]}")
        docker("rm", "--force", name)


def logs(name: str) -> str:
    done = subprocess.run(["docker", "logs", name], check=False, capture_output=True, text=True)
    return done.stdout + done.stderr


def runs(name: str) -> bool:
    return docker("inspect", "--format", "{{.State.Running}}", name) == "true"


@pytest.mark.timeout(2400)
def test_airflow_runs_from_the_image(s3, settings, variables, gate) -> None:
    s3.create_bucket(Bucket="artifacts", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    publish(s3, {"slow.py": slow(Path("/gate/go"))})
    once(variables, "db", "migrate")
    once(variables, "users", "create", "--username", "admin", "--password", PASSWORD, "--role", "Admin",
         "--firstname", "A", "--lastname", "D", "--email", "admin@example.com")  # fmt: skip
    with ExitStack() as stack:
        running = {name: stack.enter_context(container(variables, gate, name)) for name in COMPONENTS}
        api = Api(int(settings["AIRFLOW__API__PORT"]))
        wait_for("the API server", lambda: answers(api))
        api.login("admin", PASSWORD)
        for dag in ("ductwork_smoke", "slow"):
            wait_for(f"the DAG {dag}", lambda dag=dag: api.dag(dag))
        run = api.trigger("ductwork_smoke")
        wait_for("the smoke run", lambda: api.state("ductwork_smoke", run)["state"] == "success")
        health = api.call("GET", "/api/v2/monitor/health")
        states = {name: part["status"] for name, part in health.items()}
        assert set(states.values()) == {"healthy"}, states
        check_stop(api, running["worker"], gate)
        assert all(runs(name) for component, name in running.items() if component != "worker")


def answers(api: Api) -> bool:
    try:
        return bool(api.call("GET", "/api/v2/version"))
    except OSError:
        return False


def check_stop(api: Api, worker: str, gate: Path) -> None:
    """PID 1 passes SIGTERM on to the worker alone, which lets its task end; nothing is left unreaped."""
    run = api.trigger("slow")
    wait_for("the slow task", lambda: api.task("slow", run, "wait")["state"] == "running")
    docker("exec", worker, "sh", "-c", "(sleep 0 &)")
    wait_for("the end of what nobody waits for", lambda: docker("exec", worker, "sh", "-c", LEFT) == "0")
    stopping = threading.Thread(target=docker, args=("stop", "--time", "600", worker))
    stopping.start()
    wait_for("the stop of the worker", lambda: "Warm shutdown" in logs(worker))
    assert api.task("slow", run, "wait")["state"] == "running"
    (gate / "go").touch()
    began = time.monotonic()
    stopping.join(600)
    assert not runs(worker), f"the worker did not end within {time.monotonic() - began:.0f} s"
    assert docker("inspect", "--format", "{{.State.ExitCode}}", worker) == "0"
    task = api.task("slow", run, "wait")
    assert (task["state"], task["try_number"]) == ("success", 1)
