"""A macro for templates: `{{ macros.money.euros(cents) }}` writes cents as an amount that people read.

Plugins belong to the platform and not to a DAG bundle: a change here rolls the hosts, because every component loads
them once, when it starts.
"""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin


def euros(cents: int) -> str:
    """123456 → `1,234.56 €`."""
    return f"{cents / 100:,.2f} €"


class MoneyPlugin(AirflowPlugin):
    """Registers the macro under `macros.money`."""

    name = "money"
    macros = [euros]
