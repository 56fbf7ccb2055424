"""Lets a worker on SQS end only once its last long poll has been answered.

Celery stops asking for tasks and ends, but the question that it asked last stays open at SQS for up to ten seconds. A
task that is queued in that time is given to nobody, and is invisible to others for twelve hours. So the step below,
which ends first, cancels the consumer and goes on to read the answer: kombu makes visible again what comes for a
consumer that is gone.
"""

from __future__ import annotations

import time
from typing import Any

from celery import bootsteps
from celery.worker import state

# kombu gives up a request after 20 s.
LONGEST_SECONDS = 20.0


def is_open(client: Any) -> bool:
    """Whether a request of kombu's HTTP client is waiting for its answer. That it has no such lists any more would
    be no reason to wait."""
    handles, free = getattr(client, "_curls", ()), getattr(client, "_free_list", ())
    return len(free) < len(handles) or bool(getattr(client, "_pending", ()))


class LastPoll(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """A step of the consumer: whatever requires another one is stopped before it."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Any) -> None:
        """Nothing; a step that has not been started is not stopped."""

    def stop(self, consumer: Any) -> None:
        """Runs the event loop until no question is open, or somebody says that the worker has to end now."""
        connection, hub = consumer.connection, consumer.hub
        if not (connection and hub and consumer.task_consumer and connection.transport.driver_type == "sqs"):
            return
        from kombu.asynchronous.http import get_client

        consumer.task_consumer.cancel()
        client, loop = get_client(hub), hub.create_loop()
        end = time.monotonic() + LONGEST_SECONDS
        while is_open(client) and time.monotonic() < end and state.should_terminate in (None, False):
            try:
                next(loop)
            except StopIteration:
                loop = hub.create_loop()


def install(app: Any) -> None:
    """Before the worker has made its steps."""
    app.steps["consumer"].add(LastPoll)
