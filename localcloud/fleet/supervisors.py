"""supervisord of each local instance: boot it, find it again, end it with everything it started.

Stands for systemd of an EC2 host. Never starts programs itself; those come from `etc/supervisor.d/*.conf`.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from localcloud.base import procs
from localcloud.base.files import write_atomic
from localcloud.base.paths import State
from localcloud.fleet.hostenv import MARK

log = logging.getLogger("localcloud.fleet.supervisors")
BOOT_SECONDS = 20.0
KILL_GRACE = 3.0

CONFIG = """\
; Written by the local cloud; stands for systemd of an EC2 host. Units go to etc/supervisor.d/*.conf.
[unix_http_server]
file = {socket}
chmod = 0700

[supervisord]
logfile = {root}/var/log/supervisord.log
logfile_maxbytes = 5MB
logfile_backups = 1
pidfile = {root}/run/supervisord.pid
childlogdir = {root}/var/log
directory = {root}
identifier = {name}
{user}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl = unix://{socket}

[include]
; A list that is split at spaces; relative to this file, so that no folder above can hold one.
files = supervisor.d/*.conf
"""


def pid_file(state: State, instance_id: str) -> Path:
    return state.pids / f"{instance_id}.json"


def configure(state: State, instance_id: str) -> None:
    """Write etc/supervisord.conf; paths that it cannot hold are refused by `serve` (statefolder.py)."""
    root = state.instance_root(instance_id)
    for folder in ("etc/supervisor.d", "run", "var/log", "root", "tmp"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    text = CONFIG.format(
        socket=state.supervisor_socket(instance_id),
        root=root,
        name=instance_id,
        user="user = root" if os.geteuid() == 0 else "",
    )
    write_atomic(root / "etc" / "supervisord.conf", text, mode=0o644)


def running(state: State, instance_id: str) -> procs.Identity | None:
    return procs.recall(pid_file(state, instance_id))


def boot(state: State, instance_id: str, env: dict[str, str]) -> bool:
    """Start supervisord unless this instance's own still runs; True when it was started."""
    if running(state, instance_id) is not None:
        return False
    root = state.instance_root(instance_id)
    _end_marked(root, KILL_GRACE)  # what a killed supervisord left behind
    configure(state, instance_id)
    written = root / "run" / "supervisord.pid"
    written.unlink(missing_ok=True)
    state.supervisor_socket(instance_id).unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "supervisor.supervisord", "-c", str(root / "etc" / "supervisord.conf")],
        cwd=root, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=BOOT_SECONDS,
        start_new_session=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"supervisord of {instance_id}: {(done.stderr or done.stdout).strip()[-400:]}")
    deadline = time.monotonic() + BOOT_SECONDS
    socket = state.supervisor_socket(instance_id)
    while time.monotonic() < deadline:
        if written.exists() and socket.exists():
            text = written.read_text().strip()
            if text and procs.remember(pid_file(state, instance_id), int(text)):
                return True
        time.sleep(0.02)
    raise RuntimeError(f"supervisord of {instance_id} did not come up within {BOOT_SECONDS:.0f} s")


def end(state: State, instance_id: str, drain_seconds: float) -> None:
    """TERM to supervisord, which stops its programs in their own way; what is left after the bound is
    killed.
    """
    supervisor = running(state, instance_id)
    if supervisor is not None:
        procs.end([supervisor], drain_seconds)
    _end_marked(state.instance_root(instance_id), KILL_GRACE)
    pid_file(state, instance_id).unlink(missing_ok=True)
    state.supervisor_socket(instance_id).unlink(missing_ok=True)


def busy(state: State, instance_id: str) -> bool:
    """Whether anything but supervisord itself runs on the instance."""
    root = str(state.instance_root(instance_id))
    own = running(state, instance_id)
    return any(found != own for found in procs.tagged(lambda env: env.get(MARK) == root))


def _end_marked(root: Path, grace: float) -> None:
    procs.end(procs.tagged(lambda env: env.get(MARK) == str(root)), grace)


def stop_all(state: State, drain_seconds: float) -> None:
    """End every instance, side by side, and whatever else carries the mark of this state folder."""
    ids = [path.name for path in sorted(state.instances.iterdir())] if state.instances.is_dir() else []
    if ids:
        with ThreadPoolExecutor(len(ids)) as pool:
            list(pool.map(lambda instance_id: end(state, instance_id, drain_seconds), ids))
    prefix = str(state.instances) + os.sep
    procs.end(procs.tagged(lambda env: env.get(MARK, "").startswith(prefix)), KILL_GRACE)
