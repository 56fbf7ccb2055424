"""A task of ECS with an image of its own: `[tasks.report]` of the environment, built from the folder `tasks/report`.

An environment on ECS tells in `DUCTWORK_ECS_TASKS` how to start its external tasks, as arguments of the operator: those
that all have in common, and those of each. Where there is no task `report`, there is no such DAG.
"""

from __future__ import annotations

import json
import os
from datetime import timedelta

import pendulum
from airflow.sdk import dag

ECS = json.loads(os.environ.get("DUCTWORK_ECS_TASKS") or "{}")
REPORT = ECS.get("tasks", {}).get("report")


@dag(
    dag_id="report_in_a_task",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    dagrun_timeout=timedelta(minutes=30),
    params={"rows": 3, "exit_code": 0},
    tags=["example", "ecs"],
    default_args={"owner": "data", "retries": 0},
    doc_md=__doc__,
)
def report_in_a_task() -> None:
    """Start the task, wait for its end, and show its log; its exit code decides."""
    from airflow.providers.amazon.aws.operators.ecs import EcsRunTaskOperator

    words = ["python", "main.py", "--rows", "{{ params.rows }}", "--exit-code", "{{ params.exit_code }}"]
    EcsRunTaskOperator(
        task_id="report",
        overrides={"containerOverrides": [{"name": "report", "command": words}]},
        # Airflow's triggerer waits, so that no worker has to be there meanwhile.
        deferrable=True,
        waiter_delay=5,
        **ECS["common"],
        **REPORT,
    )


if REPORT:
    report_in_a_task()
