"""MySQL as metadata database, a real one that allows TLS only, as RDS does: drivers, locks, and a host's migration."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import serverkit
from conftest import AIRFLOW, PATIENCE_SECONDS, ROOT, wait_for
from hostkit import Host, begin_anew, make_stack, temporary_root

from ductwork_airflow import contract
from ductwork_airflow.extensions import health_app, mysql_tls
from ductwork_airflow.hosts import connections, database, drain, health, install
from ductwork_airflow.hosts.index import Index
from ductwork_airflow.release import told
from ductwork_airflow.scaling import scaler

LOGIN = {"username": "air flow", "password": "p@ss:w/rd%41#?&"}
NAME, OTHER, CELERY = "air/flow", "another environment", "celery"
HEADERS = "no header files of MySQL's client, which mysqlclient is built with: apt-get install libmariadb-dev"
TOOLS = Path(os.environ.get("DUCTWORK_VENVS") or ROOT / ".ductwork/venvs")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The port."""
    with serverkit.mysql(LOGIN, (NAME, OTHER, CELERY)) as port:
        yield port


def can_build() -> bool:
    """Whether mysqlclient finds what it is built with."""
    names = ("mysqlclient", "libmariadb")
    return bool(shutil.which("pkg-config")) and any(
        subprocess.run(["pkg-config", "--exists", name], check=False).returncode == 0 for name in names
    )


@pytest.fixture(scope="module")
def venvs(server, tmp_path_factory) -> Iterator[Path]:
    """A host's environments: Airflow's is the one of this process, with the drivers that `install` adds."""
    if not can_build():
        pytest.skip(HEADERS)
    folder = tmp_path_factory.mktemp("venvs")
    added = folder / f"airflow-{install.short_digest(AIRFLOW / 'requirements.lock')}"
    packages = make_environment(added)
    locks = (AIRFLOW / "requirements-mysql.lock", AIRFLOW / "tools.lock")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DUCTWORK_INIT", "supervisord")
        assert install.driver(TOOLS, added, *locks)
        patch.setattr(sys, "path", [*sys.path, str(packages)])
        yield folder


def make_environment(folder: Path) -> Path:
    """An environment that finds Airflow in the one of this process; its packages."""
    uv = install.uv(TOOLS, AIRFLOW / "tools.lock", Index())
    install.command(uv, "venv", "--quiet", "--python", sys.executable, folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "airflow.pth").write_text(f"{next(p for p in sys.path if p.endswith('site-packages'))}\n")
    program = folder / "bin/airflow"
    program.write_text(f"#!{folder}/bin/python\nfrom airflow.__main__ import main\nmain()\n")
    program.chmod(0o755)
    (folder / install.COMPLETE).touch()
    return packages


@pytest.fixture
def url(venvs, server) -> str:
    """As a host makes it on AWS."""
    return url_of(NAME, server)


def url_of(name: str, port: str, *, tls: bool = True) -> str:
    """The URL of one of the databases."""
    parts = (LOGIN["username"], LOGIN["password"], "127.0.0.1", port, name)
    return connections.own_database("mysql", parts, tls=tls)


@pytest.fixture
def open_url(venvs) -> Iterator:
    """`database.open_url`; all connections are closed in the end."""
    made = []

    def open_url(url: str):
        made.append(database.open_url(url))
        return made[-1]

    yield open_url
    for connection in made:
        connection.close()


CIPHER = "show session status like 'Ssl_cipher'"


class TestUrls:
    """Each of the three URLs, with the driver that Airflow uses for it."""

    def test_the_connection_is_encrypted_and_in_utc(self, url, open_url):
        connection = open_url(url)
        assert database.rows(connection, CIPHER)[0][1]
        found = database.rows(connection, "select @@session.time_zone, @@character_set_connection")
        assert tuple(found[0]) == ("+00:00", "utf8mb4")

    def test_the_asynchronous_one_too(self, url):
        from sqlalchemy import text
        from sqlalchemy.ext.asyncio import create_async_engine

        async def cipher() -> str:
            given = mysql_tls.CONNECT_ARGUMENTS
            engine = create_async_engine(connections.async_database(url), connect_args=given)
            async with engine.connect() as connection:
                found = (await connection.execute(text(CIPHER))).all()
            await engine.dispose()
            return found[0][1]

        assert asyncio.run(cipher())

    def test_celery_keeps_results(self, venvs, server):
        from celery import Celery

        backend = Celery(backend=connections.result_backend(url_of(CELERY, server))).backend
        backend.store_result("id", {"rows": 3}, "SUCCESS")
        assert backend.get_result("id") == {"rows": 3}


