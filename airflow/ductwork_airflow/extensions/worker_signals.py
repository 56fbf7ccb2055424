"""Says when a Celery worker takes tasks, and which of its processes work on one, by files with pids.

On SQS there is no remote control, so nobody can ask a worker. Celery imports this module at the start of a worker
(`imports` in [celery] extra_celery_config) and sends `worker_ready` once its consumer is connected to the queue, and
`task_prerun` and `task_postrun` around each task, in the pool process that runs it and then uploads its log.

On hosts the keeper reads these files. In an ECS task the main process looks after itself (`images/protection.py`).
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from celery.signals import task_postrun, task_prerun, worker_ready, worker_shutdown, worker_shutting_down

from ductwork_airflow.receipts import outcome, work

# Of the main process in an ECS task, at most one. Imported only there: hosts have a keeper.
_protections: list[Any] = []


def _on_ecs() -> bool:
    return bool(os.environ.get("ECS_AGENT_URI") and os.environ.get("DUCTWORK_STATE"))


def _file(name: str = "worker.ready") -> Path | None:
    state = os.environ.get("DUCTWORK_STATE")
    return Path(state, name) if state else None


def _mark() -> Path | None:
    return _file(f"tasks/{os.getpid()}")


@worker_ready.connect
def ready(**_: Any) -> None:
    """The consumer runs."""
    outcome.begin(os.environ)
    if _on_ecs():
        from ductwork_airflow.images import protection

        _protections.append(protection.start(os.environ))
    if file := _file():
        file.write_text(str(os.getpid()), encoding="utf-8")


@worker_shutting_down.connect
def stopping(**_: Any) -> None:
    """The main process has got SIGTERM. Runs in the handler of the signal, so it takes no lock and logs nothing."""
    for protection in _protections:
        protection.stopping_since = protection.stopping_since or time.time()


@worker_shutdown.connect
def stopped(**_: Any) -> None:
    """The main process is about to end; its tasks have."""
    if file := _file():
        file.unlink(missing_ok=True)


@task_prerun.connect
def task_begins(**_: Any) -> None:
    """This process works from now on."""
    if mark := _mark():
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    if _on_ecs():
        from ductwork_airflow.images import protection

        protection.wait(Path(os.environ["DUCTWORK_STATE"]))


@task_postrun.connect
def task_ended(args: Any = (), state: str | None = None, **_: Any) -> None:
    """The task has ended and its log is uploaded. A process that dies before leaves its mark to the keeper."""
    work.note(args or (), state)
    if mark := _mark():
        mark.unlink(missing_ok=True)
