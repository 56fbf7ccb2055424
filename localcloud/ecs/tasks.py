"""Records of tasks: how one is made, and how it goes from one state to the next. Starts no process."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Iterable
from pathlib import Path

from ministack.core.responses import get_account_id, get_region
from ministack.services import ec2

from localcloud.ecs import capacity
from localcloud.ecs.store import Store, arn, new_id, now, tail

KEY_PREFIX = "LCT"  # with the first 17 digits of a task's id, as long as a real access key
WAITING = ("PROVISIONING", "PENDING", "ACTIVATING")
GOING = ("DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED")
PLATFORM = "1.4.0"


class Addresses:
    """Loopback addresses, one for each task. Each cloud of a machine has a network of its own."""

    def __init__(self, root: Path) -> None:
        number = int.from_bytes(hashlib.sha256(os.fsencode(root)).digest()[:2], "big")
        self._network = f"127.{64 + number // 256 % 64}.{number % 256}"
        self.of_names = f"127.{128 + number // 256 % 64}.{number % 256}"
        self._last = 0

    def take(self, used: set[str]) -> str:
        """The next that no task has; none comes again soon."""
        for _ in range(254):
            self._last = self._last % 254 + 1
            address = f"{self._network}.{self._last}"
            if address not in used:
                return address
        raise RuntimeError("more than 254 tasks run at the same time")


def key_of(task_id: str) -> str:
    """A task's own, so that what it asks can be told from what others ask."""
    return KEY_PREFIX + task_id[:17].upper()


def make(
    store: Store,
    addresses: Addresses,
    cluster: dict,
    definition: dict,
    where: dict,
    *,
    group: str,
    network: dict | None,
    started_by: str = "",
    overrides: dict | None = None,
    tags: list[dict] | None = None,
    execute: bool = False,
    deployment: str = "",
) -> dict:
    """The record of a new task, which is in the store then. `where`: its launch type, or its capacity provider."""
    task_id, overrides = new_id(), overrides or {}
    name = arn(f"task/{cluster['clusterName']}/{task_id}")
    used = {task["local"]["address"] for _, _, task in store.all_tasks() if task["lastStatus"] != "STOPPED"}
    address = addresses.take(used)
    subnets = ((network or {}).get("awsvpcConfiguration") or {}).get("subnets") or [""]
    subnet = subnets[int(address.rpartition(".")[2]) % len(subnets)]
    task = {
        "taskArn": name,
        "clusterArn": cluster["clusterArn"],
        "taskDefinitionArn": definition["taskDefinitionArn"],
        "group": group or f"family:{definition['family']}",
        "lastStatus": "PROVISIONING",
        "desiredStatus": "RUNNING",
        "healthStatus": "UNKNOWN",
        "createdAt": now(),
        "version": 1,
        "connectivity": "CONNECTED",
        "availabilityZone": (ec2._subnets.get(subnet) or {}).get("AvailabilityZone") or f"{get_region()}a",
        "overrides": {"containerOverrides": [], "inferenceAcceleratorOverrides": [], **overrides},
        "enableExecuteCommand": execute,
        "tags": tags or [],
        "attachments": _attachments(subnet, address),
        "containers": [_container(one, name, address) for one in definition["containerDefinitions"]],
        **_capacity(store, where),
        **{key: overrides.get(key) or definition[key] for key in ("cpu", "memory") if key in definition},
        **({"startedBy": started_by} if started_by else {}),
        **({"ephemeralStorage": definition["ephemeralStorage"]} if "ephemeralStorage" in definition else {}),
        "local": {
            **_local(task_id, definition, overrides),
            "address": address,
            "deployment": deployment,
        },
    }
    store.tasks[name] = task
    store.tags[name] = task["tags"]
    return task


def _local(task_id: str, definition: dict, overrides: dict) -> dict:
    """What the API does not show. Standalone tasks have neither deployment nor revision."""
    return {
        "id": task_id,
        "account": get_account_id(),
        "region": get_region(),
        "token": secrets.token_urlsafe(18),
        "key": key_of(task_id),
        "revision": "",
        "protected_until": None,
        "role": overrides.get("taskRoleArn") or definition.get("taskRoleArn") or "",
        "execution_role": overrides.get("executionRoleArn") or definition.get("executionRoleArn") or "",
    }


