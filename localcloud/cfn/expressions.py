"""Fn::Equals in `Conditions` with any function that a template may use there; ministack knows few of them."""

from __future__ import annotations

from typing import Any

import yaml
from ministack.services.cloudformation import engine

ministack_conditions = engine._evaluate_conditions


def _text(value: Any) -> Any:
    """CloudFormation compares strings: true is `true`."""
    return str(value).lower() if isinstance(value, bool) else value


def evaluate_conditions(template: dict, params: dict) -> dict[str, bool]:
    def resolved(expression: Any) -> Any:
        if isinstance(expression, list):
            return [resolved(item) for item in expression]
        if not isinstance(expression, dict):
            return expression
        if "Fn::Equals" in expression:
            values = [
                engine._resolve_refs(side, {}, params, {}, template.get("Mappings", {}), "", "")
                for side in expression["Fn::Equals"]
            ]
            return {"Fn::Equals": [_text(value) for value in values]}
        return {key: resolved(value) for key, value in expression.items()}

    conditions = {name: resolved(value) for name, value in template.get("Conditions", {}).items()}
    return ministack_conditions({**template, "Conditions": conditions}, params)


def update_policy(stack: dict, logical_id: str | None) -> dict:
    """A resource's UpdatePolicy with its conditions decided; a handler only gets properties."""
    body = stack.get("_template_body")
    if not body:
        return {}
    template = engine._parse_template(body)
    resource = (template.get("Resources") or {}).get(logical_id) or {}
    params, conditions = stack.get("_resolved_params") or {}, stack.get("_conditions") or {}
    policy = engine._resolve_refs(
        resource.get("UpdatePolicy") or {}, {}, params, conditions, template.get("Mappings", {}), "", ""
    )
    return {key: value for key, value in policy.items() if value is not engine._NO_VALUE}


def with_c_parser(loader: type) -> type:
    """The loader of templates on the parser of libyaml, where PyYAML has it."""
    if not yaml.__with_libyaml__:
        return loader
    return type("CfnLoader", (yaml.CSafeLoader,), {"yaml_constructors": loader.yaml_constructors})
