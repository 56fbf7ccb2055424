"""What CodeDeploy itself asks of AWS during a deployment, with the service role of the deployment group.

The service documents no list; this one is of the calls that its users found denied. Makes none of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from ministack.services import alb, autoscaling

Tags = dict[str, str]
# (action, resource, tags of the resource as far as conditions may ask for them)
Asked = tuple[str, str, Tags]
HOSTS = (
    "autoscaling:DescribeAutoScalingGroups",
    "autoscaling:DescribeLifecycleHooks",
    "ec2:DescribeInstances",
    "ec2:DescribeInstanceStatus",
)
BALANCERS = (
    "elasticloadbalancing:DescribeLoadBalancers",
    "elasticloadbalancing:DescribeTargetGroupAttributes",
    "elasticloadbalancing:DescribeTargetGroups",
    "elasticloadbalancing:DescribeTargetHealth",
)
TRAFFIC = ("elasticloadbalancing:DeregisterTargets", "elasticloadbalancing:RegisterTargets")
PROCESSES = ("autoscaling:ResumeProcesses", "autoscaling:SuspendProcesses")


def asked(group: dict) -> Iterator[Asked]:
    """The calls for one deployment to the group."""
    yield from ((action, "*", {}) for action in HOSTS)
    if (group.get("ec2DeploymentOptions") or {}).get("autoScalingGroupProcessesToSuspend"):
        for entry in group["autoScalingGroups"]:
            arn = (autoscaling._asgs.get(entry["name"]) or {}).get("AutoScalingGroupARN", "")
            yield from ((action, arn, {}) for action in PROCESSES)
    if group["deploymentStyle"]["deploymentOption"] == "WITH_TRAFFIC_CONTROL":
        yield from ((action, "*", {}) for action in BALANCERS)
        for arn in _target_groups(group):
            tags = {tag["Key"]: tag["Value"] for tag in alb._tags.get(arn) or []}
            yield from ((action, arn, tags) for action in TRAFFIC)


def _target_groups(group: dict) -> list[str]:
    """CodeDeploy knows them by name."""
    named = {
        entry["name"] for entry in (group.get("loadBalancerInfo") or {}).get("targetGroupInfoList") or []
    }
    return [arn for arn, found in alb._tgs.items() if found["TargetGroupName"] in named]
