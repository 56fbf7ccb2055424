"""Operations on services, their deployments and revisions."""

from __future__ import annotations

import copy

from ministack.core.responses import get_account_id
from ministack.services import alb, servicediscovery

from localcloud.base.paging import page
from localcloud.ecs import capacity, checks, rollouts
from localcloud.ecs.errors import ApiError, invalid
from localcloud.ecs.scheduler import Scheduler
from localcloud.ecs.store import NAME, Store, add_event, arn, now, public, tail
from localcloud.ecs.tasks import PLATFORM, WAITING
from localcloud.emulator.shapes import Operation

ROLLING = {"maximumPercent": 200, "minimumHealthyPercent": 100}
NO_BREAKER = {"deploymentCircuitBreaker": {"enable": False, "rollback": False}}
GRACE = "healthCheckGracePeriodSeconds"
# What UpdateService takes over as it is.
KEPT = (GRACE, "enableExecuteCommand", "enableECSManagedTags", "propagateTags",
        "loadBalancers", "serviceRegistries", "placementConstraints", "placementStrategy",
        "availabilityZoneRebalancing")  # fmt: skip


class Services:
    def __init__(self, store: Store, scheduler: Scheduler) -> None:
        self._store = store
        self._scheduler = scheduler

    def operations(self) -> dict[str, Operation]:
        return {
            "CreateService": self.create,
            "UpdateService": self.update,
            "DeleteService": self.delete,
            "DescribeServices": self.describe,
            "ListServices": self.list,
            "ListServiceDeployments": self.list_deployments,
            "DescribeServiceDeployments": self.describe_deployments,
            "StopServiceDeployment": self.stop_deployment,
            "DescribeServiceRevisions": self.describe_revisions,
        }

    def create(self, request: dict) -> dict:
        store, name = self._store, request.get("serviceName", "")
        cluster = store.cluster(request.get("cluster"))
        if not NAME.fullmatch(name):
            raise checks.name_error(name)
        service_arn = arn(f"service/{cluster['clusterName']}/{name}")
        before = store.services.get(service_arn)
        if before is not None and before["status"] != "INACTIVE":
            draining = "Unable to Start a service that is still Draining."
            raise invalid(
                draining if before["status"] == "DRAINING" else "Creation of service was not idempotent."
            )
        if request.get("desiredCount") is None:
            raise invalid("desiredCount is required for a service of strategy REPLICA.")
        service = _fresh(service_arn, request, cluster)
        self._check(request)
        self._put(service, request, cluster)
        self._forget(service_arn)
        store.services[service_arn] = service
        store.tags[service_arn] = list(request.get("tags") or [])
        rollouts.begin(store, service)
        self._scheduler.wake()
        return {"service": self._shown(service)}

    def _forget(self, service_arn: str) -> None:
        """Nothing of a service of the same name that was deleted."""
        for kind in (self._store.deployments, self._store.revisions):
            for name in [name for name, one in kind.items() if one["serviceArn"] == service_arn]:
                del kind[name]

    def _check(self, request: dict) -> None:
        if (request.get("deploymentController") or {}).get("type", "ECS") != "ECS":
            raise invalid("The local cloud has the deployment controller ECS only.")
        if request.get("schedulingStrategy", "REPLICA") != "REPLICA":
            raise invalid("The local cloud has the scheduling strategy REPLICA only.")

    def _put(self, service: dict, request: dict, cluster: dict) -> None:
        """Everything that both operations take; the service is changed only if all of it is right."""
        store = self._store
        made = {key: copy.deepcopy(request[key]) for key in KEPT if request.get(key) is not None}
        definition = store.runnable(request.get("taskDefinition") or service.get("taskDefinition"))
        made["taskDefinition"] = definition["taskDefinitionArn"]
        where = self._where(service, request, cluster, definition)
        network = {"networkConfiguration": service.get("networkConfiguration"), **request}
        made["networkConfiguration"] = capacity.network(network, definition)
        made["deploymentConfiguration"] = _configuration(service, request)
        gone = {GRACE} - made.keys() if made.get("loadBalancers") == [] else set()  # with the balancer
        wanted = {key: value for key, value in {**service, **made}.items() if key not in gone}
        _check_balancers(wanted, definition)
        if wanted.get("enableExecuteCommand") and not definition.get("taskRoleArn"):
            done = "updated" if "taskDefinition" in service else "created"
            raise invalid(
                f"The service couldn't be {done} because a valid taskRoleArn is not being used. Specify a valid task "
                "role in your task definition and try again."
            )
        if wanted.get(GRACE) and not wanted.get("loadBalancers"):
            raise invalid(
                "Health check grace period is only valid for services configured to use load balancers"
            )
        for key in ("launchType", "capacityProviderStrategy", "platformVersion", "platformFamily", *gone):
            service.pop(key, None)
        service.update({key: value for key, value in (made | where).items() if value is not None})

    def _where(self, service: dict, request: dict, cluster: dict, definition: dict) -> dict:
        asked = {key: request[key] for key in ("launchType", "capacityProviderStrategy") if request.get(key)}
        if not asked and "taskDefinition" in service:
            asked = {k: service[k] for k in ("launchType", "capacityProviderStrategy") if k in service}
        where = capacity.choose(self._store, asked, cluster, definition)
        provider = (where.get("capacityProviderStrategy") or [{}])[0].get("capacityProvider", "")
        if where.get("launchType") == "FARGATE" or provider.startswith("FARGATE"):
            version = request.get("platformVersion", "LATEST")
            where |= {
                "platformVersion": PLATFORM if version == "LATEST" else version,
                "platformFamily": "Linux",
            }
        if request.get("placementStrategy") and not (
            where.get("launchType") == "EC2" or capacity.kind(self._store, provider) == "EC2"
        ):
            raise invalid("Placement strategies are only supported for tasks on EC2 container instances.")
        return where

    def update(self, request: dict) -> dict:
        store = self._store
        service = store.active_service(request.get("cluster"), request.get("service"))
        before = copy.deepcopy({key: service.get(key) for key in rollouts.REVISED})
        _check_strategy(service, request)
        count = _count(request) if request.get("desiredCount") is not None else service["desiredCount"]
        self._put(service, request, store.cluster(request.get("cluster")))
        service["desiredCount"] = count
        if request.get("forceNewDeployment") or before != {key: service.get(key) for key in rollouts.REVISED}:
            rollouts.begin(store, service)
        rollouts.primary(service)["desiredCount"] = count
        self._scheduler.wake()
        return {"service": self._shown(service)}

    def delete(self, request: dict) -> dict:
        service = self._store.service(request.get("cluster"), request.get("service"))
        if service["status"] == "ACTIVE":
            if service["desiredCount"] and not request.get("force"):
                raise invalid(
                    "The service cannot be stopped while it is scaled above 0. Update the service to a desired count "
                    "of 0 and try again, or use force."
                )
            goes_on = rollouts.current(self._store, service)
            if goes_on is not None:
                rollouts.stop(self._store, service, goes_on, "ABORT")
            service.update(status="DRAINING", desiredCount=0)
            add_event(service, "has begun draining.")
            self._scheduler.wake()
        return {"service": self._shown(service)}

    def describe(self, request: dict) -> dict:
        found, failures = [], []
        for reference in request.get("services") or []:
            try:
                service = self._store.service(request.get("cluster"), reference)
            except ApiError as error:
                if error.code != "ServiceNotFoundException":
                    raise
                cluster = self._store.cluster(request.get("cluster"))["clusterName"]
                failures.append({"arn": arn(f"service/{cluster}/{tail(reference)}"), "reason": "MISSING"})
                continue
            found.append(self._shown(service, "TAGS" in (request.get("include") or [])))
        return {"services": found, "failures": failures}

    def list(self, request: dict) -> dict:
        cluster = self._store.cluster(request.get("cluster"))["clusterArn"]
        kind = request.get("launchType")
        names = sorted(
            one["serviceArn"]
            for one in self._store.services.values()
            if one["clusterArn"] == cluster
            and one["status"] == "ACTIVE"
            and kind in (None, one.get("launchType"))
        )
        some, token = page(names, request.get("nextToken"), int(request.get("maxResults") or 10))
        return {"serviceArns": some, **({"nextToken": token} if token else {})}

    def _shown(self, service: dict, tagged: bool = True) -> dict:
        tasks = [task for task in self._store.tasks_of(service) if task["desiredStatus"] == "RUNNING"]
        shown = public(service)
        for one in shown["deployments"]:
            one.update(_counts([task for task in tasks if task["local"]["deployment"] == one["id"]]))
            if one["status"] != "PRIMARY":
                one["desiredCount"] = 0
        goes_on = rollouts.current(self._store, service)
        if goes_on is not None:
            shown["currentServiceDeployment"] = goes_on["serviceDeploymentArn"]
        revisions = {task["local"]["revision"] for task in tasks} | {service["local"]["revision"]}
        shown["currentServiceRevisions"] = [
            rollouts.summary(
                tasks, name, service["desiredCount"] if name == service["local"]["revision"] else 0
            )
            for name in sorted(revisions)
        ]
        tags = self._store.tags.get(service["serviceArn"]) or []
        return {**shown, **_counts(tasks), **({"tags": tags} if tagged else {})}

    # -- deployments and revisions
    def list_deployments(self, request: dict) -> dict:
        service = self._store.service(request.get("cluster"), request.get("service"))
        wanted = request.get("status") or []
        found = [one for one in self._store.deployments_of(service) if not wanted or one["status"] in wanted]
        keys = ("serviceDeploymentArn", "serviceArn", "clusterArn", "startedAt", "createdAt", "finishedAt", "status",
                "statusReason")  # fmt: skip
        briefs = [
            {key: one[key] for key in keys if key in one}
            | {"targetServiceRevisionArn": one["local"]["target"]}
            for one in found
        ]
        some, token = page(briefs, request.get("nextToken"))
        return {"serviceDeployments": some, **({"nextToken": token} if token else {})}

    def describe_deployments(self, request: dict) -> dict:
        wanted = request.get("serviceDeploymentArns") or []
        found = [(name, self._store.deployments.get(name)) for name in wanted]
        return {
            "serviceDeployments": [rollouts.shown(self._store, one) for _, one in found if one],
            "failures": [{"arn": name, "reason": "MISSING"} for name, one in found if not one],
        }

    def stop_deployment(self, request: dict) -> dict:
        found = self._store.deployments.get(request.get("serviceDeploymentArn", ""))
        if found is None:
            raise ApiError("ServiceDeploymentNotFoundException", "The service deployment was not found.")
        if found["status"] not in rollouts.RUNNING:
            raise ApiError(
                "ConflictException", f"The service deployment is in {found['status']} and cannot be stopped."
            )
        service = self._store.services[found["serviceArn"]]
        if "rollback" not in found:
            rollouts.stop(self._store, service, found, request.get("stopType") or "ROLLBACK")
        self._scheduler.wake()
        return {"serviceDeploymentArn": found["serviceDeploymentArn"]}

    def describe_revisions(self, request: dict) -> dict:
        wanted = request.get("serviceRevisionArns") or []
        found = [(name, self._store.revisions.get(name)) for name in wanted]
        return {
            "serviceRevisions": [public(one) for _, one in found if one],
            "failures": [{"arn": name, "reason": "MISSING"} for name, one in found if not one],
        }


