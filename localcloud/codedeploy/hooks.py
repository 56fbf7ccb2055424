"""Runs the scripts of one lifecycle event as the CodeDeploy agent does: order, timeouts, exit codes, log, log
tail.

Never kills with KILL on a timeout: the agent sends TERM to the process group and goes on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from localcloud.codedeploy.appspec import Script

TAIL_BYTES = 2048
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
    """A lifecycle event failed."""

    def __init__(self, code: int, script: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.script = script


@dataclass
class Tail:
    """The end of what an event has written: 2048 bytes, as the API gets it."""

    data: bytes = b""

    def add(self, line: bytes) -> None:
        self.data = (self.data + line)[-TAIL_BYTES:]

    def text(self) -> str:
        return self.data.decode("utf-8", "ignore")


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
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signum)
            if signum == signal.SIGKILL:
                return
            while time.monotonic() < deadline and self._pids:
                time.sleep(0.03)
            signum = signal.SIGKILL


class HookRunner:
    """Runs scripts of one archive on one instance."""

    def __init__(self, archive: Path, log_file: Path, working_directory: Path, running: Running) -> None:
        self._archive = archive
        self._log_file = log_file
        self._cwd = working_directory
        self._running = running

    def run(self, event: str, scripts: Iterable[Script], env: dict[str, str], tail: Tail) -> str:
        """Run the scripts in order; answers the last one's name. Raises ScriptError at the first that
        fails.
        """
        self._log_file.parent.mkdir(parents=True, exist_ok=True)
        name = ""
        with self._log_file.open("ab") as log:
            lock = threading.Lock()

            def write(line: bytes) -> None:
                with lock:
                    if not log.closed:
                        log.write(time.strftime("%Y-%m-%d %H:%M:%S ").encode() + line)
                        log.flush()
                        tail.add(line)

            write(f"LifecycleEvent - {event}\n".encode())
            for script in scripts:
                name = script.location
                write(f"Script - {script.location}\n".encode())
                self._one(script, env, write)
        return name

    def _one(self, script: Script, env: dict[str, str], write: Callable[[bytes], None]) -> None:
        path = self._archive / script.location
        if not path.is_file():
            raise ScriptError(
                MISSING, script.location, f"Script does not exist at specified location: {path}"
            )
        if not os.access(path, os.X_OK):
            write(
                b"[stderr]Script at specified location: "
                + script.location.encode()
                + b" is not executable. Trying to make it so.\n"
            )
            try:
                path.chmod(path.stat().st_mode | 0o111)
            except OSError as error:
                raise ScriptError(
                    NOT_EXECUTABLE, script.location,
                    f"Unable to set script at specified location: {script.location} "
                    f"as executable: {error}",
                ) from None  # fmt: skip
        if script.runas:
            write(f"[stderr]runas {script.runas} is not honoured on a local instance\n".encode())
        if self._running.closed:
            raise ScriptError(AGENT_RESTARTED, script.location, "The local cloud is being stopped.")
        self._cwd.mkdir(parents=True, exist_ok=True)
        try:
            process = subprocess.Popen(
                [str(path)], cwd=self._cwd, env=env, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise ScriptError(
                UNKNOWN,
                script.location,
                f"Script at specified location: {script.location} cannot be run: {error}",
            ) from None
        self._running.add(process.pid)
        try:
            self._watch(process, script, write)
        finally:
            self._running.remove(process.pid)

    def _watch(
        self, process: subprocess.Popen[bytes], script: Script, write: Callable[[bytes], None]
    ) -> None:
        deadline = time.monotonic() + script.timeout
        readers = [
            threading.Thread(target=_pump, args=(stream, prefix, write), daemon=True)
            for stream, prefix in ((process.stdout, b"[stdout]"), (process.stderr, b"[stderr]"))
        ]
        for reader in readers:
            reader.start()
        try:
            code = process.wait(script.timeout)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGTERM)
            threading.Thread(target=process.wait, daemon=True).start()
            raise ScriptError(
                TIMED_OUT, script.location,
                f"Script at specified location: {script.location} failed to complete in {script.timeout} "
                "seconds",
            ) from None  # fmt: skip
        for reader in readers:
            reader.join(max(deadline - time.monotonic(), 0.0) if code == 0 else 0.2)
        if code != 0:
            raise ScriptError(
                FAILED, script.location,
                f"Script at specified location: {script.location} failed with exit code {_shell_code(code)}",
            )  # fmt: skip
        if any(reader.is_alive() for reader in readers):
            raise ScriptError(
                OUTPUT_LEFT_OPEN, script.location,
                f"Script at specified location: {script.location} failed to close STDOUT",
            )  # fmt: skip


def _shell_code(code: int) -> int:
    return code if code >= 0 else 128 - code


def _pump(stream: IO[bytes], prefix: bytes, write: Callable[[bytes], None]) -> None:
    with stream:
        for line in iter(stream.readline, b""):
            write(prefix + (line if line.endswith(b"\n") else line + b"\n"))
