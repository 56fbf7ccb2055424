"""What RegisterTaskDefinition refuses, in AWS's words as far as they are known. Pure.

All of a container's problems are AWS's to find one at a time, so the first one is raised.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from localcloud.ecs.errors import ApiError, client, invalid

GIB = 1024
# docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html
PAIRS: dict[int, Iterable[int]] = {
    256: (512, 1 * GIB, 2 * GIB),
    512: range(1 * GIB, 4 * GIB + 1, GIB),
    1024: range(2 * GIB, 8 * GIB + 1, GIB),
    2048: range(4 * GIB, 16 * GIB + 1, GIB),
    4096: range(8 * GIB, 30 * GIB + 1, GIB),
    8192: range(16 * GIB, 60 * GIB + 1, 4 * GIB),
    16384: range(32 * GIB, 120 * GIB + 1, 8 * GIB),
}
# Name, least and most, and what ECS takes if it is left out: API_HealthCheck of the API reference.
HEALTH = (("interval", 5, 300, 30), ("timeout", 2, 60, 5), ("retries", 1, 10, 3), ("startPeriod", 0, 300, 0))
CONDITIONS = ("START", "COMPLETE", "SUCCESS", "HEALTHY")
SIZE = re.compile(r"(\d*\.?\d+) *(vcpu|gb)?", re.IGNORECASE)
MANAGED_MODES = ("awsvpc", "host")
STOP_MOST = 120  # seconds of stopTimeout on Fargate
EPHEMERAL = range(21, 201)


def size(value: object, unit: str) -> int:
    """CPU units or MiB, also as `1 vCPU` and `2 GB`."""
    found = SIZE.fullmatch(str(value))
    if found is None:
        raise client(f"Invalid '{unit}' setting for task.")
    return round(float(found[1]) * (GIB if found[2] else 1))


def check(request: dict) -> None:
    """Raises the first thing that is wrong with a request to register a task definition."""
    containers = request.get("containerDefinitions") or []
    if not request.get("family"):
        raise client("Family should not be null or empty.")
    if not containers:
        raise client("Container list cannot be empty.")
    fargate = "FARGATE" in (request.get("requiresCompatibilities") or [])
    managed = "MANAGED_INSTANCES" in (request.get("requiresCompatibilities") or [])
    mode = request.get("networkMode") or ("awsvpc" if fargate or managed else "bridge")
    _containers(request, containers)
    if fargate:
        _fargate(request, containers, mode)
    if managed and mode not in MANAGED_MODES:
        raise client("Managed Instances only support the network modes 'awsvpc' and 'host'.")
    if mode == "awsvpc":
        _ports(containers)
        if any(one.get("links") for one in containers):
            raise client("Links are not supported when networkMode=awsvpc.")
    if any(one.get("secrets") for one in containers) and not request.get("executionRoleArn"):
        raise client(
            "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'."
        )


def _containers(request: dict, containers: list[dict]) -> None:
    names = [one.get("name", "") for one in containers]
    volumes = {one.get("name") for one in request.get("volumes") or []}
    for one in containers:
        name = one.get("name", "")
        if not name or not one.get("image"):
            raise client("Container.name and Container.image should not be null or empty.")
        if names.count(name) > 1:
            raise client(f"Container names must be unique within a task definition: {name}")
        if not request.get("memory") and not one.get("memory") and not one.get("memoryReservation"):
            raise client(
                f"Invalid setting for container '{name}'. "
                "At least one of 'memory' or 'memoryReservation' must be specified."
            )
        for mount in one.get("mountPoints") or []:
            if mount.get("sourceVolume") not in volumes:
                raise client(f"Unknown volume '{mount.get('sourceVolume')}'.")
        _health(one)
    if not any(one.get("essential", True) for one in containers):
        raise client("Task definition must have at least one essential container.")
    _dependencies({one["name"]: one for one in containers})
    _log_routers(containers)


def _log_routers(containers: list[dict]) -> None:
    drivers = {(one.get("logConfiguration") or {}).get("logDriver") for one in containers}
    routers = [one for one in containers if one.get("firelensConfiguration")]
    if "awsfirelens" in drivers and not routers:
        raise client(
            "When awsfirelens log driver is specified in log configuration, a firelens configuration object must be "
            "configured in one of the containers."
        )
    if routers and "awsfirelens" not in drivers:
        raise client(
            "When a firelensConfiguration object is specified, at least one container has to be configured with the "
            "awsfirelens log driver."
        )
    if len(routers) > 1:
        raise client("Only one container of a task definition can have a firelensConfiguration.")


def _health(container: dict) -> None:
    check = container.get("healthCheck")
    if check is None:
        return
    command = check.get("command") or []
    if (
        not command
        or command[0] not in ("CMD", "CMD-SHELL", "NONE")
        or (command[0] != "NONE" and len(command) < 2)
    ):
        raise client("HealthCheck.command must begin with CMD or CMD-SHELL and name a command.")
    for key, least, most, default in HEALTH:
        if not least <= int(check.get(key, default)) <= most:
            raise client(f"HealthCheck.{key} must be between {least} and {most}.")


def _dependencies(containers: dict[str, dict]) -> None:
    for name, one in containers.items():
        for needed in one.get("dependsOn") or []:
            other, condition = containers.get(needed.get("containerName", "")), needed.get("condition")
            if other is None:
                raise client(
                    f"Container '{name}' depends on unknown container '{needed.get('containerName')}'."
                )
            if condition not in CONDITIONS:
                raise client(f"Unknown dependency condition '{condition}' of container '{name}'.")
            if condition == "HEALTHY" and not other.get("healthCheck"):
                raise client(
                    f"Container '{name}' waits for '{other['name']}' to be HEALTHY, which has no health check."
                )
            if condition in ("COMPLETE", "SUCCESS") and other.get("essential", True):
                raise client(
                    f"Container '{name}' waits for '{other['name']}' to end, which is an essential container."
                )
    for name in containers:
        if name in _reached(containers, name):
            raise client(f"Cyclic container dependency of '{name}'.")


def _reached(containers: dict[str, dict], name: str) -> set[str]:
    """The containers that one waits for, directly or not."""
    found: set[str] = set()
    ahead = [name]
    while ahead:
        for needed in containers[ahead.pop()].get("dependsOn") or []:
            if needed["containerName"] not in found:
                found.add(needed["containerName"])
                ahead.append(needed["containerName"])
    return found


def _ports(containers: list[dict]) -> None:
    """Containers of a task in awsvpc share one network interface."""
    taken: dict[tuple[int, str], str] = {}
    for one in containers:
        for mapping in one.get("portMappings") or []:
            port = int(mapping.get("containerPort", 0))
            if int(mapping.get("hostPort", port) or port) != port:
                raise client(
                    "When networkMode=awsvpc, the host ports and container ports in port mappings must match."
                )
            before = taken.setdefault((port, mapping.get("protocol", "tcp")), one["name"])
            if before != one["name"]:
                raise client(
                    f"Containers '{before}' and '{one['name']}' both use port {port} in network mode awsvpc."
                )


def _fargate(request: dict, containers: list[dict], mode: str) -> None:
    if mode != "awsvpc":
        raise client("Fargate only supports network mode 'awsvpc'.")
    if not request.get("cpu") or not request.get("memory"):
        raise client("Fargate requires that 'cpu' and 'memory' be defined at the task level.")
    fargate_pair(request["cpu"], request["memory"])
    storage = (request.get("ephemeralStorage") or {}).get("sizeInGiB")
    if storage is not None and int(storage) not in EPHEMERAL:
        raise client("Ephemeral storage must be between 21 and 200 GiB.")
    if request.get("placementConstraints"):
        raise client("Fargate compatible task definitions do not support placement constraints.")
    for volume in request.get("volumes") or []:
        if (volume.get("host") or {}).get("sourcePath"):
            raise client("Fargate compatible task definitions do not support sourcePath.")
    for one in containers:
        _fargate_container(one, request)
    given = sum(int(one.get("cpu") or 0) for one in containers)
    if given > size(request["cpu"], "cpu"):
        raise client("The sum of the containers' 'cpu' is more than the task's.")


def _fargate_container(container: dict, request: dict) -> None:
    name = container["name"]
    if container.get("privileged"):
        raise client(f"Fargate compatible task definitions do not support privileged containers: {name}")
    if int(container.get("stopTimeout") or 0) > STOP_MOST:
        raise client(f"The stopTimeout of container '{name}' is more than {STOP_MOST} seconds.")
    logs = container.get("logConfiguration") or {}
    if logs.get("logDriver") not in (None, "awslogs", "splunk", "awsfirelens"):
        raise client(f"Fargate does not support the log driver '{logs['logDriver']}'.")
    if logs.get("logDriver") == "awslogs" and not (logs.get("options") or {}).get("awslogs-stream-prefix"):
        raise client(
            f"Log driver awslogs requires options awslogs-stream-prefix on Fargate: container '{name}'."
        )
    if request.get("executionRoleArn"):
        return
    if ".dkr.ecr." in container["image"]:
        raise client("Fargate requires task definition to have execution role ARN to support ECR images.")
    if logs.get("logDriver") == "awslogs":
        raise client(
            "Fargate requires task definition to have execution role ARN to support log driver awslogs."
        )


def fargate_pair(cpu: object, memory: object) -> None:
    """Refuses a size that Fargate does not have."""
    units, mib = size(cpu, "cpu"), size(memory, "memory")
    if mib not in PAIRS.get(units, ()):
        raise client(
            f"No Fargate configuration exists for given values: {units} CPU, {mib} memory. "
            "See the Amazon ECS documentation for the valid values."
        )


def log_groups(definition: dict) -> None:
    """Raises where awslogs lacks what it needs anywhere."""
    for one in definition["containerDefinitions"]:
        logs = one.get("logConfiguration") or {}
        options = logs.get("options") or {}
        missing = [key for key in ("awslogs-group", "awslogs-region") if not options.get(key)]
        if logs.get("logDriver") == "awslogs" and missing:
            raise client(f"Log driver awslogs requires options: {', '.join(missing)}")


def percent(configuration: dict) -> None:
    """The bounds of a rolling update."""
    least = int(configuration.get("minimumHealthyPercent", 100))
    most = int(configuration.get("maximumPercent", 200))
    if least < 0:
        raise invalid("The specified minimum healthy percent is invalid.")
    if most < 1:
        raise invalid("The specified maximum percent is invalid.")
    if least == most == 100:
        raise invalid(
            "Both maximum percent and minimum healthy percent cannot be 100 as this will block deployments."
        )


def name_error(name: str) -> ApiError:
    return invalid(
        f"Invalid identifier: {name}. Up to 255 letters, numbers, hyphens and underscores are allowed."
    )
