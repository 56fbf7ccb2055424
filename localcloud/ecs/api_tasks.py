"""Operations on tasks: running, stopping, looking at and protecting them."""

from __future__ import annotations

import time

from localcloud.base.paging import page
from localcloud.ecs import capacity, checks, tasks
from localcloud.ecs.errors import invalid
from localcloud.ecs.hosts import NoRoom
from localcloud.ecs.scheduler import Scheduler
from localcloud.ecs.store import Store, arn, newest_first, public, tail
from localcloud.emulator.shapes import Operation

MOST = 10  # tasks of a RunTask
PROTECTED_MINUTES, MOST_MINUTES = 120, 2880
STOPPED = "STOPPED"


class Tasks:
    def __init__(self, store: Store, scheduler: Scheduler) -> None:
        self._store = store
        self._scheduler = scheduler

    def operations(self) -> dict[str, Operation]:
        return {
            "RunTask": self.run,
            "StopTask": self.stop,
            "DescribeTasks": self.describe,
            "ListTasks": self.list,
            "UpdateTaskProtection": self.protect,
            "GetTaskProtection": self.protection,
        }

    def run(self, request: dict) -> dict:
        store = self._store
        cluster = store.cluster(request.get("cluster"))
        definition = store.runnable(request.get("taskDefinition"))
        overrides = request.get("overrides") or {}
        _check_overrides(definition, overrides)
        if request.get("enableExecuteCommand") and not (
            overrides.get("taskRoleArn") or definition.get("taskRoleArn")
        ):
            raise invalid(
                "The task couldn't be run because a valid taskRoleArn is not being used. Specify a valid task role in "
                "your task definition and try again."
            )
        where = capacity.choose(store, request, cluster, definition)
        network = capacity.network(request, definition)
        count = int(request.get("count") or 1)
        if not 1 <= count <= MOST:
            raise invalid(f"count must be between 1 and {MOST}")
        source = definition["taskDefinitionArn"] if request.get("propagateTags") == "TASK_DEFINITION" else ""
        tags = store.tags_of(source) | {one["key"]: one["value"] for one in request.get("tags") or []}
        made: list[dict] = []
        failures: list[dict] = []
        for _ in range(count):
            used = [task.get("capacityProviderName", "") for task in made]
            place = tasks.place(where, used)
            try:
                self._scheduler.check_room(cluster, definition, place, request)
            except NoRoom as no_room:
                if not no_room.closest:
                    raise invalid(str(no_room)) from None
                failures.append({"arn": no_room.closest, "reason": no_room.reason})
                continue
            task = self._scheduler.launch(
                cluster, definition, place, group=request.get("group", ""), network=network,
                started_by=request.get("startedBy", ""), overrides=overrides,
                tags=[{"key": key, "value": value} for key, value in tags.items()],
                execute=bool(request.get("enableExecuteCommand")),
            )  # fmt: skip
            made.append(task)
        return {"tasks": [public(task) for task in made], "failures": failures}

    def stop(self, request: dict) -> dict:
        task = self._store.task(request.get("cluster"), request.get("task", ""))
        if task is None:
            raise invalid("The referenced task was not found.")
        if task["lastStatus"] != STOPPED:
            self._scheduler.stop(task, request.get("reason") or "Task stopped by user", "UserInitiated")
        return {"task": public(task)}

    def describe(self, request: dict) -> dict:
        found, failures = [], []
        for reference in request.get("tasks") or []:
            task = self._store.task(request.get("cluster"), reference)
            if task is None:
                failures.append({"arn": self._arn(request, reference), "reason": "MISSING"})
            else:
                shown = public(task)
                found.append(shown if "TAGS" in (request.get("include") or []) else {**shown, "tags": []})
        return {"tasks": found, "failures": failures}

    def _arn(self, request: dict, reference: str) -> str:
        cluster = self._store.cluster(request.get("cluster"))["clusterName"]
        return arn(f"task/{cluster}/{tail(reference)}")

    def list(self, request: dict) -> dict:
        cluster = self._store.cluster(request.get("cluster"))["clusterArn"]
        wanted = request.get("desiredStatus", "RUNNING")
        found = [
            task
            for task in self._store.tasks.values()
            if task["clusterArn"] == cluster and task["desiredStatus"] == wanted and _fits(task, request)
        ]
        names = [task["taskArn"] for task in newest_first(found)]
        some, token = page(names, request.get("nextToken"))
        return {"taskArns": some, **({"nextToken": token} if token else {})}

    # -- protection from scale-in
    def protect(self, request: dict) -> dict:
        minutes = int(request.get("expiresInMinutes") or PROTECTED_MINUTES)
        if not 1 <= minutes <= MOST_MINUTES:
            raise invalid(f"expiresInMinutes must be between 1 and {MOST_MINUTES}.")
        if not isinstance(request.get("protectionEnabled"), bool):
            raise invalid("protectionEnabled is required.")
        if not 1 <= len(request.get("tasks") or []) <= MOST:
            raise invalid(f"Between 1 and {MOST} tasks can be protected at a time.")
        answer = self._each(request)
        until = round(time.time() + minutes * 60, 3) if request["protectionEnabled"] else None
        for shown in answer["protectedTasks"]:
            task = self._store.tasks[shown["taskArn"]]
            task["local"]["protected_until"] = until
            shown.clear()
            shown.update(tasks.protection(task))
        self._scheduler.wake()
        return answer

    def protection(self, request: dict) -> dict:
        if not request.get("tasks"):
            everything = self.list({"cluster": request.get("cluster")})["taskArns"]
            request = {**request, "tasks": everything}
        return self._each(request)

    def _each(self, request: dict) -> dict:
        found, failures = [], []
        for reference in request["tasks"]:
            task = self._store.task(request.get("cluster"), reference)
            if task is None:
                failures.append({"arn": self._arn(request, reference), "reason": "MISSING"})
            elif not task["group"].startswith("service:") or not tasks.is_live(task):
                failures.append({"arn": task["taskArn"], "reason": "TASK_NOT_VALID"})
            else:
                found.append(tasks.protection(task))
        return {"protectedTasks": found, "failures": failures}


def _fits(task: dict, request: dict) -> bool:
    family = tail(task["taskDefinitionArn"]).partition(":")[0]
    wanted = {
        request.get("family"): family,
        request.get("startedBy"): task.get("startedBy"),
        request.get("launchType"): task["launchType"],
    }
    if request.get("serviceName") and task["group"] != f"service:{tail(request['serviceName'])}":
        return False
    return all(asked is None or asked == own for asked, own in wanted.items())


def _check_overrides(definition: dict, overrides: dict) -> None:
    names = {one["name"] for one in definition["containerDefinitions"]}
    for one in overrides.get("containerOverrides") or []:
        if one.get("name") not in names:
            raise invalid(
                f"Override for container named {one.get('name')} is not a container in the TaskDefinition."
            )
    if "FARGATE" in (definition.get("requiresCompatibilities") or []):
        size = {key: overrides.get(key) or definition[key] for key in ("cpu", "memory")}
        checks.fargate_pair(size["cpu"], size["memory"])
