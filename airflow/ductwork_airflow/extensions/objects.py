"""Connections and variables of the release that the pointer names, from `airflow/objects.toml`. No secret is in them.

They are in the record of the release, so they change with the pointer, and a rollback brings those of its release back.
"""

from __future__ import annotations

import json
import logging
import os
import time
from typing import Any

from ductwork_airflow import contract

log = logging.getLogger(__name__)

FRESH_SECONDS = 5.0  # between two looks at the pointer, as for DAGs
# A role that may not list the bucket is told AccessDenied if there is no such object.
_ABSENT = ("NoSuchKey", "NoSuchBucket", "404", "AccessDenied")
Objects = dict[str, dict[str, Any]]


class ReleasedObjects:
    """What the current release of an environment declares.

    :param bucket: artifact bucket; empty if there is none, as where DAGs are checked
    :param environment: whose pointer and releases
    """

    def __init__(self, bucket: str, environment: str) -> None:
        self._bucket = bucket
        self._environment = environment
        self._release = ""
        self._objects: Objects = {}
        self._looked: float | None = None
        self._client: Any = None
        self._client_of = 0

    def connection(self, conn_id: str) -> dict[str, Any] | None:
        """A connection's fields, with the name of its secret."""
        return self._current().get("connections", {}).get(conn_id)

    def variable(self, key: str) -> Any:
        """The value of a variable, or an object with the name of its secret; None if it is not declared."""
        return self._current().get("variables", {}).get(key)

    def _current(self) -> Objects:
        """Looks again after some seconds. What was seen last stays valid while S3 does not answer."""
        now = time.monotonic()
        if not self._bucket or (self._looked is not None and now - self._looked < FRESH_SECONDS):
            return self._objects
        try:
            self._look()
        except Exception:
            if self._looked is None:
                raise
            log.warning(
                "cannot look at the current release, keeping the objects of %s", self._release, exc_info=True
            )
        self._looked = now
        return self._objects

    def _look(self) -> None:
        pointer = self._read(contract.pointer_key(self._environment))
        release = str(pointer.get("release", ""))
        if release != self._release:
            record = self._read(contract.release_key(self._environment, release)) if release else {}
            self._objects = record.get("environment", {}).get("objects", {})
            self._release = release

    def _read(self, key: str) -> dict[str, Any]:
        """A JSON document; empty before the first release."""
        from botocore.exceptions import ClientError

        try:
            body = self._s3().get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] in _ABSENT and not self._release:
                return {}
            raise
        return dict(json.loads(body))

    def _s3(self) -> Any:
        """A client for each process: Airflow forks, and two processes cannot share a connection."""
        if self._client_of != os.getpid():
            import boto3
            from botocore.config import Config

            retries: Any = {"mode": "standard", "total_max_attempts": 4}
            config = Config(connect_timeout=5, read_timeout=10, retries=retries)
            self._client, self._client_of = boto3.Session().client("s3", config=config), os.getpid()
        return self._client
