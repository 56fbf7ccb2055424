"""The dag-processor with its sweeps, as a program on a real Postgres and S3: who is first, and what if a sweep dies."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest
import sqlalchemy
from conftest import AIRFLOW, REGION, new_database, wait_for
from hostkit import publish

from ductwork_airflow.receipts import notes

pytestmark = pytest.mark.slow
POINTER = "environments/test/current.json"


def parsed_ids(ids: list[str]) -> str:
    """What the note calls a set of DAGs."""
    return hashlib.sha256("".join(f"{one}\n" for one in sorted(ids)).encode()).hexdigest()


def dag(name: str, tag: str = "'plain'", before: str = "") -> str:
    """A DAG that shows in its tag what it was made from; `before` runs first."""
    return (
        f"{before}\nfrom airflow.sdk import DAG\nfrom airflow.providers.standard.operators.empty import EmptyOperator\n"
        f"with DAG({name!r}, schedule=None, tags=[{tag}]):\n    EmptyOperator(task_id='t')\n"
    )


def waiting(gate: Path) -> str:
    """Lines that say that they have begun, and wait while `gate` exists."""
    return (
        f"import os, time\nif os.path.exists({str(gate)!r}):\n    open({str(gate)!r} + '.' + str(os.getpid()), 'w')\n"
        f"while os.path.exists({str(gate)!r}):\n    time.sleep(0.1)\n"
    )


class Program:
    """The dag-processor of a host, its database and its bucket."""

    def __init__(self, s3, login: dict[str, str], folder: Path) -> None:
        self.s3, self.folder, self.log = s3, folder, folder / "log"
        self.bucket = f"sweeps-{time.time_ns()}"
        s3.create_bucket(Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        (folder / "airflow.cfg").touch()
        names = ("PATH", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION",
                 "AWS_DEFAULT_REGION", "AWS_EC2_METADATA_DISABLED")  # fmt: skip
        kwargs = {"bucket": self.bucket, "pointer_key": POINTER, "refresh_interval": 1}
        bundle = {
            "name": "dags",
            "classpath": "ductwork_airflow.extensions.bundle.S3DigestBundle",
            "kwargs": kwargs,
        }
        self.env = {name: os.environ[name] for name in names} | {
            "HOME": str(folder),
            "AIRFLOW_HOME": str(folder),
            "PYTHONPATH": str(AIRFLOW),
            "DUCTWORK_STATE": str(folder / "state"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",  # as on hosts
            "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "500",
            "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "550",
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(folder / "bundles"),
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle]),
            "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
            # Its own: the job of a program that was terminated twice is never ended.
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": new_database(login, "sweeps"),
        }
        subprocess.run([Path(sys.executable).with_name("airflow"), "db", "migrate"], env=self.env, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        self.database = psycopg2.connect(
            host="127.0.0.1", port=login["port"], user=login["username"], password=login["password"],
            dbname="sweeps",
        )  # fmt: skip
        self.database.autocommit = True
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ductwork_airflow.extensions.dag_processor"],
                env=self.env, cwd=folder, stdout=log, stderr=log,
            )  # fmt: skip

    def release(self, files: dict[str, str]) -> str:
        """Moves the pointer to a bundle of these files."""
        return publish(self.s3, files, self.bucket, POINTER)

    def rows(self, sql: str, *values: object) -> list[tuple]:
        with self.database.cursor() as cursor:
            cursor.execute(sql, values)
            return cursor.fetchall() if cursor.description else []

    def live(self, digest: str) -> set[str]:
        """The DAGs that Airflow has from this bundle."""
        return {row[0] for row in self.rows("select dag_id from dag where bundle_version = %s", digest)}

    def noted(self) -> dict[str, Any]:
        """What it has noted for its receipt."""
        return notes.read(self.folder / "state", "dag-processor").get("bundle", {})

    def tags(self, dag_id: str) -> list[str]:
        return sorted(row[0] for row in self.rows("select name from dag_tag where dag_id = %s", dag_id))

    def end(self) -> None:
        """Terminates it; again if need be, as Python swallows what a handler raises during a fork."""
        wait_for("the program's end", lambda: self.process.terminate() or self.process.poll() is not None)

    def children(self) -> list[int]:
        """What the program has started itself: sweepers, and processes for one file."""
        return [
            int(pid)
            for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        ]


@pytest.fixture(scope="module")
def program(s3, postgres, tmp_path_factory):
    made = Program(s3, postgres, tmp_path_factory.mktemp("processor"))
    yield made
    made.end()
    made.database.close()
    print(
        "\n".join(
            line for line in made.log.read_text().splitlines() if " [info " not in line or "weep" in line
        )
    )


def begun(gate: Path, number: int) -> list[Path]:
    """Waits until so many files have come to the gate."""
    return wait_for(
        f"{number} files at the gate",
        lambda: found if len(found := list(gate.parent.glob(f"{gate.name}.*"))) >= number else None,
    )


def paused(monkeypatch, looks: list[tuple[bool, bool]]) -> tuple[float, list[float]]:
    """Seconds of the loop's pause by a clock of the test, and how what came is served; each of the looks sees whether a
    child has answered and whether a release has asked."""
    from ductwork_airflow.extensions import dag_processor

    seen, served, clock = iter(looks), [], SimpleNamespace(now=0.0, asked=False)

    def select(timeout: float) -> list[str]:
        answered, clock.asked = next(seen, (False, False))
        clock.now += 0.0 if answered else timeout
        return ["an answer"] if answered else []

    class Paused(dag_processor.Manager):
        selector = SimpleNamespace(select=select)

        def __init__(self) -> None:
            pass

        def _is_asked(self) -> bool:
            return clock.asked

    monkeypatch.setattr(dag_processor, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(
        dag_processor.DagFileProcessorManager,
        "_service_processor_sockets",
        lambda _, timeout: served.append(timeout),
    )
    Paused()._service_processor_sockets(timeout=1.0)
    return round(clock.now, 3), served


def test_the_loop_pauses_until_a_child_answers_or_a_release_asks(monkeypatch):
    nothing = (False, False)
    assert paused(monkeypatch, []) == (1.0, [0])
    assert paused(monkeypatch, [nothing, (False, True)]) == (0.4, [0])
    assert paused(monkeypatch, [nothing, (True, False)]) == (0.2, [0])


def test_a_release_that_asks_is_seen(program):
    from ductwork_airflow.extensions.dag_processor import asked

    engine = sqlalchemy.create_engine(program.env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    with engine.begin() as connection:
        assert not connection.scalar(asked(["dags"]))
        columns = "id, bundle_name, relative_fileloc"
        request = f"insert into dag_priority_parsing_request ({columns}) values ('{{}}', '{{}}', 'a.py')"
        connection.execute(sqlalchemy.text(request.format("one", "another")))
        assert not connection.scalar(asked(["dags"]))
        connection.execute(sqlalchemy.text(request.format("two", "dags")))
        assert connection.scalar(asked(["dags"]))
        connection.rollback()
    engine.dispose()


def test_what_changed_is_live_before_all_others(program, tmp_path):
    gate = tmp_path / "gate"
    files = {f"many/n{number}.py": dag(f"first{number}", before=waiting(gate)) for number in range(8)}
    files |= {"many/edited.py": dag("first_edited", "'before'")}
    digest = program.release(files)
    wait_for("all DAGs", lambda: len(program.live(digest)) == 9)
    gate.touch()
    digest = program.release(files | {"many/edited.py": dag("first_edited", "'after'")})
    wait_for("the edited DAG", lambda: program.live(digest) == {"first_edited"})
    assert program.tags("first_edited") == ["after"]
    gate.unlink()
    wait_for("all other DAGs", lambda: len(program.live(digest)) == 9)
    ids = ["first_edited", *(f"first{number}" for number in range(8))]
    expected = {"version": digest, "dags": 9, "dag_ids": parsed_ids(ids), "behind": 0, "behind_named": [],
                "import_errors": 0, "import_errors_named": []}  # fmt: skip
    wait_for("the note of all DAGs", lambda: program.noted() == expected)


def test_each_file_is_parsed_for_itself_and_sees_the_variables(program):
    program.rows("insert into variable (key, val, is_encrypted) values ('team', 'shops', false)")
    own = "import os, sys\nsys.path.insert(0, os.path.dirname(__file__))\nimport utils"
    files = {f"{name}/utils.py": f"WORD = {name!r}\n" for name in ("red", "blue")}
    files |= {f"{name}/a.py": dag(f"own_{name}", "utils.WORD", own) for name in ("red", "blue")}
    variable = "from airflow.sdk import Variable"
    files |= {"variable.py": dag("own_variable", "Variable.get('team', default='none')", variable)}
    digest = program.release(files)
    wait_for("the DAGs", lambda: len(program.live(digest)) == 3)
    assert [program.tags(f"own_{name}") for name in ("red", "blue", "variable")] == [
        ["red"],
        ["blue"],
        ["shops"],
    ]

    def stored() -> int:
        own = program.log.read_text().partition("sweeping 3 files")[2]
        return sum(map(int, re.findall(r"a sweep has ended, (\d) of", own)))

    wait_for("the sweepers", lambda: stored() == 3)


def test_a_file_that_fails_is_told_by_airflows_own_loop(program):
    files = {
        "broken.py": dag("broken", before="import no_such_module"),
        "exits.py": "import os # airflow dag\nos._exit(0)",
    }
    digest = program.release(files | {f"n{number}.py": dag(f"beside{number}") for number in range(4)})
    wait_for("the others", lambda: len(program.live(digest)) == 4)
    error = wait_for(
        "the import error", lambda: program.rows("select filename, stacktrace from import_error")
    )
    assert [name for name, _ in error] == ["broken.py"] and "no_such_module" in error[0][1]
    wait_for("the note of it", lambda: program.noted().get("import_errors_named") == ["broken.py"])
    assert program.noted()["version"] == digest


def test_if_the_sweep_dies_the_loop_brings_everything_live(program, tmp_path):
    gate = tmp_path / "gate"
    gate.touch()
    files = {f"n{number}.py": dag(f"dies{number}", "'old'", waiting(gate)) for number in range(6)}
    program.release(files)
    first = begun(gate, 2)
    for pid in program.children():
        os.kill(pid, signal.SIGKILL)
    begun(gate, len(first) + 2)  # the loop's own
    digest = program.release(
        {name: text.replace("'old'", "'new'").replace(str(gate), "/no") for name, text in files.items()}
    )
    wait_for("all DAGs", lambda: len(program.live(digest)) == 6)
    gate.unlink()
    last = program.release({"n0.py": dag("dies0", "'last'")})
    wait_for("the next release", lambda: program.live(last))
    assert [program.tags(f"dies{number}") for number in range(1, 6)] == [["new"]] * 5


def test_a_dead_sweep_alone_delays_nothing_for_good(program, tmp_path):
    gate = tmp_path / "gate"
    gate.touch()
    digest = program.release(
        {f"n{number}.py": dag(f"alone{number}", before=waiting(gate)) for number in range(6)}
    )
    begun(gate, 2)
    for pid in program.children():
        os.kill(pid, signal.SIGKILL)
    gate.unlink()
    wait_for("all DAGs", lambda: len(program.live(digest)) == 6)


def test_two_releases_in_a_row_are_both_written(program):
    digest = program.release({"twice.py": dag("twice", "'one'")})
    wait_for("the first", lambda: program.live(digest))
    digest = program.release({"twice.py": dag("twice", "'two'")})
    wait_for("the second", lambda: program.live(digest))
    (data,) = program.rows("select data from serialized_dag where dag_id = 'twice'")[-1]
    assert "two" in json.dumps(data)


def test_it_ends_with_all_that_it_has_started(program, tmp_path):
    gate = tmp_path / "gate"
    gate.touch()
    program.release({"n.py": dag("end", before=waiting(gate))})
    (mark,) = begun(gate, 1)
    program.end()
    wait_for(
        "the end of the file's process", lambda: not Path("/proc", mark.name.rpartition(".")[2]).exists()
    )
