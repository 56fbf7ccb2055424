"""Who gets the traffic of a service: targets of load balancers, records of Cloud Map, and a door on 127.0.0.1.

Every task listens on a loopback address of its own. A port that a service gives to a load balancer or to Cloud Map, or
that no other service has, is also at 127.0.0.1, and goes to its healthy tasks in turn. So are all ports of a service
with a name (names.py) at the address of the name.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import threading

from ministack.core.responses import request_scope
from ministack.services import alb, servicediscovery

from localcloud.base.ports import HOST
from localcloud.ecs.store import Store, add_event, tail

log = logging.getLogger("localcloud.ecs")
CHUNK = 64 * 1024
Where = tuple[str, int]  # address and port


class Traffic:
    def __init__(self) -> None:
        self._doors: dict[Where, Door] = {}
        self._refused: set[Where] = set()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="traffic", daemon=True).start()

    def sync(self, service: dict, healthy: list[dict]) -> None:
        """Have load balancers and Cloud Map list exactly these tasks of the service."""
        addresses = {task["local"]["id"]: task["local"]["address"] for task in healthy}
        before = service["local"].get("listed") or {}
        if addresses == before:
            return
        service["local"]["listed"] = addresses
        for one in service.get("loadBalancers") or []:
            _targets(one, set(before.values()), set(addresses.values()))
        for one in service.get("serviceRegistries") or []:
            _records(one, before, addresses)

    def forward(self, store: Store) -> None:
        """Open and close doors as services come and go."""
        wanted = _owners(store)
        for where in set(self._doors) - set(wanted):
            self._doors.pop(where).close()
        for where, (account, region, service) in wanted.items():
            if where in self._doors or self._open(where):
                self._doors[where].addresses = sorted((service["local"].get("listed") or {}).values())
            else:
                with request_scope(account, region), store.lock:
                    self._say(service, where)

    def _open(self, where: Where) -> bool:
        door = Door(*where, self._loop)
        try:
            door.open()
        except OSError:
            return False
        self._doors[where] = door
        self._refused.discard(where)
        return True

    def _say(self, service: dict, where: Where) -> None:
        """Once, until it works."""
        if where not in self._refused:
            self._refused.add(where)
            host, port = where
            log.warning("port %d of %s is taken by another program", port, host)
            add_event(
                service,
                f"cannot be reached at {host}:{port}: another program listens there; stop that program.",
            )

    def close(self) -> None:
        for door in self._doors.values():
            door.close()


class Door:
    """One port of 127.0.0.1, or of the address of a name."""

    def __init__(self, host: str, port: int, loop: asyncio.AbstractEventLoop) -> None:
        self._host = host
        self._port = port
        self._loop = loop
        self._server: asyncio.Server | None = None
        self._turn = itertools.count()
        self.addresses: list[str] = []

    def open(self) -> None:
        start = asyncio.start_server(self._serve, self._host, self._port)
        self._server = asyncio.run_coroutine_threadsafe(start, self._loop).result(10)

    def close(self) -> None:
        if self._server is not None:
            self._loop.call_soon_threadsafe(self._server.close)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            ahead = await self._reach()
            if ahead is None:
                return
            far_reader, far_writer = ahead
            with contextlib.closing(far_writer):
                await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))

    async def _reach(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """The next of the tasks that takes the connection."""
        addresses = self.addresses
        first = next(self._turn)
        for number in range(len(addresses)):
            with contextlib.suppress(OSError):
                return await asyncio.open_connection(addresses[(first + number) % len(addresses)], self._port)
        return None


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


Owner = tuple[str, str, dict]  # account, region, service


def _owners(store: Store) -> dict[Where, Owner]:
    """Whose each port is. At 127.0.0.1: the oldest service that gives it to others, else the only one that has it."""
    given: dict[int, Owner] = {}
    mapped: dict[int, list[Owner]] = {}
    named: dict[Where, Owner] = {}
    found = [(account, region, one) for (account, region, _), one in list(store.services.all_items())]
    for owner in sorted(found, key=lambda one: one[2]["createdAt"]):
        account, region, service = owner
        if service["status"] != "ACTIVE":
            continue
        for port in _given(service):
            given.setdefault(port, owner)
        with request_scope(account, region):
            for port in _mapped(store.definition(service["taskDefinition"])):
                mapped.setdefault(port, []).append(owner)
                if "name" in service["local"]:
                    named[service["local"]["name"], port] = owner
    of_one = {port: owners[0] for port, owners in mapped.items() if len(owners) == 1}
    return {(HOST, port): owner for port, owner in (of_one | given).items()} | named


def _given(service: dict) -> set[int]:
    every = [*(service.get("loadBalancers") or []), *(service.get("serviceRegistries") or [])]
    return {int(one["containerPort"]) for one in every if one.get("containerPort")}


def _mapped(definition: dict) -> set[int]:
    mappings = (one for container in definition["containerDefinitions"] for one in container["portMappings"])
    return {
        int(one["containerPort"]) for one in mappings if one.get("containerPort") and one["protocol"] == "tcp"
    }


def _targets(balancer: dict, before: set[str], now: set[str]) -> None:
    arn = balancer.get("targetGroupArn", "")
    if arn in alb._tgs:
        others = [one for one in alb._targets.get(arn, []) if one["Id"] not in before | now]
        mine = [{"Id": address, "Port": int(balancer["containerPort"])} for address in sorted(now)]
        alb._targets[arn] = others + mine


def _records(registry: dict, before: dict[str, str], now: dict[str, str]) -> None:
    name = tail(registry["registryArn"])
    for task_id in before.keys() - now.keys():
        servicediscovery._deregister_instance({"ServiceId": name, "InstanceId": task_id})
    for task_id, address in now.items():
        attributes = {"AWS_INSTANCE_IPV4": address}
        if registry.get("containerPort"):
            attributes["AWS_INSTANCE_PORT"] = str(registry["containerPort"])
        servicediscovery._register_instance(
            {"ServiceId": name, "InstanceId": task_id, "Attributes": attributes}
        )
