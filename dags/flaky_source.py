"""Every hour from a source that fails at times: retries with growing pauses, a callback, and a time limit.

The source is invented: it fails at the first attempt of each run, so that the retry can be seen.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import dag, task

log = logging.getLogger(__name__)


def tell(context: dict[str, Any]) -> None:
    """Where a message to a person would be sent."""
    log.warning("gave up: %s", context["task_instance"])


@dag(
    dag_id="flaky_source",
    schedule="@hourly",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,  # a new environment must not run all hours since January
    max_active_runs=1,
    tags=["example", "retries"],
    default_args={
        "owner": "data",
        "retries": 3,
        "retry_delay": timedelta(seconds=5),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=5),
        "execution_timeout": timedelta(minutes=2),
        "on_failure_callback": tell,
    },
    doc_md=__doc__,
)
def flaky_source() -> None:
    """Fetch, then count."""

    @task
    def fetch(ti=None) -> list[int]:
        """Fails once per run."""
        if ti.try_number == 1:
            raise ConnectionError("the source is busy; the next attempt will work")
        return list(range(ti.try_number * 10))

    @task
    def count(rows: list[int]) -> int:
        """How many there were."""
        return len(rows)

    count(fetch())


flaky_source()
