"""Stack operations that a dead cloud left behind get a final status, so that the next deployment can proceed.

Never undoes anything: a failed create is to be deleted, an update keeps its old template and is to be tried
again. What such a stack names but no service holds is struck from it, so that the next update makes it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from ministack.core.responses import request_scope
from ministack.services import autoscaling, cloudformation, ec2, rds, secretsmanager
from ministack.services.cloudformation.drift import _DRIFT_READERS
from ministack.services.cloudformation.stacks import _add_event

log = logging.getLogger("localcloud")
REASON = "The local cloud was stopped during the operation."
# What each unfinished status becomes. An update keeps the template of before (ministack stores the new one on
# success only), which is what UPDATE_ROLLBACK_COMPLETE says; repeating it converges.
FINAL = {
    "CREATE_IN_PROGRESS": "ROLLBACK_COMPLETE",
    "ROLLBACK_IN_PROGRESS": "ROLLBACK_COMPLETE",
    "UPDATE_IN_PROGRESS": "UPDATE_ROLLBACK_COMPLETE",
    "UPDATE_ROLLBACK_IN_PROGRESS": "UPDATE_ROLLBACK_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS": "UPDATE_ROLLBACK_COMPLETE",
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS": "UPDATE_COMPLETE",
    "DELETE_IN_PROGRESS": "DELETE_FAILED",
}


Kept = dict[str, Callable[[], Iterable[str]]]
# Where a type's objects are, beyond those that ministack's drift detection can read.
KEPT: Kept = {
    "AWS::AutoScaling::AutoScalingGroup": lambda: autoscaling._asgs,
    "AWS::EC2::LaunchTemplate": lambda: ec2._launch_templates,
    "AWS::EC2::SecurityGroup": lambda: ec2._security_groups,
    "AWS::EC2::Subnet": lambda: ec2._subnets,
    "AWS::EC2::VPC": lambda: ec2._vpcs,
    "AWS::RDS::DBCluster": lambda: rds._clusters,
    "AWS::RDS::DBInstance": lambda: rds._instances,
    "AWS::SecretsManager::Secret": lambda: [s["ARN"] for s in secretsmanager._secrets.values()],
}


def _is_lost(resource: dict, kept: Kept) -> bool:
    """Whether the service certainly lacks what the stack names; types that cannot be looked up count as there."""
    kind, physical_id = resource.get("ResourceType", ""), resource.get("PhysicalResourceId", "")
    if kind in kept:
        return physical_id not in kept[kind]()
    reader, _ = _DRIFT_READERS.get(kind, (None, None))
    return reader is not None and reader(physical_id, resource.get("Properties") or {}) is None


def _strike_lost(name: str, stack: dict, kept: Kept) -> None:
    resources = stack.get("_resources") or {}
    for logical_id in [key for key, resource in resources.items() if _is_lost(resource, kept)]:
        log.warning("stack %s: %s was lost and is to be made again", name, logical_id)
        del resources[logical_id]


def interrupted_operations(more: Kept) -> None:
    """Called once, before the first request. `more`: where objects of services of ours are."""
    for (account, region, name), stack in list(cloudformation._stacks._data.items()):
        final = FINAL.get(stack.get("StackStatus", ""))
        if final is None:
            continue
        log.warning("stack %s was in %s; it is now %s", name, stack["StackStatus"], final)
        stack["StackStatus"] = final
        stack["StackStatusReason"] = REASON
        with request_scope(account, region):
            _strike_lost(name, stack, {**KEPT, **more})
            _add_event(
                stack["StackId"], name, name, "AWS::CloudFormation::Stack", final, REASON, stack["StackId"]
            )
    for change_set in cloudformation._change_sets._data.values():
        if change_set.get("ExecutionStatus") == "EXECUTE_IN_PROGRESS":
            change_set["ExecutionStatus"] = "EXECUTE_FAILED"
