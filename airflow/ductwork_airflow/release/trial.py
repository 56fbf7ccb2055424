"""Migrates the scratch database of an upgrade test, by the Airflow that is tried or by the one that runs.

`python -m ductwork_airflow.release.trial up|down`; the database is in Airflow's own environment variable, since
its URL has a password. Nothing of an environment is read: no settings of hosts, no secrets, no AWS.
"""

from __future__ import annotations

import argparse
import json
import sys
from importlib import metadata
from typing import Any

from ductwork_airflow.hosts import database, envfile
from ductwork_airflow.release import heads, migrate, told


class TrialError(RuntimeError):
    """What is tried does not work; the message says what."""


def url() -> str:
    """The scratch database."""
    from airflow.configuration import conf

    return str(conf.get("database", "sql_alchemy_conn"))


def up() -> dict[str, Any]:
    """Migrates as a deployment does; where the database was before, and how many migrations ran."""
    here = heads.installed()
    with database.open_url(url()) as connection:
        before = {table: sorted(heads.recorded(connection, table)) for table in here}
        if newer := heads.unknown(connection):
            raise TrialError(
                f"the database is of a newer Airflow: {metadata.version('apache-airflow')} does not know"
                f" {', '.join(newer)}"
            )
        migrate.upgrade()
        if lacking := heads.lacking(connection):
            raise TrialError(f"the migration has ended, and {'; '.join(lacking)}")
    ran = sum(_between(each, before[table]) for table, each in here.items())
    return {"before": {table: each[0] for table, each in before.items() if each}, "revisions": ran}


def _between(scripts: heads.Scripts, before: list[str]) -> int:
    """How many migrations follow those of before."""
    ordered = scripts.ordered
    return len(ordered) - max((ordered.index(one) + 1 for one in before), default=0)


def down(wanted: dict[str, str]) -> dict[str, Any]:
    """Takes the tables back as a rollback does, and looks whether they are there."""
    with database.open_url(url()) as connection:
        migrate.downgrade({}, connection, told.Told(told.DOWN, wanted))
        for table, revision in wanted.items():
            if (there := heads.recorded(connection, table)) != {revision}:
                raise TrialError(
                    f"`{table}` is at {', '.join(sorted(there)) or 'nothing'} instead of {revision}"
                )
    return {}


def main(arguments: list[str] | None = None) -> int:
    """The command line: prints one line of JSON on the real standard output, whatever Airflow prints."""
    parser = argparse.ArgumentParser(prog="ductwork_airflow.release.trial", description=__doc__)
    parser.add_argument("act", choices=["up", "down"])
    parser.add_argument("--heads", type=json.loads, default={}, help="where `down` leads, by table")
    options = parser.parse_args(arguments)
    answer, sys.stdout = sys.stdout, sys.stderr
    envfile.log_to_stderr()
    try:
        done = up() if options.act == "up" else down(options.heads)
    except (TrialError, migrate.MigrationError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    answer.write(json.dumps(done) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
