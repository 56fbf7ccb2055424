"""Free ports that are likely to be free tomorrow as well: below the range from which systems take the
ports of outgoing connections, since the cloud and its databases come back on the ports they had.
"""

from __future__ import annotations

import random
import socket

HOST = "127.0.0.1"
RANGE = range(20000, 32000)
TRIES = 64


def listen(port: int = 0) -> socket.socket:
    """A socket listening on the loopback address; on a free port of the range when none is given."""
    candidates = [port] if port else [*random.sample(RANGE, TRIES), 0]
    for candidate in candidates:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, candidate))
            listener.listen(512)
            return listener
        except (OSError, OverflowError):
            listener.close()
            if candidate == candidates[-1]:
                raise
    raise AssertionError("unreachable")


def free() -> int:
    """A port that was free a moment ago."""
    with listen() as listener:
        return listener.getsockname()[1]
