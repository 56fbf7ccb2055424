"""Where the places of a container are on this machine: in the unpacked image, a volume of its task, or its own folder.

Maps commands, arguments and variables that name a place of the image by its whole path. System folders stay this
machine's. Pure, except that it asks whether a path is there.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from localcloud.databases.postgres import binaries
from localcloud.ecs.images import Image

SYSTEM = ("/bin", "/dev", "/etc", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PYTHON = re.compile(r"(/usr)?(/local)?/bin/python[\d.]*")


class Places:
    """Those of one container."""

    def __init__(self, image: Image, own: Path, volumes: Path, mounts: list[dict]) -> None:
        self._image = image
        self._folders = {"/tmp": own / "tmp"}  # noqa: S108 - of the image, not of this machine
        self._folders |= {path: own / "root" / path.lstrip("/") for path in image.writable}
        self._folders |= {one["containerPath"].rstrip("/"): volumes / one["sourceVolume"] for one in mounts}

    def make(self) -> None:
        """Make what the container may write to; what the image has there is copied."""
        for path, folder in self._folders.items():
            source = self._image.rootfs / path.lstrip("/")
            if not folder.exists() and source.is_dir():
                shutil.copytree(source, folder, symlinks=True)
            folder.mkdir(parents=True, exist_ok=True)

    def of(self, path: str) -> str:
        """A path of the image as it is here; unchanged if the image has no such place, and for system folders."""
        for place in sorted(self._folders, key=len, reverse=True):
            if path == place or path.startswith(f"{place}/"):
                return f"{self._folders[place]}{path.removeprefix(place)}"
        if PYTHON.fullmatch(path) and self._image.python:
            return self._image.python
        here = self._image.rootfs / path.lstrip("/")
        if path.rstrip("/") == "" or not os.path.lexists(here):
            return path
        is_system = any(path == one or path.startswith(f"{one}/") for one in SYSTEM)
        return path if is_system and os.path.lexists(path) else str(here)

    def word(self, text: str) -> str:
        """A word of a command, or the value of a variable: a path, or several with colons between them."""
        if not text.startswith("/") or "://" in text:
            return text
        return ":".join(self.of(part) if part.startswith("/") else part for part in text.split(":"))

    def variables(self, given: Mapping[str, str]) -> dict[str, str]:
        """Variables with their places. The client of the databases here begins the PATH: a pg_dump of this machine
        may be older than they are."""
        made = {key: self.word(value) for key, value in given.items()}
        return {**made, "PATH": f"{binaries()}:{made.get('PATH') or SYSTEM_PATH}"}