def _capacity(store: Store, where: dict) -> dict:
    provider = where.get("capacityProviderName")
    launch_type = capacity.kind(store, provider) if provider else where.get("launchType", "EC2")
    platform = {"platformVersion": PLATFORM, "platformFamily": "Linux"} if launch_type == "FARGATE" else {}
    return {"launchType": launch_type, **platform, **({"capacityProviderName": provider} if provider else {})}


def _attachments(subnet: str, address: str) -> list[dict]:
    if not subnet:
        return []
    details = {
        "subnetId": subnet,
        "networkInterfaceId": f"eni-{new_id()[:17]}",
        "privateIPv4Address": address,
    }
    return [
        {
            "id": new_id(),
            "type": "ElasticNetworkInterface",
            "status": "ATTACHED",
            "details": [{"name": key, "value": value} for key, value in details.items()],
        }
    ]


def _container(definition: dict, task: str, address: str) -> dict:
    return {
        "containerArn": f"{task.replace(':task/', ':container/')}/{new_id()}",
        "taskArn": task,
        "name": definition["name"],
        "image": definition["image"],
        "lastStatus": "PENDING",
        "healthStatus": "UNKNOWN",
        "cpu": str(definition.get("cpu", 0)),
        "networkInterfaces": [{"attachmentId": new_id(), "privateIpv4Address": address}],
        "networkBindings": [],
        **({"memory": str(definition["memory"])} if definition.get("memory") else {}),
    }


def runtime_id(task: dict) -> str:
    """As Fargate and Docker name a container that was started."""
    if task["launchType"] == "FARGATE":
        return f"{task['local']['id']}-{secrets.randbelow(10**10):010}"
    return new_id() + new_id()


def place(where: dict, used: Iterable[str]) -> dict:
    """Of a launch type or a strategy, what the next task gets."""
    strategy = where.get("capacityProviderStrategy")
    if not strategy:
        return {"launchType": where["launchType"]}
    return {"capacityProviderName": capacity.next_provider(strategy, used)}


# -- from one state to the next
def move(task: dict, status: str, **more: object) -> None:
    task.update(lastStatus=status, version=task["version"] + 1, **more)


def ask_to_stop(task: dict, reason: str, code: str) -> bool:
    """Its life (runner.py) does the rest; False if it has been asked before."""
    if task["desiredStatus"] == "STOPPED":
        return False
    task.update(desiredStatus="STOPPED", stoppedReason=reason, stopCode=code, version=task["version"] + 1)
    return True


def never_started(task: dict) -> None:
    """One that was asked to stop before there was a place for it."""
    for record in task["containers"]:
        record["lastStatus"] = "STOPPED"
    move(task, "STOPPED", stoppingAt=now(), stoppedAt=now(), executionStoppedAt=now())


# -- what others ask of a task
def is_live(task: dict) -> bool:
    """Neither stopped nor asked to."""
    return task["desiredStatus"] == "RUNNING" and task["lastStatus"] not in GOING


def is_healthy(task: dict, definition: dict) -> bool:
    """It runs, and its health checks, if it has any, say so."""
    checked = any((one.get("healthCheck") or {}).get("command") for one in definition["containerDefinitions"])
    return task["lastStatus"] == "RUNNING" and (task["healthStatus"] == "HEALTHY" or not checked)


def is_protected(task: dict) -> bool:
    return (task["local"]["protected_until"] or 0) > time.time()


def protection(task: dict) -> dict:
    """As the API shows it."""
    until = task["local"]["protected_until"]
    shown = {"taskArn": task["taskArn"], "protectionEnabled": is_protected(task)}
    return {**shown, "expirationDate": until} if shown["protectionEnabled"] else shown


def service_arn(task: dict) -> str:
    """Of the service that it belongs to, whose ARN has the account and region of its cluster."""
    prefix = task["clusterArn"].partition(":cluster/")[0]
    return f"{prefix}:service/{tail(task['clusterArn'])}/{task['group'].partition('service:')[2]}"


def component(store: Store, task: dict) -> str:
    """What part of an environment it is: its `component` tag, or its service's or definition's; else its family."""
    service = task["group"].partition("service:")[2]
    cluster = tail(task["clusterArn"])
    for name in (task["taskArn"], arn(f"service/{cluster}/{service}"), task["taskDefinitionArn"]):
        found = store.tags_of(name).get("component")
        if found:
            return found
    return tail(task["taskDefinitionArn"]).partition(":")[0]
