"""The values of a container's `secrets`, fetched with the task's execution role. Never writes one anywhere."""

from __future__ import annotations

import json

from ministack.core.responses import get_account_id, get_region
from ministack.services import secretsmanager, ssm

from localcloud.ecs.errors import StartError
from localcloud.ecs.rights import Rights

FAILED = "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "
ARN_PARTS = 7


def values(container: dict, rights: Rights) -> dict[str, str]:
    """Variable and value of each of them; raises StartError for the first that cannot be had."""
    return {one["name"]: _value(one["valueFrom"], rights) for one in container.get("secrets") or []}


def _value(source: str, rights: Rights) -> str:
    return _secret(source, rights) if ":secretsmanager:" in source else _parameter(source, rights)


def _secret(source: str, rights: Rights) -> str:
    """`ARN`, or `ARN:key:stage:version`, of which the last three may be empty."""
    parts = source.split(":")
    arn = ":".join(parts[:ARN_PARTS])
    key, stage, version = [*parts[ARN_PARTS:], "", "", ""][:3]
    reason = rights.denied_secret(arn)
    if not reason:
        found = secretsmanager.resolve_secret_string(arn, stage or "AWSCURRENT", version or None)
        if found is None:
            reason = "ResourceNotFoundException: Secrets Manager can't find the specified secret."
    if reason:
        raise StartError(
            f"{FAILED}unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch "
            f"secret {arn} from secrets manager: {reason}"
        )
    return _member(arn, found, key) if key else found


def _member(arn: str, text: str, key: str) -> str:
    try:
        value = json.loads(text)[key]
    except (ValueError, TypeError, KeyError):
        raise StartError(
            f"{FAILED}unable to retrieve secret from asm: retrieved secret from Secrets Manager did not contain json "
            f"key {key}: {arn}"
        ) from None
    return value if isinstance(value, str) else json.dumps(value)


def _parameter(source: str, rights: Rights) -> str:
    arn = source
    if not source.startswith("arn:"):
        arn = f"arn:aws:ssm:{get_region()}:{get_account_id()}:parameter/{source.lstrip('/')}"
    reason = rights.denied("ssm:GetParameters", arn)
    value = None if reason else ssm.resolve_parameter_value(source, decrypt=True)
    if value is None:
        raise StartError(
            f"{FAILED}unable to retrieve secrets from ssm: service call has been retried 1 time(s): "
            f"{reason or f'invalid ssm parameters: {source}'}"
        )
    return str(value)
