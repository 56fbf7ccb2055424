"""Starts a component, of Airflow or our own: `python -m ductwork_airflow.hosts.run <component>`.

Reads airflow.env, puts the secrets into the environment and becomes the component by exec, so that the process that
systemd or supervisord watches and sends SIGTERM to is the component itself. Secrets are on no disk and in no argument
list.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

from ductwork_airflow.hosts import envfile, gate, secret
from ductwork_airflow.receipts import companion

log = logging.getLogger("ductwork.run")

Command = Callable[[dict[str, str]], list[str]]
# Settings are variables. Before 3.3 Airflow sees those of a section that it has no defaults for only if the section is
# in its file.
CFG = "[celery_broker_transport_options]\n"
COMMANDS: dict[str, Command] = {
    "api-server": lambda env: airflow("api-server", *(["--proxy-headers"] if _behind_balancer(env) else [])),
    "scheduler": lambda env: _module("ductwork_airflow.extensions.scheduler"),
    "dag-processor": lambda env: _module("ductwork_airflow.extensions.dag_processor"),
    "triggerer": lambda env: airflow("triggerer"),
    "scaler": lambda env: _module("ductwork_airflow.scaling.scaler"),
    # Neither -H (it asks by remote control, which SQS lacks, and dies) nor mingle and gossip, which need it too and are
    # of no use with Valkey.
    "worker": lambda env: airflow(
        "celery", "worker", "-q", env["DUCTWORK_QUEUES"], "--without-mingle", "--without-gossip"
    ),
    "keeper": lambda env: _module("ductwork_airflow.hosts.keeper"),
}
PASSED_ON = ("PATH", "HOME", "LANG", "TZ", "TMPDIR", "AWS_", "DUCTWORK_", "REQUESTS_CA_BUNDLE", "SSL_CERT_", "no_proxy",
             "NO_PROXY", "https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY")  # fmt: skip


def inherited(environ: dict[str, str]) -> dict[str, str]:
    """What a component may take over: no AIRFLOW__ setting from elsewhere can slip in."""
    return {name: value for name, value in environ.items() if name.startswith(PASSED_ON)}


def component_environment(component: str = "", fetch: secret.Fetch | None = None) -> dict[str, str]:
    """The whole environment of a component, secrets included."""
    env = inherited(dict(os.environ)) | envfile.read_lines(envfile.airflow_file())
    os.environ.update({name: value for name, value in env.items() if name.startswith("AWS_")})
    fetch = fetch or secret.secrets_manager(env["AWS_REGION"])
    return env | secret.secret_environment(env, fetch, component)


def airflow(*words: str) -> list[str]:
    """The `airflow` of this very Python's environment."""
    return [str(Path(sys.executable).with_name("airflow")), *words]


def _module(name: str) -> list[str]:
    """A program of our own."""
    return [sys.executable, "-m", name]


def _behind_balancer(env: dict[str, str]) -> bool:
    return env.get("DUCTWORK_BEHIND_BALANCER") == "True"


def prepare_home(env: dict[str, str]) -> None:
    """An airflow.cfg keeps Airflow from writing its default, which holds a generated key, at each first start."""
    home = Path(env["AIRFLOW_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    file = home / "airflow.cfg"
    if not file.exists() or file.stat().st_size == 0:
        envfile.replace(file, CFG)


def become(component: str, env: dict[str, str]) -> None:
    """This process is the component from here on."""
    # Marks everything the component starts, so that a stop finds what it left. Airflow's tasks have process groups of
    # their own, and setproctitle would write its titles over the mark.
    env = env | {"DUCTWORK_COMPONENT": component, "SPT_NOENV": "1"}
    if _behind_balancer(env):
        # Only the balancer reaches the port, by its security group.
        env |= {"FORWARDED_ALLOW_IPS": "*"}
    companion.start(component, env)
    command = COMMANDS[component](env)
    os.execve(command[0], command, env)  # noqa: S606


def main(arguments: list[str] | None = None) -> int:
    """Becomes the component."""
    envfile.log_to_stderr()
    given = sys.argv[1:] if arguments is None else arguments
    if len(given) != 1 or given[0] not in COMMANDS:
        sys.stderr.write(f"error: expected one of: {', '.join(COMMANDS)}\n")
        return 2
    component = given[0]
    env = component_environment(component)
    prepare_home(env)
    if component == "worker":
        ready_file(env).unlink(missing_ok=True)
        gate.wait(env)
    log.info("starting %s of revision %s", component, env.get("DUCTWORK_REVISION"))
    os.chdir(env["AIRFLOW_HOME"])
    become(component, env)


def beat_file(env: dict[str, str], component: str) -> Path:
    """What scaler and keeper write at each of their rounds."""
    return Path(env["DUCTWORK_STATE"], f"{component}.beat")


def ready_file(env: dict[str, str]) -> Path:
    """Where the worker writes its pid once it takes tasks from the queue."""
    return Path(env["DUCTWORK_STATE"], "worker.ready")


if __name__ == "__main__":
    raise SystemExit(main())
