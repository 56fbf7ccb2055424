"""Which machine the programs of a task are for, and what becomes of an image of another. Pure.

docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-arm64.html
"""

from __future__ import annotations

import shlex

from localcloud.ecs.errors import StartError
from localcloud.ecs.images import Image, this_machine

# As task definitions and as images call them.
ARCHITECTURES = {"X86_64": "amd64", "ARM64": "arm64"}


def wanted(definition: dict) -> str:
    """The machine of a task definition; one that says none has this machine's, not X86_64."""
    asked = (definition.get("runtimePlatform") or {}).get("cpuArchitecture")
    return ARCHITECTURES.get(asked, this_machine())


def check(definition: dict) -> None:
    """Raises StartError for a machine that this one is not."""
    machine = wanted(definition)
    if machine != this_machine():
        raise StartError(f"The local cloud runs on {this_machine()} and has no capacity of {machine}.")


def command(definition: dict, image: Image, words: list[str]) -> list[str]:
    """What is started: with an image for another machine, only the kernel's refusal, as on AWS."""
    if image.machine in ("", wanted(definition)):
        return words
    refusal = f"exec {words[0]}: exec format error"
    return ["/bin/sh", "-c", f"echo {shlex.quote(refusal)}; exit 1"]
