"""DAGs are judged by copies of a process that has imported Airflow, as if each were a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import AIRFLOW, ROOT
from test_validate import BROKEN, CLASSES, FAILS, GOOD, judge, write

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="copies of processes are made on Linux only")

SOCKET = "validator.sock"
HANGS = """# airflow, dag
import os, pathlib, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
pathlib.Path(os.environ["MARK"]).write_text(str(os.getpid()))
while True: pass
"""


def until(done: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + 60
    while not (found := done()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return found


def runs(pid: int) -> bool:
    """Whether there is such a process, and not only its remains."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def waiting(folder: Path) -> int:
    """The process that waits there."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(str(folder / SOCKET))
        return struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]


@pytest.fixture
def warm(tmp_path: Path):
    """A folder for the process, which is gone afterwards."""
    folder = tmp_path / "state"
    folder.mkdir()
    yield folder
    if (folder / SOCKET).exists():
        pid = waiting(folder)
        (folder / SOCKET).unlink()
        until(lambda: not runs(pid), "a process without its socket ends")


def test_the_next_judgement_is_made_by_a_copy_of_the_same_process(tmp_path, warm):
    dags = write(tmp_path / "dags", {"a.py": GOOD.replace("NAME", "a")})
    first = judge(dags, "--warm", str(warm))
    pid = waiting(warm)
    write(dags, {"a.py": "import os\nassert os.getppid() != 1\n" + GOOD.replace("NAME", "b")})
    second = judge(dags, "--warm", str(warm))
    assert ([dag["dag_id"] for dag in first["dags"]], first["problems"]) == (["a"], [])
    assert ([dag["dag_id"] for dag in second["dags"]], second["problems"]) == (["b"], [])
    assert waiting(warm) == pid
    assert (warm / SOCKET).stat().st_mode & 0o777 == 0o600, "nobody else may ask"


def test_it_finds_what_a_process_of_its_own_finds(tmp_path, warm):
    """Of files that end their process, too: that of the copy is meant."""
    sources = {name: source for name, (source, *_) in BROKEN.items()}
    dags = write(tmp_path / "dags", sources | {"good.py": GOOD, "libx/__init__.py": FAILS + CLASSES})
    options = ("--timeout-seconds", "120")
    expected, found = judge(dags, *options), judge(dags, *options, "--warm", str(warm))
    again = judge(dags, *options, "--warm", str(warm))
    for report in (expected, found, again):
        report["files"] = [one["file"] for one in report["files"]]
        del report["seconds"]
        for one in report["problems"]:
            one["message"] = re.sub(r"0x[0-9a-f]+", "0x", one["message"])
    assert len(expected["problems"]) >= len(BROKEN)
    assert found == expected and again == expected


def test_a_file_that_hangs_is_killed_and_the_process_stays(tmp_path, warm):
    mark = tmp_path / "mark"
    dags = write(tmp_path / "dags", {"a.py": HANGS, "b.py": GOOD})
    given = ("--variables", json.dumps({"MARK": str(mark)}), "--timeout-seconds", "1", "--slow-seconds", "60")
    found = judge(dags, *given, "--warm", str(warm))
    assert [(one["kind"], one["file"]) for one in found["problems"]] == [("timeout", "a.py")]
    assert [dag["file"] for dag in found["dags"]] == ["b.py"]
    assert not runs(int(mark.read_text()))
    assert runs(waiting(warm))


def test_whoever_asks_and_is_killed_leaves_no_copy(tmp_path, warm):
    mark = tmp_path / "mark"
    dags = write(tmp_path / "dags", {"a.py": HANGS})
    given = ("--variables", json.dumps({"MARK": str(mark)}), "--timeout-seconds", "600", "--warm", str(warm))
    asks = subprocess.Popen(
        [sys.executable, "-m", "ductwork_airflow.release.validate", "--dags", str(dags), *given],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(AIRFLOW)}, cwd=ROOT, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        copy = int(until(lambda: mark.exists() and mark.read_text(), "it parses"))
        # What it is asked for does not depend on the process that it is a copy of, and it lets nobody in.
        os.kill(waiting(warm), signal.SIGKILL)
        with pytest.raises(ConnectionRefusedError):
            until(lambda: not waiting(warm), "nobody answers")
        (warm / SOCKET).unlink()
        assert runs(copy)
    finally:
        asks.send_signal(signal.SIGKILL)
        asks.wait()
    until(lambda: not runs(copy), "the copy is killed")


def test_what_a_file_does_to_its_process_reaches_no_other_judgement(tmp_path, warm):
    leaves = "import os, sys, pathlib\nos.environ['LEFT'] = 'x'\nsys.modules['left'] = sys\nos.chdir('/')\n"
    leaves += "pathlib.Path(os.environ['HOME'], 'left').touch()\n"
    looks = "import os, sys, pathlib\nassert 'LEFT' not in os.environ and 'left' not in sys.modules\n"
    looks += "assert os.getcwd() != '/' and not pathlib.Path(os.environ['AIRFLOW_HOME'], 'left').exists()\n"
    looks += "assert all(pathlib.Path(os.environ[name]).is_dir() for name in ('HOME', 'AIRFLOW_HOME'))\n"
    dags = write(tmp_path / "dags", {"a.py": leaves + GOOD})
    assert judge(dags, "--warm", str(warm))["problems"] == []
    write(dags, {"a.py": looks + GOOD})
    assert judge(dags, "--warm", str(warm))["problems"] == []


def test_another_context_has_a_process_of_its_own(tmp_path, warm):
    """Variables, and everything else that a remembered result depends on."""
    dags = write(tmp_path / "dags", {"a.py": f"import os\nassert os.environ['LAKE'] == 'b'\n{GOOD}"})
    refused = judge(dags, "--warm", str(warm), "--variables", json.dumps({"LAKE": "a"}))
    assert [one["kind"] for one in refused["problems"]] == ["import_error"]
    first = waiting(warm)
    assert judge(dags, "--warm", str(warm), "--variables", json.dumps({"LAKE": "b"}))["problems"] == []
    assert waiting(warm) != first
    until(lambda: not runs(first), "the one that nobody can use any more ends")


def test_without_a_place_for_its_socket_it_judges_and_ends(tmp_path):
    dags = write(tmp_path / "dags", {"a.py": GOOD})
    mark = tmp_path / "mark"
    write(dags, {"b.py": "import os, pathlib\npathlib.Path(os.environ['MARK']).write_text(str(os.getpid()))\n"
                         "with __import__('airflow.sdk').sdk.DAG('b'): pass\n"})  # fmt: skip
    given = ("--variables", json.dumps({"MARK": str(mark)}))
    found = judge(dags, *given, "--warm", str(tmp_path / "nowhere"))
    assert (found["problems"], len(found["dags"])) == ([], 2)
    until(lambda: not runs(int(mark.read_text())), "the copy has ended")


def test_it_ends_when_nobody_asks(tmp_path):
    path = tmp_path / SOCKET
    script = (
        "import socket, sys, pathlib\n"
        "from ductwork_airflow.release import validate_warm\n"
        "validate_warm.serve(pathlib.Path(sys.argv[1]), 'c', socket.socketpair()[0], idle=1.0)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(path)], env={"PYTHONPATH": str(AIRFLOW)})
    assert process.wait(timeout=60) == 0
    assert not path.exists()
