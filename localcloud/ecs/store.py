"""What ECS remembers: clusters, task definitions, services and their deployments, tasks, capacity providers, tags.

The state module `ecs` of the saver. Holds records and how they are found; runs nothing.
"""

from __future__ import annotations

import copy
import re
import threading
import time
from collections.abc import Iterable, Iterator

from ministack.core.responses import AccountRegionScopedDict, get_account_id, get_region, new_uuid

from localcloud.ecs import errors
from localcloud.ecs.errors import ApiError

STOPPED_KEPT = 100
DEPLOYMENTS_KEPT = 50
NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
FARGATE = ("FARGATE", "FARGATE_SPOT")
PARTS = (
    "clusters", "definitions", "latest", "services", "deployments", "revisions", "tasks", "providers", "hosts", "tags",
)  # fmt: skip


class Store:
    """Records are the API's own shapes; what is not in the API is below their key `local`."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.clusters = AccountRegionScopedDict()  # name -> cluster
        self.definitions = AccountRegionScopedDict()  # family:revision -> task definition
        self.latest = AccountRegionScopedDict()  # family -> the highest revision there ever was
        self.services = AccountRegionScopedDict()  # ARN -> service
        self.deployments = AccountRegionScopedDict()  # ARN -> service deployment
        self.revisions = AccountRegionScopedDict()  # ARN -> service revision
        self.tasks = AccountRegionScopedDict()  # ARN -> task
        self.providers = AccountRegionScopedDict()  # name -> capacity provider
        self.hosts = AccountRegionScopedDict()  # ARN -> container instance
        self.tags = AccountRegionScopedDict()  # ARN -> [{key, value}]

    # -- what ministack's persistence calls
    def get_state(self) -> dict:
        with self.lock:
            return {name: copy.deepcopy(getattr(self, name)) for name in PARTS}

    def load_persisted_state(self, data: dict) -> None:
        for name in PARTS:
            getattr(self, name).update(data.get(name, {}))

    def reset(self) -> None:
        for name in PARTS:
            getattr(self, name).clear()

    # -- look-ups that refuse
    def cluster(self, reference: str | None) -> dict:
        """By name or ARN; INACTIVE ones are as good as gone."""
        found = self.clusters.get(tail(reference or "default"))
        if found is None or found["status"] == "INACTIVE":
            raise errors.no_cluster()
        return found

    def service(self, cluster: str | None, reference: str | None) -> dict:
        """By name or ARN, within its cluster."""
        wanted = arn(f"service/{self.cluster(cluster)['clusterName']}/{tail(reference or '')}")
        found = self.services.get(wanted)
        if found is None:
            raise errors.no_service()
        return found

    def active_service(self, cluster: str | None, reference: str | None) -> dict:
        found = self.service(cluster, reference)
        if found["status"] != "ACTIVE":
            raise ApiError("ServiceNotActiveException", "Service was not ACTIVE.")
        return found

    def definition(self, reference: str | None) -> dict:
        """By ARN, by family and revision, or by family: then its newest that is ACTIVE."""
        name = tail(reference or "")
        found = self.definitions.get(name) if ":" in name else self.newest(name)
        if found is None:
            raise errors.client("Unable to describe task definition.")
        return found

    def runnable(self, reference: str | None) -> dict:
        """A definition that tasks may be started from."""
        try:
            found = self.definition(reference)
        except ApiError:
            raise errors.client("TaskDefinition not found.") from None
        if found["status"] != "ACTIVE":
            raise errors.client("TaskDefinition is inactive")
        return found

    def newest(self, family: str) -> dict | None:
        active = [one for one in self.family(family) if one["status"] == "ACTIVE"]
        return max(active, key=lambda one: one["revision"], default=None)

    def family(self, name: str) -> list[dict]:
        return [one for one in list(self.definitions.values()) if one["family"] == name]

    def task(self, cluster: str | None, reference: str) -> dict | None:
        name = self.cluster(cluster)["clusterName"]
        return self.tasks.get(arn(f"task/{name}/{tail(reference)}"))

    def tasks_of(self, service: dict) -> list[dict]:
        """All of a service that are remembered, stopped ones included."""
        group = f"service:{service['serviceName']}"
        return [
            one
            for one in list(self.tasks.values())
            if one["group"] == group and one["clusterArn"] == service["clusterArn"]
        ]

    def deployments_of(self, service: dict) -> list[dict]:
        """Its service deployments, the newest first."""
        mine = [d for d in list(self.deployments.values()) if d["serviceArn"] == service["serviceArn"]]
        return sorted(mine, key=lambda one: one["createdAt"], reverse=True)

    def all_tasks(self) -> Iterator[tuple[str, str, dict]]:
        """Account, region and record of every task."""
        for (account, region, _), task in list(self.tasks.all_items()):
            yield account, region, task

    def all_services(self) -> list[dict]:
        """Those of every account and region."""
        return [service for _, service in list(self.services.all_items())]

    def by_token(self, token: str) -> tuple[str, str, dict] | None:
        """The task whose agent endpoint has this token, unless it is stopped."""
        live = (one for one in self.all_tasks() if one[2]["lastStatus"] != "STOPPED")
        return next((one for one in live if one[2]["local"]["token"] == token), None)

    def by_key(self, key: str) -> dict | None:
        """The task of an access key."""
        return next((task for _, _, task in self.all_tasks() if task["local"]["key"] == key), None)

    def tags_of(self, name: str) -> dict[str, str]:
        return {tag["key"]: tag["value"] for tag in self.tags.get(name) or []}

    # -- what is forgotten in time
    def forget_old(self) -> None:
        """The oldest of the stopped tasks and of the finished deployments."""
        stopped = [task for task in list(self.tasks.values()) if task["lastStatus"] == "STOPPED"]
        for task in sorted(stopped, key=lambda one: one["stoppedAt"])[:-STOPPED_KEPT]:
            self.tasks.pop(task["taskArn"], None)
            self.tags.pop(task["taskArn"], None)
        for service in list(self.services.values()):
            for one in self.deployments_of(service)[DEPLOYMENTS_KEPT:]:
                self.deployments.pop(one["serviceDeploymentArn"], None)
                self.revisions.pop(one["local"]["target"], None)


def arn(resource: str) -> str:
    """Of anything of ECS in the current account and region."""
    return f"arn:aws:ecs:{get_region()}:{get_account_id()}:{resource}"


def tail(reference: str) -> str:
    """The name in an ARN, or the name itself."""
    return reference.rpartition("/")[2]


def now() -> float:
    return round(time.time(), 3)


def new_id() -> str:
    """As ids of tasks look: 32 hexadecimal digits."""
    return new_uuid().replace("-", "")


def public(record: dict) -> dict:
    """A record as the API shows it."""
    return copy.deepcopy({key: value for key, value in record.items() if key != "local"})


def add_event(service: dict, message: str) -> None:
    """The newest first, as many as AWS shows."""
    event = {"id": new_uuid(), "createdAt": now(), "message": f"(service {service['serviceName']}) {message}"}
    service["events"][:] = [event, *service["events"][:99]]


def newest_first(tasks: Iterable[dict]) -> list[dict]:
    return sorted(tasks, key=lambda one: one["createdAt"], reverse=True)
