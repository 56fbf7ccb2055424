"""How long a DAG release takes until Airflow has it, by the number of DAGs, beside Airflow's own loop.

    python3 bench/dags.py                     # 10, 100, 500 and 2000 DAGs; or name other numbers
    python3 bench/dags.py --ours 2000         # without Airflow's own loop, which takes long

Starts a PostgreSQL as the local cloud does, an S3, and the dag-processor as a program: once with this project's sweeps,
once as Airflow ships it. Both use the same bundle class, settings, database and DAGs. Each DAG has a file of its own,
and all of them import one helper package. Seconds count from the move of the pointer until the database has the DAGs
from the new bundle. CPU seconds are those of the dag-processor and all that it starts, without PostgreSQL.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
VENVS = Path(os.environ.get("DUCTWORK_VENVS") or ROOT / ".ductwork/venvs")
REGION = "us-east-1"
REPEATS = 3
LOGIN = ("airflow", "bench", "airflow")  # user, password, database
POINTER = "environments/bench/current.json"
BUCKET = "artifacts"

DAG = '''"""Number {number} of many: a day's orders of one shop."""
from datetime import datetime

from airflow.sdk import DAG, task
from shared.steps import clean, notify, owner, store

with DAG("{name}", schedule="@daily", start_date=datetime(2026, 1, 1), catchup=False,
         tags=["bench"], default_args={{"owner": owner()}}):
    @task
    def fetch():
        return {edit}

    store("{name}")(clean()(fetch())) >> notify()
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


@dataclass(frozen=True)
class Tree:
    """A bundle of many DAGs; `edit` is in the file of one of them, `helper` in the package that all use."""

    kind: str
    number: int
    edit: int = 0
    helper: int = 0

    def name(self, one: int) -> str:
        return f"{self.kind}{self.number}_{one:04}"

    def edited(self) -> str:
        return self.name(self.number // 2)

    def files(self) -> dict[str, str]:
        names = [self.name(one) for one in range(self.number)]
        edit = {self.edited(): self.edit}
        dags = {
            f"shops/{name}.py": DAG.format(name=name, number=one, edit=edit.get(name, 0))
            for one, name in enumerate(names)
        }
        return dags | HELPERS | {"shared/steps.py": STEPS.format(edit=self.helper)}


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


def _digest(lock: str) -> str:
    """As the release tool names the environment of a lock."""
    return hashlib.sha256((ROOT / lock).read_bytes()).hexdigest()[:12]


def dev_bin() -> Path:
    """Programs of the dev environment."""
    return VENVS / f"dev-{_digest('dev/requirements.lock')}/bin"


@contextlib.contextmanager
def bucket(folder: Path) -> Iterator[str]:
    """The address of an S3."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running(
        [dev_bin() / "moto_server", "-H", "127.0.0.1", "-p", str(port)], dict(os.environ), folder / "s3.log"
    ):

        def answers() -> bool:
            try:
                return urllib.request.urlopen(f"{url}/moto-api/", timeout=1).status == 200  # noqa: S310
            except OSError:
                return False

        patiently("S3", answers)
        yield url


def settings(folder: Path, port: int, endpoint: str) -> dict[str, str]:
    """The environment of a dag-processor, in all that matters here as on a host."""
    home = folder / "airflow"
    home.mkdir()
    (home / "airflow.cfg").touch()
    user, password, database = LOGIN
    bundles = [
        {
            "name": "dags",
            "classpath": "ductwork_airflow.extensions.bundle.S3DigestBundle",
            "kwargs": {"bucket": BUCKET, "pointer_key": POINTER, "refresh_interval": 5},
        }
    ]
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT / "airflow"),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{user}:{password}@127.0.0.1:{port}/{database}",
        "AIRFLOW__CORE__AUTH_MANAGER": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(folder / "bundles"),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
        "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "2",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


COMMANDS = {
    "ours": [sys.executable, "-m", "ductwork_airflow.extensions.dag_processor"],
    "airflow": [Path(sys.executable).with_name("airflow"), "dag-processor"],
}


def _descendants(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [one for child in map(int, children) for one in (child, *_descendants(child))]


def _cpu(pid: int) -> float:
    """Seconds of a process and of its ended children."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


class Processor:
    """A dag-processor and what is released to it."""

    def __init__(self, kind: str, database: Any, s3: Any, process: subprocess.Popen) -> None:
        self.kind, self.database, self.s3, self.process = kind, database, s3, process

    def release(self, tree: Tree) -> str:
        """Moves the pointer and asks Airflow to parse one of the DAGs, as the release tool does."""
        digest, data = zipped(tree.files())
        self.s3.put_object(Bucket=BUCKET, Key=f"bundles/{digest}.zip", Body=data)
        self.s3.put_object(Bucket=BUCKET, Key=POINTER, Body=json.dumps({"bundle": digest}))
        request = (
            "insert into dag_priority_parsing_request (id, bundle_name, relative_fileloc) "
            "select md5(random()::text), bundle_name, relative_fileloc from dag where dag_id = %s"
        )
        with self.database.cursor() as cursor:
            cursor.execute(request, [tree.name(0)])
        return digest

    def live(self, digest: str, dag: str = "%") -> int:
        """How many DAGs Airflow has from the bundle."""
        with self.database.cursor() as cursor:
            cursor.execute(
                "select count(*) from dag where bundle_version = %s and dag_id like %s and not is_stale",
                [digest, dag],
            )
            return cursor.fetchone()[0]

    def cpu(self) -> float:
        """Seconds of the program and of all that it has started."""
        return sum(map(_cpu, [self.process.pid, *_descendants(self.process.pid)]))

    def takes(self, tree: Tree, dag: str = "%") -> tuple[float, float]:
        """Seconds, and CPU seconds, until all DAGs are live, or one of them."""
        number = tree.number if dag == "%" else 1
        began, cpu = time.monotonic(), self.cpu()
        digest = self.release(tree)
        patiently("the release", lambda: self.live(digest, dag) >= number)
        return time.monotonic() - began, self.cpu() - cpu


def measured(processor: Processor, number: int) -> dict[str, float]:
    """One line of the table. The program is warm: it has had a release of another size."""
    tree = Tree(processor.kind, number)
    result = {"new": processor.takes(tree)[0]}
    one = [processor.takes(replace(tree, edit=edit), tree.edited())[0] for edit in range(1, REPEATS + 1)]
    result["one"] = statistics.median(one)
    result["helper"], result["cpu"] = processor.takes(replace(tree, edit=REPEATS, helper=1))
    return result


def validated(folder: Path, number: int) -> float:
    """Seconds of the validator, which runs on the machine of whoever deploys."""
    target = folder / f"validate{number}"
    for name, text in Tree("v", number).files().items():
        (target / "dags" / name).parent.mkdir(parents=True, exist_ok=True)
        (target / "dags" / name).write_text(text)
    command = [sys.executable, "-m", "ductwork_airflow.release.validate", "--dags", str(target / "dags")]
    began = time.monotonic()
    subprocess.run(command, env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "airflow")}, check=True,
                   stdout=subprocess.DEVNULL)  # fmt: skip
    return time.monotonic() - began


