"""How many failed tasks a deployment may have, and how many tasks may run during it. Pure.

docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html
"""

from __future__ import annotations

import math

LEAST, MOST = 3, 200  # bounds of the threshold where it is a share
FREE_TRIES, LONGEST_WAIT = 3, 60.0  # seconds; AWS waits up to 27 minutes


def settings(service: dict) -> dict:
    return (service["deploymentConfiguration"] or {}).get("deploymentCircuitBreaker") or {}


def threshold(breaker: dict, desired: int) -> int:
    """The number of failed tasks at which a deployment has failed."""
    wanted = breaker.get("thresholdConfiguration") or {}
    kind, value = wanted.get("type", "BOUNDED_PERCENT"), int(wanted.get("value", 50))
    if kind == "COUNT":
        return value
    share = math.ceil(desired * value / 100)
    return share if kind == "UNBOUNDED_PERCENT" else min(max(share, LEAST), MOST)


def wait(failures: int) -> float:
    """Seconds before the next task is started, after so many in a row did not last."""
    return 0.0 if failures < FREE_TRIES else min(2.0 ** (failures - FREE_TRIES), LONGEST_WAIT)


def bounds(configuration: dict, desired: int) -> tuple[int, int]:
    """How many tasks have to stay healthy (rounded up), and how many may run at once (rounded down)."""
    least = math.ceil(desired * int(configuration.get("minimumHealthyPercent", 100)) / 100)
    most = math.floor(desired * int(configuration.get("maximumPercent", 200)) / 100)
    return least, most
