"""Which DAGs two bundles have in common: those that are made of the same files."""

from __future__ import annotations

from pathlib import Path

import pytest

from ductwork_airflow.release import contents

DAGS = ("a.py", "team/b.py", "c.py")
FILES = {
    "a.py": "from shared import steps\n",
    "team/b.py": "import os\nfrom shared.steps import (\n    clean,\n    c,\n)\n",
    "c.py": "'''Nobody should import a, or team.b.'''\n",
    "shared/__init__.py": "",
    "shared/steps.py": "def clean(): ...\n",
    "queries/orders.sql": "select 1",
}


def digests(folder: Path, files: dict[str, str]) -> dict[str, str]:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return contents.digests(folder, DAGS)


@pytest.mark.parametrize(
    ("file", "touches"),
    [
        ("a.py", {"a.py"}),
        ("team/b.py", {"team/b.py"}),
        ("c.py", set(DAGS)),  # b imports it
        ("shared/steps.py", set(DAGS)),
        ("queries/orders.sql", set(DAGS)),
        ("new.txt", set(DAGS)),
    ],
)
def test_a_file_touches_its_own_dags_or_all(tmp_path, file, touches):
    before = digests(tmp_path / "before", FILES)
    after = digests(tmp_path / "after", FILES | {file: FILES.get(file, "") + "# edited"})
    assert {name for name in DAGS if before[name] != after[name]} == touches


def test_the_same_tree_gives_the_same_digests(tmp_path):
    assert digests(tmp_path / "one", FILES) == digests(tmp_path / "two", FILES)
