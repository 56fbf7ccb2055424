"""Whether a task's component works: `python -m ductwork_airflow.images.health COMPONENT`, a container's health check.

Exit code 0 or 1, and a line that says why. ECS asks each half a minute, so nothing here imports Airflow:
- api-server: it answers. What it says of its database does not count, for another container would find the same one,
- scheduler: its own health server says that its heart beats,
- dag-processor, triggerer: their job has sent a heartbeat, as on hosts,
- worker: its consumer is connected to the queue,
- scaler: it has finished a round lately.
A component that waits for the migration is a healthy one: otherwise a first deployment could not come to its migration.
"""

from __future__ import annotations

import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping

from ductwork_airflow.hosts import database, gate, health, services
from ductwork_airflow.images import place, task

# Of a health check's own time-out, which templates set to 10 s.
PATIENCE_SECONDS = 5.0


def answers(url: str) -> str | None:
    """Why a server of this task does not answer well, or None."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(url, timeout=PATIENCE_SECONDS).close()
    except urllib.error.HTTPError as error:
        error.close()
        return f"{url} says {error.code}"
    except OSError as error:
        return f"no answer from {url}: {error}"
    return None


def api_server(where: place.Place, _: health.Process, __: Mapping[str, str]) -> str | None:
    """It answers."""
    return answers(f"http://{where.address}:{where.port}/api/v2/monitor/health")


def scheduler(where: place.Place, _: health.Process, __: Mapping[str, str]) -> str | None:
    """Its health server."""
    return answers(f"http://{place.OWN}:{where.scheduler_health}/health")


def job(_: place.Place, process: health.Process, environ: Mapping[str, str]) -> str | None:
    """Its row in the database."""
    try:
        connection = database.open_url(task.database_url(environ), patience_seconds=0)
    except Exception as error:  # the words of a driver may name hosts and users
        return f"the database does not answer: {type(error).__name__}"
    try:
        return health.job_fault(connection, process, time.time())
    finally:
        connection.close()


def worker(_: place.Place, process: health.Process, environ: Mapping[str, str]) -> str | None:
    """Its own word."""
    return health.worker_fault({"DUCTWORK_STATE": str(task.state(environ))}, process)


def scaler(_: place.Place, process: health.Process, environ: Mapping[str, str]) -> str | None:
    """Its rounds."""
    return health.round_fault({"DUCTWORK_STATE": str(task.state(environ))}, process, time.time())


Check = Callable[[place.Place, health.Process, Mapping[str, str]], "str | None"]
CHECKS: dict[str, Check] = {
    "api-server": api_server,
    "scheduler": scheduler,
    "dag-processor": job,
    "triggerer": job,
    "scaler": scaler,
    "worker": worker,
}


def fault(component: str, environ: Mapping[str, str]) -> str | None:
    """Why a component does not work, or None."""
    state = task.state(environ)
    where = place.read(state, component)
    if where is None:
        return "it has not been started yet"
    begun = services.started(where.pid)
    if begun is None:
        return "its process has ended"
    if gate.waits({"DUCTWORK_STATE": str(state)}, where.pid, component):
        return None
    return CHECKS[component](where, health.Process(component, where.pid, begun), environ)


def main(arguments: list[str] | None = None) -> int:
    """The command line: one component."""
    given = sys.argv[1:] if arguments is None else arguments
    if len(given) != 1 or given[0] not in CHECKS:
        sys.stderr.write(f"error: expected one of: {', '.join(CHECKS)}\n")
        return 2
    reason = fault(given[0], os.environ)
    sys.stdout.write(f"{given[0]} works\n" if reason is None else f"{given[0]} does not work: {reason}\n")
    return 0 if reason is None else 1


if __name__ == "__main__":
    raise SystemExit(main())
