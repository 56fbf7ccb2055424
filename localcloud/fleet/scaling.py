"""The Auto Scaling API on top of real (directory) instances: what ministack answers from records alone, or lacks.

Each operation changes the group's record and lets the fleet follow; none waits.
"""

from __future__ import annotations

from collections.abc import Callable
from xml.sax.saxutils import escape

from ministack.services import autoscaling
from ministack.services.autoscaling import _p, _parse_member_list, _parse_nested

from localcloud.cfn.registry import truth
from localcloud.codedeploy.store import Store
from localcloud.emulator.shapes import Action, Answer
from localcloud.fleet import processes
from localcloud.fleet.ec2 import Fleet, instances, lifecycle

SIZES = ("MinSize", "MaxSize", "DesiredCapacity")
NUMBERS = ("DefaultCooldown", "HealthCheckGracePeriod", "MaxInstanceLifetime", "DefaultInstanceWarmup")


class Invalid(ValueError):
    """What the API refuses with ValidationError."""


def _refusing(operation: Callable[[dict], Answer]) -> Action:
    def action(params: dict) -> Answer:
        try:
            return operation(params)
        except Invalid as error:
            return autoscaling._error("ValidationError", escape(str(error)))

    return action


def _done(name: str, inner: str = "") -> Answer:
    return autoscaling._xml(200, f"{name}Response", f"<{name}Result>{inner}</{name}Result>")


def _group(params: dict) -> dict:
    name = _p(params, "AutoScalingGroupName")
    group = autoscaling._asgs.get(name)
    if group is None:
        raise Invalid(f"AutoScalingGroup name not found - AutoScalingGroup {name} not found")
    return group


