"""Judges a directory of DAGs before it is released: `python -m ductwork_airflow.release.validate --dags DIR`.

This half imports no Airflow. It starts `validate_child.py` in a clean environment (`children.py`), reads one line per
file, and kills it when a file takes too long; the files after that one go to a new child. So a DAG file that hangs,
ends the process or crashes the interpreter is a finding about that file and not the end of the judgement.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from ductwork_airflow.hosts import executors
from ductwork_airflow.release import children, contents, remembered

# Airflow's imports alone; a child that has not begun its first file by then is broken, not slow.
START_SECONDS = 120.0
# The child stops a slow file by itself at the limit and then knows the line; the parent kills it this much later.
GRACE_SECONDS = 3.0

Problem = dict[str, Any]


class ValidatorBroken(Exception):
    """The validator, not a DAG, has failed."""


def problem(kind: str, file: str | None, line: int | None, message: str, hint: str) -> Problem:
    """One finding, in the form of the contract."""
    return {"kind": kind, "file": file, "line": line, "message": message, "hint": hint}


def clean_environment(
    home: Path, plugins: Path | None, timeout: float, variables: dict[str, str], executor: str
) -> dict[str, str]:
    """What a child sees: no AWS credentials, no stray AIRFLOW__ setting, no database, no network endpoint.

    `variables` are those that the environment file gives to DAGs, `executor` is the option of that name: Airflow
    refuses a DAG with a task for another one.
    """
    names = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH")
    stand_ins = ("AIRFLOW_CONN_", "AIRFLOW_VAR_")  # for what a DAG reads while it is imported
    kept = {name: text for name, text in os.environ.items() if name in names or name.startswith(stand_ins)}
    own = {
        "HOME": str(home),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": str(timeout),
        "AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACK_DEPTH": "1000",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(plugins or home / "plugins"),
        "AIRFLOW__CORE__EXECUTOR": executor,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/none.db",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return variables | kept | own


class Run:
    """One judgement: what is known by now."""

    def __init__(self) -> None:
        self.airflow: str | None = None
        # What every file that was parsed gave, beside what was read meanwhile; of one that was killed nobody knows.
        self.parsed: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self.results: dict[str, dict[str, Any]] = {}
        self.listing: list[str] = []
        self.warnings: list[dict[str, Any]] = []  # of files that were parsed now
        self.number = 0  # of files that were parsed now

    def recall(self, memory: remembered.Memory) -> None:
        """Begins with what is remembered."""
        self.airflow, self.listing, self.results = memory.airflow, memory.listing, dict(memory.known)

    def came_back(self, message: dict[str, Any]) -> None:
        """What a child says of a file."""
        result = {key: message[key] for key in ("file", "seconds", "dags", "problems")}
        self.number += 1
        self.warnings += [one for one in message["warnings"] if one not in self.warnings]
        self.parsed.append((result, message["read"]))
        self.results[message["file"]] = result

    def killed(self, file: str, seconds: float, found: Problem) -> None:
        """A file that did not come back."""
        self.number += 1
        self.results[file] = {"file": file, "seconds": round(seconds, 3), "dags": [], "problems": [found]}

    def report(self) -> dict[str, Any]:
        """The contract's document, without what only shows over all files."""
        results = [self.results[file] for file in self.listing if file in self.results]
        return {
            "airflow": self.airflow,
            "dags": [dag for result in results for dag in result["dags"]],
            "problems": [found for result in results for found in result["problems"]],
            "files": [{"file": result["file"], "seconds": result["seconds"]} for result in results],
            "parsed": self.number,
            "warnings": self.warnings,
        }


def judge(
    dags: Path,
    plugins: Path | None,
    timeout: float,
    slow: float,
    variables: dict[str, str],
    executor: str,
    cache: Path | None = None,
    warm: Path | None = None,
) -> dict[str, Any]:
    """Parses and serialises every DAG below `dags`; returns the contract's document.

    With a folder for a cache, files that cannot give another result than last time are not parsed again. With one for
    `warm`, the child comes from a process there that has imported Airflow already.
    """
    began = time.monotonic()
    run = Run()
    with tempfile.TemporaryDirectory(prefix="ductwork-validate-") as folder:
        home = Path(folder)
        (home / "airflow.cfg").touch()  # without one, Airflow spends half a second on writing its default
        environment = clean_environment(home, plugins, timeout, variables, executor)
        memory = None
        context = remembered.context(environment, plugins, timeout, slow) if cache or warm else ""
        if cache is not None:
            memory = remembered.Memory(cache, context, dags)
            run.recall(memory)
        if memory is None or not memory.knows_all():
            _parse(run, children.Asked(dags, environment, context, warm), timeout)
            if memory is not None:
                memory.keep(run.airflow, run.listing, run.parsed, slow)
    report = run.report()
    _judge_whole(report, slow)
    made_of = contents.digests(dags, {dag["file"] for dag in report["dags"]})
    for dag in report["dags"]:
        dag["content"] = made_of.get(dag["file"])
    report["seconds"] = round(time.monotonic() - began, 3)
    return report


