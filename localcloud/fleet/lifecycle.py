"""Termination hooks of an Auto Scaling group: what an instance on its way out still waits for.

Works on the fleet's record of the instance, where open actions are kept and so survive a restart. Ends no
instance itself.
"""

from __future__ import annotations

import time

from ministack.core.responses import new_uuid
from ministack.services import autoscaling

TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"
MAX_SECONDS = 48 * 3600.0
MAX_HEARTBEATS = 100  # both bounds: docs.aws.amazon.com/autoscaling/ec2/userguide/lifecycle-hooks.html


def _hooks(group_name: str) -> dict[str, dict]:
    return {
        hook["LifecycleHookName"]: hook
        for hook in list(autoscaling._hooks.values())
        if hook["AutoScalingGroupName"] == group_name and hook["LifecycleTransition"] == TERMINATING
    }


def begin(record: dict) -> bool:
    """Open an action for each hook; True when there is something to wait for."""
    now = time.time()
    record["Actions"] = {
        name: {
            "Token": new_uuid(),
            "Deadline": now + hook["HeartbeatTimeout"],
            "Limit": now + min(MAX_SECONDS, MAX_HEARTBEATS * hook["HeartbeatTimeout"]),
        }
        for name, hook in _hooks(record["AutoScalingGroupName"]).items()
    }
    return bool(record["Actions"])


def waits(record: dict) -> bool:
    """Whether an action is still open. Time ends one with the hook's default, and so does the hook's deletion."""
    hooks = _hooks(record["AutoScalingGroupName"])
    now = time.time()
    for name, action in list((record.get("Actions") or {}).items()):
        hook = hooks.get(name)
        if hook is None:
            complete(record, name, "CONTINUE")
        elif now > action["Deadline"]:
            complete(record, name, hook["DefaultResult"])
    return bool(record.get("Actions"))


def find(records: list[dict], hook: str, instance_id: str, token: str) -> dict | None:
    """The instance with such an open action."""
    for record in records:
        action = (record.get("Actions") or {}).get(hook)
        if action and (record["InstanceId"] == instance_id or (token and action["Token"] == token)):
            return record
    return None


def complete(record: dict, hook: str, result: str) -> None:
    """CONTINUE lets the other hooks go on, ABANDON ends them all; the instance is terminated either way."""
    record["Actions"] = (
        {} if result == "ABANDON" else {k: v for k, v in record["Actions"].items() if k != hook}
    )


def heartbeat(record: dict, hook: str) -> None:
    action = record["Actions"][hook]
    timeout = _hooks(record["AutoScalingGroupName"]).get(hook, {}).get("HeartbeatTimeout", 0)
    action["Deadline"] = min(time.time() + timeout, action["Limit"])
