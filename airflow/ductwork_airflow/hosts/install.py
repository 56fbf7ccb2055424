"""Creates the environment of requirements.lock: `python -m ductwork_airflow.hosts.install`. Standard library only.

An environment's folder is named by its lock and holds `.complete` once it is whole; the release tool follows the same
rule, so on a developer's machine the one it made is found here. /opt/ductwork/venv then points at it.

`--driver` is a second step, after `configure`: only then is it known whether the database is MySQL, whose drivers are
added to the environment. One of them is built here, for which Amazon Linux has the compiler and the header files.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import logging
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ductwork_airflow.hosts import envfile, index
from ductwork_airflow.hosts.index import Index
from ductwork_airflow.hosts.programs import command

log = logging.getLogger("ductwork.install")

COMPLETE = ".complete"
KEPT_ENVIRONMENTS = 3
OLDEST_PYTHON, TOO_NEW_PYTHON = (3, 10), (3, 15)


def short_digest(file: Path) -> str:
    """First 12 hex of a file's sha256."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One maker of `folder` at a time on this machine; hosts of a local cloud share their environments."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def explained(source: Index) -> Iterator[None]:
    """The installer's words, and last what the index has to say, which is what people read first."""
    try:
        yield
    except RuntimeError as error:
        reason = source.reason()
        raise RuntimeError(f"{error}\n{reason}" if reason else str(error)) from None


def uv(venvs: Path, tools_lock: Path, source: Index) -> Path:
    """DUCTWORK_UV, or the uv of tools.lock in an environment of its own."""
    if given := os.environ.get("DUCTWORK_UV"):
        return Path(given)
    folder = venvs / f"tools-{short_digest(tools_lock)}"
    with locked(folder):
        if not (folder / COMPLETE).exists():
            shutil.rmtree(folder, ignore_errors=True)
            command(sys.executable, "-m", "venv", folder)
            with explained(source):
                command(folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                        "--require-hashes", "-r", tools_lock, env=source.for_pip())  # fmt: skip
            (folder / COMPLETE).write_text(sys.version.split()[0], encoding="utf-8")
    return folder / "bin/uv"


def environment(venvs: Path, lock: Path, tools_lock: Path) -> Path:
    """The environment of `lock`, made if it is not complete."""
    folder = venvs / f"airflow-{short_digest(lock)}"
    if (folder / COMPLETE).exists():
        return folder
    source = index.of_host()
    tool = uv(venvs, tools_lock, source)
    with locked(folder):
        if (folder / COMPLETE).exists():  # made by another while this one waited
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        log.info("installing %s", lock.name)
        command(tool, "venv", "--quiet", "--python", sys.executable, folder)
        with explained(source):
            command(tool, "pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode",
                    "--python", folder / "bin/python", lock, env=source.for_uv())  # fmt: skip
        (folder / COMPLETE).write_text(sys.version.split()[0], encoding="utf-8")
    return folder


def point(link: Path, target: Path) -> None:
    """Makes `link` point at `target` in one step."""
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)


def remove_old(venvs: Path, current: Path) -> None:
    """Keeps the newest few environments, so that a rollback finds its own. Only on a host that does not share them."""
    found = sorted(venvs.glob("airflow-*/"), key=lambda folder: folder.stat().st_mtime, reverse=True)
    for folder in [folder for folder in found if folder != current][KEPT_ENVIRONMENTS - 1 :]:
        shutil.rmtree(folder, ignore_errors=True)
        folder.with_suffix(".lock").unlink(missing_ok=True)


def build_packages() -> list[str]:
    """What Amazon Linux 2023 needs to build mysqlclient for this Python."""
    python = f"python{sys.version_info[0]}.{sys.version_info[1]}-devel"
    return ["gcc", "pkgconf-pkg-config", "mariadb-connector-c-devel", python]


def driver(venvs: Path, folder: Path, lock: Path, tools_lock: Path) -> bool:
    """Adds the drivers of `lock` to an environment, unless they are in it; True when it did."""
    mark = folder / f".driver-{short_digest(lock)}"
    if mark.exists():
        return False
    if os.environ.get("DUCTWORK_INIT", "systemd") == "systemd":
        command("dnf", "install", "--assumeyes", "--quiet", *build_packages())
    source = index.of_host()
    tool = uv(venvs, tools_lock, source)
    with locked(folder):
        with explained(source):
            command(tool, "pip", "install", "--quiet", "--require-hashes", "--no-build-isolation",
                    "--python", folder / "bin/python", "-r", lock, env=source.for_uv())  # fmt: skip
        mark.touch()
    return True


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="ductwork_airflow.hosts.install", description=__doc__)
    parser.add_argument("--driver", action="store_true", help="add what the database in airflow.env needs")
    wanted = parser.parse_args(arguments)
    envfile.log_to_stderr()
    if not OLDEST_PYTHON <= sys.version_info[:2] < TOO_NEW_PYTHON:
        sys.stderr.write(f"error: Airflow needs Python 3.10 to 3.14, this is {sys.version.split()[0]}\n")
        return 1
    home = envfile.host_root() / "opt/ductwork"
    shared = os.environ.get("DUCTWORK_VENVS")
    venvs = Path(shared) if shared else home / "venvs"
    if wanted.driver:
        if envfile.read_lines(envfile.airflow_file()).get("DUCTWORK_DATABASE_KIND") == "mysql":
            locks = (home / "revision/requirements-mysql.lock", home / "revision/tools.lock")
            added = driver(venvs, (home / "venv").resolve(), *locks)
            log.info("drivers of MySQL: %s", "added" if added else "nothing to do")
        return 0
    folder = environment(venvs, home / "revision/requirements.lock", home / "revision/tools.lock")
    point(home / "venv", folder)
    if not shared:
        remove_old(venvs, folder)
    log.info("environment %s", folder.name)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
