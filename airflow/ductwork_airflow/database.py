"""A plain connection to Airflow's database, for questions that must not cost seconds of importing Airflow."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from typing import Any

from ductwork_airflow import secret


def connect(env: Mapping[str, str], fetch: secret.Fetch, patience_seconds: float = 30.0) -> Any:
    """A psycopg2 connection in autocommit mode; waits for a database that is just coming up."""
    import psycopg2

    login: dict[str, Any] = dict(secret.database(env, fetch))
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            connection = psycopg2.connect(connect_timeout=5, application_name="ductwork", **login)
        except psycopg2.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)
        else:
            connection.autocommit = True
            return connection


def hostname() -> str:
    """The name under which Airflow records jobs and tasks of this host (same rule as airflow.utils.net.getfqdn)."""
    name = socket.gethostname()
    try:
        found = socket.getaddrinfo(name, None, 0, socket.SOCK_DGRAM, 0, socket.AI_CANONNAME)
    except OSError:
        return name
    return next((address[3] for address in found if address[3]), name)
