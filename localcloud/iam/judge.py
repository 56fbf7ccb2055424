"""Judges roles by recorded calls and by what they would allow elsewhere. Pure; every finding is one line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from localcloud.iam.account import Role
from localcloud.iam.calls import Call
from localcloud.iam.foreign import Own, is_shared, samples, twins
from localcloud.iam.policy import PolicyError, Request, Statement, allows, deciding

COMPONENTS = {"api-server", "codedeploy", "scheduler", "worker"}
TASKS = {"api-server", "dag-processor", "scheduler", "triggerer", "worker"}  # on ECS
# Without hosts of its own, this one runs on those of the scheduler.
SHARED, SHARED_ROLE = "api-server", "ApiServerRole"


def _told(request: Request) -> str:
    context = ", ".join(f"{key}={value}" for key, value in sorted(request.context.items()))
    return f"{request.action} on {request.resource}" + (f" with {context}" if context else "")


def _of(roles: Iterable[Role], call: Call) -> Role | None:
    if call.role:
        return next((role for role in roles if role.name == call.role), None)
    return next((role for role in roles if role.profile and role.profile == call.profile), None)


def insufficient(roles: list[Role], calls: Iterable[Call]) -> Iterator[str]:
    """Calls that the role of the calling host or task does not allow."""
    for call in calls:
        role = _of(roles, call)
        if role is None:
            caller = call.role or call.profile
            yield f"`{call.component}` called {call.request.action} with `{caller}`, which has no role here"
        elif not allows(role.statements, call.request):
            yield f"{role.name} of `{call.component}` must allow {_told(call.request)}"


def silent(roles: Iterable[Role], calls: Iterable[Call]) -> Iterator[str]:
    """Components without a call: then the record is not what it should be."""
    roles = list(roles)
    shares = not any(SHARED_ROLE in role.name for role in roles)
    expected = COMPONENTS - {SHARED} if shares else COMPONENTS
    if any(role.is_task for role in roles):
        expected = TASKS
    for component in sorted(expected - {call.component for call in calls}):
        yield f"no call of `{component}` was recorded"


def reaches_out(roles: Iterable[Role], calls: Iterable[Call], own: Own) -> Iterator[str]:
    """What a role allows on another environment: by each of its statements, and by each recorded call."""
    roles = list(roles)
    for role in roles:
        for statement in role.statements:
            if statement["Effect"] == "Allow":
                yield from _statement(role, statement, own)
    yield from repeated(roles, calls, own)


def repeated(roles: list[Role], calls: Iterable[Call], own: Own) -> Iterator[str]:
    """Recorded calls that would work on another environment as well."""
    for call in calls:
        role = _of(roles, call)
        if role and allows(role.statements, call.request):
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
        role = _of(roles, call)
        if role is None or role.name in planted or not allows(role.statements, call.request):
            continue
        planted.add(role.name)
        crippled = replace(role, statements=_without(role.statements, call.request))
        if not list(insufficient([crippled], [call])):
            yield f"a planted lack was not found: {role.name} without {_told(call.request)}"


def _without(statements: list[Statement], request: Request) -> list[Statement]:
    allowing = deciding(statements, request)
    return [statement for statement in statements if statement not in allowing]
