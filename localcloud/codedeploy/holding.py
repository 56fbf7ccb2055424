"""What holds while a deployment runs: Auto Scaling takes no instance that it deploys to, and its time is limited."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from localcloud.fleet.ec2 import Fleet


@contextmanager
def scaling_held(fleet: Fleet, group: dict, record: dict) -> Iterator[None]:
    """Suspend the processes that the deployment group names. A deployment to an instance that is being launched
    suspends none.
    """
    options = group.get("ec2DeploymentOptions") or {}
    processes = options.get("autoScalingGroupProcessesToSuspend") or []
    launched = record["info"]["creator"] == "autoscaling"
    names = [] if launched else [entry["name"] for entry in group["autoScalingGroups"]]
    record["suspended"] = {name: fleet.suspend(name, processes) for name in names}
    try:
        yield
    finally:
        release(fleet, record)


def release(fleet: Fleet, record: dict) -> None:
    """Resume what the deployment has suspended, and nothing else."""
    for name, processes in record.pop("suspended", {}).items():
        fleet.resume(name, processes)


@contextmanager
def timed(record: dict, stop: threading.Event, hours: float) -> Iterator[None]:
    """Stop the deployment when its time is up; the event that runs then ends first."""

    def end() -> None:
        record["out_of_time"] = True
        stop.set()

    timer = threading.Timer(hours * 3600, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
