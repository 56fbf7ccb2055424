"""The agent of one instance, without a cloud: what 1.8.1 was seen to do with the same small revisions."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from localcloud.codedeploy.agent import EVENTS, Agent, EventResult, Work
from localcloud.codedeploy.appspec import Permission
from localcloud.codedeploy.bundle import Fetched, Layout, store
from localcloud.codedeploy.hooks import Running, Tail
from localcloud.tests.conftest import until
from localcloud.tests.fleetkit import appspec, revision

Content = dict[str, "str | tuple[str, int]"]


def script(body: str, location: str = "hooks/it", **more: object) -> Content:
    entry = {"location": location, "timeout": 300, "runas": "root", **more}
    return {"appspec.yml": appspec({"AfterInstall": [entry]}), location: f"#!/bin/bash\n{body}\n"}


def agent(root: Path, content: Content, deployment: str = "d-1") -> Agent:
    data = revision(content)
    env = {"PATH": os.environ["PATH"], "HOME": f"{root}/root", "DUCTWORK_HOST_ROOT": str(root)}
    work = Work(deployment, "app", "group", "g-1", "zip", "DISALLOW", env, lambda: Fetched(data, "", ""), {})
    return Agent(root, work, Running())


def deploy(root: Path, content: Content, deployment: str = "d-1") -> EventResult:
    """The first event that fails, or the last one."""
    root.mkdir(exist_ok=True)
    one, result = agent(root, content, deployment), EventResult("Succeeded")
    for event in EVENTS:
        result = one.run(event)
        if result.status == "Failed":
            break
    return result


def test_an_event_that_succeeds_says_nothing(tmp_path: Path) -> None:
    assert deploy(tmp_path, script("echo no task was cut short")) == EventResult("Succeeded")
    log = next(tmp_path.rglob("scripts.log")).read_text()
    assert "[stdout]no task was cut short\n" in log


def test_the_tail_is_whole_lines(tmp_path: Path) -> None:
    result = deploy(tmp_path, script("for i in {1..300}; do echo line $i; done; exit 1"))
    lines = result.tail.splitlines()
    assert (lines[0], lines[-1]) == (f"[stdout]line {301 - len(lines)}", "[stdout]line 300")
    assert 2048 - len("[stdout]line 100\n") <= len(result.tail) < 2048
    assert result.message == "Script at specified location: hooks/it run as user root failed with exit code 1"


def test_a_line_that_is_too_long_empties_the_tail() -> None:
    tail = Tail()
    tail.add("short\n")
    tail.add("ä" * 2046 + "\n")
    assert len(tail.text()) == 2047, "characters, not bytes"
    tail.add("x" * 2048)
    assert tail.text() == ""
    tail.add("after\n")
    assert tail.text() == "after\n"


def test_a_byte_that_is_not_utf8_fails_even_a_script_that_succeeds(tmp_path: Path) -> None:
    result = deploy(tmp_path, script(r"echo before; printf 'caf\351\n'; exit 0"))
    assert result == EventResult("Failed", 5, message="invalid byte sequence in UTF-8")


@pytest.mark.parametrize(
    ("account", "home"), [({"runas": "root"}, "HOME={root}/root"), ({"runas": None}, "no HOME")]
)
def test_home_comes_with_an_account(tmp_path: Path, account: dict, home: str) -> None:
    body = 'echo "${HOME+HOME=}${HOME-no HOME}" > home; exit 0'
    assert deploy(tmp_path, script(body, **account)).status == "Succeeded"
    assert (tmp_path / "home").read_text() == home.format(root=tmp_path) + "\n", (
        "and / is the working directory"
    )


def test_an_account_that_is_not_there_and_a_blank_in_a_path_fail(tmp_path: Path) -> None:
    result = deploy(tmp_path, script("exit 0", runas="nobody-has-this-name"))
    assert (result.code, result.message[-11:]) == (4, "exit code 1")
    assert "nobody-has-this-name does not exist" in result.tail
    root = tmp_path / "a folder"  # of this machine, which stands for /
    assert deploy(root, script("exit 0")).status == "Succeeded"
    result = deploy(root, script("exit 0", location="hooks/two words"), "d-2")
    assert (result.code, result.message[-13:]) == (4, "exit code 127")


def test_a_script_needs_neither_shebang_nor_execute_bit(tmp_path: Path) -> None:
    content = {**script(""), "hooks/it": ("touch made\n", 0o644)}
    assert deploy(tmp_path, content).status == "Succeeded"
    assert (tmp_path / "made").exists()


def test_a_script_that_runs_too_long_is_waited_for(tmp_path: Path) -> None:
    body = """trap 'touch termed; while [ ! -e go ]; do sleep 0.05; done; exit 0' TERM
        while true; do sleep 0.05; done"""
    results: list[EventResult] = []
    content = script(body, timeout=1)
    thread = threading.Thread(target=lambda: results.append(deploy(tmp_path, content)))
    thread.start()
    until((tmp_path / "termed").exists, what="TERM")
    assert thread.is_alive() and not results
    (tmp_path / "go").touch()
    thread.join()
    assert (results[0].code, results[0].message[-31:]) == (3, "failed to complete in 1 seconds")


def test_a_held_output_is_waited_for_whatever_the_exit_code(tmp_path: Path) -> None:
    body = "(while [ ! -e go ]; do sleep 0.05; done) & exit 3"
    result = deploy(tmp_path, script(body, timeout=1))
    (tmp_path / "go").touch()
    assert (result.code, result.message) == (
        6,
        "Script at specified location: hooks/it failed to close STDOUT",
    )


def test_only_appspec_yml_is_an_appspec(tmp_path: Path) -> None:
    content = script("exit 0")
    content["appspec.yaml"] = content.pop("appspec.yml")
    result = deploy(tmp_path, content)
    assert "did not find an AppSpec file" in result.message and '"appspec.yml"' in result.message
    nested = {f"release/{name}": text for name, text in script("touch made").items()} | {"README": "dropped"}
    assert deploy(tmp_path, nested, "d-2").status == "Succeeded"
    assert (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("pattern", "path", "applies"),
    [
        ("*.sh", "/opt/app/run.sh", True),
        ("*.sh", "/opt/app/deeper/run.sh", False),
        ("r?n.sh", "/opt/app/run.sh", False),
        ("[r]un.sh", "/opt/app/run.sh", False),
        ("[r]un.sh", "/opt/app/[r]un.sh", True),
        ("**", "/opt/app/deeper/run.sh", True),
        ("**", "/opt/app", False),
    ],
)
def test_a_pattern_knows_the_star_only(pattern: str, path: str, applies: bool) -> None:
    assert Permission("/opt/app", pattern).applies(path) is applies


def test_links(tmp_path: Path) -> None:
    """A folder behind a link is copied as a folder; a link at the destination is written through."""
    root = tmp_path / "root"
    layout = Layout(root, "g-1")
    files = [{"source": "app", "destination": "/opt/app"}]
    content = {"appspec.yml": appspec({}, files, file_exists_behavior="OVERWRITE"), "app/word": "new"}
    one = agent(root, content)
    assert one.run("DownloadBundle").status == "Succeeded"
    archive = layout.archive("d-1")
    (archive / "real").mkdir()
    (archive / "real/inner").write_text("inner")
    (archive / "app/folder").symlink_to("../real")
    (archive / "app/file").symlink_to("word")
    (root / "opt/app").mkdir(parents=True)
    (root / "elsewhere").write_text("old")
    (root / "opt/app/word").symlink_to("../../elsewhere")
    assert one.run("Install") == EventResult("Succeeded")
    installed = root / "opt/app"
    assert (installed / "folder").is_dir() and not (installed / "folder").is_symlink()
    assert (installed / "folder/inner").read_text() == "inner"
    assert (installed / "file").is_symlink()
    assert (installed / "word").is_symlink() and (root / "elsewhere").read_text() == "new"


def test_without_unzip_execute_bits_are_lost(tmp_path: Path) -> None:
    data = revision({"appspec.yml": "", "hooks/it": "#!/bin/sh\n"})
    layout = Layout(tmp_path, "g-1")
    hook = layout.archive("d-1") / "hooks/it"
    store(layout, "d-1", data, "zip")
    assert os.access(hook, os.X_OK)
    store(layout, "d-1", data, "zip", has_unzip=False)
    assert not hook.stat().st_mode & 0o111
