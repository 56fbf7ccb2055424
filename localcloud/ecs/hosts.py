"""Container instances: EC2 instances of the fleet that join a cluster, what each has room for, and where a task goes.

An instance joins as ECS's agent would: its image has the agent, its user data names the cluster, and the role of its
profile may register it. It is a record; tasks that are placed on it are processes of this machine all the same.
"""

from __future__ import annotations

import logging
import platform
import random
import re
import time
from collections.abc import Callable

from ministack.services import ec2, iam

from localcloud.cfn.network import ECS_IMAGE
from localcloud.ecs import checks
from localcloud.ecs.errors import StartError
from localcloud.ecs.rights import Rights
from localcloud.ecs.store import FARGATE, Store, arn, new_id, now, tail
from localcloud.fleet import cloudconfig, types
from localcloud.fleet.ec2 import LEAVING, Fleet

log = logging.getLogger("localcloud.ecs")
SETTING = re.compile(r"^\s*(ECS_[A-Z_]+)=(.*?)\s*$", re.MULTILINE)
RESERVED_PORTS = ("22", "2375", "2376", "51678", "51679")
MACHINES = {"amd64": "x86_64", "x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
NO_INSTANCES = "No Container Instances were found in your cluster."
# Failures of RunTask, and what events of services say of the same.
SHORT = {
    "RESOURCE:CPU": "has insufficient CPU units available",
    "RESOURCE:MEMORY": "has insufficient memory available",
    "RESOURCE:PORTS": "is already using a port required by your task",
    "RESOURCE:ENI": 'encountered error "RESOURCE:ENI"',
    "AGENT": "is not connected or is draining",
}


class NoRoom(Exception):
    """Why a task cannot be placed: the reason of RunTask's failure, and the instance that lacks the least of it."""

    def __init__(self, reason: str, closest: str) -> None:
        told = (
            f"The closest matching container-instance {tail(closest)} {SHORT[reason]}."
            if closest
            else NO_INSTANCES
        )
        super().__init__(told)
        self.reason = reason
        self.closest = closest


class Hosts:
    def __init__(self, store: Store, fleet: Fleet) -> None:
        self._store = store
        self._fleet = fleet
        self._refused: set[str] = set()
        fleet.occupied = self.is_occupied

    def scopes(self) -> set[tuple[str, str]]:
        """Accounts and regions in which there is anything to do."""
        kinds = (self._fleet.records, self._store.hosts, self._store.providers)
        return {(account, region) for kind in kinds for (account, region, _), _ in list(kind.all_items())}

    # -- joining and leaving
    def sync(self) -> list[dict]:
        """Let instances join and leave in the current account and region; answers those that are gone."""
        records = dict(self._fleet.records.items())
        known = {host["ec2InstanceId"] for host in self._store.hosts.values()}
        for instance_id, record in records.items():
            if record["State"] == "InService" and instance_id not in known | self._refused:
                self._join(record)
        own = [host for host in self._store.hosts.values() if "provider" not in host["local"]]
        gone = [host for host in own if not _is_there(records.get(host["ec2InstanceId"]))]
        for host in gone:
            del self._store.hosts[host["containerInstanceArn"]]
        return gone

    def _join(self, record: dict) -> None:
        instance_id = record["InstanceId"]
        made = ec2._instances.get(instance_id) or {}
        settings = dict(SETTING.findall(cloudconfig.decode(record["UserData"])))
        cluster = self._store.clusters.get(settings.get("ECS_CLUSTER", "default"))
        if made.get("ImageId") != ECS_IMAGE:
            self._refused.add(instance_id)
            return
        problem = (
            _may_join(made, cluster) if cluster and cluster["status"] == "ACTIVE" else "Cluster not found."
        )
        if cluster is None or problem:
            self._refused.add(instance_id)
            log.warning("instance %s cannot join a cluster: %s", instance_id, problem)
            return
        host = make_record(cluster["clusterName"], record, made, settings)
        self._store.hosts[host["containerInstanceArn"]] = host

    def is_occupied(self, instance_id: str) -> bool:
        """Whether tasks keep an instance from being ended, or ECS has not yet let it go."""
        hosts = [one for _, one in self._store.hosts.all_items() if one["ec2InstanceId"] == instance_id]
        return any(self.tasks_on(host) for host in hosts)

    def has_left(self, host: dict) -> None:
        """Somebody took it from its cluster; its agent does not come back by itself."""
        self._refused.add(host["ec2InstanceId"])

    # -- look-ups
    def of(self, cluster: dict) -> list[dict]:
        return [h for h in self._store.hosts.values() if h["local"]["cluster"] == cluster["clusterName"]]

    def tasks_on(self, host: dict) -> list[dict]:
        name = host["containerInstanceArn"]
        tasks = [task for _, _, task in self._store.all_tasks()]
        return [t for t in tasks if t.get("containerInstanceArn") == name and t["lastStatus"] != "STOPPED"]

    def is_draining(self, task: dict) -> bool:
        host = self._store.hosts.get(task.get("containerInstanceArn", ""))
        return host is not None and host["status"] == "DRAINING"

    def provider_of(self, host: dict) -> str:
        """The capacity provider that made it, or that of its group, if its cluster has one."""
        if "provider" in host["local"]:
            return host["local"]["provider"]
        record = self._fleet.records.get(host["ec2InstanceId"]) or {}
        cluster = self._store.clusters.get(host["local"]["cluster"]) or {}
        for name in cluster.get("capacityProviders") or []:
            group = (self._store.providers.get(name) or {}).get("autoScalingGroupProvider") or {}
            if tail(group.get("autoScalingGroupArn", "")) == record.get("AutoScalingGroupName"):
                return name
        return ""

    # -- room
    def room(self, host: dict) -> dict[str, int]:
        """What is left of it."""
        left = dict(host["local"]["room"])
        for task in self.tasks_on(host):
            for key, amount in needs(self._definition(task), task).items():
                left[key] -= amount
        return left

    def _definition(self, task: dict) -> dict:
        return self._store.definitions[tail(task["taskDefinitionArn"])]

    def lacks(self, host: dict, definition: dict, task: dict) -> str:
        """Why a task cannot go there; empty if it can."""
        if host["status"] != "ACTIVE":
            return "AGENT"
        left = self.room(host)
        for key, amount in needs(definition, task).items():
            if amount > left[key]:
                return f"RESOURCE:{key}"
        taken = {port for t in self.tasks_on(host) for port in host_ports(self._definition(t))}
        return "RESOURCE:PORTS" if taken & host_ports(definition) else ""

    def find(self, cluster: dict, definition: dict, task: dict, strategy: list[dict]) -> dict:
        """The container instance for a task, which is a record or what one is to be made of. Raises NoRoom."""
        wanted = task.get("capacityProviderName") or ""
        hosts = [h for h in self.of(cluster) if not wanted or self.provider_of(h) == wanted]
        lacking = {h["containerInstanceArn"]: self.lacks(h, definition, task) for h in hosts}
        free = [host for host in hosts if not lacking[host["containerInstanceArn"]]]
        if free:
            return min(free, key=self._order(strategy, str(task.get("group", ""))))
        if not hosts:
            raise NoRoom("", "")
        closest = max(hosts, key=lambda one: self.room(one)["MEMORY"])["containerInstanceArn"]
        raise NoRoom(lacking[closest], closest)

    def _order(self, strategy: list[dict], group: str) -> Callable[[dict], tuple]:
        """How the fitting instances are compared."""
        return lambda host: (
            tuple(self._rank(one, host, group) for one in strategy) or (self._rank({}, host, group),)
        )

    def _rank(self, one: dict, host: dict, group: str) -> float:
        kind, field = one.get("type"), str(one.get("field", ""))
        if kind == "binpack":
            return self.room(host)["CPU" if field.lower() == "cpu" else "MEMORY"]
        if kind == "spread":
            value = attribute(host, field.removeprefix("attribute:")) or host["ec2InstanceId"]
            alike = [
                h
                for h in self._store.hosts.values()
                if (attribute(h, field.removeprefix("attribute:")) or h["ec2InstanceId"]) == value
            ]
            return float(sum(task["group"] == group for h in alike for task in self.tasks_on(h)))
        return random.random()  # noqa: S311 - no secret

    def place(self, task: dict, host: dict) -> None:
        """Put a task there; what starts it is the runner's."""
        task["containerInstanceArn"] = host["containerInstanceArn"]
        task["availabilityZone"] = attribute(host, "ecs.availability-zone")
        task["version"] += 1


def needs_host(task: dict) -> bool:
    """Whether it waits for a container instance."""
    return (
        task["launchType"] != "FARGATE"
        and "containerInstanceArn" not in task
        and task["lastStatus"] == "PROVISIONING"
    )


def needs(definition: dict, task: dict) -> dict[str, int]:
    """CPU units, MiB and network interfaces that a task takes."""
    containers = definition["containerDefinitions"]
    cpu = task.get("cpu") or definition.get("cpu")
    memory = task.get("memory") or definition.get("memory")
    return {
        "CPU": checks.size(cpu, "cpu") if cpu else sum(int(one.get("cpu") or 0) for one in containers),
        "MEMORY": checks.size(memory, "memory") if memory else sum(map(_memory, containers)),
        "ENI": int(definition.get("networkMode") == "awsvpc"),
    }


def _memory(container: dict) -> int:
    return int(container.get("memoryReservation") or container.get("memory") or 0)


def host_ports(definition: dict) -> set[int]:
    """Ports of the instance that a task takes; one in awsvpc has an interface of its own."""
    if definition.get("networkMode") == "awsvpc":
        return set()
    mappings = [one for c in definition["containerDefinitions"] for one in c.get("portMappings") or []]
    return {int(one.get("hostPort") or 0) for one in mappings} - {0}


def attribute(host: dict, name: str) -> str:
    return next((one["value"] for one in host["attributes"] if one["name"] == name), "")


def waits_for_room(store: Store, where: dict) -> bool:
    """Whether a task without room waits for it: that of a provider with managed scaling or managed instances does."""
    provider = store.providers.get(where.get("capacityProviderName", "")) or {}
    group = provider.get("autoScalingGroupProvider")
    if "managedInstancesProvider" in provider:
        return True
    return bool(group) and (group.get("managedScaling") or {}).get("status") == "ENABLED"


def is_on_hosts(where: dict) -> bool:
    """Of a launch type or a capacity provider."""
    provider = where.get("capacityProviderName")
    return provider not in FARGATE if provider else where.get("launchType") == "EC2"


def _is_there(record: dict | None) -> bool:
    """Not if it is shut down; one that waits for its termination's hooks still runs."""
    return record is not None and record["State"] not in set(LEAVING) - {"Terminating:Wait"}


def _may_join(made: dict, cluster: dict) -> str:
    """What the role of its instance profile says to the agent's first call; empty if it may."""
    profile = tail((made.get("IamInstanceProfile") or {}).get("Arn", ""))
    roles = (iam._instance_profiles.get(profile) or {}).get("Roles") or []
    role = iam._roles.get(next(iter(roles), ""))
    if role is None:
        return "NoCredentialProviders: the instance has no instance profile with a role"
    try:
        rights = Rights(
            role["Arn"], made["InstanceId"], lambda *_: None,
            {"ecs:cluster": cluster["clusterArn"]}, "ec2.amazonaws.com",
        )  # fmt: skip
    except StartError as error:
        return str(error)
    calls = [("ecs:DiscoverPollEndpoint", "*"), ("ecs:RegisterContainerInstance", cluster["clusterArn"])]
    return next(filter(None, (rights.denied(*one) for one in calls)), "")


def room_of(kind: str) -> dict[str, int]:
    """What an instance of a type has for tasks."""
    return {"CPU": types.cpu_units(kind), "MEMORY": types.usable_mib(kind), "ENI": types.interfaces(kind) - 1}


def make_record(cluster: str, record: dict, made: dict, settings: dict[str, str]) -> dict:
    kind = record["InstanceType"]
    room = room_of(kind)
    shown = [
        {"name": name, "type": "INTEGER", "doubleValue": 0.0, "longValue": 0, "integerValue": room[name]}
        for name in ("CPU", "MEMORY")
    ]
    attributes = {
        "ecs.ami-id": made.get("ImageId", ""),
        "ecs.availability-zone": record["AvailabilityZone"],
        "ecs.cpu-architecture": MACHINES.get(platform.machine(), "x86_64"),
        "ecs.instance-type": kind,
        "ecs.os-type": "linux",
    }
    return {
        "containerInstanceArn": arn(f"container-instance/{cluster}/{new_id()}"),
        "ec2InstanceId": record["InstanceId"],
        "version": 1,
        "versionInfo": {"agentVersion": "1.96.0", "dockerVersion": "DockerVersion: 25.0.8"},
        "registeredResources": [
            *shown,
            {"name": "PORTS", "type": "STRINGSET", "stringSetValue": list(RESERVED_PORTS)},
        ],
        "status": "ACTIVE",
        "agentConnected": True,
        "attributes": [{"name": key, "value": value} for key, value in attributes.items()],
        "registeredAt": now(),
        "attachments": [],
        "local": {
            "cluster": cluster,
            "room": room,
            "leaves_on_notice": settings.get("ECS_ENABLE_SPOT_INSTANCE_DRAINING") == "true",
            "idle_since": time.time(),
        },
    }
