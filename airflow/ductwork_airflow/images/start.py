"""What a container starts with: `python -m ductwork_airflow.images.start COMPONENT | COMMAND [ARGUMENT...]`.

A component runs by the same command as on hosts. Its settings are those of the environment's stack if the container is
a task of its ECS cluster (`task.py`), and the variables of the container otherwise. Anything else is a command of the
image: `airflow db check`, `python`, `sh`; in a task with the same settings. Either becomes the process itself, which
the image's init sends SIGTERM to. `migrate`, which only tasks have, migrates the database, or takes a migration
back, and ends; `flower`, likewise, is Celery's monitor.
"""

from __future__ import annotations

import logging
import os
import sys

from ductwork_airflow.hosts import envfile, run
from ductwork_airflow.hosts.settings import Ports, SettingsError, is_local
from ductwork_airflow.images import flower, migration, place, task

log = logging.getLogger("ductwork.start")

MIGRATE = "migrate"
# Whom it looks after, a task's own worker does (`protection.py`).
OF_HOSTS = "keeper"


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
    environ = dict(os.environ)
    run.become(name, of_task(name, environ) if task.is_told(environ) else environ)


def of_task(name: str, environ: dict[str, str]) -> dict[str, str]:
    """The environment of a task's component, once it may start."""
    address, ports = own_place(environ)
    env = task.environment(environ, task.of(environ, name, address, ports), like=name)
    _, parameters = task.stack_values(environ)
    health = int(env["AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT"])
    where = place.Place(os.getpid(), address or place.OWN, int(parameters["AirflowPort"]), health)
    place.write(task.state(environ), name, where)
    run.ready_file(env).unlink(missing_ok=True)
    migration.wait(env, name, migration.looker(env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]))
    log.info("starting %s of image %s", name, env.get("DUCTWORK_REVISION"))
    return env


def own_place(environ: dict[str, str]) -> tuple[str, Ports | None]:
    """What tells this task from others on the same machine; on AWS it has a machine, or at least addresses, of its
    own."""
    _, parameters = task.stack_values(environ)
    return (place.own_address(environ), place.free_ports()) if is_local(parameters) else ("", None)


def migrate(words: list[str]) -> int:
    """Migrates the database of the environment and keeps its users; with `--told JSON` as the release tool says."""
    from ductwork_airflow.release import dump, migrate, told

    environ = dict(os.environ)
    env = task.environment(environ, task.of(environ, ""), like="")
    for name in environ.keys() - env.keys():
        del os.environ[name]
    wanted = told.parse(words[-1]) if words else told.of_this_airflow()
    try:
        migrate.migrate(env, task.fetch(environ), wanted)
    except (migrate.MigrationError, dump.DumpError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def command(words: list[str]) -> int:
    """Becomes a command of the image."""
    environ = dict(os.environ)
    if task.is_told(environ):
        environ = task.environment(environ, task.of(environ, ""), task.likeness(environ))
    try:
        os.execvpe(words[0], words, environ)  # noqa: S606
    except OSError as error:
        sys.stderr.write(f"error: cannot run `{words[0]}`: {error.strerror}\n")
        return 127 if isinstance(error, FileNotFoundError) else 126
    raise AssertionError("exec does not return")


def is_migration(given: list[str]) -> bool:
    """Whether these words are for `migrate`."""
    return given[:1] == [MIGRATE] and (not given[1:] or (given[1] == "--told" and len(given) == 3))


def refused(given: list[str]) -> str | None:
    """Why nothing can be started by these words."""
    names = [name for name in run.COMMANDS if name != OF_HOSTS]
    if not given:
        return f"name a component ({', '.join(names)}) or a command, such as `airflow version`"
    if given[0] == OF_HOSTS:
        return f"`{OF_HOSTS}` runs on hosts only; components of an image are {', '.join(names)}"
    if given[0] in names and given[1:]:
        return f"`{given[0]}` takes no arguments; see `airflow {given[0]} --help`"
    instead = {MIGRATE: "airflow db migrate", flower.NAME: "airflow celery flower"}
    if (is_migration(given) or given == [flower.NAME]) and not task.is_told(os.environ):
        return f"`{given[0]}` is for tasks of an environment; use `{instead[given[0]]}` instead"
    return None


def main(arguments: list[str] | None = None) -> int:
    """Becomes what was asked for."""
    envfile.log_to_stderr()
    given = sys.argv[1:] if arguments is None else arguments
    if fault := refused(given):
        sys.stderr.write(f"error: {fault}\n")
        return 2
    home()
    try:
        if given[0] in run.COMMANDS:
            component(given[0])
        if given == [flower.NAME]:
            flower.become(os.environ)
        return migrate(given[1:]) if is_migration(given) else command(given)
    except (SettingsError, OSError) as error:  # a migration that never came is one of the second
        sys.stderr.write(f"error: {error}\n")
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
