"""What a container starts with: `python -m ductwork_airflow.images.start COMPONENT | COMMAND [ARGUMENT...]`.

A component runs by the same command as on hosts, with the environment variables of the container instead of a file.
Anything else is a command of the image: `airflow db check`, `python`, `sh`. Either becomes the process itself, which
the image's init sends SIGTERM to.
"""

from __future__ import annotations

import os
import sys

from ductwork_airflow.hosts import envfile, run


def home() -> None:
    """Goes to Airflow's folder, which a volume may have hidden; commands that write nothing do without it."""
    try:
        run.prepare_home(dict(os.environ))
        os.chdir(os.environ["AIRFLOW_HOME"])
    except OSError as error:
        sys.stderr.write(
            f"warning: nothing can be written to {os.environ['AIRFLOW_HOME']}: {error.strerror}\n"
        )


def component(name: str) -> None:
    """Becomes the component."""
    env = dict(os.environ)
    # As on hosts: marks everything the component starts.
    env |= {"DUCTWORK_COMPONENT": name, "SPT_NOENV": "1"}
    command = run.COMMANDS[name](env)
    os.execve(command[0], command, env)  # noqa: S606


def main(arguments: list[str] | None = None) -> int:
    """Becomes what was asked for."""
    envfile.log_to_stderr()
    given = sys.argv[1:] if arguments is None else arguments
    if not given:
        names = ", ".join(run.COMMANDS)
        sys.stderr.write(f"error: name a component ({names}) or a command, such as `airflow version`\n")
        return 2
    if given[0] in run.COMMANDS and given[1:]:
        sys.stderr.write(f"error: `{given[0]}` takes no arguments; see `airflow {given[0]} --help`\n")
        return 2
    home()
    if given[0] in run.COMMANDS:
        component(given[0])
    try:
        os.execvp(given[0], given)  # noqa: S606
    except OSError as error:
        sys.stderr.write(f"error: cannot run `{given[0]}`: {error.strerror}\n")
        return 127 if isinstance(error, FileNotFoundError) else 126


if __name__ == "__main__":
    raise SystemExit(main())
