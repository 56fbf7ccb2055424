"""What CodeDeploy remembers: applications, groups, configurations, revisions, deployments and their targets.

The state module `codedeploy` of the saver. Holds records and their rules of identity; runs nothing.
"""

from __future__ import annotations

import copy
import json
import re
import secrets
import string
import threading
import time

from ministack.core.responses import AccountRegionScopedDict, get_account_id, get_region, new_uuid

from localcloud.codedeploy import errors
from localcloud.codedeploy.errors import ApiError
from localcloud.codedeploy.health import BUILT_IN, Policy

ACTIVE = ("Created", "Queued", "InProgress", "Baking", "Ready")
NAME = re.compile(r"[A-Za-z0-9+=,.@_-]{1,100}")
DEPLOYMENTS_KEPT = 200


class Store:
    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.applications = AccountRegionScopedDict()  # name -> record
        self.groups = AccountRegionScopedDict()  # (application, group) -> record
        self.configs = AccountRegionScopedDict()  # name -> record
        self.revisions = AccountRegionScopedDict()  # (application, revision key) -> record
        self.deployments = AccountRegionScopedDict()  # id -> {"info", "targets", …}
        self.tags = AccountRegionScopedDict()  # ARN -> {key: value}

    @property
    def _parts(self) -> dict[str, AccountRegionScopedDict]:
        return {
            "applications": self.applications,
            "groups": self.groups,
            "configs": self.configs,
            "revisions": self.revisions,
            "deployments": self.deployments,
            "tags": self.tags,
        }

    # -- what ministack's persistence calls
    def get_state(self) -> dict:
        with self.lock:
            return {name: copy.deepcopy(part) for name, part in self._parts.items()}

    def load_persisted_state(self, data: dict) -> None:
        for name, part in self._parts.items():
            part.update(data.get(name, {}))

    def reset(self) -> None:
        for part in self._parts.values():
            part.clear()

    # -- look-ups that refuse
    def application(self, name: str | None) -> dict:
        if not name:
            raise ApiError("ApplicationNameRequiredException", "Application name is required")
        check_name(name, "InvalidApplicationNameException", "application name")
        record = self.applications.get(name)
        if record is None:
            raise errors.no_application(name)
        return record

    def group(self, application: str | None, name: str | None) -> dict:
        self.application(application)
        if not name:
            raise ApiError("DeploymentGroupNameRequiredException", "Deployment group name is required")
        check_name(name, "InvalidDeploymentGroupNameException", "deployment group name")
        record = self.groups.get((application, name))
        if record is None:
            raise errors.no_group(name)
        return record

    def deployment(self, deployment_id: str | None) -> dict:
        if not deployment_id:
            raise ApiError("DeploymentIdRequiredException", "Deployment ID is required")
        if not re.fullmatch(r"d-[A-Z0-9]{9}", deployment_id):
            raise ApiError(
                "InvalidDeploymentIdException",
                f"Specified DeploymentId is not in the valid format: {deployment_id}",
            )
        record = self.deployments.get(deployment_id)
        if record is None:
            raise errors.no_deployment(deployment_id)
        return record

    def deployed_by(self, deployment_id: str) -> tuple[str, str] | None:
        """Application and group of a deployment."""
        info = (self.deployments.get(deployment_id) or {}).get("info")
        return (info["applicationName"], info["deploymentGroupName"]) if info else None

    def policy(self, name: str) -> Policy:
        if name in BUILT_IN:
            return BUILT_IN[name]
        record = self.configs.get(name)
        if record is None:
            raise errors.no_config(name)
        hosts = record["minimumHealthyHosts"]
        return Policy(hosts["type"], int(hosts["value"]))

    # -- records
    def new_deployment_id(self) -> str:
        while True:
            candidate = "d-" + "".join(
                secrets.choice(string.ascii_uppercase + string.digits) for _ in range(9)
            )
            if candidate not in self.deployments:
                return candidate

    def active(self, application: str, group: str) -> str | None:
        """The group's running deployment, if any."""
        for deployment_id, record in self.deployments.items():
            info = record["info"]
            if (
                info["status"] in ACTIVE
                and (info["applicationName"], info["deploymentGroupName"]) == (application, group)
                and info["creator"] != "autoscaling"
            ):
                return deployment_id
        return None

    def register_revision(self, application: str, revision: dict, description: str = "") -> dict:
        key = (application, revision_key(revision))
        record = self.revisions.get(key)
        if record is None:
            record = {
                "revision": revision,
                "info": {"description": description, "deploymentGroups": [], "registerTime": time.time()},
            }
            self.revisions[key] = record
        elif description:
            record["info"]["description"] = description
        return record

    def forget_old_deployments(self) -> None:
        finished = sorted(
            (r["info"]["createTime"], i)
            for i, r in self.deployments.items()
            if r["info"]["status"] not in ACTIVE
        )
        for _, deployment_id in finished[:-DEPLOYMENTS_KEPT]:
            self.deployments.pop(deployment_id, None)


def arn(application: str, group: str = "") -> str:
    """Of an application, or of a deployment group of it."""
    prefix = f"arn:aws:codedeploy:{get_region()}:{get_account_id()}"
    return (
        f"{prefix}:deploymentgroup:{application}/{group}" if group else f"{prefix}:application:{application}"
    )


def check_name(name: str, code: str, what: str) -> None:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ApiError(code, f"Invalid {what}: {name}")


def check_revision(revision: object) -> dict:
    """A revision location as the EC2 platform can deploy it."""
    if not isinstance(revision, dict) or not revision:
        raise ApiError("RevisionRequiredException", "Revision is required")
    if revision.get("revisionType") != "S3":
        raise ApiError("InvalidRevisionException", "Only S3 revisions can be deployed by the local cloud")
    location = revision.get("s3Location") or {}
    if not location.get("bucket") or not location.get("key"):
        raise ApiError("InvalidRevisionException", "The bucket and key of the S3 location are required")
    if location.get("bundleType") not in ("tar", "tgz", "zip"):
        raise ApiError("InvalidRevisionException", "bundleType of the S3 location must be tar, tgz or zip")
    return revision


def revision_key(revision: dict) -> str:
    """What makes two revisions the same: everything about their location."""
    location = {k: v for k, v in (revision.get("s3Location") or {}).items() if v}
    if "eTag" in location:
        location["eTag"] = str(location["eTag"]).strip('"')
    return json.dumps([revision.get("revisionType"), location], sort_keys=True)


def new_group_id() -> str:
    return new_uuid()
