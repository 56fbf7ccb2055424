"""The command and the environment of a container: from its definition, its image, and what ECS adds.

Built from nothing: no variable of the cloud's own process leaks into a task.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from localcloud.ecs import names
from localcloud.ecs.containers import MARK, Container
from localcloud.ecs.images import Image
from localcloud.ecs.places import Places
from localcloud.fleet.hostenv import HostEnv

AGENT = "/_localcloud/tasks"  # below it, each task's agent (agent.py)


def overrides_of(task: dict, name: str) -> dict:
    found = (one for one in task["overrides"].get("containerOverrides") or [] if one.get("name") == name)
    return next(found, {})


def command(definition: dict, overrides: dict, image: Image, places: Places) -> list[str]:
    """Entry point and command; a new entry point drops the image's command, as in Docker."""
    entry = definition.get("entryPoint") or image.config.get("Entrypoint") or []
    words = overrides.get("command") or definition.get("command")
    if words is None:
        words = [] if definition.get("entryPoint") else image.config.get("Cmd") or []
    return [places.word(word) for word in (*entry, *words)]


def environment(
    env: HostEnv,
    task: dict,
    container: Container,
    image: Image,
    places: Places,
    overrides: dict,
    secrets: dict[str, str],
    known: Mapping[str, str],
) -> dict[str, str]:
    """The whole environment of the container's first process; `known` are the names of the VPC."""
    given = dict(line.partition("=")[::2] for line in image.config.get("Env") or [])
    for more in (container.definition.get("environment"), overrides.get("environment")):
        given |= {one["name"]: one.get("value", "") for one in more or []}
    made = names.resolved(places.variables(given), known)
    own = {} if image.name else _own(container.folder, made)
    return {**own, **made, **secrets, **_of_ecs(env, task, container, image)}


def _own(folder: Path, made: dict[str, str]) -> dict[str, str]:
    """Where a task may write, for what neither the image nor the definition says."""
    state = made.get("DUCTWORK_STATE") or f"{folder}/root/state"
    (folder / "root" / "state").mkdir(parents=True, exist_ok=True)
    return {
        "DUCTWORK_STATE": state,
        "AIRFLOW_HOME": f"{state}/airflow",
        "HOME": state,
        "TMPDIR": str(folder / "tmp"),
        "LANG": "C.UTF-8",
    }


def _of_ecs(env: HostEnv, task: dict, container: Container, image: Image) -> dict[str, str]:
    local = task["local"]
    agent = f"{env.endpoint}{AGENT}/{local['token']}"
    added = {
        MARK: str(container.folder),
        "DUCTWORK_ROOT": str(image.rootfs),
        "AWS_ENDPOINT_URL": env.endpoint,
        "AWS_REGION": local["region"],
        "AWS_DEFAULT_REGION": local["region"],
        "AWS_EXECUTION_ENV": f"AWS_ECS_{task['launchType']}",
        "AWS_EC2_METADATA_DISABLED": "true",
        "ECS_CONTAINER_METADATA_URI_V4": f"{agent}/v4/{container.name}",
        "ECS_AGENT_URI": agent,
    }
    if local["role"]:
        added["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"{agent}/credentials"
    return added
