"""What the release tool has told of a migration: which way, to which revisions, and whether the data is saved first.

A host finds it in the artifact bucket beside the pointer, a task in its command line. (The tool reads the note, too, to
find out what an interrupted deployment had begun.) Without it, no host changes the
tables of a database that has any. `python -m ductwork_airflow.release.told` prints the direction that a host is told.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ductwork_airflow import contract
from ductwork_airflow.hosts import envfile
from ductwork_airflow.release import heads

UP, DOWN = "up", "down"


@dataclass(frozen=True)
class Told:
    """A migration."""

    direction: str
    heads: Mapping[str, str]  # by table
    dump: str = ""  # the key that the database is dumped to first; none if RDS has made a snapshot


def parse(text: str) -> Told:
    """From JSON; ValueError if it is something else."""
    value = json.loads(text)
    try:
        told = Told(value["direction"], dict(value["heads"]), value.get("dump") or "")
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a migration: {error}") from error
    if told.direction not in (UP, DOWN):
        raise ValueError(f"not a direction: {told.direction}")
    return told


def of_this_airflow() -> Told:
    """A migration to whatever Airflow is installed here."""
    return Told(UP, {table: min(here.heads) for table, here in heads.installed().items()})


def client() -> Any:
    """S3; a dump may take its time."""
    import boto3
    from botocore.config import Config

    retries: Any = {"mode": "standard", "total_max_attempts": 8}
    return boto3.client("s3", config=Config(connect_timeout=5, read_timeout=60, retries=retries))


def of_host(env: Mapping[str, str]) -> Told | None:
    """What the tool has told the hosts of this environment; None if it never has."""
    from botocore.exceptions import ClientError

    # Settings that were written by a revision which knew nothing of this.
    if not {"DUCTWORK_ARTIFACT_BUCKET", "DUCTWORK_ENVIRONMENT"} <= env.keys():
        return None
    key = contract.migration_key(env["DUCTWORK_ENVIRONMENT"])
    try:
        body = client().get_object(Bucket=env["DUCTWORK_ARTIFACT_BUCKET"], Key=key)["Body"].read()
    except ClientError as error:
        # A role that may not list the bucket is told AccessDenied if there is no such object.
        if error.response["Error"]["Code"] in ("NoSuchKey", "404", "AccessDenied"):
            return None
        raise
    return parse(body)


def main() -> int:
    """The command line, without arguments."""
    env = envfile.read_lines(envfile.airflow_file())
    os.environ.update({name: value for name, value in env.items() if name.startswith("AWS_")})
    wanted = of_host(env)
    sys.stdout.write(f"{wanted.direction if wanted else '-'}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
