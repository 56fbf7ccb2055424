"""AWS::ElasticLoadBalancingV2::Listener, as strict as AWS: a target group belongs to one load balancer."""

from __future__ import annotations

from ministack.services import alb
from ministack.services.cloudformation import provisioners

from localcloud.cfn.registry import register
from localcloud.emulator.shapes import Made


def _targets(actions: list[dict]) -> set[str]:
    return {action["TargetGroupArn"] for action in actions if action.get("TargetGroupArn")}


def _refuse_shared(props: dict) -> None:
    """The listeners of a load balancer that is replaced are there until the clean-up after the update."""
    balancer = props.get("LoadBalancerArn")
    wanted = _targets(props.get("DefaultActions") or [])
    others = [one for one in alb._listeners.values() if one.get("LoadBalancerArn") != balancer]
    shared = wanted & {arn for one in others for arn in _targets(one.get("DefaultActions") or [])}
    if shared:
        raise ValueError(
            "The following target groups cannot be associated with more than one load balancer: "
            f"{', '.join(sorted(shared))}"
        )


def _create(logical_id: str, props: dict, stack_name: str) -> Made:
    _refuse_shared(props)
    return provisioners._elbv2_listener_create(logical_id, props, stack_name)


def _update(physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None) -> Made:
    _refuse_shared(new)
    return provisioners._elbv2_listener_update(physical_id, old, new, stack_name, logical_id)


def install() -> None:
    delete = provisioners._elbv2_listener_delete
    register("AWS::ElasticLoadBalancingV2::Listener", _create, delete, _update)
