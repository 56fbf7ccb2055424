"""Parses DAG files with the locked Airflow and reports each; run by children.py as a script.

Arguments: directory of the DAGs, number of the file descriptor for messages, the JSON file of files to leave out.
It does what the DAG processor does to a file (import, validate, policies, serialise) and needs no database.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import re
import sys
import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

FRAME = re.compile(r'^\s*File "(?P<file>[^"]+)", line (?P<line>\d+)', re.MULTILINE)
# As BundleDagBag keeps a warning: file, line, class and message.
WARNING = re.compile(r"(?P<file>.+?):(?P<line>\d+|None): (?P<category>[\w.]+): (?P<message>.*)", re.DOTALL)
Finding = dict[str, Any]


def line_in(traceback: str, root: Path, file: str) -> int | None:
    """The innermost line of `file` in a traceback."""
    frames = [(frame["file"], int(frame["line"])) for frame in FRAME.finditer(traceback)]
    own = [line for path, line in frames if path == str(root / file)]
    return own[-1] if own else None


def place_in(traceback: str, root: Path) -> tuple[str, int] | None:
    """File and line of the innermost frame below the root: often a helper module and not the DAG file itself."""
    below = [frame for frame in FRAME.finditer(traceback) if Path(frame["file"]).is_relative_to(root)]
    if not below:
        return None
    return str(Path(below[-1]["file"]).relative_to(root)), int(below[-1]["line"])


def reason_in(traceback: str) -> str:
    """The exception's own words: from the last line that starts a statement of the form `Name: text`."""
    lines = [line for line in traceback.strip().splitlines() if line.strip()]
    for index in range(len(lines) - 1, -1, -1):
        if re.match(
            r"[A-Za-z_][\w.]*(Error|Exception|Exit|Interrupt|Timeout|Warning|\w*)(:|$)", lines[index]
        ):
            return " ".join(line.strip() for line in lines[index:])[:1000]
    return lines[-1].strip()[:1000] if lines else "unknown error"


def definition_line(source: Path, dag_id: str | None, earlier: int = 0) -> int | None:
    """Where a DAG seems to be defined: its id as a literal, its function, else the first DAG of the file.

    `earlier` is how many DAGs of that id the file has had before: the next line that fits is this one's.
    """
    patterns = [r"^\s*(@dag\b|with\s+DAG\b|.*\bDAG\()"]
    if dag_id is not None:
        quoted = re.escape(dag_id)
        patterns = [rf"""["']{quoted}["']""", rf"^\s*def\s+{quoted}\s*\(", *patterns]
    try:
        lines = source.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for pattern in patterns:
        if found := [number for number, text in enumerate(lines, start=1) if re.search(pattern, text)]:
            return found[min(earlier, len(found) - 1)]
    return None


def is_deprecation(category: str) -> bool:
    """Whether a warning of this class tells that something goes away."""
    module, _, name = category.rpartition(".")
    kind = getattr(sys.modules.get(module or "builtins"), name, None)
    return isinstance(kind, type) and issubclass(
        kind, DeprecationWarning | PendingDeprecationWarning | FutureWarning
    )