class Scaling:
    def __init__(self, fleet: Fleet, store: Store) -> None:
        self._fleet = fleet
        self._store = store

    # -- groups
    def describe(self, params: dict) -> Answer:
        names = _parse_member_list(params, "AutoScalingGroupNames")
        filters = [
            (f.get("Name", ""), set(f.get("Values") or [])) for f in _parse_nested(params, "Filters") or []
        ]
        chosen = [
            group
            for name, group in list(autoscaling._asgs.items())
            if (not names or name in names) and all(_tagged(group, *f) for f in filters)
        ]
        inner = (
            f"<AutoScalingGroups>{autoscaling._member_xml([public(g) for g in chosen])}</AutoScalingGroups>"
        )
        return _done("DescribeAutoScalingGroups", inner)

    def update(self, params: dict) -> Answer:
        group = _group(params)
        sizes = {key: int(_p(params, key)) if _p(params, key) != "" else group[key] for key in SIZES}
        if _p(params, "DesiredCapacity") == "":
            # As on AWS, new bounds take the capacity with them.
            sizes["DesiredCapacity"] = min(
                max(group["DesiredCapacity"], sizes["MinSize"]), max(sizes["MaxSize"], sizes["MinSize"])
            )
        check_sizes(sizes)
        group.update(sizes)
        group.update({key: int(_p(params, key)) for key in NUMBERS if _p(params, key) != ""})
        for key in ("HealthCheckType", "VPCZoneIdentifier"):
            if _p(params, key):
                group[key] = _p(params, key)
        for key in ("NewInstancesProtectedFromScaleIn", "CapacityRebalance"):
            if _p(params, key) != "":
                group[key] = truth(_p(params, key))
        self._fleet.reconcile(group)
        return _done("UpdateAutoScalingGroup")

    def set_desired(self, params: dict) -> Answer:
        group = _group(params)
        text = _p(params, "DesiredCapacity")
        if not str(text).isdecimal():
            raise Invalid("DesiredCapacity is required and must not be negative")
        wanted = int(text)
        for bound, word, bad in (
            ("MinSize", "below min", wanted < group["MinSize"]),
            ("MaxSize", "above max", wanted > group["MaxSize"]),
        ):
            if bad:
                raise Invalid(
                    f"New SetDesiredCapacity value {wanted} is {word} value {group[bound]} for the AutoScalingGroup."
                )
        group["DesiredCapacity"] = wanted
        self._fleet.reconcile(group)
        return autoscaling._xml(200, "SetDesiredCapacityResponse", "")

    def delete(self, params: dict) -> Answer:
        group = _group(params)
        if group["Instances"] and not truth(_p(params, "ForceDelete")):
            return autoscaling._error(
                "ResourceInUse",
                "You cannot delete an AutoScalingGroup while there are instances or pending Spot "
                "instance request(s) still in the group.",
            )
        for entry in list(group["Instances"]):
            self._fleet.terminate(group, entry["InstanceId"])
        return autoscaling._delete_asg(params)

    # -- instances
    def _owner(self, instance_id: str) -> tuple[dict, dict]:
        for group in list(autoscaling._asgs.values()):
            for entry in group["Instances"]:
                if entry["InstanceId"] == instance_id:
                    return group, entry
        raise Invalid(f"Instance Id not found - No managed instance found for instance ID: {instance_id}")

    def terminate(self, params: dict) -> Answer:
        group, entry = self._owner(_p(params, "InstanceId"))
        if truth(_p(params, "ShouldDecrementDesiredCapacity")):
            if group["DesiredCapacity"] <= group["MinSize"]:
                raise Invalid(
                    f"Currently, desiredSize equals minSize ({group['MinSize']}). Terminating instance without "
                    f"replacement will violate group's min size constraint. Either set "
                    f"shouldDecrementDesiredCapacity flag to false or lower group's min size."
                )
            group["DesiredCapacity"] -= 1
        self._fleet.terminate(group, entry["InstanceId"])
        self._fleet.reconcile(group)
        return _done("TerminateInstanceInAutoScalingGroup")

    def enter_standby(self, params: dict) -> Answer:
        """Out of service, without an effect on what runs there; others come in their stead unless fewer are wanted."""
        group = _group(params)
        ids = _parse_member_list(params, "InstanceIds")
        entries = {entry["InstanceId"]: entry for entry in group["Instances"]}
        for name in ids:
            if (entries.get(name) or {}).get("LifecycleState") != "InService":
                raise Invalid(f"The instance {name} is not in InService.")
        if _p(params, "ShouldDecrementDesiredCapacity") == "":
            raise Invalid("ShouldDecrementDesiredCapacity is required")
        if truth(_p(params, "ShouldDecrementDesiredCapacity")):
            if group["DesiredCapacity"] - len(ids) < group["MinSize"]:
                raise Invalid(
                    f"AutoScalingGroup {group['AutoScalingGroupName']} has min-size={group['MinSize']}, "
                    f"max-size={group['MaxSize']}, and desired-size={group['DesiredCapacity']}. To place into standby "
                    f"{len(ids)} instance, please update the AutoScalingGroup sizes appropriately."
                )
            group["DesiredCapacity"] -= len(ids)
        for name in ids:
            self._fleet.stand_by(group, name)
        self._fleet.reconcile(group)
        return _done("EnterStandby")

    def set_protection(self, params: dict) -> Answer:
        group = _group(params)
        ids = _parse_member_list(params, "InstanceIds")
        entries = {entry["InstanceId"]: entry for entry in group["Instances"]}
        for name in ids:
            state = (entries.get(name) or {}).get("LifecycleState")
            if state is None:
                raise Invalid(
                    f"The instance {name} is not part of Auto Scaling group {group['AutoScalingGroupName']}."
                )
            if state not in ("InService", "Standby"):
                raise Invalid(f"The instance {name} is not in InService or EnteringStandby or Standby.")
        protect = truth(_p(params, "ProtectedFromScaleIn"))
        for name in ids:
            entries[name]["ProtectedFromScaleIn"] = protect
        if not protect:
            self._fleet.reconcile(group)  # a scale-in may have waited for it
        return _done("SetInstanceProtection")

    def set_health(self, params: dict) -> Answer:
        group, entry = self._owner(_p(params, "InstanceId"))
        entry["HealthStatus"] = _p(params, "HealthStatus") or "Healthy"
        if entry["HealthStatus"] == "Unhealthy" and not processes.keeps(group, entry):
            self._fleet.terminate(group, entry["InstanceId"])
            self._fleet.reconcile(group)
        return autoscaling._xml(200, "SetInstanceHealthResponse", "")

    # -- processes
    def suspend(self, params: dict) -> Answer:
        self._fleet.suspend(_group(params)["AutoScalingGroupName"], _processes(params))
        return autoscaling._xml(200, "SuspendProcessesResponse", "")

    def resume(self, params: dict) -> Answer:
        self._fleet.resume(_group(params)["AutoScalingGroupName"], _processes(params))
        return autoscaling._xml(200, "ResumeProcessesResponse", "")

    # -- lifecycle actions
    def _waiting(self, params: dict) -> tuple[dict, str]:
        _group(params)
        hook, instance_id = _p(params, "LifecycleHookName"), _p(params, "InstanceId")
        found = lifecycle.find(
            list(self._fleet.records.values()), hook, instance_id, _p(params, "LifecycleActionToken")
        )
        if found is None:
            raise Invalid(f"No active Lifecycle Action found with instance ID {instance_id}")
        return found, hook

    def complete(self, params: dict) -> Answer:
        result = _p(params, "LifecycleActionResult")
        if result not in ("CONTINUE", "ABANDON"):
            raise Invalid(f"LifecycleActionResult must be CONTINUE or ABANDON, not {result}")
        record, hook = self._waiting(params)
        lifecycle.complete(record, hook, result)
        return _done("CompleteLifecycleAction")

    def heartbeat(self, params: dict) -> Answer:
        lifecycle.heartbeat(*self._waiting(params))
        return _done("RecordLifecycleActionHeartbeat")

    def describe_hooks(self, params: dict) -> Answer:
        """The group's own, and those with which CodeDeploy holds instances back."""
        name = _p(params, "AutoScalingGroupName")
        names = _parse_member_list(params, "LifecycleHookNames")
        found = [h for h in list(autoscaling._hooks.values()) if h["AutoScalingGroupName"] == name]
        found += self._of_codedeploy(name)
        hooks = [
            {key: value for key, value in hook.items() if value != ""}
            for hook in found
            if not names or hook["LifecycleHookName"] in names
        ]
        return _done(
            "DescribeLifecycleHooks", f"<LifecycleHooks>{autoscaling._member_xml(hooks)}</LifecycleHooks>"
        )

    def _of_codedeploy(self, name: str) -> list[dict]:
        hooks = []
        for group in list(self._store.groups.values()):
            for entry in group.get("autoScalingGroups", []):
                if entry["name"] != name:
                    continue
                hooks.append(_codedeploy_hook(name, entry["hook"], "autoscaling:EC2_INSTANCE_LAUNCHING"))
                if group.get("terminationHookEnabled"):
                    hooks.append(_codedeploy_hook(name, entry["terminationHook"], lifecycle.TERMINATING))
        return hooks

    def operations(self) -> dict[str, Action]:
        """What the API is asked for, by its name."""
        operations = {
            "DescribeAutoScalingGroups": self.describe,
            "UpdateAutoScalingGroup": self.update,
            "SetDesiredCapacity": self.set_desired,
            "DeleteAutoScalingGroup": self.delete,
            "TerminateInstanceInAutoScalingGroup": self.terminate,
            "EnterStandby": self.enter_standby,
            "SetInstanceProtection": self.set_protection,
            "SetInstanceHealth": self.set_health,
            "SuspendProcesses": self.suspend,
            "ResumeProcesses": self.resume,
            "CompleteLifecycleAction": self.complete,
            "RecordLifecycleActionHeartbeat": self.heartbeat,
            "DescribeLifecycleHooks": self.describe_hooks,
        }
        return {name: _refusing(run) for name, run in operations.items()}


