"""Installs the OS packages of `[hosts] packages`: `python -m ductwork_airflow.hosts.packages`. Standard library only.

Runs before the environment of requirements.lock exists, since a package in it may be built with what is installed here.
So it is the AWS CLI, which every host has from its first boot, that asks for the parameter of the stack.
"""

from __future__ import annotations

import logging
import subprocess

from ductwork_airflow.hosts import envfile
from ductwork_airflow.hosts.index import stack_parameters
from ductwork_airflow.hosts.programs import command

log = logging.getLogger("ductwork.packages")

PARAMETER = "HostPackages"


def wanted(parameters: dict[str, str]) -> list[str]:
    """The packages that the stack names; stacks of earlier releases have no such parameter."""
    return [name for name in parameters.get(PARAMETER, "").split(",") if name]


def is_installed(package: str) -> bool:
    """Asked of rpm, so that a rollout which needs nothing new depends on no repository."""
    return subprocess.run(["rpm", "--query", "--quiet", package], check=False).returncode == 0


def main() -> int:
    """The command line, without arguments."""
    envfile.log_to_stderr()
    packages = wanted(stack_parameters(envfile.read_host()))
    missing = [package for package in packages if not is_installed(package)]
    if missing:
        log.info("installing packages: %s", " ".join(missing))
        command("dnf", "install", "--assumeyes", "--quiet", *missing)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
