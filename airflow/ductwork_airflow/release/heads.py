"""Which tables the Airflow that is installed here has, and whether the database has them; without importing Airflow.

Airflow's own check (`db.check_migrations`) costs seconds of each start, and it calls tables that are newer than this
Airflow unready: after a rollback it would wait for ever. The revisions are read from the scripts as alembic names them.

`python -m ductwork_airflow.release.heads` prints Airflow's version and its revisions as JSON: the release tool compares
them with those of the release that runs.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sqlalchemy import Connection

# Tables with the revision of the database, and the folders with the scripts below the package `airflow`.
TABLES = {
    "alembic_version": "migrations/versions",
    "alembic_version_fab": "providers/fab/migrations/versions",
}
_ASSIGNED = re.compile(r"^(revision|down_revision)\b[^=\n]*=\s*(.+)$", re.MULTILINE)


class Scripts(NamedTuple):
    """The migrations of a folder."""

    known: frozenset[str]
    heads: frozenset[str]
    ordered: tuple[str, ...]  # each after those that it follows


def package() -> Path:
    """The folder of Airflow, which is not imported for this."""
    spec = importlib.util.find_spec("airflow")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("Airflow is not installed")
    return Path(spec.origin).parent


def scripts(folder: Path) -> Scripts:
    """What the scripts say of themselves."""
    before: dict[str, tuple[str, ...]] = {}
    for file in sorted(folder.glob("*.py")):
        assigned = dict(_ASSIGNED.findall(file.read_text(encoding="utf-8")))
        if "revision" in assigned:
            down = ast.literal_eval(assigned.get("down_revision", "None"))
            before[ast.literal_eval(assigned["revision"])] = (
                (down,) if isinstance(down, str) else tuple(down or ())
            )
    followed = {revision for downs in before.values() for revision in downs}
    ordered: list[str] = []
    while waiting := [revision for revision in before if revision not in ordered]:
        ready = [one for one in waiting if not any(down in waiting for down in before[one])]
        if not ready:
            raise ValueError(f"the migrations in {folder} follow one another in a circle")
        ordered += ready
    return Scripts(frozenset(before), frozenset(before.keys() - followed), tuple(ordered))


def installed() -> dict[str, Scripts]:
    """The migrations of each table; a provider that is not installed has none."""
    found = {table: scripts(package() / folder) for table, folder in TABLES.items()}
    return {table: each for table, each in found.items() if each.known}


def recorded(connection: Connection, table: str) -> set[str]:
    """The revisions that the database says it has."""
    from sqlalchemy import inspect

    from ductwork_airflow.hosts import database

    if not inspect(connection).has_table(table):
        return set()
    return {str(row[0]) for row in database.rows(connection, f"select version_num from {table}")}  # noqa: S608


def lacking(connection: Connection) -> list[str]:
    """The parts of the database that are older than the Airflow here. A revision that is not known here is a newer
    one: components then work with it, as do those that still run while an upgrade migrates."""
    found = []
    for table, here in installed().items():
        there = recorded(connection, table)
        if there <= here.known and there != here.heads:
            found.append(
                f"`{table}` is at {', '.join(sorted(there)) or 'nothing'} instead of {', '.join(sorted(here.heads))}"
            )
    return found


def is_new(connection: Connection) -> bool:
    """Whether no Airflow has ever made its tables there."""
    return not recorded(connection, "alembic_version")


def unknown(connection: Connection) -> list[str]:
    """The revisions of the database that this Airflow does not know: they are of a newer one."""
    return sorted(
        revision
        for table, here in installed().items()
        for revision in recorded(connection, table) - here.known
    )


def main() -> int:
    """The command line, without arguments."""
    revisions = {table: each.ordered for table, each in installed().items()}
    if "alembic_version" not in revisions:
        sys.stderr.write("error: this Airflow has no migrations\n")
        return 1
    json.dump({"airflow": metadata.version("apache-airflow"), "revisions": revisions}, sys.stdout)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
