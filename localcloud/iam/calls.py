"""Recorded calls as requests to IAM. Pure.

The recorder of the local cloud names actions and resources as IAM does, and what AWS asks at the key of an encrypted
resource by the way.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcloud.iam.policy import Request

GROUP = ":autoScalingGroupName/"


@dataclass(frozen=True)
class Call:
    """What hosts with this instance profile did, or a service with this role."""

    component: str
    profile: str
    request: Request
    role: str = ""


@dataclass(frozen=True)
class Around:
    """What the record does not say of a call: where it was made, and on what."""

    region: str
    group_tags: Mapping[str, Mapping[str, str]]


def read(file: Path) -> list[dict[str, Any]]:
    """The distinct records of a file of JSON lines; the last may be half written."""
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    whole = {line for line in lines if line.endswith("\n") and line.strip()}
    return [json.loads(line) for line in sorted(whole)]


def calls(records: list[dict[str, Any]], around: Around) -> Iterator[Call]:
    """The requests that recorded calls of hosts stand for."""
    for record in records:
        if "app" in record:
            continue
        resource = record.get("resource") or "*"
        context = {"aws:RequestedRegion": around.region, "aws:SecureTransport": "true"}
        context |= _tags(resource, around) | record.get("context", {})
        request = Request(record["action"], resource, context)
        yield Call(record["component"], record["profile"], request, record.get("role", ""))


def _tags(resource: str, around: Around) -> dict[str, str]:
    tags = around.group_tags.get(resource.partition(GROUP)[2], {})
    return {
        f"{prefix}:ResourceTag/{key}": value
        for key, value in tags.items()
        for prefix in ("aws", "autoscaling")
    }
