"""Worker sets: which queues there are, who serves them, and where. A pure function of the stack's outputs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ductwork_airflow import contract


class WorkerSetsError(ValueError):
    """The output WorkerSets cannot be used; all faults are in the message."""


def resolve(
    outputs: Mapping[str, str],
    needed: Mapping[str, str] = contract.WORKER_SET_OUTPUTS,
    required: Sequence[str] = (contract.DEFAULT_WORKER_SET,),
) -> dict[str, dict[str, Any]]:
    """The sets by name, each with its queue's URL and what else is needed: the names of its groups or its service.
    Those that are required have to be there."""
    try:
        sets = json.loads(outputs.get("WorkerSets", ""))
        found = {name: dict(one) for name, one in sets.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise WorkerSetsError(f"the stack's output `WorkerSets` cannot be read: {error}") from error
    faults = [f"the stack has no worker set `{name}`" for name in required if name not in found]
    for name, one in found.items():
        faults += [
            f"worker set `{name}` has no `{key}`" for key in contract.WORKER_SET_KEYS if key not in one
        ]
        for key, output in needed.items():
            full = f"{one.get('prefix')}{output}"
            one[key] = outputs.get(full, "")
            if not one[key]:
                faults.append(f"the stack has no output `{full}`, which worker set `{name}` needs")
    if faults:
        raise WorkerSetsError("; ".join(faults))
    return found


def served(sets: Mapping[str, dict[str, Any]], name: str, components: tuple[str, ...]) -> list[str]:
    """The sets whose tasks this host runs: its own, or on a scheduler's host those that have no hosts."""
    if name:
        if name not in sets:
            raise WorkerSetsError(f"this host is of the worker set `{name}`, which the stack does not have")
        return [name]
    return [key for key, one in sets.items() if one.get("on_scheduler")] if "scheduler" in components else []


def effective_components(components: tuple[str, ...], serves: list[str]) -> tuple[str, ...]:
    """What runs on this host: a scheduler's host has a worker where it serves a set."""
    return (*components, "worker") if serves and "worker" not in components else components
