"""Keeps a component of a task from starting before the database has been migrated for its image.

ECS starts services when the stack is made, and starts tasks whenever it likes; the release tool migrates by a task of
its own before it moves any service. A component that waits is a healthy one (`health.py`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from ductwork_airflow.hosts import database, gate
from ductwork_airflow.release import heads

log = logging.getLogger("ductwork.migration")

PAUSE_SECONDS = 5.0
LIMIT_SECONDS = 1800.0

Look = Callable[[], "str | None"]


class NotMigratedError(TimeoutError):
    """Nobody has migrated the database."""


def looker(url: str) -> Look:
    """Asks the database for what is missing; None once nothing is."""

    def look() -> str | None:
        try:
            connection = database.open_url(url, patience_seconds=0)
        except Exception as error:  # whatever a driver calls it: it may come up yet
            return f"the database does not answer: {type(error).__name__}: {error}".splitlines()[0]
        try:
            if lacking := heads.lacking(connection):
                return "; ".join(lacking)
            # The tables are there before the users are: a component that starts in between makes the same permissions.
            if not database.lock(connection, "migrate", wait=False):
                return "it is under way"
            # At once: a server learns only later that the connection has been closed.
            database.unlock(connection, "migrate")
            return None
        finally:
            connection.close()

    return look


def wait(
    env: Mapping[str, str],
    component: str,
    look: Look,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Returns when the database is ready. SIGTERM ends the wait and the process."""
    deadline = clock() + LIMIT_SECONDS

    def reason() -> str | None:
        why = look()
        if why and clock() > deadline:
            raise NotMigratedError(
                f"waited {LIMIT_SECONDS / 60:.0f} minutes for the migration: {why}; deploy, which migrates"
            )
        return why

    def told(why: str) -> None:
        log.info("waiting for the migration: %s", why)

    gate.hold(gate.waiting_file(env, component), reason, told, lambda: sleep(PAUSE_SECONDS))
