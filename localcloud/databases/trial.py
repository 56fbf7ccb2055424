"""`python -m localcloud.databases.trial`: a newer Airflow on a copy of a database, there and back.

The copy is in a server of its own below `--folder`, which is deleted at the end; a run that was killed leaves one that
the next run deletes. What is copied is named by `--source` and only read, by `pg_dump`. Prints what happened as one
JSON document, stage by stage; a stage that cannot run says why.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from localcloud.base.files import remove_tree
from localcloud.databases.postgres import DatabaseFailed, Server, binaries

USER, NAME = "airflow", "airflow"
LAST_LINES = 12
FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"


class Failed(Exception):
    """A stage found that something does not work."""


class Trial:
    """The scratch database and what is known by now."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.server = Server(options.folder / "postgres")
        self.password = secrets.token_urlsafe(24)
        self.before: dict[str, str] = {}
        self.stages: list[dict[str, Any]] = []

    def stage(self, name: str, work: Callable[[], str], lacks: str | None) -> bool:
        """Runs one, unless something is lacking; True if it went well."""
        entry: dict[str, Any] = {"name": name, "outcome": "skipped", "seconds": 0.0, "summary": lacks or ""}
        self.stages.append(entry)
        if lacks:
            return False
        sys.stderr.write(f"{name}\n")
        began = time.monotonic()
        try:
            entry |= {"summary": work(), "outcome": "passed"}
        except (Failed, DatabaseFailed) as error:
            entry |= {"summary": str(error), "outcome": "failed"}
        entry["seconds"] = round(time.monotonic() - began, 1)
        return bool(entry["outcome"] == "passed")

    def run(self) -> None:
        """All stages."""
        there = self.stage("database", self.database, None)
        newer = self.stage("upgrade", self.upgrade, None if there else "there is no database to migrate")
        lacks = None if newer else "the database is not migrated"
        self.stage("smoke", self.smoke, lacks)
        self.stage("downgrade", self.downgrade, lacks)

    def database(self) -> str:
        """A copy, or a new one as the Airflow that runs makes it."""
        self.server.create(USER, self.password, NAME)
        if self.options.source is None:
            self.airflow(self.options.old, "up")
            return "a new one: " + self.options.why
        dump = self.options.folder / "dump"
        host, port, user, name = self.options.source
        theirs = {"PGHOST": host, "PGPORT": port, "PGUSER": user, "PGDATABASE": name}
        theirs["PGPASSWORD"] = os.environ["DUCTWORK_SOURCE_PASSWORD"]
        try:
            _program("pg_dump", theirs, "--format=custom", "--no-owner", "--no-privileges", f"--file={dump}")
            mine = {"PGHOST": "127.0.0.1", "PGPORT": str(self.server.port()), "PGUSER": USER}
            _program(
                "pg_restore", mine | {"PGPASSWORD": self.password}, "--no-owner", "--no-privileges",
                "--exit-on-error", f"--dbname={NAME}", str(dump),
            )  # fmt: skip
            return f"{self.options.why}, {dump.stat().st_size / 1e6:.1f} MB"
        finally:
            dump.unlink(missing_ok=True)

    def upgrade(self) -> str:
        """By the Airflow that is tried."""
        done = self.airflow(self.options.new, "up")
        self.before = done["before"]
        ran = done["revisions"]
        return "nothing to migrate" if ran == 0 else f"{ran} revision{'' if ran == 1 else 's'}"

    def smoke(self) -> str:
        """One run of the DAG of the release tool."""
        self.python(self.options.new, "-m", "airflow", "dags", "test", "ductwork_smoke")
        return "`ductwork_smoke` ran"

    def downgrade(self) -> str:
        """By the same Airflow, to where the database was."""
        self.airflow(self.options.new, "down", "--heads", json.dumps(self.before))
        return "back at " + ", ".join(sorted(self.before.values()))

    def airflow(self, python: str, *words: str) -> dict[str, Any]:
        """An act of `ductwork_airflow.release.trial` by this Python."""
        said = self.python(python, "-m", "ductwork_airflow.release.trial", *words)
        return dict(json.loads(said.strip().splitlines()[-1]))

    def python(self, python: str, *words: str) -> str:
        """A program with the scratch database and no setting of anybody; what it prints."""
        home = self.options.folder / "home"
        home.mkdir(exist_ok=True)
        (home / "airflow.cfg").touch()
        url = f"postgresql+psycopg2://{USER}:{self.password}@127.0.0.1:{self.server.port()}/{NAME}"
        env = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOME": str(home),
            "TMPDIR": str(self.options.folder),
            "PYTHONPATH": str(self.options.airflow),
            "PYTHONDONTWRITEBYTECODE": "1",
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.options.airflow / "ductwork_airflow/smoke"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__AUTH_MANAGER": FAB,
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(home / "plugins"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url,
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        done = subprocess.run(
            [python, *words], env=env, cwd=home, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise Failed(_last(done.stderr or done.stdout).replace(self.password, "…"))
        return done.stdout


def _last(text: str) -> str:
    """What is worth reading of a program that has failed: its own error, or the end of a traceback."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return errors[-1] if errors else "\n".join(lines[-LAST_LINES:]) or "it ended without a word"


def _program(name: str, place: dict[str, str], *words: str) -> None:
    env = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"} | place
    done = subprocess.run(
        [str(binaries() / name), *words], env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Failed(f"{name} ended with {done.returncode}: {_last(done.stderr)}")


def _stopped(*_: object) -> None:
    raise KeyboardInterrupt


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="localcloud.databases.trial", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where everything is that this makes")
    parser.add_argument("--old", required=True, help="the Python of the Airflow that runs")
    parser.add_argument("--new", required=True, help="the Python of the Airflow that is tried")
    parser.add_argument(
        "--airflow", type=Path, required=True, help="the folder of the package ductwork_airflow"
    )
    parser.add_argument("--source", nargs=4, metavar=("HOST", "PORT", "USER", "NAME"), help="what is copied")
    parser.add_argument("--why", required=True, help="in words, what the database is")
    trial = Trial(parser.parse_args(argv))
    trial.options.folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, _stopped)
    try:
        trial.run()
    finally:
        trial.server.destroy()
        remove_tree(trial.options.folder)
    json.dump({"stages": trial.stages}, sys.stdout)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
