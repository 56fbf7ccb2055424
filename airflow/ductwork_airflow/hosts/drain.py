"""Says what a worker's end cuts short: `python -m ductwork_airflow.hosts.drain --since EPOCH | --told [--why TEXT]`.

Runs after the worker's process has ended. Airflow notices such tasks only minutes later, when their heartbeat is
missing; a person who deploys wants to know now. Prints one line per task instance, or that there is none, and leaves a
loss report for the release tool (`losses.py`).

`--told` runs before: for what still works and is about to be told to end. Airflow then calls such tasks failed, as if
by themselves, so that nobody could know it afterwards; and the host may be gone by then.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, NamedTuple

from ductwork_airflow.hosts import database, envfile, losses, secret
from ductwork_airflow.hosts.run import component_environment

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = logging.getLogger("ductwork.drain")

# A task that runs has sent a heartbeat within this time before the stop (they come every few seconds).
HEARTBEAT_SECONDS = 60.0


class Found(NamedTuple):
    """A task instance that runs here for Airflow, and its process."""

    task: losses.Task
    pid: int | None


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


def running(connection: Connection, host: str, since: float) -> list[Found]:
    """Task instances that run on this host for Airflow and have said so shortly before `since`."""
    query = """select dag_id, run_id, task_id, map_index, try_number, pid from task_instance
        where state = 'running' and hostname = :host and coalesce(last_heartbeat_at, start_date) >= :heartbeat
        order by dag_id, run_id, task_id, map_index"""
    heartbeat = datetime.fromtimestamp(since - HEARTBEAT_SECONDS, tz=timezone.utc)
    rows = database.rows(connection, query, host=host, heartbeat=heartbeat)
    return [Found(losses.Task(*row[:-1]), row[-1]) for row in rows]


def cut_short(
    connection: Connection, host: str, since: float, lives: Callable[[int | None, float], bool] = alive
) -> list[losses.Task]:
    """Task instances that ran on this host when the stop began, still 'running' for Airflow, without a process."""
    return [one.task for one in running(connection, host, since) if not lives(one.pid, since)]


def in_work(
    connection: Connection, host: str, now: float, lives: Callable[[int | None, float], bool] = alive
) -> list[losses.Task]:
    """Task instances that work on this host now."""
    return [one.task for one in running(connection, host, now) if lives(one.pid, now)]


def tell(
    env: Mapping[str, str],
    why: str,
    find: Callable[[Connection], list[losses.Task]],
    url: str | None = None,
) -> list[losses.Task] | None:
    """Asks the database and leaves a loss report of what it answers; None where it does not."""
    try:
        url = url or secret.database_url(env, secret.secrets_manager(env["AWS_REGION"]))
        with database.open_url(url, patience_seconds=5) as connection:
            lost = find(connection)
    except Exception as error:  # of any kind: it is to be told, not to stop the end of a worker
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        log.warning("the database does not say which tasks run here: %s", reason)
        losses.leave(
            env, database.hostname(), why, [], f"the database did not answer ({type(error).__name__})"
        )
        return None
    losses.leave(env, database.hostname(), why, lost)
    return lost


def main(arguments: list[str] | None = None) -> int:
    """The command line; always 0."""
    envfile.log_to_stderr()
    parser = argparse.ArgumentParser(prog="ductwork_airflow.hosts.drain", description=__doc__)
    moment = parser.add_mutually_exclusive_group(required=True)
    moment.add_argument("--since", type=float, help="when the stop began, in seconds since the epoch")
    moment.add_argument("--told", action="store_true", help="before what still runs is told to end")
    parser.add_argument("--why", default="rollout", help="why the worker ends")
    options = parser.parse_args(arguments)
    if options.since is not None and os.environ.get("DUCTWORK_INIT") == "supervisord":
        end_leftovers("worker")
    env, host = component_environment(), database.hostname()
    if options.told:
        lost = tell(env, options.why, lambda connection: in_work(connection, host, time.time()))
    else:
        lost = tell(env, options.why, lambda connection: cut_short(connection, host, options.since))
    if lost is None:
        sys.stdout.write("could not find out whether a task was cut short\n")
    elif not lost:
        sys.stdout.write("drained: no task was cut short\n")
    for task in lost or []:
        sys.stdout.write(f"cut short: {task}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