def _processes(params: dict) -> list[str]:
    """Those that are named, or all."""
    names = _parse_member_list(params, "ScalingProcesses")
    for name in names:
        if name not in processes.ALL:
            raise Invalid(f"The process {name} is not valid")
    return names or list(processes.ALL)


def _codedeploy_hook(group: str, name: str, transition: str) -> dict:
    launching = transition != lifecycle.TERMINATING
    return {
        "LifecycleHookName": name,
        "AutoScalingGroupName": group,
        "LifecycleTransition": transition,
        "HeartbeatTimeout": 600,
        "GlobalTimeout": 60000,
        "DefaultResult": "ABANDON" if launching else "CONTINUE",
    }


def check_sizes(sizes: dict) -> None:
    low, high, wanted = (int(sizes[key]) for key in SIZES)
    if low > high:
        raise Invalid(f"Max bound, {high}, must be greater than or equal to min bound, {low}")
    if not low <= wanted <= high:
        raise Invalid(
            f"Desired capacity:{wanted} must be between the specified min size:{low} and max size:{high}"
        )


def _tagged(group: dict, name: str, values: set[str]) -> bool:
    tags = {tag["Key"]: tag["Value"] for tag in group.get("Tags") or []}
    if name.startswith("tag:"):
        return tags.get(name.removeprefix("tag:")) in values
    return bool(values & set(tags if name == "tag-key" else tags.values()))


def public(group: dict) -> dict:
    """A group as DescribeAutoScalingGroups shows it."""
    keys = (
        "AutoScalingGroupName", "AutoScalingGroupARN", "LaunchConfigurationName", "LaunchTemplate",
        "MixedInstancesPolicy", *SIZES, *NUMBERS, "HealthCheckType", "VPCZoneIdentifier", "TerminationPolicies",
        "NewInstancesProtectedFromScaleIn", "CapacityRebalance", "ServiceLinkedRoleARN", "CreatedTime",
        "TargetGroupARNs", "EnabledMetrics", "Tags", "Status",
    )  # fmt: skip
    shown = {key: group[key] for key in keys if group.get(key) not in (None, "", {})}
    entries = [
        {
            "InstanceId": entry["InstanceId"],
            "InstanceType": entry.get("InstanceType", ""),
            "AvailabilityZone": entry["AvailabilityZone"],
            "LifecycleState": entry["LifecycleState"],
            "HealthStatus": entry["HealthStatus"],
            "LaunchTemplate": entry.get("LaunchTemplate") or {},
            "ProtectedFromScaleIn": truth(entry.get("ProtectedFromScaleIn")),
        }
        for entry in list(group["Instances"])
    ]
    suspended = [
        {"ProcessName": name, "SuspensionReason": "User suspended"} for name in processes.suspended(group)
    ]
    return {
        **shown,
        "AvailabilityZones": instances.zones(group),
        "SuspendedProcesses": suspended,
        "Instances": entries,
    }
