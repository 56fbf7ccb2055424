"""Keeps a worker from taking tasks until it may: run.py calls this before it becomes the worker.

It waits while this host is ending (the keeper's mark), or while CodeDeploy last tried to bring a revision other than
this host's to its group: a host launched between two rollouts gets the revision before, and its tasks would run on old
code. An attempt that failed on its hosts does not count, for its revision is bad; nor does silence, since tasks that
run late for ever are worse than tasks that run on the revision before.

A waiting worker is a healthy one (`waits`): the rollout to it succeeds, and the next one finds it and replaces it.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from ductwork_airflow.hosts import background, deployments

log = logging.getLogger("ductwork.gate")

PAUSE_SECONDS = 10.0
UNKNOWN = "unknown"

Look = Callable[[], "deployments.Attempt | None"]


def closed_file(env: Mapping[str, str]) -> Path:
    """There while the keeper wants no worker on this host."""
    return Path(env["DUCTWORK_STATE"], "worker.closed")


def waiting_file(env: Mapping[str, str], component: str = "worker") -> Path:
    """There while a component waits, with its pid."""
    return Path(env["DUCTWORK_STATE"], f"{component}.waiting")


def waits(env: Mapping[str, str], pid: int, component: str = "worker") -> bool:
    """Whether this process of a component waits until it may start."""
    try:
        return waiting_file(env, component).read_text(encoding="utf-8").strip() == str(pid)
    except OSError:
        return False


def stale(revision: str, attempt: deployments.Attempt | None) -> str | None:
    """Why a host with this revision should not take tasks, or None."""
    if attempt is None or not attempt.counts or revision == UNKNOWN:
        return None
    digest = attempt.digest
    if digest is None or digest == revision:
        return None
    return f"deployment {attempt.deployment} ({attempt.status}) brings revision {digest[:12]}, here is {revision[:12]}"


def reason(env: Mapping[str, str], look: Look) -> str | None:
    """Why the worker has to wait now, or None."""
    if closed_file(env).exists():
        return "this host is ending"
    try:
        return stale(env.get("DUCTWORK_REVISION", UNKNOWN), look())
    except Exception as error:  # any kind of silence of CodeDeploy opens the gate
        log.warning("CodeDeploy does not say what was last deployed, so the worker starts: %s", error)
        return None


def looker(env: Mapping[str, str]) -> Look:
    """Asks CodeDeploy about this host's group; a host of no worker set is not asked about."""
    application = env.get("DUCTWORK_APPLICATION", "")
    group = background.given(background.own_set(env).get("deployment_group"))
    if not application or not group:
        return lambda: None
    codedeploy = background.client("codedeploy", env["AWS_REGION"])
    return lambda: deployments.last_attempt(codedeploy, application, group)


def wait(
    env: Mapping[str, str], look: Look | None = None, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Returns when the worker may take tasks; SIGTERM ends the wait and the process."""
    env = background.host_values() | dict(env)
    file = waiting_file(env)
    file.unlink(missing_ok=True)
    look = look or looker(env)

    def told(why: str) -> None:
        log.info("the worker waits: %s", why)

    if hold(file, lambda: reason(env, look), told, lambda: sleep(PAUSE_SECONDS)):
        log.info("the worker starts")


def hold(
    file: Path, reason: Callable[[], str | None], told: Callable[[str], None], pause: Callable[[], None]
) -> bool:
    """Returns once there is no reason to wait; whether there was one. The file is there meanwhile."""
    last = ""
    while why := reason():
        if why != last:
            told(why)
            last = why
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(os.getpid()), encoding="utf-8")
        pause()
    file.unlink(missing_ok=True)
    return bool(last)
