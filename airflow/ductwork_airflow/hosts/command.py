"""Becomes the `airflow` command, with settings and secrets of this host: `python -m ductwork_airflow.hosts.command`.

After `--run` it becomes any other command, which finds the programs of Airflow's environment first.

For a person at work: `bin/airflow` calls it, on a host and on a developer's machine alike. Secrets are in the process's
environment only, as with a component.
"""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

from ductwork_airflow.hosts import envfile, run, secret

RUN = "--run"
# What makes output fit the terminal.
TERMINAL = ("TERM", "COLUMNS", "LINES", "NO_COLOR")


def environment() -> dict[str, str]:
    """The settings of this host with the secrets of all components that it runs."""
    settings = envfile.read_lines(envfile.airflow_file())
    fetch = functools.cache(secret.secrets_manager(settings["AWS_REGION"]))
    env = {name: value for name, value in os.environ.items() if name in TERMINAL}
    for component in settings["DUCTWORK_COMPONENTS"].split():
        env |= run.component_environment(component, fetch)
    return env


def main(arguments: list[str] | None = None) -> int:
    """Becomes the command."""
    given = sys.argv[1:] if arguments is None else arguments
    if not envfile.airflow_file().exists():
        sys.stderr.write(
            "error: this host has no release yet: deploy first, or wait for the rollout to end\n"
        )
        return 2
    env = environment()
    run.prepare_home(env)
    if given[:1] == [RUN] and given[1:]:
        return become(given[1:], env)
    command = run.airflow(*given)
    os.execve(command[0], command, env)  # noqa: S606


def become(command: list[str], env: dict[str, str]) -> int:
    """Becomes the command; the exit code of a shell where there is no such program."""
    path = f"{Path(run.airflow()[0]).parent}:{env.get('PATH', os.defpath)}"
    try:
        os.execvpe(command[0], command, env | {"PATH": path})  # noqa: S606
    except FileNotFoundError:
        sys.stderr.write(f"error: there is no program `{command[0]}` on this host\n")
        return 127
    except OSError as error:
        sys.stderr.write(f"error: cannot run `{command[0]}`: {error.strerror}\n")
        return 126


if __name__ == "__main__":
    raise SystemExit(main())
