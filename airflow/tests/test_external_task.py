"""The example of an external task: a DAG where the environment has the task, and none where it has not."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "dags" / "report_in_a_task.py"
COMMON = {
    "cluster": "ductwork-dev",
    "region_name": "eu-central-1",
    "awslogs_region": "eu-central-1",
    "awslogs_group": "/ductwork/ductwork-dev/tasks",
    "capacity_provider_strategy": [{"capacityProvider": "FARGATE", "weight": 1}],
    "network_configuration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
}
REPORT = {
    "task_definition": "ductwork-dev-task-report",
    "container_name": "report",
    "awslogs_stream_prefix": "report/report",
}


def dags(told: dict | None, monkeypatch: pytest.MonkeyPatch) -> list:
    monkeypatch.delenv("DUCTWORK_ECS_TASKS", raising=False)
    if told is not None:
        monkeypatch.setenv("DUCTWORK_ECS_TASKS", json.dumps(told))
    from airflow.sdk import DAG

    made: list[DAG] = []
    original = DAG.__init__

    def kept(self: DAG, *given: object, **named: object) -> None:
        original(self, *given, **named)
        made.append(self)

    monkeypatch.setattr(DAG, "__init__", kept)
    runpy.run_path(str(FILE))
    return made


@pytest.mark.parametrize("told", [None, {}, {"common": COMMON, "tasks": {"other": REPORT}}])
def test_without_the_task_there_is_no_dag(told: dict | None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert dags(told, monkeypatch) == []


def test_the_operator_takes_what_dags_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    [dag] = dags({"common": COMMON, "tasks": {"report": REPORT}}, monkeypatch)
    task = dag.get_task("report")
    assert (task.task_definition, task.cluster) == ("ductwork-dev-task-report", "ductwork-dev")
    task.arn = "arn:aws:ecs:eu-central-1:1:task/ductwork-dev/0a1b"
    # As the agent calls it: prefix, container, task.
    assert task._get_logs_stream_name() == "report/report/0a1b"
