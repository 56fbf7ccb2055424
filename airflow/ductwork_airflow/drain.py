"""Says which task instances a stopped worker has cut short: `python -m ductwork_airflow.drain --since EPOCH`.

Runs after the worker's process has ended. Airflow notices such tasks only minutes later, when their heartbeat is
missing; a person who deploys wants to know now. Prints one line per task instance, or that there is none.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any, NamedTuple

from ductwork_airflow import database, envfile, secret
from ductwork_airflow.run import component_environment

# A task that runs has sent a heartbeat within this time before the stop (they come every few seconds).
HEARTBEAT_SECONDS = 60.0


class TaskInstance(NamedTuple):
    """A task instance as a person names it."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int
    pid: int | None

    def __str__(self) -> str:
        index = "" if self.map_index < 0 else f"[{self.map_index}]"
        return f"{self.dag_id} {self.run_id} {self.task_id}{index} (try {self.try_number})"


def alive(pid: int | None) -> bool:
    """Whether a process of that number exists."""
    if not pid:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def cut_short(
    connection: Any, host: str, since: float, lives: Callable[[int | None], bool] = alive
) -> list[TaskInstance]:
    """Task instances that ran on this host when the stop began, still 'running' for Airflow, without a process."""
    query = """select dag_id, run_id, task_id, map_index, try_number, pid from task_instance
        where state = 'running' and hostname = %s and coalesce(last_heartbeat_at, start_date) >= %s
        order by dag_id, run_id, task_id, map_index"""
    with connection.cursor() as cursor:
        cursor.execute(query, (host, datetime.fromtimestamp(since - HEARTBEAT_SECONDS, tz=timezone.utc)))
        found = [TaskInstance(*row) for row in cursor.fetchall()]
    return [instance for instance in found if not lives(instance.pid)]


def main(arguments: list[str] | None = None) -> int:
    """The command line; always 0 when it could find out."""
    envfile.log_to_stderr()
    parser = argparse.ArgumentParser(prog="ductwork_airflow.drain", description=__doc__)
    parser.add_argument(
        "--since", type=float, required=True, help="when the stop began, in seconds since the epoch"
    )
    options = parser.parse_args(arguments)
    env = component_environment()
    connection = database.connect(env, secret.secrets_manager(env["AWS_REGION"]), patience_seconds=5)
    lost = cut_short(connection, database.hostname(), options.since)
    connection.close()
    if not lost:
        sys.stdout.write("drained: no task was cut short\n")
    for instance in lost:
        sys.stdout.write(f"cut short: {instance}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
