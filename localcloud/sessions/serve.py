"""One session: `python -m localcloud.sessions.serve FD`, with what it runs as JSON on standard input.

FD listens. Whoever connects with the token first has the session; the command runs on a terminal of its own and ends
with it, and the session with the command. A process of its own, so that nothing of the cloud's is forked.
"""

from __future__ import annotations

import contextlib
import fcntl
import hmac
import json
import os
import pty
import select
import signal
import socket
import struct
import sys
import termios
import time

from localcloud.sessions.frames import DATA, MOST, SIZE, TOKEN, Frames

CONNECT_SECONDS = 60.0  # how long a session waits for its user
TELL_SECONDS = 5.0  # how long a connection may take to show the token
LOOK_SECONDS = 0.1
GRACE_SECONDS = 5.0  # between the end of the terminal and SIGKILL
NOT_STARTED = 126


def connected(listener: socket.socket, token: str) -> tuple[Frames, list[tuple[bytes, bytes]]] | None:
    """The first connection that begins with the token, and what came with it."""
    deadline = time.monotonic() + CONNECT_SECONDS
    while time.monotonic() < deadline:
        listener.settimeout(max(deadline - time.monotonic(), 0.01))
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            return None
        connection.settimeout(TELL_SECONDS)
        frames = Frames(connection)
        with contextlib.suppress(EOFError, OSError):
            first, *rest = frames.read() or [(b"", b"")]
            if first[0] == TOKEN and hmac.compare_digest(first[1], token.encode()):
                connection.settimeout(None)
                return frames, rest
        connection.close()
    return None


def start(wanted: dict) -> tuple[int, int]:
    """The command's pid and the other end of its terminal."""
    pid, terminal = pty.fork()
    if pid:
        return pid, terminal
    command = wanted["command"]
    try:
        os.chdir(wanted["folder"])
        os.execvpe(command[0], command, wanted["environment"])  # noqa: S606
    except OSError as error:
        reason = (os.strerror(error.errno or 0)).lower()
        text = f"Unable to start command: Failed to start pty: fork/exec {command[0]}: {reason}\n"
        os.write(2, text.encode())
    os._exit(NOT_STARTED)


class Session:
    def __init__(self, wanted: dict, frames: Frames, first: list[tuple[bytes, bytes]]) -> None:
        self._frames = frames
        self._pid, self._terminal = start(wanted)
        self._ended = False
        self._take(first)

    def pump(self) -> None:
        """Until the command or the connection ends."""
        connection = self._frames.connection
        with contextlib.suppress(EOFError, OSError):
            while not self._ended:
                self._ended = os.waitpid(self._pid, os.WNOHANG)[0] != 0
                ready, _, _ = select.select([connection, self._terminal], [], [], LOOK_SECONDS)
                if self._terminal in ready:
                    self._frames.send(DATA, os.read(self._terminal, MOST))
                if connection in ready:
                    self._take(self._frames.read())
            self._rest()
        self._end()

    def _take(self, frames: list[tuple[bytes, bytes]]) -> None:
        for kind, payload in frames:
            if kind == DATA:
                os.write(self._terminal, payload)
            elif kind == SIZE:
                rows, columns = json.loads(payload)
                size = struct.pack("HHHH", int(rows), int(columns), 0, 0)
                fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, size)

    def _rest(self) -> None:
        """What the command had written when it ended."""
        while select.select([self._terminal], [], [], 0)[0]:
            self._frames.send(DATA, os.read(self._terminal, MOST))

    def _end(self) -> None:
        """The command is told by the end of its terminal, and killed if it does not listen."""
        os.close(self._terminal)
        self._frames.connection.close()
        deadline = time.monotonic() + GRACE_SECONDS
        while not self._ended and time.monotonic() < deadline:
            self._ended = os.waitpid(self._pid, os.WNOHANG)[0] != 0
            time.sleep(LOOK_SECONDS)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)


def main() -> None:
    """One session, or none if nobody comes."""
    wanted = json.load(sys.stdin)
    with socket.socket(fileno=int(sys.argv[1])) as listener:
        found = connected(listener, wanted["token"])
    if found is not None:
        Session(wanted, *found).pump()


if __name__ == "__main__":
    main()
