"""CodeDeploy's errors by their names in the API. Holds no logic."""

from __future__ import annotations

from localcloud.emulator.jsonapi import ApiError


def no_application(name: str) -> ApiError:
    return ApiError("ApplicationDoesNotExistException", f"No application found for name: {name}")


def no_group(name: str) -> ApiError:
    return ApiError("DeploymentGroupDoesNotExistException", f"No Deployment Group found for name: {name}")


def no_deployment(deployment_id: str) -> ApiError:
    return ApiError("DeploymentDoesNotExistException", f"The deployment {deployment_id} could not be found")


def no_config(name: str) -> ApiError:
    return ApiError(
        "DeploymentConfigDoesNotExistException", f"No deployment configuration found for name: {name}"
    )
