"""Which instances a deployment goes to, and in what health they are. Reads groups; changes nothing."""

from __future__ import annotations

from ministack.services import autoscaling

from localcloud.codedeploy.health import RevisionHealth, Target
from localcloud.codedeploy.store import revision_key


def members(group: dict) -> list[str]:
    """The instances in service of the deployment group's Auto Scaling groups."""
    names = []
    for entry in group.get("autoScalingGroups", []):
        asg = autoscaling._asgs.get(entry["name"]) or {}
        names += [i["InstanceId"] for i in asg.get("Instances", []) if i["LifecycleState"] == "InService"]
    return sorted(names)


def _in_groups(names: list[str]) -> set[str]:
    return {
        i["InstanceId"] for name in names for i in (autoscaling._asgs.get(name) or {}).get("Instances", [])
    }


def targets(record: dict, group: dict) -> list[Target]:
    """The deployment's instances with the health of their last deployment in this group."""
    info = record["info"]
    wanted = revision_key(info["revision"])
    current = revision_key(group["targetRevision"]) if group.get("targetRevision") else None
    names = record["only"] or members(group)
    chosen = (info.get("targetInstances") or {}).get("autoScalingGroups")
    if chosen and not record["only"]:
        allowed = _in_groups(chosen)
        names = [name for name in names if name in allowed]
    found = []
    for name in names:
        health = group.get("_instances", {}).get(name) or {}
        held = health.get("revision")
        if info["updateOutdatedInstancesOnly"] and held == wanted and health.get("healthy"):
            continue
        state = RevisionHealth.OLD
        if not held:
            state = RevisionHealth.UNKNOWN
        elif held == current:
            state = RevisionHealth.CURRENT
        found.append(Target(name, bool(health.get("healthy")), state))
    return found


def late(record: dict, group: dict) -> list[str]:
    """Instances that came into service while the deployment ran and hold another revision."""
    wanted = revision_key(record["info"]["revision"])
    held = group.get("_instances", {})
    return [
        name
        for name in members(group)
        if name not in record["targets"] and held.get(name, {}).get("revision") != wanted
    ]
