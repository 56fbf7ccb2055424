"""A task's database: who waits for its migration, and the migration itself, on a real Postgres with real Airflow."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
import taskkit
from conftest import AIRFLOW, new_database, wait_for
from hostkit import temporary_root
from test_images_settings import container
from test_settings import OUTPUTS, SECRETS

from ductwork_airflow.hosts import database, gate
from ductwork_airflow.images import migration
from ductwork_airflow.release import heads

FOLDERS = list(heads.TABLES.values())


@pytest.mark.parametrize("folder", FOLDERS)
def test_revisions_are_those_that_alembic_finds(folder):
    from alembic.script import ScriptDirectory

    place = heads.package() / folder
    alembic = ScriptDirectory(str(place.parent))
    found = heads.scripts(place)
    assert found.heads == set(alembic.get_heads())
    assert found.known == {script.revision for script in alembic.walk_revisions()}


def test_the_tables_are_those_of_airflow():
    from airflow.providers.fab.auth_manager.models.db import FABDBManager

    assert list(heads.TABLES) == ["alembic_version", FABDBManager.version_table_name]


class TestHeads:
    """What the database says of itself."""

    @pytest.fixture
    def connection(self, postgres):
        with database.open_url(new_database(postgres, "heads")) as connection:
            yield connection

    def at(self, connection, table: str, revision: str) -> None:
        connection.exec_driver_sql(f"create table if not exists {table} (version_num text)")
        connection.exec_driver_sql(f"truncate {table}")
        database.rows(connection, f"insert into {table} values (:revision) returning 1", revision=revision)

    def test_older_tables_are_waited_for_and_newer_ones_are_not(self, connection):
        ours = {table: heads.scripts(heads.package() / folder) for table, folder in heads.TABLES.items()}
        assert len(heads.lacking(connection)) == 2, "an empty database"
        for table, scripts in ours.items():
            self.at(connection, table, *scripts.heads)
        assert heads.lacking(connection) == []
        older = min(ours["alembic_version"].known - ours["alembic_version"].heads)
        self.at(connection, "alembic_version", older)
        [told] = heads.lacking(connection)
        assert f"`alembic_version` is at {older} instead of" in told
        self.at(connection, "alembic_version", "0123456789ab")
        assert heads.lacking(connection) == [], (
            "of a newer Airflow, which this image has been rolled back from"
        )


def test_waits_until_the_migration_has_run_and_says_so_once(tmp_path, caplog):
    caplog.set_level("INFO", "ductwork")
    env = {"DUCTWORK_STATE": str(tmp_path / "state")}
    answers = ["at nothing", "at nothing", "the database does not answer", None]
    slept = []

    def sleep(seconds: float) -> None:
        assert gate.waits(env, os.getpid(), "scheduler")
        slept.append(seconds)

    migration.wait(env, "scheduler", lambda: answers.pop(0), lambda: 0.0, sleep)
    assert slept == [migration.PAUSE_SECONDS] * 3
    assert not gate.waiting_file(env, "scheduler").exists()
    assert caplog.messages == [
        "waiting for the migration: at nothing",
        "waiting for the migration: the database does not answer",
    ]


def test_a_migration_that_never_runs_is_a_failure_after_half_an_hour(tmp_path):
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    with pytest.raises(
        migration.NotMigratedError, match="waited 30 minutes for the migration: at nothing; deploy"
    ):
        migration.wait(
            {"DUCTWORK_STATE": str(tmp_path)}, "worker", lambda: "at nothing", lambda: now[0], sleep
        )
    assert now[0] == pytest.approx(migration.LIMIT_SECONDS, abs=2 * migration.PAUSE_SECONDS)


def test_a_database_that_is_away_is_waited_for():
    look = migration.looker("postgresql+psycopg2://u:secret@127.0.0.1:1/x")
    told = look()
    assert told.startswith("the database does not answer: OperationalError")
    assert "secret" not in told


def test_a_migration_that_is_under_way_is_waited_for(postgres, monkeypatch):
    """The tables are there, the users are not yet."""
    monkeypatch.setattr(heads, "lacking", lambda connection: [])
    url = new_database(postgres, "under_way")
    look = migration.looker(url)
    with database.open_url(url) as migrating:
        assert database.lock(migrating, "migrate", wait=False)
        assert look() == "it is under way"
        database.unlock(migrating, "migrate")
        assert look() is None
        assert database.lock(migrating, "migrate", wait=False), "whoever looks keeps nothing"


def on(postgres: dict[str, str], name: str, component: str, root: Path) -> dict[str, str]:
    """A container whose database is this one."""
    outputs = OUTPUTS | {
        "DatabaseHost": postgres["host"],
        "DatabasePort": postgres["port"],
        "DatabaseName": name,
    }
    revision = root / "opt/ductwork/revision"
    if not revision.exists():
        revision.parent.mkdir(parents=True)
        revision.symlink_to(AIRFLOW)
    login = json.dumps({key: postgres[key] for key in ("username", "password")})
    environ = container(component, outputs, Local="true") | {"DUCTWORK_SECRET_DATABASE": login}
    return (
        environ | taskkit.of_image(root, root / f"state-{component}") | {"AWS_EC2_METADATA_DISABLED": "true"}
    )


@pytest.fixture
def agent():
    found = taskkit.Agent()
    yield found
    found.close()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_migrations_at_once_migrate_once_and_the_waiting_component_starts(postgres, waiting):
    with temporary_root() as root:
        url = new_database(postgres, "migrated")
        waits = waiting(root)
        environ = on(postgres, "migrated", "migrate", root)
        both = [begin(environ | {"AIRFLOW_HOME": str(root / str(number))}) for number in range(2)]
        said = [process.communicate(timeout=1500)[0] for process in both]
        assert [process.returncode for process in both] == [0, 0], said
        schema = sorted(
            line for text in said for line in text.splitlines() if line.startswith("database schema")
        )
        assert schema == ["database schema: migrated", "database schema: nothing to do"], said
        users = sorted(line for text in said for line in text.splitlines() if line.startswith("user "))
        assert users == ["user admin: nothing to do", "user admin: set",
                         "user service: nothing to do", "user service: set"]  # fmt: skip
        check_start(waits, root)
        with database.open_url(url) as connection:
            assert heads.lacking(connection) == []
            names = [row[0] for row in database.rows(connection, "select username from ab_user order by 1")]
            assert names == ["admin", "service"]
        once = begin(
            environ | {"DUCTWORK_SECRET_ADMIN": json.dumps({"username": "admin", "password": "b" * 32})}
        )
        third = once.communicate(timeout=1500)[0]
        assert (once.returncode, "user admin: set" in third) == (0, True), third
        hidden = [json.loads(SECRETS["arn:admin"])["password"], postgres["password"]]
        assert not [one for one in hidden if one in "".join([*said, third])]


def begin(environ: dict[str, str]) -> subprocess.Popen[str]:
    """The migration's task."""
    return subprocess.Popen(
        [*taskkit.START, "migrate"], env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.fixture
def waiting(postgres, agent):
    """Starts a scaler, which is a small program, before there are tables; one that waits is a healthy one."""
    started = []

    def start(root: Path) -> subprocess.Popen[bytes]:
        environ = on(postgres, "migrated", "scaler", root) | agent.variables
        log = (root / "scaler.log").open("wb")
        started.append(subprocess.Popen([*taskkit.START, "scaler"], env=environ, stderr=log))
        wait_for("the wait", lambda: "waiting for the migration" in (root / "scaler.log").read_text())
        assert health(environ, "scaler").returncode == 0
        return started[0]

    yield start
    for process in started:
        process.kill()
        process.wait()


def health(environ: dict[str, str], component: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*taskkit.HEALTH, component], env=environ, capture_output=True, text=True, check=False
    )


def check_start(process: subprocess.Popen[bytes], root: Path) -> None:
    """It became the scaler, under the same number, and ends by SIGTERM."""
    log = root / "scaler.log"
    wait_for("its start", lambda: f"starting scaler of image {taskkit.DIGEST}" in log.read_text())
    wait_for("its lead", lambda: "this host leads" in log.read_text() or process.poll() is not None)
    assert process.poll() is None, log.read_text()
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == -signal.SIGTERM
