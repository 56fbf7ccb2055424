"""`/ductwork/health`: may the load balancer send people to this API server?

200 when this API server can read the metadata database now, 503 else. The ages of the cluster's heartbeats are in the
answer for people and do not count: an API server is of use, most of all, when the scheduler is dead. Nobody logs in for
this, so an answer holds nothing worth hiding, and however many ask, the database is asked once in two seconds.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from ductwork_airflow.hosts import database

if TYPE_CHECKING:
    from fastapi import FastAPI

log = logging.getLogger(__name__)

COMPONENTS = {"SchedulerJob": "scheduler", "DagProcessorJob": "dag-processor", "TriggererJob": "triggerer"}
KEPT_SECONDS = 2.0
# Less than the balancer waits; a database that swallows packets must not keep anybody waiting.
PATIENCE_SECONDS = 3.0
# A process that was killed has not written that it ended: only its heart has stopped.
ALIVE_SECONDS = 60.0
_QUERY = (
    "select job_type, sum(case when latest_heartbeat >= :since then 1 else 0 end), max(latest_heartbeat)"
    " from job where state = 'running' group by job_type"
)

Document = dict[str, Any]


def read(url: str) -> Document:
    """What the database says. On a connection of its own: those of Airflow's pool may all be busy, and one that lies
    in a pool proves nothing."""
    from sqlalchemy import create_engine

    engine = create_engine(url, **database.engine_options(url, read_seconds=5))
    now = datetime.now(timezone.utc)
    with engine.connect() as connection:
        found = database.rows(connection, _QUERY, since=now - timedelta(seconds=ALIVE_SECONDS))
    components: Document = {name: {"running": 0, "heartbeat_age_s": None} for name in COMPONENTS.values()}
    for job, count, beat in found:
        if job in COMPONENTS:
            age = round((now - database.utc(beat)).total_seconds(), 1) if beat else None
            components[COMPONENTS[job]] = {"running": int(count), "heartbeat_age_s": age}
    return {"database": "healthy", "components": components}


Answer = tuple[bool, Document]


class Checker:
    """Asks the database at most once at a time and keeps the answer for a moment."""

    def __init__(self, ask: Callable[[], Document], patience: float = PATIENCE_SECONDS) -> None:
        self._ask = ask
        self._patience = patience
        self._running: asyncio.Task[Answer] | None = None
        self._kept: tuple[float, Answer] | None = None

    async def check(self) -> Answer:
        """Whether the database answers, and with what."""
        if self._kept and time.monotonic() - self._kept[0] < KEPT_SECONDS:
            return self._kept[1]
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._once())
        try:
            # Shielded: a check that hangs goes on alone, and nobody starts a second one beside it.
            return await asyncio.wait_for(asyncio.shield(self._running), self._patience)
        except asyncio.TimeoutError:
            return False, _dead(f"no answer within {self._patience:g} s")

    async def _once(self) -> Answer:
        try:
            answer = True, await asyncio.to_thread(self._ask)
        except Exception as error:
            log.warning("the metadata database does not answer: %s", error)
            # The words of a driver may name hosts and users: they are for the log.
            answer = False, _dead(type(error).__name__)
        self._kept = (time.monotonic(), answer)
        return answer


def _dead(reason: str) -> Document:
    return {"database": "unhealthy", "reason": reason}


def make_app() -> FastAPI:
    """The application that the API server mounts at `/ductwork`."""
    from airflow.configuration import conf
    from fastapi import FastAPI
    from fastapi.responses import JSONResponse

    app = FastAPI(title="Ductwork", docs_url=None, redoc_url=None, openapi_url=None)
    checker = Checker(lambda: read(conf.get_mandatory_value("database", "sql_alchemy_conn")))

    @app.get("/health")
    async def health() -> JSONResponse:
        """200 or 503."""
        works, document = await checker.check()
        return JSONResponse(document, 200 if works else 503, {"Cache-Control": "no-store"})

    return app
