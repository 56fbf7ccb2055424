"""The Docker of this machine, for `serve --containers`: what it takes to pull an image, and to remove what a task left.

Containers that run in it are found again by a file in their folders, whatever the cloud was started with.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from localcloud.base.files import write_atomic
from localcloud.base.problems import Refused
from localcloud.ecs import images
from localcloud.ecs.errors import StartError
from localcloud.ecs.images import Image

RECORD = "docker.json"
LABEL, FOLDER = "ductwork.task", "ductwork.folder"  # which task, and where the container's own files are


@dataclass(frozen=True)
class Docker:
    program: str
    host: str  # DOCKER_HOST, or empty
    registry: str = ""  # where the local ECR answers

    def words(self, *words: str) -> list[str]:
        return [self.program, *(["--host", self.host] if self.host else []), *words]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.words(*words),
            capture_output=True,
            text=True,
            env=plain(),
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def pull(self, reference: str, machine: str) -> Image:
        """The image of a reference, from the local ECR; its digest is part of its name."""
        repository, digest, config = images.described(reference, machine)
        name = f"{self.registry}/{repository}@{digest}"
        done = self.run("pull", "--quiet", name)
        if done.returncode:
            raise StartError(f"CannotPullContainerError: {reference}: {done.stderr.strip()}")
        return Image(digest, Path("/"), config, (), "", name=name)


def plain() -> dict[str, str]:
    """What Docker's command line needs."""
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": os.environ.get("HOME", "/")}


def find(host: str, registry: str) -> Docker:
    """The Docker of this machine; raises Refused if there is none."""
    program = shutil.which("docker")
    if program is None:
        raise Refused(
            "tasks cannot run as containers: there is no Docker", "install it, or leave --containers out"
        )
    found = Docker(program, host, registry)
    if found.run("info").returncode:
        raise Refused(
            "tasks cannot run as containers: Docker does not answer",
            "start its service: sudo systemctl start docker; or point DOCKER_HOST to where it runs",
        )
    return found


def remember(folder: Path, docker: Docker, name: str, task: str) -> None:
    record = {"docker": asdict(docker), "name": name, "task": task}
    write_atomic(folder / RECORD, json.dumps(record))


def remove(folder: Path) -> None:
    """Remove the container of a folder, or those of the containers below it, whatever they do."""
    for record in _records(folder):
        _of(record).run("rm", "--force", "--volumes", record["name"])


def remove_volumes(folder: Path) -> None:
    """Remove the volumes of the tasks whose containers are below a folder."""
    for record in {record["task"]: record for record in _records(folder)}.values():
        docker = _of(record)
        names = docker.run(
            "volume", "ls", "--quiet", f"--filter=label={LABEL}={record['task']}"
        ).stdout.split()
        if names:
            docker.run("volume", "rm", "--force", *names)


def recall(folder: Path) -> Docker | None:
    """What runs the container of a folder, if that is Docker."""
    return next((_of(record) for record in _records(folder)), None) if (folder / RECORD).exists() else None


def _records(folder: Path) -> list[dict]:
    files = [
        folder / RECORD,
        *folder.glob(f"containers/*/{RECORD}"),
        *folder.glob(f"*/containers/*/{RECORD}"),
    ]
    return [json.loads(file.read_text()) for file in files if file.exists()]


def _of(record: dict) -> Docker:
    return Docker(**record["docker"])
