"""AWS::ECS::* and AWS::ApplicationAutoScaling::*: templates' properties become requests of the local services.

A service is made once its first deployment has succeeded, and changed once the one that the change began has.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import botocore.session
from botocore.model import ServiceModel, Shape
from ministack.services.cloudformation import provisioners

from localcloud.cfn.registry import CREATE_ONLY, draw_name, register, tags_of, truth
from localcloud.ecs import rollouts
from localcloud.ecs.errors import ApiError
from localcloud.ecs.parts import Ecs
from localcloud.ecs.store import tail
from localcloud.emulator.shapes import Create, Delete, Made, Update

PATIENCE_SECONDS = 3 * 3600.0
LOOK_SECONDS = 0.1
TRIPPED = "Error occurred during operation 'ECS Deployment Circuit Breaker was triggered.'."
NOT_STABLE = "Exceeded attempts to wait"
CLUSTER, DEFINITION, SERVICE = "AWS::ECS::Cluster", "AWS::ECS::TaskDefinition", "AWS::ECS::Service"
PROVIDER, ASSOCIATIONS = "AWS::ECS::CapacityProvider", "AWS::ECS::ClusterCapacityProviderAssociations"
TARGET, POLICY = "AWS::ApplicationAutoScaling::ScalableTarget", "AWS::ApplicationAutoScaling::ScalingPolicy"
# Properties whose name in the API is another.
NAMES = {"clustersettings": "settings", "placementstrategies": "placementstrategy"}
NUMBERS = {"integer": int, "long": int, "double": float, "float": float}


@cache
def _model(service: str) -> ServiceModel:
    return botocore.session.get_session().get_service_model(service)


def request(service: str, operation: str, props: dict) -> dict:
    """Properties as the API's members, with the API's types; what the operation does not know is left out."""
    shape = _model(service).operation_model(operation).input_shape
    return _form(props, shape) if shape is not None else {}


def _form(value: Any, shape: Shape) -> Any:
    if shape.type_name == "structure":
        members = {name.lower(): name for name in shape.members}
        known = {members.get(NAMES.get(key.lower(), key.lower())): one for key, one in value.items()}
        return {name: _form(one, shape.members[name]) for name, one in known.items() if name is not None}
    if shape.type_name == "list":
        return [_form(one, shape.member) for one in value]
    if shape.type_name == "map":
        return {str(key): _form(one, shape.value) for key, one in value.items()}
    if shape.type_name == "boolean":
        return truth(value)
    return NUMBERS.get(shape.type_name, str)(value)


class Containers:
    def __init__(self, ecs: Ecs) -> None:
        self._ecs = ecs
        self._store = ecs.store

    def _call(self, operation: str, asked: dict) -> dict:
        try:
            return self._ecs.service.call(operation, asked)
        except ApiError as error:
            raise ValueError(f"{error} (Service: AmazonECS; Error Code: {error.code})") from None

    def _make(self, operation: str, props: dict, **more: object) -> dict:
        asked = request("ecs", operation, {key: value for key, value in props.items() if key != "Tags"})
        tags = [{"key": tag["Key"], "value": tag["Value"]} for tag in tags_of(props)]
        return self._call(operation, {**asked, **({"tags": tags} if tags else {}), **more})

    def _retag(self, name: str, props: dict) -> None:
        self._store.tags[name] = [{"key": tag["Key"], "value": tag["Value"]} for tag in tags_of(props)]

    # -- Cluster
    def create_cluster(self, logical_id: str, props: dict, stack_name: str) -> Made:
        name = _name(props, "ClusterName", logical_id, stack_name)
        found = self._store.clusters.get(name)
        if found is not None and found["status"] == "ACTIVE":
            raise ValueError(f"Resource of type '{CLUSTER}' with identifier '{name}' already exists.")
        made = self._make("CreateCluster", props, clusterName=name)["cluster"]
        return name, {"Arn": made["clusterArn"]}

    def update_cluster(
        self, physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None
    ) -> Made:
        made = self._make("UpdateCluster", new, cluster=physical_id)["cluster"]
        if "CapacityProviders" in new or "DefaultCapacityProviderStrategy" in new:
            self._associate(physical_id, new)
        self._retag(made["clusterArn"], new)
        return physical_id, {"Arn": made["clusterArn"]}

    def delete_cluster(self, physical_id: str, props: dict) -> None:
        """The last tasks of deleted services may take a moment to end."""
        name = self._store.clusters.get(physical_id)
        if name is None or name["status"] != "ACTIVE":
            return
        self._wait(
            lambda: not self._busy(physical_id), "The Cluster cannot be deleted while Tasks are active."
        )
        self._call("DeleteCluster", {"cluster": physical_id})

    def _busy(self, cluster: str) -> bool:
        """Whether tasks are on their way out; those that run are a reason to fail."""
        mine = [task for task in self._store.tasks.values() if tail(task["clusterArn"]) == cluster]
        return any(task["desiredStatus"] == "STOPPED" != task["lastStatus"] for task in mine)

    # -- TaskDefinition
    def create_definition(self, logical_id: str, props: dict, stack_name: str) -> Made:
        family = _name(props, "Family", logical_id, stack_name)
        made = self._make("RegisterTaskDefinition", props, family=family)["taskDefinition"]
        return made["taskDefinitionArn"], {"TaskDefinitionArn": made["taskDefinitionArn"]}

    def update_definition(
        self, physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None
    ) -> Made:
        self._retag(physical_id, new)
        return physical_id, {"TaskDefinitionArn": physical_id}

    def delete_definition(self, physical_id: str, props: dict) -> None:
        if tail(physical_id) in self._store.definitions:
            self._call("DeregisterTaskDefinition", {"taskDefinition": physical_id})

    # -- Service
    def create_service(self, logical_id: str, props: dict, stack_name: str) -> Made:
        name = _name(props, "ServiceName", logical_id, stack_name)
        count = int(props.get("DesiredCount", 1))
        made = self._make("CreateService", props, serviceName=name, desiredCount=count)["service"]
        attributes = {"ServiceArn": made["serviceArn"], "Name": name}
        local = self._store.services[made["serviceArn"]]["local"]
        local["unfinished"] = (
            True  # until a stack knows it; what the cloud's end leaves so is deleted at its next start
        )
        try:
            self._settle(made["serviceArn"])
            del local["unfinished"]
        except ValueError:
            # CloudFormation forgets a resource whose creation failed; nothing may stay behind.
            self.delete_service(made["serviceArn"], props)
            raise
        return made["serviceArn"], attributes

    def update_service(
        self, physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None
    ) -> Made:
        """Without DesiredCount the number of tasks stays; a family stands for its newest revision."""
        where = {"cluster": physical_id.split("/")[1], "service": tail(physical_id)}
        changed = {key for key in {*old, *new} - {"Tags"} if old.get(key) != new.get(key)}
        if changed:
            force = "CapacityProviderStrategy" in changed
            asked = {key: value for key, value in new.items() if key != "Tags"}
            self._make("UpdateService", asked, **where, forceNewDeployment=force)
            self._settle(physical_id)
        self._retag(physical_id, new)
        return physical_id, {"ServiceArn": physical_id, "Name": tail(physical_id)}

    def delete_service(self, physical_id: str, props: dict) -> None:
        service = self._store.services.get(physical_id)
        if service is None or service["status"] == "INACTIVE":
            return
        where = {"cluster": service["clusterArn"], "service": physical_id}
        self._call("DeleteService", {**where, "force": True})
        self._wait(lambda: service["status"] == "INACTIVE", NOT_STABLE)

    def _settle(self, name: str) -> None:
        """Wait for the deployment that goes on, or for the tasks that are missing."""
        service = self._store.services[name]
        begun = rollouts.current(self._store, service)
        if begun is None:
            self._wait(lambda: self._running(service) >= service["desiredCount"], NOT_STABLE)
            return
        self._wait(lambda: begun["status"] not in rollouts.RUNNING, NOT_STABLE)
        if begun["status"] != "SUCCESSFUL":
            raise ValueError(
                TRIPPED if begun["local"].get("tripped") else begun.get("statusReason", NOT_STABLE)
            )

    def _running(self, service: dict) -> int:
        tasks = self._store.tasks_of(service)
        return sum(task["lastStatus"] == "RUNNING" and task["desiredStatus"] == "RUNNING" for task in tasks)

    def _wait(self, is_over: Callable[[], bool], otherwise: str) -> None:
        begun = time.monotonic()
        while not is_over():
            if time.monotonic() - begun > PATIENCE_SECONDS:
                raise ValueError(otherwise)
            while self._ecs.scheduler.is_closed:
                # The cloud is being stopped: the operation is cut short, not failed, which would roll back.
                time.sleep(1)
            time.sleep(LOOK_SECONDS)

    # -- CapacityProvider and ClusterCapacityProviderAssociations
    def create_provider(self, logical_id: str, props: dict, stack_name: str) -> Made:
        name = _name(props, "Name", logical_id, stack_name)
        own = {"cluster": props["ClusterName"]} if "ClusterName" in props else {}
        self._make("CreateCapacityProvider", props, name=name, **own)
        return name, {}

    def update_provider(
        self, physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None
    ) -> Made:
        made = self._make("UpdateCapacityProvider", new, name=physical_id)["capacityProvider"]
        self._retag(made["capacityProviderArn"], new)
        return physical_id, {}

    def delete_provider(self, physical_id: str, props: dict) -> None:
        if physical_id in self._store.providers:
            self._call("DeleteCapacityProvider", {"capacityProvider": physical_id})

    def create_associations(self, logical_id: str, props: dict, stack_name: str) -> Made:
        self._associate(props["Cluster"], props)
        return tail(props["Cluster"]), {}

    def update_associations(
        self, physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None
    ) -> Made:
        self._associate(physical_id, new)
        return physical_id, {}

    def delete_associations(self, physical_id: str, props: dict) -> None:
        found = self._store.clusters.get(physical_id)
        if found is not None and found["status"] == "ACTIVE":
            self._associate(physical_id, {})

    def _associate(self, cluster: str, props: dict) -> None:
        empty = {"CapacityProviders": [], "DefaultCapacityProviderStrategy": []}
        self._call("PutClusterCapacityProviders", request(
            "ecs", "PutClusterCapacityProviders", {**empty, **props, "Cluster": cluster}
        ))  # fmt: skip

    # -- ScalableTarget and ScalingPolicy
    def _scale(self, operation: str, props: dict) -> dict:
        try:
            asked = request("application-autoscaling", operation, props)
            return self._ecs.scaling.call(operation, asked)
        except ApiError as error:
            raise ValueError(f"{error} (Service: ApplicationAutoScaling; Error Code: {error.code})") from None

    def create_target(self, logical_id: str, props: dict, stack_name: str) -> Made:
        tags = {tag["Key"]: tag["Value"] for tag in tags_of(props)}
        self._scale("RegisterScalableTarget", {**props, "Tags": tags})
        for action in props.get("ScheduledActions") or []:
            self._scale("PutScheduledAction", {**props, **action})
        key = "|".join(str(props[name]) for name in ("ResourceId", "ScalableDimension", "ServiceNamespace"))
        return key, {"Id": key}

    def update_target(
        self, physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None
    ) -> Made:
        gone = {one["ScheduledActionName"] for one in old.get("ScheduledActions") or []}
        for name in gone - {one["ScheduledActionName"] for one in new.get("ScheduledActions") or []}:
            self._scale("DeleteScheduledAction", {**new, "ScheduledActionName": name})
        return self.create_target(logical_id or physical_id, new, stack_name)

    def delete_target(self, physical_id: str, props: dict) -> None:
        resource, dimension, namespace = physical_id.split("|")
        if (namespace, resource, dimension) in self._ecs.scaling.targets:
            where = {"ResourceId": resource, "ScalableDimension": dimension, "ServiceNamespace": namespace}
            self._scale("DeregisterScalableTarget", where)

    def create_policy(self, logical_id: str, props: dict, stack_name: str) -> Made:
        made = self._scale("PutScalingPolicy", _with_target(props))
        return made["PolicyARN"], {"Arn": made["PolicyARN"]}

    def update_policy(
        self, physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None
    ) -> Made:
        return self.create_policy(logical_id or physical_id, new, stack_name)

    def delete_policy(self, physical_id: str, props: dict) -> None:
        found = next((p for p in self._ecs.scaling.policies.values() if p["PolicyARN"] == physical_id), None)
        if found is not None:
            self._scale("DeleteScalingPolicy", found)

    def install(self) -> None:
        CREATE_ONLY[DEFINITION] = tuple(
            name[:1].upper() + name[1:]
            for name in _model("ecs").operation_model("RegisterTaskDefinition").input_shape.members
            if name != "tags"
        )
        kinds: dict[str, tuple[Create, Delete, Update]] = {
            CLUSTER: (self.create_cluster, self.delete_cluster, self.update_cluster),
            DEFINITION: (self.create_definition, self.delete_definition, self.update_definition),
            SERVICE: (self.create_service, self.delete_service, self.update_service),
            PROVIDER: (self.create_provider, self.delete_provider, self.update_provider),
            ASSOCIATIONS: (self.create_associations, self.delete_associations, self.update_associations),
            TARGET: (self.create_target, self.delete_target, self.update_target),
            POLICY: (self.create_policy, self.delete_policy, self.update_policy),
        }
        for kind, handlers in kinds.items():
            register(kind, *handlers, blocking=True)


def _name(props: dict, key: str, logical_id: str, stack_name: str) -> str:
    draw_name(props, key)
    return props.get(key) or provisioners._physical_name(stack_name, logical_id, max_len=255)


def _with_target(props: dict) -> dict:
    """A policy may name its target by the target's id."""
    if not props.get("ScalingTargetId"):
        return props
    resource, dimension, namespace = str(props["ScalingTargetId"]).split("|")
    return {
        **props,
        "ResourceId": resource,
        "ScalableDimension": dimension,
        "ServiceNamespace": namespace,
    }
