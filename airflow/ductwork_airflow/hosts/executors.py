"""What runs the tasks of Airflow: Celery's workers, tasks of ECS that are started for one each, or both. Pure.

A stack's parameter `Executors` names them, the first is Airflow's default. What the ECS executor starts comes in
`EcsExecutor`, a JSON object that templates/engines/ecs/executor-settings.yaml writes; a component that starts nothing,
such as a worker, need not have it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from ductwork_airflow import contract

CELERY, ECS = "celery", "ecs"
# As Airflow's option `core.executor` takes them: an alias before a colon is what a task may name.
CLASSES = {CELERY: "CeleryExecutor", ECS: "ecs:ductwork_airflow.extensions.ecs_executor.EcsExecutor"}
# What a DAG may write for the tasks that are none of a worker's: the alias, the name of the class, and where it is.
ECS_NAMES = (ECS, "EcsExecutor", CLASSES[ECS].partition(":")[2])


class ExecutorsError(ValueError):
    """The stack does not say what the executors need."""


def names(parameters: Mapping[str, str]) -> list[str]:
    """In order; hosts have Celery alone, and their stack says nothing of it."""
    given = (parameters.get("Executors") or CELERY).split(",")
    if unknown := [name for name in given if name not in CLASSES]:
        raise ExecutorsError(f"the parameter `Executors` names what is unknown: {', '.join(unknown)}")
    return given


def option(given: Sequence[str]) -> str:
    """The value of `core.executor`."""
    return ",".join(CLASSES[name] for name in given)


def of_workers(executor: str) -> str:
    """A condition in SQL for task instances that workers run, of those of `core.executor`; empty if that is all."""
    if CLASSES[ECS] not in executor:
        return ""
    others = ", ".join(f"'{name}'" for name in ECS_NAMES)
    # Who names none has the default, the first.
    unnamed = "" if executor.startswith(CLASSES[ECS]) else "executor is null or "
    return f" and ({unnamed}executor not in ({others}))"


def worker_sets(given: Sequence[str]) -> tuple[str, ...]:
    """The worker sets that must be there: without Celery there are none, and no queue either."""
    return (contract.DEFAULT_WORKER_SET,) if CELERY in given else ()


def settings(outputs: Mapping[str, str], parameters: Mapping[str, str]) -> dict[str, str]:
    """The options of both."""
    given = names(parameters)
    return {"core.executor": option(given), **(_ecs(outputs) if ECS in given else {})}


def _ecs(outputs: Mapping[str, str]) -> dict[str, str]:
    """What every task is started with; a task adds its own `executor_config`."""
    try:
        told = dict(json.loads(outputs.get("EcsExecutor") or "{}"))
    except (ValueError, TypeError) as error:
        raise ExecutorsError(f"the stack's output `EcsExecutor` cannot be read: {error}") from error
    if not told:
        return {}
    lacking = [name for name in contract.ECS_EXECUTOR if name not in told]
    if lacking:
        raise ExecutorsError(f"the stack's output `EcsExecutor` lacks {', '.join(lacking)}")
    # Lower case: the provider brings the names of its own options into the form of the API.
    run = {
        "capacity_provider_strategy": [{"capacityProvider": told["capacity_provider"], "weight": 1}],
        "started_by": "ductwork/executor",
    }
    copied = ("cluster", "container_name", "task_definition", "subnets", "security_groups")
    named = {name: told[name] for name in copied} | {
        "assign_public_ip": str(told["assign_public_ip"] == "ENABLED"),
        "conn_id": "",  # empty: boto3's own chain, so the task's role
        "run_task_kwargs": json.dumps(run),
        # An ECS that does not answer is asked again later, and must not keep a scheduler from its other tasks.
        "check_health_on_startup": "False",
    }
    return {f"aws_ecs_executor.{name}": value for name, value in named.items()}
