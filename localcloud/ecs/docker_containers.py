"""Containers of tasks as containers of Docker.

The process of a container (`shim.py`) runs `docker run` in its foreground, so that output, SIGTERM and the exit code
are where they are without Docker. Nothing of the environment is an argument or in a file. Image, root, user, volumes
and limits are the container's own; the network is this machine's.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

from localcloud.base import procs
from localcloud.ecs import docker
from localcloud.ecs.containers import MARK, STOP_SECONDS, TERMINAL, Container
from localcloud.ecs.docker import Docker
from localcloud.ecs.images import Image, Images
from localcloud.ecs.logs import Tail

KILL_GRACE = 10.0  # that Docker may take beyond stopTimeout
COULD_NOT_CREATE, COULD_NOT_START = 125, (126, 127)
KILLED_FOR_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
MIB = "m"


class AsItIs:
    """The places of such a container: where the image has them."""

    def make(self) -> None:
        """Docker does."""

    def word(self, text: str) -> str:
        return text

    def variables(self, given: dict[str, str]) -> dict[str, str]:
        return given


class DockerContainer(Container):
    """One container of a task, run by Docker."""

    def __init__(self, runs: Docker, definition: dict, folder: Path, stream: Tail, task: dict) -> None:
        super().__init__(definition, folder, stream)
        self._docker = runs
        self._task = task
        self._image: Image | None = None
        self._name = f"ductwork-{task['local']['id']}-{self.name}"

    def pull(self, images: Images, machine: str) -> Image:
        self._image = self._docker.pull(self.definition["image"], machine)
        return self._image

    def places(self, image: Image, volumes: Path) -> AsItIs:
        return AsItIs()

    def start(self) -> None:
        docker.remember(self.folder, self._docker, self._name, self._task["local"]["id"])
        super().start()

    def process(self) -> dict:
        """`docker run`. Variables are named only: their values are in its own environment."""
        image = self._image
        if image is None:
            raise RuntimeError(f"{self.name} has not been prepared")
        names = [f"--env={name}" for name in self.environment if name != MARK]
        first, *more = self.command
        words = self._docker.words(
            "run", f"--name={self._name}", f"--label={docker.LABEL}={self._task['local']['id']}", "--network=host",
            f"--label={docker.FOLDER}={self.folder}",
            "--pull=never", "--log-driver=none", f"--workdir={self.directory}", *self._options(image), *names,
            f"--entrypoint={first}", image.name, *more,
        )  # fmt: skip
        return {"command": words, "environment": {**self.environment, MARK: str(self.folder)}, "folder": "/"}

    def _options(self, image: Image) -> list[str]:
        definition = self.definition
        linux = definition.get("linuxParameters") or {}
        memory = definition.get("memory") or self._task.get("memory")
        options = [
            "--read-only" if definition.get("readonlyRootFilesystem") else "",
            f"--user={definition['user']}" if definition.get("user") else "",
            f"--memory={memory}{MIB}" if memory else "",
            f"--cpu-shares={definition['cpu']}" if definition.get("cpu") else "",
            "--init" if linux.get("initProcessEnabled") else "",
        ]
        options += [f"--cap-drop={one}" for one in (linux.get("capabilities") or {}).get("drop") or []]
        options += [
            f"--ulimit={one['name']}={one['softLimit']}:{one['hardLimit']}"
            for one in definition.get("ulimits") or []
        ]
        for one in linux.get("tmpfs") or []:
            size = ",".join([f"size={one['size']}{MIB}", *(one.get("mountOptions") or [])])
            options.append(f"--tmpfs={one['containerPath']}:{size}")
        return [
            *filter(None, options),
            *(self._mount(one, image) for one in definition.get("mountPoints") or []),
        ]

    def _mount(self, point: dict, image: Image) -> str:
        """A volume of the task; what the image has there, and whose it is, counts for its declared volumes only."""
        path, task = point["containerPath"], self._task["local"]["id"]
        words = [
            "type=volume", f"source=ductwork-{task}-{point['sourceVolume']}", f"target={path}",
            f"volume-label={docker.LABEL}={task}",
        ]  # fmt: skip
        words += [] if path.rstrip("/") in (image.config.get("Volumes") or {}) else ["volume-nocopy"]
        return "--mount=" + ",".join([*words, *(["readonly"] if point.get("readOnly") else [])])

    def inside(self, words: list[str]) -> dict:
        return self._exec(words)

    def session(self, words: list[str]) -> dict:
        """As root, whoever the container's user is, as on AWS."""
        return self._exec(words, "--interactive", "--tty", "--user=0", f"--env=TERM={TERMINAL}")

    def _exec(self, words: list[str], *options: str) -> dict:
        command = self._docker.words("exec", *options, self._name, *words)
        return {"command": command, "environment": {**docker.plain(), MARK: str(self.folder)}, "folder": "/"}

    def stop(self) -> None:
        """Docker asks, waits and kills."""
        shim = procs.recall(self.folder / "shim.json")
        if shim is None:
            return
        now, limit = time.monotonic(), float(self.definition.get("stopTimeout") or STOP_SECONDS)
        if self._asked is None:
            self._asked = now
            stop = self._docker.words("stop", f"--time={limit:.0f}", self._name)
            null = subprocess.DEVNULL
            process = subprocess.Popen(stop, env=docker.plain(), stdin=null, stdout=null, stderr=null)
            self.sessions.append(process)
        elif now - self._asked > limit + KILL_GRACE:
            procs.send(shim, signal.SIGUSR1)

    def _ended(self, code: int) -> None:
        shown = self._docker.run("inspect", "--format={{json .State}}", self._name)
        state = json.loads(shown.stdout) if shown.returncode == 0 else {}
        if state.get("OOMKilled"):
            self.told = KILLED_FOR_MEMORY
        why = state.get("Error", "")
        if code == COULD_NOT_CREATE and (why or not state):
            (self.folder / "reason").write_text(f"CannotCreateContainerError: {why or self._last_words()}")
        elif code in COULD_NOT_START and why:
            (self.folder / "reason").write_text(
                f"CannotStartContainerError: Error response from daemon: {why}"
            )
        super()._ended(code)

    def _last_words(self) -> str:
        log = self.folder / "log"
        lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
        return next((line for line in lines if line.startswith("docker: ")), "see its log").removeprefix(
            "docker: "
        )
