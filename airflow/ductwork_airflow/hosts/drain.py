"""Says which task instances a stopped worker has cut short: `python -m ductwork_airflow.hosts.drain --since EPOCH`.

Runs after the worker's process has ended. Airflow notices such tasks only minutes later, when their heartbeat is
missing; a person who deploys wants to know now. Prints one line per task instance, or that there is none.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, NamedTuple

from ductwork_airflow.hosts import database, envfile, secret
from ductwork_airflow.hosts.run import component_environment

if TYPE_CHECKING:
    from sqlalchemy import Connection

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


def alive(pid: int | None, since: float) -> bool:
    """Whether the process that a task ran in before `since` still works; a zombie or a later namesake is not it."""
    import psutil

    try:
        process = psutil.Process(pid or 0)
        return bool(pid) and process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= since + 1
    except psutil.NoSuchProcess:
        return False


def end_leftovers(component: str) -> list[int]:
    """Kills what a stopped component has left, as systemd does by its control group; supervisord knows only process
    groups, and every Airflow task has its own."""
    import psutil

    root = str(envfile.host_root())
    ended = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            marks = process.environ()
            if marks.get("DUCTWORK_HOST_ROOT") == root and marks.get("DUCTWORK_COMPONENT") == component:
                process.kill()
                ended.append(process.pid)
    return ended


def cut_short(
    connection: Connection, host: str, since: float, lives: Callable[[int | None, float], bool] = alive
) -> list[TaskInstance]:
    """Task instances that ran on this host when the stop began, still 'running' for Airflow, without a process."""
    query = """select dag_id, run_id, task_id, map_index, try_number, pid from task_instance
        where state = 'running' and hostname = :host and coalesce(last_heartbeat_at, start_date) >= :heartbeat
        order by dag_id, run_id, task_id, map_index"""
    heartbeat = datetime.fromtimestamp(since - HEARTBEAT_SECONDS, tz=timezone.utc)
    rows = database.rows(connection, query, host=host, heartbeat=heartbeat)
    found = [TaskInstance(*row) for row in rows]
    return [instance for instance in found if not lives(instance.pid, since)]


def main(arguments: list[str] | None = None) -> int:
    """The command line; always 0 when it could find out."""
    envfile.log_to_stderr()
    parser = argparse.ArgumentParser(prog="ductwork_airflow.hosts.drain", description=__doc__)
    parser.add_argument(
        "--since", type=float, required=True, help="when the stop began, in seconds since the epoch"
    )
    options = parser.parse_args(arguments)
    if os.environ.get("DUCTWORK_INIT") == "supervisord":
        end_leftovers("worker")
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
