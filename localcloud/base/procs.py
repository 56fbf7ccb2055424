"""Processes by identity: a pid together with its start time, so that a recycled pid is never trusted or
signalled.

Never looks for a process by its name.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from localcloud.base.files import write_atomic


@dataclass(frozen=True)
class Identity:
    """One process for the whole life of the machine: pid, start time, and the boot they belong to."""

    pid: int
    start: str

    def alive(self) -> bool:
        return identify(self.pid) == self


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def identify(pid: int) -> Identity | None:
    """The identity of a running process; None for no process and for a zombie, which runs nothing any
    more.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        fields = stat.rpartition(")")[2].split()
        if fields[0] in ("Z", "X"):
            return None
        return Identity(pid, f"{_boot_id()}/{fields[19]}")
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self").is_dir():
            return None
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return Identity(pid, f"{process.create_time():.2f}")
    except psutil.Error:
        return None


def remember(path: Path, pid: int) -> Identity | None:
    """Write the identity of a running process to a pid file of ours."""
    identity = identify(pid)
    if identity is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps({"pid": identity.pid, "start": identity.start}))
    return identity


def recall(path: Path) -> Identity | None:
    """The process a pid file of ours names, if that very process still runs."""
    try:
        record = json.loads(path.read_text())
        identity = Identity(int(record["pid"]), str(record["start"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return identity if identity.alive() else None


def send(identity: Identity, signum: int) -> bool:
    """Signal exactly that process; False when it is gone."""
    if not identity.alive():
        return False
    try:
        os.kill(identity.pid, signum)
    except ProcessLookupError:
        return False
    return True


def wait_gone(identities: Iterable[Identity], seconds: float) -> list[Identity]:
    """Wait until all are gone; returns those that are not."""
    left = [i for i in identities if i.alive()]
    deadline = time.monotonic() + seconds
    while left and time.monotonic() < deadline:
        time.sleep(0.03)
        left = [i for i in left if i.alive()]
    return left


def end(identities: Iterable[Identity], grace: float, first: int = signal.SIGTERM) -> None:
    """Ask, wait, then kill."""
    asked = [i for i in identities if send(i, first)]
    for stubborn in wait_gone(asked, grace):
        send(stubborn, signal.SIGKILL)
    wait_gone(asked, 5)


def tagged(accept: Callable[[dict[str, str]], bool]) -> list[Identity]:
    """Our own user's processes whose environment carries one of our marks (see hostenv.MARK)."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and accept(process.environ()):
                identity = identify(process.pid)
                if identity is not None:
                    found.append(identity)
        except (psutil.Error, OSError):
            continue
    return found
