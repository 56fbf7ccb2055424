"""The local EC2: launches, boots and terminates instances, each a directory with a supervisord, for Auto
Scaling groups.

What group wants how many is ministack's record; this module makes it so. What the APIs tell of an instance is
in instances.py, what a termination waits for in lifecycle.py. Never decides what runs on an instance.
"""

from __future__ import annotations

import copy
import json
import logging
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

from ministack.core.concurrency import spawn_background
from ministack.core.responses import AccountRegionScopedDict, get_region, request_scope
from ministack.services import autoscaling, ec2

from localcloud.base.files import remove_tree, write_atomic
from localcloud.base.paths import State
from localcloud.cfn.registry import truth
from localcloud.fleet import cloudconfig, instances, lifecycle, processes, supervisors
from localcloud.fleet.hostenv import HostEnv

log = logging.getLogger("localcloud.fleet.ec2")
DRAIN_SECONDS = 60.0
NOTICE_SECONDS = 120  # what AWS gives a Spot instance
COMING = ("Pending",)
SERVING = ("InService", "Standby")
LEAVING = ("Terminating", "Terminating:Wait", "Terminating:Proceed")
PROTECTED_SECONDS = 3600.0  # CloudFormation's patience with instances that scale-in may not take
LOOK_SECONDS = 1.0  # how often a waiting instance is asked whether anything still runs on it
# (group name, instance id) -> whether the instance may go into service.
OnLaunch = Callable[[str, str], bool]


