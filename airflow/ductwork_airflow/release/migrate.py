"""Migrates the database to this Airflow and keeps the local users: `python -m ductwork_airflow.release.migrate`.

One process for all, because each start of Airflow costs seconds. Safe when several hosts run it at once: they take
turns by a lock of the database, and the second finds nothing to do. A host makes the tables of a new database, and
changes those that are there only if the release tool has told so (`told.py`). With `back`, which the next revision
calls before it replaces this one, it undoes migrations if that was told. Passwords are those of Secrets Manager; a
user or password changed by hand is set back, so that the secret is the truth.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ductwork_airflow.extensions import login
from ductwork_airflow.hosts import database, envfile, secret
from ductwork_airflow.hosts.run import component_environment, prepare_home
from ductwork_airflow.release import dump, heads, told
from ductwork_airflow.release.told import Told

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


class MigrationError(RuntimeError):
    """The database must not or cannot be migrated; the message says the way out."""


def upgrade() -> None:
    """Runs the migrations of Airflow and of its FAB tables."""
    from airflow.utils import db

    db.upgradedb()


def migrate_schema(env: Mapping[str, str], connection: Connection, wanted: Told | None) -> bool:
    """Brings the tables to this Airflow if any are missing; True when it did."""
    if newer := heads.unknown(connection):
        raise MigrationError(
            f"the database is newer than this Airflow, which does not know {', '.join(newer)}; deploy the newer"
            " release, then roll back, or restore what was saved before its migration"
        )
    lacking = heads.lacking(connection)
    if not lacking:
        return False
    if heads.is_new(connection):
        upgrade()
        return True
    if wanted is None or wanted.direction != told.UP or not _is_ours(wanted):
        raise MigrationError(
            f"{'; '.join(lacking)}, and nobody has asked this host to migrate: deploy, which migrates first"
        )
    _save(env, connection, wanted)
    log.info("migrating: %s", "; ".join(lacking))
    upgrade()
    return True


def _is_ours(wanted: Told) -> bool:
    return all(here.heads == {wanted.heads.get(table)} for table, here in heads.installed().items())


def _save(env: Mapping[str, str], connection: Connection, wanted: Told) -> None:
    if wanted.dump:
        dump.save(env, connection.engine.url.render_as_string(hide_password=False), wanted.dump)


def downgrade(env: Mapping[str, str], connection: Connection, wanted: Told) -> bool:
    """Takes the tables back by this Airflow, which knows how, to the heads of an older one; True when it did."""
    from airflow.utils import db
    from airflow.utils.session import create_session

    here = heads.installed()
    steps = {
        table: revision
        for table, revision in wanted.heads.items()
        if heads.recorded(connection, table) != {revision}
    }
    if not steps:
        return False
    strange = [
        revision
        for table, revision in steps.items()
        if table not in here or revision not in here[table].known
    ]
    if newer := [*strange, *heads.unknown(connection)]:
        raise MigrationError(
            f"this Airflow does not know {', '.join(newer)} and cannot take the database back; restore what was saved"
            " before the migration"
        )
    _save(env, connection, wanted)
    # The users' tables first: they came last.
    if revision := steps.get("alembic_version_fab"):
        from airflow.providers.fab.auth_manager.models.db import FABDBManager

        with create_session() as session:
            FABDBManager(session).downgrade(to_revision=revision)
    if revision := steps.get("alembic_version"):
        db.downgrade(to_revision=revision)
    log.info(
        "database schema: taken back to %s", ", ".join(f"{table} {head}" for table, head in steps.items())
    )
    return True


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


def run(env: Mapping[str, str], fetch: secret.Fetch, wanted: Told | None = None) -> None:
    """Migrates and keeps the users; `env` is already this process's environment."""
    if wanted and wanted.direction == told.DOWN:
        _run_back(env, fetch, wanted)
        return
    users = local_users(env, fetch)
    with database.connect(env, fetch) as connection, database.taking_turns(connection, "migrate"):
        did = migrate_schema(env, connection, wanted)
        log.info("database schema: %s", "migrated" if did else "nothing to do")
        default_connections()
        wrong = [user for user in users if not is_right(connection, user)]
        if wrong:
            set_users(wrong)
        for user in users:
            log.info("user %s: %s", user.name, "set" if user in wrong else "nothing to do")


def _run_back(env: Mapping[str, str], fetch: secret.Fetch, wanted: Told) -> None:
    with database.connect(env, fetch) as connection, database.taking_turns(connection, "migrate"):
        if not downgrade(env, connection, wanted):
            log.info("database schema: nothing to take back")


def migrate(env: dict[str, str], fetch: secret.Fetch, wanted: Told | None = None) -> None:
    """Makes `env` the environment of this process, and migrates."""
    envfile.log_beside_airflow(log)
    envfile.log_beside_airflow(dump.log)
    # Airflow names every permission that it makes; only the settings of this process are quieter.
    quiet = {"AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING", "AIRFLOW__LOGGING__FAB_LOGGING_LEVEL": "WARNING"}
    env = env | quiet
    prepare_home(env)
    os.environ.update(env)
    run(env, fetch, wanted)


def main(arguments: list[str] | None = None) -> int:
    """The command line of a host: no argument, or `back`."""
    envfile.log_to_stderr()
    given = sys.argv[1:] if arguments is None else arguments
    env = component_environment()
    wanted = told.of_host(env)
    if given == ["back"] and (wanted is None or wanted.direction != told.DOWN):
        return 0
    if given != ["back"] and wanted and wanted.direction == told.DOWN:
        wanted = None  # it is done by now
    try:
        migrate(env, secret.secrets_manager(env["AWS_REGION"]), wanted)
    except (MigrationError, dump.DumpError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
