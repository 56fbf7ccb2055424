"""Migrates the database to this Airflow and keeps the local users: `python -m ductwork_airflow.release.migrate`.

One process for all, because each start of Airflow costs seconds. Safe when several hosts run it at once: they take
turns by a lock of the database, and the second finds nothing to do. Passwords are those of Secrets Manager; a user or
password changed by hand is set back, so that the secret is the truth.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ductwork_airflow.extensions import login
from ductwork_airflow.hosts import database, envfile, secret
from ductwork_airflow.hosts.run import component_environment, prepare_home

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = logging.getLogger("ductwork.migrate")


@dataclass(frozen=True)
class LocalUser:
    """A user of a secret."""

    name: str
    password: str
    role: str
    label: str
    only: bool  # whether it may have no further role, given by hand

    def __repr__(self) -> str:
        return f"LocalUser({self.name}, {self.role})"


def local_users(env: Mapping[str, str], fetch: secret.Fetch) -> list[LocalUser]:
    """The administrator, and the service user for programs, with the role that the environment file gives it."""
    config = login.parse(env["DUCTWORK_LOGIN"])
    kinds = (("ADMIN", "Admin", False), ("SERVICE", config.service_role, True))
    users = []
    for kind, role, only in kinds:
        value = json.loads(fetch(env[f"DUCTWORK_{kind}_SECRET_ARN"]))
        users.append(LocalUser(value["username"], value["password"], role, kind.title(), only))
    if users[0].name == users[1].name:
        raise login.LoginError("the administrator and the service user have the same name in their secrets")
    weak = [user.name for user in users if len(user.password) < login.SHORTEST_PASSWORD]
    if weak and config.method == "google":
        raise login.LoginError(
            f"the password of `{', '.join(weak)}` in its secret is shorter than {login.SHORTEST_PASSWORD} characters,"
            " and stands beside Google's login"
        )
    return users


def migrate_schema() -> bool:
    """Runs the migrations of Airflow and of its FAB tables if any are missing; True when it ran them."""
    from airflow.utils import db

    try:
        db.check_migrations(timeout=1)
    except TimeoutError:
        db.upgradedb()
        return True
    return False


def default_connections() -> None:
    """Airflow's own example connections, when `airflow.load_default_connections` asks for them; never over another."""
    from airflow.configuration import conf
    from airflow.utils import db

    if conf.getboolean("database", "load_default_connections", fallback=False):
        db.create_default_connections()


def is_right(connection: Connection, user: LocalUser) -> bool:
    """Whether the user is there, active, has its role and this password. Reads only."""
    from werkzeug.security import check_password_hash

    query = """select u.password, u.active, r.name from ab_user u
        join ab_user_role ur on ur.user_id = u.id join ab_role r on r.id = ur.role_id
        where u.username = :name"""
    found = database.rows(connection, query, name=user.name)
    roles = {row[2] for row in found}
    if user.role not in roles or (user.only and roles != {user.role}):
        return False
    password, active = found[0][0], found[0][1]
    return bool(active and password and check_password_hash(password, user.password))


def set_users(users: list[LocalUser]) -> None:
    """Creates the users, or gives them their password and role back."""
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
    from werkzeug.security import generate_password_hash

    with get_application_builder() as builder:
        manager = builder.sm
        for wanted in users:
            role = manager.find_role(wanted.role)
            if role is None:
                raise RuntimeError(f"Airflow has no role `{wanted.role}` for the user `{wanted.name}`")
            user = manager.find_user(username=wanted.name)
            if user is None:
                mail = f"{wanted.name}@localhost.invalid"
                if not manager.add_user(wanted.name, "Ductwork", wanted.label, mail, role, wanted.password):
                    raise RuntimeError(f"could not create the user `{wanted.name}`")
                continue
            user.password = generate_password_hash(wanted.password)
            user.active = True
            user.roles = [role] if wanted.only else list({*user.roles, role})
            manager.update_user(user)


def run(env: Mapping[str, str], fetch: secret.Fetch) -> None:
    """Migrates and keeps the users; `env` is already this process's environment."""
    users = local_users(env, fetch)
    connection = database.connect(env, fetch)
    try:
        with database.taking_turns(connection, "migrate"):
            log.info("database schema: %s", "migrated" if migrate_schema() else "nothing to do")
            default_connections()
            wrong = [user for user in users if not is_right(connection, user)]
            if wrong:
                set_users(wrong)
            for user in users:
                log.info("user %s: %s", user.name, "set" if user in wrong else "nothing to do")
    finally:
        connection.close()


def migrate(env: dict[str, str], fetch: secret.Fetch) -> None:
    """Makes `env` the environment of this process, and migrates."""
    envfile.log_beside_airflow(log)
    # Airflow names every permission that it makes; only the settings of this process are quieter.
    quiet = {"AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING", "AIRFLOW__LOGGING__FAB_LOGGING_LEVEL": "WARNING"}
    env = env | quiet
    prepare_home(env)
    os.environ.update(env)
    run(env, fetch)


def main() -> int:
    """The command line, without arguments."""
    envfile.log_to_stderr()
    env = component_environment()
    migrate(env, secret.secrets_manager(env["AWS_REGION"]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
