"""What a task finds at its agent: metadata (version 4), credentials of its role, and its own protection from scale-in.

Below one path of the cloud's own port, by a token that only the task has. AWS serves these at 169.254.170.2.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

from ministack.core.responses import request_scope

from localcloud.ecs.api import Service
from localcloud.ecs.errors import ApiError, StartError
from localcloud.ecs.rights import Rights
from localcloud.ecs.runner import Runner
from localcloud.ecs.store import Store, tail
from localcloud.ecs.taskenv import AGENT
from localcloud.emulator.shapes import Answer
from localcloud.fleet.hostenv import SECRET_KEY

CREDENTIAL_HOURS = 6
PROTECTION = "task-protection/v1/state"


class Agent:
    def __init__(self, store: Store, service: Service, runner: Runner) -> None:
        self._store = store
        self._service = service
        self._runner = runner

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        token, _, rest = path.removeprefix(AGENT + "/").partition("/")
        found = self._store.by_token(token)
        if found is None:
            return _json(404, {"message": "no such task"})
        account, region, task = found
        with request_scope(account, region):
            if rest == PROTECTION:
                return self._protection(method, task, body)
            if method != "GET":
                return _json(405, {"message": "Method Not Allowed"})
            return self._read(task, rest)

    def _read(self, task: dict, rest: str) -> Answer:
        if rest == "credentials" and task["local"]["role"]:
            return _json(200, _credentials(task))
        kind, _, name = rest.partition("/")
        name, _, more = name.partition("/")
        container = next((one for one in task["containers"] if one["name"] == name), None)
        if kind != "v4" or container is None or more not in ("", "task", "stats", "task/stats"):
            return _json(404, {"message": "not found"})
        if more.endswith("stats"):
            return _json(200, {})
        return _json(200, self._task(task) if more == "task" else self._container(task, container))

    def _container(self, task: dict, one: dict) -> dict:
        local, definition = task["local"], self._definition(task)
        shown = {
            "DockerId": one["containerArn"].rpartition("/")[2],
            "Name": one["name"],
            "DockerName": one["name"],
            "Image": one["image"],
            "ImageID": one.get("imageDigest", ""),
            "Labels": {
                "com.amazonaws.ecs.cluster": task["clusterArn"],
                "com.amazonaws.ecs.container-name": one["name"],
                "com.amazonaws.ecs.task-arn": task["taskArn"],
                "com.amazonaws.ecs.task-definition-family": definition["family"],
                "com.amazonaws.ecs.task-definition-version": str(definition["revision"]),
            },
            "DesiredStatus": task["desiredStatus"],
            "KnownStatus": one["lastStatus"],
            "Limits": {"CPU": int(one["cpu"]), **({"Memory": int(one["memory"])} if "memory" in one else {})},
            "CreatedAt": _time(task["createdAt"]),
            "Type": "NORMAL",
            "ContainerARN": one["containerArn"],
            "Networks": [
                {"NetworkMode": definition.get("networkMode", "bridge"), "IPv4Addresses": [local["address"]]}
            ],
        }
        if one["healthStatus"] != "UNKNOWN":
            shown["Health"] = {"status": one["healthStatus"]}
        return shown

    def _task(self, task: dict) -> dict:
        definition = self._definition(task)
        times = {"PullStartedAt": "pullStartedAt", "PullStoppedAt": "pullStoppedAt"}
        service = task["group"].partition("service:")[2]
        return {
            "Cluster": task["clusterArn"],
            "TaskARN": task["taskArn"],
            "Family": definition["family"],
            "Revision": str(definition["revision"]),
            "DesiredStatus": task["desiredStatus"],
            "KnownStatus": task["lastStatus"],
            "AvailabilityZone": task["availabilityZone"],
            "LaunchType": task["launchType"],
            **({"ServiceName": service} if service else {}),
            **({"Limits": _limits(task)} if "cpu" in task else {}),
            **{shown: _time(task[key]) for shown, key in times.items() if key in task},
            "Containers": [self._container(task, one) for one in task["containers"]],
        }

    def _definition(self, task: dict) -> dict:
        return self._store.definitions[tail(task["taskDefinitionArn"])]

    # -- protection
    def _protection(self, method: str, task: dict, body: bytes) -> Answer:
        """The agent calls the API with the task's role, which has to allow it."""
        operation = {"GET": "GetTaskProtection", "PUT": "UpdateTaskProtection"}.get(method)
        if operation is None:
            return _json(405, {"message": "Method Not Allowed"})
        try:
            self._check_right(task, operation)
            asked = {"cluster": task["clusterArn"], "tasks": [task["taskArn"]]}
            answer = self._service.call(operation, {**asked, **(_wanted(body) if method == "PUT" else {})})
        except ApiError as error:
            shown = {"Arn": task["taskArn"], "Code": error.code, "Message": str(error)}
            return _json(400, {"error": shown})
        if answer["failures"]:
            failure = answer["failures"][0]
            return _json(200, {"failure": {"Arn": failure["arn"], "Reason": failure["reason"]}})
        made = answer["protectedTasks"][0]
        shown = {"TaskArn": made["taskArn"], "ProtectionEnabled": made["protectionEnabled"]}
        if "expirationDate" in made:
            shown["ExpirationDate"] = _time(made["expirationDate"])
        return _json(200, {"protection": shown})

    def _check_right(self, task: dict, operation: str) -> None:
        if not task["local"]["role"]:
            raise ApiError("AccessDeniedException", "The task has no role.")

        def note(role: str, action: str, resource: str) -> None:
            self._runner.note(task, role, action, resource)

        try:
            cluster = {"ecs:cluster": task["clusterArn"]}
            rights = Rights(task["local"]["role"], task["local"]["id"], note, cluster)
        except StartError as error:
            raise ApiError("AccessDeniedException", str(error)) from None
        denied = rights.denied(f"ecs:{operation}", task["taskArn"])
        if denied:
            raise ApiError("AccessDeniedException", denied.partition(": ")[2])


def _wanted(body: bytes) -> dict:
    try:
        given = json.loads(body or b"{}")
        wanted = {"protectionEnabled": given.get("ProtectionEnabled")}
    except (ValueError, AttributeError):
        raise ApiError("SerializationException", "The request is not a JSON object") from None
    minutes = given.get("ExpiresInMinutes")
    return wanted if minutes is None else {**wanted, "expiresInMinutes": minutes}


def _limits(task: dict) -> dict:
    return {"CPU": int(task["cpu"]) / 1024, "Memory": int(task["memory"])}


def _credentials(task: dict) -> dict:
    expiry = datetime.now(timezone.utc) + timedelta(hours=CREDENTIAL_HOURS)
    return {
        "RoleArn": task["local"]["role"],
        "AccessKeyId": task["local"]["key"],
        "SecretAccessKey": SECRET_KEY,
        "Token": "local",
        "Expiration": expiry.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _time(stamp: float) -> str:
    return (
        datetime.fromtimestamp(stamp, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def _json(status: int, document: dict) -> Answer:
    return status, {"content-type": "application/json"}, json.dumps(document).encode()
