"""Deployments of a service: how one begins, succeeds, fails and is rolled back. Records only; starts no task.

A service has `deployments` (what DescribeServices shows: PRIMARY and what it replaces) and service deployments (the
lasting record, with a target revision and a final status).
"""

from __future__ import annotations

import copy
import secrets

from localcloud.ecs import breaker
from localcloud.ecs.store import Store, add_event, arn, new_id, now, tail

# What a revision holds of a service; a change of it is a new deployment.
REVISED = (
    "taskDefinition", "launchType", "capacityProviderStrategy", "platformVersion", "platformFamily",
    "networkConfiguration", "loadBalancers", "serviceRegistries",
)  # fmt: skip
# Of these, what a deployment of DescribeServices shows.
SHOWN = REVISED[:-2]
RUNNING = ("PENDING", "IN_PROGRESS", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS")
SUPERSEDED = "Service deployment stopped because a new service deployment has started."
NO_CANDIDATE = "Service deployment rollback failed: there is no completed service revision to roll back to."
TRIPPED = "Service deployment circuit breaker was triggered: tasks failed to start."


def primary(service: dict) -> dict:
    return service["deployments"][0]


def current(store: Store, service: dict) -> dict | None:
    """The service deployment that goes on, if any."""
    return next((one for one in store.deployments_of(service) if one["status"] in RUNNING), None)


def begin(store: Store, service: dict) -> dict:
    """A deployment of the service as it is now; answers the service deployment."""
    before = current(store, service)
    if before is not None:
        _finish(before, "STOPPED", SUPERSEDED)
    revision = _new_revision(store, service)
    _new_primary(service, revision)
    deployment_id = secrets.token_urlsafe(15).replace("-", "x").replace("_", "y")
    made = {
        "serviceDeploymentArn": arn(f"service-deployment/{_path(service)}/{deployment_id}"),
        "serviceArn": service["serviceArn"],
        "clusterArn": service["clusterArn"],
        "createdAt": now(),
        "startedAt": now(),
        "updatedAt": now(),
        "status": "IN_PROGRESS",
        "deploymentConfiguration": copy.deepcopy(service["deploymentConfiguration"]),
        "local": {
            "target": revision["serviceRevisionArn"],
            "sources": _sources(store, service),
            "failures": 0,
        },
    }
    store.deployments[made["serviceDeploymentArn"]] = made
    return made


def _path(service: dict) -> str:
    return f"{tail(service['clusterArn'])}/{service['serviceName']}"


def _sources(store: Store, service: dict) -> list[str]:
    """The revisions that tasks still run of."""
    live = (task for task in store.tasks_of(service) if task["lastStatus"] != "STOPPED")
    return sorted({task["local"]["revision"] for task in live})


def _new_revision(store: Store, service: dict) -> dict:
    definition = store.definition(service["taskDefinition"])
    made = {
        "serviceRevisionArn": arn(f"service-revision/{_path(service)}/{int(new_id()[:16], 16)}"),
        "serviceArn": service["serviceArn"],
        "clusterArn": service["clusterArn"],
        "createdAt": now(),
        **copy.deepcopy({key: service[key] for key in REVISED if key in service}),
        "containerImages": [
            {"containerName": one["name"], "image": one["image"], **_digest(one["image"])}
            for one in definition["containerDefinitions"]
        ],
    }
    store.revisions[made["serviceRevisionArn"]] = made
    return made


def _digest(image: str) -> dict:
    found = image.partition("@")[2]
    return {"imageDigest": found} if found else {}


def _new_primary(service: dict, revision: dict) -> None:
    """A deployment of a revision, or the one there still is: tasks of that go on."""
    name, ids = revision["serviceRevisionArn"], service["local"].setdefault("ids", {})
    made = next((one for one in service["deployments"] if ids.get(one["id"]) == name), None) or {
        "id": f"ecs-svc/{int(new_id()[:15], 16):019d}",
        "createdAt": now(),
        **copy.deepcopy({key: service[key] for key in SHOWN if key in service}),
    }
    made.update(
        status="PRIMARY",
        updatedAt=now(),
        desiredCount=service["desiredCount"],
        failedTasks=0,
        rolloutState="IN_PROGRESS",
        rolloutStateReason=f"ECS deployment {made['id']} in progress.",
    )
    others = [{**one, "status": "ACTIVE"} for one in service["deployments"] if one["id"] != made["id"]]
    service["deployments"][:] = [made, *others]
    ids[made["id"]] = name
    service["local"].update(revision=name, failures=0, next=0.0)


def succeed(store: Store, service: dict) -> None:
    """The primary deployment runs, and nothing else."""
    made, done = primary(service), current(store, service)
    made.update(
        rolloutState="COMPLETED",
        rolloutStateReason=f"ECS deployment {made['id']} completed.",
        updatedAt=now(),
    )
    service["deployments"][1:] = []
    service["local"]["ids"] = {made["id"]: service["local"]["revision"]}
    if done is not None:
        rolled_back = "rollback" in done
        _finish(done, "ROLLBACK_SUCCESSFUL" if rolled_back else "SUCCESSFUL", done.get("statusReason", ""))
    add_event(service, f"(deployment {made['id']}) deployment completed.")
    add_event(service, "has reached a steady state.")


def fail(store: Store, service: dict) -> None:
    """Too many tasks failed: back to what was, if that is wanted and anything was."""
    made, failed = primary(service), current(store, service)
    made.update(
        rolloutState="FAILED", updatedAt=now(),
        rolloutStateReason="ECS deployment circuit breaker: tasks failed to start.",
    )  # fmt: skip
    add_event(service, f"(deployment {made['id']}) deployment failed: tasks failed to start.")
    if failed is None:
        return
    failed["local"]["tripped"] = True
    if "rollback" in failed:
        _finish(failed, "ROLLBACK_FAILED", f"{TRIPPED} The rollback failed as well.")
    elif breaker.settings(service).get("rollback"):
        roll_back(store, service, failed, TRIPPED)
    else:
        _finish(failed, "STOPPED", TRIPPED)


def roll_back(store: Store, service: dict, failed: dict, reason: str) -> None:
    """To the revision of the last deployment that succeeded."""
    good = _last_good(store, service)
    if good is None:
        _finish(failed, "ROLLBACK_FAILED", f"{reason} {NO_CANDIDATE}")
        return
    primary(service).update(rolloutState="FAILED", updatedAt=now())
    service.update(copy.deepcopy({key: good[key] for key in REVISED if key in good}))
    _new_primary(service, good)
    failed["rollback"] = {
        "reason": reason, "startedAt": now(), "serviceRevisionArn": good["serviceRevisionArn"]
    }  # fmt: skip
    failed.update(status="ROLLBACK_IN_PROGRESS", statusReason=reason, updatedAt=now())
    add_event(service, f"rolling back to deployment {primary(service)['id']}.")


def _last_good(store: Store, service: dict) -> dict | None:
    for one in store.deployments_of(service):
        if one["status"] == "SUCCESSFUL":
            return store.revisions.get(one["local"]["target"])
        if one["status"] == "ROLLBACK_SUCCESSFUL":
            return store.revisions.get(one["rollback"]["serviceRevisionArn"])
    return None


def stop(store: Store, service: dict, one: dict, kind: str) -> None:
    """What StopServiceDeployment asks for."""
    if kind == "ROLLBACK":
        roll_back(store, service, one, "Service deployment was stopped by a user.")
    else:
        _finish(one, "STOPPED", "Service deployment was stopped by a user.")


def _finish(one: dict, status: str, reason: str) -> None:
    one.update(
        status=status, finishedAt=now(), updatedAt=now(), **({"statusReason": reason} if reason else {})
    )
    if status == "STOPPED":
        one["stoppedAt"] = now()


def shown(store: Store, one: dict) -> dict:
    """A service deployment as the API shows it."""
    service = store.services.get(one["serviceArn"])
    tasks = store.tasks_of(service) if service else []
    desired = service["desiredCount"] if service else 0
    made = copy.deepcopy({key: value for key, value in one.items() if key != "local"})
    return {
        **made,
        "targetServiceRevision": summary(tasks, one["local"]["target"], desired),
        "sourceServiceRevisions": [summary(tasks, source, 0) for source in one["local"]["sources"]],
        "deploymentCircuitBreaker": _breaker(one, desired),
    }


def summary(tasks: list[dict], revision: str, requested: int) -> dict:
    mine = [task for task in tasks if task["local"]["revision"] == revision]
    return {
        "arn": revision,
        "requestedTaskCount": requested,
        "runningTaskCount": sum(task["lastStatus"] == "RUNNING" for task in mine),
        "pendingTaskCount": sum(task["lastStatus"] in ("PROVISIONING", "PENDING") for task in mine),
    }


def _breaker(one: dict, desired: int) -> dict:
    wanted = one["deploymentConfiguration"].get("deploymentCircuitBreaker") or {}
    if not wanted.get("enable"):
        return {"status": "DISABLED", "failureCount": 0, "threshold": 0}
    goes_on = one["status"] in RUNNING
    word = "TRIGGERED" if one["local"].get("tripped") else "MONITORING" if goes_on else "MONITORING_COMPLETE"
    return {
        "status": word,
        "failureCount": one["local"]["failures"],
        "threshold": breaker.threshold(wanted, desired),
    }