class Judge:
    """Holds Airflow's bag and judges one file after another."""

    def __init__(self, root: Path, timeout: float) -> None:
        from airflow.dag_processing.dagbag import BundleDagBag

        from ductwork_airflow.release import causes, described

        judge = self
        self.suspect: str | None = None

        class Bag(BundleDagBag):
            """Remembers which DAG of a file was refused: Airflow's message does not always say."""

            def bag_dag(self, dag: Any) -> None:
                judge.suspect = dag.dag_id
                super().bag_dag(dag)
                judge.suspect = None

        self.causes = causes
        self.described = described
        self.root = root
        self.timeout = timeout
        self.bag = Bag(dag_folder=root, bundle_path=root, bundle_name="dags", collect_dags=False)

    def file(self, path: str) -> dict[str, Any]:
        """All about one file: its DAGs and what is wrong with them."""
        began = time.monotonic()
        relative = Path(path).relative_to(self.root).as_posix()
        self.bag.dags.clear()
        self.bag.import_errors.clear()
        self.suspect = None
        # Airflow keeps what it hears, and warns again in another category: that is for nobody.
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("always")
            found = self.bag.process_file(path, only_if_updated=False)
        problems = [self._import_problem(relative, text) for text in self.bag.import_errors.values()]
        dags: list[dict[str, Any]] = []
        source = self.described.named_in(Path(path))
        for dag in sorted(found, key=lambda dag: dag.dag_id):
            earlier = sum(known["dag_id"] == dag.dag_id for known in dags)
            line = definition_line(Path(path), dag.dag_id, earlier)
            if (failure := self._serialisation_problem(dag, relative, line)) is not None:
                problems.append(failure)
            place = {"dag_id": dag.dag_id, "file": relative, "line": line}
            dags.append(place | self.described.described(dag, source))
        seconds = round(time.monotonic() - began, 3)
        told = {"event": "file", "file": relative, "seconds": seconds, "dags": dags, "problems": problems}
        return told | {"warnings": self._deprecations(relative, self.bag.captured_warnings.get(path, ()))}

    def _deprecations(self, relative: str, heard: Iterable[str]) -> list[Finding]:
        """What will not work for ever, at the line that does it: of the file, or of a helper of the bundle."""
        found: list[Finding] = []
        for text in heard:
            said = WARNING.match(text)
            if said is None or not is_deprecation(said["category"]):
                continue
            place = Path(said["file"])
            ours = place.is_relative_to(self.root)
            warning = {
                "file": place.relative_to(self.root).as_posix() if ours else relative,
                "line": int(said["line"]) if ours and said["line"].isdigit() else None,
                "category": said["category"].rpartition(".")[2],
                "message": " ".join(said["message"].split()),
            }
            if warning not in found:
                found.append(warning)
        return found

    def _import_problem(self, relative: str, text: str) -> Finding:
        reason = reason_in(text)
        line = line_in(text, self.root, relative) or definition_line(self.root / relative, self.suspect)
        if "DagBag import timeout" in text:
            return finding("timeout", relative, line, f"takes longer than {self.timeout:g} s to import",
                           "move slow work from the module's top level into a task")  # fmt: skip
        place = place_in(text, self.root)
        statement = place and self.causes.import_at(self.root / place[0], place[1])
        cause = self.causes.of_import(reason, statement)
        message = cause.message
        if place is not None and place[0] != relative:
            message += f" (raised in {place[0]}:{place[1]})"
        return finding("import_error", relative, line, message, cause.hint)

    def _serialisation_problem(self, dag: Any, relative: str, line: int | None) -> Finding | None:
        from airflow.serialization.serialized_objects import DagSerialization

        try:
            json.dumps(DagSerialization.to_dict(dag))
        except Exception as error:
            cause = self.causes.of_serialisation(dag.dag_id, f"{type(error).__name__}: {error}"[:1000])
            return finding("import_error", relative, line, cause.message, cause.hint)
        return None


def finding(kind: str, file: str, line: int | None, message: str, hint: str) -> Finding:
    """One problem in the form of the contract."""
    return {"kind": kind, "file": file, "line": line, "message": message, "hint": hint}


def prepare() -> None:
    """Imports all of Airflow that is needed, so that none of it is counted as the first file's time."""
    gc.disable()  # a fifth of the import time; the process lives for seconds
    for module in (
        "airflow.dag_processing.dagbag",
        "airflow.dag_processing.importers",
        "airflow.serialization.serialized_objects",
        "ductwork_airflow.release.causes",
        "ductwork_airflow.release.described",
        "ductwork_airflow.release.reads",
    ):
        importlib.import_module(module)


def run(root: Path, channel: int, done: Path) -> None:
    """Reports every file but those to the descriptor and ends the process without running anyone's exit handlers."""
    import airflow
    from airflow.dag_processing.importers import get_importer_registry

    from ductwork_airflow.release.reads import Reads

    os.set_inheritable(channel, False)

    def send(message: dict[str, Any]) -> None:
        data = (json.dumps(message) + "\n").encode()
        while data:
            data = data[os.write(channel, data) :]

    skip = set(json.loads(done.read_bytes()))
    judge = Judge(root, float(os.environ["AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT"]))
    sys.dont_write_bytecode = True  # leaves nothing behind in the user's tree
    files = sorted(get_importer_registry().list_dag_files(str(root), safe_mode=True))
    names = [Path(path).relative_to(root).as_posix() for path in files]
    send({"event": "ready", "airflow": airflow.__version__, "files": names})
    gc.enable()
    home, plugins = Path(os.environ["HOME"]), Path(os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"])
    reads = Reads(root, [home, plugins, Path(sys.path[0])])
    reads.watch()
    for path, relative in zip(files, names, strict=True):
        if relative in skip:
            continue
        send({"event": "begin", "file": relative})
        send(judge.file(path) | {"read": reads.taken()})
    send({"event": "end"})
    os._exit(0)


def main() -> None:
    """A process for this run alone."""
    # On a host the package's parent is on the path, and neither its own folder nor the working directory is.
    sys.path[0] = str(Path(__file__).resolve().parent.parent.parent)
    prepare()
    run(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))


if __name__ == "__main__":
    main()
