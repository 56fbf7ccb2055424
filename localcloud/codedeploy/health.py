"""Minimum healthy hosts: how many instances may be deployed to at once, and when a deployment fails. Pure.

docs.aws.amazon.com/codedeploy/latest/userguide/instances-health.html
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum


class RevisionHealth(IntEnum):
    """In the order in which CodeDeploy deploys to them, after all unhealthy instances."""

    UNKNOWN = 0
    OLD = 1
    CURRENT = 2


@dataclass(frozen=True)
class Target:
    name: str
    healthy: bool
    revision: RevisionHealth = RevisionHealth.UNKNOWN


@dataclass(frozen=True)
class Policy:
    """What a deployment configuration asks for."""

    kind: str  # HOST_COUNT | FLEET_PERCENT | MOST_CONCURRENCY | HALF
    value: int

    def minimum(self, total: int) -> int:
        """The healthy hosts to keep; fixed when the deployment starts."""
        if self.kind == "HOST_COUNT":
            return self.value
        if self.kind == "FLEET_PERCENT":
            return math.ceil(total * self.value / 100)
        if self.kind == "HALF":
            # Half, rounded up, must stay; a single instance is deployed to all the same.
            return min(math.ceil(total / 2), max(total - 1, 0))
        return max(total - self.value, 0)


BUILT_IN: dict[str, Policy] = {
    "CodeDeployDefault.OneAtATime": Policy("MOST_CONCURRENCY", 1),
    "CodeDeployDefault.HalfAtATime": Policy("HALF", 50),
    "CodeDeployDefault.AllAtOnce": Policy("FLEET_PERCENT", 0),
}
DEFAULT = "CodeDeployDefault.OneAtATime"


class Gate:
    """Hands out targets as the policy allows. Not safe for threads; the engine holds its lock."""

    def __init__(self, policy: Policy, targets: list[Target]) -> None:
        self.total = len(targets)
        self.minimum = policy.minimum(self.total)
        ordered = sorted(targets, key=lambda t: (t.healthy, t.revision, t.name))
        self._first = [t.name for t in ordered if not t.healthy]
        self._rest = [t.name for t in ordered if t.healthy]
        self._unhealthy_at_start = set(self._first)
        self._healthy = len(self._rest)
        self._running: set[str] = set()
        self.succeeded = 0
        self.failed = 0
        self.violated = False

    @property
    def waiting(self) -> list[str]:
        return [*self._first, *self._rest]

    def next(self) -> list[str]:
        """The targets that may start now. Marks the deployment as failed when the policy leaves no way on."""
        if self.violated:
            return []
        if self._first:
            batch, self._first = self._first, []
            self._running.update(batch)
            return batch
        if self._running & self._unhealthy_at_start:
            return []  # all unhealthy instances first
        if not self._rest:
            return []
        if self._healthy <= self.minimum:
            self.violated = True
            return []
        busy = len(self._running)
        room = self._healthy - self.minimum - busy
        batch, self._rest = self._rest[: max(room, 0)], self._rest[max(room, 0) :]
        self._running.update(batch)
        return batch

    def done(self, name: str, success: bool) -> None:
        """Record the end of one target."""
        self._running.discard(name)
        if success:
            self.succeeded += 1
            self._healthy += name in self._unhealthy_at_start
        else:
            self.failed += 1
            self._healthy -= name not in self._unhealthy_at_start

    @property
    def busy(self) -> bool:
        return bool(self._running)

    @property
    def success(self) -> bool:
        """At least `max(1, minimum)` instances run the revision; so the very last one may fail, as on AWS."""
        return (
            not self.violated and not self.waiting and self.succeeded >= max(1, min(self.minimum, self.total))
        )
