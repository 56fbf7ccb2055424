"""bin/svc and the units under a real supervisord: what systemd promises on EC2 must hold here too."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import AIRFLOW, PATIENCE_SECONDS, wait_for
from hostkit import Host, temporary_root

# Stands for the venv's python: says what it gets, and ends after a SIGTERM as soon as there is a file
# `leave`, as a worker does whose task has ended.
FAKE = """#!/usr/bin/env python3
import os, signal, subprocess, sys, time
root = os.environ["DUCTWORK_HOST_ROOT"]
def note(text):
    with open(root + "/notes", "a") as file: file.write(text + "\\n")
if sys.argv[2] == "ductwork_airflow.hosts.canary": sys.exit(0)  # nobody has asked for one
trap = "trap 'echo child-termed >> \\"$0/notes\\"' TERM; while [ -d /proc/$PPID ]; do sleep 0.1; done"
child = subprocess.Popen(["/bin/sh", "-c", trap, root])
def ended(*_):
    note("term")
    while not os.path.exists(root + "/leave"): time.sleep(0.1)
    child.kill(); note("done"); sys.exit(0)
signal.signal(signal.SIGTERM, ended)
note("start " + " ".join(sys.argv[1:]) + " " + os.environ["PYTHONPATH"])
while True: time.sleep(0.1)
"""


@pytest.fixture
def host():
    """A host whose components are the fake."""
    with temporary_root("d w&'-") as root:
        host = Host(root)
        python = root / "opt/ductwork/venv/bin/python"
        python.parent.mkdir(parents=True)
        python.write_text(FAKE)
        python.chmod(0o755)
        for folder in ("var/lib/ductwork", "var/log/ductwork"):
            (root / folder).mkdir(parents=True)
        (root / "leave").touch()
        supervisord = host.boot()
        yield host
        supervisord.terminate()
        supervisord.wait(120)


def pid(host: Host) -> int:
    """The worker's main process."""
    return int(host.svc("mainpid", "worker").stdout)


def notes(host: Host) -> list[str]:
    """What the fake has written."""
    file = host.root / "notes"
    return file.read_text().splitlines() if file.exists() else []


def test_the_life_of_a_service(host):
    assert host.svc("installed", "worker").returncode != 0
    assert host.svc("status", "worker").returncode != 0
    assert host.svc("remove", "worker").returncode == 0, "nothing to remove"
    assert host.svc("install", "worker", "250").returncode == 0
    assert host.svc("installed", "worker").returncode == 0
    assert notes(host) == [], "installed is not started"

    assert host.svc("start", "worker").returncode == 0
    assert host.svc("start", "worker").returncode == 0, "twice is no fault"
    assert host.svc("status", "worker").stdout.strip() == "active"
    first = pid(host)
    wait_for("start", lambda: notes(host))
    assert notes(host) == [f"start -m ductwork_airflow.hosts.run worker {host.root}/opt/ductwork/revision"]
    assert abs(int(host.svc("since", "worker").stdout) - time.time()) < 300

    os.kill(first, signal.SIGKILL)  # supervised: comes back by itself
    wait_for("restart", lambda: pid(host) not in (0, first))

    (host.root / "leave").unlink()
    stop = host.begin("stop", "worker")
    wait_for("SIGTERM", lambda: notes(host)[-1] == "term")
    assert stop.poll() is None, "it is waited for"
    (host.root / "leave").touch()
    assert stop.wait(PATIENCE_SECONDS) == 0
    assert notes(host)[-2:] == ["term", "done"]
    assert "child-termed" not in notes(host), "SIGTERM is for the main process only"
    assert host.svc("status", "worker").returncode != 0
    assert host.svc("stop", "worker").returncode == 0, "stopping the stopped is no fault"

    assert host.svc("start", "worker").returncode == 0
    assert host.svc("remove", "worker").returncode == 0
    assert host.svc("status", "worker").returncode != 0
    assert host.svc("installed", "worker").returncode != 0


def test_after_the_drain_time_the_whole_group_is_killed(host):
    (host.root / "leave").unlink()
    host.svc("install", "worker", "5")
    host.svc("start", "worker")
    wait_for("start", lambda: notes(host))
    group = [
        int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and of_host(entry, host)
    ]
    assert len(group) >= 2
    assert host.svc("stop", "worker").returncode == 0
    wait_for("end of the group", lambda: not [one for one in group if Path(f"/proc/{one}").exists()])
    assert notes(host)[-1] == "term"


