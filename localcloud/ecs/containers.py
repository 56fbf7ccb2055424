"""One container of a task: its process, its health checks and its end, found again by the files in its folder."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO, cast

from localcloud.base import procs
from localcloud.base.files import remove_tree
from localcloud.ecs import docker
from localcloud.ecs.images import Image, Images
from localcloud.ecs.logs import Tail
from localcloud.ecs.places import Places

MARK = "DUCTWORK_CONTAINER_FOLDER"  # in the environment of everything that a container starts
SHIM = Path(__file__).with_name("shim.py")
STARTING_SECONDS = 1.0  # between health checks until the first that succeeds; AWS waits a whole interval
STOP_SECONDS = 30.0  # stopTimeout, where the definition says nothing
TERMINAL = "xterm-256color"  # as the agent says to what it runs
KILLED, KILL_GRACE = 137, 3.0


class Container:
    def __init__(self, definition: dict, folder: Path, stream: Tail) -> None:
        self.name: str = definition["name"]
        self.definition = definition
        self.folder = folder
        self.stream = stream
        self.health = Health(definition.get("healthCheck"))
        self.exit_code: int | None = None
        self.command: list[str] = []
        self.environment: dict[str, str] = {}
        self.directory = ""
        self.here: Callable[[str], str] = str  # a word of the image as it is on this machine
        self.told = ""  # what there is to say of its end
        self.sessions: list[subprocess.Popen] = []  # those opened by this cloud; reaped by poll()
        self._asked: float | None = None  # when it was told to stop
        self._shim: subprocess.Popen | None = None  # only of a container that this cloud has started

    @property
    def essential(self) -> bool:
        return bool(self.definition.get("essential", True))

    @property
    def launched(self) -> bool:
        return (self.folder / "shim.json").exists()

    @property
    def started(self) -> bool:
        """Its first process is, or was, there."""
        return self.exit_code is not None or (self.folder / "pid").exists()

    @property
    def running(self) -> bool:
        return self.launched and self.exit_code is None

    @property
    def reason(self) -> str:
        """Why it could not be started."""
        file = self.folder / "reason"
        return file.read_text() if file.exists() else ""

    def start(self) -> None:
        """Start it with its command, environment and directory; raises OSError."""
        command = [sys.executable, "-I", "-S", str(SHIM), str(self.folder)]
        environment = {MARK: str(self.folder), "PATH": self.environment.get("PATH", "")}
        shim = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True,
            env=environment, start_new_session=True,
        )  # fmt: skip
        self._shim = shim  # reaped by poll()
        procs.remember(self.folder / "shim.json", shim.pid)
        wanted = self.process()
        with contextlib.suppress(BrokenPipeError), cast(TextIO, shim.stdin) as pipe:
            json.dump(wanted, pipe)
        self.health.begin()

    def pull(self, images: Images, machine: str) -> Image:
        return images.pull(self.definition["image"], machine)

    def places(self, image: Image, volumes: Path) -> Places:
        """Where what it names is."""
        return Places(image, self.folder, volumes, self.definition.get("mountPoints") or [])

    def process(self) -> dict:
        """What the shim starts."""
        return self.inside(self.command)

    def inside(self, words: list[str]) -> dict:
        """What a command of this machine in it is started with."""
        return {"command": words, "environment": self.environment, "folder": self.directory}

    def poll(self) -> None:
        """See whether it has ended."""
        self.sessions = [one for one in self.sessions if one.poll() is None]
        if not self.running:
            return
        if self._shim is not None:
            self._shim.poll()
        alive = procs.recall(self.folder / "shim.json") is not None
        file = self.folder / "exit"  # looked for afterwards: it is written before the shim ends
        if file.exists():
            self._ended(int(file.read_text()))
        elif not alive:
            self._ended(KILLED)

    def _ended(self, code: int) -> None:
        """As in a container, what the first process started ends with it."""
        self.health.end()
        end_marked(self.folder)
        self.exit_code = code

    def stop(self) -> None:
        """Ask it to end, and kill it when its time is up; to be called until it has ended."""
        shim = procs.recall(self.folder / "shim.json")
        if shim is None:
            return
        now = time.monotonic()
        if self._asked is None:
            self._asked = now
            procs.send(shim, signal.SIGTERM)
        elif now - self._asked > float(self.definition.get("stopTimeout") or STOP_SECONDS):
            procs.send(shim, signal.SIGUSR1)

    def session(self, words: list[str]) -> dict:
        """What a command in it, on a terminal, is started with."""
        made = self.inside([self.here(word) for word in words])
        return {**made, "environment": {**self.environment, "TERM": TERMINAL}}

    def check(self) -> None:
        """Run its health check if it is time to."""
        if self.running:
            self.health.step(self.inside)


class Health:
    """The health checks of a container, as Docker and the ECS agent make them."""

    def __init__(self, definition: dict | None) -> None:
        wanted = definition or {}
        self.command: list[str] = [] if wanted.get("command", ["NONE"])[0] == "NONE" else wanted["command"]
        self.status = "UNKNOWN"
        self._interval = float(wanted.get("interval", 30))
        self._timeout = float(wanted.get("timeout", 5))
        self._retries = int(wanted.get("retries", 3))
        self._start_period = float(wanted.get("startPeriod", 0))
        self._begun = self._next = time.monotonic()
        self._failed = 0
        self._process: subprocess.Popen | None = None
        self._deadline = 0.0

    def begin(self) -> None:
        self._begun = self._next = time.monotonic()

    def step(self, inside: Callable[[list[str]], dict]) -> None:
        if not self.command:
            return
        now = time.monotonic()
        if self._process is not None:
            self._look(self._process, now)
        elif now >= self._next:
            kind, *words = self.command
            # Through a shell in both cases: a command that is not there is a check that fails.
            script = ['exec "$@"', "health", *words] if kind == "CMD" else words
            made = inside(["/bin/sh", "-c", *script])
            self._process = subprocess.Popen(
                made["command"], cwd=made["folder"], env=made["environment"], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
            self._deadline = now + self._timeout

    def _look(self, process: subprocess.Popen, now: float) -> None:
        code = process.poll()
        if code is None and now < self._deadline:
            return
        self.end()
        if code == 0:
            self._failed, self.status = 0, "HEALTHY"
        elif now - self._begun > self._start_period or self.status == "HEALTHY":
            self._failed += 1
            if self._failed >= self._retries:
                self.status = "UNHEALTHY"
        starting = self.status == "UNKNOWN"
        self._next = now + (
            min(self._interval, STARTING_SECONDS) if starting and not self._failed else self._interval
        )

    def end(self) -> None:
        """End a check that still runs."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


def end_marked(folder: Path) -> None:
    """End everything that a container, or the containers below a folder, started."""
    docker.remove(folder)
    prefix = f"{folder}{os.sep}"
    procs.end(
        procs.tagged(lambda env: (env.get(MARK, "") + os.sep).startswith(prefix)), KILL_GRACE, signal.SIGKILL
    )


def end_all(tasks: Path, drain_seconds: float) -> None:
    """End the containers of every task: asked first, then killed. For `stop`, when the cloud may be gone."""
    shims = [
        one for file in tasks.glob("*/containers/*/shim.json") if (one := procs.recall(file)) is not None
    ]
    for shim in shims:
        procs.send(shim, signal.SIGTERM)
    procs.wait_gone(shims, drain_seconds)
    end_marked(tasks)
    docker.remove_volumes(tasks)


def forget(task_folder: Path) -> None:
    """Nothing stays of a stopped task but its record and its log stream."""
    docker.remove_volumes(task_folder)
    remove_tree(task_folder)
