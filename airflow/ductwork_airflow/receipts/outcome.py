"""How tasks end for Airflow, told to the worker by a listener in the process of each task.

Celery calls every task a success whose process it could look after, also one that failed. The listener is part of our
plugin (`extensions/plugin.py`); it notes what it is told under the id of the task instance, and the process of the
worker that waits for the task's takes the note (`work.py`). Where no worker has made the folder, nothing is noted.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pluggy

SUCCESS, FAILURE, UNKNOWN = "success", "failure", "unknown"

_listens = pluggy.HookimplMarker("airflow")


def _folder(env: Mapping[str, str]) -> Path | None:
    state = env.get("DUCTWORK_STATE")
    return Path(state, "outcomes") if state else None


def begin(env: Mapping[str, str]) -> None:
    """A worker is ready: from now on tasks are listened to. What the worker before has left goes."""
    if folder := _folder(env):
        folder.mkdir(parents=True, exist_ok=True)
        for file in folder.iterdir():
            file.unlink(missing_ok=True)


def take(env: Mapping[str, str], instance: str) -> str | None:
    """How a task instance has ended; None where nobody listens. One that never began has failed: its file could not be
    imported, for instance. One that began and has told no end was deferred, put off, or killed."""
    folder = _folder(env)
    if folder is None or not folder.is_dir():
        return None
    file = folder / Path(instance).name
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return FAILURE
    finally:
        file.unlink(missing_ok=True)


def _note(task_instance: Any, outcome: str) -> None:
    """Whatever is wrong here is no fault of the task."""
    with contextlib.suppress(Exception):
        folder = _folder(os.environ)
        if folder is not None and folder.is_dir():
            (folder / str(task_instance.id)).write_text(outcome, encoding="utf-8")


@_listens
def on_task_instance_running(task_instance: Any) -> None:
    """It begins."""
    _note(task_instance, UNKNOWN)


@_listens
def on_task_instance_success(task_instance: Any) -> None:
    """It has done its work."""
    _note(task_instance, SUCCESS)


@_listens
def on_task_instance_skipped(task_instance: Any) -> None:
    """It ran, and found that there was nothing to do."""
    _note(task_instance, SUCCESS)


@_listens
def on_task_instance_failed(task_instance: Any) -> None:
    """It failed, whether it is tried again or not."""
    _note(task_instance, FAILURE)