class Fleet:
    """All instances of one cloud. Also the state module `localfleet` for the saver."""

    def __init__(self, state: State, env: HostEnv, changed: Callable[[], None]) -> None:
        self._state = state
        self._env = env
        self._changed = changed
        self._lock = threading.RLock()
        self._closed = False
        self.records = AccountRegionScopedDict()
        self.on_launch: OnLaunch = lambda group, instance_id: True
        # Whether anything runs on an instance that is no process of its supervisord: tasks of ECS.
        self.occupied: Callable[[str], bool] = lambda instance_id: False

    # -- what ministack's persistence calls
    def get_state(self) -> dict:
        return {"instances": copy.deepcopy(self.records)}

    def load_persisted_state(self, data: dict) -> None:
        self.records.update(data.get("instances", {}))

    def reset(self) -> None:
        for (account, region, _), record in self.records.all_items():
            with request_scope(account, region):
                self._end(record, 1.0)

    def all_records(self) -> dict[str, dict]:
        """The records of every account and region, by instance id."""
        return {instance_id: record for (_, _, instance_id), record in self.records.all_items()}

    # -- what groups ask for
    def reconcile(self, group: dict) -> None:
        """Start launching or terminating until the group has its desired capacity. Does not wait."""
        with self._lock:
            if self._closed:
                return
            live = _live(group)
            surplus = len(live) - group["DesiredCapacity"]
            for entry in self._to_terminate(group, live)[: max(surplus, 0)]:
                self._begin_termination(group, entry)
            for _ in range(-surplus):
                self._begin_launch(group)
        self._changed()

    def _to_terminate(self, group: dict, live: list[dict]) -> list[dict]:
        """AWS's default policy as far as it applies here: outdated launch template first, then the oldest."""
        current = self._template_version(group)

        def age(entry: dict) -> tuple:
            record = self.records.get(entry["InstanceId"]) or {}
            return (record.get("TemplateVersion") == current, record.get("Launched", 0))

        kept = [e for e in live if truth(e.get("ProtectedFromScaleIn")) or processes.keeps(group, e)]
        return sorted((e for e in live if e not in kept), key=age)

    # -- what groups leave be
    def suspend(self, group_name: str, names: list[str]) -> list[str]:
        """Suspend processes; answers those that were not suspended before."""
        group = autoscaling._asgs.get(group_name)
        if group is None or not names:
            return []
        with self._lock:
            new = [name for name in names if name not in processes.suspended(group)]
            processes.suspend(group, names)
        self._changed()
        return new

    def resume(self, group_name: str, names: list[str]) -> None:
        """Resume processes, and do what waited for them."""
        group = autoscaling._asgs.get(group_name)
        if group is None or not names:
            return
        with self._lock:
            processes.resume(group, names)
        self.reconcile(group)

    def terminate(self, group: dict, instance_id: str) -> bool:
        with self._lock:
            for entry in group["Instances"]:
                if entry["InstanceId"] == instance_id and entry["LifecycleState"] not in LEAVING:
                    self._begin_termination(group, entry)
                    return True
        return False

    def stand_by(self, group: dict, instance_id: str) -> None:
        """Take an instance out of service; it goes on, and is no target of a load balancer or of CodeDeploy."""
        self._put(group, instance_id, "Standby")
        instances.sync_targets(group)

    def terminate_group(self, group: dict) -> None:
        """Let every instance of the group go, as CloudFormation does before it deletes a group.

        Nothing is forced: an instance that is protected from scale-in stays until somebody takes its protection
        away, and hooks are waited for.
        """
        group.update(MinSize=0, MaxSize=0, DesiredCapacity=0)
        self.reconcile(group)
        self.wait_without(group, (*COMING, *SERVING), PROTECTED_SECONDS)
        self.wait_without(group, LEAVING)

    def replace_outdated(self, group: dict) -> None:
        """A rolling update: one instance of another launch template version after the other."""
        current = self._template_version(group)
        for entry in list(group["Instances"]):
            record = self.records.get(entry["InstanceId"]) or {}
            if record.get("TemplateVersion") != current:
                self.terminate(group, entry["InstanceId"])
                self.wait_without(group, LEAVING)
                self.reconcile(group)
                self.wait_without(group, COMING)

    def wait_without(self, group: dict, states: tuple[str, ...], seconds: float = math.inf) -> None:
        """Wait until no instance of the group is in one of the states; most of them end in some time."""
        begun = time.monotonic()
        while any(i["LifecycleState"] in states for i in list(group["Instances"])):
            if time.monotonic() - begun > seconds:
                raise ValueError(
                    f"Group did not stabilize. {{current/minSize/maxSize}} group size = "
                    f"{{{len(group['Instances'])}/{group['MinSize']}/{group['MaxSize']}}}."
                )
            while self._closed:
                # The cloud is being stopped: the operation that waits here is cut short, not failed, since a
                # failure would roll back, and delete, what `stop` is to keep.
                time.sleep(1)
            time.sleep(0.02)

    # -- launching
    def _begin_launch(self, group: dict) -> None:
        launch = instances.plan(group, _live(group))
        instance_id = instances.record(group, launch)
        entry = {
            "InstanceId": instance_id,
            "InstanceType": launch.instance_type,
            "LifecycleState": "Pending",
            "HealthStatus": "Healthy",
            "AvailabilityZone": launch.zone,
            "SubnetId": launch.subnet,
            "Market": launch.market,
            "ProtectedFromScaleIn": truth(group.get("NewInstancesProtectedFromScaleIn")),
            "LaunchTemplate": instances.template_spec(group),
            "LaunchConfigurationName": group.get("LaunchConfigurationName", ""),
        }
        self.records[instance_id] = {
            "InstanceId": instance_id,
            "AutoScalingGroupName": group["AutoScalingGroupName"],
            "AvailabilityZone": launch.zone,
            "InstanceType": launch.instance_type,
            "Market": launch.market,
            "Launched": time.time(),
            "State": "Pending",
            "TemplateVersion": self._template_version(group),
            "UserData": self._user_data(group),
        }
        group["Instances"].append(entry)
        spawn_background(self._launch, group["AutoScalingGroupName"], instance_id, thread_name="launch")

    def _launch(self, group_name: str, instance_id: str) -> None:
        record = self.records.get(instance_id)
        if record is None:
            return
        try:
            root = self._state.instance_root(instance_id)
            root.mkdir(parents=True, exist_ok=True)
            cloudconfig.apply(cloudconfig.parse(cloudconfig.decode(record["UserData"])), root)
            self._boot(instance_id)
            good = self.on_launch(group_name, instance_id)
        except Exception:
            log.exception("instance %s of %s could not be launched", instance_id, group_name)
            good = False
        group = autoscaling._asgs.get(group_name)
        entry = next((i for i in (group or {}).get("Instances", []) if i["InstanceId"] == instance_id), None)
        if entry is None or entry["LifecycleState"] != "Pending":
            return
        if good:
            record["State"] = entry["LifecycleState"] = "InService"
            instances.sync_targets(group)
        elif not self._closed:
            # The launch hook's default result is ABANDON; the group is made whole by its next change or boot.
            log.warning("instance %s of %s is abandoned", instance_id, group_name)
            self.terminate(group, instance_id)
        self._changed()

    def _boot(self, instance_id: str) -> bool:
        root = self._state.instance_root(instance_id)
        return supervisors.boot(self._state, instance_id, self._env.of(root, get_region()))

    def environment(self, instance_id: str) -> dict[str, str]:
        """The environment of everything on the instance."""
        return self._env.of(self._state.instance_root(instance_id), get_region())

    def _template_version(self, group: dict) -> str:
        version = instances.version_of(instances.template_spec(group))
        return f"{version['LaunchTemplateId']}:{version['VersionNumber']}" if version else ""

    def _user_data(self, group: dict) -> str:
        version = instances.version_of(instances.template_spec(group))
        if version:
            return str((version.get("LaunchTemplateData") or {}).get("UserData") or "")
        configuration = autoscaling._launch_configs.get(group.get("LaunchConfigurationName", "")) or {}
        return str(configuration.get("UserData") or "")

    # -- terminating
    def _begin_termination(self, group: dict, entry: dict) -> None:
        record = self.records.get(entry["InstanceId"])
        # An instance that has not been in service has nothing to finish.
        waits = record is not None and entry["LifecycleState"] in SERVING and lifecycle.begin(record)
        self._put(group, entry["InstanceId"], "Terminating:Wait" if waits else "Terminating")
        instances.sync_targets(group)
        spawn_background(self._finish_termination, group["AutoScalingGroupName"], entry["InstanceId"],
                         thread_name="terminate")  # fmt: skip

    def _put(self, group: dict | None, instance_id: str, state: str) -> None:
        for entry in (group or {}).get("Instances", []):
            if entry["InstanceId"] == instance_id:
                entry["LifecycleState"] = state
        if instance_id in self.records:
            self.records[instance_id]["State"] = state
        self._changed()

    def _finish_termination(self, group_name: str, instance_id: str) -> None:
        record = self.records.get(instance_id)
        if record is not None:
            if record["State"] == "Terminating:Wait":
                if not self._waited(record):
                    return
                self._put(autoscaling._asgs.get(group_name), instance_id, "Terminating:Proceed")
            self._end(record, DRAIN_SECONDS)
        group = autoscaling._asgs.get(group_name)
        if group is not None:
            group["Instances"][:] = [i for i in group["Instances"] if i["InstanceId"] != instance_id]
        self._changed()

    def _waited(self, record: dict) -> bool:
        """Wait for the termination's hooks; False when the cloud is stopped meanwhile, which is to change nothing.

        An instance on which nothing runs any more has nobody who could complete them.
        """
        looked = 0.0
        while lifecycle.waits(record):
            if time.monotonic() - looked > LOOK_SECONDS:
                if not self._closed and not self._is_busy(record["InstanceId"]):
                    return not self._closed
                looked = time.monotonic()
            if self._closed:
                return False
            time.sleep(0.1)
        return not self._closed

    def _is_busy(self, instance_id: str) -> bool:
        return self.occupied(instance_id) or supervisors.busy(self._state, instance_id)

    def _notice(self, instance_id: str) -> Path:
        return self._state.instance_root(instance_id) / "run" / "spot-instance-action"

    def notice(self, instance_id: str) -> bool:
        """Tell a Spot instance that it is taken away; False if there is none of this name."""
        record = self.all_records().get(instance_id)
        if record is None or record["Market"] != instances.SPOT or record["State"] != "InService":
            return False
        ends = datetime.now(timezone.utc) + timedelta(seconds=NOTICE_SECONDS)
        told = {"action": "terminate", "time": ends.strftime("%Y-%m-%dT%H:%M:%SZ")}
        write_atomic(self._notice(instance_id), json.dumps(told))
        return True

    def noticed(self, instance_id: str) -> float | None:
        """When a Spot instance is taken away, if it has been told so."""
        try:
            told = json.loads(self._notice(instance_id).read_text())
        except (OSError, ValueError):
            return None
        return datetime.fromisoformat(told["time"].replace("Z", "+00:00")).timestamp()

    def take_away(self, instance_id: str) -> None:
        """End a Spot instance, which waits for no hook."""
        record = self.records[instance_id]
        group = autoscaling._asgs.get(record["AutoScalingGroupName"])
        if group is not None and self.terminate(group, instance_id):
            self.reconcile(group)
        record["Actions"] = {}

    def _end(self, record: dict, drain_seconds: float) -> None:
        instance_id = record["InstanceId"]
        supervisors.end(self._state, instance_id, drain_seconds)
        remove_tree(self._state.instance_root(instance_id))
        instances.forget(instance_id)
        self.records.pop(instance_id, None)

    # -- the life of the cloud
    def boot_all(self) -> None:
        """After a restart: boot what does not run, and finish launches and terminations that were cut
        short.
        """
        self._remove_strays()
        for account, region in {(account, region) for (account, region, _), _ in ec2._instances.all_items()}:
            with request_scope(account, region):
                instances.forget_strays(set(self.records))
        items = self.records.all_items()
        if items:
            with ThreadPoolExecutor(min(8, len(items))) as pool:
                list(pool.map(self._boot_again, items))
        for (account, region, _), group in autoscaling._asgs.all_items():
            with request_scope(account, region):
                known = [i for i in group["Instances"] if i["InstanceId"] in self.records]
                group["Instances"][:] = known
                self.reconcile(group)

    def _remove_strays(self) -> None:
        """Directories that a crash left without a record, unless something was deployed to them."""
        known = {instance_id for (_, _, instance_id), _ in self.records.all_items()}
        for root in self._state.instances.iterdir():
            if root.name not in known and not (root / "opt").exists():
                log.warning("removing the unfinished instance %s", root.name)
                supervisors.end(self._state, root.name, 1.0)
                remove_tree(root)

    def _boot_again(self, item: tuple) -> None:
        (account, region, instance_id), record = item
        with request_scope(account, region):
            group = autoscaling._asgs.get(record["AutoScalingGroupName"])
            member = group and any(i["InstanceId"] == instance_id for i in group["Instances"])
            try:
                if record["State"] == "Terminating:Wait":
                    spawn_background(self._finish_termination, record["AutoScalingGroupName"], instance_id,
                                     thread_name="terminate")  # fmt: skip
                elif record["State"] in LEAVING or not member:
                    self._finish_termination(record["AutoScalingGroupName"], instance_id)
                elif record["State"] == "Pending":
                    spawn_background(
                        self._launch, record["AutoScalingGroupName"], instance_id, thread_name="launch"
                    )
                elif self._boot(instance_id):
                    log.info("booted instance %s again", instance_id)
            except Exception:
                log.exception("instance %s could not be booted", instance_id)

    def close(self) -> None:
        """Launch nothing more."""
        self._closed = True


def _live(group: dict) -> list[dict]:
    return [i for i in group["Instances"] if i["LifecycleState"] in ("Pending", "InService")]
