"""CodeDeploy operations on applications, deployment groups, deployment configurations and revisions."""

from __future__ import annotations

import time

from ministack.core.responses import new_uuid

from localcloud.base.paging import page
from localcloud.codedeploy import errors
from localcloud.codedeploy.errors import ApiError
from localcloud.codedeploy.health import BUILT_IN, DEFAULT
from localcloud.codedeploy.store import Store, arn, check_name, check_revision, new_group_id, revision_key
from localcloud.emulator.shapes import Operation

GROUP_FIELDS = (
    "serviceRoleArn",
    "deploymentConfigName",
    "ec2TagFilters",
    "onPremisesInstanceTagFilters",
    "triggerConfigurations",
    "alarmConfiguration",
    "autoRollbackConfiguration",
    "outdatedInstancesStrategy",
    "deploymentStyle",
    "blueGreenDeploymentConfiguration",
    "loadBalancerInfo",
    "ec2TagSet",
    "ecsServices",
    "terminationHookEnabled",
    "ec2DeploymentOptions",
)
SUSPENDABLE = ("Terminate", "AZRebalance", "InstanceRefresh", "ScheduledActions")
STYLE = {"deploymentType": "IN_PLACE", "deploymentOption": "WITHOUT_TRAFFIC_CONTROL"}


