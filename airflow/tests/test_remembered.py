"""What the validator believes without parsing: nothing that could have become different."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from test_validate import GOOD, judge, write


class Tree:
    """DAGs that are validated again and again with one memory."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.memory = folder / "project/dags", folder / "memory"
        self.options: list[str] = []
        self.env: dict[str, str] = {}
        self.report: dict = {}

    def write(self, **files: str) -> Tree:
        """Files by their names, with two underscores for a dot."""
        write(self.folder, {name.replace("__", "."): text for name, text in files.items()})
        return self

    def parsed(self) -> int:
        """How many files a run parses."""
        self.report = judge(self.folder, "--cache", str(self.memory), *self.options, env=self.env)
        return self.report["parsed"]

    def is_true(self) -> bool:
        """Whether the last report is that of a run without memory."""
        fresh = judge(self.folder, *self.options, env=self.env)
        for report in (self.report, fresh):
            report["files"] = [one["file"] for one in report["files"]]
        return all(self.report[key] == fresh[key] for key in ("airflow", "dags", "problems", "files"))


def dag(name: str, before: str = "") -> str:
    return f"{before}\n{GOOD.replace('NAME', name)}"


@pytest.fixture
def tree(tmp_path) -> Tree:
    one = dag("a", "import helper")
    return Tree(tmp_path).write(a__py=one, b__py=dag("b"), helper__py="X = 1\n", table__yaml="x: 1\n")


def test_only_what_could_be_different_is_parsed(tree):
    assert tree.parsed() == 2
    assert tree.parsed() == 0
    assert tree.is_true()
    assert tree.write(b__py=dag("b", "# edited")).parsed() == 1
    assert tree.write(c__py=dag("c")).parsed() == 1
    assert tree.is_true()
    assert tree.write(helper__py="X = 2\n").parsed() == 3
    assert tree.write(table__yaml="x: 2\n").parsed() == 3
    (tree.folder / "b.py").unlink()
    assert tree.parsed() == 0
    assert [one["dag_id"] for one in tree.report["dags"]] == ["a", "c"]


def test_settings_count_for_every_file(tree):
    tree.parsed()
    tree.options = ["--variables", '{"LAKE": "a"}']
    assert tree.parsed() == 2
    tree.options = []
    assert tree.parsed() == 0
    tree.env = {"AIRFLOW_VAR_LAKE": "a"}
    assert tree.parsed() == 2
    tree.env = {}
    write(tree.folder.parent, {"plugins/mine.py": "X = 1\n"})
    assert tree.parsed() == 2
    write(tree.folder.parent, {"plugins/mine.py": "X = 2\n"})
    assert tree.parsed() == 2


def test_a_file_with_a_problem_is_never_believed(tree):
    tree.write(
        broken__py="from airflow.sdk import dag\n1/0\n", slow__py=dag("slow", "import time; time.sleep(1)")
    )
    tree.options = ["--slow-seconds", "0.9"]
    assert tree.parsed() == 4
    assert tree.parsed() == 2
    assert {one["kind"] for one in tree.report["problems"]} == {"import_error", "slow_file"}


def test_modules_that_are_read_without_an_import_count(tree):
    reads = "from pathlib import Path\nX = len(Path(__file__).with_name('b.py').read_text())"
    loads = "import importlib\nimportlib.import_module('script')"
    tree.write(a__py=dag("a", reads), d__py=dag("d", loads), script__py="X = 1\n")
    assert tree.parsed() == 3
    assert tree.parsed() == 0
    assert tree.write(b__py=dag("b", "# longer")).parsed() == 3
    assert tree.write(script__py="X = 2\n").parsed() == 3


def test_a_file_for_each_other_file(tree):
    lists = "from pathlib import Path\nX = len(list(Path(__file__).parent.glob('*.py')))"
    tree.write(a__py=dag("a", lists))
    assert tree.parsed() == 2
    assert tree.write(b__py=dag("b", "# edited")).parsed() == 1
    assert tree.write(c__py=dag("c")).parsed() == 3


def test_what_comes_from_elsewhere_is_asked_for_each_time(tree, tmp_path):
    (tmp_path / "outside").write_text("x")
    tree.write(a__py=dag("a"), b__py=dag("b", f"open({str(tmp_path / 'outside')!r}).read()"), c__py=dag("c"))
    assert tree.parsed() == 3
    assert tree.parsed() == 2, "a module may keep what `b` has read for `c`"
    tree.write(b__py=dag("b", "import subprocess\nsubprocess.run(['true'])"))
    assert tree.parsed() == 2
    assert tree.parsed() == 2


def test_a_file_that_ends_its_process_takes_no_other_with_it(tree):
    tree.write(aa__py="from airflow.sdk import dag\nimport os\nos._exit(3)\n")
    assert tree.parsed() == 3
    assert tree.parsed() == 1
    assert tree.is_true()


def test_a_damaged_memory_is_none_and_another_day_has_its_own(tree, monkeypatch):
    tree.parsed()
    (file,) = tree.memory.iterdir()
    file.write_bytes(file.read_bytes()[:-9])
    assert tree.parsed() == 2
    from ductwork_airflow.release import remembered

    today = remembered.context({"HOME": "/h"}, None, 1.0)
    assert today == remembered.context({"HOME": "/h"}, None, 1.0)
    monkeypatch.setattr(remembered, "_today", lambda: "2001-01-01")
    assert today != remembered.context({"HOME": "/h"}, None, 1.0)


def test_runs_at_the_same_time_do_not_disturb_each_other(tree):
    def run(_: int) -> dict:
        return judge(tree.folder, "--cache", str(tree.memory))

    with ThreadPoolExecutor(3) as pool:
        reports = list(pool.map(run, range(3)))
    assert all(report["dags"] == reports[0]["dags"] for report in reports)
    (file,) = tree.memory.iterdir()
    assert len(json.loads(file.read_bytes())["results"]) == 2
    assert tree.parsed() == 0