class TestLock:
    """One at a time over all hosts of an environment."""

    def test_another_host_waits_until_the_connection_ends(self, url, open_url):
        one, other = open_url(url), open_url(url)
        assert database.lock(one, "test", wait=True)
        assert not database.lock(other, "test", wait=False)
        one.close()
        wait_for("the end of its session", lambda: database.lock(other, "test", wait=False))
        database.unlock(other, "test")
        assert database.lock(open_url(url), "test", wait=False)

    def test_environments_on_one_server_have_locks_of_their_own(self, url, open_url, server):
        assert database.lock(open_url(url), "test", wait=False)
        assert database.lock(open_url(url_of(OTHER, server)), "test", wait=False)

    def test_a_silent_leader_loses_it(self, url, open_url):
        silent, other = open_url(url), open_url(url)
        scaler.be_mortal(silent, 1)
        assert database.lock(silent, scaler.LOCK, wait=False)
        wait_for("the end of its session", lambda: database.lock(other, scaler.LOCK, wait=False))
        silent.invalidate()  # there is nothing left to close


@pytest.fixture
def host(aws, server, venvs) -> Iterator[Host]:
    """A host of an environment on AWS whose database is this one; nothing of Airflow runs on it."""
    place = {
        "DatabaseEngine": "mysql",
        "DatabaseHost": "127.0.0.1",
        "DatabasePort": server,
        "DatabaseName": NAME,
    }
    begin_anew(aws)
    make_stack(LOGIN | {"host": "", "port": "", "database": ""}, place, Local="false")
    with temporary_root() as root:
        host = Host(root, aws, "api-server scheduler")
        host.env |= {
            "DUCTWORK_VENVS": str(venvs),
            "DUCTWORK_UV": str(install.uv(TOOLS, AIRFLOW / "tools.lock", Index())),
        }
        supervisord = host.boot()
        yield host
        supervisord.terminate()
        supervisord.wait(120)


def said(host: Host) -> str:
    """What a whole AfterInstall says."""
    done = host.hook("after_install")
    assert done.returncode == 0
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_host_makes_airflows_tables_once_and_brings_older_ones_up(host, s3, url, open_url):
    host.download()
    assert host.hook("before_install").returncode == 0
    host.install()
    first = said(host)
    assert "database schema: migrated" in first
    assert "user admin: set" in first
    second = said(host)
    assert "drivers of MySQL: nothing to do" in second
    assert "database schema: nothing to do" in second
    assert "user admin: nothing to do" in second
    go_back(host, "3.0.0")
    refused = host.hook("after_install")
    assert "nobody has asked this host to migrate" in refused.stdout + refused.stderr
    ask_to_migrate(s3)
    assert "database schema: migrated" in said(host)
    check_questions(url, open_url(url))


def ask_to_migrate(s3) -> None:
    """As the release tool does, before hosts get a revision with a newer Airflow."""
    wanted = {"direction": told.UP, "heads": told.of_this_airflow().heads}
    key = contract.migration_key("test")
    s3.put_object(Bucket="artifacts", Key=key, Body=json.dumps(wanted).encode())


def go_back(host: Host, version: str) -> None:
    """The tables of an older Airflow."""
    words = ("db", "downgrade", "--to-version", version, "--yes")
    command = ["bash", str(host.root / "opt/ductwork/revision/bin/airflow"), *words]
    done = subprocess.run(command, env=host.env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def check_questions(url: str, connection) -> None:
    """What our own programs ask Airflow's tables."""
    from sqlalchemy import text

    now = time.time()
    scheduler_runs = health.Process("scheduler", os.getpid(), now - 60)
    assert "not registered" in health.job_fault(connection, scheduler_runs, now)
    statement = """insert into job (job_type, state, hostname, start_date, latest_heartbeat)
        values ('SchedulerJob', 'running', :host, utc_timestamp(6) - interval 9 second, utc_timestamp(6))"""
    connection.execute(text(statement), {"host": database.hostname()})
    assert health.job_fault(connection, scheduler_runs, time.time()) is None
    assert health_app.read(url)["components"]["scheduler"]["running"] == 1
    assert scaler.look(connection, now).ages["SchedulerHeartbeatAge"] < PATIENCE_SECONDS
    assert drain.cut_short(connection, database.hostname(), now) == []
