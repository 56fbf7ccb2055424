"""Says when a Celery worker takes tasks, by a file with its pid.

On SQS there is no remote control, so nobody can ask a worker. Celery imports this module at the start of a worker
(`imports` in [celery] extra_celery_config) and sends `worker_ready` once its consumer is connected to the queue.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery.signals import worker_ready, worker_shutdown


def _file() -> Path | None:
    state = os.environ.get("DUCTWORK_STATE")
    return Path(state, "worker.ready") if state else None


@worker_ready.connect
def ready(**_: Any) -> None:
    """The consumer runs."""
    if file := _file():
        file.write_text(str(os.getpid()), encoding="utf-8")


@worker_shutdown.connect
def stopped(**_: Any) -> None:
    """The main process is about to end; its tasks have."""
    if file := _file():
        file.unlink(missing_ok=True)
