"""Opening a state folder: one instance at a time, its port, and whether what it holds can be read.

Never repairs: what is broken is named, with the cure.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shlex
import socket
from pathlib import Path
from typing import IO

from localcloud.base import ports, procs
from localcloud.base.files import write_atomic
from localcloud.base.paths import State
from localcloud.base.ports import HOST
from localcloud.base.problems import Refused
from localcloud.emulator.saver import check_saved, settle

# What no quoting gets into supervisord's configuration: `%`, which is alembic's as well, the bracket of the file
# pattern that [include] makes of the path, and the beginning of a comment.
UNUSABLE = re.compile(r"%|\[|\s[;#]|[\r\n]")


def open_folder(state: State) -> IO[str]:
    """Make the folder and take its lock; keep the returned file open for the life of the process."""
    _check_path(state)
    try:
        for folder in (
            state.root,
            state.services,
            state.objects,
            state.instances,
            state.blobs,
            state.images,
            state.tasks,
            state.postgres,
            state.pids,
        ):
            folder.mkdir(parents=True, exist_ok=True)
        lock = state.lock_file.open("a+")
    except FileExistsError as error:
        raise Refused(
            f"the state folder `{state.root}` is damaged: `{error.filename}` is not a folder",
            _wipe_hint(state),
        ) from None
    except OSError as error:
        raise Refused(f"cannot write the state folder `{state.root}`: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise Refused(
            f"a local cloud already runs on `{state.root}`",
            f"use it, or stop it: python -m localcloud stop --state {shlex.quote(str(state.root))}",
        ) from None
    procs.remember(state.pids / "cloud.json", os.getpid())
    _check(state)
    return lock


def _check_path(state: State) -> None:
    found = UNUSABLE.search(str(state.root))
    if found is not None:
        raise Refused(
            f"the state folder `{state.root}` cannot be used: {found[0]!r} in its path has a meaning of its own "
            "for supervisord",
            "move the project to a folder without it, or choose another one with --state",
        )


def _wipe_hint(state: State) -> str:
    return f"start anew with: python -m localcloud wipe --state {shlex.quote(str(state.root))}"


def _check(state: State) -> None:
    settle(state.services)
    bad = check_saved(state.services)
    if bad:
        names = ", ".join(f"`{path.relative_to(state.root)}`" for path in bad)
        raise Refused(
            f"the state folder `{state.root}` is damaged: {names} cannot be read", _wipe_hint(state)
        )
    if state.port_file.exists():
        stored_port(state)


def stored_port(state: State) -> int | None:
    """The port of the last `serve`; queue URLs and stack outputs embed it, so it must stay."""
    try:
        text = state.port_file.read_text()
    except FileNotFoundError:
        return None
    try:
        port = int(text)
        if not 0 < port < 65536:
            raise ValueError(text)
        return port
    except ValueError:
        raise Refused(
            f"the state folder `{state.root}` is damaged: `port` does not hold a port number",
            _wipe_hint(state),
        ) from None


def bind(state: State, wanted: int | None) -> socket.socket:
    """A listening socket on the loopback address, and the port written down."""
    port = wanted if wanted is not None else stored_port(state) or 0
    try:
        listener = ports.listen(port)
    except OverflowError:
        raise Refused(f"`{port}` is not a port number") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Refused(
                f"port {port} of {HOST} is taken by another program",
                "stop that program, or choose another port with --port "
                "(URLs that stacks have recorded keep the old one)",
            ) from None
        if error.errno == errno.EACCES:
            raise Refused(f"no permission to listen on port {port}", "choose a port above 1023") from None
        raise
    write_atomic(state.port_file, f"{listener.getsockname()[1]}\n")
    return listener


def write_ready(state: State, port: int, started: float, in_containers: bool = False) -> None:
    """cloud.json: what the Rust tool reads."""
    record = {
        "endpoint": f"http://{HOST}:{port}",
        "port": port,
        "pid": os.getpid(),
        "started": started,
        "containers": in_containers,
    }
    write_atomic(state.cloud_json, json.dumps(record) + "\n", mode=0o644)


def withdraw(state: State) -> None:
    """Say that no cloud answers here any more."""
    state.cloud_json.unlink(missing_ok=True)
    (state.pids / "cloud.json").unlink(missing_ok=True)


def read_ready(path: Path) -> dict | None:
    try:
        record = json.loads(path.read_text())
        return record if isinstance(record, dict) else None
    except (OSError, ValueError):
        return None
