"""What IAM answers for identity policies: Deny before Allow, and nothing without an Allow. Pure.

Knows what the templates use. Anything else in a statement is an error: an operator that is not understood must not
pass for true, nor a misspelt element for none. No kept library on PyPI evaluates conditions, hence this one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

Statement = Mapping[str, Any]
Context = Mapping[str, "str | list[str]"]
ELEMENTS = {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"}
ARN_PARTS = 6


class PolicyError(ValueError):
    """A policy that this evaluator does not understand."""


@dataclass(frozen=True)
class Request:
    """One call: `service:Action`, the ARN it goes to (or `*`), and what conditions may ask for."""

    action: str
    resource: str
    context: Context = field(default_factory=dict)


class _Missing(Exception):
    """A policy variable that the request does not have."""


def strings(value: Any) -> list[str]:
    """One or several, as policies write them; truth values and numbers as text."""
    values = value if isinstance(value, list) else [value]
    return [str(one).lower() if isinstance(one, bool) else str(one) for one in values]


def _pattern(text: str, context: Context) -> str:
    """A regular expression for `*`, `?` and `${variables}`."""
    parts = re.split(r"(\$\{[^}]*\}|\*|\?)", text)
    return "".join(_piece(part, _lowered(context)) for part in parts)


def _piece(part: str, context: Context) -> str:
    if part in ("*", "?"):
        return ".*" if part == "*" else "."
    if not part.startswith("${"):
        return re.escape(part)
    name = part[2:-1]
    if name in ("*", "?", "$"):
        return re.escape(name)
    value = context.get(name.lower())
    if "," in name:
        raise PolicyError(f"`{part}`: defaults of variables are not evaluated here")
    if not isinstance(value, str):
        raise _Missing(name)
    return re.escape(value)


def _lowered(context: Context) -> Context:
    """Names of condition keys know no case; the part behind a slash, a tag's, is only compared."""
    return {name.lower(): value for name, value in context.items()}


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(_pattern(pattern, {}), re.DOTALL)


def like(pattern: str, value: str, context: Context | None = None) -> bool:
    """Whether a value matches a pattern with `*` and `?`."""
    if "${" not in pattern:
        return _compiled(pattern).fullmatch(value) is not None
    return re.fullmatch(_pattern(pattern, context or {}), value, re.DOTALL) is not None


def _equal(pattern: str, value: str, context: Context) -> bool:
    return like(re.sub(r"(?<!\$\{)([*?])", r"${\1}", pattern), value, context)


def _arn_like(pattern: str, value: str, context: Context) -> bool:
    """Part by part: a wildcard of one does not reach into the next."""
    wanted, given = pattern.split(":", ARN_PARTS - 1), value.split(":", ARN_PARTS - 1)
    if len(wanted) != ARN_PARTS or len(given) != ARN_PARTS:
        return pattern == "*"
    return all(like(one, other, context) for one, other in zip(wanted, given, strict=True))


Match = Callable[[str, str, Context], bool]
OPERATORS: dict[str, Match] = {
    "StringEquals": _equal,
    "StringEqualsIgnoreCase": lambda pattern, value, context: _equal(pattern.lower(), value.lower(), context),
    "StringLike": like,
    "ArnEquals": _arn_like,  # IAM's own words: ArnEquals and ArnLike are the same
    "ArnLike": _arn_like,
    "Bool": lambda pattern, value, _: pattern.lower() == value.lower(),
}
NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
}


def _condition(name: str, key: str, wanted: list[str], context: Context) -> bool:
    """One operator on one key."""
    quantifier, _, operator = name.rpartition(":")
    if quantifier not in ("", "ForAllValues", "ForAnyValue"):
        raise PolicyError(f"unknown condition operator `{name}`")
    value = _lowered(context).get(key.lower())
    if operator == "Null" and not quantifier:
        return (strings(wanted)[0].lower() == "true") == (value is None)
    lenient = operator.endswith("IfExists")
    operator = operator.removesuffix("IfExists")
    negated = operator in NEGATED
    match = OPERATORS.get(NEGATED.get(operator, operator))
    if match is None:
        raise PolicyError(f"unknown condition operator `{name}`")
    if value is None:
        return lenient or quantifier == "ForAllValues" or (negated and not quantifier)

    def holds(one: str) -> bool:
        return any(match(pattern, one, context) for pattern in wanted) != negated

    # Of several values without a quantifier, one is enough; of a negated operator, all must differ.
    every = quantifier == "ForAllValues" or (negated and not quantifier)
    return (all if every else any)(holds(one) for one in strings(value))


def _conditions_hold(conditions: Mapping[str, Mapping[str, Any]], context: Context) -> bool:
    # Not lazily: an unknown operator is an error even where another one is false.
    held = [
        _condition(operator, key, strings(wanted), context)
        for operator, keys in conditions.items()
        for key, wanted in keys.items()
    ]
    return all(held)


def _either(statement: Statement, name: str, match: Callable[[str], bool]) -> bool:
    """`Action` or `NotAction`, `Resource` or `NotResource`."""
    if (name in statement) == (f"Not{name}" in statement):
        raise PolicyError(f"a statement needs either {name} or Not{name}: {dict(statement)}")
    if name in statement:
        return any(match(one) for one in strings(statement[name]))
    return not any(match(one) for one in strings(statement[f"Not{name}"]))


def check(statement: Statement) -> None:
    """Raises for what this evaluator does not understand."""
    unknown = set(statement) - ELEMENTS
    if unknown or statement.get("Effect") not in ("Allow", "Deny"):
        raise PolicyError(f"not understood: {', '.join(sorted(unknown)) or 'Effect'} of {dict(statement)}")


def applies(statement: Statement, request: Request) -> bool:
    """Whether a statement speaks of this request."""
    check(statement)

    def on_action(pattern: str) -> bool:
        return like(pattern.lower(), request.action.lower())

    def on_resource(pattern: str) -> bool:
        try:
            return like(pattern, request.resource, request.context)
        except _Missing:
            return False

    try:
        condition = _conditions_hold(statement.get("Condition") or {}, request.context)
    except _Missing:
        condition = False
    parts = [_either(statement, "Action", on_action), _either(statement, "Resource", on_resource), condition]
    return all(parts)


def statements(document: Mapping[str, Any]) -> list[Statement]:
    """The statements of a policy document."""
    found = document["Statement"]
    return list(found) if isinstance(found, list) else [found]


def deciding(policy: Iterable[Statement], request: Request) -> list[Statement]:
    """The statements that allow a request; none where it is denied, by a Deny or for want of an Allow."""
    speaking = [statement for statement in policy if applies(statement, request)]
    if any(statement["Effect"] == "Deny" for statement in speaking):
        return []
    return speaking


def allows(policy: Iterable[Statement], request: Request) -> bool:
    """Whether the statements of a role allow a request."""
    return bool(deciding(policy, request))
