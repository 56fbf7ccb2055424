"""Runs the scripts of one lifecycle event as the CodeDeploy agent 1.8.1 does: order, accounts, timeouts, exit codes,
log and its tail.

A script that runs too long gets TERM, never KILL, and is waited for.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pwd
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

from localcloud.codedeploy.appspec import Script

agent_log = logging.getLogger("localcloud.codedeploy")
TAIL_CHARACTERS = 2048  # never reached: what is kept is shorter
# The agent's script error codes, and what the API calls them.
MISSING, NOT_EXECUTABLE, TIMED_OUT, FAILED, UNKNOWN, OUTPUT_LEFT_OPEN, AGENT_RESTARTED = 1, 2, 3, 4, 5, 6, 7
ERROR_NAMES = {
    0: "Success",
    MISSING: "ScriptMissing",
    NOT_EXECUTABLE: "ScriptNotExecutable",
    TIMED_OUT: "ScriptTimedOut",
    FAILED: "ScriptFailed",
    UNKNOWN: "UnknownError",
    OUTPUT_LEFT_OPEN: "UnknownError",
    AGENT_RESTARTED: "UnknownError",
}


class ScriptError(Exception):
    """A script fails its lifecycle event."""

    def __init__(self, code: int, script: str, message: str, tail: str) -> None:
        super().__init__(message)
        self.code = code
        self.script = script
        self.tail = tail


class OutputError(ValueError):
    """A script wrote what the agent cannot read; it then knows neither the script nor its output."""


class Tail:
    """The end of what an event has written, as the API gets it: whole lines, and none if the last is too long."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, line: str) -> None:
        self._lines.append(line)
        kept, room = 0, TAIL_CHARACTERS
        for entry in reversed(self._lines):
            room -= len(entry)
            if room <= 0:
                break
            kept += 1
        self._lines = self._lines[len(self._lines) - kept :]

    def text(self) -> str:
        return "".join(self._lines)


class Running:
    """The process groups of scripts that run now, so that the cloud can end them when it is told to stop."""

    def __init__(self) -> None:
        self._pids: set[int] = set()
        self._lock = threading.Lock()
        self.closed = False

    def add(self, pid: int) -> None:
        with self._lock:
            self._pids.add(pid)

    def remove(self, pid: int) -> None:
        with self._lock:
            self._pids.discard(pid)

    def close(self, grace: float = 3.0) -> None:
        """TERM, then KILL, every script's group; no further script is started."""
        self.closed = True
        deadline = time.monotonic() + grace
        signum = signal.SIGTERM
        while True:
            with self._lock:
                pids = list(self._pids)
            if not pids:
                return
            for pid in pids:
                _signal_group(pid, signum)
            if signum == signal.SIGKILL:
                return
            while time.monotonic() < deadline and self._pids:
                time.sleep(0.03)
            signum = signal.SIGKILL


def _signal_group(pid: int, signum: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signum)


class ScriptLog:
    """scripts.log of a deployment, and the tail of the event that writes to it."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = file.open("a", encoding="utf-8")
        self._lock = threading.Lock()
        self.tail = Tail()

    def write(self, line: str) -> None:
        with self._lock:
            if not self._file.closed:
                self._file.write(time.strftime("%Y-%m-%d %H:%M:%S ") + line)
                self._file.flush()
                self.tail.add(line)

    def close(self) -> None:
        with self._lock:
            self._file.close()


class Reader(threading.Thread):
    """Takes one of a script's outputs into the log, and stops for good at the first line that is not UTF-8."""

    def __init__(self, stream: IO[bytes], name: str, write: Callable[[str], None]) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self.output = name
        self._write = write
        self.unreadable = False

    def run(self) -> None:
        for line in self._stream:
            try:
                self._write(f"[{self.output}]{line.decode()}")
            except UnicodeDecodeError:
                self.unreadable = True
                return


