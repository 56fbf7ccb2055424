"""Runs programs to the end. Standard library only."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from ductwork_airflow.hosts import envfile


def command(*words: str | Path, env: Mapping[str, str] | None = None) -> str:
    """Runs an installer, which must not find our modules before its own; its last words become the error's.

    `env` comes on top of this process's environment: what must not be seen among the arguments.
    """
    arguments = [str(word) for word in words]
    whole = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | dict(env or {})
    done = subprocess.run(
        arguments,
        env=whole,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-15:]
        tail = "\n".join(line[: envfile.LINE_CHARACTERS] for line in last)
        raise RuntimeError(f"`{' '.join(str(word) for word in words[:3])}` failed:\n{tail}")
    return done.stdout
