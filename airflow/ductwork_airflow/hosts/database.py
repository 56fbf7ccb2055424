"""A plain connection to Airflow's database, for questions that must not cost seconds of importing Airflow.

SQLAlchemy Core, so that the same words reach Postgres and MySQL: `text()` with `:names`.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ductwork_airflow.hosts import secret

if TYPE_CHECKING:
    from sqlalchemy import Connection


CONNECT_SECONDS = 5
LONGEST_WAIT_SECONDS = 3600  # for a lock of MySQL; Postgres waits on
# Locks of Postgres belong to a database, those of MySQL to the whole server, which may keep several environments.
_MYSQL_LOCK = "concat(:name, '-', left(sha2(database(), 256), 32))"
# A peer that has vanished is noticed within seconds, not after the kernel's two hours.
_KEEPALIVE = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


def engine_options(url: str, read_seconds: int | None = None) -> dict[str, Any]:
    """How we connect: not for ever, and with the session's time zone in which Airflow writes its dates."""
    from sqlalchemy.pool import NullPool

    arguments: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS}
    if url.startswith("postgresql"):
        arguments |= {"application_name": "ductwork", **_KEEPALIVE}
    else:
        arguments |= {"init_command": "SET time_zone = '+00:00'"}
        arguments |= {"read_timeout": read_seconds} if read_seconds else {}
    return {"poolclass": NullPool, "isolation_level": "AUTOCOMMIT", "connect_args": arguments}


def open_url(url: str, patience_seconds: float = 30.0) -> Connection:
    """A connection in autocommit mode; waits for a database that is just coming up."""
    from sqlalchemy import create_engine
    from sqlalchemy.exc import OperationalError

    engine = create_engine(url, **engine_options(url))
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            return engine.connect()
        except OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


def connect(env: Mapping[str, str], fetch: secret.Fetch, patience_seconds: float = 30.0) -> Connection:
    """A connection to the database of this environment, in autocommit mode. The caller closes it."""
    return open_url(secret.database_url(env, fetch), patience_seconds)


def rows(connection: Connection, query: str, **values: Any) -> list[Any]:
    """All rows of a query with `:names`."""
    from sqlalchemy import text

    return list(connection.execute(text(query), values).fetchall())


def utc(value: datetime) -> datetime:
    """A date of the database with its time zone: MySQL gives it without."""
    return value if value.tzinfo else value.replace(tzinfo=timezone.utc)


def lock(connection: Connection, name: str, *, wait: bool) -> bool:
    """Takes the lock `name` of the whole environment; it ends with the connection, so a killed process frees it."""
    if connection.dialect.name == "mysql":
        query = f"select get_lock({_MYSQL_LOCK}, {LONGEST_WAIT_SECONDS if wait else 0})"
        return rows(connection, query, name=f"ductwork-{name}")[0][0] == 1
    query = f"select pg_{'' if wait else 'try_'}advisory_lock(hashtextextended(:name, 0))"
    answer = rows(connection, query, name=f"ductwork-{name}")[0][0]
    return wait or bool(answer)  # who has waited is told nothing


def unlock(connection: Connection, name: str) -> None:
    """Gives the lock back."""
    if connection.dialect.name == "mysql":
        query = f"select release_lock({_MYSQL_LOCK})"
    else:
        query = "select pg_advisory_unlock(hashtextextended(:name, 0))"
    rows(connection, query, name=f"ductwork-{name}")


@contextmanager
def taking_turns(connection: Connection, name: str) -> Iterator[None]:
    """One at a time over all hosts."""
    if not lock(connection, name, wait=True):
        raise TimeoutError(f"another host has held the lock `{name}` for {LONGEST_WAIT_SECONDS} s")
    try:
        yield
    finally:
        unlock(connection, name)


def hostname() -> str:
    """The name under which Airflow records jobs and tasks of this host (same rule as airflow.utils.net.getfqdn)."""
    name = socket.gethostname()
    try:
        found = socket.getaddrinfo(name, None, 0, socket.SOCK_DGRAM, 0, socket.AI_CANONNAME)
    except OSError:
        return name
    return next((address[3] for address in found if address[3]), name)