class Groups:
    def __init__(self, store: Store) -> None:
        self._store = store

    def operations(self) -> dict[str, Operation]:
        return {
            "CreateApplication": self.create_application,
            "GetApplication": lambda r: {"application": self._store.application(r.get("applicationName"))},
            "BatchGetApplications": self.batch_get_applications,
            "UpdateApplication": self.update_application,
            "ListApplications": lambda r: _list("applications", sorted(self._store.applications), r),
            "DeleteApplication": self.delete_application,
            "CreateDeploymentGroup": self.create_group,
            "GetDeploymentGroup": self.get_group,
            "BatchGetDeploymentGroups": self.batch_get_groups,
            "ListDeploymentGroups": self.list_groups,
            "UpdateDeploymentGroup": self.update_group,
            "DeleteDeploymentGroup": self.delete_group,
            "CreateDeploymentConfig": self.create_config,
            "GetDeploymentConfig": self.get_config,
            "ListDeploymentConfigs": self.list_configs,
            "DeleteDeploymentConfig": self.delete_config,
            "RegisterApplicationRevision": self.register_revision,
            "GetApplicationRevision": self.get_revision,
            "ListApplicationRevisions": self.list_revisions,
            "TagResource": self.tag,
            "UntagResource": self.untag,
            "ListTagsForResource": self.list_tags,
        }

    # -- applications
    def create_application(self, request: dict) -> dict:
        name = request.get("applicationName")
        if not name:
            raise ApiError("ApplicationNameRequiredException", "Application name is required")
        check_name(name, "InvalidApplicationNameException", "application name")
        if request.get("computePlatform", "Server") != "Server":
            raise ApiError(
                "InvalidComputePlatformException", "The local cloud deploys to the Server platform only"
            )
        if name in self._store.applications:
            raise ApiError("ApplicationAlreadyExistsException", f"Application already exists: {name}")
        record = {
            "applicationId": new_uuid(),
            "applicationName": name,
            "createTime": time.time(),
            "linkedToGitHub": False,
            "computePlatform": "Server",
        }
        self._store.applications[name] = record
        return {"applicationId": record["applicationId"]}

    def batch_get_applications(self, request: dict) -> dict:
        names = request.get("applicationNames") or []
        return {"applicationsInfo": [self._store.application(name) for name in names]}

    def update_application(self, request: dict) -> dict:
        record = self._store.application(request.get("applicationName"))
        new = request.get("newApplicationName")
        if not new or new == record["applicationName"]:
            return {}
        check_name(new, "InvalidApplicationNameException", "application name")
        if new in self._store.applications:
            raise ApiError("ApplicationAlreadyExistsException", f"Application already exists: {new}")
        old = record["applicationName"]
        for store in (self._store.groups, self._store.revisions):
            for key in [key for key in store if key[0] == old]:
                value = store.pop(key)
                if "applicationName" in value:
                    value["applicationName"] = new
                store[(new, key[1])] = value
        record["applicationName"] = new
        self._store.applications[new] = self._store.applications.pop(old)
        return {}

    def delete_application(self, request: dict) -> dict:
        name = request.get("applicationName")
        if not name:
            raise ApiError("ApplicationNameRequiredException", "Application name is required")
        if self._store.applications.pop(name, None) is not None:
            self._store.tags.pop(arn(name), None)
            for key in [key for key in self._store.groups if key[0] == name]:
                self._store.tags.pop(arn(*key), None)
            for store in (self._store.groups, self._store.revisions):
                for key in [key for key in store if key[0] == name]:
                    store.pop(key)
        return {}

    # -- groups
    def create_group(self, request: dict) -> dict:
        application, name = request.get("applicationName"), request.get("deploymentGroupName")
        self._store.application(application)
        if not name:
            raise ApiError("DeploymentGroupNameRequiredException", "Deployment group name is required")
        check_name(name, "InvalidDeploymentGroupNameException", "deployment group name")
        if (application, name) in self._store.groups:
            raise ApiError(
                "DeploymentGroupAlreadyExistsException", f"Deployment group already exists: {name}"
            )
        if not request.get("serviceRoleArn"):
            raise ApiError("RoleRequiredException", "Service role is required")
        record = {
            "applicationName": application,
            "deploymentGroupId": new_group_id(),
            "deploymentGroupName": name,
            "deploymentConfigName": DEFAULT,
            "deploymentStyle": dict(STYLE),
            "autoScalingGroups": [],
            "outdatedInstancesStrategy": "UPDATE",
            "computePlatform": "Server",
            "_instances": {},
        }
        self._apply(record, request)
        self._store.groups[(application, name)] = record
        return {"deploymentGroupId": record["deploymentGroupId"]}

    def _apply(self, record: dict, request: dict) -> None:
        """Take the fields over that the request names; the same for create and update."""
        style = request.get("deploymentStyle") or {}
        if style.get("deploymentType", "IN_PLACE") != "IN_PLACE":
            raise ApiError("InvalidDeploymentStyleException", "The local cloud deploys IN_PLACE only")
        if request.get("deploymentConfigName"):
            self._store.policy(request["deploymentConfigName"])
        _check_processes(request)
        for field in GROUP_FIELDS:
            if request.get(field) is not None:
                record[field] = request[field]
        record["deploymentStyle"] = {**STYLE, **(record.get("deploymentStyle") or {})}
        if request.get("autoScalingGroups") is not None:
            record["autoScalingGroups"] = [
                {"name": name, "hook": f"CodeDeploy-managed-automatic-launch-deployment-hook-{name}"[:255]}
                for name in request["autoScalingGroups"]
            ]
        for entry in record["autoScalingGroups"]:
            entry.pop("terminationHook", None)
            if record.get("terminationHookEnabled"):
                hook = f"CodeDeploy-managed-automatic-termination-deployment-hook-{entry['name']}"
                entry["terminationHook"] = hook[:255]

    def get_group(self, request: dict) -> dict:
        group = self._store.group(request.get("applicationName"), request.get("deploymentGroupName"))
        return {"deploymentGroupInfo": public(group)}

    def batch_get_groups(self, request: dict) -> dict:
        application = request.get("applicationName")
        self._store.application(application)
        found, missing = [], []
        for name in request.get("deploymentGroupNames") or []:
            group = self._store.groups.get((application, name))
            found.append(public(group)) if group else missing.append(name)
        answer: dict = {"deploymentGroupsInfo": found}
        if missing:
            answer["errorMessage"] = f"No Deployment Group found for name: {', '.join(missing)}"
        return answer

    def list_groups(self, request: dict) -> dict:
        application = request.get("applicationName")
        self._store.application(application)
        names = sorted(name for owner, name in self._store.groups if owner == application)
        return {"applicationName": application, **_list("deploymentGroups", names, request)}

    def update_group(self, request: dict) -> dict:
        application = request.get("applicationName")
        current = request.get("currentDeploymentGroupName")
        group = self._store.group(application, current)
        self._apply(group, request)
        new = request.get("newDeploymentGroupName")
        if new and new != current:
            check_name(new, "InvalidDeploymentGroupNameException", "deployment group name")
            if (application, new) in self._store.groups:
                raise ApiError(
                    "DeploymentGroupAlreadyExistsException", f"Deployment group already exists: {new}"
                )
            group["deploymentGroupName"] = new
            self._store.groups[(application, new)] = self._store.groups.pop((application, current))
        return {"hooksNotCleanedUp": []}

    def delete_group(self, request: dict) -> dict:
        application, name = request.get("applicationName"), request.get("deploymentGroupName")
        self._store.application(application)
        if not name:
            raise ApiError("DeploymentGroupNameRequiredException", "Deployment group name is required")
        self._store.groups.pop((application, name), None)
        self._store.tags.pop(arn(application, name), None)
        return {"hooksNotCleanedUp": []}

    # -- tags of applications and groups
    def tag(self, request: dict) -> dict:
        tags = {tag["Key"]: tag.get("Value", "") for tag in request.get("Tags") or []}
        self._store.tags[request.get("ResourceArn")] = {**self._tags(request), **tags}
        return {}

    def untag(self, request: dict) -> dict:
        kept = {k: v for k, v in self._tags(request).items() if k not in (request.get("TagKeys") or [])}
        self._store.tags[request.get("ResourceArn")] = kept
        return {}

    def list_tags(self, request: dict) -> dict:
        return {"Tags": [{"Key": key, "Value": value} for key, value in self._tags(request).items()]}

    def _tags(self, request: dict) -> dict[str, str]:
        name = request.get("ResourceArn")
        known = [arn(key) for key in self._store.applications] + [arn(*key) for key in self._store.groups]
        if name not in known:
            raise ApiError(
                "ResourceNotFoundException" if name else "ResourceArnRequiredException", f"{name} is unknown"
            )
        return dict(self._store.tags.get(name) or {})

    # -- configurations
    def create_config(self, request: dict) -> dict:
        name = request.get("deploymentConfigName")
        if not name:
            raise ApiError(
                "DeploymentConfigNameRequiredException", "Deployment configuration name is required"
            )
        check_name(name, "InvalidDeploymentConfigNameException", "deployment configuration name")
        if name in BUILT_IN or name in self._store.configs:
            raise ApiError(
                "DeploymentConfigAlreadyExistsException", f"Deployment configuration already exists: {name}"
            )
        hosts = request.get("minimumHealthyHosts") or {}
        kind, value = hosts.get("type"), hosts.get("value", 0)
        bad = (
            kind not in ("HOST_COUNT", "FLEET_PERCENT")
            or int(value) < 0
            or (kind == "FLEET_PERCENT" and int(value) > 99)
        )
        if bad:
            raise ApiError(
                "InvalidMinimumHealthyHostValueException", f"Invalid minimum healthy hosts: {hosts}"
            )
        record = {
            "deploymentConfigId": new_uuid(),
            "deploymentConfigName": name,
            "minimumHealthyHosts": {"type": kind, "value": int(value)},
            "createTime": time.time(),
            "computePlatform": "Server",
        }
        self._store.configs[name] = record
        return {"deploymentConfigId": record["deploymentConfigId"]}

    def get_config(self, request: dict) -> dict:
        name = request.get("deploymentConfigName")
        if not name:
            raise ApiError(
                "DeploymentConfigNameRequiredException", "Deployment configuration name is required"
            )
        record = self._store.configs.get(name)
        if record is None and name in BUILT_IN:
            hosts = {
                "CodeDeployDefault.OneAtATime": {"type": "FLEET_PERCENT", "value": 99},
                "CodeDeployDefault.HalfAtATime": {"type": "FLEET_PERCENT", "value": 50},
                "CodeDeployDefault.AllAtOnce": {"type": "FLEET_PERCENT", "value": 0},
            }[name]
            record = {"deploymentConfigName": name, "minimumHealthyHosts": hosts, "computePlatform": "Server"}
        if record is None:
            raise errors.no_config(name)
        return {"deploymentConfigInfo": record}

    def list_configs(self, request: dict) -> dict:
        return _list("deploymentConfigsList", sorted({*BUILT_IN, *self._store.configs}), request)

    def delete_config(self, request: dict) -> dict:
        name = request.get("deploymentConfigName")
        if not name:
            raise ApiError(
                "DeploymentConfigNameRequiredException", "Deployment configuration name is required"
            )
        if name in BUILT_IN:
            raise ApiError("InvalidOperationException", f"Default configuration {name} cannot be deleted")
        if any(group["deploymentConfigName"] == name for group in self._store.groups.values()):
            raise ApiError("DeploymentConfigInUseException", f"Deployment configuration is in use: {name}")
        self._store.configs.pop(name, None)
        return {}

    # -- revisions
    def register_revision(self, request: dict) -> dict:
        application = self._store.application(request.get("applicationName"))["applicationName"]
        revision = check_revision(request.get("revision"))
        self._store.register_revision(application, revision, request.get("description", ""))
        return {}

    def get_revision(self, request: dict) -> dict:
        application = self._store.application(request.get("applicationName"))["applicationName"]
        revision = check_revision(request.get("revision"))
        record = self._store.revisions.get((application, revision_key(revision)))
        if record is None:
            raise ApiError("RevisionDoesNotExistException", "The specified revision does not exist")
        return {
            "applicationName": application,
            "revision": record["revision"],
            "revisionInfo": record["info"],
        }

    def list_revisions(self, request: dict) -> dict:
        application = self._store.application(request.get("applicationName"))["applicationName"]
        records = [r for (owner, _), r in self._store.revisions.items() if owner == application]
        field = request.get("sortBy", "registerTime")
        records.sort(
            key=lambda r: r["info"].get(field) or 0, reverse=request.get("sortOrder") == "descending"
        )
        bucket, prefix = request.get("s3Bucket"), request.get("s3KeyPrefix")
        deployed = request.get("deployed", "ignore")
        chosen = []
        for record in records:
            location = record["revision"].get("s3Location") or {}
            if bucket and location.get("bucket") != bucket:
                continue
            if prefix and not location.get("key", "").startswith(prefix):
                continue
            used = bool(record["info"].get("lastUsedTime"))
            if (deployed == "include" and not used) or (deployed == "exclude" and used):
                continue
            chosen.append(record["revision"])
        return _list("revisions", chosen, request)


def _check_processes(request: dict) -> None:
    options = request.get("ec2DeploymentOptions") or {}
    for process in options.get("autoScalingGroupProcessesToSuspend") or []:
        if process not in SUSPENDABLE:
            raise ApiError(
                "InvalidAutoScalingGroupProcessToSuspendException",
                f"Invalid process: {process}. Valid values are {', '.join(SUSPENDABLE)}",
            )


def public(group: dict) -> dict:
    """A group's record without what only the engine uses."""
    return {key: value for key, value in group.items() if not key.startswith("_")}


def _list(key: str, items: list, request: dict) -> dict:
    try:
        found, token = page(items, request.get("nextToken"))
    except ValueError:
        raise ApiError(
            "InvalidNextTokenException", "The next token was specified in an invalid format"
        ) from None
    return {key: found, **({"nextToken": token} if token else {})}
