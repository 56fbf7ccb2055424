"""Puts the parts together: ministack, our services and resource types, the saver, and the boot of what
must run.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from functools import partial

from ministack import app as ministack_app
from ministack.core import persistence
from ministack.services import cloudformation

from localcloud.base.paths import State
from localcloud.cfn.install import install as install_types
from localcloud.codedeploy.api import TARGET_PREFIX, Service
from localcloud.codedeploy.engine import Engine
from localcloud.codedeploy.store import Store
from localcloud.ecs.api import TARGET_PREFIX as ECS_PREFIX
from localcloud.ecs.docker import Docker
from localcloud.ecs.parts import Ecs
from localcloud.ecs.scaling import TARGET_PREFIX as SCALING_PREFIX
from localcloud.ecs.taskenv import AGENT
from localcloud.emulator import quotas, watch
from localcloud.emulator.saver import Saver
from localcloud.emulator.services import add_service, keep_state
from localcloud.emulator.shapes import Application, Message, Receive, Scope, Send
from localcloud.fleet.ec2 import Fleet
from localcloud.fleet.hostenv import METADATA, HostEnv
from localcloud.fleet.metadata import Metadata
from localcloud.iam.recording import Calls
from localcloud.life import recover

log = logging.getLogger("localcloud")
QUIESCE = "/_localcloud/quiesce"
INTERRUPT = "/_localcloud/interrupt/"  # and the id of a task on Fargate Spot, or of a Spot instance
READS = ("GET", "HEAD")


def encode(key: str, state: object) -> str:
    """ministack's own file format, so that it loads what we save."""
    document = {"__ministack_format__": persistence._state_format_version(key), "payload": state}
    return json.dumps(document, default=persistence._json_default)


def stack_operation_runs() -> bool:
    return any(
        stack.get("StackStatus", "").endswith("_IN_PROGRESS") and stack["StackStatus"] != "REVIEW_IN_PROGRESS"
        for stack in list(cloudformation._stacks._data.values())
    )


async def _respond(send: Send, status: int, headers: dict[str, str], body: bytes) -> None:
    lines = {**headers, "content-length": str(len(body))}
    raw = [(key.encode(), value.encode()) for key, value in lines.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


async def _body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


class Cloud:
    """One local cloud. Construction registers the extensions; nothing runs before `asgi` is started."""

    def __init__(
        self, state: State, env: HostEnv, deployment_hours: float, docker: Docker | None = None
    ) -> None:
        self.state = state
        self.saver = Saver(
            state.services, ministack_app._build_persistence_save_dict, encode, stack_operation_runs
        )
        self.fleet = Fleet(state, env, lambda: self._changed("localfleet", "autoscaling", "ec2", "alb"))
        self.metadata = Metadata(state, self.fleet)
        store = Store()
        self.calls = Calls(state.calls_file, store.deployed_by)
        changed = partial(self._changed, "codedeploy")
        self.engine = Engine(state, store, self.fleet, env.endpoint, changed, self.calls, deployment_hours)
        self.fleet.on_launch = self.engine.on_launch
        service = Service(store, self.engine)
        add_service("codedeploy", TARGET_PREFIX, service)
        add_service("servicequotas", quotas.TARGET_PREFIX, quotas.Quotas())
        self.ecs = Ecs(
            state,
            env,
            self.fleet,
            partial(self._changed, "ecs", "alb", "autoscaling", "logs", "servicediscovery"),
            self.calls,
            docker,
        )
        add_service("ecs", ECS_PREFIX, self.ecs.service)
        add_service("application-autoscaling", SCALING_PREFIX, self.ecs.scaling)
        keep_state("localfleet", self.fleet)
        self.databases = install_types(state, self.fleet, service, self.ecs)

    def _changed(self, *keys: str) -> None:
        for key in keys:
            self.saver.mark(key)

    def asgi(self, ready: Callable[[], None]) -> Application:
        """ministack's application; `ready` is called when it may answer."""
        watch.install(self.saver, self.calls)

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "lifespan":
                await ministack_app.app(scope, receive, self._lifespan(send, ready))
            elif scope["type"] == "http" and scope["path"] == QUIESCE and scope["method"] == "POST":
                await self._quiesce(send)
            elif (
                scope["type"] == "http" and scope["path"].startswith(INTERRUPT) and scope["method"] == "POST"
            ):
                found = self.ecs.interrupt(scope["path"].removeprefix(INTERRUPT))
                await _respond(send, 204 if found else 404, {}, b"")
            elif scope["type"] == "http" and scope["path"].startswith(METADATA + "/"):
                headers = {
                    key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]
                }
                await _respond(send, *self.metadata.answer(scope["method"], scope["path"], headers))
            elif scope["type"] == "http" and scope["path"].startswith(AGENT + "/"):
                body = await _body(receive)
                await _respond(send, *self.ecs.agent.answer(scope["method"], scope["path"], body))
            else:
                await ministack_app.app(scope, receive, send)
                if (
                    scope["type"] == "http"
                    and scope["path"].startswith("/v2/")
                    and scope["method"] not in READS
                ):
                    self._changed("ecr")  # pushes do not come by way of a service's handler

        return application

    async def _quiesce(self, send: Send) -> None:
        """The first step of `stop`: no launch, no script, so that nothing comes up behind its back."""
        self.fleet.close()
        self.ecs.close()
        await asyncio.to_thread(self.engine.close)
        await _respond(send, 204, {}, b"")

    def _lifespan(self, send: Send, ready: Callable[[], None]) -> Send:
        async def wrapped(message: Message) -> None:
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
        recover.interrupted_operations(self.ecs.kept())
        self.engine.end_interrupted()
        self.databases.boot()
        self.fleet.boot_all()
        self.ecs.boot()
        self.saver.start()
        self.saver.mark_all()

    def _end(self) -> None:
        self.fleet.close()
        self.ecs.end()
        self.engine.close()
        self.saver.stop()
