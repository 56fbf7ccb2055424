"""What the two ends of a session tell each other: frames of a kind and a payload. Opens no connection."""

from __future__ import annotations

import json
import socket
import struct

TOKEN, SIZE, DATA = b"t", b"s", b"d"
HEAD = struct.Struct("!cI")
MOST = 64 * 1024  # bytes that are read at a time
LONGEST = 1024 * 1024  # of a frame; nobody who has the token sends more than MOST


class Frames:
    """The frames of a connection, whole ones as they arrive."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._left = b""

    def send(self, kind: bytes, payload: bytes) -> None:
        self.connection.sendall(HEAD.pack(kind, len(payload)) + payload)

    def send_size(self, rows: int, columns: int) -> None:
        self.send(SIZE, json.dumps([rows, columns]).encode())

    def read(self) -> list[tuple[bytes, bytes]]:
        """Those that one read completes; raises EOFError at the connection's end, ConnectionError at nonsense."""
        whole = []
        new = self.connection.recv(MOST)
        if not new:
            raise EOFError
        self._left += new
        while len(self._left) >= HEAD.size:
            kind, length = HEAD.unpack_from(self._left)
            if length > LONGEST:
                raise ConnectionError("a frame is too long")
            end = HEAD.size + length
            if len(self._left) < end:
                break
            payload, self._left = self._left[HEAD.size : end], self._left[end:]
            whole.append((kind, payload))
        return whole
