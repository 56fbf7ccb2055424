"""Change sets with IncludeNestedStacks: one for each nested stack, made as AWS makes them.

While a change set is made, nothing runs. A nested stack's parameter that is wired from a resource which the same
change set adds or changes has no value yet: AWS passes the text of a token, even where the value will turn out to
be the old one. The nested template is evaluated with that text, so functions that take a value apart fail, and a
property that must not change seems to. AllowedPattern is not held against a token: whether AWS does is not known.
Unlike AWS, no shell is made of a nested stack that is yet to be created.
"""

from __future__ import annotations

import copy
import re
from typing import Any

from ministack.core.responses import get_account_id, get_region, new_uuid, now_iso
from ministack.services import cloudformation
from ministack.services.cloudformation import changesets, stacks
from ministack.services.cloudformation.engine import _resolve_refs, _topological_sort
from ministack.services.cloudformation.helpers import _p

from localcloud.cfn import nested
from localcloud.cfn.expressions import evaluate_conditions
from localcloud.emulator.shapes import Action, Answer

EMPTY = (
    "The submitted information didn't contain changes. Submit different information to create a change set."
)
MADE = re.compile(rb"<Id>([^<]+)</Id>")
ROW = re.compile(rb"(<ResourceChange><Action>[^<]*</Action><LogicalResourceId>([^<]+)</LogicalResourceId>)")


