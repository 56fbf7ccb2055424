"""CodeDeploy operations on deployments and on what happened to their instances."""

from __future__ import annotations

from ministack.services import s3

from localcloud.codedeploy.api_groups import _list
from localcloud.codedeploy.engine import Engine
from localcloud.codedeploy.errors import ApiError
from localcloud.codedeploy.store import ACTIVE, Store, check_revision
from localcloud.emulator.shapes import Operation

STATUSES = ("Created", "Queued", "InProgress", "Baking", "Succeeded", "Failed", "Stopped", "Ready")
TARGET_STATUSES = ("Pending", "InProgress", "Succeeded", "Failed", "Skipped", "Unknown", "Ready")
BEHAVIORS = ("DISALLOW", "OVERWRITE", "RETAIN")
MAX_BATCH = 25


class Deployments:
    def __init__(self, store: Store, engine: Engine) -> None:
        self._store = store
        self._engine = engine

    def operations(self) -> dict[str, Operation]:
        return {
            "CreateDeployment": self.create,
            "GetDeployment": lambda r: {
                "deploymentInfo": self._store.deployment(r.get("deploymentId"))["info"]
            },
            "BatchGetDeployments": self.batch_get,
            "ListDeployments": self.list,
            "StopDeployment": self.stop,
            "ListDeploymentTargets": lambda r: _list(
                "targetIds", self._chosen(r, "targetFilters", "TargetStatus"), r
            ),
            "GetDeploymentTarget": self.get_target,
            "BatchGetDeploymentTargets": self.batch_get_targets,
            "ListDeploymentInstances": self.list_instances,
            "GetDeploymentInstance": self.get_instance,
            "BatchGetDeploymentInstances": self.batch_get_instances,
        }

    def create(self, request: dict) -> dict:
        application = request.get("applicationName")
        self._store.application(application)
        group = self._store.group(application, request.get("deploymentGroupName"))
        if request.get("deploymentConfigName"):
            self._store.policy(request["deploymentConfigName"])
        behavior = request.get("fileExistsBehavior")
        if behavior is not None and behavior not in BEHAVIORS:
            raise ApiError("InvalidFileExistsBehaviorException", f"Invalid file exists behavior: {behavior}")
        revision = check_revision(request.get("revision"))
        _check_object(revision["s3Location"])
        running = self._store.active(application, group["deploymentGroupName"])
        if running:
            raise ApiError(
                "DeploymentLimitExceededException",
                f"The Deployment Group '{group['deploymentGroupName']}' already has an active Deployment "
                f"'{running}'",
            )
        deployment_id = self._engine.start(
            application,
            group,
            revision,
            "user",
            config=request.get("deploymentConfigName"),
            description=request.get("description", ""),
            ignore_stop_failures=request.get("ignoreApplicationStopFailures"),
            auto_rollback=request.get("autoRollbackConfiguration"),
            outdated_only=request.get("updateOutdatedInstancesOnly"),
            file_exists_behavior=behavior,
            target_instances=request.get("targetInstances"),
        )
        return {"deploymentId": deployment_id}

    def batch_get(self, request: dict) -> dict:
        ids = request.get("deploymentIds") or []
        if len(ids) > MAX_BATCH:
            raise ApiError("BatchLimitExceededException", f"At most {MAX_BATCH} deployments can be asked for")
        found = [self._store.deployments.get(deployment_id) for deployment_id in ids]
        return {"deploymentsInfo": [record["info"] for record in found if record]}

    def list(self, request: dict) -> dict:
        application, group = request.get("applicationName"), request.get("deploymentGroupName")
        if group and not application:
            raise ApiError("ApplicationNameRequiredException", "Application name is required")
        if application:
            self._store.application(application)
        if group:
            self._store.group(application, group)
        wanted = request.get("includeOnlyStatuses") or []
        if any(status not in STATUSES for status in wanted):
            raise ApiError("InvalidDeploymentStatusException", f"Invalid deployment status: {wanted}")
        times = request.get("createTimeRange") or {}
        infos = [record["info"] for record in self._store.deployments.values()]
        infos.sort(key=lambda info: info["createTime"], reverse=True)
        ids = [
            info["deploymentId"]
            for info in infos
            if (not application or info["applicationName"] == application)
            and (not group or info["deploymentGroupName"] == group)
            and (not wanted or info["status"] in wanted)
            and float(times.get("start") or 0) <= info["createTime"] <= float(times.get("end") or "inf")
        ]
        return _list("deployments", ids, request)

    def stop(self, request: dict) -> dict:
        record = self._store.deployment(request.get("deploymentId"))
        if record["info"]["status"] not in ACTIVE:
            raise ApiError(
                "DeploymentAlreadyCompletedException",
                f"The deployment {record['info']['deploymentId']} has already completed",
            )
        self._engine.stop(record["info"]["deploymentId"], bool(request.get("autoRollbackEnabled")))
        return {"status": "Pending", "statusMessage": "The deployment is being stopped."}

    # -- targets, and the older names for the same
    def _chosen(self, request: dict, filters: str, key: str) -> list[str]:
        record = self._store.deployment(request.get("deploymentId"))
        wanted = (request.get(filters) or {}).get(key) if key else request.get(filters)
        if wanted and any(status not in TARGET_STATUSES for status in wanted):
            raise ApiError("InvalidInstanceStatusException", f"Invalid status: {wanted}")
        return [
            name
            for name, target in sorted(record["targets"].items())
            if not wanted or target["status"] in wanted
        ]

    def _target(self, request: dict, name: str | None, code: str) -> dict:
        record = self._store.deployment(request.get("deploymentId"))
        if not name:
            raise ApiError(code.replace("DoesNotExist", "IdRequired"), "The id of the instance is required")
        name = name.rpartition("/")[2]
        if name not in record["targets"]:
            raise ApiError(code, f"{name} is not an instance of deployment {record['info']['deploymentId']}")
        return record["targets"][name]

    def get_target(self, request: dict) -> dict:
        return {
            "deploymentTarget": _as_target(
                self._target(request, request.get("targetId"), "DeploymentTargetDoesNotExistException")
            )
        }

    def batch_get_targets(self, request: dict) -> dict:
        names = request.get("targetIds")
        if not names:
            raise ApiError("DeploymentTargetIdRequiredException", "Target ids are required")
        if len(names) > MAX_BATCH:
            raise ApiError(
                "DeploymentTargetListSizeExceededException", f"At most {MAX_BATCH} targets can be asked for"
            )
        found = [self._target(request, name, "DeploymentTargetDoesNotExistException") for name in names]
        return {"deploymentTargets": [_as_target(target) for target in found]}

    def list_instances(self, request: dict) -> dict:
        return _list("instancesList", self._chosen(request, "instanceStatusFilter", ""), request)

    def get_instance(self, request: dict) -> dict:
        return {
            "instanceSummary": _as_summary(
                self._target(request, request.get("instanceId"), "InstanceDoesNotExistException")
            )
        }

    def batch_get_instances(self, request: dict) -> dict:
        names = request.get("instanceIds")
        if not names:
            raise ApiError("InstanceIdRequiredException", "Instance ids are required")
        record = self._store.deployment(request.get("deploymentId"))
        known = [record["targets"][name] for name in names if name in record["targets"]]
        answer: dict = {"instancesSummary": [_as_summary(target) for target in known]}
        missing = [name for name in names if name not in record["targets"]]
        if missing:
            answer["errorMessage"] = f"Not instances of the deployment: {', '.join(missing)}"
        return answer


def _check_object(location: dict) -> None:
    """CodeDeploy looks for the revision when the deployment is created, and again when it starts."""
    bucket = s3._buckets.get(location["bucket"]) or {}
    if location["key"] not in bucket.get("objects", {}) and not location.get("version"):
        raise ApiError(
            "RevisionDoesNotExistException",
            f"The revision s3://{location['bucket']}/{location['key']} does not exist",
        )


def _events(target: dict) -> list[dict]:
    return [{k: v for k, v in event.items() if v is not None} for event in target["lifecycleEvents"]]


def _as_target(target: dict) -> dict:
    return {
        "deploymentTargetType": "InstanceTarget",
        "instanceTarget": {**target, "lifecycleEvents": _events(target), "instanceLabel": "Blue"},
    }


def _as_summary(target: dict) -> dict:
    return {
        "deploymentId": target["deploymentId"],
        "instanceId": target["targetArn"],
        "status": target["status"],
        "lastUpdatedAt": target["lastUpdatedAt"],
        "lifecycleEvents": _events(target),
        "instanceType": "Blue",
    }
