"""The user's environment variables, for tasks and for files that define DAGs: the parameter EnvironmentVariables."""

from __future__ import annotations

import json
import re

from ductwork_airflow import contract

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class VariablesError(ValueError):
    """The parameter cannot be used; all faults are in the message."""


def parse(text: str) -> dict[str, str]:
    """The variables of a JSON object of name and value. Reports every fault at once."""
    if not text.strip():
        return {}
    try:
        given = json.loads(text)
    except ValueError as error:
        raise VariablesError(f"EnvironmentVariables is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise VariablesError("EnvironmentVariables is not a JSON object")
    faults = [fault for name, value in given.items() if (fault := _fault(name, value))]
    if faults:
        raise VariablesError("; ".join(f"EnvironmentVariables: {fault}" for fault in faults))
    return dict(given)


def _fault(name: str, value: object) -> str:
    if not _NAME.fullmatch(name):
        return f"`{name}` is not the name of a variable"
    if contract.is_owned_variable(name):
        return f"`{name}` is set by Ductwork, or appears to contain a secret"
    if not isinstance(value, str):
        return f"the value of `{name}` is not a string"
    if any(ord(character) < 32 for character in value):
        return f"the value of `{name}` has a control character"
    return ""
