"""The shapes of the API's deployment, target and diagnostics records. Pure but for the clock and the caller's
account.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from ministack.core.responses import get_account_id, get_region

from localcloud.codedeploy.agent import EventResult, lifecycle
from localcloud.codedeploy.hooks import ERROR_NAMES

NO_ROLLBACK = {"enabled": False, "events": []}


def new_info(
    deployment_id: str, application: str, group: dict, revision: dict, creator: str, options: dict
) -> dict:
    """deploymentInfo of a deployment that has just been created."""
    info = {
        "applicationName": application,
        "deploymentGroupName": group["deploymentGroupName"],
        "deploymentConfigName": options.get("config") or group["deploymentConfigName"],
        "deploymentId": deployment_id,
        "revision": revision,
        "status": "Created",
        "createTime": time.time(),
        "deploymentOverview": overview([]),
        "description": options.get("description", ""),
        "creator": creator,
        "ignoreApplicationStopFailures": bool(options.get("ignore_stop_failures")),
        "autoRollbackConfiguration": options.get("auto_rollback")
        or group.get("autoRollbackConfiguration")
        or NO_ROLLBACK,
        "updateOutdatedInstancesOnly": bool(options.get("outdated_only")),
        "rollbackInfo": options.get("rollback_info") or {},
        "deploymentStyle": group["deploymentStyle"],
        "instanceTerminationWaitTimeStarted": False,
        "fileExistsBehavior": options.get("file_exists_behavior") or "DISALLOW",
        "deploymentStatusMessages": [],
        "computePlatform": "Server",
    }
    if group.get("targetRevision"):
        info["previousRevision"] = group["targetRevision"]
    if options.get("target_instances"):
        info["targetInstances"] = options["target_instances"]
    return info


def new_target(info: dict, group: dict, name: str) -> dict:
    """An instance's part of a deployment, all events pending."""
    balanced = group["deploymentStyle"].get("deploymentOption") == "WITH_TRAFFIC_CONTROL"
    return {
        "deploymentId": info["deploymentId"],
        "targetId": name,
        "targetArn": f"arn:aws:ec2:{get_region()}:{get_account_id()}:instance/{name}",
        "status": "Pending",
        "lastUpdatedAt": time.time(),
        "lifecycleEvents": [
            {"lifecycleEventName": event, "status": "Pending", "diagnostics": None}
            for event in lifecycle(balanced)
        ],
    }


def brief(info: dict) -> dict:
    """lastSuccessfulDeployment and lastAttemptedDeployment of a group."""
    short = {key: info[key] for key in ("deploymentId", "status", "createTime")}
    if "completeTime" in info:
        short["endTime"] = info["completeTime"]
    return short


def overview(targets: Iterable[dict]) -> dict:
    """How many instances are in which state."""
    counts = dict.fromkeys(("Pending", "InProgress", "Succeeded", "Failed", "Skipped", "Ready"), 0)
    for target in targets:
        counts[target["status"]] += 1
    return counts


def diagnostics(result: EventResult) -> dict:
    return {
        "errorCode": ERROR_NAMES[result.code],
        "scriptName": result.script,
        "message": result.message,
        "logTail": result.tail,
    }


def bundle_env(location: dict) -> dict[str, str]:
    """What the agent tells hooks of an S3 revision: version and ETag only if the revision names them."""
    named = {"BUNDLE_BUCKET": location["bucket"], "BUNDLE_KEY": location["key"]}
    if location.get("version"):
        named["BUNDLE_VERSION"] = location["version"]
    if location.get("eTag"):
        named["BUNDLE_ETAG"] = location["eTag"]
    return named
