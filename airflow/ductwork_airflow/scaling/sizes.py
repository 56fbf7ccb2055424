"""What scales a worker set: an Auto Scaling group of hosts, or an ECS service of tasks.

Both have a number wanted, bounds that a schedule may have changed, and a number that works. A set is told by the name
of its group or service.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ductwork_airflow.scaling.arithmetic import Bounds


@dataclass(frozen=True)
class Size:
    """How large a set is."""

    capacity: int  # wanted
    bounds: Bounds
    in_service: int


class Sizes(Protocol):
    """The service of AWS that holds sets at their size."""

    called: str

    def read(self, names: list[str]) -> dict[str, Size]:
        """The sets that there are, as they are."""

    def set(self, name: str, capacity: int) -> None:
        """Wants another number."""


def pages(names: list[str], most: int) -> Iterator[list[str]]:
    """So many as a call takes."""
    return (names[start : start + most] for start in range(0, len(names), most))


@dataclass
class AutoScalingGroups:
    """Hosts."""

    client: Any
    called: str = "Auto Scaling"

    def read(self, names: list[str]) -> dict[str, Size]:
        """One call for a hundred groups."""
        found: dict[str, Size] = {}
        for page in pages(names, 100):
            answer = self.client.describe_auto_scaling_groups(AutoScalingGroupNames=page, MaxRecords=100)
            found |= {one["AutoScalingGroupName"]: _of_group(one) for one in answer["AutoScalingGroups"]}
        return found

    def set(self, name: str, capacity: int) -> None:
        """At once."""
        self.client.set_desired_capacity(
            AutoScalingGroupName=name, DesiredCapacity=capacity, HonorCooldown=False
        )


def _of_group(one: dict[str, Any]) -> Size:
    in_service = [host for host in one["Instances"] if host["LifecycleState"] == "InService"]
    bounds = Bounds(int(one["MinSize"]), int(one["MaxSize"]))
    return Size(int(one["DesiredCapacity"]), bounds, len(in_service))


@dataclass
class Services:
    """Tasks. A service has no bounds of its own: those are of its scalable target, which schedules change."""

    ecs: Any
    targets: Any  # Application Auto Scaling
    cluster: str
    called: str = "ECS"

    def read(self, names: list[str]) -> dict[str, Size]:
        """Two calls for ten services, which is what DescribeServices takes."""
        found: dict[str, Size] = {}
        for page in pages(names, 10):
            bounds = self._bounds(page)
            answer = self.ecs.describe_services(cluster=self.cluster, services=page)
            found |= {
                one["serviceName"]: Size(int(one["desiredCount"]), bounds[name], int(one["runningCount"]))
                for one in answer["services"]
                if (name := one["serviceName"]) in bounds and one["status"] == "ACTIVE"
            }
        return found

    def _bounds(self, names: Sequence[str]) -> dict[str, Bounds]:
        answer = self.targets.describe_scalable_targets(
            ServiceNamespace="ecs",
            ResourceIds=[f"service/{self.cluster}/{name}" for name in names],
            ScalableDimension="ecs:service:DesiredCount",
        )
        return {
            one["ResourceId"].rpartition("/")[2]: Bounds(int(one["MinCapacity"]), int(one["MaxCapacity"]))
            for one in answer["ScalableTargets"]
        }

    def set(self, name: str, capacity: int) -> None:
        """Nothing but the number, so that no deployment begins. Tasks that are protected stay."""
        self.ecs.update_service(cluster=self.cluster, service=name, desiredCount=capacity)
