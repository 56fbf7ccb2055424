"""What Ductwork adds to Airflow, as a plugin: to the API server `/ductwork/health` and basic authentication for the API,
to each task a listener that tells its worker how it ended.

Found by its entry point in `host/ductwork.dist-info`, which lies beside this package in the revision and so on
PYTHONPATH: the user's plugins folder stays the user's. Every component loads plugins, so the parts are imported only
when they are asked for.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from airflow.plugins_manager import AirflowPlugin


class DuctworkPlugin(AirflowPlugin):
    """Ductwork's additions."""

    name = "ductwork"

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """`/ductwork/health`."""
        from ductwork_airflow.extensions.health_app import make_app

        return [{"app": make_app(), "url_prefix": "/ductwork", "name": "Ductwork"}]

    @cached_property
    def fastapi_root_middlewares(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """Basic authentication."""
        from ductwork_airflow.extensions.basic_login import BasicLogin

        return [{"middleware": BasicLogin, "args": [], "kwargs": {}, "name": "Ductwork basic authentication"}]

    @cached_property
    def listeners(self) -> list[Any]:  # type: ignore[override]
        """How tasks end."""
        from ductwork_airflow.receipts import outcome

        return [outcome]