class HookRunner:
    """Runs scripts of one archive on one instance."""

    def __init__(self, host_root: Path, archive: Path, log_file: Path, running: Running) -> None:
        self._root = host_root
        self._archive = archive
        self._log_file = log_file
        self._running = running

    def run(self, event: str, scripts: Iterable[Script], env: dict[str, str]) -> None:
        """Run the scripts in order, up to the first that fails."""
        log = ScriptLog(self._log_file)
        with contextlib.closing(log):
            log.write(f"LifecycleEvent - {event}\n")
            for script in scripts:
                self._check(script, log)
                log.write(f"Script - {script.location}\n")
                self._one(script, env, log)

    def _check(self, script: Script, log: ScriptLog) -> None:
        """A script must be there; one that is not executable is made so."""
        path = self._archive / script.location
        place = f"specified location: {script.location}"
        if not path.exists():
            message = f"Script does not exist at specified location: {path}"
            raise ScriptError(MISSING, script.location, message, log.tail.text())
        if os.access(path, os.X_OK):
            return
        agent_log.info("Script at %s is not executable. Trying to make it executable.", place)
        try:
            path.chmod(path.stat().st_mode | 0o111)
        except OSError:
            message = f"Unable to set script at {place} as executable"
            raise ScriptError(NOT_EXECUTABLE, script.location, message, log.tail.text()) from None

    def _one(self, script: Script, env: dict[str, str], log: ScriptLog) -> None:
        if self._running.closed:
            message = "The local cloud is being stopped."
            raise ScriptError(AGENT_RESTARTED, script.location, message, log.tail.text())
        if script.runas and not _has_account(script.runas):
            log.write(f"[stderr]su: user {script.runas} does not exist\n")
            raise _failed(script, 1, log)
        process = subprocess.Popen(
            ["bash", "-c", self._command(script)], cwd=self._root, env=_environment(script, env),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self._running.add(process.pid)
        try:
            _watch(process, script, log)
        finally:
            self._running.remove(process.pid)

    def _command(self, script: Script) -> str:
        """The agent's `su USER -c PATH` quotes nothing, so a blank in a location ends the path there. Only the
        folder in which the instance lies here must not.
        """
        return f"{shlex.quote(str(self._archive))}/{script.location}"


def _has_account(user: str) -> bool:
    """Whether this machine knows the user. A script runs as whoever runs the local cloud all the same."""
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _environment(script: Script, env: dict[str, str]) -> dict[str, str]:
    """systemd gives the agent no HOME; `su` sets one."""
    return env if script.runas else {key: value for key, value in env.items() if key != "HOME"}


def _watch(process: subprocess.Popen[bytes], script: Script, log: ScriptLog) -> None:
    deadline = time.monotonic() + script.timeout
    readers = [Reader(process.stdout, "stdout", log.write), Reader(process.stderr, "stderr", log.write)]
    for reader in readers:
        reader.start()
    place = f"Script at specified location: {script.location}"
    try:
        code = process.wait(script.timeout)
    except subprocess.TimeoutExpired:
        _signal_group(process.pid, signal.SIGTERM)
        process.wait()
        message = f"{place} failed to complete in {script.timeout} seconds"
        raise ScriptError(TIMED_OUT, script.location, message, log.tail.text()) from None
    for reader in readers:
        reader.join(max(deadline - time.monotonic(), 0.0))
        if reader.is_alive():
            message = f"{place} failed to close {reader.output.upper()}"
            raise ScriptError(OUTPUT_LEFT_OPEN, script.location, message, log.tail.text())
        if reader.unreadable:
            raise OutputError("invalid byte sequence in UTF-8")
    if code != 0:
        raise _failed(script, code, log)


def _failed(script: Script, code: int, log: ScriptLog) -> ScriptError:
    user = f" run as user {script.runas}" if script.runas else ""
    # A signal is no exit code to the agent, but `su` makes one of it.
    status = str(code) if code >= 0 else str(128 - code) if script.runas else ""
    message = f"Script at specified location: {script.location}{user} failed with exit code {status}"
    return ScriptError(FAILED, script.location, message, log.tail.text())
