"""Where a component of a task is found by its health check: a file that its start writes.

In a local cloud tasks share one machine, so the API server listens on the task's own address and all else on ports
that are free; on AWS a task has its addresses and ports for itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ductwork_airflow.hosts.settings import Ports

METADATA = "ECS_CONTAINER_METADATA_URI_V4"
OWN = "127.0.0.1"


@dataclass(frozen=True)
class Place:
    """A component that has been started."""

    pid: int
    address: str  # of the API server
    port: int  # likewise
    scheduler_health: int


def file(state: Path, component: str) -> Path:
    """Named by the component, since the containers of a task may share a volume."""
    return state / f"{component}.place"


def write(state: Path, component: str, place: Place) -> None:
    """In one step: a check may look at any time."""
    state.mkdir(parents=True, exist_ok=True)
    target = file(state, component)
    fresh = target.with_suffix(f".{os.getpid()}")
    fresh.write_text(json.dumps(asdict(place)), encoding="utf-8")
    fresh.replace(target)


def read(state: Path, component: str) -> Place | None:
    """None before the component has been started."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        return Place(**json.loads(file(state, component).read_text(encoding="utf-8")))
    return None


def ask(url: str) -> object:
    """JSON from an endpoint of this task, never by a proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=5) as answer:
        return json.load(answer)


def own_address(environ: Mapping[str, str]) -> str:
    """The address of this task."""
    found = ask(environ[METADATA])
    networks = found.get("Networks", []) if isinstance(found, dict) else []
    addresses = [address for network in networks for address in network.get("IPv4Addresses", [])]
    if not addresses:
        raise OSError(f"the task's metadata at {environ[METADATA]} tells no IPv4 address")
    return str(addresses[0])


def free_ports() -> Ports:
    """Three that nobody has now; all are held until the last is found, so that they differ."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in Ports._fields]
        for one in sockets:
            one.bind(("", 0))
        return Ports(*(int(one.getsockname()[1]) for one in sockets))
