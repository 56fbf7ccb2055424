"""Says what an exception of a DAG file means and what to do about it; knows words and names, imports no Airflow."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path
from typing import NamedTuple

from ductwork_airflow.release import airflow2


class Cause(NamedTuple):
    """What is wrong, the same for every file that has it, and the cure."""

    message: str
    hint: str


class Import(NamedTuple):
    """An import statement: the module, and the names that are taken from it."""

    module: str
    names: tuple[str, ...]

    def asks_for(self, module: str) -> bool:
        """Whether it needs the module, and not only a package does that it imports."""
        return f"{self.module}.".startswith(f"{module}.")


ABSENT = r"No module named '([\w.]+)'"
HINTS = (
    (r"ModuleNotFoundError|ImportError", "correct the import"),
    (r"SyntaxError|IndentationError|TabError", "correct the syntax"),
    (r"Cycle", "break the cycle between the tasks"),
    (r"Duplicate|duplicate", "give each task of the DAG its own task_id"),
    (r"OperationalError|no such table",
     "use the database inside a task, not while the file is imported"),
)  # fmt: skip

# What Airflow stores by the name of its class: how it says that it does not know the class, the word for it, and the
# attribute of a plugin that makes it known.
REGISTERED = (
    (r"Timetable class '([\w.]+)' is not registered", "timetable", "timetables"),
    (r"(?:Unknown priority strategy |Priority weight strategy class ')([\w.]+)", "weight strategy",
     "priority_weight_strategies"),
    (r"Custom deadline reference class '([\w.]+)' is not", "deadline reference", "deadline_references"),
    (r"PartitionMapper class '([\w.]+)' could not be imported", "partition mapper", "partition_mappers"),
    (r"Window class '([\w.]+)' is not registered", "window", "windows"),
)  # fmt: skip

AIRFLOW_2 = "this is Airflow 2 code; in Airflow 3"

# Below `airflow.providers` these are groups of providers and not providers.
GROUPS = {"apache", "atlassian", "cncf", "common", "dbt", "microsoft"}


def of_import(reason: str, statement: Import | None) -> Cause:
    """Of an exception that ended the import of a file; `statement` is the import that raised it, if one did."""
    reason = re.sub(r"^(ImportError: .*) \((?:/|unknown location).*\)$", r"\1", reason)
    found = _missing_name(reason, statement) or _missing_module(reason, statement)
    found = found or _argument(reason) or _looked_up(reason)
    if found:
        return found
    hint = next(
        (hint for pattern, hint in HINTS if re.search(pattern, reason)), "correct the file and deploy again"
    )
    return Cause(reason, hint)


def of_serialisation(dag_id: str, reason: str) -> Cause:
    """Of an exception while a DAG was serialised."""
    for pattern, word, attribute in REGISTERED:
        if found := re.search(pattern, reason):
            # A module of `dags/` has a name that Airflow makes from its path.
            path = re.sub(r"^unusual_prefix_[0-9a-f]+_", "", found[1])
            name = path.rpartition(".")[2]
            return Cause(
                f"the {word} `{path}` of DAG `{dag_id}` is not registered by a plugin",
                f"define it in a module in plugins/ and register it in an AirflowPlugin there: {attribute} = [{name}]",
            )
    return Cause(
        f"DAG `{dag_id}` cannot be serialised: {reason}",
        "use only values that JSON can hold as operator arguments and params",
    )


def import_at(source: Path, line: int) -> Import | None:
    """The import statement on a line of a file."""
    try:
        tree = ast.parse(source.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return None
    for node in ast.walk(tree):
        if not isinstance(node, ast.Import | ast.ImportFrom) or not node.lineno <= line <= (
            node.end_lineno or 0
        ):
            continue
        names = tuple(alias.name for alias in node.names)
        return Import(node.module or "", names) if isinstance(node, ast.ImportFrom) else Import(names[0], ())
    return None


def _missing_name(reason: str, statement: Import | None) -> Cause | None:
    """A name that Airflow 2 had."""
    if found := re.search(r"cannot import name '(\w+)' from '(airflow[\w.]*)'", reason):
        names: tuple[str, ...] = (found[1],)
    elif statement and statement.module.startswith("airflow.") and (found := re.search(ABSENT, reason)):
        names = statement.names if statement.asks_for(found[1]) else ()
    else:
        return None
    cures = [cure for name in names if (cure := airflow2.cure(name))]
    if not cures:
        return None
    return Cause(reason, f"{AIRFLOW_2}, {'; '.join(cures)}")


def _missing_module(reason: str, statement: Import | None) -> Cause | None:
    """A module that no package of the lock has; the same module is the same cause, whichever name is taken from it."""
    found = re.search(ABSENT, reason)
    if not found:
        return None
    missing = found[1]
    if missing.startswith("airflow.") and not missing.startswith("airflow.providers."):
        return Cause(
            reason, f"{AIRFLOW_2}, there is no such module: see Airflow's guide to upgrading from 2 to 3"
        )
    whole = statement.module if statement and statement.asks_for(missing) else missing
    package = _package(whole)
    if _exists(package):
        return Cause(reason, f"correct the import: `{package}` is there, but has no module `{missing}`")
    if package.startswith("airflow.providers."):
        line = "apache-airflow-providers-" + package.removeprefix("airflow.providers.").replace(".", "-")
        add = f"add the line `{line}` to airflow/requirements.in"
    else:
        add = f"add the package to airflow/requirements.in, at a guess the line `{package.replace('_', '-')}`"
    return Cause(f"the module `{package}` is not installed", f"{add}, and lock it: cargo xtask lock")


def _package(module: str) -> str:
    """The part of a module's name that tells its package."""
    parts = module.split(".")
    if parts[:2] != ["airflow", "providers"]:
        return parts[0]
    return ".".join(parts[: 4 if parts[2:3] and parts[2] in GROUPS else 3])


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _argument(reason: str) -> Cause | None:
    """An argument that Airflow 2 had."""
    found = re.search(r"(DAG)\.__init__\(\) got an unexpected keyword argument '(\w+)'", reason)
    found = found or re.search(
        r"passed to (\w+) \(task_id: .*\)\. Invalid arguments were: \*\*kwargs: \{'(\w+)'", reason
    )
    if not found or found[2] not in airflow2.ARGUMENTS:
        return None
    name, now = found[2], airflow2.ARGUMENTS[found[2]]
    cure = f"write `{now}` instead of `{name}`" if now else f"remove `{name}`"
    return Cause(f"`{found[1]}` has no argument `{name}`", f"{AIRFLOW_2}, {cure}")


def _looked_up(reason: str) -> Cause | None:
    """A connection or variable that is read while the file is imported."""
    for pattern, word, variable in (
        (
            r"The conn_id `([^`]+)` isn't defined",
            "connection",
            "AIRFLOW_CONN_{}=TYPE://LOGIN:PASSWORD@HOST/SCHEMA",
        ),
        (r"Variable (\S+) (?:not found|does not exist)", "variable", "AIRFLOW_VAR_{}=VALUE"),
    ):
        if found := re.search(pattern, reason):
            return Cause(
                f"reads the {word} `{found[1]}` while the file is imported",
                "read it inside a task or in a template; or write it into `airflow/objects.toml`; or, if the "
                "environment has it from elsewhere, give it to this command, too: "
                f"export {variable.format(found[1].upper())}",
            )
    return None