def test_before_install_ends_what_a_failed_application_stop_left(host):
    """CodeDeploy goes on after a failed ApplicationStop if it is told so, as a rollback does."""
    host.download()
    assert host.svc("install", "worker", "250").returncode == 0
    assert host.svc("install", "scheduler", "60").returncode == 0
    assert host.svc("start", "worker").returncode == 0
    old = pid(host)
    wait_for("start", lambda: notes(host))
    (host.root / "opt/ductwork/revision").mkdir()
    done = host.hook("before_install")
    assert done.returncode == 0
    assert "worker still runs" in done.stdout
    assert "scheduler" not in done.stdout
    assert notes(host)[-2:] == ["term", "done"], "it ends as in ApplicationStop"
    assert not Path(f"/proc/{old}").exists()
    assert not (host.root / "opt/ductwork/revision").exists()
    assert host.svc("start", "worker").returncode == 0
    wait_for("a new process", lambda: pid(host) not in (0, old))


def of_host(entry: Path, host: Host) -> bool:
    """Whether a process runs the fake or its child for this host."""
    try:
        words = (entry / "cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return False
    return str(host.root) in words and ("ductwork_airflow.hosts.run" in words or "child-termed" in words)


def test_the_systemd_unit_says_the_same(tmp_path):
    """No systemd here; what it would read is compared with what was just proven with supervisord."""
    unit = (AIRFLOW / "host/units/systemd.service").read_text()
    for line in (
        "StandardOutput=append:/var/log/ductwork/@COMPONENT@.log",
        "KillMode=mixed",
        "TimeoutStopSec=@SECONDS@",
        "Restart=always",
        "User=ductwork",
    ):
        assert line in unit.splitlines()
    assert "ExecStart=/opt/ductwork/venv/bin/python -m ductwork_airflow.hosts.run @COMPONENT@" in unit
    fake = tmp_path / "bin/systemctl"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\necho "$@" >> "$CALLS"\n[ "$1" != show ] || echo 42\n')
    fake.chmod(0o755)
    host = Host(tmp_path)
    host.env |= {
        "PATH": f"{fake.parent}:{host.env['PATH']}",
        "CALLS": str(tmp_path / "calls"),
        "DUCTWORK_INIT": "systemd",
    }
    for words in (
        ("install", "worker", "900"),
        ("start", "worker"),
        ("stop", "worker"),
        ("remove", "worker"),
    ):
        assert host.svc(*words).returncode == 0, words
        if words[0] == "install":
            text = (tmp_path / "etc/systemd/system/ductwork-worker.service").read_text()
    assert host.svc("mainpid", "worker").stdout.strip() == "42"
    assert "TimeoutStopSec=900" in text
    assert "@" not in text
    assert (tmp_path / "calls").read_text().splitlines() == [
        "daemon-reload",
        "enable --quiet ductwork-worker",
        "start ductwork-worker",
        "stop ductwork-worker",
        "stop ductwork-worker",
        "daemon-reload",
        "show --property MainPID --value ductwork-worker",
    ]


@pytest.mark.skipif(not shutil.which("systemd-tmpfiles"), reason="without systemd")
def test_old_task_logs_are_removed_and_nothing_else(tmp_path):
    """By the real program, below a folder that stands for `/`."""
    for file, text in {
        "etc/passwd": "root:x:0:0::/:/bin/sh\nductwork:x:998:998::/:/bin/sh\n",
        "etc/group": "root:x:0:\nductwork:x:998:\n",
        "etc/tmpfiles.d/ductwork.conf": (AIRFLOW / "host/units/tmpfiles.conf").read_text(),
    }.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
    logs = tmp_path / "var/log/ductwork"
    week = time.time() - 8 * 86_400
    for name, when in {
        "airflow/dag_id=a/old.log": week,
        "airflow/dag_id=a/new.log": time.time(),
        "worker.log": week,
    }.items():
        (logs / name).parent.mkdir(parents=True, exist_ok=True)
        (logs / name).touch()
        os.utime(logs / name, (when, when))
    subprocess.run(["systemd-tmpfiles", "--clean", f"--root={tmp_path}", "ductwork.conf"], check=True)
    assert sorted(file.name for file in logs.rglob("*.log")) == ["new.log", "worker.log"]
