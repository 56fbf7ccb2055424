"""Hooks in odd states, and what they are made of; the good way is in test_host_end_to_end.py."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy
from conftest import AIRFLOW, PATIENCE_SECONDS, ROOT, tool, wait_for
from hostkit import Host, temporary_root

from ductwork_airflow.hosts import connections, database, drain, envfile, health, install


def url(login: dict[str, str]) -> str:
    """Of the test's Postgres, its maintenance database."""
    parts = (login["username"], login["password"], "127.0.0.1", login["port"], "postgres")
    return connections.own_database("postgresql", parts, tls=False)


def execute(connection, statement: str, **values) -> None:
    """A statement without rows."""
    connection.execute(sqlalchemy.text(statement), values)


HOOKS = sorted((AIRFLOW / "host/hooks").iterdir())
SCRIPTS = [*HOOKS, *(AIRFLOW / "host/bin").iterdir(), *(ROOT / "dev").glob("*.sh")]


def test_scripts_are_short_and_clean():
    assert len(HOOKS) == 5
    done = subprocess.run([tool("shellcheck"), *map(str, SCRIPTS)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    for script in SCRIPTS:
        lines = script.read_text().splitlines()
        assert len(lines) <= 60, script
        assert "set -euo pipefail" in lines, script
        assert os.access(script, os.X_OK), script


def test_appspec_names_every_hook():
    import yaml

    spec = yaml.safe_load((AIRFLOW / "host/appspec.yml").read_text())
    named = {entry["location"] for event in spec["hooks"].values() for entry in event}
    assert named == {f"hooks/{hook.name}" for hook in HOOKS}
    assert list(spec["hooks"]) == [
        "ApplicationStop",
        "BeforeInstall",
        "AfterInstall",
        "ApplicationStart",
        "ValidateService",
    ]
    assert spec["os"] == "linux"
    assert spec["files"] == [{"source": "/", "destination": "/opt/ductwork/revision"}]


@pytest.fixture
def host():
    """A bare host with supervisord."""
    with temporary_root() as root:
        host = Host(root, components="worker")
        supervisord = host.boot()
        host.download()
        yield host
        supervisord.terminate()
        supervisord.wait(120)


def test_stopping_succeeds_when_nothing_or_only_half_is_installed(host):
    assert host.hook("application_stop").returncode == 0
    assert host.hook("before_install").returncode == 0
    assert host.hook("before_install").returncode == 0
    assert host.svc("install", "worker", "5").returncode == 0  # a unit, but neither code nor environment
    stopped = host.hook("application_stop")
    assert stopped.returncode == 0
    said = (host.root / "var/log/ductwork/worker.log").read_text()
    assert "could not find out" in said, "what a hook says on success reaches nobody"


def test_a_hook_runs_nothing_by_its_execute_bit(host):
    """The agent makes the hook itself executable, nothing else."""
    assert host.hook("application_stop").returncode == 0
    others = [path for path in host.archive.rglob("*") if path.is_file() and path.name != "application_stop"]
    assert not [path for path in others if os.access(path, os.X_OK)]
    assert host.hook("before_install").returncode == 0
    host.install()
    (host.root / "etc/ductwork/airflow.env").write_text("DUCTWORK_COMPONENTS=\n")
    assert host.hook("application_start").returncode == 0


def test_before_install_removes_the_files_of_the_revision_before(host):
    old = host.root / "opt/ductwork/revision/plugins/__pycache__/gone.pyc"
    old.parent.mkdir(parents=True)
    old.touch()
    assert host.hook("before_install").returncode == 0
    assert not old.exists()


@pytest.mark.parametrize(
    ("components", "told", "asked"),
    [("api-server worker", "down", True), ("api-server", "up", False), ("scheduler worker", "down", False)],
)
def test_the_newer_code_takes_its_migrations_back_before_it_is_removed(host, components, told, asked):
    """By its own modules and environment; what it answers decides whether the older code may come."""
    before = host.root / "opt/ductwork/revision"
    before.mkdir(parents=True)
    python = host.root / "opt/ductwork/venv/bin/python"
    python.parent.mkdir(parents=True)
    said = host.root / "said"
    python.write_text(
        f'#!/bin/sh\n[ "$2" != ductwork_airflow.release.told ] || {{ echo {told}; exit 1; }}\n'
        f'echo "$PYTHONPATH $*" >"{said}"\nexit 3\n'
    )
    python.chmod(0o755)
    (host.root / "etc/ductwork/airflow.env").write_text(f"DUCTWORK_COMPONENTS={components}\n")
    done = host.hook("before_install")
    assert (done.returncode, said.exists(), before.exists()) == (
        (3, True, True) if asked else (0, False, False)
    )
    if asked:
        assert said.read_text() == f"{before} -m ductwork_airflow.release.migrate back\n"


def test_the_components_of_a_host_come_in_the_order_of_their_start(host):
    file = host.root / "etc/ductwork/airflow.env"
    file.write_text("DUCTWORK_COMPONENTS=worker scheduler triggerer\n")
    command = ["bash", str(AIRFLOW / "host/bin/components"), "here"]
    assert subprocess.check_output(command, env=host.env, text=True) == "scheduler triggerer worker\n"


def test_validate_says_what_is_wrong(host, monkeypatch):
    """A component that does not run is named with its reason, and the hook fails."""
    monkeypatch.setattr(health.services, "main_pid", lambda component: None)
    faults = health.wait(["worker", "scheduler"], {}, lambda: None, 0.0)
    assert faults == {"worker": "it does not run", "scheduler": "it does not run"}


class TestInstall:
    """The locked environment, with an installer that only records."""

    @pytest.fixture
    def made(self, tmp_path, monkeypatch):
        calls: list[list[str]] = []

        def command(*words, env=None):
            calls.append([str(word) for word in words])
            if words[1] == "venv":
                (Path(words[-1]) / "bin").mkdir(parents=True)

        monkeypatch.setattr(install, "command", command)
        monkeypatch.setenv("DUCTWORK_UV", "/bin/uv")
        monkeypatch.setattr(install.index, "of_host", install.Index)
        (tmp_path / "requirements.lock").write_text("x==1\n")
        (tmp_path / "tools.lock").write_text("uv==1\n")

        def make() -> Path:
            return install.environment(
                tmp_path / "venvs", tmp_path / "requirements.lock", tmp_path / "tools.lock"
            )

        return make, calls

    def test_once_and_by_hash(self, made):
        make, calls = made
        folder = make()
        assert folder.name == f"airflow-{install.short_digest(folder.parent.parent / 'requirements.lock')}"
        assert [call[1] for call in calls] == ["venv", "pip"]
        assert "--require-hashes" in calls[1]
        make()
        assert len(calls) == 2, "a complete environment costs nothing"

    def test_a_half_made_environment_is_made_anew(self, made):
        make, calls = made
        folder = make()
        (folder / install.COMPLETE).unlink()
        (folder / "half").touch()
        assert make() == folder
        assert not (folder / "half").exists()
        assert len(calls) == 4

    def test_hosts_that_share_environments_take_turns(self, made, monkeypatch):
        make, calls = made
        at_the_lock = threading.Semaphore(0)
        take, run = install.fcntl.flock, install.command

        def flock(handle, kind):
            at_the_lock.release()
            take(handle, kind)

        def command(*words, env=None):
            if words[1] == "venv":
                assert all(at_the_lock.acquire(timeout=PATIENCE_SECONDS) for _ in range(4))
            run(*words, env=env)

        monkeypatch.setattr(install.fcntl, "flock", flock)
        monkeypatch.setattr(install, "command", command)
        threads = [threading.Thread(target=make) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(calls) == 2

    def test_a_failed_install_is_told_with_the_installers_words(self, tmp_path):
        with pytest.raises(RuntimeError, match="the words"):
            install.command("sh", "-c", "echo the words >&2; exit 3")

    def test_the_drivers_of_mysql_are_added_once(self, made, tmp_path, monkeypatch):
        make, calls = made
        folder = make()
        calls.clear()
        (tmp_path / "mysql.lock").write_text("y==1\n")

        def add() -> bool:
            return install.driver(
                tmp_path / "venvs", folder, tmp_path / "mysql.lock", tmp_path / "tools.lock"
            )

        monkeypatch.setenv("DUCTWORK_INIT", "supervisord")
        assert add()
        (call,) = calls
        assert {"--require-hashes", "--no-build-isolation", str(folder / "bin/python")} <= set(call)
        assert not add()
        (tmp_path / "mysql.lock").write_text("y==2\n")
        monkeypatch.delenv("DUCTWORK_INIT")
        assert add()
        assert [call[0] for call in calls[1:]] == ["dnf", "/bin/uv"], "a compiler first, where systemd is"

    def test_a_host_without_mysql_adds_nothing(self, tmp_path, monkeypatch):
        monkeypatch.setenv("DUCTWORK_HOST_ROOT", str(tmp_path))
        monkeypatch.setattr(install, "driver", lambda *_: pytest.fail("added"))
        envfile.write_lines(envfile.airflow_file(), {"DUCTWORK_DATABASE_KIND": "postgresql"})
        assert install.main(["--driver"]) == 0

    def test_old_environments_are_removed_but_for_a_few(self, tmp_path):
        for number in range(5):
            (tmp_path / f"airflow-{number}").mkdir()
            os.utime(tmp_path / f"airflow-{number}", (number, number))
        install.remove_old(tmp_path, tmp_path / "airflow-0")
        assert sorted(folder.name for folder in tmp_path.iterdir()) == ["airflow-0", "airflow-3", "airflow-4"]


class TestDatabase:
    """Questions to a real Postgres, on the few columns of Airflow's tables that they read."""

    @pytest.fixture
    def connection(self, postgres):
        connection = database.open_url(url(postgres))
        execute(connection, "create temp table job (id serial, job_type text, hostname text, state text,"
                            " start_date timestamptz, latest_heartbeat timestamptz)")  # fmt: skip
        execute(connection, "create temp table task_instance (dag_id text, run_id text, task_id text, map_index int,"
                            " try_number int, pid int, state text, hostname text, last_heartbeat_at timestamptz,"
                            " start_date timestamptz)")  # fmt: skip
        yield connection
        connection.close()

    @pytest.mark.parametrize(
        ("hostname", "started", "beat", "words"),
        [
            (None, 0, 0, "not registered"),
            ("another-host", 0, 5, "not registered"),
            ("", -60, 5, "not registered"),  # the job of the process before
            ("", 0, 0, "no heartbeat since"),
            ("", 0, 5, None),
            ("", 0, -1, "no heartbeat since"),
        ],
    )
    def test_only_this_hosts_own_heartbeat_since_its_start_counts(
        self, connection, hostname, started, beat, words
    ):
        now = datetime.now(timezone.utc)
        begun = now - timedelta(seconds=10)
        if hostname is not None:
            execute(
                connection,
                "insert into job (job_type, hostname, state, start_date, latest_heartbeat) values"
                " ('SchedulerJob', :host, 'running', :started, :beat)",
                host=hostname or database.hostname(),
                started=begun + timedelta(seconds=started),
                beat=begun + timedelta(seconds=beat),
            )
        process = health.Process("scheduler", 1, begun.timestamp())
        fault = health.job_fault(connection, process, now.timestamp())
        assert (fault is None) if words is None else (words in fault)
        if words is None:
            assert "s ago" in health.job_fault(connection, process, now.timestamp() + 60)

    def test_what_was_cut_short_is_told_and_nothing_else(self, connection):
        now = time.time()
        here = database.hostname()
        rows = [
            ("a", "running", here, 999_999_999, now - 5),  # its process is gone: cut short
            ("b", "running", here, os.getpid(), now - 5),  # lives on
            ("c", "success", here, 999_999_999, now - 5),
            ("d", "running", "another-host", 999_999_999, now - 5),
            ("e", "running", here, 999_999_999, now - 900),  # was dead before the stop
        ]
        insert = """insert into task_instance
            values ('dag', 'run', :task, -1, 2, :pid, :state, :host, to_timestamp(:beat), now())"""
        for task, state, host, pid, beat in rows:
            execute(connection, insert, task=task, pid=pid, state=state, host=host, beat=beat)
        lost = drain.cut_short(connection, here, now, lambda pid, since: pid == os.getpid())
        assert [str(instance) for instance in lost] == ["dag run a (try 2)"]
        working = drain.in_work(connection, here, now, lambda pid, since: pid == os.getpid())
        assert [task.task_id for task in working] == ["b"], "what is about to be told to end"

    def test_a_dead_task_is_dead_also_as_a_zombie_or_with_a_namesake(self):
        child = subprocess.Popen(["sleep", "3600"])
        assert drain.alive(child.pid, time.time())
        assert not drain.alive(child.pid, time.time() - 60), (
            "a process that began after the stop is another one"
        )
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not drain.alive(child.pid, time.time())
        child.wait()
        assert not drain.alive(child.pid, time.time())
        assert not drain.alive(None, time.time())

    def test_what_a_killed_worker_left_is_ended_and_nothing_else(self, tmp_path, monkeypatch):
        monkeypatch.setenv("DUCTWORK_HOST_ROOT", str(tmp_path))
        marked = {
            "PATH": os.environ["PATH"],
            "DUCTWORK_HOST_ROOT": str(tmp_path),
            "DUCTWORK_COMPONENT": "worker",
        }
        mine = subprocess.Popen(["sleep", "3600"], env=marked, start_new_session=True)
        others = [
            subprocess.Popen(["sleep", "3600"], env=marked | {"DUCTWORK_COMPONENT": "scheduler"}),
            subprocess.Popen(["sleep", "3600"], env=marked | {"DUCTWORK_HOST_ROOT": "/elsewhere"}),
        ]
        assert drain.end_leftovers("worker") == [mine.pid]
        assert mine.wait(120) == -9
        for other in others:
            assert other.poll() is None
            other.kill()
            other.wait()

    def test_one_at_a_time_over_all_hosts(self, connection, postgres):
        other = database.open_url(url(postgres))
        order = []

        def second() -> None:
            with database.taking_turns(other, "migrate"):
                order.append("second")

        with database.taking_turns(connection, "migrate"):
            assert not database.lock(other, "migrate", wait=False)
            assert database.lock(other, "another", wait=False)
            thread = threading.Thread(target=second)
            thread.start()
            waiting = "select 1 from pg_locks where locktype = 'advisory' and not granted"
            wait_for("the second one waits", lambda: connection.exec_driver_sql(waiting).fetchall())
            order.append("first")
        thread.join(120)
        assert order == ["first", "second"]
        assert database.lock(other, "migrate", wait=False), "given back"
        other.close()
        wait_for("a lock ends with its connection", lambda: database.lock(connection, "migrate", wait=False))


def test_the_recorded_hostname_is_the_one_of_airflow():
    from airflow.utils.net import get_hostname

    assert database.hostname() == get_hostname()


def test_smoke_reads_its_revision_from_the_environment():
    text = (AIRFLOW / "ductwork_airflow/smoke/ductwork_smoke.py").read_text()
    assert "DUCTWORK_REVISION" in text
