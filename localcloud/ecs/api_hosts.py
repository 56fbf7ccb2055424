"""Operations on container instances: what there is, draining, and taking one from its cluster."""

from __future__ import annotations

from localcloud.base.paging import page
from localcloud.ecs.errors import invalid
from localcloud.ecs.scheduler import Scheduler
from localcloud.ecs.store import Store, arn, public, tail
from localcloud.emulator.shapes import Operation

STATES = ("ACTIVE", "DRAINING")


class ContainerInstances:
    def __init__(self, store: Store, scheduler: Scheduler) -> None:
        self._store = store
        self._hosts = scheduler.hosts
        self._scheduler = scheduler

    def operations(self) -> dict[str, Operation]:
        return {
            "ListContainerInstances": self.list,
            "DescribeContainerInstances": self.describe,
            "UpdateContainerInstancesState": self.update_state,
            "DeregisterContainerInstance": self.deregister,
        }

    def list(self, request: dict) -> dict:
        cluster, wanted = self._store.cluster(request.get("cluster")), request.get("status")
        found = [host for host in self._hosts.of(cluster) if wanted in (None, host["status"])]
        names = sorted(host["containerInstanceArn"] for host in found)
        some, token = page(names, request.get("nextToken"))
        return {"containerInstanceArns": some, **({"nextToken": token} if token else {})}

    def _each(self, request: dict) -> tuple[list[dict], list[dict]]:
        cluster = self._store.cluster(request.get("cluster"))["clusterName"]
        if not request.get("containerInstances"):
            raise invalid("Container instances cannot be empty.")
        found, failures = [], []
        for reference in request["containerInstances"]:
            name = arn(f"container-instance/{cluster}/{tail(reference)}")
            host = self._store.hosts.get(name)
            if host is None:
                failures.append({"arn": name, "reason": "MISSING"})
            else:
                found.append(host)
        return found, failures

    def describe(self, request: dict) -> dict:
        found, failures = self._each(request)
        return {"containerInstances": [self._shown(host) for host in found], "failures": failures}

    def update_state(self, request: dict) -> dict:
        if request.get("status") not in STATES:
            raise invalid("The container instance status must be ACTIVE or DRAINING.")
        found, failures = self._each(request)
        for host in found:
            host.update(status=request["status"], version=host["version"] + 1)
        self._scheduler.wake()
        return {"containerInstances": [self._shown(host) for host in found], "failures": failures}

    def deregister(self, request: dict) -> dict:
        asked = {
            "cluster": request.get("cluster"),
            "containerInstances": [request.get("containerInstance", "")],
        }
        found, _ = self._each(asked)
        if not found:
            raise invalid("Referenced container instance was not found.")
        host = found[0]
        if self._hosts.tasks_on(host) and not request.get("force"):
            raise invalid("Found running tasks on the instance.")
        del self._store.hosts[host["containerInstanceArn"]]
        self._hosts.has_left(host)
        self._scheduler.wake()
        return {"containerInstance": {**self._shown(host), "status": "INACTIVE"}}

    def _shown(self, host: dict) -> dict:
        shown, left = public(host), self._hosts.room(host)
        tasks = self._hosts.tasks_on(host)
        shown["remainingResources"] = [
            {**one, "integerValue": left[one["name"]]} if one["type"] == "INTEGER" else one
            for one in shown["registeredResources"]
        ]
        provider = self._hosts.provider_of(host)
        return {
            **shown,
            **({"capacityProviderName": provider} if provider else {}),
            "runningTasksCount": sum(task["lastStatus"] == "RUNNING" for task in tasks),
            "pendingTasksCount": sum(task["lastStatus"] != "RUNNING" for task in tasks),
        }
