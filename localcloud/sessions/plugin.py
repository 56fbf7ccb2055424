"""Stands in for `session-manager-plugin`, with its arguments: VARIABLE REGION OPERATION PROFILE ASKED PLACE.

The variable holds the session as the API answered it. What is typed goes to the command, Ctrl-C included, and what it
writes comes here. As AWS's, it knows no exit code of the command; unlike AWS's, it also works without a terminal.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
import termios
import tty
from collections.abc import Iterator
from urllib.parse import urlsplit

from localcloud.sessions.frames import DATA, MOST, TOKEN, Frames

WITHOUT_TERMINAL = (100, 300)  # rows and columns, the plugin's own
LOOK_SECONDS = 0.5  # between looks at the size of the window, as the plugin's
KEYS = {signal.SIGINT: b"\x03", signal.SIGQUIT: b"\x1c", signal.SIGTSTP: b"\x1a"}


@contextlib.contextmanager
def raw() -> Iterator[None]:
    """The terminal, if there is one, hands over each key as it is."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setraw(sys.stdin, termios.TCSADRAIN)  # what was typed already is not lost
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def size() -> tuple[int, int]:
    try:
        columns, rows = os.get_terminal_size(sys.stdin.fileno())
    except OSError:
        return WITHOUT_TERMINAL
    return rows or WITHOUT_TERMINAL[0], columns or WITHOUT_TERMINAL[1]


def write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def pump(frames: Frames) -> None:
    """Until the other end closes; the end of standard input ends nothing."""
    watched, shown = [frames.connection, sys.stdin], (0, 0)
    while True:
        if (now := size()) != shown:
            frames.send_size(*now)
            shown = now
        ready, _, _ = select.select(watched, [], [], LOOK_SECONDS)
        if sys.stdin in ready:
            typed = os.read(sys.stdin.fileno(), MOST)
            if typed:
                frames.send(DATA, typed)
            else:
                watched.remove(sys.stdin)
        if frames.connection in ready:
            for _, payload in frames.read():
                write(payload)


def main() -> int:
    """The session from its beginning to its end."""
    opened = json.loads(os.environ[sys.argv[1]])
    name, place = opened["sessionId"], urlsplit(opened["streamUrl"])
    write(f"\nStarting session with SessionId: {name}\n".encode())
    try:
        connection = socket.create_connection((place.hostname or "", place.port or 0))
    except OSError as error:
        sys.stderr.write(f"Cannot perform start session: {error.strerror}\n")
        return 1
    frames = Frames(connection)
    frames.send(TOKEN, opened["tokenValue"].encode())
    for signum, key in KEYS.items():
        signal.signal(signum, lambda _signum, _frame, key=key: frames.send(DATA, key))
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, lambda *_: sys.exit(1))
    with raw(), contextlib.suppress(EOFError, OSError):
        pump(frames)
    write(f"\n\nExiting session with sessionId: {name}.\n\n".encode())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
