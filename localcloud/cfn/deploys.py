"""AWS::CodeDeploy::{Application,DeploymentGroup,DeploymentConfig}: templates' properties become API
requests.
"""

from __future__ import annotations

from ministack.services.cloudformation import provisioners

from localcloud.cfn.registry import draw_name, register, tags_of
from localcloud.codedeploy.api import Service
from localcloud.codedeploy.errors import ApiError
from localcloud.codedeploy.store import arn
from localcloud.emulator.shapes import Made

# Property names whose API form is not just a lower first letter.
NAMES = {"Ec2TagFilters": "ec2TagFilters", "ECSServices": "ecsServices", "Ec2TagSet": "ec2TagSet"}
BOOLEANS = {"enabled", "ignorePollAlarmFailure", "terminationHookEnabled"}


def api_form(props: dict) -> dict:
    """CloudFormation's PascalCase as the API's camelCase, with real booleans where the API has them."""
    named = {NAMES.get(key, key[:1].lower() + key[1:]): value for key, value in props.items()}
    return {key: _api_value(value, key) for key, value in named.items()}


def _api_value(value: object, key: str = "") -> object:
    if isinstance(value, dict):
        return api_form(value)
    if isinstance(value, list):
        return [_api_value(entry) for entry in value]
    if key in BOOLEANS:
        return str(value).lower() == "true"
    return value


class Deploys:
    def __init__(self, service: Service) -> None:
        self._service = service

    def _call(self, operation: str, request: dict) -> dict:
        try:
            with self._service.store.lock:
                return self._service.operations[operation](request)
        except ApiError as error:
            raise ValueError(f"{error} (Service: AmazonCodeDeploy; Error Code: {error.code})") from None

    # -- Application
    def create_application(self, logical_id: str, props: dict, stack_name: str) -> Made:
        draw_name(props, "ApplicationName")
        name = props.get("ApplicationName") or provisioners._physical_name(
            stack_name, logical_id, max_len=100
        )
        self._call(
            "CreateApplication",
            {"applicationName": name, "computePlatform": props.get("ComputePlatform", "Server")},
        )
        self._tag(arn(name), props)
        return name, {}

    def update_application(
        self, physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None
    ) -> Made:
        """Only tags can change in place."""
        self._tag(arn(physical_id), new)
        return physical_id, {}

    def _tag(self, name: str, props: dict) -> None:
        self._service.store.tags[name] = {tag["Key"]: tag["Value"] for tag in tags_of(props)}

    def delete_application(self, physical_id: str, props: dict) -> None:
        self._call("DeleteApplication", {"applicationName": physical_id})

    # -- DeploymentGroup
    def _request(self, props: dict, name: str) -> dict:
        request = api_form(
            {k: v for k, v in props.items() if k not in ("Tags", "Deployment", "DeploymentGroupName")}
        )
        return {**request, "deploymentGroupName": name}

    def create_group(self, logical_id: str, props: dict, stack_name: str) -> Made:
        draw_name(props, "DeploymentGroupName")
        name = props.get("DeploymentGroupName") or provisioners._physical_name(
            stack_name, logical_id, max_len=100
        )
        if props.get("Deployment"):
            raise ValueError("The local cloud does not deploy from a template; use CreateDeployment.")
        answer = self._call("CreateDeploymentGroup", self._request(props, name))
        self._tag(arn(props["ApplicationName"], name), props)
        return name, {"Id": answer["deploymentGroupId"]}

    def update_group(
        self, physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None
    ) -> Made:
        request = self._request(new, physical_id)
        del request["deploymentGroupName"]
        defaults = {"autoScalingGroups": [], "autoRollbackConfiguration": {"enabled": False, "events": []}}
        dropped = {k: v for k, v in defaults.items() if k not in request}
        self._call("UpdateDeploymentGroup", {**dropped, **request, "currentDeploymentGroupName": physical_id})
        self._tag(arn(new["ApplicationName"], physical_id), new)
        group = self._service.store.group(new["ApplicationName"], physical_id)
        return physical_id, {"Id": group["deploymentGroupId"]}

    def delete_group(self, physical_id: str, props: dict) -> None:
        if props["ApplicationName"] in self._service.store.applications:
            self._call(
                "DeleteDeploymentGroup",
                {"applicationName": props["ApplicationName"], "deploymentGroupName": physical_id},
            )

    # -- DeploymentConfig
    def create_config(self, logical_id: str, props: dict, stack_name: str) -> Made:
        draw_name(props, "DeploymentConfigName")
        name = props.get("DeploymentConfigName") or provisioners._physical_name(
            stack_name, logical_id, max_len=100
        )
        request = api_form({k: v for k, v in props.items() if k != "DeploymentConfigName"})
        self._call("CreateDeploymentConfig", {**request, "deploymentConfigName": name})
        return name, {}

    def delete_config(self, physical_id: str, props: dict) -> None:
        self._call("DeleteDeploymentConfig", {"deploymentConfigName": physical_id})

    def install(self) -> None:
        register(
            "AWS::CodeDeploy::Application",
            self.create_application,
            self.delete_application,
            self.update_application,
        )
        register("AWS::CodeDeploy::DeploymentGroup", self.create_group, self.delete_group, self.update_group)
        register("AWS::CodeDeploy::DeploymentConfig", self.create_config, self.delete_config)
