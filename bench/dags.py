"""How long a DAG release takes until Airflow has it, by the number of DAGs, beside Airflow's own loop.

    python3 bench/dags.py                     # 10, 100, 500 and 2000 DAGs; or name other numbers
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
VENVS = Path(os.environ.get("DUCTWORK_VENVS") or ROOT / ".ductwork/venvs")
REGION = "us-east-1"
LOGIN = ("airflow", "bench", "airflow")  # user, password, database
POINTER = "environments/bench/current.json"
BUCKET = "artifacts"

DAG = '''"""Number {number} of many: a day's orders of one shop."""
from datetime import datetime

from airflow.sdk import DAG, task
from shared.steps import clean, notify, owner, store

with DAG("shop_{number:04}", schedule="@daily", start_date=datetime(2026, 1, 1), catchup=False,
         tags=["bench", "group{group}"], default_args={{"owner": owner()}}):
    @task
    def fetch():
        return {edit}

    store("shop_{number:04}")(clean()(fetch())) >> notify()
'''
STEPS = '''"""What all shops share."""
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import task

from shared import dates, money, names, texts

EDIT = {edit}

def owner():
    return names.team()

def clean():
    @task(retries=2)
    def clean(order):
        return money.rounded(order)
    return clean

def store(shop):
    @task(task_id="store", doc_md=texts.about(shop))
    def store(order):
        return order
    return store

def notify():
    return BashOperator(task_id="notify", bash_command=f"echo {{dates.today()}} {edit}")
'''
HELPERS = {
    "shared/__init__.py": "",
    "shared/dates.py": "import datetime\n\ndef today():\n    return datetime.date.today().year\n",
    "shared/money.py": "import decimal\n\ndef rounded(amount):\n    return float(decimal.Decimal(amount))\n",
    "shared/names.py": "def team():\n    return 'shops'\n",
    "shared/texts.py": "def about(shop):\n    return f'Stores the orders of {shop}.'\n",
}


def tree(number: int, helper: int = 0, edited: dict[int, int] | None = None) -> dict[str, str]:
    """The files of a bundle of that many DAGs, each in a file of its own and on the same helper package."""
    edits = edited or {}
    dags = {
        f"shops/shop_{one:04}.py": DAG.format(number=one, group=one % 7, edit=edits.get(one, 0))
        for one in range(number)
    }
    return dags | HELPERS | {"shared/steps.py": STEPS.format(edit=helper)}


def zipped(files: dict[str, str]) -> tuple[str, bytes]:
    """A reproducible zip and its digest."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name), text)
    return hashlib.sha256(buffer.getvalue()).hexdigest(), buffer.getvalue()


def free_port() -> int:
    """A port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def patiently(what: str, true: Any, seconds: float = 3600) -> Any:
    """Waits until `true()` is true and returns it."""
    deadline = time.monotonic() + seconds
    while not (value := true()):
        if time.monotonic() > deadline:
            raise SystemExit(f"error: not within {seconds:g} s: {what}")
        time.sleep(0.02)
    return value


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[int]:
    """The PostgreSQL of the local cloud, with its own settings."""
    from localcloud.databases.postgres import Server

    server = Server(folder / "postgres")
    try:
        yield server.create(*LOGIN)
    finally:
        server.stop()


@contextlib.contextmanager
def running(command: list[str | Path], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen]:
    """A program that is ended with what it started."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(word) for word in command], env=environment, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def dev_bin() -> Path:
    lock = ROOT / "dev/requirements.lock"
    return VENVS / f"dev-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}/bin"


@contextlib.contextmanager
def bucket(folder: Path) -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running([dev_bin() / "moto_server", "-H", "127.0.0.1", "-p", str(port)], dict(os.environ), folder / "s3.log"):
        def answers() -> bool:
            try:
                return urllib.request.urlopen(f"{url}/moto-api/", timeout=1).status == 200
            except OSError:
                return False
        patiently("S3", answers)
        yield url


def settings(folder: Path, port: int, endpoint: str) -> dict[str, str]:
    home = folder / "airflow"
    home.mkdir()
    (home / "airflow.cfg").touch()
    user, password, database = LOGIN
    bundles = [{
        "name": "dags", "classpath": "ductwork_airflow.extensions.bundle.S3DigestBundle",
        "kwargs": {"bucket": BUCKET, "pointer_key": POINTER, "refresh_interval": 5},
    }]
    return {
        "PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT / "airflow"),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{user}:{password}@127.0.0.1:{port}/{database}",
        "AIRFLOW__CORE__AUTH_MANAGER": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(folder / "bundles"),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
        "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "2",
        "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true",
    }
