"""ECS exec: `ExecuteCommand`, and the agent for it that each container of a task has.

A session is a process (`sessions/serve.py`) that listens on the loopback address for whoever has its token. It carries
the mark of its container, and so ends with it.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, cast

from localcloud.ecs.containers import MARK, Container
from localcloud.ecs.errors import invalid, not_connected
from localcloud.ecs.rights import Rights
from localcloud.ecs.store import Store, now
from localcloud.emulator.shapes import Operation

AGENT = "ExecuteCommandAgent"
PROJECT = Path(__file__).resolve().parents[2]
RIGHTS = [f"ssmmessages:{what}{kind}Channel" for what in ("Create", "Open") for kind in ("Control", "Data")]
# What the agent writes to. (docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html)
WRITTEN = ("/var/lib/amazon", "/var/log/amazon")
NOT_ENABLED = (
    "The execute command failed because execute command was not enabled when the task was run or the execute command "
    "agent isn't running. Wait and try again or run a new task with execute command enabled and try again."
)
# Of a task and a container's name: the container, and the task's own rights.
Find = Callable[[dict, str], tuple[Container, Rights | None] | None]


def show(record: dict, definition: dict) -> bool:
    """Bring what the API says of a container's agent up to date; True if it has changed."""
    status, reason = record["lastStatus"], ""
    paths = [one["containerPath"] for one in definition.get("mountPoints") or [] if not one.get("readOnly")]
    if definition.get("readonlyRootFilesystem") and not all(
        any(path == place or path.startswith(f"{place}/") for path in paths) for place in WRITTEN
    ):
        status, reason = "STOPPED", "ReadonlyRootFilesystem: the agent cannot write its files"
    agent = {"name": AGENT, "lastStatus": status, **({"reason": reason} if reason else {})}
    before = (record.get("managedAgents") or [{}])[0]
    if status == "RUNNING":
        agent["lastStartedAt"] = before.get("lastStartedAt") or now()
    record["managedAgents"] = [agent]
    return agent != before


class Sessions:
    def __init__(self, store: Store, find: Find) -> None:
        self._store = store
        self._find = find

    def operations(self) -> dict[str, Operation]:
        return {"ExecuteCommand": self.execute}

    def execute(self, request: dict) -> dict:
        cluster = self._store.cluster(request.get("cluster"))
        if not request.get("interactive"):
            raise invalid("Interactive is the only mode supported currently.")
        words = _words(request.get("command"))
        task = self._store.task(request.get("cluster"), request.get("task") or "")
        if task is None:
            raise invalid("The referenced task was not found.")
        record = _record(task, request.get("container"))
        if not _can_be_asked(task, record):
            raise invalid(NOT_ENABLED)
        found = self._find(task, record["name"])
        if found is None:
            raise invalid(NOT_ENABLED)
        container, rights = found
        if rights is None or any(rights.denied(action, "*") for action in RIGHTS):
            raise not_connected()
        opened = _open(container, words)
        return {
            "clusterArn": cluster["clusterArn"],
            "containerArn": record["containerArn"],
            "containerName": record["name"],
            "interactive": True,
            "session": opened,
            "taskArn": task["taskArn"],
        }


def _words(command: str | None) -> list[str]:
    """As the agent splits it; no shell reads it."""
    try:
        words = shlex.split(command or "")
    except ValueError as error:
        raise invalid(f"command cannot be read: {error}") from None
    if not words:
        raise invalid("command cannot be empty.")
    return words


def _record(task: dict, name: str | None) -> dict:
    if not name and len(task["containers"]) > 1:
        raise invalid("A container name must be specified for a task that has several containers.")
    found = [one for one in task["containers"] if name in (None, "", one["name"])]
    if not found:
        raise invalid(f"The container {name} does not exist in the task.")
    return found[0]


def _can_be_asked(task: dict, record: dict) -> bool:
    agents = [one for one in record.get("managedAgents") or [] if one["lastStatus"] == "RUNNING"]
    return bool(task["enableExecuteCommand"] and task["lastStatus"] == "RUNNING" and agents)


def _open(container: Container, words: list[str]) -> dict:
    name, token = f"ecs-execute-command-{secrets.token_hex(9)[:17]}", secrets.token_urlsafe(32)
    wanted = {**container.session(words), "token": token}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = subprocess.Popen(
            [sys.executable, "-m", "localcloud.sessions.serve", str(listener.fileno())],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True,
            env={MARK: str(container.folder), "PYTHONPATH": str(PROJECT), "PATH": os.defpath},
            pass_fds=[listener.fileno()], start_new_session=True,
        )  # fmt: skip
        with cast(IO[str], process.stdin) as pipe:
            json.dump(wanted, pipe)
        container.sessions.append(process)
        port = listener.getsockname()[1]
    return {"sessionId": name, "streamUrl": f"tcp://127.0.0.1:{port}/{name}", "tokenValue": token}
