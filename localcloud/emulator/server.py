"""Runs ministack's ASGI application in this process, extended with our services, on the loopback address
only.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from localcloud.base.paths import State
from localcloud.emulator.compat import check_ministack
from localcloud.fleet.hostenv import host_env
from localcloud.life.statefolder import HOST, bind, open_folder, withdraw, write_ready

if TYPE_CHECKING:
    from localcloud.cloud import Cloud

log = logging.getLogger("localcloud")


def _configure(state: State, port: int) -> None:
    """ministack reads its configuration from the environment while it is imported."""
    os.environ.update(
        GATEWAY_PORT=str(port),
        MINISTACK_HOST=HOST,
        BIND_HOST=HOST,
        PERSIST_STATE="1",
        STATE_DIR=str(state.services),
        S3_PERSIST="1",
        S3_DATA_DIR=str(state.objects),
        # Results must not depend on whether the machine happens to have Docker.
        DOCKER_HOST="unix:///nonexistent.sock",
        REDIS_HOST=HOST,  # what an ElastiCache endpoint says; nothing listens there
        SFTP_ENABLED="0",
        IOT_MTLS_ENABLED="0",
        MINISTACK_ACCOUNT_ID="000000000000",
        MINISTACK_REGION="us-east-1",
        MINISTACK_WORKER_THREADS="16",
    )
    os.environ.setdefault("LOG_LEVEL", "WARNING")
    for name in ("AUTH", "SERVICES", "EDGE_PORT", "USE_SSL", "LOCALSTACK_PERSISTENCE"):
        os.environ.pop(name, None)


def serve(state: State, port: int | None, deployment_hours: float, in_containers: bool = False) -> int:
    """Serve until SIGTERM or SIGINT. Instances and databases go on running and are found again."""
    lock = open_folder(state)
    listener = bind(state, port)
    actual = listener.getsockname()[1]
    docker_host = os.environ.get("DOCKER_HOST", "")
    _configure(state, actual)
    logging.getLogger("localcloud").setLevel(logging.INFO)
    logging.getLogger("kms").setLevel(logging.ERROR)  # it warns of a library that only key signing needs
    check_ministack()
    from localcloud.cloud import Cloud
    from localcloud.ecs import docker

    runs = docker.find(docker_host, f"{HOST}:{actual}") if in_containers else None
    cloud = Cloud(state, host_env(f"http://{HOST}:{actual}", state.root), deployment_hours, runs)
    try:
        asyncio.run(_run(cloud, listener.detach(), state, actual, in_containers))
    finally:
        withdraw(state)
        lock.close()
    return 0


async def _run(cloud: Cloud, listener_fd: int, state: State, port: int, in_containers: bool) -> None:
    from hypercorn.asyncio import serve as hypercorn_serve
    from hypercorn.config import Config

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    config = Config()
    config.bind = [f"fd://{listener_fd}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 1
    config.loglevel = "WARNING"

    def ready() -> None:
        write_ready(state, port, time.time(), in_containers)
        log.info("the local cloud answers at http://%s:%d (state: %s)", HOST, port, Path(state.root))

    await hypercorn_serve(cloud.asgi(ready), config, shutdown_trigger=stop.wait)
    # State is saved. Stack operations that still wait in their threads must not keep the process.
    withdraw(state)
    logging.shutdown()
    os._exit(0)
