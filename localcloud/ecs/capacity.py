"""Where tasks may run: launch types, capacity providers and strategies, networks, and the mixes that AWS refuses.

Decides; whatever it decides, a task is a process of this machine.
"""

from __future__ import annotations

from collections.abc import Iterable

from ministack.services import ec2

from localcloud.ecs import errors, managed_instances
from localcloud.ecs.errors import invalid
from localcloud.ecs.store import FARGATE, Store, tail

LAUNCH_TYPES = ("EC2", "FARGATE", "EXTERNAL")


def choose(store: Store, request: dict, cluster: dict, definition: dict) -> dict:
    """The launch type or the strategy that a request (or else the cluster) asks for, as a record shows it."""
    strategy = whole(request.get("capacityProviderStrategy") or [])
    launch_type = request.get("launchType")
    if launch_type and strategy:
        raise invalid(
            "Specifying both a launch type and capacity provider strategy is not supported. "
            "Remove one and try again."
        )
    if not launch_type and not strategy:
        strategy = whole(cluster.get("defaultCapacityProviderStrategy") or [])
    if strategy:
        check(store, strategy, cluster)
        _compatible(definition, kind(store, strategy[0]["capacityProvider"]))
        return {"capacityProviderStrategy": strategy}
    launch_type = launch_type or "EC2"
    if launch_type not in LAUNCH_TYPES:
        raise errors.client(f"launchType must be one of {', '.join(LAUNCH_TYPES)}")
    _compatible(definition, launch_type)
    return {"launchType": launch_type}


def kind(store: Store, provider: str) -> str:
    """What a task definition has to be compatible with to run on a provider's capacity."""
    if provider in FARGATE:
        return "FARGATE"
    return managed_instances.TYPE if managed_instances.is_one(store, provider) else "EC2"


def whole(strategy: list[dict]) -> list[dict]:
    """With what is left out. A provider without a weight gets no task by itself: its weight is 0."""
    return [
        {
            "capacityProvider": tail(one.get("capacityProvider", "")),
            "weight": int(one.get("weight", 1 if len(strategy) == 1 else 0)),
            "base": int(one.get("base", 0)),
        }
        for one in strategy
    ]


def check(store: Store, strategy: list[dict], cluster: dict) -> None:
    """Refuses a strategy that the cluster cannot follow."""
    names = [one["capacityProvider"] for one in strategy]
    for name in names:
        if name not in FARGATE and name not in store.providers:
            raise invalid(f"The specified capacity provider '{name}' was not found. Specify a valid name.")
    if len({kind(store, name) for name in names}) > 1:
        raise invalid(
            "A capacity provider strategy cannot contain a mix of capacity providers using Auto Scaling groups, "
            "Managed Instances and Fargate. Specify one or the other and try again."
        )
    if set(names) - set(cluster.get("capacityProviders") or []):
        raise invalid(
            "The specified capacity provider strategy contains a capacity provider that is not associated with "
            "the cluster. Associate the capacity provider with the cluster and try again."
        )
    if len(set(names)) < len(names):
        raise invalid("A capacity provider may be in a strategy only once.")
    if sum(one["base"] > 0 for one in strategy) > 1:
        raise invalid("Only one capacity provider of a strategy can have a base value.")
    if not any(one["weight"] for one in strategy):
        raise invalid("At least one capacity provider of a strategy must have a weight greater than 0.")


def _compatible(definition: dict, launch_type: str) -> None:
    if (
        launch_type in ("FARGATE", managed_instances.TYPE)
        and launch_type not in definition["compatibilities"]
    ):
        raise invalid(f"Task definition does not support launch_type {launch_type}.")
    wanted = definition.get("requiresCompatibilities") or []
    if wanted and launch_type not in wanted:
        raise invalid(f"Task definition does not support launch_type {launch_type}.")


def next_provider(strategy: list[dict], used: Iterable[str]) -> str:
    """The provider of the next task: first the base, then the one furthest below its weight."""
    counts = {one["capacityProvider"]: 0 for one in strategy}
    for name in used:
        counts[name] = counts.get(name, 0) + 1
    for one in strategy:
        if counts[one["capacityProvider"]] < one["base"]:
            return one["capacityProvider"]

    def load(one: dict) -> float:
        return (counts[one["capacityProvider"]] - one["base"] + 1) / one["weight"]

    return min((one for one in strategy if one["weight"]), key=load)["capacityProvider"]


def network(request: dict, definition: dict) -> dict | None:
    """The network configuration, which awsvpc needs and no other mode takes."""
    found = (request.get("networkConfiguration") or {}).get("awsvpcConfiguration")
    if definition.get("networkMode") != "awsvpc":
        if found:
            raise invalid(
                "Network Configuration is not valid for the given networkMode of this task definition."
            )
        return None
    if not found or not found.get("subnets"):
        raise invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
    for name in found["subnets"]:
        if name not in ec2._subnets:
            raise invalid(
                f"Error retrieving subnet information for [{name}]: The subnet ID '{name}' does not exist "
                "(ErrorCode: InvalidSubnetID.NotFound)"
            )
    for name in found.get("securityGroups") or []:
        if name not in ec2._security_groups:
            raise invalid(
                f"Error retrieving security group information for [{name}]: The security group '{name}' does not "
                "exist (ErrorCode: InvalidGroup.NotFound)"
            )
    return {"awsvpcConfiguration": {"assignPublicIp": "DISABLED", "securityGroups": [], **found}}
