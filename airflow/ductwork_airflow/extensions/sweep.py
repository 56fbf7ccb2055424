"""Parses many DAG files quickly, for `dag_processor.py`: processes that fork for each file and store what it defines.

Airflow's own loop spends most of its time on a file on setting up the process that parses it, and stores one file after
the other. Here the parsing process is a bare fork, and several sweepers store side by side. The parsing itself is
Airflow's own function, in a process per file: no file sees what another one has imported.

A file that does not go through (an import error, a crash, a failed write) is skipped: it is still in the queue of
Airflow's loop, which reports what is wrong with it. So nothing is lost if a sweeper dies.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import structlog
from airflow import settings
from airflow.dag_processing.manager import DagFileInfo
from airflow.dag_processing.processor import DagFileParseRequest, DagFileParsingResult, _parse_file

log = logging.getLogger("ductwork.sweep")

Store = Callable[[DagFileInfo, DagFileParsingResult, float], None]
_RESET = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)


class Sweeper:
    """A process that parses and stores `files` in their order."""

    def __init__(self, files: list[DagFileInfo], store: Store) -> None:
        self.files = files
        self.left = set(files)
        self.number = 0
        self._reader, writer = os.pipe()
        self._unread = b""
        self.moved = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._reader)
            _end_with(lambda: _sweep(files, store, writer))
        os.close(writer)
        os.set_blocking(self._reader, False)
        self.ended = False

    def stored(self) -> Iterator[tuple[DagFileInfo, dict[str, Any]]]:
        """The files that were stored since the last look, each with `dags` and `seconds`; forgets those passed over."""
        # Its end is not that of the pipe: the process of a file has the pipe as well, and may live on.
        self.ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._reader, 1 << 16):
                self._unread += data
        *lines, self._unread = self._unread.split(b"\n")
        for line in lines:
            report = json.loads(line)
            file = self.files[report.pop("file")]
            self.left.discard(file)
            self.moved = time.monotonic()
            if report:
                self.number += 1
                yield file, report

    def end(self) -> None:
        """Kills it, with the file that it is parsing. To be called once."""
        for kill in (os.killpg, os.kill):  # it may not have come to have a group of its own yet
            with contextlib.suppress(ProcessLookupError):
                kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._reader)


def _end_with(work: Callable[[], None]) -> NoReturn:
    """Runs `work` in a process just forked, which must never return into its parent's code."""
    status = 1
    try:
        for number in _RESET:
            signal.signal(number, signal.SIG_DFL)
        # The connections are the parent's: they are forgotten here and not closed.
        settings.engine.dispose(close=False)
        work()
        status = 0
    except BaseException:
        log.exception("the process ends")
    finally:
        os._exit(status)


def _sweep(files: list[DagFileInfo], store: Store, writer: int) -> None:
    os.setpgid(0, 0)
    gc.freeze()  # keeps the memory that is shared with the parsing processes from being copied
    for number, file in enumerate(files):
        report = {"file": number} | _brought(file, store)
        os.write(writer, json.dumps(report).encode() + b"\n")


def _brought(file: DagFileInfo, store: Store) -> dict[str, Any]:
    """Parses and stores a file; empty if that is left to Airflow's loop."""
    began = time.monotonic()
    result = _parsed(file)
    seconds = time.monotonic() - began
    if result is None or result.import_errors:
        return {}
    try:
        store(file, result, seconds)
    except Exception:
        log.warning("%s is left to the dag-processor's own loop", file.rel_path, exc_info=True)
        return {}
    return {"dags": len(result.serialized_dags), "seconds": seconds}


def _parsed(file: DagFileInfo) -> DagFileParsingResult | None:
    """What a process of its own makes of the file."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _end_with(lambda: _parse(file, writer))
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        data = answer.read()
    _, status = os.waitpid(pid, 0)
    if status != 0 or not data:  # a file that ends its process may do so without an error
        return None
    modules, _, result = data.partition(b"\n")
    _import(json.loads(modules))
    return DagFileParsingResult.model_validate_json(result) if result else None


def _parse(file: DagFileInfo, writer: int) -> None:
    """Airflow's own function. As for `airflow dags reserialize`, variables and connections come from the database."""
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    gc.disable()  # it would copy what it looks at, and the process ends with the file
    before = set(sys.modules)
    request = DagFileParseRequest(
        file=str(file.absolute_path), bundle_path=file.bundle_path, bundle_name=file.bundle_name
    )
    result = _parse_file(request, structlog.get_logger(logger_name="task"))
    modules = _outside(set(sys.modules) - before, file.bundle_path)
    with os.fdopen(writer, "wb") as answer:
        answer.write(json.dumps(modules).encode() + b"\n")
        if result is not None:
            answer.write(result.model_dump_json().encode())


def _outside(names: Iterable[str], bundle: Path) -> list[str]:
    """The modules that are installed and not part of the bundle: the next files will want them too."""

    def origin(name: str) -> str | None:
        return getattr(getattr(sys.modules.get(name), "__spec__", None), "origin", None)

    inside = f"{bundle}{os.sep}", f"{bundle.resolve()}{os.sep}"
    return [name for name in names if (place := origin(name)) and not place.startswith(inside)]


def _import(names: list[str]) -> None:
    """Imports once what each file would import again, as Airflow does with its own modules."""
    for name in sorted(names):
        with contextlib.suppress(Exception):
            importlib.import_module(name)
