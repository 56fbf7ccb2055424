"""Has imported Airflow and parses DAG files in copies of itself, which begin at once; run by children.py as a script.

Arguments: the path of its socket, the context that it was started in (remembered.py), the file descriptor of its first
line. On a line come a request and two descriptors, for messages and for what is printed; `+` says that a copy is made.
When the line is shut the copy is killed, and how it ended is the last thing that is said.

The process belongs to no one. It ends when its socket is gone, which happens when it is asked for another context,
when a younger one takes its place and when the local cloud is stopped; and when nobody asks for a quarter of an hour.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any

IDLE_SECONDS = 900.0
LOOK_SECONDS = 0.5


class Door:
    """The socket that copies are asked for at, as long as it is this process's own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._listener = socket.socket(socket.AF_UNIX)
        new = path.with_name(f"{path.name}.{os.getpid()}")
        before = os.umask(0o177)
        try:
            self._listener.bind(str(new))
        finally:
            os.umask(before)
        self._listener.listen()
        self._listener.settimeout(LOOK_SECONDS)
        self._inode = new.stat().st_ino
        new.replace(path)

    def is_open(self) -> bool:
        """Whether the path still leads here."""
        with contextlib.suppress(OSError):
            return self._path.stat().st_ino == self._inode
        return False

    def shut(self) -> None:
        """Nobody comes any more."""
        if self.is_open():
            self._path.unlink(missing_ok=True)

    def leave(self) -> None:
        """This process, a copy, lets nobody in: whoever knocks would wait here when the first process has ended."""
        self._listener.close()

    def next(self) -> socket.socket | None:
        """Who comes; None if nobody does for a moment."""
        with contextlib.suppress(TimeoutError):
            line, _ = self._listener.accept()
            line.settimeout(None)
            return line
        return None


def serve(path: Path, context: str, first: socket.socket, idle: float = IDLE_SECONDS) -> None:
    """Answers the first line and then all that come."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that answer
    door = None
    with contextlib.suppress(OSError):  # then it is for the first line only
        door = Door(path)
    line: socket.socket | None = first
    asked = time.monotonic()
    while True:
        if line is not None:
            if os.fork() == 0:
                answer(line, context, door)
            line.close()
            asked = time.monotonic()
        if door is None or not door.is_open():
            return
        if time.monotonic() > asked + idle:
            return door.shut()
        line = door.next()


def answer(line: socket.socket, context: str, door: Door | None) -> None:
    """All of one line, in a process of its own, which ends here."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if door is not None:
            door.leave()
        data, descriptors, _, _ = socket.recv_fds(line, 1 << 16, 2)
        if not data:  # somebody only looked whether this process lives
            os._exit(0)
        request = json.loads(data)
        if request["context"] != context:
            if door is not None:
                door.shut()
            os._exit(0)
        line.send(b"+")
        if (copy := os.fork()) == 0:
            os.setsid()
            line.close()
            parse(request, *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        line.send(f"{ended(copy, line)}\n".encode())
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def ended(copy: int, line: socket.socket) -> int:
    """How the copy ended: by itself, or because nothing more is asked."""
    select.select([os.pidfd_open(copy), line], [], [])
    for kill in (os.killpg, os.kill):  # it may have no group of its own yet
        with contextlib.suppress(ProcessLookupError):
            kill(copy, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1])


def parse(request: dict[str, Any], channel: int, log: int) -> None:
    """What validate_child.py does; the process ends here."""
    status: int | str | None = 1
    try:
        for stream in (1, 2):
            os.dup2(log, stream)
        os.chdir(request["cwd"])
        os.environ.update(HOME=request["home"], AIRFLOW_HOME=request["home"])
        from ductwork_airflow.release import validate_child

        validate_child.run(Path(request["dags"]), channel, Path(request["done"]))
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else int(status is not None))


def main() -> None:
    """Imports Airflow, then serves."""
    path, context, first = Path(sys.argv[1]), sys.argv[2], socket.socket(fileno=int(sys.argv[3]))
    # As in validate_child.py.
    sys.path[0] = str(Path(__file__).resolve().parent.parent.parent)
    from ductwork_airflow.release import validate_child

    validate_child.prepare()
    gc.freeze()
    os.chdir("/")
    serve(path, context, first)


if __name__ == "__main__":
    main()
