"""How long the check of DAGs takes before a release, by what has changed since the check before.

    python3 bench/validate.py          # 500 DAG files; or name another number

The trees are those of `dags.py`: each DAG has a file of its own, and all of them import one helper package. Seconds of
the whole validator, a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from dags import ROOT, Tree, borrow

REPEATS = 3


def write(folder: Path, tree: Tree) -> None:
    """The tree's files, over those of the tree before."""
    for name, text in tree.files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def seconds(scratch: Path, expected: int) -> float:
    """One run; fails if it parses another number of files than is meant to be measured."""
    command = [sys.executable, "-m", "ductwork_airflow.release.validate", "--dags", str(scratch / "dags"),
               "--cache", str(scratch / "cache")]  # fmt: skip
    began = time.monotonic()
    done = subprocess.run(command, env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "airflow")}, check=True,
                          capture_output=True)  # fmt: skip
    took = time.monotonic() - began
    report = json.loads(done.stdout)
    if report["problems"] or report["parsed"] != expected:
        raise SystemExit(f"error: {report['parsed']} files were parsed and not {expected}")
    return took


def measured(scratch: Path, number: int) -> dict[str, float]:
    """All files new, none changed, one changed, the helper package changed."""
    tree = Tree("v", number)
    write(scratch / "dags", tree)
    figures = {"all new": seconds(scratch, number)}
    figures["unchanged"] = statistics.median(seconds(scratch, 0) for _ in range(REPEATS))
    one = []
    for edit in range(1, REPEATS + 1):
        write(scratch / "dags", replace(tree, edit=edit))
        one.append(seconds(scratch, 1))
    figures["one edited"] = statistics.median(one)
    write(scratch / "dags", replace(tree, edit=REPEATS, helper=1))
    figures["helper edited"] = seconds(scratch, number)
    return figures


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description="the check of DAGs by what has changed")
    parser.add_argument("number", nargs="?", type=int, default=500, help="how many DAGs")
    options = parser.parse_args()
    borrow()
    with tempfile.TemporaryDirectory(prefix="bench-validate-") as scratch:
        for what, took in measured(Path(scratch), options.number).items():
            print(f"{options.number:5} {what:14}{took:7.2f}")


if __name__ == "__main__":
    main()
