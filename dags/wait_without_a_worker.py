"""Waiting costs no worker slot: a deferrable sensor hands its wait to the triggerer and comes back when it is over.

A sensor that pokes keeps a slot of the worker for the whole wait; with ten of them a small worker does nothing else.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor
from airflow.sdk import dag, task


@dag(
    dag_id="wait_without_a_worker",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    dagrun_timeout=timedelta(minutes=10),
    tags=["example", "deferrable"],
    default_args={"owner": "data", "retries": 1, "retry_delay": timedelta(seconds=10)},
    doc_md=__doc__,
)
def wait_without_a_worker() -> None:
    """Wait five seconds in the triggerer, then say for how long it was."""
    wait = TimeDeltaSensor(task_id="wait", delta=timedelta(seconds=5), deferrable=True)

    @task
    def waited(dag_run=None) -> float:
        """Seconds since the run began."""
        return (pendulum.now("UTC") - dag_run.run_after).total_seconds()

    wait >> waited()


wait_without_a_worker()