def _fresh(service_arn: str, request: dict, cluster: dict) -> dict:
    """A service before anything is put into it that may change."""
    return {
        "serviceArn": service_arn,
        "serviceName": tail(service_arn),
        "clusterArn": cluster["clusterArn"],
        "status": "ACTIVE",
        "desiredCount": _count(request),
        "schedulingStrategy": "REPLICA",
        "deploymentController": {"type": "ECS"},
        "createdAt": now(),
        "createdBy": f"arn:aws:iam::{get_account_id()}:root",
        "placementConstraints": [],
        "placementStrategy": [],
        "enableECSManagedTags": False,
        "enableExecuteCommand": False,
        "propagateTags": "NONE",
        "events": [],
        "deployments": [],
        "local": {},
    }


def _count(request: dict) -> int:
    count = int(request["desiredCount"])
    if count < 0:
        raise invalid("The desired count must not be negative.")
    return count


def _check_strategy(service: dict, request: dict) -> None:
    asked = request.get("capacityProviderStrategy")
    changes = asked and capacity.whole(asked) != service.get("capacityProviderStrategy")
    if changes and not request.get("forceNewDeployment"):
        raise invalid(
            "When switching from launch type to capacity provider strategy on an existing service, or making a change "
            "to a capacity provider strategy on a service that is already using one, you must force a new deployment."
        )


