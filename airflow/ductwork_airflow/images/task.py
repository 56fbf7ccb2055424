"""The settings of a component that is an ECS task, from the variables of its container. Pure.

The task definition tells what hosts ask the stack for: `DUCTWORK_OUTPUT_<Name>` and `DUCTWORK_PARAMETER_<Name>`, under
the names of the contract; and `DUCTWORK_QUEUE_URLS`, the SQS queues that the component has to do with, such as
`default=https://… big=https://…`: no worker set knows the queue of another.

Secrets come as `DUCTWORK_SECRET_<NAME>`, put there by ECS, and go no further: a component gets what it needs of them
under Airflow's own names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ductwork_airflow import contract
from ductwork_airflow.hosts import background, configure, secret
from ductwork_airflow.hosts.settings import (
    Host,
    Ports,
    SettingsError,
    host_environment,
    is_local,
    passed_on_as,
)

OUTPUT, PARAMETER, SECRET = "DUCTWORK_OUTPUT_", "DUCTWORK_PARAMETER_", "DUCTWORK_SECRET_"
ARN_ENDING = "SecretArn"
# The task that the ECS executor starts for a task of Airflow.
EXECUTOR = "executor"
# What only hosts have. A task is never drained by our own budget: ECS has one, `stopTimeout`.
ABSENT_PARAMETERS = {"DrainSeconds": "120"}


@dataclass(frozen=True)
class Task(Host):
    """What a task knows about itself: as a host, but for where it may write and who else is on its machine."""

    folder: Path = Path("/var/lib/ductwork")  # what it may write to
    airflow_home: Path = Path("/var/lib/ductwork/airflow")
    address: str = ""  # of its own; only in a local cloud, whose tasks share a machine
    free_ports: Ports | None = None  # likewise

    worker_set_outputs: ClassVar[Mapping[str, str]] = contract.TASK_WORKER_SET_OUTPUTS

    @property
    def state(self) -> Path:
        return self.folder

    @property
    def home(self) -> Path:
        return self.airflow_home

    @property
    def logs(self) -> Path:
        """Beside the rest that a task writes: all of it goes with the task, and logs are in S3 by then."""
        return self.folder / "logs"

    def listens(self, parameters: Mapping[str, str]) -> str:
        return self.address if self.address and is_local(parameters) else super().listens(parameters)

    def ports(self, parameters: Mapping[str, str]) -> Ports:
        return self.free_ports or super().ports(parameters)

    def execution_url(self, outputs: Mapping[str, str]) -> str:
        """A name inside the network, where there is one: heartbeats of tasks need no balancer."""
        return background.given(outputs.get("ExecutionUrl")) or super().execution_url(outputs)


def is_told(environ: Mapping[str, str]) -> bool:
    """Whether this is a container of ours; others of the image bring Airflow's own variables."""
    return any(name.startswith(OUTPUT) for name in environ)


