"""What ECS does with the Auto Scaling groups of capacity providers: managed scaling, managed termination protection and
managed draining. docs.aws.amazon.com/AmazonECS/latest/developerguide/cluster-auto-scaling.html

Sets sizes and protection of groups; the fleet launches and ends their instances. Places no task.
"""

from __future__ import annotations

import math
import time

from ministack.services import autoscaling

from localcloud.ecs.hosts import Hosts, needs, needs_host, room_of
from localcloud.ecs.store import Store, tail
from localcloud.fleet import instances, lifecycle
from localcloud.fleet.ec2 import Fleet

DRAINING_HOOK = "ecs-managed-draining-termination-hook"
DRAINING_SECONDS = 172_800  # AWS: tasks have 48 hours
# How long too many hosts are kept: on AWS, 15 minutes in a row.
SCALE_IN_SECONDS = 20.0
LIVE = ("Pending", "InService")


def group_of(provider: dict) -> dict | None:
    wanted = (provider.get("autoScalingGroupProvider") or {}).get("autoScalingGroupArn", "")
    for group in autoscaling._asgs.values():
        if group["AutoScalingGroupARN"] == wanted or group["AutoScalingGroupName"] == tail(wanted):
            return group
    return None


def reservation(needed: int, running: int) -> float:
    """CapacityProviderReservation: how many instances the tasks need, in percent of those there are."""
    if running:
        return 100.0 * needed / running
    return 200.0 if needed else 100.0


def wanted_size(needed: int, live: int, settings: dict) -> int:
    """The number of instances at which the reservation is the target, in steps of the allowed size."""
    target = int(settings.get("targetCapacity") or 100)
    size = math.ceil(needed * 100 / target)
    step = int(settings.get("maximumScalingStepSize") or 10_000)
    least = int(settings.get("minimumScalingStepSize") or 1)
    return min(max(size, live + least), live + step) if size > live else size


def put_hook(provider: dict) -> None:
    """With managed draining, a group's instances wait until their tasks are elsewhere."""
    group = group_of(provider)
    if group is None:
        return
    key = f"{group['AutoScalingGroupName']}/{DRAINING_HOOK}"
    if provider["autoScalingGroupProvider"].get("managedDraining") != "ENABLED":
        autoscaling._hooks.pop(key, None)
        return
    spec = {
        "LifecycleTransition": lifecycle.TERMINATING, "HeartbeatTimeout": DRAINING_SECONDS, "DefaultResult": "CONTINUE"
    }  # fmt: skip
    hook = autoscaling._hook_record(group["AutoScalingGroupName"], DRAINING_HOOK, spec)
    autoscaling._hooks[key] = hook


def drop_hook(provider: dict) -> None:
    group = group_of(provider)
    if group is not None:
        autoscaling._hooks.pop(f"{group['AutoScalingGroupName']}/{DRAINING_HOOK}", None)


class Managed:
    def __init__(self, store: Store, fleet: Fleet, hosts: Hosts) -> None:
        self._store = store
        self._fleet = fleet
        self._hosts = hosts

    def step(self) -> None:
        """Everything of the current account and region."""
        for provider in list(self._store.providers.values()):
            group = group_of(provider)
            if group is not None:
                self._scale(provider, group)
        self._drain()

    # -- scaling and protection
    def _scale(self, provider: dict, group: dict) -> None:
        settings = provider["autoScalingGroupProvider"]
        scaling = settings.get("managedScaling") or {}
        entries = [entry for entry in group["Instances"] if entry["LifecycleState"] in LIVE]
        busy = {host["ec2InstanceId"] for host in self._of(entries) if self._hosts.tasks_on(host)}
        protects = settings.get("managedTerminationProtection") == "ENABLED"
        for entry in entries:
            if protects and entry["InstanceId"] in busy:
                entry["ProtectedFromScaleIn"] = True
        if scaling.get("status") != "ENABLED" or not int(group["MaxSize"]):
            return
        needed = len(busy) + self._bins(provider, group, entries)
        size = wanted_size(needed, len(entries), scaling)
        size = min(max(size, int(group["MinSize"])), int(group["MaxSize"]))
        local = provider.setdefault("local", {})
        local["reservation"] = reservation(needed, len(entries))
        if size >= group["DesiredCapacity"]:
            local.pop("surplus_since", None)
            if size > group["DesiredCapacity"]:
                self._resize(group, size)
        elif time.time() - local.setdefault("surplus_since", time.time()) > SCALE_IN_SECONDS:
            local.pop("surplus_since", None)
            idle = [entry for entry in entries if entry["InstanceId"] not in busy]
            for entry in idle[: len(entries) - size] if protects else []:
                entry["ProtectedFromScaleIn"] = False
            self._resize(group, size)

    def _resize(self, group: dict, size: int) -> None:
        group["DesiredCapacity"] = size
        self._fleet.reconcile(group)

    def _of(self, entries: list[dict]) -> list[dict]:
        names = {entry["InstanceId"] for entry in entries}
        return [host for host in self._store.hosts.values() if host["ec2InstanceId"] in names]

    def _bins(self, provider: dict, group: dict, entries: list[dict]) -> int:
        """How many more instances the tasks without one need: those that would be empty otherwise."""
        kind = instances.plan(group, entries).instance_type
        whole = room_of(kind)
        bins: list[dict[str, int]] = []
        for task in self._store.tasks.values():
            if not needs_host(task) or task.get("capacityProviderName") != provider["name"]:
                continue
            definition = self._store.definitions[tail(task["taskDefinitionArn"])]
            size = needs(definition, task)
            if any(size[key] > whole[key] for key in size):
                continue  # no instance of this type has room for it
            place = next((one for one in bins if all(one[key] >= size[key] for key in size)), None)
            if place is None:
                place = dict(whole)
                bins.append(place)
            for key in size:
                place[key] -= size[key]
        return len(bins)

    # -- draining
    def _drain(self) -> None:
        for host in list(self._store.hosts.values()):
            record = self._fleet.records.get(host["ec2InstanceId"])
            if record is None:
                continue
            waits = DRAINING_HOOK in (record.get("Actions") or {})
            ends = self._fleet.noticed(record["InstanceId"])
            if ends is not None and host["local"]["leaves_on_notice"]:
                host["local"]["noticed"] = waits = True
            if waits and host["status"] == "ACTIVE":
                host["status"] = "DRAINING"
            if ends is not None and time.time() > ends:
                self._fleet.take_away(record["InstanceId"])
            elif DRAINING_HOOK in (record.get("Actions") or {}) and not self._hosts.tasks_on(host):
                lifecycle.complete(record, DRAINING_HOOK, "CONTINUE")
