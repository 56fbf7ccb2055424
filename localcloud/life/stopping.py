"""`stop` and `wipe`: end everything that belongs to one state folder, by pid, whether the cloud still lives
or not.

Order: tell the cloud to start nothing more, drain instances and tasks (they still need the database and the
queue), stop databases, stop the cloud. Never ends a process that does not carry our mark or stand in our pid files.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import struct
import time
import urllib.request
from pathlib import Path

from localcloud.base import procs
from localcloud.base.files import remove_tree
from localcloud.base.paths import State, runtime_dir
from localcloud.base.problems import Refused
from localcloud.life.statefolder import read_ready

CLOUD_GRACE = 8.0


def running_cloud(state: State) -> procs.Identity | None:
    """The cloud of this state folder, if that very process still runs; also while it still starts."""
    return procs.recall(state.pids / "cloud.json")


def _quiesce(state: State) -> None:
    """Ask the cloud to abort deployments and launch nothing; a dead or deaf cloud does neither."""
    record = read_ready(state.cloud_json) or {}
    with contextlib.suppress(OSError, ValueError):
        request = urllib.request.Request(f"{record.get('endpoint')}/_localcloud/quiesce", method="POST")
        urllib.request.urlopen(request, timeout=10).close()


def _stop_validator(state: State) -> None:
    """The process that is ready to check DAGs was not started by the cloud, but is there as long as the cloud is."""
    # Where there is no such option there is no such process.
    if (peer := getattr(socket, "SO_PEERCRED", None)) is None:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as line:
        line.connect(str(state.validator))
        pid, *_ = struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, peer, struct.calcsize("3i")))
        procs.end(filter(None, [procs.identify(pid)]), CLOUD_GRACE)
    state.validator.unlink(missing_ok=True)


def stop(state: State, drain_seconds: float) -> None:
    """Leave no process of this state folder; done again, it does nothing."""
    if not state.root.is_dir():
        return
    _stop_validator(state)
    cloud = running_cloud(state)
    if cloud is not None:
        _quiesce(state)
    from localcloud.databases.postgres import stop_all as stop_databases
    from localcloud.ecs.containers import end_all as stop_tasks
    from localcloud.fleet.supervisors import stop_all as stop_instances

    stop_instances(state, drain_seconds)
    stop_tasks(state.tasks, drain_seconds)
    stop_databases(state)
    if cloud is not None:
        procs.end([cloud], CLOUD_GRACE, signal.SIGTERM)
    state.cloud_json.unlink(missing_ok=True)
    # A `serve` started in this very moment holds the lock without a pid file; give it the moment to end.
    _wait_unlocked(state.lock_file)
    remove_tree(runtime_dir(state.root, create=False))


def _wait_unlocked(lock_file: Path, seconds: float = 5.0) -> None:
    import fcntl

    deadline = time.monotonic() + seconds
    while lock_file.exists():
        with lock_file.open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise Refused(
                        "a local cloud that is still starting holds the state folder", "try again in a moment"
                    ) from None
        time.sleep(0.05)


def _ours(state: State) -> bool:
    """Whether the folder holds nothing, or anything that only `serve` makes: any of it may be lost."""
    names = {path.name for path in state.root.iterdir()}
    marks = {state.lock_file.name, state.port_file.name, state.cloud_json.name}
    # A project may have a folder called `instances`; several of these names together are ours.
    folders = {state.services, state.objects, state.instances, state.tasks, state.postgres, state.pids}
    return not names or bool(names & marks) or len(names & {path.name for path in folders}) > 1


def wipe(state: State, drain_seconds: float) -> None:
    """Stop, then delete the folder, if it is one of ours."""
    if not state.root.exists():
        return
    if not _ours(state):
        raise Refused(
            f"`{state.root}` does not look like the state folder of a local cloud; nothing was deleted"
        )
    stop(state, drain_seconds)
    remove_tree(state.root)
