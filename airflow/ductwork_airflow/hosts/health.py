"""Whether this host's components work: `python -m ductwork_airflow.hosts.health api-server worker …`.

"Runs" is not "works". A component counts as healthy when its process is of this rollout (younger than airflow.env) and
- api-server: it answers and says itself that its database is healthy,
- scheduler, dag-processor, triggerer: this host's job has sent a heartbeat after its start; asked of the database,
  because the API's health speaks of the whole cluster, where an old scheduler on another host would pass for ours,
- worker: its consumer is connected to the queue, as its own signal says (SQS has no remote control to ask it by),
- scaler, keeper: it has finished a round lately, as the file says that it writes then.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ductwork_airflow.hosts import database, envfile, gate, secret, services
from ductwork_airflow.hosts.run import beat_file, component_environment, ready_file

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = logging.getLogger("ductwork.health")

JOBS = {"scheduler": "SchedulerJob", "dag-processor": "DagProcessorJob", "triggerer": "TriggererJob"}
# Components beat every 5 s ([scheduler] job_heartbeat_sec, scheduler_heartbeat_sec); six missed beats are a hang.
FRESH_SECONDS = 30.0
# Rounds come every 15 s, and one may wait for AWS.
FRESH_ROUND_SECONDS = 90.0


@dataclass(frozen=True)
class Process:
    """A running component."""

    component: str
    pid: int
    started: float


def job_fault(connection: Connection, process: Process, now: float) -> str | None:
    """Why the job of this process is not alive, or None."""
    query = """select start_date, latest_heartbeat from job where job_type = :job and hostname = :host
        and state = 'running' and start_date >= :since order by id desc limit 1"""
    since = datetime.fromtimestamp(process.started - 1, tz=timezone.utc)
    job = JOBS[process.component]
    found = database.rows(connection, query, job=job, host=database.hostname(), since=since)
    row = found[0] if found else None
    if row is None:
        return "it has not registered its job in the database yet"
    begun, beat = row
    if beat is None or beat <= begun:
        return "no heartbeat since its start"
    age = now - database.utc(beat).timestamp()
    return f"last heartbeat {age:.0f} s ago" if age > FRESH_SECONDS else None


def api_fault(port: str) -> str | None:
    """Why the API server of this host does not work, or None."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/v2/monitor/health")
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as answer:
            document = json.load(answer)
    except (OSError, ValueError) as error:
        return f"no answer on port {port}: {error}"
    status = document.get("metadatabase", {}).get("status")
    return None if status == "healthy" else f"it says that its database is `{status}`"


def worker_fault(env: Mapping[str, str], process: Process) -> str | None:
    """Why the worker does not take tasks, or None; also where it waits for its revision, as it should."""
    if gate.waits(env, process.pid):
        return None
    try:
        pid = ready_file(dict(env)).read_text(encoding="utf-8").strip()
    except OSError:
        return "it has not connected to its queue yet"
    return None if pid == str(process.pid) else "only an earlier process has connected to the queue"


def round_fault(env: Mapping[str, str], process: Process, now: float) -> str | None:
    """Why a program of rounds does not work, or None."""
    try:
        beat = beat_file(dict(env), process.component).stat().st_mtime
    except OSError:
        return "it has not finished a round yet"
    if beat < process.started:
        return "it has not finished a round since its start"
    age = now - beat
    return f"its last round was {age:.0f} s ago" if age > FRESH_ROUND_SECONDS else None


def process_of(component: str) -> Process | str:
    """The component's process, or why there is none of this rollout."""
    pid = services.main_pid(component)
    begun = services.started(pid) if pid else None
    if pid is None or begun is None:
        return "it does not run"
    configured = envfile.airflow_file().stat().st_mtime
    if begun < configured - 1:
        return "its process is older than this rollout"
    return Process(component, pid, begun)


def fault(component: str, env: Mapping[str, str], connect: Callable[[], Any]) -> str | None:
    """Why a component does not work, or None."""
    process = process_of(component)
    if isinstance(process, str):
        return process
    if component == "api-server":
        return api_fault(env["DUCTWORK_AIRFLOW_PORT"])
    if component == "worker":
        return worker_fault(env, process)
    if component in ("scaler", "keeper"):
        return round_fault(env, process, time.time())
    return job_fault(connect(), process, time.time())


def wait(
    components: list[str], env: Mapping[str, str], connect: Callable[[], Any], timeout: float
) -> dict[str, str]:
    """Waits until all work; returns what is still wrong with those that do not."""
    deadline = time.monotonic() + timeout
    began = time.monotonic()
    open_faults = dict.fromkeys(components, "not looked at")
    while True:
        for component in list(open_faults):
            reason = fault(component, env, connect)
            if reason is None:
                del open_faults[component]
                log.info("%s works after %.1f s", component, time.monotonic() - began)
            else:
                open_faults[component] = reason
        if not open_faults or time.monotonic() > deadline:
            return open_faults
        time.sleep(0.5)


def main(arguments: list[str] | None = None) -> int:
    """The command line; 0 when every component works, else 1 and what is wrong."""
    envfile.log_to_stderr()
    parser = argparse.ArgumentParser(prog="ductwork_airflow.hosts.health", description=__doc__)
    parser.add_argument("components", nargs="*")
    parser.add_argument("--timeout-seconds", type=float, default=300.0)
    options = parser.parse_args(arguments)
    env = component_environment()
    connection: list[Any] = []

    def connect() -> Any:
        if not connection:
            connection.append(database.connect(env, secret.secrets_manager(env["AWS_REGION"])))
        return connection[0]

    faults = wait(options.components, env, connect, options.timeout_seconds)
    for component, reason in faults.items():
        sys.stderr.write(f"error: {component} does not work: {reason:.{envfile.LINE_CHARACTERS}}\n")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
