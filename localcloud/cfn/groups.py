"""AWS::AutoScaling::AutoScalingGroup and the Auto Scaling API on top of real (directory) instances."""

from __future__ import annotations

from ministack.services import autoscaling, cloudformation
from ministack.services.cloudformation import provisioners
from ministack.services.cloudformation.engine import _parse_template

from localcloud.cfn.registry import draw_name, register, truth
from localcloud.fleet import Fleet
from localcloud.shapes import Answer, Made

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
            _check(group)
            self._settle(group)
        except ValueError:
            # CloudFormation forgets a resource whose creation failed; nothing may stay behind.
            self.delete(created[0], props)
            raise
        return created

    def update(
        self, physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None
    ) -> Made:
        before = (autoscaling._asgs.get(physical_id) or {}).get("DesiredCapacity")
        updated = provisioners._asg_update(physical_id, old, new, stack_name, logical_id)
        group = autoscaling._asgs[updated[0]]
        if updated[0] == physical_id and "DesiredCapacity" not in new and before is not None:
            # A template that does not say leaves the capacity as scaling set it, within the bounds.
            group["DesiredCapacity"] = min(max(before, group["MinSize"]), group["MaxSize"])
        _check(group)
        self._settle(group)
        if "AutoScalingRollingUpdate" in _update_policy(stack_name, logical_id):
            self._fleet.replace_outdated(group)
        return updated

    def delete(self, physical_id: str, props: dict) -> None:
        group = autoscaling._asgs.get(physical_id)
        if group is not None:
            self._fleet.terminate_group(group)
        provisioners._asg_delete(physical_id, props)

    def _settle(self, group: dict) -> None:
        self._fleet.reconcile(group)
        self._fleet.wait_stable(group)
        live = [i for i in group["Instances"] if i["LifecycleState"] == "InService"]
        if len(live) != group["DesiredCapacity"]:
            raise ValueError(
                f"Group did not stabilize. {{current/minSize/maxSize}} group size = "
                f"{{{len(live)}/{group['MinSize']}/{group['MaxSize']}}}."
            )

    # -- the API
    def api_delete(self, params: dict) -> Answer:
        name = autoscaling._p(params, "AutoScalingGroupName")
        group = autoscaling._asgs.get(name)
        if group is None:
            return autoscaling._error("ValidationError", f"AutoScalingGroup name not found - {name}")
        if group["Instances"] and not truth(autoscaling._p(params, "ForceDelete")):
            return autoscaling._error(
                "ResourceInUse",
                "You cannot delete an AutoScalingGroup while there are instances or pending Spot "
                "instance request(s) "
                "still in the group.",
            )
        for entry in list(group["Instances"]):
            self._fleet.terminate(group, entry["InstanceId"])
        return autoscaling._delete_asg(params)

    def api_terminate(self, params: dict) -> Answer:
        instance_id = autoscaling._p(params, "InstanceId")
        for group in autoscaling._asgs.values():
            if any(i["InstanceId"] == instance_id for i in group["Instances"]):
                if truth(autoscaling._p(params, "ShouldDecrementDesiredCapacity")):
                    group["DesiredCapacity"] -= 1
                self._fleet.terminate(group, instance_id)
                self._fleet.reconcile(group)
                return autoscaling._xml(
                    200,
                    "TerminateInstanceInAutoScalingGroupResponse",
                    "<TerminateInstanceInAutoScalingGroupResult/>",
                )
        return autoscaling._error(
            "ValidationError",
            f"Instance Id not found - No managed instance found for instance ID: {instance_id}",
        )

    def install(self) -> None:
        autoscaling._reconcile_instances = self._fleet.reconcile
        autoscaling._ACTION_MAP["DeleteAutoScalingGroup"] = self.api_delete
        autoscaling._ACTION_MAP["TerminateInstanceInAutoScalingGroup"] = self.api_terminate
        register(TYPE, self.create, self.delete, self.update, blocking=True)


def _check(group: dict) -> None:
    low, high, wanted = group["MinSize"], group["MaxSize"], group["DesiredCapacity"]
    if not low <= wanted <= high:
        raise ValueError(
            f"Desired capacity:{wanted} must be between the specified min size:{low} and max size:{high}"
        )


def _update_policy(stack_name: str, logical_id: str | None) -> dict:
    """The resource's UpdatePolicy; a handler only gets properties."""
    body = (cloudformation._stacks.get(stack_name) or {}).get("_template_body")
    if not body:
        return {}
    resource = (_parse_template(body).get("Resources") or {}).get(logical_id) or {}
    return resource.get("UpdatePolicy") or {}
