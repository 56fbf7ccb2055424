"""The service scheduler: starts and stops tasks until each service has what it wants, and judges deployments.

One thread, woken by changes. How tasks live is the runner's, what deployments are is in rollouts.py.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from ministack.core.responses import request_scope

from localcloud.ecs import breaker, managed_instances, rollouts, tasks
from localcloud.ecs.errors import StartError
from localcloud.ecs.hosts import Hosts, NoRoom, is_on_hosts, needs_host, waits_for_room
from localcloud.ecs.managed import Managed
from localcloud.ecs.names import Names
from localcloud.ecs.runner import Runner
from localcloud.ecs.store import Store, add_event, now, tail
from localcloud.ecs.tasks import Addresses
from localcloud.ecs.traffic import Traffic

log = logging.getLogger("localcloud.ecs")
LOOK_SECONDS = 0.25
SETTLE_SECONDS = 1.0  # how long a task without health checks has to run to be called healthy
LASTED_SECONDS = 60.0  # a task that ran longer is started again at once
NO_ROOM_SECONDS = 2.0  # until a task that found no host is tried again
# Why a task stopped that did not fail: neither the breaker nor the wait for the next task counts it.
NO_FAILURE = ("ServiceSchedulerInitiated", "UserInitiated", "SpotInterruption", "TerminationNotice")
UNHEALTHY = "Task failed container health checks"


class Scheduler:
    def __init__(
        self,
        store: Store,
        runner: Runner,
        addresses: Addresses,
        traffic: Traffic,
        changed: Callable[[], None],
        hosts: Hosts,
        managed: Managed,
    ) -> None:
        self._store = store
        self._runner = runner
        self._addresses = addresses
        self._traffic = traffic
        self._names = Names(addresses.of_names)
        self._changed = changed
        self.hosts = hosts
        self._managed = managed
        self._wake = threading.Event()
        self._closed = False
        runner.on_change = lambda task: self.wake()

    def start(self) -> None:
        threading.Thread(target=self._run, name="ecs", daemon=True).start()

    def wake(self) -> None:
        """Something has changed."""
        self._changed()
        self._wake.set()

    @property
    def is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Start and stop nothing more."""
        self._closed = True
        self._runner.close()

    def _run(self) -> None:
        while not self._closed:
            self._wake.wait(LOOK_SECONDS)
            self._wake.clear()
            self._step_hosts()
            for (account, region, _), service in list(self._store.services.all_items()):
                try:
                    with request_scope(account, region), self._store.lock:
                        if not self._closed and service["status"] != "INACTIVE":
                            self._step(service)
                except Exception:
                    log.exception("service %s", service["serviceName"])
            try:
                self._traffic.forward(self._store)
            except Exception:
                log.exception("ports of services")

    # -- tasks
    def launch(self, cluster: dict, definition: dict, where: dict, **options: object) -> dict:
        """Make a task and start its life."""
        self._store.forget_old()
        task = tasks.make(self._store, self._addresses, cluster, definition, where, **options)
        if not needs_host(task):
            self._runner.start(task)
        self.wake()
        return task

    def stop(self, task: dict, reason: str, code: str) -> None:
        tasks.ask_to_stop(task, reason, code)
        if needs_host(task):
            tasks.never_started(task)
        self._runner.wake(task)
        self.wake()

    # -- hosts
    def _step_hosts(self) -> None:
        for account, region in self.hosts.scopes():
            try:
                with request_scope(account, region), self._store.lock:
                    if not self._closed:
                        self._look_at_hosts()
            except Exception:
                log.exception("container instances")

    def _look_at_hosts(self) -> None:
        for host in self.hosts.sync():
            for task in self.hosts.tasks_on(host):
                self.stop(
                    task, f"Host EC2 (instance {host['ec2InstanceId']}) terminated.", "TerminationNotice"
                )
        waiting = [task for task in self._store.tasks.values() if needs_host(task)]
        for task in sorted(waiting, key=lambda one: one["createdAt"]):
            self._place(task)
        self._managed.step()
        managed_instances.end_idle(self._store, self.hosts)

    def _place(self, task: dict) -> None:
        service = self._store.services.get(tasks.service_arn(task)) or {}
        cluster = self._store.cluster(task["clusterArn"])
        try:
            host = self.hosts.find(
                cluster, self._definition(task), task, service.get("placementStrategy") or []
            )
        except NoRoom as reason:
            host = self._new_host(task)
            if host is None:
                if service and needs_host(task):
                    _tell_once(service, str(reason))
                return
        self.hosts.place(task, host)
        self._runner.start(task)
        self._changed()

    def _new_host(self, task: dict) -> dict | None:
        """A managed instance for a task; one that ECS may not start is the task's end."""
        if not managed_instances.is_one(self._store, task.get("capacityProviderName", "")):
            return None
        try:
            return managed_instances.start(self._store, task, self._definition(task))
        except StartError as error:
            self.stop(task, str(error), "TaskFailedToStart")
            return None

    def check_room(self, cluster: dict, definition: dict, where: dict, request: dict) -> None:
        """Raises NoRoom for a task that would not wait until there is a host for it."""
        if is_on_hosts(where) and not waits_for_room(self._store, where):
            self.hosts.find(cluster, definition, {**where, **request}, request.get("placementStrategy") or [])

    # -- a service
    def _step(self, service: dict) -> None:
        self._names.give(self._store, service)
        mine = self._store.tasks_of(service)
        self._count_ends(service, mine)
        live = [task for task in mine if tasks.is_live(task)]
        if service["status"] == "DRAINING":
            self._drain(service, mine, live)
        else:
            self._stop_unhealthy(service, live)
            self._roll(service, [task for task in live if tasks.is_live(task)])
        self._traffic.sync(service, [task for task in live if self._healthy(task)])

    def _healthy(self, task: dict) -> bool:
        """A task without health checks could be about to end, so it has to run for a moment."""
        if not tasks.is_live(task) or not tasks.is_healthy(task, self._definition(task)):
            return False
        return task["healthStatus"] == "HEALTHY" or time.time() - task["startedAt"] > SETTLE_SECONDS

    def _definition(self, task: dict) -> dict:
        return self._store.definitions[tail(task["taskDefinitionArn"])]

    def _drain(self, service: dict, mine: list[dict], live: list[dict]) -> None:
        for task in live:
            self.stop(task, "Service was deleted", "ServiceSchedulerInitiated")
        if all(task["lastStatus"] == "STOPPED" for task in mine):
            service["status"] = "INACTIVE"
            self._changed()

    def _count_ends(self, service: dict, mine: list[dict]) -> None:
        """Tasks that ended by themselves have failed; the next is started the later, the more did in a row."""
        for task in mine:
            local = task["local"]
            if task["desiredStatus"] == "RUNNING" or local.get("counted"):
                continue
            local["counted"] = True
            wanted = task["stopCode"] in NO_FAILURE
            if local.get("lost") or (wanted and not local.get("unhealthy")):
                continue
            lasted = now() - task.get("startedAt", now())
            failures = 1 if lasted > LASTED_SECONDS else service["local"]["failures"] + 1
            service["local"].update(failures=failures, next=time.time() + breaker.wait(failures))
            add_event(service, f"(task {local['id']}) stopped by itself: {task['stoppedReason']}")
            self._count_failure(service, task)

    def _count_failure(self, service: dict, task: dict) -> None:
        made = rollouts.primary(service)
        if made["id"] != task["local"]["deployment"] or made["rolloutState"] != "IN_PROGRESS":
            return
        made["failedTasks"] += 1
        goes_on = rollouts.current(self._store, service)
        if goes_on is not None:
            goes_on["local"]["failures"] = made["failedTasks"]
        wanted = breaker.settings(service)
        if wanted.get("enable") and made["failedTasks"] >= breaker.threshold(wanted, service["desiredCount"]):
            rollouts.fail(self._store, service)

    def _stop_unhealthy(self, service: dict, live: list[dict]) -> None:
        grace = service.get("healthCheckGracePeriodSeconds") or 0
        for task in live:
            if task["healthStatus"] == "UNHEALTHY" and time.time() - task.get("startedAt", now()) >= grace:
                task["local"]["unhealthy"] = True
                add_event(service, f"(task {task['local']['id']}) failed container health checks.")
                self.stop(task, UNHEALTHY, "ServiceSchedulerInitiated")

    def _roll(self, service: dict, live: list[dict]) -> None:
        made = rollouts.primary(service)
        # What runs on a host that drains is replaced as tasks of an earlier deployment are.
        new = [t for t in live if t["local"]["deployment"] == made["id"] and not self.hosts.is_draining(t)]
        old = [task for task in live if task not in new]
        self._forgive(service, made, new)
        if made["rolloutState"] == "FAILED":
            return  # neither started nor stopped any more: on AWS it is stalled, too
        desired = service["desiredCount"]
        least, most = breaker.bounds(service["deploymentConfiguration"], desired)
        self._scale_in(service, made, new, len(new) - desired)
        self._retire(service, made, old, sum(map(self._healthy, live)) - least)
        self._scale_out(service, made, new, min(desired - len(new), most - len(live)))
        self._complete(service, made, new, old)

    def _forgive(self, service: dict, made: dict, new: list[dict]) -> None:
        """A task that gets healthy takes the failures before it off the count, unless that is not wanted."""
        for task in new:
            if task["healthStatus"] == "HEALTHY" and not task["local"].get("greeted"):
                task["local"]["greeted"] = True
                service["local"]["failures"] = 0
                if breaker.settings(service).get("resetOnHealthyTask", True):
                    made["failedTasks"] = 0

    def _scale_in(self, service: dict, made: dict, new: list[dict], surplus: int) -> None:
        if surplus <= 0:
            return
        free = sorted(
            (t for t in new if not tasks.is_protected(t)), key=lambda t: (self._healthy(t), t["createdAt"])
        )
        self._stop_some(service, made, free[:surplus])

    def _retire(self, service: dict, made: dict, old: list[dict], spare: int) -> None:
        """Tasks of earlier deployments, as many as may go; protected ones stay until they end or expire."""
        going = []
        for task in sorted(old, key=lambda one: (self._healthy(one), one["createdAt"])):
            if tasks.is_protected(task):
                continue
            if self._healthy(task):
                if spare <= 0:
                    continue
                spare -= 1
            going.append(task)
        self._stop_some(service, made, going)

    def _stop_some(self, service: dict, made: dict, going: list[dict]) -> None:
        for task in going:
            reason = f"Scaling activity initiated by (deployment {made['id']})"
            self.stop(task, reason, "ServiceSchedulerInitiated")
        if going:
            names = " ".join(f"(task {task['local']['id']})" for task in going)
            add_event(service, f"has stopped {len(going)} running tasks: {names}.")

    def _scale_out(self, service: dict, made: dict, new: list[dict], missing: int) -> None:
        if missing <= 0 or time.time() < service["local"]["next"]:
            return
        used = [task.get("capacityProviderName", "") for task in new]
        started = []
        for _ in range(missing):
            where = tasks.place(service, used)
            if not self._has_room(service, where):
                break
            used.append(where.get("capacityProviderName", ""))
            started.append(self._start(service, made, where))
        if started:
            names = " ".join(f"(task {task['local']['id']})" for task in started)
            add_event(service, f"has started {len(started)} tasks: {names}.")

    def _has_room(self, service: dict, where: dict) -> bool:
        cluster = self._store.cluster(service["clusterArn"])
        definition = self._store.definition(service["taskDefinition"])
        group = f"service:{service['serviceName']}"
        asked = {"group": group, "placementStrategy": service.get("placementStrategy")}
        try:
            self.check_room(cluster, definition, where, asked)
        except NoRoom as reason:
            _tell_once(service, str(reason))
            service["local"]["next"] = time.time() + NO_ROOM_SECONDS
            return False
        return True

    def _start(self, service: dict, made: dict, where: dict) -> dict:
        store = self._store
        definition = store.definition(service["taskDefinition"])
        source = {"SERVICE": service["serviceArn"], "TASK_DEFINITION": definition["taskDefinitionArn"]}
        tags = store.tags.get(source.get(service.get("propagateTags", ""), "")) or []
        task = self.launch(
            store.cluster(service["clusterArn"]), definition, where, group=f"service:{service['serviceName']}",
            network=service.get("networkConfiguration"), started_by=made["id"], deployment=made["id"], tags=list(tags),
            execute=service.get("enableExecuteCommand", False),
        )  # fmt: skip
        task["local"]["revision"] = service["local"]["revision"]
        return task

    def _complete(self, service: dict, made: dict, new: list[dict], old: list[dict]) -> None:
        if made["rolloutState"] != "IN_PROGRESS" or old or len(new) != service["desiredCount"]:
            return
        if all(map(self._healthy, new)):
            rollouts.succeed(self._store, service)
            self._changed()


def _tell_once(service: dict, reason: str) -> None:
    """That a task finds no place, unless the last event says so, too."""
    told = f"was unable to place a task because no container instance met all of its requirements. Reason: {reason}"
    whole = f"(service {service['serviceName']}) {told}"
    if not service["events"] or service["events"][0]["message"] != whole:
        add_event(service, told)
