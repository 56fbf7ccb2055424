"""Brings the database to the schema of this Airflow and keeps the admin user: `python -m ductwork_airflow.migrate`.

One process for both, because each start of Airflow costs seconds. Safe when several hosts run it at once: they take
turns by an advisory lock, and the second finds nothing to do. The admin's password is that of AdminSecretArn; a user
or password changed by hand is set back, so that the secret is the truth.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ductwork_airflow import database, envfile, secret
from ductwork_airflow.run import component_environment, prepare_home

log = logging.getLogger("ductwork.migrate")

# Any number that Airflow's own advisory locks (airflow.utils.db.DBLocks) do not use.
LOCK = 0x64756374776F726B
ROLE = "Admin"


@contextmanager
def taking_turns(connection: Any) -> Iterator[None]:
    """One migration at a time over all hosts; the lock ends with the connection, so a killed process frees it."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_lock(%s)", (LOCK,))
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("select pg_advisory_unlock(%s)", (LOCK,))


def migrate_schema() -> bool:
    """Runs the migrations of Airflow and of its FAB tables if any are missing; True when it ran them."""
    from airflow.utils import db

    try:
        db.check_migrations(timeout=1)
    except TimeoutError:
        db.upgradedb()
        return True
    return False


def admin_is_right(connection: Any, username: str, password: str) -> bool:
    """Whether the user is there, active, an Admin and has this password. Reads only."""
    from werkzeug.security import check_password_hash

    query = """select u.password, u.active from ab_user u
        join ab_user_role ur on ur.user_id = u.id join ab_role r on r.id = ur.role_id
        where u.username = %s and r.name = %s"""
    with connection.cursor() as cursor:
        cursor.execute(query, (username, ROLE))
        row = cursor.fetchone()
    return bool(row and row[1] and row[0] and check_password_hash(row[0], password))


def set_admin(username: str, password: str) -> None:
    """Creates the user, or gives it its password and role back."""
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
    from werkzeug.security import generate_password_hash

    with get_application_builder() as builder:
        manager = builder.sm
        role = manager.find_role(ROLE)
        user = manager.find_user(username=username)
        if user is None:
            made = manager.add_user(
                username, "Ductwork", "Admin", f"{username}@localhost.invalid", role, password
            )
            if not made:
                raise RuntimeError(f"could not create the user `{username}`")
            return
        user.password = generate_password_hash(password)
        user.active = True
        if role not in user.roles:
            user.roles = [*user.roles, role]
        manager.update_user(user)


def run(env: Mapping[str, str], fetch: secret.Fetch) -> None:
    """Migrates and keeps the admin; `env` is already this process's environment."""
    login = json.loads(fetch(env["DUCTWORK_ADMIN_SECRET_ARN"]))
    connection = database.connect(env, fetch)
    try:
        with taking_turns(connection):
            log.info("database schema: %s", "migrated" if migrate_schema() else "nothing to do")
            if admin_is_right(connection, login["username"], login["password"]):
                log.info("user %s: nothing to do", login["username"])
            else:
                set_admin(login["username"], login["password"])
                log.info("user %s: set", login["username"])
    finally:
        connection.close()


def main() -> int:
    """The command line, without arguments."""
    envfile.log_to_stderr()
    # Airflow names every permission that it makes; only the settings of this process are quieter.
    quiet = {"AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING", "AIRFLOW__LOGGING__FAB_LOGGING_LEVEL": "WARNING"}
    env = component_environment() | quiet
    prepare_home(env)
    os.environ.update(env)
    run(env, secret.secrets_manager(env["AWS_REGION"]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
