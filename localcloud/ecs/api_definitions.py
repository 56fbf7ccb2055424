"""Operations on task definitions."""

from __future__ import annotations

import copy

from ministack.core.responses import get_account_id

from localcloud.base.paging import page
from localcloud.ecs import checks
from localcloud.ecs.errors import ApiError
from localcloud.ecs.store import Store, arn, now, public
from localcloud.emulator.shapes import Operation

KEPT = (
    "family", "taskRoleArn", "executionRoleArn", "networkMode", "containerDefinitions", "volumes",
    "placementConstraints", "requiresCompatibilities", "cpu", "memory", "pidMode", "ipcMode", "proxyConfiguration",
    "ephemeralStorage", "runtimePlatform", "enableFaultInjection",
)  # fmt: skip
DEFAULTS = {
    "cpu": 0,
    "essential": True,
    "environment": [],
    "mountPoints": [],
    "volumesFrom": [],
    "portMappings": [],
}


class Definitions:
    def __init__(self, store: Store) -> None:
        self._store = store

    def operations(self) -> dict[str, Operation]:
        return {
            "RegisterTaskDefinition": self.register,
            "DeregisterTaskDefinition": self.deregister,
            "DeleteTaskDefinitions": self.delete,
            "DescribeTaskDefinition": self.describe,
            "ListTaskDefinitions": self.list,
            "ListTaskDefinitionFamilies": self.list_families,
        }

    def register(self, request: dict) -> dict:
        checks.check(request)
        checks.log_groups(request)
        store, family = self._store, request["family"]
        revision = (store.latest.get(family) or 0) + 1
        store.latest[family] = revision
        made = copy.deepcopy({key: request[key] for key in KEPT if request.get(key) is not None})
        required = {"FARGATE", "MANAGED_INSTANCES"} & set(request.get("requiresCompatibilities") or [])
        mode = request.get("networkMode") or ("awsvpc" if required else None)
        definition = {
            "volumes": [],
            "placementConstraints": [],
            **made,
            "taskDefinitionArn": arn(f"task-definition/{family}:{revision}"),
            "revision": revision,
            "status": "ACTIVE",
            "compatibilities": _compatibilities(request, mode),
            "registeredAt": now(),
            "registeredBy": f"arn:aws:iam::{get_account_id()}:root",
            **({"networkMode": mode} if mode else {}),
        }
        for container in definition["containerDefinitions"]:
            _complete(container)
        store.definitions[f"{family}:{revision}"] = definition
        store.tags[definition["taskDefinitionArn"]] = list(request.get("tags") or [])
        return {"taskDefinition": public(definition), "tags": list(request.get("tags") or [])}

    def deregister(self, request: dict) -> dict:
        found = self._store.definition(request.get("taskDefinition"))
        if found["status"] == "ACTIVE":
            found.update(status="INACTIVE", deregisteredAt=now())
        return {"taskDefinition": public(found)}

    def delete(self, request: dict) -> dict:
        """Only what was deregistered before can be deleted."""
        gone, failures = [], []
        for reference in request.get("taskDefinitions") or []:
            try:
                found = self._store.definition(reference)
            except ApiError:
                failures.append({"arn": reference, "reason": "MISSING"})
                continue
            if found["status"] == "ACTIVE":
                failures.append({"arn": found["taskDefinitionArn"], "reason": "TASK_DEFINITION_IS_ACTIVE"})
                continue
            # For good, as on AWS while anything runs of it.
            found.update(status="DELETE_IN_PROGRESS", deleteRequestedAt=now())
            gone.append(public(found))
        return {"taskDefinitions": gone, "failures": failures}

    def describe(self, request: dict) -> dict:
        found = self._store.definition(request.get("taskDefinition"))
        tags = self._store.tags.get(found["taskDefinitionArn"]) or []
        return {"taskDefinition": public(found), **({"tags": tags} if request.get("include") else {})}

    def list(self, request: dict) -> dict:
        wanted, family = request.get("status", "ACTIVE"), request.get("familyPrefix")
        found = [
            one
            for one in self._store.definitions.values()
            if one["status"] == wanted and family in (None, one["family"])
        ]
        found.sort(key=lambda one: (one["family"], one["revision"]), reverse=request.get("sort") == "DESC")
        some, token = page([one["taskDefinitionArn"] for one in found], request.get("nextToken"))
        return {"taskDefinitionArns": some, **({"nextToken": token} if token else {})}

    def list_families(self, request: dict) -> dict:
        wanted, prefix = request.get("status", "ACTIVE"), request.get("familyPrefix", "")
        found = {
            one["family"]
            for one in self._store.definitions.values()
            if wanted in ("ALL", one["status"]) and one["family"].startswith(prefix)
        }
        some, token = page(sorted(found), request.get("nextToken"))
        return {"families": some, **({"nextToken": token} if token else {})}


def _compatibilities(request: dict, mode: str | None) -> list[str]:
    """Where it could run; what it requires has been checked already."""
    fits = mode == "awsvpc" and request.get("cpu") and request.get("memory")
    if fits:
        try:
            checks.fargate_pair(request["cpu"], request["memory"])
        except ApiError:
            fits = False
    managed = ["MANAGED_INSTANCES"] if mode in checks.MANAGED_MODES else []
    return ["EC2", *(["FARGATE"] if fits else []), *managed]


def _complete(container: dict) -> None:
    for key, value in DEFAULTS.items():
        container.setdefault(key, copy.deepcopy(value))
    for mapping in container["portMappings"]:
        mapping.setdefault("protocol", "tcp")
        mapping.setdefault("hostPort", mapping.get("containerPort", 0))
    check = container.get("healthCheck")
    if check:
        for key, _, _, default in checks.HEALTH:
            if key != "startPeriod":
                check.setdefault(key, default)
