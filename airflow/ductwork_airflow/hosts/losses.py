"""Loss reports of what was cut short, in the artifact bucket: nobody passes on what a hook says when it succeeds.

The release tool reads them for the result of a deployment and for `status` (`xtask/src/observe/losses.rs`). A worker
that ends without loss leaves none. Each is written once, under a name that begins with its time. Never fails: whoever
ends a worker goes on without a loss report, and the log says so.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ductwork_airflow import contract

log = logging.getLogger("ductwork.losses")

NEEDED = frozenset(("DUCTWORK_ARTIFACT_BUCKET", "DUCTWORK_ENVIRONMENT", "AWS_REGION"))


@dataclass(frozen=True)
class Task:
    """A task instance as a person names it."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int

    def __str__(self) -> str:
        index = "" if self.map_index < 0 else f"[{self.map_index}]"
        return f"{self.dag_id} {self.run_id} {self.task_id}{index} (try {self.try_number})"


def client(region: str) -> Any:
    """S3; gives up soon, since what is to end has seconds left."""
    import boto3
    from botocore.config import Config

    retries: Any = {"mode": "standard", "total_max_attempts": 2}
    config = Config(connect_timeout=3, read_timeout=5, retries=retries)
    return boto3.client("s3", region_name=region, config=config)


def leave(
    env: Mapping[str, str],
    host: str,
    why: str,
    tasks: Iterable[Task],
    unknown: str | None = None,
    s3: Any = None,
) -> str | None:
    """Writes down which tasks were cut short on this host, or why that is unknown. The key, if there is something to
    tell."""
    found = [asdict(task) for task in tasks]
    # Settings that were written by a revision which knew nothing of this.
    if not (found or unknown) or not env.keys() >= NEEDED:
        return None
    now = time.gmtime()
    name = f"{time.strftime('%Y%m%dT%H%M%SZ', now)}-{host}-{os.getpid()}"
    key = contract.loss_key(env["DUCTWORK_ENVIRONMENT"], name)
    body = {
        "host": host,
        "worker_set": env.get("DUCTWORK_WORKER_SET", ""),
        "revision": env.get("DUCTWORK_REVISION", ""),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", now),
        "why": why,
        "tasks": found,
        "unknown": unknown,
    }
    try:
        s3 = s3 or client(env["AWS_REGION"])
        s3.put_object(Bucket=env["DUCTWORK_ARTIFACT_BUCKET"], Key=key, Body=json.dumps(body).encode())
    except Exception as error:  # of any kind: the worker has ended, and its host has to go on
        log.warning("no loss report could be left at %s: %s", key, error)
        return None
    return key
