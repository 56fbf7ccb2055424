"""What Python needs to know about this host's services; `bin/svc` knows whether systemd or supervisord keeps them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ductwork_airflow.hosts import envfile


def svc() -> Path:
    """The script of the installed revision."""
    return envfile.host_root() / "opt/ductwork/revision/bin/svc"


def main_pid(component: str) -> int | None:
    """The process that systemd or supervisord watches; None when the component does not run."""
    answer = subprocess.run(
        ["bash", str(svc()), "mainpid", component], capture_output=True, text=True, check=False
    )
    text = answer.stdout.strip()
    return int(text) if answer.returncode == 0 and text.isdecimal() and text != "0" else None


def started(pid: int) -> float | None:
    """When a process began, in seconds since the epoch; None when it has ended."""
    import psutil

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None