def stack_values(environ: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Outputs and parameters, as far as tasks know them."""
    outputs = dict.fromkeys(contract.EC2_OUTPUTS, contract.NONE) | _of_worker_sets(environ)
    return outputs | _beginning_with(OUTPUT, environ), ABSENT_PARAMETERS | _beginning_with(PARAMETER, environ)


def _of_worker_sets(environ: Mapping[str, str]) -> dict[str, str]:
    """Queue and service of each worker set, as if they were outputs."""
    urls, found = queue_urls(environ), {}
    for name, prefix in _prefixes(environ).items():
        values = {"queue_url": urls.get(name, contract.NONE), "service": contract.worker_service(name)}
        found |= {f"{prefix}{contract.TASK_WORKER_SET_OUTPUTS[key]}": value for key, value in values.items()}
    return found


def _prefixes(environ: Mapping[str, str]) -> dict[str, str]:
    try:
        sets = json.loads(environ.get(f"{OUTPUT}WorkerSets", ""))
        return {name: one["prefix"] for name, one in sets.items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}  # worker_sets.py says what is wrong with it


def queue_urls(environ: Mapping[str, str]) -> dict[str, str]:
    """URLs by the name of the worker set."""
    pairs = (pair.partition("=") for pair in environ.get("DUCTWORK_QUEUE_URLS", "").split())
    return {name: url for name, _, url in pairs if url != contract.NONE}


def _lacking_queues(environ: Mapping[str, str], component: str) -> list[str]:
    """The worker sets whose queue the component needs and is not told."""
    needed = {"worker": [environ.get("DUCTWORK_WORKER_SET", "")], "scheduler": list(_prefixes(environ))}
    if environ.get(f"{OUTPUT}BrokerKind") != "sqs":
        return []
    return [name for name in needed.get(component, []) if name not in queue_urls(environ)]


def _beginning_with(prefix: str, environ: Mapping[str, str]) -> dict[str, str]:
    return {name.removeprefix(prefix): value for name, value in environ.items() if name.startswith(prefix)}


def digest(image: str, otherwise: str) -> str:
    """What an image is called by wherever it is: the sha256 of its reference."""
    found = re.search(r"@sha256:([0-9a-f]{64})$", image)
    return found[1] if found else otherwise


def _checked(environ: Mapping[str, str], component: str) -> None:
    """An output that is missing is a fault for hosts, too; they may lack a parameter, of a stack that is older."""
    missing = [
        name for name in ("AWS_REGION", "DUCTWORK_ENVIRONMENT", "DUCTWORK_STACK") if not environ.get(name)
    ]
    named = (PARAMETER + name for name in contract.PARAMETERS if name not in contract.EC2_PARAMETERS)
    missing += [name for name in named if name not in environ]
    faults = [f"the task definition does not set {', '.join(missing)}"] if missing else []
    faults += [
        f"the task definition's `DUCTWORK_QUEUE_URLS` has no queue of the worker set `{name}`"
        for name in _lacking_queues(environ, component)
    ]
    if faults:
        raise SettingsError("; ".join(faults))


def state(environ: Mapping[str, str]) -> Path:
    """What this container writes to."""
    return Path(environ.get("DUCTWORK_STATE") or Task.folder)


def of(environ: Mapping[str, str], component: str, address: str = "", ports: Ports | None = None) -> Task:
    """The task of a container with these variables."""
    _checked(environ, component)
    return Task(
        root=Path(environ.get("DUCTWORK_ROOT") or "/"),
        region=environ["AWS_REGION"],
        environment=environ["DUCTWORK_ENVIRONMENT"],
        endpoint_url=environ.get("AWS_ENDPOINT_URL"),
        stack=environ["DUCTWORK_STACK"],
        components=(component,) if component else (),
        worker_set=environ.get("DUCTWORK_WORKER_SET", "") if component == "worker" else "",
        files=environ.get("DUCTWORK_FILES", ""),
        revision=digest(environ.get("DUCTWORK_IMAGE", ""), environ.get("DUCTWORK_REVISION", "unknown")),
        folder=state(environ),
        airflow_home=Path(environ.get("AIRFLOW_HOME") or state(environ) / "airflow"),
        address=address,
        free_ports=ports,
    )


def variable_of(output: str) -> str:
    """The variable that holds the secret which an output names: DUCTWORK_SECRET_FERNET_KEY of FernetKeySecretArn."""
    return SECRET + passed_on_as(output.removesuffix(ARN_ENDING)).removeprefix("DUCTWORK_")


def fetch(environ: Mapping[str, str]) -> secret.Fetch:
    """Secrets of the stack from the container's variables, all others with the task's role."""
    outputs, _ = stack_values(environ)
    known = {arn: variable_of(name) for name, arn in outputs.items() if name.endswith(ARN_ENDING)}

    def value(secret_id: str) -> str:
        name = known.get(secret_id)
        if name is None:
            return secret.secrets_manager(environ["AWS_REGION"])(secret_id)
        if name not in environ:
            raise SettingsError(
                f"the container has no variable `{name}`: its task definition names no such secret"
            )
        return environ[name]

    return value


def settings(environ: Mapping[str, str], task: Task) -> dict[str, str]:
    """What airflow.env holds on a host."""
    outputs, parameters = stack_values(environ)
    kind = configure.existing_database(outputs, fetch(environ))
    return host_environment(outputs, parameters, task, kind)


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """What the image and ECS set. No setting of Airflow from elsewhere slips in, and no secret stays under our name."""
    ours = ("AIRFLOW__", OUTPUT, PARAMETER, SECRET)
    return {name: value for name, value in environ.items() if not name.startswith(ours)}


def environment(environ: Mapping[str, str], task: Task, like: str) -> dict[str, str]:
    """The whole environment of a process, with the secrets that the component `like` has."""
    values = inherited(environ) | settings(environ, task)
    return values | secret.secret_environment(values, fetch(environ), like)


def likeness(environ: Mapping[str, str]) -> str:
    """The component whose secrets the container has, for a command that is none."""
    if environ.get("DUCTWORK_SERVICE") == EXECUTOR:
        return EXECUTOR
    signs, queues = (f"{SECRET}{name}" in environ for name in ("JWT", "CACHE"))
    if signs:
        return "scheduler" if queues else "triggerer"
    return "worker" if queues else ""


def database_url(environ: Mapping[str, str]) -> str:
    """For whoever asks the database a question, and needs no other setting."""
    outputs, parameters = stack_values(environ)
    values = {passed_on_as(name): value for name, value in outputs.items() if name.startswith("Database")}
    return secret.database_url(values | {"DUCTWORK_LOCAL": str(is_local(parameters))}, fetch(environ))
