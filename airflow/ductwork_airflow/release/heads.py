"""Whether the database has the tables of the Airflow that is installed here, asked without importing Airflow.

Airflow's own check (`db.check_migrations`) costs seconds of each start, and it calls tables that are newer than this
Airflow unready: after a rollback it would wait for ever. The revisions are read from the scripts as alembic names them.
"""

from __future__ import annotations

import ast
import importlib.util
import re
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


def package() -> Path:
    """The folder of Airflow, which is not imported for this."""
    spec = importlib.util.find_spec("airflow")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("Airflow is not installed")
    return Path(spec.origin).parent


def scripts(folder: Path) -> Scripts:
    """What the scripts say of themselves."""
    known: set[str] = set()
    followed: set[str] = set()
    for file in folder.glob("*.py"):
        assigned = dict(_ASSIGNED.findall(file.read_text(encoding="utf-8")))
        if "revision" in assigned:
            known.add(ast.literal_eval(assigned["revision"]))
            before = ast.literal_eval(assigned.get("down_revision", "None"))
            followed |= {before} if isinstance(before, str) else set(before or ())
    return Scripts(frozenset(known), frozenset(known - followed))


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
    for table, folder in TABLES.items():
        known, heads = scripts(package() / folder)
        there = recorded(connection, table)
        if there <= known and there != heads:
            found.append(
                f"`{table}` is at {', '.join(sorted(there)) or 'nothing'} instead of {', '.join(sorted(heads))}"
            )
    return found
