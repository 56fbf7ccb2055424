"""Judges roles by recorded calls and by what they would allow elsewhere. Pure; every finding is one line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from localcloud.iam.account import Role
from localcloud.iam.calls import Call
from localcloud.iam.foreign import Own, is_shared, samples, twins
from localcloud.iam.policy import PolicyError, Request, Statement, allows, deciding


def _told(request: Request) -> str:
    context = ", ".join(f"{key}={value}" for key, value in sorted(request.context.items()))
    return f"{request.action} on {request.resource}" + (f" with {context}" if context else "")


def _of(roles: Iterable[Role], component: str) -> list[Role]:
    return [role for role in roles if role.component == component]


def insufficient(roles: list[Role], calls: Iterable[Call]) -> Iterator[str]:
    """Calls that their component's role does not allow; of several roles (worker sets) one has to."""
    for call in calls:
        mine = _of(roles, call.component)
        if not mine:
            yield f"nobody knows the role of `{call.component}`, which called {call.request.action}"
        elif not any(allows(role.statements, call.request) for role in mine):
            yield f"{mine[0].name} must allow {_told(call.request)}"


def silent(roles: list[Role], calls: Iterable[Call]) -> Iterator[str]:
    """Components without a call: then the record is not what it should be."""
    heard = {call.component for call in calls}
    for component in sorted({role.component for role in roles if role.component} - heard):
        yield f"no call of `{component}` was recorded"


def reaches_out(roles: Iterable[Role], calls: Iterable[Call], own: Own) -> Iterator[str]:
    """What a role allows on another environment: by each of its statements, and by each recorded call."""
    calls = list(calls)
    for role in roles:
        for statement in role.statements:
            if statement["Effect"] == "Allow":
                yield from _statement(role, statement, own)
        for call in calls:
            if role.component and role.component == call.component and allows(role.statements, call.request):
                yield from _elsewhere(role, call.request, own)


def _statement(role: Role, statement: Statement, own: Own) -> Iterator[str]:
    name = statement.get("Sid", "a statement")
    if "NotAction" in statement or "NotResource" in statement:
        yield f"{role.name}: {name} allows all but something, which cannot be told from too much"
        return
    for request in samples(statement):
        # A statement that its own sample does not fit would pass for narrow.
        if not deciding([statement], request):
            raise PolicyError(f"{role.name}: no sample of {name} could be made: {_told(request)}")
        yield from _elsewhere(role, request, own)


def _elsewhere(role: Role, request: Request, own: Own) -> Iterator[str]:
    if is_shared(request):
        return
    for twin in twins(request, own):
        by = deciding(role.statements, twin)
        if by:
            yield f"{role.name}: {by[0].get('Sid', 'a statement')} allows {_told(twin)}, another environment's"
            return


def unnoticed(roles: list[Role], calls: Iterable[Call]) -> Iterator[str]:
    """The test of the test: without the statements that allow a call, that call has to be found."""
    planted = set()
    for call in calls:
        if call.component in planted:
            continue
        crippled = [
            Role(role.name, role.component, _without(role.statements, call.request))
            for role in _of(roles, call.component)
        ]
        planted.add(call.component)
        if not list(insufficient(crippled, [call])):
            yield f"a planted lack was not found: {call.component} without {_told(call.request)}"


def _without(statements: list[Statement], request: Request) -> list[Statement]:
    allowing = deciding(statements, request)
    return [statement for statement in statements if statement not in allowing]
