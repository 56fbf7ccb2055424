"""Processes of an Auto Scaling group that somebody has suspended: what it does not do by itself meanwhile.

Only what takes instances away is acted on; the other names are kept and shown.
"""

from __future__ import annotations

from collections.abc import Iterable

TERMINATE = "Terminate"
ALL = (
    "AddToLoadBalancer", "AlarmNotification", "AZRebalance", "HealthCheck", "InstanceRefresh", "Launch",
    "ReplaceUnhealthy", "ScheduledActions", TERMINATE,
)  # fmt: skip


def suspended(group: dict) -> list[str]:
    return sorted(group.get("SuspendedProcesses") or [])


def suspend(group: dict, names: Iterable[str]) -> None:
    group["SuspendedProcesses"] = sorted({*suspended(group), *names})


def resume(group: dict, names: Iterable[str]) -> None:
    group["SuspendedProcesses"] = sorted({*suspended(group)} - {*names})


def keeps(group: dict, entry: dict) -> bool:
    """Whether the group may not end this instance by itself. One that is not yet in service it may."""
    return TERMINATE in suspended(group) and entry["LifecycleState"] == "InService"
