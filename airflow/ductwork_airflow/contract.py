"""What Python, Rust and the templates have to agree on: contract.json, which travels with the host revision.

Rust compiles the same file into the release tool; tests compare the templates with it. Holds no logic. Standard library
only: it is read before the environment of requirements.lock exists.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_CONTRACT: dict[str, Any] = json.loads(Path(__file__).with_name("contract.json").read_text(encoding="utf-8"))

# Everything that can run on a host, in the order of its start.
COMPONENTS: tuple[str, ...] = tuple(_CONTRACT["components"])

# Outputs and parameters of the master stack that hosts read; a change of any other must not restart anything.
OUTPUTS: tuple[str, ...] = tuple(_CONTRACT["outputs"]["hosts"])
WORKER_SET_OUTPUTS: dict[str, str] = _CONTRACT["outputs"]["worker_set"]
PARAMETERS: tuple[str, ...] = tuple(_CONTRACT["parameters"]["hosts"])
# What tasks on ECS are told instead: without what only hosts have, and with what only tasks have.
EC2_OUTPUTS: tuple[str, ...] = tuple(_CONTRACT["ec2"]["outputs"])
EC2_PARAMETERS: tuple[str, ...] = tuple(_CONTRACT["ec2"]["parameters"])
ECS_OUTPUTS: tuple[str, ...] = tuple(_CONTRACT["ecs"]["outputs"])
ECS_PARAMETERS: tuple[str, ...] = tuple(_CONTRACT["ecs"]["parameters"])
ECS_EXECUTOR: tuple[str, ...] = tuple(_CONTRACT["ecs"]["executor"])
TASK_WORKER_SET_OUTPUTS: dict[str, str] = {
    key: output for key, output in WORKER_SET_OUTPUTS.items() if key not in _CONTRACT["ec2"]["worker_set"]
} | _CONTRACT["ecs"]["worker_set"]
# Stands for a value if there is none, such as the queue of another broker.
NONE: str = _CONTRACT["outputs"]["none"]

# Outputs that name the secrets which a worker reads as it starts.
WORKER_SECRETS: tuple[str, ...] = tuple(_CONTRACT["secrets"]["workers"])

WORKER_SET_KEYS: tuple[str, ...] = tuple(_CONTRACT["worker_set"]["keys"])
# The set that serves the tasks that name no queue.
DEFAULT_WORKER_SET: str = _CONTRACT["worker_set"]["default"]
SCALING: dict[str, float] = _CONTRACT["scaling"]

LIFECYCLE_HOOK: str = _CONTRACT["lifecycle_hook"]
PORTS: dict[str, int] = _CONTRACT["ports"]
LONGEST_AIRFLOW_CONFIG: int = _CONTRACT["limits"]["airflow_config"]
# Between two heartbeats of a component in its receipt.
RECEIPT_SECONDS: float = float(_CONTRACT["receipt_seconds"])
DAG_BUNDLE: str = _CONTRACT["dags"]["bundle"]
SMOKE_DAG: str = _CONTRACT["dags"]["smoke"]

_OPTIONS: dict[str, Any] = _CONTRACT["options"]
_VARIABLES: dict[str, Any] = _CONTRACT["variables"]


def worker_service(worker_set: str) -> str:
    """The ECS service of a worker set."""
    return str(_CONTRACT["ecs"]["worker_service"]).replace("{worker_set}", worker_set)


def is_canary(service: str) -> bool:
    """Whether an ECS service is that of the canary of a worker set."""
    return service.startswith(str(_CONTRACT["ecs"]["canary_service"]).partition("{worker_set}")[0])


def pointer_key(environment: str) -> str:
    """Where the artifact bucket says which bundle an environment runs."""
    return str(_CONTRACT["keys"]["pointer"]).replace("{environment}", environment)


def release_key(environment: str, release: str) -> str:
    """Where the artifact bucket has the record of a release."""
    return str(_CONTRACT["keys"]["release"]).replace("{environment}", environment).replace("{id}", release)


def migration_key(environment: str) -> str:
    """Where the artifact bucket tells hosts of a migration."""
    return str(_CONTRACT["keys"]["migration"]).replace("{environment}", environment)


def loss_key(environment: str, name: str) -> str:
    """Where the artifact bucket tells of tasks that were cut short."""
    return str(_CONTRACT["keys"]["loss"]).replace("{environment}", environment).replace("{id}", name)


def receipt_key(environment: str, id_: str, component: str) -> str:
    """Where the artifact bucket has what a component of a host or task says of itself."""
    key = str(_CONTRACT["keys"]["receipt"]).replace("{environment}", environment)
    return key.replace("{id}", id_).replace("{component}", component)


def relay_key(environment: str) -> str:
    """Where the artifact bucket has what the release tool asks the API server."""
    return str(_CONTRACT["keys"]["relay"]).replace("{environment}", environment)


def answer_key(environment: str, id_: str) -> str:
    """Where the artifact bucket has the API server's answer to a request."""
    return str(_CONTRACT["keys"]["answer"]).replace("{environment}", environment).replace("{id}", id_)


def canary_key(environment: str, worker_set: str) -> str:
    """Where the artifact bucket says which revision comes to one host of a worker set before the others."""
    return str(_CONTRACT["keys"]["canary"]).replace("{environment}", environment).replace("{set}", worker_set)


def claim_key(environment: str, token: str) -> str:
    """Where the artifact bucket says which host that is."""
    return str(_CONTRACT["keys"]["claim"]).replace("{environment}", environment).replace("{id}", token)


def google_secret(environment: str) -> str:
    """The name of the secret that belongs to the Google client."""
    return str(_CONTRACT["secrets"]["google"]).replace("{environment}", environment)


def is_owned_by_hosts(option: str) -> bool:
    """Whether `section.option` is decided on the host or holds a secret, so that AirflowConfig must not set it."""
    owned = (name for name, one in _OPTIONS["owned"].items() if one["set_by"] == "hosts")
    return (
        any(_matches(name, option) for name in owned)
        or option in _OPTIONS["secret"]
        or option.endswith(tuple(_OPTIONS["secret_endings"]))
    )


def is_owned_variable(name: str) -> bool:
    """Whether the tool decides an environment variable, or its value is a secret."""
    owned = any(_matches(pattern, name) for pattern in _VARIABLES["owned"])
    return owned or name.upper().endswith(tuple(_VARIABLES["secret_endings"]))


def _matches(pattern: str, name: str) -> bool:
    """Whether a name is that of the contract, where `*` ends a name of any kind."""
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
