"""Recorded calls as requests to IAM: under IAM's names, and with what AWS does for the caller by the way. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcloud.iam.policy import Request

# Names of services in signatures that differ from those in policies.
SERVICES = {"monitoring": "cloudwatch", "email": "ses"}
# Operations that need the permission of another name.
ACTIONS = {
    "s3": {
        "HeadObject": "GetObject",
        "HeadBucket": "ListBucket",
        "ListObjects": "ListBucket",
        "ListObjectsV2": "ListBucket",
        "ListBuckets": "ListAllMyBuckets",
        "CreateMultipartUpload": "PutObject",
        "UploadPart": "PutObject",
        "CompleteMultipartUpload": "PutObject",
    },
    "sqs": {
        "SendMessageBatch": "SendMessage",
        "DeleteMessageBatch": "DeleteMessage",
        "ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
    },
}
# Anybody may make these.
FREE = {"sts:GetCallerIdentity"}
# What the service asks of the caller at the key of an encrypted resource.
KEY_USES = {
    "s3:GetObject": ("kms:Decrypt",),
    "s3:PutObject": ("kms:GenerateDataKey", "kms:Decrypt"),  # the second for uploads in parts
    "secretsmanager:GetSecretValue": ("kms:Decrypt",),
    "sqs:SendMessage": ("kms:GenerateDataKey", "kms:Decrypt"),
    "sqs:ReceiveMessage": ("kms:Decrypt",),
}
GROUP = ":autoScalingGroupName/"


@dataclass(frozen=True)
class Call:
    """What a component's hosts did."""

    component: str
    request: Request


@dataclass(frozen=True)
class Around:
    """What the record does not say of a call: where it was made, and of what."""

    region: str
    group_tags: Mapping[str, Mapping[str, str]]
    key_of: Callable[[str, str], str | None]


def read(file: Path) -> list[dict[str, Any]]:
    """The distinct records of a file of JSON lines; the last may be half written."""
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    whole = {line for line in lines if line.endswith("\n") and line.strip()}
    return [json.loads(line) for line in sorted(whole)]


def calls(records: list[dict[str, Any]], around: Around) -> Iterator[Call]:
    """The requests to IAM that recorded calls stand for."""
    for record in records:
        service = SERVICES.get(record["service"], record["service"])
        action = record["action"].removeprefix(f"{record['service']}:")
        action = f"{service}:{ACTIONS.get(service, {}).get(action, action)}"
        if action in FREE:
            continue
        resource = record.get("resource") or "*"
        context = {"aws:RequestedRegion": around.region, "aws:SecureTransport": "true"}
        context |= _tags(resource, around) | record.get("context", {})
        yield Call(record["component"], Request(action, resource, context))
        for use in _key_uses(action, resource, around):
            yield Call(record["component"], use)


def _tags(resource: str, around: Around) -> dict[str, str]:
    tags = around.group_tags.get(resource.partition(GROUP)[2], {})
    return {
        f"{prefix}:ResourceTag/{key}": value
        for key, value in tags.items()
        for prefix in ("aws", "autoscaling")
    }


def _key_uses(action: str, resource: str, around: Around) -> Iterator[Request]:
    service = action.partition(":")[0]
    key = around.key_of(service, resource) if action in KEY_USES else None
    if key:
        via = {"kms:ViaService": f"{service}.{around.region}.amazonaws.com"}
        for use in KEY_USES[action]:
            yield Request(use, key, via)
