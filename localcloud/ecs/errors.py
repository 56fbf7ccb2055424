"""ECS's errors by their names in the API, and why a task did not start. Holds no logic."""

from __future__ import annotations

from localcloud.emulator.jsonapi import ApiError


class StartError(Exception):
    """A task cannot start; the text begins with AWS's name of the error and becomes its `stoppedReason`."""


def client(message: str) -> ApiError:
    return ApiError("ClientException", message)


def invalid(message: str) -> ApiError:
    return ApiError("InvalidParameterException", message)


def not_connected() -> ApiError:
    return ApiError(
        "TargetNotConnectedException",
        "The execute command failed due to an internal error. Try again later.",
    )


def no_cluster() -> ApiError:
    return ApiError("ClusterNotFoundException", "Cluster not found.")


def no_service() -> ApiError:
    return ApiError("ServiceNotFoundException", "Service not found.")
