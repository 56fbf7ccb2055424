"""What a list of DAGs tells of one DAG: what a person would look for in Airflow, and what it names of an environment.

Connections, variables and pools are found in the arguments and templates of tasks, and in calls with a literal name in
the DAG's own file. What a helper module asks for while a task runs cannot be seen.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Names = dict[str, set[str]]

_BLOCK = re.compile(r"\{[{%](.*?)[%}]\}", re.DOTALL)
_GET = r"get\(\s*['\"]([^'\"]+)['\"]\s*\)"  # with a second argument, its default, a name may be absent
_VARIABLE = re.compile(rf"\bvar\.(?:value|json)\.(?:{_GET}|(?!get\b)(\w+))")
_CONNECTION = re.compile(rf"\bconn\.(?:{_GET}|(?!get\b)(\w+))")
_LOOKUPS = {"get_connection", "get_hook"}
# The one connection that may be absent: operators then take the credentials of the worker.
_OPTIONAL = {"aws_default"}


def schedule_text(dag: Any) -> str | None:
    """The schedule as a person wrote it, as far as it can be said in a line."""
    schedule = getattr(dag, "schedule", None)
    if schedule is None or isinstance(schedule, str):
        return schedule
    summary = getattr(schedule, "summary", None) or getattr(getattr(dag, "timetable", None), "summary", None)
    if isinstance(summary, str) and summary:
        return summary
    return str(schedule) if type(schedule).__str__ is not object.__str__ else type(schedule).__name__


def described(dag: Any, source: Names) -> dict[str, Any]:
    """The DAG as data; `source` is what its file names."""
    names = {kind: set(found) for kind, found in source.items()}
    for task in dag.tasks:
        _of_task(task, names)
    names["connections"] -= _OPTIONAL
    names["pools"] -= {"default_pool"}  # every Airflow has it
    return {
        "schedule": schedule_text(dag),
        "tasks": sorted(task.task_id for task in dag.tasks),
        "tags": sorted(dag.tags or ()),
        "owners": sorted({str(task.owner) for task in dag.tasks}),
        "params": {name: _digest(dag.params.get_param(name)) for name in sorted(dag.params)},
        "paused": getattr(dag, "is_paused_upon_creation", None),
    } | {kind: sorted(found) for kind, found in names.items()}


def _digest(param: Any) -> str:
    """A short name for a param's value and form: lists of DAGs are kept, and a value may be somebody's business."""
    # `NOTSET`, of a param that each run has to give, is not the same object in every process.
    form = json.dumps([param.value, param.schema, param.description], sort_keys=True, default=_type)
    return hashlib.sha256(form.encode()).hexdigest()[:12]


def _type(value: Any) -> str:
    return type(value).__name__


def named_in(source: Path) -> Names:
    """The connections and variables that the calls of a file name."""
    names: Names = {"connections": set(), "variables": set(), "pools": set()}
    try:
        tree = ast.parse(source.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return names
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            _of_call(node, names)
    return names


def _of_call(call: ast.Call, names: Names) -> None:
    for keyword in call.keywords:
        if keyword.arg and keyword.arg.endswith("conn_id"):
            names["connections"].update(_plain(getattr(keyword.value, "value", None)))
    first = getattr(call.args[0], "value", None) if call.args else None
    if not isinstance(call.func, ast.Attribute) or not isinstance(first, str):
        return
    holder = getattr(call.func.value, "id", "")
    if call.func.attr in _LOOKUPS or (holder, call.func.attr) == ("Connection", "get"):
        names["connections"].update(_plain(first))
    given = len(call.args) > 1 or any(str(keyword.arg).startswith("default") for keyword in call.keywords)
    if (holder, call.func.attr) == ("Variable", "get") and not given:
        names["variables"].update(_plain(first))


def _plain(name: Any) -> set[str]:
    """A name that is no template and not empty."""
    return {name} if isinstance(name, str) and name and "{" not in name else set()


def _of_task(task: Any, names: Names) -> None:
    # A mapped task has its arguments as it was given them.
    expanded = getattr(getattr(task, "expand_input", None), "value", None)
    arguments = {**getattr(task, "partial_kwargs", {}), **vars(task)}
    arguments |= expanded if isinstance(expanded, dict) else {}
    for key, value in arguments.items():
        if key.endswith("conn_id"):
            names["connections"].update(_plain(value))
    names["pools"].update(_plain(getattr(task, "pool", None)))
    for field in getattr(task, "template_fields", ()):
        for text in _texts(arguments.get(field)):
            for block in _BLOCK.findall(text):
                names["variables"].update(first or second for first, second in _VARIABLE.findall(block))
                names["connections"].update(first or second for first, second in _CONNECTION.findall(block))


def _texts(value: Any) -> Iterator[str]:
    """Every text of an argument."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list | tuple | set):
        for one in value:
            yield from _texts(one)
