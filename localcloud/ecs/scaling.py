"""Application Auto Scaling for services of ECS: targets keep a service within their bounds; policies and scheduled
actions are recorded, not carried out.
"""

from __future__ import annotations

import copy

from ministack.core.responses import AccountRegionScopedDict, get_account_id, get_region, new_uuid

from localcloud.ecs.api import Service
from localcloud.ecs.errors import ApiError
from localcloud.ecs.store import now
from localcloud.emulator.jsonapi import JsonApi

TARGET_PREFIX = "AnyScaleFrontendService"
DIMENSION = "ecs:service:DesiredCount"
PARTS = ("targets", "policies", "actions", "tags")
KEY = ("ServiceNamespace", "ResourceId", "ScalableDimension")


class Scaling(JsonApi):
    title = "Application Auto Scaling"

    def __init__(self, ecs: Service) -> None:
        self._ecs = ecs
        self.targets = AccountRegionScopedDict()  # (namespace, resource, dimension) -> target
        self.policies = AccountRegionScopedDict()  # (…, name) -> policy
        self.actions = AccountRegionScopedDict()  # (…, name) -> scheduled action
        self.tags = AccountRegionScopedDict()  # ARN -> {key: value}
        operations = {
            "RegisterScalableTarget": self.register,
            "DeregisterScalableTarget": self.deregister,
            "DescribeScalableTargets": lambda request: {
                "ScalableTargets": self._found(self.targets, request)
            },
            "PutScalingPolicy": self.put_policy,
            "DeleteScalingPolicy": lambda request: self._delete(self.policies, request, "PolicyName"),
            "DescribeScalingPolicies": lambda request: {
                "ScalingPolicies": self._found(self.policies, request, "PolicyName")
            },
            "PutScheduledAction": self.put_action,
            "DeleteScheduledAction": lambda request: self._delete(
                self.actions, request, "ScheduledActionName"
            ),
            "DescribeScheduledActions": lambda request: {
                "ScheduledActions": self._found(self.actions, request, "ScheduledActionName")
            },
            "DescribeScalingActivities": lambda request: {"ScalingActivities": []},
            "TagResource": self.tag,
            "ListTagsForResource": lambda request: {"Tags": self.tags.get(request.get("ResourceARN")) or {}},
        }
        super().__init__(operations)

    # -- what ministack takes for a service module
    def get_state(self) -> dict:
        return {name: copy.deepcopy(getattr(self, name)) for name in PARTS}

    def load_persisted_state(self, data: dict) -> None:
        for name in PARTS:
            getattr(self, name).update(data.get(name, {}))

    def reset(self) -> None:
        for name in PARTS:
            getattr(self, name).clear()

    # -- targets
    def register(self, request: dict) -> dict:
        """A service outside the bounds is brought within them, as on AWS."""
        key = _key(request)
        cluster, name = self._service(request)
        made = self.targets.get(key) or {
            **{name: request[name] for name in KEY},
            "CreationTime": now(),
            "ScalableTargetARN": f"{_prefix()}:scalable-target/{new_uuid()}",
            "RoleARN": f"arn:aws:iam::{get_account_id()}:role/aws-service-role/"
            "ecs.application-autoscaling.amazonaws.com/AWSServiceRoleForApplicationAutoScaling_ECSService",
            "SuspendedState": dict.fromkeys(
                ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended"),
                False,
            ),
        }
        made = {
            **made,
            **{k: request[k] for k in ("MinCapacity", "MaxCapacity") if request.get(k) is not None},
        }
        made["SuspendedState"] = {**made["SuspendedState"], **(request.get("SuspendedState") or {})}
        least, most = made.get("MinCapacity"), made.get("MaxCapacity")
        if least is None or most is None:
            raise _invalid("MinCapacity and MaxCapacity are required for a new scalable target.")
        if not 0 <= least <= most:
            raise _invalid("Minimum capacity cannot be greater than maximum capacity.")
        self.targets[key] = made
        self._bring_within(cluster, name, int(least), int(most))
        if request.get("Tags"):
            self.tags[made["ScalableTargetARN"]] = dict(request["Tags"])
        return {"ScalableTargetARN": made["ScalableTargetARN"]}

    def _service(self, request: dict) -> tuple[str, str]:
        if request["ServiceNamespace"] != "ecs" or request["ScalableDimension"] != DIMENSION:
            raise _invalid("The local cloud scales services of ECS only.")
        _, cluster, name = (*request["ResourceId"].split("/"), "", "")[:3]
        try:
            self._ecs.store.active_service(cluster, name)
        except ApiError:
            raise _invalid(f"ECS service doesn't exist: {request['ResourceId']}") from None
        return cluster, name

    def _bring_within(self, cluster: str, name: str, least: int, most: int) -> None:
        desired = self._ecs.store.active_service(cluster, name)["desiredCount"]
        wanted = min(max(desired, least), most)
        if wanted != desired:
            self._ecs.call("UpdateService", {"cluster": cluster, "service": name, "desiredCount": wanted})

    def deregister(self, request: dict) -> dict:
        """With its policies and scheduled actions."""
        key = _key(request)
        self._target(request)
        del self.targets[key]
        for kind in (self.policies, self.actions):
            for one in [one for one in kind if tuple(one[:3]) == key]:
                del kind[one]
        return {}

    def _target(self, request: dict) -> dict:
        found = self.targets.get(_key(request))
        if found is None:
            names = (
                f"service namespace: {request['ServiceNamespace']}, resource ID: {request['ResourceId']}, "
            )
            raise ApiError(
                "ObjectNotFoundException",
                f"No scalable target registered for {names}scalable dimension: {request['ScalableDimension']}",
            )
        return found

    # -- policies and scheduled actions
    def put_policy(self, request: dict) -> dict:
        self._target(request)
        kind = request.get("PolicyType", "StepScaling")
        if kind not in ("TargetTrackingScaling", "StepScaling"):
            raise _invalid(f"Unsupported policy type {kind}")
        if not request.get(f"{kind}PolicyConfiguration"):
            raise _invalid(f"{kind}PolicyConfiguration is required for policy type {kind}")
        key = (*_key(request), request["PolicyName"])
        before = self.policies.get(key) or {}
        self.policies[key] = {
            "PolicyARN": f"{_prefix()}:scalingPolicy:{new_uuid()}:resource/ecs/{request['ResourceId']}:policyName/"
            f"{request['PolicyName']}",
            "CreationTime": now(),
            "Alarms": [],
            **{name: before[name] for name in ("PolicyARN", "CreationTime") if name in before},
            **{name: request[name] for name in (*KEY, "PolicyName")},
            "PolicyType": kind,
            f"{kind}PolicyConfiguration": request[f"{kind}PolicyConfiguration"],
        }
        return {"PolicyARN": self.policies[key]["PolicyARN"], "Alarms": []}

    def put_action(self, request: dict) -> dict:
        self._target(request)
        name = request["ScheduledActionName"]
        self.actions[(*_key(request), name)] = {
            "ScheduledActionARN": f"{_prefix()}:scheduledAction:{new_uuid()}:resource/ecs/{request['ResourceId']}:"
            f"scheduledActionName/{name}",
            "CreationTime": now(),
            **{key: value for key, value in request.items() if value is not None},
        }
        return {}

    def _delete(self, kind: AccountRegionScopedDict, request: dict, name: str) -> dict:
        key = (*_key(request), request[name])
        if key not in kind:
            raise ApiError("ObjectNotFoundException", f"No {name} {request[name]} was found.")
        del kind[key]
        return {}

    def _found(self, kind: AccountRegionScopedDict, request: dict, name: str = "") -> list[dict]:
        """What a Describe asks for; every filter is optional but the namespace."""
        wanted = {key: request.get(key) for key in KEY}
        ids = request.get("ResourceIds")
        names = request.get(f"{name}s") if name else None
        found = []
        for one in kind.values():
            fits = all(value is None or one[key] == value for key, value in wanted.items())
            if fits and (not ids or one["ResourceId"] in ids) and (not names or one[name] in names):
                found.append(copy.deepcopy(one))
        return found

    def tag(self, request: dict) -> dict:
        name = request["ResourceARN"]
        self.tags[name] = {**(self.tags.get(name) or {}), **request["Tags"]}
        return {}


def _key(request: dict) -> tuple[str, str, str]:
    try:
        return request["ServiceNamespace"], request["ResourceId"], request["ScalableDimension"]
    except KeyError as missing:
        raise _invalid(f"{missing.args[0]} is required") from None


def _invalid(message: str) -> ApiError:
    return ApiError("ValidationException", message)


def _prefix() -> str:
    return f"arn:aws:application-autoscaling:{get_region()}:{get_account_id()}"
