"""AWS::CloudFormation::Stack: a child runs the same operation as a top-level stack.

ministack deploys a child inline, which resolves no dynamic reference, ignores DeletionPolicy, never rolls the
child back and leaks what a failed child had created. Here the child gets ministack's own stack operations, on
a loop of its own in the worker thread of the parent, and the parent's events carry the child's id as AWS's
do.
"""

from __future__ import annotations

import asyncio
import contextvars
import copy
import re
from collections.abc import Coroutine
from typing import Any

from ministack.core.responses import get_account_id, get_region, new_uuid, now_iso
from ministack.services import cloudformation
from ministack.services.cloudformation import provisioners, stacks
from ministack.services.cloudformation.engine import (
    _apply_transforms,
    _parse_template,
    _resolve_parameters,
    validate_template_support,
)
from ministack.services.cloudformation.helpers import _resolve_template

from localcloud.cfn.expressions import evaluate_conditions
from localcloud.cfn.registry import register
from localcloud.emulator.shapes import Action, Answer, Made

TYPE = "AWS::CloudFormation::Stack"
UNRESOLVED = "{{IntrinsicFunction:"  # what a value begins with that is not known while a change set is made
TOO_LARGE = re.compile(rb"Template may not exceed \d+ bytes in size\.")
GONE_KEPT = 60  # deleted nested stacks, with their events; AWS keeps them for 90 days


def _run(operation: Coroutine[Any, Any, None]) -> None:
    """Run a stack operation to its end, free of the parent's per-resource context."""

    def isolated() -> None:
        provisioners._NAME_SEED.set("")
        provisioners._DEFERRED_PREDECESSOR_DELETES.set(None)
        provisioners._RETAIN_REPLACED.set(False)
        asyncio.run(operation)

    contextvars.copy_context().run(isolated)


def find(physical_id: str) -> tuple[str, dict] | None:
    for name, stack in cloudformation._stacks.items():
        if stack.get("StackId") == physical_id or name == physical_id:
            return name, stack
    return None


