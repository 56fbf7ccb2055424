"""Orders of an invented shop: made, checked and added up without any external service.

Plain functions of plain values: they are tested without Airflow, and the DAG only connects them.
"""

from __future__ import annotations

import random
from collections import defaultdict
from typing import TypedDict

COUNTRIES = ("AT", "CH", "DE", "FR", "PL")


class Order(TypedDict):
    """One order; the amount is in cents, because sums of floats are not sums of money."""

    id: int
    country: str
    cents: int


def orders_of(day: str, count: int = 200) -> list[Order]:
    """The orders of a day: always the same ones for the same day, so that a run can be repeated."""
    source = random.Random(day)
    return [
        Order(id=number, country=source.choice(COUNTRIES), cents=source.randint(-50, 20_000))
        for number in range(1, count + 1)
    ]


def split_valid(orders: list[Order]) -> tuple[list[Order], list[Order]]:
    """Orders with a positive amount, and the rest."""
    valid = [order for order in orders if order["cents"] > 0]
    return valid, [order for order in orders if order["cents"] <= 0]


def revenue_by_country(orders: list[Order]) -> dict[str, int]:
    """Cents by country, in alphabetical order."""
    total: dict[str, int] = defaultdict(int)
    for order in orders:
        total[order["country"]] += order["cents"]
    return dict(sorted(total.items()))


def as_text(day: str, revenue: dict[str, int]) -> str:
    """A report that a person can read."""
    lines = [f"{country}  {cents / 100:>12,.2f}" for country, cents in revenue.items()]
    return "\n".join([f"Revenue of {day}", *lines, f"sum {sum(revenue.values()) / 100:>12,.2f}"])
