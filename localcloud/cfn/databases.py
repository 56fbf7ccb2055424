"""AWS::RDS::{DBInstance,DBCluster}: ministack's records, with a real server behind the endpoint of a Postgres
instance or an Aurora Postgres cluster. The instances of a cluster share its server.

Other engines stay a record only. The server's port is a free one of this machine, not the template's. A restored
snapshot gives user and database, but no data.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from ministack.services import rds
from ministack.services.cloudformation import provisioners

from localcloud.base.files import write_atomic
from localcloud.base.paths import State
from localcloud.base.ports import HOST
from localcloud.cfn.registry import draw_name, register, tags_of
from localcloud.databases.postgres import DatabaseFailed, Server
from localcloud.emulator.shapes import Made

log = logging.getLogger("localcloud.rds")
INSTANCE, CLUSTER = "AWS::RDS::DBInstance", "AWS::RDS::DBCluster"
REAL = {"postgres", "aurora-postgresql"}
ADOPTED = "adopted"  # a file in the server's folder once the DB instance or cluster is whole
RESERVED = {"postgres", "rdsadmin"}


class Databases:
    def __init__(self, state: State) -> None:
        self._state = state
        # ministack's own, before ours take their names (see install).
        self._instance = (
            provisioners._rds_db_instance_create,
            provisioners._rds_db_instance_update,
            provisioners._rds_db_instance_delete,
        )
        self._cluster = (
            provisioners._rds_db_cluster_create,
            provisioners._rds_db_cluster_update,
            provisioners._rds_db_cluster_delete,
        )

    def server(self, identifier: str) -> Server:
        return Server(self._state.postgres / identifier)

    # -- instances
    def create(self, logical_id: str, props: dict, stack_name: str) -> Made:
        identifier = _identifier(props, "DBInstanceIdentifier", logical_id, stack_name)
        if identifier in rds._instances:
            raise ValueError(f"DB instance already exists: {identifier}")
        cluster = rds._clusters.get(props.get("DBClusterIdentifier") or "")
        if props.get("DBClusterIdentifier") and cluster is None:
            raise ValueError(f"DBCluster {props['DBClusterIdentifier']} not found.")
        if cluster is not None or props.get("Engine", "") not in REAL:
            made = self._instance[0](logical_id, _restored(props), stack_name)
            record = rds._instances[identifier]
            members = (cluster or {}).get("DBClusterMembers", [])
            for member in members[1:]:
                member["IsClusterWriter"] = False  # the first is the writer
            if cluster is not None or record["Engine"] in ("mysql", "mariadb"):
                _point(record, int((cluster or record["Endpoint"])["Port"]))
            return made[0], provisioners._rds_db_instance_attrs(record)
        props = _restored(props)
        port = self._serve(identifier, props, props.get("DBName") or "postgres")
        self._instance[0](logical_id, props, stack_name)
        record = rds._instances[identifier]
        record["DBName"] = props.get("DBName") or "postgres"
        record["EnabledCloudwatchLogsExports"] = list(props.get("EnableCloudwatchLogsExports") or [])
        _point(record, port)
        write_atomic(self.server(identifier).home / ADOPTED, "")
        return identifier, provisioners._rds_db_instance_attrs(record)

    def update(
        self, physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None
    ) -> Made:
        identifier, _ = self._instance[1](physical_id, old, new, stack_name, logical_id)
        record = rds._instances[identifier]
        if identifier == physical_id and self.server(identifier).record.exists():
            self._change_password(identifier, record["MasterUsername"], old, new)
            record["EnabledCloudwatchLogsExports"] = list(new.get("EnableCloudwatchLogsExports") or [])
            _point(record, self.server(identifier).port())
        return identifier, provisioners._rds_db_instance_attrs(record)

    def delete(self, physical_id: str, props: dict) -> None:
        record = rds._instances.get(physical_id)
        if record is not None and record.get("DeletionProtection"):
            raise ValueError(
                f"Cannot delete protected DB Instance {physical_id}, please disable deletion protection"
            )
        self._instance[2](physical_id, props)
        self.server(physical_id).destroy()

    # -- clusters
    def create_cluster(self, logical_id: str, props: dict, stack_name: str) -> Made:
        identifier = _identifier(props, "DBClusterIdentifier", logical_id, stack_name)
        if identifier in rds._clusters:
            raise ValueError(f"DB Cluster already exists: {identifier}")
        props = _restored(props)
        real = props.get("Engine", "") in REAL
        port = self._serve(identifier, props, props.get("DatabaseName") or "postgres") if real else 0
        self._cluster[0](logical_id, props, stack_name)
        record = rds._clusters[identifier]
        self._complete(record, props, port)
        if real:
            write_atomic(self.server(identifier).home / ADOPTED, "")
        return identifier, provisioners._rds_db_cluster_attrs(record)

    def _complete(self, record: dict, props: dict, port: int) -> None:
        record.update(
            Endpoint=HOST,
            ReaderEndpoint=HOST,
            Port=port or record["Port"],
            KmsKeyId=props.get("KmsKeyId") or "",
            DBClusterParameterGroup=props.get("DBClusterParameterGroupName") or "default",
            EnabledCloudwatchLogsExports=list(props.get("EnableCloudwatchLogsExports") or []),
            StorageEncrypted=str(props.get("StorageEncrypted", False)).lower() == "true",
            TagList=tags_of(props),
        )
        rds._tags[record["DBClusterArn"]] = tags_of(props)

    def update_cluster(
        self, physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None
    ) -> Made:
        identifier, _ = self._cluster[1](physical_id, old, new, stack_name, logical_id)
        record = rds._clusters[identifier]
        if identifier == physical_id:
            server = self.server(identifier)
            real = server.record.exists()
            if real:
                self._change_password(identifier, record["MasterUsername"], old, new)
            self._complete(record, new, server.port() if real else 0)
        return identifier, provisioners._rds_db_cluster_attrs(record)

    def delete_cluster(self, physical_id: str, props: dict) -> None:
        record = rds._clusters.get(physical_id)
        if record is not None and record.get("DeletionProtection"):
            raise ValueError(
                f"Cannot delete protected Cluster {physical_id}, please disable deletion protection and try again"
            )
        if record is not None:
            rds._tags.pop(record["DBClusterArn"], None)
        self._cluster[2](physical_id, props)
        self.server(physical_id).destroy()

    # -- servers
    def _serve(self, identifier: str, props: dict, database: str) -> int:
        """Make the server. The record comes last: a server without one is what a crash left behind, and is removed
        at the next start.
        """
        _check(props)
        try:
            return self.server(identifier).create(
                props["MasterUsername"], props["MasterUserPassword"], database
            )
        except (DatabaseFailed, OSError) as error:
            self.server(identifier).destroy()
            raise ValueError(f"DB instance {identifier}: {error}") from None

    def _change_password(self, identifier: str, user: str, old: dict, new: dict) -> None:
        before, after = old.get("MasterUserPassword", ""), new.get("MasterUserPassword", "")
        if after == before:
            return
        try:
            self.server(identifier).change_password(user, before, after)
        except DatabaseFailed as error:
            raise ValueError(f"DB instance {identifier}: {error}") from None

    def boot(self) -> None:
        """At start-up: run what a record names, remove what a crash left half made, leave anything else
        alone.
        """
        stores = (rds._instances, rds._clusters)
        known = {identifier for store in stores for (_, _, identifier), _ in store.all_items()}
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

    def replacements(self) -> dict[str, Callable[..., object]]:
        """By the names of ministack's own functions."""
        return {
            "_rds_db_instance_create": self.create,
            "_rds_db_instance_delete": self.delete,
            "_rds_db_cluster_create": self.create_cluster,
            "_rds_db_cluster_delete": self.delete_cluster,
        }

    def install(self) -> None:
        register(
            INSTANCE, self.create, self.delete, self.update,
            snapshot=provisioners._rds_db_instance_snapshot, blocking=True,
        )  # fmt: skip
        register(
            CLUSTER, self.create_cluster, self.delete_cluster, self.update_cluster,
            snapshot=_snapshot_with_name(provisioners._rds_db_cluster_snapshot), blocking=True,
        )  # fmt: skip