class Tokens(dict):
    """The attributes of a resource that nobody knows before the change set runs."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self._place = place

    def __contains__(self, attribute: object) -> bool:
        return True

    def __getitem__(self, attribute: str) -> str:
        return token(f"{self._place}.{attribute}", "Fn::GetAtt")


def token(place: str, function: str) -> str:
    """What AWS writes where `function` has no value yet."""
    return f"{nested.UNRESOLVED}{place}/{function}}}}}"


def _unknown(place: str, record: dict, row: dict) -> dict:
    """A resource as others see it once the change set adds or changes it; its id stays unless it is replaced."""
    stays = row["Action"] == "Modify" and row.get("Replacement") == "False"
    return {
        "PhysicalResourceId": record.get("PhysicalResourceId") if stays else token(place, "Ref"),
        "Attributes": Tokens(place),
    }


def _collapsed(raw: Any, value: Any, conditions: dict[str, bool], stack_name: str) -> Any:
    """A function over a token is one token as a whole."""
    while isinstance(raw, dict) and "Fn::If" in raw:
        condition, yes, no = raw["Fn::If"]
        raw = yes if conditions.get(condition) else no
    if nested.UNRESOLVED not in str(value) or not isinstance(raw, dict) or raw.keys() & {"Ref", "Fn::GetAtt"}:
        return value
    return token(f"{stack_name}/", next(iter(raw)))


class Stack:
    """A stack as it is (nothing, if it is yet to be made) and as a change set would have it."""

    def __init__(self, record: dict, name: str, stack_id: str, template: dict, values: dict) -> None:
        self.record, self.name, self.id = record, name, stack_id
        self.template, self.values = template, values
        self.conditions = evaluate_conditions(template, values)
        # What is known of its resources; those that the change set touches become tokens.
        self.known: dict[str, dict] = dict(record.get("_resources") or {})

    def resolved(self, value: Any) -> Any:
        """A value of the new template."""
        return _resolve_refs(copy.deepcopy(value), self.known, self.values, self.conditions,
                             self.template.get("Mappings", {}), self.name, self.id)  # fmt: skip

    def order(self) -> list[str]:
        """Its resources, each after those that it refers to."""
        return _topological_sort(self.template.get("Resources", {}), self.conditions)

    def rows(self, *, retag: bool) -> list[dict]:
        """What changes in its own resources, without those whose condition is false."""
        values = self.record.get("_resolved_params") or {}
        resources = self.record.get("_resources") or {}
        old = self._active(self.record.get("_template") or {}, values)
        changed = {key for key, value in self.values.items()
                   if values.get(key, {}).get("Value") != value["Value"]}  # fmt: skip
        return stacks._diff_resources(old, self._active(self.template, self.values), resources, self.template,
                                      changed, resources if retag else ())  # fmt: skip

    def _active(self, template: dict, values: dict) -> dict:
        conditions = evaluate_conditions(template, values)
        resolved = changesets._resolve_props_for_diff(template, values, self.name, self.id)
        resources = resolved.get("Resources", {})
        return {
            "Resources": {
                key: value
                for key, value in resources.items()
                if "Condition" not in value or conditions.get(value["Condition"], True)
            }
        }


def _include(root: dict) -> None:
    """Give a change set that ministack made one for each nested stack."""
    record = cloudformation._stacks[root["StackName"]]
    is_update = root["ChangeSetType"] == "UPDATE"
    retag = is_update and stacks._stack_tags_changed(record, root["Tags"], root["_tags_given"])
    stack = Stack(record if is_update else {}, root["StackName"], root["StackId"], root["_template"],
                  root["_resolved_params"])  # fmt: skip
    _fill(root, stack, retag=retag)
    root["IncludeNestedStacks"] = True
    if root["Status"] == "CREATE_COMPLETE":
        root.update(ExecutionStatus="AVAILABLE", StatusReason="")


def _fill(made: dict, stack: Stack, *, retag: bool) -> None:
    """The changes of a stack and, with change sets of their own, of the stacks nested in it."""
    rows = {row["ResourceChange"]["LogicalResourceId"]: row for row in stack.rows(retag=retag)}
    failed = None
    for logical_id in stack.order():
        resource = stack.template["Resources"][logical_id]
        if resource.get("Type") == nested.TYPE:
            child = _child(made, stack, logical_id, resource, retag=retag)
            if child["Status"] == "FAILED" and child["StatusReason"] != EMPTY:
                failed = failed or child["ChangeSetId"]
            elif child["Changes"] and logical_id not in rows:
                rows[logical_id] = _automatic(logical_id, stack.known[logical_id])
            if logical_id in rows:
                rows[logical_id]["ResourceChange"]["ChangeSetId"] = child["ChangeSetId"]
        else:
            _evaluate(stack, resource)
        if logical_id in rows:
            place, record = f"{stack.name}/{logical_id}", stack.known.get(logical_id, {})
            stack.known[logical_id] = _unknown(place, record, rows[logical_id]["ResourceChange"])
    made["Changes"] = [rows[logical_id] for logical_id in sorted(rows)]
    if failed:
        _fail(made, f"Nested change set {failed} was not successfully created: Currently in FAILED.")
    elif not rows:
        _fail(made, EMPTY)
    else:
        made["Status"] = "CREATE_COMPLETE"


def _fail(made: dict, reason: str) -> None:
    made.update(Status="FAILED", ExecutionStatus="UNAVAILABLE", StatusReason=reason)


def _automatic(logical_id: str, record: dict) -> dict:
    """The row of a nested stack that only changes inside."""
    detail = {
        "Target": {"Attribute": "Properties", "RequiresRecreation": "Never"},
        "Evaluation": "Dynamic",
        "ChangeSource": "Automatic",
    }
    change = {
        "Action": "Modify",
        "LogicalResourceId": logical_id,
        "PhysicalResourceId": record.get("PhysicalResourceId"),
        "ResourceType": nested.TYPE,
        "Replacement": "False",
        "Scope": ["Properties"],
        "Details": [detail],
    }
    return {"ResourceChange": change}


def _evaluate(stack: Stack, resource: dict) -> None:
    """Selecting what is not there fails the change set; what else cannot be told yet is left to the operation."""
    try:
        stack.resolved(resource.get("Properties", {}))
    except ValueError as error:
        if "Fn::Select" in str(error):
            raise


def _child(parent: dict, stack: Stack, logical_id: str, resource: dict, *, retag: bool) -> dict:
    """The change set of a nested stack, kept with the others."""
    found = nested.find(stack.known.get(logical_id, {}).get("PhysicalResourceId", ""))
    record = found[1] if found else {}
    name = record.get("StackName") or f"{stack.name}-{logical_id}-{new_uuid()[:12].upper()}"
    arn = f"arn:aws:cloudformation:{get_region()}:{get_account_id()}"
    # As in aws-sam-cli#2406: changeSet/samcli-deploy1614800918-StackY-XBVUQ6I0JZWD/…
    change_set = f"{parent['ChangeSetName']}-{logical_id}-{new_uuid()[-12:].upper()}"
    made = {
        "ChangeSetId": f"{arn}:changeSet/{change_set}/{new_uuid()}",
        "ChangeSetName": change_set,
        "StackId": record.get("StackId") or f"{arn}:stack/{name}/{new_uuid()}",
        "StackName": name,
        "ExecutionStatus": "UNAVAILABLE",
        "StatusReason": "Only executable from the root change set.",
        "CreationTime": now_iso(),
        "ChangeSetType": "UPDATE" if record else "CREATE",
        "Changes": [],
        "ParentChangeSetId": parent["ChangeSetId"],
        "RootChangeSetId": parent.get("RootChangeSetId", parent["ChangeSetId"]),
        "IncludeNestedStacks": True,
    }
    cloudformation._change_sets[made["ChangeSetId"]] = made
    try:
        template, _, values = nested.template_of(_properties(stack, resource), stack.name)
        made["Parameters"] = [
            {"ParameterKey": key, "ParameterValue": "****" if value["NoEcho"] else value["Value"]}
            for key, value in values.items()
        ]
        _fill(made, Stack(record, name, made["StackId"], template, values), retag=retag)
    except ValueError as error:
        _fail(made, str(error))
    return made


def _properties(stack: Stack, resource: dict) -> dict:
    raw = resource.get("Properties", {})
    properties = stack.resolved(raw)
    parameters = properties.get("Parameters") or {}
    given = raw.get("Parameters") or {}
    return {
        **properties,
        "Parameters": {
            key: _collapsed(given.get(key), value, stack.conditions, stack.name)
            for key, value in parameters.items()
        },
    }


def _forget_orphans() -> None:
    """Nested change sets go with their root."""
    sets = cloudformation._change_sets
    for key, one in list(sets.items()):
        if "RootChangeSetId" in one and one["RootChangeSetId"] not in sets:
            sets.pop(key, None)


def with_nested(create: Action) -> Action:
    """CreateChangeSet that heeds IncludeNestedStacks."""

    def handler(params: dict) -> Answer:
        status, headers, body = create(params)
        found = MADE.search(body) if status == 200 else None
        if found and _p(params, "IncludeNestedStacks", "").lower() == "true":
            _include(cloudformation._change_sets[found[1].decode()])
        return status, headers, body

    return handler


def with_ids(describe: Action) -> Action:
    """DescribeChangeSet that names nested change sets, their parent and their root."""

    def handler(params: dict) -> Answer:
        status, headers, body = describe(params)
        _, found = changesets._find_change_set(_p(params, "ChangeSetName"), _p(params, "StackName"))
        if status != 200 or not found or not found.get("IncludeNestedStacks"):
            return status, headers, body
        rows = [row["ResourceChange"] for row in found["Changes"]]
        ids = {row["LogicalResourceId"]: row["ChangeSetId"] for row in rows if "ChangeSetId" in row}

        def named(match: re.Match[bytes]) -> bytes:
            one = ids.get(match[2].decode())
            return match[0] + (f"<ChangeSetId>{one}</ChangeSetId>".encode() if one else b"")

        tags = ("ParentChangeSetId", "RootChangeSetId")
        more = "".join(f"<{tag}>{found[tag]}</{tag}>" for tag in tags if tag in found)
        head = f"<DescribeChangeSetResult><IncludeNestedStacks>true</IncludeNestedStacks>{more}".encode()
        return status, headers, ROW.sub(named, body).replace(b"<DescribeChangeSetResult>", head, 1)

    return handler


def and_nested(operation: Action) -> Action:
    """An operation that removes change sets, and with them the nested ones."""

    def handler(params: dict) -> Answer:
        answer = operation(params)
        _forget_orphans()
        return answer

    return handler
