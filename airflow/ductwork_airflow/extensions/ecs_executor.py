"""Runs each task of Airflow as a task of ECS: the Amazon provider's executor, with two things of our own.

A DAG asks for it by `executor="ecs"`, and for other than the usual size by `executor_config`:
`{"overrides": {"cpu": "2048", "memory": "8192"}}`.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.executors.ecs.ecs_executor import AwsEcsExecutor


class EcsExecutor(AwsEcsExecutor):
    """Named `ecs` in `core.executor`."""

    def _load_run_kwargs(self) -> dict[str, Any]:
        """AWS refuses a platform version, which the provider always names, for tasks on instances; without one,
        Fargate takes the latest."""
        kwargs = super()._load_run_kwargs()
        kwargs.pop("platformVersion", None)
        return kwargs

    def end(self, heartbeat_interval: int = 10) -> None:
        """Leaves what runs to another scheduler, which adopts it. The provider's own waits for the end of every task,
        and a scheduler that is replaced would be killed while it waits."""
        if count := len(self.active_workers):
            self.log.info("%d tasks of ECS go on; the next scheduler adopts them", count)
