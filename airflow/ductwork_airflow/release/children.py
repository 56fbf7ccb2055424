"""Processes that parse DAG files for validate.py: new ones, or copies of one that has imported Airflow already."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHILD = Path(__file__).with_name("validate_child.py")
WARM = Path(__file__).with_name("validate_warm.py")
SOCKET = "validator.sock"
LOG = "child.log"  # in the home of children
# A copy is made in milliseconds, and Airflow has been imported by then; on a busy machine both take longer.
ANSWER_SECONDS = 120.0


class NotStarted(Exception):
    """There is no child, and no file is to blame."""


@dataclass(frozen=True)
class Asked:
    """What every child of one judgement is given."""

    dags: Path
    environment: dict[str, str]
    context: str  # what else results depend on; see remembered.py
    warm: Path | None

    def child(self, done: list[str]) -> Child:
        """A child for all files but those."""
        home = self.environment["HOME"]
        left_out = Path(home, "done.json")  # more than an argument may hold
        left_out.write_text(json.dumps(done))
        reader, writer = os.pipe()
        log = os.open(os.path.join(home, LOG), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)  # noqa: PTH118
        try:
            # Libraries of macOS must not be used by the copy of a process.
            if self.warm is not None and sys.platform == "linux":
                return Copy(self, left_out, reader, (writer, log))
            return New(self, left_out, reader, (writer, log))
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
            os.close(log)


class Child:
    """One run of validate_child.py, read line by line with a deadline."""

    def __init__(self, reader: int) -> None:
        self._reader = reader
        self._buffer = b""
        self._selector = selectors.DefaultSelector()
        self._selector.register(reader, selectors.EVENT_READ)

    def line(self, seconds: float) -> dict[str, Any] | None:
        """The next message; None at the end. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self._buffer:
            if not self._selector.select(max(0.0, deadline - time.monotonic())):
                raise TimeoutError
            data = os.read(self._reader, 1 << 16)
            if not data:
                return None
            self._buffer += data
        text, self._buffer = self._buffer.split(b"\n", 1)
        return json.loads(text)

    def end(self) -> int:
        """Kills what is left, with whatever the files started, and returns the exit status."""
        os.close(self._reader)
        return self._killed()

    def _killed(self) -> int:
        raise NotImplementedError


class New(Child):
    """A process that begins with nothing."""

    def __init__(self, asked: Asked, left_out: Path, reader: int, ends: tuple[int, int]) -> None:
        writer, log = ends
        command = [sys.executable, str(CHILD), str(asked.dags), str(writer), str(left_out)]
        self.process = subprocess.Popen(
            command, env=asked.environment, pass_fds=[writer], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
        super().__init__(reader)

    def _killed(self) -> int:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait()


class Copy(Child):
    """A copy of a process that has imported Airflow in the same context; that one is started if there is none."""

    def __init__(self, asked: Asked, left_out: Path, reader: int, ends: tuple[int, int]) -> None:
        request = {"context": asked.context, "dags": str(asked.dags), "done": str(left_out)}
        request |= {"home": asked.environment["HOME"], "cwd": os.getcwd()}  # noqa: PTH109
        for find in (waiting, started):
            line = find(asked, ends[1])
            if line is not None and taken(line, json.dumps(request).encode(), ends):
                self._line = line
                super().__init__(reader)
                return
        raise NotStarted("the validating process ended before Airflow had started")

    def _killed(self) -> int:
        """Nothing more is asked: it kills the copy and tells how that ended."""
        with contextlib.suppress(OSError):
            self._line.shutdown(socket.SHUT_WR)
        with self._line, self._line.makefile() as answer:
            return int(answer.readline() or -signal.SIGKILL)


def taken(line: socket.socket, request: bytes, ends: tuple[int, int]) -> bool:
    """Whether the process at the other end makes a copy for this request; the line is closed if not."""
    line.settimeout(ANSWER_SECONDS)
    with contextlib.suppress(OSError):
        socket.send_fds(line, [request], list(ends))
        if line.recv(1) == b"+":
            line.settimeout(None)
            return True
    line.close()
    return False


def waiting(asked: Asked, _log: int) -> socket.socket | None:
    """The process of an earlier judgement; it refuses, and ends, if it knows another context."""
    line = socket.socket(socket.AF_UNIX)
    try:
        line.connect(str(asked.warm / SOCKET))
    except OSError:
        line.close()
        return None
    return line


def started(asked: Asked, log: int) -> socket.socket:
    """A new one. It belongs to nobody, and ends when it is no longer wanted (validate_warm.py)."""
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, str(WARM), str(asked.warm / SOCKET), asked.context, str(theirs.fileno())]
        subprocess.Popen(
            command, env=asked.environment, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=log,
            stderr=log, start_new_session=True,
        )  # fmt: skip
    return ours
