"""Runs deployments: which instances when, what each event's outcome means, and what follows a failure.

Every deployment has a thread, every instance of a batch another; requests only read records under the store's
lock.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from pathlib import Path

from ministack.core.concurrency import spawn_background
from ministack.core.responses import get_account_id, get_region, request_scope

from localcloud.base import procs
from localcloud.base.paths import State
from localcloud.codedeploy import bundle, outcomes, selection, service
from localcloud.codedeploy.agent import COMMANDS, Agent, Work, asks_with_role
from localcloud.codedeploy.bundle import BundleError
from localcloud.codedeploy.health import Gate
from localcloud.codedeploy.holding import release, scaling_held, timed
from localcloud.codedeploy.hooks import Running
from localcloud.codedeploy.outcomes import INTERRUPTED, NO_INSTANCES, Outcome
from localcloud.codedeploy.records import (
    NO_ROLLBACK,
    brief,
    bundle_env,
    diagnostics,
    new_info,
    new_target,
    overview,
)
from localcloud.codedeploy.store import ACTIVE, Store, revision_key
from localcloud.fleet.ec2 import Fleet
from localcloud.iam.recording import Calls

log = logging.getLogger("localcloud.codedeploy")


class Engine:
    def __init__(
        self,
        state: State,
        store: Store,
        fleet: Fleet,
        endpoint: str,
        changed: Callable[[], None],
        calls: Calls,
        hours: float,
    ) -> None:
        """A deployment has so many `hours`."""
        self._state = state
        self._store = store
        self._fleet = fleet
        self._endpoint = endpoint
        self._changed = changed
        self._calls = calls
        self._hours = hours
        self._scripts = Running()
        self._stops: dict[str, threading.Event] = {}

    # -- creating
    def start(self, application: str, group: dict, revision: dict, creator: str, **options: object) -> str:
        """Make the record and run it in the background; answers the deployment's id."""
        deployment_id = self._make(application, group, revision, creator, options)
        spawn_background(self._run, deployment_id, thread_name=f"deployment-{deployment_id}")
        return deployment_id

    def _make(self, application: str, group: dict, revision: dict, creator: str, options: dict) -> str:
        with self._store.lock:
            deployment_id = self._store.new_deployment_id()
            info = new_info(deployment_id, application, group, revision, creator, options)
            self._store.deployments[deployment_id] = {
                "info": info,
                "targets": {},
                "only": options.get("only") or [],
            }
            self._store.register_revision(application, revision)
            self._store.forget_old_deployments()
            group["lastAttemptedDeployment"] = brief(info)
            self._stops[deployment_id] = threading.Event()
        self._changed()
        return deployment_id

    # -- running
    def _run(self, deployment_id: str) -> None:
        record = self._store.deployments[deployment_id]
        info = record["info"]
        group = self._store.groups.get((info["applicationName"], info["deploymentGroupName"]))
        try:
            if group is None:
                gone = Outcome("Failed", "DEPLOYMENT_GROUP_MISSING", "The deployment group is gone.")
                self._finish(record, None, gone)
                return
            for action, resource, tags in service.asked(group):
                self._calls.note_role(group["serviceRoleArn"].rpartition("/")[2], action, resource, tags)
            stop = self._stops[deployment_id]
            with scaling_held(self._fleet, group, record), timed(record, stop, self._hours):
                outcome = self._roll_out(record, group)
            self._finish(record, group, outcome)
        except Exception as error:
            log.exception("deployment %s", deployment_id)
            self._finish(record, group, Outcome("Failed", "INTERNAL_ERROR", str(error)))
        finally:
            self._stops.pop(deployment_id, None)

    def _roll_out(self, record: dict, group: dict) -> Outcome:
        info = record["info"]
        with self._store.lock:
            info["status"] = "InProgress"
            info["startTime"] = time.time()
        try:
            fetched = self._fetch(info)
        except BundleError as error:
            return Outcome("Failed", "REVISION_MISSING", str(error))
        targets = selection.targets(record, group)
        if not targets:
            return Outcome("Failed", "NO_INSTANCES", NO_INSTANCES)
        with self._store.lock:
            for target in targets:
                record["targets"][target.name] = new_target(info, group, target.name)
            info["deploymentOverview"] = overview(record["targets"].values())
        self._changed()
        gate = Gate(self._store.policy(info["deploymentConfigName"]), targets)
        stop = self._stops[info["deploymentId"]]
        if not self._drive(record, group, gate, fetched, stop):
            return outcomes.of(gate)
        if record.get("out_of_time"):
            return outcomes.out_of_time(self._hours)
        return outcomes.stopped(interrupted=self._scripts.closed)

    def _drive(
        self, record: dict, group: dict, gate: Gate, fetched: bundle.Fetched, stop: threading.Event
    ) -> bool:
        """Keep as many instances busy as the gate allows; True when stopped."""
        running: dict[Future, str] = {}
        with ThreadPoolExecutor(max_workers=max(gate.total, 1), thread_name_prefix="agent") as pool:
            while True:
                if not stop.is_set():
                    for name in gate.next():
                        running[
                            pool.submit(
                                copy_context().run, self._instance, record, group, name, fetched, stop
                            )
                        ] = name
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    name = running.pop(future)
                    try:
                        success = future.result()
                    except Exception:
                        log.exception("deployment %s on %s", record["info"]["deploymentId"], name)
                        success = False
                        self._end_target(record, name, "Failed")
                    gate.done(name, success)
        for name in gate.waiting:
            self._end_target(record, name, "Skipped")
        return stop.is_set() and (bool(gate.waiting) or gate.failed > 0)

    def _instance(
        self, record: dict, group: dict, name: str, fetched: bundle.Fetched, stop: threading.Event
    ) -> bool:
        """All lifecycle events of one instance."""
        info, target = record["info"], record["targets"][name]
        root = self._state.instance_root(name)
        self._note_agent(name, root, info["revision"]["s3Location"])
        agent = Agent(root, self._work(info, group, name, fetched), self._scripts)
        self._update(record, target, status="InProgress")
        for event in target["lifecycleEvents"]:
            if stop.is_set():
                self._end_target(record, name, "Failed")
                return self._health(group, name, info, False)
            with self._store.lock:
                event.update(status="InProgress", startTime=time.time())
                target["lastUpdatedAt"] = time.time()
            result = agent.run(event["lifecycleEventName"])
            with self._store.lock:
                event.update(status=result.status, endTime=time.time(), diagnostics=diagnostics(result))
            self._changed()
            tolerated = (
                event["lifecycleEventName"] == "ApplicationStop" and info["ignoreApplicationStopFailures"]
            )
            if result.status == "Failed" and not tolerated:
                log.warning(
                    "%s: %s on %s failed: %s",
                    info["deploymentId"],
                    event["lifecycleEventName"],
                    name,
                    result.message,
                )
                self._end_target(record, name, "Failed")
                return self._health(group, name, info, False)
        self._end_target(record, name, "Succeeded")
        return self._health(group, name, info, True)

    def _health(self, group: dict, name: str, info: dict, success: bool) -> bool:
        """Remember how the instance fared; a failed attempt leaves the revision it had."""
        with self._store.lock:
            health = group.setdefault("_instances", {}).setdefault(name, {"revision": ""})
            health["healthy"] = success
            if success:
                health["revision"] = revision_key(info["revision"])
        return success

    # -- what a deployment is made of
    def _fetch(self, info: dict) -> bundle.Fetched:
        return bundle.fetch(self._endpoint, get_account_id(), get_region(), info["revision"]["s3Location"])

    def _note_agent(self, name: str, root: Path, location: dict) -> None:
        """What an instance's agent asks of AWS with its own role; here the revision is fetched once for all."""
        for action in COMMANDS if asks_with_role(root) else ():
            self._calls.note(name, action, "*")
        arn = f"arn:aws:s3:::{location['bucket']}/{location['key']}"
        self._calls.note(name, "s3:GetObjectVersion" if location.get("version") else "s3:GetObject", arn)

    def _work(self, info: dict, group: dict, name: str, fetched: bundle.Fetched) -> Work:
        location = info["revision"]["s3Location"]
        return Work(
            deployment_id=info["deploymentId"],
            application=info["applicationName"],
            group=info["deploymentGroupName"],
            group_id=group["deploymentGroupId"],
            bundle_type=location["bundleType"],
            file_exists_behavior=info["fileExistsBehavior"],
            env=self._fleet.environment(name),
            fetch=lambda: fetched,
            bundle_env=bundle_env(location),
        )

    # -- records
    def _update(self, record: dict, target: dict, **fields: object) -> None:
        with self._store.lock:
            target.update(fields, lastUpdatedAt=time.time())
            record["info"]["deploymentOverview"] = overview(record["targets"].values())
        self._changed()

    def _end_target(self, record: dict, name: str, status: str) -> None:
        target = record["targets"][name]
        with self._store.lock:
            for event in target["lifecycleEvents"]:
                if event["status"] in ("Pending", "InProgress"):
                    event["status"] = "Skipped" if event["status"] == "Pending" else "Failed"
        self._update(record, target, status=status)

    def _finish(self, record: dict, group: dict | None, outcome: Outcome) -> None:
        info, status = record["info"], outcome.status
        with self._store.lock:
            info["completeTime"] = time.time()
            info["deploymentOverview"] = overview(record["targets"].values())
            if outcome.code:
                info["errorInformation"] = {"code": outcome.code, "message": outcome.message}
            if group is not None and status == "Succeeded":
                group["lastSuccessfulDeployment"] = {**brief(info), "status": status}
                group["targetRevision"] = info["revision"]
                entry = self._store.register_revision(info["applicationName"], info["revision"])["info"]
                entry["lastUsedTime"] = time.time()
                entry.setdefault("firstUsedTime", time.time())
                if group["deploymentGroupName"] not in entry["deploymentGroups"]:
                    entry["deploymentGroups"].append(group["deploymentGroupName"])
            if group is not None:
                group["lastAttemptedDeployment"] = {**brief(info), "status": status}
            # The rollback is named before the status says that this deployment has ended.
            rollback = self._next(record, group, status) if group is not None else None
            info["status"] = status
        self._changed()
        if rollback is not None:
            rollback()

    def _next(self, record: dict, group: dict, status: str) -> Callable[[], object] | None:
        """What follows: the rollback of a failure, or the update of instances launched meanwhile."""
        info = record["info"]
        if self._scripts.closed or info["creator"] in (
            "autoscaling",
            "codeDeployRollback",
            "CodeDeployAutoUpdate",
        ):
            return None
        if status == "Succeeded":
            late = selection.late(record, group)
            update = group.get("outdatedInstancesStrategy", "UPDATE") == "UPDATE" and not info.get(
                "targetInstances"
            )
            if late and update:
                return lambda: self.start(
                    info["applicationName"], group, info["revision"], "CodeDeployAutoUpdate", only=late
                )
            return None
        rollback = info["autoRollbackConfiguration"]
        event = "DEPLOYMENT_STOP_ON_REQUEST" if status == "Stopped" else "DEPLOYMENT_FAILURE"
        asked = bool(record.get("rollback_on_stop")) if status == "Stopped" else False
        if not asked and not (rollback.get("enabled") and event in rollback.get("events", [])):
            return None
        previous = group.get("targetRevision")
        if not previous:
            info["rollbackInfo"] = {
                "rollbackMessage": "There is no last known good revision to roll back to."
            }
            return None
        rollback_id = self._make(
            info["applicationName"], group, previous, "codeDeployRollback",
            {
                "config": info["deploymentConfigName"],
                "description": f"Rollback of {info['deploymentId']}",
                "file_exists_behavior": info["fileExistsBehavior"],
                "ignore_stop_failures": info["ignoreApplicationStopFailures"],
                "rollback_info": {"rollbackTriggeringDeploymentId": info["deploymentId"]},
                "auto_rollback": NO_ROLLBACK,
            },
        )  # fmt: skip
        info["rollbackInfo"] = {
            "rollbackDeploymentId": rollback_id,
            "rollbackMessage": "Rolled back automatically.",
        }
        return lambda: spawn_background(self._run, rollback_id, thread_name=f"deployment-{rollback_id}")

    # -- stopping
    def stop(self, deployment_id: str, rollback: bool) -> None:
        """Let the event that runs end and start no other."""
        record = self._store.deployments[deployment_id]
        with self._store.lock:
            record["rollback_on_stop"] = rollback
        event = self._stops.get(deployment_id)
        if event is not None:
            event.set()

    def close(self) -> None:
        """End every script and start none; the deployments end as stopped."""
        for event in list(self._stops.values()):
            event.set()
        self._scripts.close()

    # -- instances that come
    def on_launch(self, asg_name: str, instance_id: str) -> bool:
        """Give a new instance its groups' last successful revisions; False when one of them failed."""
        good = True
        for (application, _), group in self._store.groups.items():
            if not any(entry["name"] == asg_name for entry in group.get("autoScalingGroups", [])):
                continue
            if not group.get("targetRevision"):
                continue
            deployment_id = self._make(
                application, group, group["targetRevision"], "autoscaling",
                {"only": [instance_id], "config": "CodeDeployDefault.AllAtOnce",
                 "auto_rollback": NO_ROLLBACK},
            )  # fmt: skip
            self._run(deployment_id)
            good = good and self._store.deployments[deployment_id]["info"]["status"] == "Succeeded"
        return good

    # -- after a restart
    def end_interrupted(self) -> None:
        """A deployment that ran when the cloud died has failed, its scripts are ended; the next can be
        created.
        """
        interrupted = set()
        for (account, region, deployment_id), record in self._store.deployments.all_items():
            info = record["info"]
            if info["status"] not in ACTIVE:
                continue
            interrupted.add(deployment_id)
            with request_scope(account, region):
                group = self._store.groups.get((info["applicationName"], info["deploymentGroupName"]))
                release(self._fleet, record)
                for name, target in record["targets"].items():
                    if target["status"] in ("InProgress", "Pending"):
                        if target["status"] == "InProgress" and group is not None:
                            self._health(group, name, info, False)
                        self._end_target(
                            record, name, "Failed" if target["status"] == "InProgress" else "Skipped"
                        )
                info.update(
                    status="Failed",
                    completeTime=time.time(),
                    errorInformation={"code": "AGENT_ISSUE", "message": INTERRUPTED},
                )
                if group is not None:
                    group["lastAttemptedDeployment"] = brief(info)
        if interrupted:
            log.warning("deployments cut short by the end of the cloud: %s", ", ".join(sorted(interrupted)))
            procs.end(procs.tagged(lambda env: env.get("DEPLOYMENT_ID") in interrupted), 3.0)
