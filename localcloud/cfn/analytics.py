"""AWS::Athena::NamedQuery, which ministack's CloudFormation lacks. Queries are records: nothing here runs one."""

from __future__ import annotations

import json

from ministack.services import athena

from localcloud.cfn.registry import register
from localcloud.emulator.shapes import Made

NAMED = ("Name", "Description", "Database", "QueryString", "WorkGroup")


def _create(logical_id: str, props: dict, stack_name: str) -> Made:
    group = props.get("WorkGroup", "primary")
    if group not in athena._workgroups:
        raise ValueError(
            f"WorkGroup {group} is not found. (Service: Athena; Error Code: InvalidRequestException)"
        )
    given = {key: props[key] for key in NAMED if key in props}
    _, _, body = athena._create_named_query({"Name": logical_id, **given})
    name = json.loads(body)["NamedQueryId"]
    return name, {"NamedQueryId": name}


def _update(physical_id: str, old: dict, new: dict, stack_name: str, logical_id: str | None = None) -> Made:
    """Every property replaces it."""
    made = _create(logical_id or physical_id, new, stack_name)
    _delete(physical_id, old)
    return made


def _delete(physical_id: str, props: dict) -> None:
    athena._delete_named_query({"NamedQueryId": physical_id})


def install() -> None:
    register("AWS::Athena::NamedQuery", _create, _delete, _update)
