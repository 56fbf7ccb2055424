"""What a worker notes of the tasks that it has run: the last one, and the last of the smoke test, each with its end:
`success` or `failure`, or that neither is known."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from ductwork_airflow import contract
from ductwork_airflow.receipts import notes, outcome

WORKER = "worker"


def task_of(arguments: Sequence[Any]) -> dict[str, Any] | None:
    """The task of a Celery message, which is a workload of Airflow as JSON; None for any other message."""
    try:
        workload = json.loads(arguments[0])
        instance = workload["ti"]
        bundle = workload.get("bundle_info") or {}
        return {
            "id": str(instance.get("id")),
            "dag_id": str(instance["dag_id"]),
            "run_id": str(instance["run_id"]),
            "task_id": str(instance["task_id"]),
            "try_number": int(instance["try_number"]),
            "bundle": bundle.get("name"),
            "version": bundle.get("version"),
        }
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return None


def note(arguments: Sequence[Any], state: str | None) -> None:
    """Called where a task has ended, in the process that ran it. Whatever is wrong here is no fault of the task."""
    with contextlib.suppress(Exception):
        if (task := task_of(arguments)) is None:
            return
        ended = datetime.now(tz=timezone.utc).isoformat(timespec="seconds")
        told = outcome.take(os.environ, task.pop("id"))
        if (celerys := (state or outcome.UNKNOWN).lower()) == outcome.SUCCESS:
            celerys = told or celerys
        task |= {"state": celerys, "ended": ended}
        notes.write(os.environ, WORKER, "task", task)
        if task["dag_id"] == contract.SMOKE_DAG:
            notes.write(os.environ, WORKER, "smoke", task)
