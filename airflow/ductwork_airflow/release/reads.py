"""Watches what DAG files read while they are imported: by that it is known what a remembered result depends on.

Audit events of Python, so reads of Python code only: what a library reads in C is not seen.
"""

from __future__ import annotations

import os
import site
import sys
from pathlib import Path
from typing import Any

# Things that no digest of files covers.
_OUTSIDE = {
    "socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "subprocess.Popen", "os.system",
    "os.posix_spawn", "os.exec", "os.fork", "os.forkpty", "os.spawn", "os.startfile", "pty.spawn",
}  # fmt: skip
_FOLDERS = {"os.listdir", "os.scandir"}
_FILES = {"open", "sqlite3.connect"}
_IMPORTER = "<frozen importlib._bootstrap_external>"
# The same for everyone who has the same Python, or without meaning.
_SYSTEM = ("/usr/share/zoneinfo", "/dev/null", "/dev/urandom", "/proc", "/etc/localtime")


class Reads:
    """What was read below the root since the last `taken`, and whether anything came from elsewhere."""

    def __init__(self, root: Path, inside: list[Path]) -> None:
        self._root = f"{root}{os.sep}"
        known = [sys.prefix, sys.base_prefix, *site.getsitepackages(), *map(str, inside)]
        known += [os.path.realpath(one) for one in known]
        self._inside = tuple(f"{one}{os.sep}" for one in known) + _SYSTEM
        self._files: set[str] = set()
        self._folders: set[str] = set()
        # What has come from elsewhere may be kept by a module for the files that follow, so it stays true.
        self.outside: str | None = None

    def watch(self) -> None:
        """Begins; it cannot be undone."""
        sys.addaudithook(self._heard)

    def taken(self) -> dict[str, Any]:
        """What has been read, relative to the root, and the first thing that came from elsewhere."""
        read = {"files": sorted(self._files), "folders": sorted(self._folders), "outside": self.outside}
        self._files, self._folders = set(), set()
        return read

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _OUTSIDE:
            self.outside = self.outside or event
        elif event in _FILES:
            self._opened(arguments[0])
        elif event in _FOLDERS and sys._getframe(1).f_code.co_filename != _IMPORTER:
            place = self._place("." if arguments[0] is None else arguments[0])
            if place is not None:
                self._folders.add(place)

    def _opened(self, path: Any) -> None:
        place = self._place(path)
        if place is not None and "__pycache__" not in place:
            self._files.add(place)

    def _place(self, path: Any) -> str | None:
        """Where below the root something is."""
        if isinstance(path, int) or path in (":memory:", b":memory:"):
            return None
        whole = os.path.abspath(os.fsdecode(path))  # noqa: PTH100
        if f"{whole}{os.sep}".startswith(self._root):
            return whole.removeprefix(self._root.rstrip(os.sep)).lstrip(os.sep)
        if not f"{whole}{os.sep}".startswith(self._inside):
            self.outside = self.outside or whole
        return None
