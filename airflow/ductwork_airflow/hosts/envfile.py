"""Files of KEY=value lines (/etc/ductwork/host.env and airflow.env), and where they are."""

from __future__ import annotations

import logging
import os
import shlex
import sys
import tempfile
from pathlib import Path


def host_root() -> Path:
    """What stands for `/`: the local cloud runs hosts below a directory, EC2 does not."""
    return Path(os.environ.get("DUCTWORK_HOST_ROOT") or "/")


def host_file() -> Path:
    """Written by UserData: who this host is."""
    return host_root() / "etc/ductwork/host.env"


def airflow_file() -> Path:
    """Written by AfterInstall: Airflow's settings, no secret."""
    return host_root() / "etc/ductwork/airflow.env"


LINE_CHARACTERS = 500
_LINE = f"%(message).{LINE_CHARACTERS}s"


def log_to_stderr() -> None:
    """Our own messages and others' warnings. Of a failing hook CodeDeploy shows the last lines that fit into 2047
    characters, and nothing if the last one does not.
    """
    logging.basicConfig(level=logging.WARNING, format=_LINE, stream=sys.stderr)
    logging.getLogger("ductwork").setLevel(logging.INFO)


def log_beside_airflow(log: logging.Logger) -> None:
    """A handler of its own for a program that imports Airflow, which replaces the common one by one for warnings."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(_LINE))
    log.addHandler(handler)
    log.propagate = False


def read_lines(file: Path) -> dict[str, str]:
    """Values as they stand, without quoting rules: everything after the first `=`."""
    pairs = (line.partition("=") for line in file.read_text(encoding="utf-8").split("\n") if "=" in line)
    return {key: value for key, _, value in pairs if not key.startswith("#")}


def read_host() -> dict[str, str]:
    """host.env, where values may be quoted as in a shell."""
    return {key: " ".join(shlex.split(value)) for key, value in read_lines(host_file()).items()}


def write_lines(file: Path, values: dict[str, str]) -> None:
    """Replaces the file by one `NAME=VALUE` in a line."""
    file.parent.mkdir(parents=True, exist_ok=True)
    replace(file, "".join(f"{key}={value}\n" for key, value in sorted(values.items())))


def replace(file: Path, text: str) -> None:
    """Replaces the file in one step; readable by all, because nothing in it is secret."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
        os.fchmod(stream.fileno(), 0o644)
        stream.flush()
        os.fsync(stream.fileno())
    Path(name).replace(file)
