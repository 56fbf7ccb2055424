"""Puts the parts together: ministack, our services and resource types, the saver, and the boot of what must run."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable

from ministack import app as ministack_app
from ministack.core import persistence
from ministack.services import cloudformation

from localcloud import postgres, recover, watch
from localcloud.cfn.install import install as install_types
from localcloud.hostenv import HostEnv
from localcloud.paths import State
from localcloud.saver import Saver

log = logging.getLogger("localcloud")


def encode(key: str, state: object) -> str:
    """ministack's own file format, so that it loads what we save."""
    document = {"__ministack_format__": persistence._state_format_version(key), "payload": state}
    return json.dumps(document, default=persistence._json_default)


def stack_operation_runs() -> bool:
    return any(
        stack.get("StackStatus", "").endswith("_IN_PROGRESS")
        and stack.get("StackStatus") != "REVIEW_IN_PROGRESS"
        for stack in list(cloudformation._stacks._data.values())
    )


class Cloud:
    """One local cloud. Construction registers the extensions; nothing runs before `asgi` is started."""

    def __init__(self, state: State, env: HostEnv) -> None:
        self.state = state
        self.env = env
        install_types(state)
        self.saver = Saver(
            state.services, ministack_app._build_persistence_save_dict, encode, stack_operation_runs
        )

    def asgi(self, ready: Callable[[], None]) -> Callable:
        """ministack's application; `ready` is called when it may answer."""
        watch.install(self.saver)

        async def application(scope, receive, send):
            if scope["type"] == "lifespan":
                await ministack_app.app(scope, receive, self._lifespan(send, ready))
            else:
                await ministack_app.app(scope, receive, send)

        return application

    def _lifespan(self, send: Callable, ready: Callable[[], None]) -> Callable:
        async def wrapped(message):
            if message["type"] == "lifespan.startup.complete":
                await asyncio.to_thread(self._boot)
                await send(message)
                ready()
            elif message["type"] == "lifespan.shutdown.complete":
                await asyncio.to_thread(self._end)
                await send(message)
            else:
                await send(message)

        return wrapped

    def _boot(self) -> None:
        recover.interrupted_operations()
        postgres.start_all(self.state)
        self.saver.start()

    def _end(self) -> None:
        self.saver.stop()
