"""Packages of an image are the same wherever they were installed; a container starts what it is told to."""

from __future__ import annotations

import hashlib
import importlib.util
import marshal
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ductwork_airflow.hosts import run
from ductwork_airflow.images import packages, start

PREPARER = Path(packages.__file__)
PYTHON = "/opt/ductwork/venv/bin/python"
SOURCES = {f"lib{number}/mod_{number}.py": f"def shared(self, value):\n    return value, 'word{number % 3}', self\n"
           for number in range(40)}  # fmt: skip


def site(folder: Path) -> Path:
    """What uv leaves in the folder of an installation, as of a machine where the Python is in that folder."""
    made = folder / "site"
    files = SOURCES | {
        "lib/tool.py": "def run():\n    return 0\n\nclass Tool:\n    main = run\n",
        "lib/old.py": "print 'of another age'\n",
        "tool-1.dist-info/entry_points.txt": "[console_scripts]\ntool = lib.tool:run\n"
        "Other = lib.tool:Tool.main [extra]\n",
        "tool-1.dist-info/uv_cache.json": f'{{"timestamp": "{folder}"}}',
        "tool-1.dist-info/RECORD": f"lib/tool.py,sha256=a,1\n../../bin/tool,sha256={folder.name},9\n"
        "bin/tool,,\ntool-1.dist-info/uv_cache.json,,\na.py,,\n",
        "bin/tool": f"#!{folder}/bin/python\nfrom lib.tool import run\n",
        "bin/Other": f"#!/bin/sh\n'''exec' {folder}/bin/python\n",
        "bin/plain.py": f"#!{folder}/bin/python3\nprint('plain')\n",
        "bin/native": "\x7fELF",
    }
    for name, text in files.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(text, encoding="utf-8")
    (made / "lib/__pycache__").mkdir()
    (made / "lib/__pycache__/tool.cpython-30.pyc").write_bytes(b"of this machine")
    return made


def prepared(folder: Path, **environment: str) -> Path:
    """The folder after the program has run there, as the release tool runs it."""
    made = site(folder)
    words = [sys.executable, "-I", PREPARER, made, "--python", PYTHON, "--place", "/place"]
    subprocess.run(words, check=True, env=environment)
    return made


def content(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_packages_are_the_same_wherever_they_were_installed(tmp_path: Path) -> None:
    first = prepared(tmp_path / "a", TZ="Asia/Tokyo", PYTHONHASHSEED="1")
    second = prepared(tmp_path / "another/folder", TZ="UTC", PYTHONHASHSEED="2", HOME="/nonexistent")
    assert content(first) == content(second)
    texts = [file.read_bytes() for file in first.rglob("*") if file.is_file()]
    assert not [text for text in texts if str(tmp_path).encode() in text]


def test_commands_begin_with_the_python_of_the_image(tmp_path: Path) -> None:
    made = prepared(tmp_path)
    first = {file.name: file.read_text(encoding="utf-8") for file in (made / "bin").iterdir()}
    assert [first[name].splitlines()[0] for name in ("tool", "Other", "plain.py")] == [f"#!{PYTHON}"] * 3
    assert first["native"] == "\x7fELF"
    command = first["Other"].replace(PYTHON, sys.executable)
    assert subprocess.run([sys.executable, "-c", command], cwd=made, check=False).returncode == 0
    record = (made / "tool-1.dist-info/RECORD").read_text(encoding="utf-8")
    assert record == "a.py,,\nlib/tool.py,sha256=a,1\n"


def test_byte_code_is_taken_as_it_is(tmp_path: Path) -> None:
    made = prepared(tmp_path)
    compiled = importlib.util.cache_from_source(str(made / "lib/tool.py"))
    assert Path(compiled).is_file()
    assert not Path(importlib.util.cache_from_source(str(made / "lib/old.py"))).exists()
    assert [file.name for file in (made / "lib/__pycache__").iterdir()] == [Path(compiled).name]
    # Another source, of which no time and no checksum tells: the byte code counts.
    (made / "lib/tool.py").write_text("def run():\n    return 7\n", encoding="utf-8")
    code = "import lib.tool; print(lib.tool.run())"
    told = subprocess.run([sys.executable, "-c", code], cwd=made, check=True, capture_output=True, text=True)
    assert told.stdout == "0\n"
    assert marshal.loads(Path(compiled).read_bytes()[16:]).co_filename == "/place/lib/tool.py"


def entry(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    home = environment.pop("AIRFLOW_HOME", "/dev/null/home")
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(PREPARER.parents[2]),
        "AIRFLOW_HOME": home,
    } | environment
    command = [sys.executable, "-m", "ductwork_airflow.images.start", *words]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=env)


def test_a_container_becomes_the_command_it_was_given(tmp_path: Path) -> None:
    home = tmp_path / "state/airflow"
    told = entry("sh", "-c", "pwd; echo $0 $GREETING; exit 3", "me", GREETING="hello", AIRFLOW_HOME=str(home))
    assert (told.returncode, told.stdout, told.stderr) == (3, f"{home}\nme hello\n", "")
    assert (home / "airflow.cfg").read_text(encoding="utf-8") == run.CFG
    missing = entry("no-such-command", AIRFLOW_HOME=str(home))
    assert missing.returncode == 127
    assert missing.stderr == "error: cannot run `no-such-command`: No such file or directory\n"
    assert entry(str(tmp_path), AIRFLOW_HOME=str(home)).returncode == 126


def test_a_command_runs_where_nothing_can_be_written() -> None:
    told = entry("echo", "all the same")
    assert (told.returncode, told.stdout) == (0, "all the same\n")
    assert told.stderr == "warning: nothing can be written to /dev/null/home: Not a directory\n"


def test_a_container_without_a_command_says_what_there_is() -> None:
    for words in ((), ("scheduler", "--num-runs", "1")):
        told = entry(*words)
        assert told.returncode == 2
        assert "scheduler" in told.stderr


def test_a_component_has_the_variables_of_the_container(monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[tuple[str, list[str], dict[str, str]]] = []

    def become(program: str, words: list[str], env: dict[str, str]) -> None:
        became.append((program, words, env))

    monkeypatch.setattr(os, "execve", become)
    monkeypatch.setenv("AIRFLOW__CORE__PARALLELISM", "7")
    monkeypatch.setenv("DUCTWORK_QUEUES", "big")
    start.component("worker")
    [(program, words, env)] = became
    assert program == words[0] and words[1:5] == ["celery", "worker", "-q", "big"]
    assert (env["AIRFLOW__CORE__PARALLELISM"], env["DUCTWORK_COMPONENT"]) == ("7", "worker")