def _parse(run: Run, asked: children.Asked, timeout: float) -> None:
    """Parses what is not known, in as many children as it takes."""
    try:
        while _run_child(run, asked, timeout):
            pass
    except (ValidatorBroken, children.NotStarted) as error:
        log = Path(asked.environment["HOME"], children.LOG)
        tail = log.read_text(errors="replace").strip().splitlines()[-8:]
        raise ValidatorBroken("\n".join([str(error), *tail])) from error


def _run_child(run: Run, asked: children.Asked, timeout: float) -> bool:
    """Runs one child to its end or its death; True when files remain for another one."""
    child = asked.child(list(run.results))
    current: str | None = None
    began = time.monotonic()
    limit = START_SECONDS
    reason = ""
    try:
        while message := child.line(limit):
            match message["event"]:
                case "ready":
                    run.airflow, run.listing = message["airflow"], message["files"]
                case "begin":
                    current, began, limit = message["file"], time.monotonic(), timeout + GRACE_SECONDS
                case "file":
                    current, limit = None, START_SECONDS
                    run.came_back(message)
                case "end":
                    return False
    except TimeoutError:
        reason = "timeout"
    finally:
        status = child.end()
    if current is None:
        what = "between two files" if run.airflow else "before Airflow had started"
        raise ValidatorBroken(f"the validating process ended {what} (status {status} {reason})")
    if reason == "timeout":
        found = problem("timeout", current, None, f"takes longer than {timeout:g} s to import",
                        "move slow work from the module's top level into a task")  # fmt: skip
    else:
        found = problem("import_error", current, None, f"ends the process that imports it (status {status})",
                        "remove exit calls and native crashes from the module's top level")  # fmt: skip
    run.killed(current, time.monotonic() - began, found)
    return True


def _judge_whole(report: dict[str, Any], slow: float) -> None:
    """Adds what only shows over all files: duplicate ids, slow files, no DAG at all."""
    places: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for dag in report["dags"]:
        places[dag["dag_id"]].append(dag)
    for dag_id, found in places.items():
        for again in found[1:]:
            report["problems"].append(
                problem("duplicate_dag_id", again["file"], again["line"], _twice(dag_id, found[0], again),
                        "give one of them another dag_id")
            )  # fmt: skip
    failed = {entry["file"] for entry in report["problems"]}
    for entry in report["files"]:
        if entry["seconds"] > slow and entry["file"] not in failed:
            report["problems"].append(
                problem("slow_file", entry["file"], None, f"takes {entry['seconds']:.1f} s to import",
                        "move slow work from the module's top level into a task")
            )  # fmt: skip
    if not report["dags"] and not report["problems"]:
        report["problems"].append(
            problem("no_dags", None, None, "no DAG was found", "add a DAG, or correct .airflowignore")
        )
    report["dags"].sort(key=lambda dag: dag["dag_id"])


def _twice(dag_id: str, first: dict[str, Any], again: dict[str, Any]) -> str:
    """That an id is taken, and by what; from one line, such as a loop's, come several DAGs."""
    if (first["file"], first["line"]) == (again["file"], again["line"]):
        return f"`{dag_id}` is defined more than once by this line"
    where = f"{first['file']}:{first['line']}" if first["line"] else first["file"]
    return f"`{dag_id}` is already defined in {where}"


def main(arguments: list[str] | None = None) -> int:
    """The command line; prints the document."""
    parser = argparse.ArgumentParser(prog="ductwork_airflow.release.validate", description=__doc__)
    parser.add_argument("--dags", type=Path, required=True, help="directory of the DAGs")
    parser.add_argument("--plugins", type=Path, help="plugins folder (default: `plugins` beside the DAGs)")
    parser.add_argument(
        "--timeout-seconds", type=float, default=30.0, help="limit for the import of one file"
    )
    parser.add_argument(
        "--slow-seconds", type=float, help="a slower file is a problem (default: a third of the limit)"
    )
    parser.add_argument(
        "--variables", type=json.loads, default={}, help="environment variables of DAGs, a JSON object"
    )
    parser.add_argument("--cache", type=Path, help="where results are kept for files that do not change")
    parser.add_argument(
        "--warm", type=Path, help="where a process waits that has imported Airflow (default: none does)"
    )
    parser.add_argument(
        "--executors", default=executors.CELERY, help="what runs tasks: celery, ecs or both, with a comma"
    )
    options = parser.parse_args(arguments)
    dags = options.dags.resolve()
    plugins = (options.plugins or dags.parent / "plugins").resolve()
    slow = options.slow_seconds or options.timeout_seconds / 3
    try:
        if not dags.is_dir():
            raise ValidatorBroken(f"`{options.dags}` is not a directory")
        report = judge(
            dags, plugins if plugins.is_dir() else None, options.timeout_seconds, slow, options.variables,
            executors.option(options.executors.split(",")), options.cache, options.warm,
        )  # fmt: skip
    except ValidatorBroken as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    json.dump(report, sys.stdout)
    sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
