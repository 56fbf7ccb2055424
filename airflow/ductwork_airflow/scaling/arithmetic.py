"""The arithmetic of scaling: how many hosts a worker set wants, and what is published about it. Pure; no clock, no AWS.

Growing is immediate, shrinking is patient: a missing host makes tasks wait for its boot; a spare one costs little.

The load counts task instances that are `queued` or `running` (`restarting` ones still hold their slot). Not those that
are `scheduled`: within a second the scheduler makes `queued` what pools, `parallelism` and the limits of DAGs allow, so
what stays `scheduled` would not run sooner with more hosts. Nor deferred ones, which the triggerer holds, nor messages
in the broker's queue: SQS counts those only approximately, and a running task is a message too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ductwork_airflow import contract

QUEUED_STATES = ("queued",)
RUNNING_STATES = ("running", "restarting")


@dataclass(frozen=True)
class Rule:
    """How a worker set scales, of its section in the environment file."""

    concurrency: int  # tasks that a host runs at once
    # A host counts as full with this share of its slots in use; above 1, tasks may wait.
    growth_threshold: float = contract.SCALING["growth_threshold"]
    # The set is too large while less than this share of its slots has a task...
    shrink_threshold: float = contract.SCALING["shrink_threshold"]
    # ... and shrinks if it has been too large for so long.
    patience_seconds: float = 60.0 * contract.SCALING["shrink_after_minutes"]


@dataclass(frozen=True)
class Load:
    """Task instances of one queue."""

    queued: int = 0
    running: int = 0

    @property
    def total(self) -> int:
        """All that hold a slot or wait for one."""
        return self.queued + self.running


@dataclass(frozen=True)
class Bounds:
    """The group's own sizes at this moment: a scheduled action may have changed those of the template."""

    least: int
    most: int

    def clamp(self, hosts: int) -> int:
        """The nearest number of hosts that the group may have."""
        return max(self.least, min(hosts, self.most))


@dataclass(frozen=True)
class Memory:
    """What was needed lately: (second, hosts), with what a later and larger need hides left out."""

    since: float  # when the looking began
    needs: tuple[tuple[float, int], ...] = ()

    def with_need(self, now: float, hosts: int, patience: float) -> Memory:
        """This memory after one more look; holds at most one entry per number of hosts."""
        kept = tuple(need for need in self.needs if need[1] > hosts and need[0] > now - patience)
        return Memory(self.since, (*kept, (now, hosts)))

    @property
    def peak(self) -> int:
        """The most hosts needed."""
        return self.needs[0][1]


@dataclass(frozen=True)
class Decision:
    """What one look at a worker set comes to."""

    wanted: int  # for the load alone
    capacity: int  # what the group shall have
    memory: Memory


def wanted_hosts(load: Load, rule: Rule) -> int:
    """Hosts on which the load is at most the growth threshold; none for no load."""
    # The tiny amount keeps 14 / (4 * 0.7) at 5: in binary fractions it is a little more.
    return math.ceil(load.total / (rule.concurrency * rule.growth_threshold) - 1e-9)


def too_large(load: Load, rule: Rule, capacity: int) -> bool:
    """Whether the load leaves so much of the capacity free that the set may shrink."""
    return load.total < rule.shrink_threshold * rule.concurrency * capacity


def decide(
    rule: Rule, load: Load, bounds: Bounds, capacity: int, memory: Memory | None, now: float
) -> Decision:
    """The capacity for this load: more at once; less when for the whole patience less was needed, and then as much as
    was needed at most in that time, so that a load that comes and goes does not make hosts come and go.

    `memory` is that of the last decision; None (a scaler that has just become leader) begins the patience anew.
    """
    wanted = wanted_hosts(load, rule)
    goal = bounds.clamp(wanted)
    need = goal if goal >= capacity or too_large(load, rule, capacity) else capacity
    memory = (memory or Memory(now)).with_need(now, need, rule.patience_seconds)
    if goal >= capacity:
        return Decision(wanted, goal, memory)
    if now - memory.since < rule.patience_seconds:
        return Decision(wanted, bounds.clamp(capacity), memory)
    # Never more than there is: the memory may be of a time before somebody set less by hand.
    return Decision(wanted, bounds.clamp(min(memory.peak, capacity)), memory)


def rule_of(worker_set: Mapping[str, Any]) -> Rule:
    """The rule in an entry of DUCTWORK_WORKER_SETS."""
    return Rule(
        concurrency=max(1, int(worker_set["concurrency"])),
        growth_threshold=float(worker_set.get("growth_threshold", Rule.growth_threshold)),
        shrink_threshold=float(worker_set.get("shrink_threshold", Rule.shrink_threshold)),
        patience_seconds=60.0 * float(worker_set.get("shrink_after_minutes", Rule.patience_seconds / 60)),
    )


def loads(rows: list[tuple[str | None, str, int]], default_queue: str = "default") -> dict[str, Load]:
    """Load per queue, from rows of queue, state and number; a task without a queue is on the default one."""
    counts: dict[str, list[int]] = {}
    for queue, state, number in rows:
        count = counts.setdefault(queue or default_queue, [0, 0])
        if state in QUEUED_STATES:
            count[0] += int(number)
        elif state in RUNNING_STATES:
            count[1] += int(number)
    return {queue: Load(*count) for queue, count in counts.items()}


def datum(name: str, value: float, unit: str, **dimensions: str) -> dict[str, Any]:
    """An entry of PutMetricData, at a resolution of seconds."""
    return {
        "MetricName": name,
        "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
        "Value": float(value),
        "Unit": unit,
        "StorageResolution": 1,
    }


def set_metrics(
    stack: str, name: str, load: Load, wanted: int | None, in_service: int | None
) -> list[dict[str, Any]]:
    """What is published of a worker set; None where a set has no hosts of its own, or AWS did not say."""
    values = {
        "TasksQueued": load.queued,
        "TasksRunning": load.running,
        "HostsWanted": wanted,
        "HostsInService": in_service,
    }
    return [
        datum(metric, value, "Count", Environment=stack, WorkerSet=name)
        for metric, value in values.items()
        if value is not None
    ]


def environment_metrics(
    stack: str, ages: Mapping[str, float | None], import_errors: int
) -> list[dict[str, Any]]:
    """What is published of the environment: ages of heartbeats in seconds, by metric; one that has none is left out,
    which its alarm takes for a fault."""
    beats = [
        datum(metric, age, "Seconds", Environment=stack) for metric, age in ages.items() if age is not None
    ]
    return [*beats, datum("ImportErrors", import_errors, "Count", Environment=stack)]