def _snapshot_with_name(snapshot: Callable[[str, dict], None]) -> Callable[[str, dict], None]:
    """A cluster's snapshot that knows the name of its database, which one of an instance does by itself."""

    def take(physical_id: str, props: dict) -> None:
        snapshot(physical_id, props)
        for made in rds._db_cluster_snapshots.values():
            if made["DBClusterIdentifier"] == physical_id:
                made["DatabaseName"] = rds._clusters[physical_id]["DatabaseName"]

    return take


def _identifier(props: dict, key: str, logical_id: str, stack_name: str) -> str:
    draw_name(props, key)
    return props.get(key) or provisioners._physical_name(stack_name, logical_id, lowercase=True, max_len=63)


def _restored(props: dict) -> dict:
    """The properties with what a snapshot brings: its user and its database."""
    name = props.get("DBSnapshotIdentifier") or props.get("SnapshotIdentifier")
    if not name:
        return props
    found = next(
        (
            snapshot
            for store in (rds._snapshots, rds._db_cluster_snapshots)
            for key, snapshot in store.items()
            if name in (key, snapshot.get("DBSnapshotArn"), snapshot.get("DBClusterSnapshotArn"))
        ),
        None,
    )
    if found is None:
        raise ValueError(f"DBSnapshot not found: {name}")
    if found["Engine"] != props.get("Engine", found["Engine"]):
        raise ValueError(f"The snapshot {name} is of engine {found['Engine']}, not {props['Engine']}")
    database = found.get("DBName") or found.get("DatabaseName") or "postgres"
    return {**props, "MasterUsername": found["MasterUsername"], "DBName": database, "DatabaseName": database}


def _point(record: dict, port: int) -> None:
    record["Endpoint"]["Address"] = HOST
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