def line(number: int, kind: str, figures: dict[str, float], digits: int) -> str:
    """One line of the table."""
    widths = {"new": 10, "one": 12, "helper": 10, "cpu": 10}
    return f"{number:5} {kind:8}" + "".join(
        f"{figures[key]:{width}.{digits}f}" for key, width in widths.items()
    )


def table(folder: Path, numbers: list[int], kinds: list[str]) -> None:
    """Measures and prints, line by line."""
    import boto3
    import psycopg2

    with postgres(folder) as port, bucket(folder) as endpoint:
        env = settings(folder, port, endpoint)
        os.environ.update({key: value for key, value in env.items() if key.startswith("AWS_")})
        with running([COMMANDS["airflow"][0], "db", "migrate"], env, folder / "migrate.log") as migration:
            if migration.wait():
                raise SystemExit((folder / "migrate.log").read_text()[-2000:])
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        user, password, name = LOGIN
        database = psycopg2.connect(host="127.0.0.1", port=port, user=user, password=password, dbname=name)
        database.autocommit = True
        print(
            f"{'DAGs':>5} {'':8}{'all new':>10}{'one edited':>12}{'helper':>10}{'its CPU':>10}{'validator':>11}"
        )
        for number in numbers:
            figures = {}
            for kind in kinds:
                with running(COMMANDS[kind], env, folder / f"{kind}.log") as process:
                    processor = Processor(kind, database, s3, process)
                    processor.takes(Tree(kind, 1))
                    figures[kind] = measured(processor, number)
                check = f"{validated(folder, number):11.1f}" if kind == kinds[0] else ""
                print(line(number, kind, figures[kind], 1) + check, flush=True)
            if len(figures) == 2:
                ratios = {key: figures["ours"][key] / figures["airflow"][key] for key in figures["ours"]}
                print(line(number, "ratio", ratios, 2), flush=True)
        database.close()


def borrow() -> None:
    """Becomes the Python of the Airflow environment, with the dev environment's packages at the end of its path."""
    python = next(VENVS.glob(f"airflow-{_digest('airflow/requirements.lock')}/bin/python"), None)
    if python is None:
        raise SystemExit("error: no Airflow environment; make it with: cargo xtask check")
    if Path(sys.executable) != python:
        os.execv(python, [str(python), *sys.argv])  # noqa: S606
    sys.path[:0] = [str(ROOT)]
    sys.path += map(str, dev_bin().parent.glob("lib/python3*/site-packages"))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description="a DAG release by the number of DAGs, beside Airflow's own loop"
    )
    parser.add_argument("numbers", nargs="*", type=int, default=[10, 100, 500, 2000], help="how many DAGs")
    parser.add_argument("--ours", action="store_true", help="leave Airflow's own loop out")
    options = parser.parse_args()
    borrow()
    with tempfile.TemporaryDirectory(prefix="bench-dags-") as scratch:
        table(Path(scratch), options.numbers, ["ours"] if options.ours else ["ours", "airflow"])


if __name__ == "__main__":
    main()
