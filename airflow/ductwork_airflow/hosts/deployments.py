"""What CodeDeploy last tried to bring to a group of hosts; read by the gate of workers and repaired by the scaler."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

# A rollout to a group without hosts ends so. CodeDeploy then gives new hosts the revision before, for ever.
NO_INSTANCES = "NO_INSTANCES"
ENDED_BADLY = ("Failed", "Stopped")
# Made for each launch, with the last *successful* revision, or termination: no attempt to bring something new.
BY_SCALING = ("autoscaling", "autoscalingTermination")
PAGE = 25  # what BatchGetDeployments takes


@dataclass(frozen=True)
class Attempt:
    """A deployment to a group."""

    deployment: str
    status: str
    error: str
    revision: dict[str, Any]
    description: str

    @property
    def digest(self) -> str | None:
        """The sha256 in the key of its revision."""
        key = str(self.revision.get("s3Location", {}).get("key", ""))
        found = re.search(r"([0-9a-f]{64})\.zip$", key)
        return found[1] if found else None

    @property
    def found_nobody(self) -> bool:
        """Whether it failed only because the group had no host."""
        return self.status == "Failed" and self.error == NO_INSTANCES

    @property
    def counts(self) -> bool:
        """Whether hosts shall have its revision: not if it was tried and found bad."""
        return self.status not in ENDED_BADLY or self.found_nobody


def last_attempt(codedeploy: Any, application: str, group: str) -> Attempt | None:
    """The group's last deployment that was not made for a launch or a termination; None when there was none, or when
    CodeDeploy does not know it any more."""
    answer = codedeploy.get_deployment_group(applicationName=application, deploymentGroupName=group)
    brief = answer["deploymentGroupInfo"].get("lastAttemptedDeployment")
    if not brief:
        return None
    info = _known(codedeploy, brief["deploymentId"])
    if info and info.get("creator") in BY_SCALING:
        info = _newest_by_hand(codedeploy, application, group)
    return _attempt(info) if info else None


def _known(codedeploy: Any, deployment: str) -> dict[str, Any] | None:
    from botocore.exceptions import ClientError

    try:
        return dict(codedeploy.get_deployment(deploymentId=deployment)["deploymentInfo"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "DeploymentDoesNotExistException":
            raise
        return None


def _newest_by_hand(codedeploy: Any, application: str, group: str) -> dict[str, Any] | None:
    """The newest deployment that no scaling made, among the first few pages; CodeDeploy lists the newest first."""
    listed = codedeploy.list_deployments(applicationName=application, deploymentGroupName=group)[
        "deployments"
    ]
    for start in range(0, len(listed), PAGE):
        found = codedeploy.batch_get_deployments(deploymentIds=listed[start : start + PAGE])[
            "deploymentsInfo"
        ]
        others = [info for info in found if info.get("creator") not in BY_SCALING]
        if others:
            return dict(max(others, key=lambda info: info["createTime"]))
    return None


def _attempt(info: dict[str, Any]) -> Attempt:
    return Attempt(
        info["deploymentId"],
        info["status"],
        (info.get("errorInformation") or {}).get("code", ""),
        info.get("revision") or {},
        info.get("description") or "",
    )


def again(codedeploy: Any, application: str, group: str, attempt: Attempt) -> str:
    """Starts the same deployment once more, under the same description, by which the release tool knows it."""
    answer = codedeploy.create_deployment(
        applicationName=application,
        deploymentGroupName=group,
        revision=attempt.revision,
        description=attempt.description,
        fileExistsBehavior="OVERWRITE",
    )
    return str(answer["deploymentId"])