def _configuration(service: dict, request: dict) -> dict:
    given = request.get("deploymentConfiguration") or {}
    made = {**ROLLING, **copy.deepcopy(NO_BREAKER), **(service.get("deploymentConfiguration") or {}), **given}
    if made.get("strategy", "ROLLING") != "ROLLING":
        raise invalid("The local cloud has the deployment strategy ROLLING only.")
    checks.percent(made)
    return {**made, "strategy": "ROLLING"}


def _counts(tasks: list[dict]) -> dict[str, int]:
    return {
        "runningCount": sum(task["lastStatus"] == "RUNNING" for task in tasks),
        "pendingCount": sum(task["lastStatus"] in WAITING for task in tasks),
    }


def _check_balancers(service: dict, definition: dict) -> None:
    """Target groups and registries are there, and so are the containers and ports behind them."""
    containers = {one["name"]: one for one in definition["containerDefinitions"]}
    for one in service.get("loadBalancers") or []:
        group = one.get("targetGroupArn", "")
        if group not in alb._tgs:
            raise invalid(f"Unable to describe target group {group}: One or more target groups not found")
        kind = alb._tgs[group].get("TargetType", "instance")
        if definition.get("networkMode") == "awsvpc" and kind != "ip":
            raise invalid(
                f"The provided target group {group} has target type {kind}, which is incompatible with the awsvpc "
                "network mode specified in the task definition."
            )
        if not _has_balancer(group):
            raise invalid(
                f"The target group with targetGroupArn {group} does not have an associated load balancer."
            )
        _check_port(containers, one, required=True)
    for one in service.get("serviceRegistries") or []:
        if tail(one.get("registryArn", "")) not in servicediscovery._services:
            raise invalid(f"The service registry {one.get('registryArn')} does not exist.")
        _check_port(containers, one, required=False)


def _has_balancer(group: str) -> bool:
    actions = [
        action
        for one in (*alb._listeners.values(), *alb._rules.values())
        for action in one.get("DefaultActions") or one.get("Actions") or []
    ]
    return any(group in str(action) for action in actions)


def _check_port(containers: dict[str, dict], one: dict, *, required: bool) -> None:
    name, port = one.get("containerName"), one.get("containerPort")
    if not required and name is None:
        return
    if name not in containers:
        raise invalid(f"The container {name} does not exist in the task definition.")
    if int(port or 0) not in [int(m["containerPort"]) for m in containers[name]["portMappings"]]:
        raise invalid(f"The container {name} did not have a container port {port} defined.")
