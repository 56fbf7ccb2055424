"""A daily revenue report: the shape of most pipelines, with nothing outside Airflow.

Extract, check, one mapped task per country, and a report that survives the failure of nothing. The work itself is in
the helper package `shop`; what is here only connects it.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import Param, dag, task
from airflow.sdk.exceptions import AirflowFailException


@dag(
    dag_id="revenue_report",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=4,
    dagrun_timeout=timedelta(minutes=30),
    tags=["example", "taskflow"],
    default_args={"owner": "data", "retries": 1, "retry_delay": timedelta(seconds=10)},
    params={"day": Param("2026-01-31", type="string", format="date", description="The day to report on.")},
    doc_md=__doc__,
)
def revenue_report() -> None:
    """Extract → check → sum by country → report."""

    @task
    def extract(params: dict[str, str] | None = None) -> list[dict]:
        """The day's orders."""
        from shop.orders import orders_of  # imported in the task: parsing stays fast

        return list(orders_of((params or {})["day"]))

    @task
    def check(orders: list[dict]) -> list[dict]:
        """Leaves out what cannot be right; gives up, without a retry, when that is too much."""
        from shop.orders import split_valid

        valid, wrong = split_valid(orders)
        if len(wrong) > len(orders) // 10:
            raise AirflowFailException(f"{len(wrong)} of {len(orders)} orders have no positive amount")
        return valid

    @task
    def countries() -> list[str]:
        """What to map over."""
        from shop.orders import COUNTRIES

        return list(COUNTRIES)

    @task(map_index_template="{{ country }}")
    def revenue(country: str, orders: list[dict]) -> dict[str, int]:
        """One country's revenue."""
        from airflow.sdk import get_current_context
        from shop.orders import revenue_by_country

        get_current_context()["country"] = country
        return revenue_by_country([order for order in orders if order["country"] == country])

    @task
    def report(parts: list[dict[str, int]], params: dict[str, str] | None = None) -> int:
        """Writes the report to the task's log and returns the sum in cents."""
        import logging

        from shop.orders import as_text

        merged = {country: cents for part in parts for country, cents in part.items()}
        logging.getLogger(__name__).info("\n%s", as_text((params or {})["day"], merged))
        return sum(merged.values())

    checked = check(extract())
    report(revenue.partial(orders=checked).expand(country=countries()))


revenue_report()
