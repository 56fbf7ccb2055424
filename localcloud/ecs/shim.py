"""Runs one container: `shim.py FOLDER`, with `{"command", "environment", "folder"}` as JSON on standard input.

A process of its own, so that a container and its exit code outlive the cloud: the exit code is written to FOLDER/exit.
SIGTERM goes on to the container, SIGUSR1 kills it. Standard library only, since each container has one.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

NOT_FOUND, NOT_RUNNABLE, SIGNALLED = 127, 126, 128


def write(file: Path, text: str) -> None:
    """The whole file or none."""
    fresh = file.with_name(f"{file.name}.new")
    fresh.write_text(text)
    fresh.replace(file)


def end(folder: Path, code: int, reason: str = "") -> None:
    """The container has ended, or could not be started for a reason."""
    if reason:
        write(folder / "reason", reason)
    write(folder / "exit", str(code))


def main() -> None:
    """Until the container ends."""
    folder = Path(sys.argv[1])
    wanted = json.load(sys.stdin)
    pending: list[int] = []
    running: list[subprocess.Popen] = []

    def passed_on(signum: int, _frame: object) -> None:
        signum = signal.SIGKILL if signum == signal.SIGUSR1 else signum
        pending.append(signum)
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signum)

    for signum in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(signum, passed_on)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(
                wanted["command"], cwd=wanted["folder"], env=wanted["environment"], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
    except OSError as error:
        name = wanted["command"][0]
        reason = f'CannotStartContainerError: exec: "{name}": {os.strerror(error.errno or 0)}'
        end(folder, NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_RUNNABLE, reason)
        return
    running.append(process)
    for signum in pending[:]:
        process.send_signal(signum)
    write(folder / "pid", str(process.pid))
    code = process.wait()
    end(folder, code if code >= 0 else SIGNALLED - code)


if __name__ == "__main__":
    main()