def template_of(props: dict, parent_name: str) -> tuple[dict, str, dict]:
    """Template, its text, and the resolved parameters."""
    url = props.get("TemplateURL")
    if not url:
        raise ValueError("Property TemplateURL cannot be empty.")
    body, error = _resolve_template({"TemplateURL": [url]})
    if error is not None or not body:
        too_large = TOO_LARGE.search(error[2]) if error is not None else None
        raise ValueError(
            too_large[0].decode() if too_large else f"S3 error: the template at {url} cannot be read"
        )
    given = props.get("Parameters") or {}
    if any(isinstance(value, (list, dict)) for value in given.values()):
        raise ValueError(
            "Value of property Parameters must be an object with String (or simple type) properties"
        )
    provided = [{"Key": key, "Value": "" if value is None else _text(value)} for key, value in given.items()]
    template = _apply_transforms(_parse_template(body), provided)
    provisioners._check_nested_stack_capabilities(parent_name, template)
    unknown = sorted(given.keys() - (template.get("Parameters") or {}).keys())
    if unknown:
        raise ValueError(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    values = _resolve_parameters(_open(template, given), provided)
    validate_template_support(template, evaluate_conditions(template, values), params=values)
    return template, body, values


def _open(template: dict, given: dict) -> dict:
    """The template without constraints of the parameters whose value is a token."""
    declared = dict(template.get("Parameters") or {})
    for name, value in given.items():
        if UNRESOLVED in str(value):
            if declared[name].get("Type", "").startswith("AWS::SSM::Parameter::Value<"):
                raise ValueError(
                    f"Unable to fetch parameters [{value}] from parameter store for this account."
                )
            declared[name] = {"Type": "String", "NoEcho": declared[name].get("NoEcho", False)}
    return {**template, "Parameters": declared}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _describe(stack: dict, template: dict, body: str, values: dict, props: dict) -> None:
    stack.update(
        Description=template.get("Description", ""),
        Parameters=[
            {"ParameterKey": key, "ParameterValue": value["Value"], "NoEcho": value["NoEcho"]}
            for key, value in values.items()
        ],
        Tags=[
            {"Key": key, "Value": value}
            for key, value in provisioners._tag_map(props.get("Tags")).items()
            if not key.startswith("aws:")
        ],
        LastUpdatedTime=now_iso(),
        StackStatusReason="",
        _template_body=body,
        _conditions=evaluate_conditions(template, values),
    )


def _begin(stack: dict, status: str) -> None:
    stack["StackStatus"] = status
    stacks._add_event(stack["StackId"], stack["StackName"], stack["StackName"], TYPE, status,
                      physical_id=stack["StackId"])  # fmt: skip


def _outcome(stack: dict, wanted: str) -> dict:
    """The attributes of a child that reached its goal; otherwise the parent's reason, in AWS's words."""
    if stack["StackStatus"] == wanted:
        return {f"Outputs.{o['OutputKey']}": o["OutputValue"] for o in stack.get("Outputs", [])}
    verb = "created" if wanted == "CREATE_COMPLETE" else "updated"
    reason = stack.get("StackStatusReason") or stack["StackStatus"]
    raise ValueError(f"Embedded stack {stack['StackId']} was not successfully {verb}: {reason}")


def create(logical_id: str, props: dict, parent_name: str) -> Made:
    template, body, values = template_of(props, parent_name)
    name = f"{parent_name}-{logical_id}-{new_uuid().replace('-', '')[:12].upper()}"
    stack_id = f"arn:aws:cloudformation:{get_region()}:{get_account_id()}:stack/{name}/{new_uuid()}"
    parent = cloudformation._stacks.get(parent_name) or {}
    stack = {
        "StackName": name,
        "StackId": stack_id,
        "CreationTime": now_iso(),
        "Outputs": [],
        "DisableRollback": bool(parent.get("DisableRollback")),
        "ParentId": parent.get("StackId", ""),
        "RootId": parent.get("RootId") or parent.get("StackId", ""),
        "Capabilities": provisioners._inherited_capabilities(parent_name),
        "_region": get_region(),
        "_parent_stack_name": parent_name,
        "_resources": {},
        "_template": template,
        "_resolved_params": values,
    }
    _describe(stack, template, body, values, props)
    cloudformation._stacks[name] = stack
    cloudformation._stack_events[stack_id] = []
    # Recorded before it is whole, so that a parent that is cut short still knows its child.
    record = {
        "PhysicalResourceId": stack_id,
        "ResourceType": TYPE,
        "ResourceStatus": "CREATE_IN_PROGRESS",
        "LogicalResourceId": logical_id,
        "Properties": props,
        "Attributes": {},
        "Timestamp": now_iso(),
    }
    resources = parent.setdefault("_resources", {})
    resources[logical_id] = record
    if parent:
        stacks._add_event(parent["StackId"], parent_name, logical_id, TYPE, "CREATE_IN_PROGRESS",
                          "Resource creation Initiated", stack_id)  # fmt: skip
    _begin(stack, "CREATE_IN_PROGRESS")
    _run(
        stacks._deploy_stack_async(name, stack_id, template, values, stack["DisableRollback"], stack["Tags"])
    )
    try:
        return stack_id, _outcome(stack, "CREATE_COMPLETE")
    except ValueError:
        record["ResourceStatus"] = "CREATE_FAILED"
        if not stack["DisableRollback"]:
            # AWS deletes the child during the parent's rollback; the parent forgets a resource that failed.
            _run(stacks._delete_stack_async(name, stack_id))
            if stack["StackStatus"] == "DELETE_COMPLETE":
                resources.pop(logical_id, None)
        raise


def update(physical_id: str, old: dict, new: dict, parent_name: str, logical_id: str | None = None) -> Made:
    found = find(physical_id)
    if found is None or found[1].get("StackStatus") == "DELETE_COMPLETE":
        return create(logical_id or physical_id, new, parent_name)
    name, stack = found
    template, body, values = template_of(new, parent_name)
    if (
        stack["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")
        and template == stack.get("_template")
        and values == stack.get("_resolved_params")
        and old.get("Tags") == new.get("Tags")
    ):
        return physical_id, _outcome({**stack, "StackStatus": "UPDATE_COMPLETE"}, "UPDATE_COMPLETE")
    keys = ("_resources", "_template", "_template_body", "_resolved_params", "_conditions", "Parameters",
            "Tags", "Outputs")  # fmt: skip
    previous = {key: copy.deepcopy(stack.get(key) or ([] if key[0] != "_" else {})) for key in keys}
    parent = cloudformation._stacks.get(parent_name) or {}
    if parent:
        stacks._add_event(parent["StackId"], parent_name, logical_id or name, TYPE, "UPDATE_IN_PROGRESS", "",
                          stack["StackId"])  # fmt: skip
    _describe(stack, template, body, values, new)
    _begin(stack, "UPDATE_IN_PROGRESS")
    _run(
        stacks._deploy_stack_async(
            name, stack["StackId"], template, values, bool(stack.get("DisableRollback")), stack["Tags"],
            is_update=True, previous_stack=previous,
        )
    )  # fmt: skip
    return physical_id, _outcome(stack, "UPDATE_COMPLETE")


def delete(physical_id: str, props: dict) -> None:
    found = find(physical_id)
    if found is None or found[1].get("StackStatus") == "DELETE_COMPLETE":
        return
    name, stack = found
    _run(stacks._delete_stack_async(name, stack["StackId"]))
    _forget_long_gone()
    if stack["StackStatus"] != "DELETE_COMPLETE":
        raise ValueError(
            f"Embedded stack {stack['StackId']} was not successfully deleted: "
            f"{stack.get('StackStatusReason', '')}"
        )


def _forget_long_gone() -> None:
    """Their number only makes each save slower."""
    gone = [
        (name, stack)
        for name, stack in list(cloudformation._stacks.items())
        if stack.get("ParentId") and stack.get("StackStatus") == "DELETE_COMPLETE"
    ]
    for name, stack in gone[:-GONE_KEPT]:
        cloudformation._stacks.pop(name, None)
        cloudformation._stack_events.pop(stack["StackId"], None)


STACK_ID = re.compile(rb"<StackId>([^<]+)</StackId>")


def with_parents(describe: Action) -> Action:
    """DescribeStacks with ParentId and RootId, which ministack keeps but does not answer."""

    def ids(match: re.Match[bytes]) -> bytes:
        found = find(match[1].decode())
        if found is None or not found[1].get("ParentId"):
            return match[0]
        parent, root = found[1]["ParentId"], found[1].get("RootId", "")
        return match[0] + f"<ParentId>{parent}</ParentId><RootId>{root}</RootId>".encode()

    def handler(params: dict) -> Answer:
        status, headers, body = describe(params)
        return status, headers, STACK_ID.sub(ids, body) if status == 200 else body

    return handler


def install() -> None:
    register(TYPE, create, delete, update, blocking=True)
