"""What requests to ECS ask of IAM: the Service Authorization Reference on Amazon ECS. Makes none of them."""

from __future__ import annotations

import json
from collections.abc import Iterator

from localcloud.ecs.errors import ApiError
from localcloud.ecs.rights import ASSUMES
from localcloud.ecs.store import Store, arn, tail

# (action, resource, context)
Asked = tuple[str, str, dict[str, str]]
ON_CLUSTERS = {"CreateCluster", "UpdateCluster", "UpdateClusterSettings", "DeleteCluster",
               "PutClusterCapacityProviders", "ListContainerInstances", "DeregisterContainerInstance"}  # fmt: skip
ON_SERVICES = {"CreateService", "UpdateService", "DeleteService", "ListServiceDeployments"}
ON_HOSTS = {"DescribeContainerInstances", "UpdateContainerInstancesState"}
ON_TASKS = {"StopTask", "DescribeTasks", "GetTaskProtection", "UpdateTaskProtection", "ExecuteCommand"}
BY_ARN = {
    "DescribeServiceDeployments": "serviceDeploymentArns",
    "DescribeServiceRevisions": "serviceRevisionArns",
    "StopServiceDeployment": "serviceDeploymentArn",
    "TagResource": "resourceArn",
    "UntagResource": "resourceArn",
    "ListTagsForResource": "resourceArn",
}
IN_CLUSTERS = {"RunTask", "ListTasks", "DescribeServices", "ListServices"} | ON_SERVICES | ON_TASKS | ON_HOSTS
# These hand roles to tasks; services only name what was registered.
PASSING = {"RunTask", "RegisterTaskDefinition"}
ON_PROVIDERS = {"CreateCapacityProvider", "UpdateCapacityProvider"}


def asked(store: Store, operation: str, body: bytes) -> Iterator[Asked]:
    """A request's calls: one for each resource that it names, and one for each role that it passes on."""
    request = json.loads(body or b"{}")
    cluster = tail(request.get("cluster") or request.get("clusterName") or "default")
    context = {"ecs:cluster": arn(f"cluster/{cluster}")} if operation in IN_CLUSTERS else {}
    for resource in _resources(store, operation, request, cluster) or ["*"]:
        yield f"ecs:{operation}", resource, context
    if operation in PASSING:
        for role in _roles(store, operation, request):
            yield "iam:PassRole", role, {"iam:PassedToService": ASSUMES}
    if operation in ON_PROVIDERS and "managedInstancesProvider" in request:
        role = request["managedInstancesProvider"].get("infrastructureRoleArn", "")
        yield "iam:PassRole", role, {"iam:PassedToService": "ecs.amazonaws.com"}


def _resources(store: Store, operation: str, request: dict, cluster: str) -> list[str]:
    if operation in BY_ARN:
        return _several(request.get(BY_ARN[operation]))
    if operation in ON_CLUSTERS:
        return [arn(f"cluster/{cluster}")]
    if operation == "DescribeClusters":
        return [arn(f"cluster/{tail(name)}") for name in request.get("clusters") or ["default"]]
    if operation in ON_SERVICES or operation == "DescribeServices":
        names = _several(request.get("services") or request.get("service") or request.get("serviceName"))
        return [arn(f"service/{cluster}/{tail(name)}") for name in names]
    if operation in ON_TASKS:
        names = _several(request.get("tasks") or request.get("task"))
        return [arn(f"task/{cluster}/{tail(name)}") for name in names]
    if operation in ON_HOSTS:
        names = _several(request.get("containerInstances"))
        return [arn(f"container-instance/{cluster}/{tail(name)}") for name in names]
    if operation == "RunTask":
        found = _definition(store, request)
        return [found["taskDefinitionArn"]] if found else []
    if operation == "RegisterTaskDefinition":
        return [arn(f"task-definition/{request.get('family')}:*")]
    return []


def _several(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value)] if value else []


def _definition(store: Store, request: dict) -> dict | None:
    try:
        return store.definition(request.get("taskDefinition"))
    except ApiError:
        return None


def _roles(store: Store, operation: str, request: dict) -> list[str]:
    definition = request if operation == "RegisterTaskDefinition" else _definition(store, request) or {}
    overrides = request.get("overrides") or {}
    roles = (overrides.get(key) or definition.get(key) for key in ("taskRoleArn", "executionRoleArn"))
    return sorted({role for role in roles if role})
