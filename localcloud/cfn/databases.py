"""AWS::RDS::DBInstance with Engine postgres: ministack's record, plus a real server behind its endpoint.

Other engines stay a record only. The server's port is a free one of this machine, not the template's.
"""

from __future__ import annotations

import logging

from ministack.services import rds
from ministack.services.cloudformation import provisioners

from localcloud.cfn.registry import draw_name, register
from localcloud.files import write_atomic
from localcloud.paths import State
from localcloud.postgres import DatabaseFailed, Server
from localcloud.shapes import Made

log = logging.getLogger("localcloud.rds")
TYPE = "AWS::RDS::DBInstance"
ADOPTED = "adopted"  # a file in the server's folder once the DB instance is whole
RESERVED = {"postgres", "rdsadmin"}


class Databases:
    def __init__(self, state: State) -> None:
        self._state = state
        self._record_create = provisioners._rds_db_instance_create
        self._record_update = provisioners._rds_db_instance_update
        self._record_delete = provisioners._rds_db_instance_delete

    def server(self, identifier: str) -> Server:
        return Server(self._state.postgres / identifier)

    def create(self, logical_id: str, props: dict, stack_name: str) -> Made:
        real = props.get("Engine", "") == "postgres"
        if real:
            _check(props)
        draw_name(props, "DBInstanceIdentifier")
        identifier = props.get("DBInstanceIdentifier") or provisioners._physical_name(
            stack_name, logical_id, lowercase=True, max_len=63
        )
        if identifier in rds._instances:
            raise ValueError(f"DB instance already exists: {identifier}")
        if not real:
            return self._record_create(logical_id, props, stack_name)
        name = props.get("DBName") or "postgres"
        # The record comes last: a server without one is what a crash left behind, and is removed at the next
        # start.
        try:
            port = self.server(identifier).create(props["MasterUsername"], props["MasterUserPassword"], name)
        except (DatabaseFailed, OSError) as error:
            self.server(identifier).destroy()
            raise ValueError(f"DB instance {identifier}: {error}") from None
        self._record_create(logical_id, props, stack_name)
        record = rds._instances[identifier]
        record["DBName"] = name
        _point(record, port)
        write_atomic(self.server(identifier).home / ADOPTED, "")
        return identifier, provisioners._rds_db_instance_attrs(record)

    def update(
        self, physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None
    ) -> Made:
        identifier, attributes = self._record_update(physical_id, old, new, stack_name, logical_id)
        server = self.server(identifier)
        if identifier != physical_id or not server.record.exists():
            return identifier, attributes
        before, after = old.get("MasterUserPassword", ""), new.get("MasterUserPassword", "")
        if after != before:
            try:
                server.change_password(new["MasterUsername"], before, after)
            except DatabaseFailed as error:
                raise ValueError(f"DB instance {identifier}: {error}") from None
        record = rds._instances[identifier]
        _point(record, server.port())
        return identifier, provisioners._rds_db_instance_attrs(record)

    def delete(self, physical_id: str, props: dict) -> None:
        record = rds._instances.get(physical_id)
        if record is not None and record.get("DeletionProtection"):
            raise ValueError(
                f"Cannot delete protected DB Instance {physical_id}, please disable deletion protection"
            )
        self._record_delete(physical_id, props)
        self.server(physical_id).destroy()

    def boot(self) -> None:
        """At start-up: run what a record names, remove what a crash left half made, leave anything else
        alone.
        """
        known = {identifier for (_, _, identifier), _ in rds._instances.all_items()}
        for home in sorted(self._state.postgres.iterdir()):
            server = Server(home)
            try:
                if home.name in known and server.record.exists():
                    server.start()
                elif not (home / ADOPTED).exists():
                    log.warning("removing the unfinished database %s", home.name)
                    server.destroy()
                else:
                    log.warning("the database %s belongs to no DB instance; it is not started", home.name)
            except (DatabaseFailed, OSError) as error:
                log.error("database %s: %s", home.name, error)

    def install(self) -> None:
        # ministack's own update calls create and delete by these names when it replaces the instance.
        provisioners._rds_db_instance_create = self.create
        provisioners._rds_db_instance_delete = self.delete
        register(
            TYPE, self.create, self.delete, self.update,
            snapshot=provisioners._rds_db_instance_snapshot, blocking=True,
        )  # fmt: skip


def _point(record: dict, port: int) -> None:
    record["Endpoint"]["Address"] = "127.0.0.1"
    record["Endpoint"]["Port"] = port


def _check(props: dict) -> None:
    """What CreateDBInstance refuses and an emulator would let through."""
    for name in ("MasterUsername", "MasterUserPassword"):
        if not props.get(name):
            raise ValueError(f"The parameter {name} must be provided and must not be blank.")
    password = str(props["MasterUserPassword"])
    if not 8 <= len(password) <= 128 or any(c in password for c in '/@" ') or not password.isprintable():
        raise ValueError(
            "The parameter MasterUserPassword is not a valid password. Only printable ASCII characters "
            "besides "
            "'/', '@', '\"', ' ' may be used, 8 to 128 of them."
        )
    if props["MasterUsername"] in RESERVED or props["MasterUsername"].startswith("pg_"):
        raise ValueError(f"MasterUsername {props['MasterUsername']} cannot be used as it is a reserved word")
