"""AWS::AutoScaling::AutoScalingGroup: a template's group on real (directory) instances.

A local instance counts as signalled as soon as it is in service; what a CreationPolicy waits for on AWS is not
waited for here.
"""

from __future__ import annotations

from ministack.services import autoscaling, cloudformation
from ministack.services.cloudformation import provisioners

from localcloud.cfn.expressions import update_policy
from localcloud.cfn.registry import draw_name, register, truth
from localcloud.emulator.shapes import Made
from localcloud.fleet.ec2 import COMING, Fleet, instances
from localcloud.fleet.scaling import NUMBERS, SIZES, check_sizes

TYPE = "AWS::AutoScaling::AutoScalingGroup"


class Groups:
    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def create(self, logical_id: str, props: dict, stack_name: str) -> Made:
        name = props.get("AutoScalingGroupName")
        if name and name in autoscaling._asgs:
            raise ValueError(f"AutoScalingGroup by this name already exists: {name}")
        draw_name(props, "AutoScalingGroupName")
        created = provisioners._asg_create(logical_id, props, stack_name)
        group = autoscaling._asgs[created[0]]
        try:
            _complete(group, props)
            check_sizes(group)
            self._settle(group)
        except ValueError:
            # CloudFormation forgets a resource whose creation failed; nothing may stay behind.
            self.delete(created[0], props)
            raise
        return created

    def update(
        self, physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None
    ) -> Made:
        before = dict(autoscaling._asgs.get(physical_id) or {})
        updated = provisioners._asg_update(physical_id, old, new, stack_name, logical_id)
        group = autoscaling._asgs[updated[0]]
        policy = update_policy(cloudformation._stacks.get(stack_name) or {}, logical_id)
        if updated[0] == physical_id and before:
            self._keep_sizes(group, before, old, new, policy)
        _complete(group, new)
        check_sizes(group)
        dropped = set(before.get("TargetGroupARNs") or []) - set(group["TargetGroupARNs"])
        instances.sync_targets(group, dropped)
        self._settle(group)
        if "AutoScalingRollingUpdate" in policy:
            self._fleet.replace_outdated(group)
        return updated

    def _keep_sizes(self, group: dict, before: dict, old: dict, new: dict, policy: dict) -> None:
        """What scaling and schedules have set stays, where the template does not say otherwise."""
        scheduled = policy.get("AutoScalingScheduledAction") or {}
        unmodified = all(str(old.get(key)) == str(new.get(key)) for key in SIZES)
        if unmodified and truth(scheduled.get("IgnoreUnmodifiedGroupSizeProperties")):
            group.update({key: before[key] for key in SIZES})
        elif "DesiredCapacity" not in new:
            group["DesiredCapacity"] = min(max(before["DesiredCapacity"], group["MinSize"]), group["MaxSize"])

    def delete(self, physical_id: str, props: dict) -> None:
        group = autoscaling._asgs.get(physical_id)
        if group is not None:
            self._fleet.terminate_group(group)
        provisioners._asg_delete(physical_id, props)

    def _settle(self, group: dict) -> None:
        """Wait for what is launched; what is scaled in may finish its tasks after the stack operation."""
        self._fleet.reconcile(group)
        self._fleet.wait_without(group, COMING)
        live = [i for i in group["Instances"] if i["LifecycleState"] == "InService"]
        if len(live) < group["DesiredCapacity"]:
            raise ValueError(
                f"Group did not stabilize. {{current/minSize/maxSize}} group size = "
                f"{{{len(live)}/{group['MinSize']}/{group['MaxSize']}}}."
            )

    def install(self) -> None:
        register(TYPE, self.create, self.delete, self.update, blocking=True)


def _complete(group: dict, props: dict) -> None:
    """The properties that ministack leaves out."""
    group.update({key: int(props[key]) for key in NUMBERS if props.get(key) not in (None, "")})
    group["AvailabilityZones"] = instances.zones(group)
    group["CapacityRebalance"] = truth(props.get("CapacityRebalance"))
    group["NewInstancesProtectedFromScaleIn"] = truth(props.get("NewInstancesProtectedFromScaleIn"))
    group["MixedInstancesPolicy"] = props.get("MixedInstancesPolicy") or {}
    group["TargetGroupARNs"] = list(props.get("TargetGroupARNs") or [])
    group["EnabledMetrics"] = [
        {"Metric": metric, "Granularity": entry.get("Granularity", "1Minute")}
        for entry in props.get("MetricsCollection") or []
        for metric in entry.get("Metrics") or METRICS
    ]
    _put_hooks(group["AutoScalingGroupName"], props.get("LifecycleHookSpecificationList") or [])


def _put_hooks(group_name: str, specs: list[dict]) -> None:
    """The hooks that a group is created with; they are its own, as those of the API are."""
    for spec in specs:
        hook = autoscaling._hook_record(group_name, spec["LifecycleHookName"], spec)
        autoscaling._hooks[f"{group_name}/{spec['LifecycleHookName']}"] = hook


METRICS = (
    "GroupDesiredCapacity", "GroupInServiceCapacity", "GroupInServiceInstances", "GroupMaxSize", "GroupMinSize",
    "GroupPendingInstances", "GroupTerminatingInstances", "GroupTotalInstances",
)  # fmt: skip
