"""Sees every request to a service: tells the saver which may have changed its state, and the record of calls what
instances ask. Never looks into results, never waits.
"""

from __future__ import annotations

import re

from ministack import app as ministack_app

from localcloud.emulator.saver import Saver
from localcloud.emulator.shapes import Answer, Handler
from localcloud.iam.recording import CBOR_ACTION, Calls

READS = ("Describe", "List", "Get", "BatchGet", "Head", "Validate", "Estimate", "Search", "Lookup", "Filter")
QUERY_ACTION = re.compile(rb"(?:^|&)Action=([A-Za-z]+)")


def action_of(path: str, headers: dict, body: bytes, query_params: dict) -> str:
    """The operation of a JSON, CBOR or query request; empty for REST."""
    target = headers.get("x-amz-target", "")
    if target:
        return target.rpartition(".")[2]
    operation = CBOR_ACTION.match(path)
    if operation:
        return operation[1]
    found = QUERY_ACTION.search(body) if body and len(body) < 1_000_000 else None
    if found:
        return found.group(1).decode()
    value = query_params.get("Action", "")
    return value[0] if isinstance(value, list) and value else str(value or "")


def changes(service: str, method: str, path: str, headers: dict, body: bytes, query_params: dict) -> bool:
    action = "" if service == "s3" else action_of(path, headers, body, query_params)
    if action:
        return not action.startswith(READS)
    return method not in ("GET", "HEAD", "OPTIONS")


def install(saver: Saver, calls: Calls) -> None:
    """Wrap every service's handler."""
    state_keys = {
        service: [key for key, module in ministack_app._state_map.items() if module in modules]
        for service, modules in (
            (service, {entry["module"], *entry.get("sub_modules", ())})
            for service, entry in ministack_app.SERVICE_REGISTRY.items()
        )
    }

    def wrap(service: str, handler: Handler) -> Handler:
        async def handle(method: str, path: str, headers: dict, body: bytes, query_params: dict) -> Answer:
            calls.request(service, method, path, headers, body, query_params)
            result = await handler(method, path, headers, body, query_params)
            if changes(service, method, path, headers, body, query_params):
                if service == "cloudformation":
                    saver.mark_all()
                for key in state_keys.get(service, ()):
                    saver.mark(key)
            return result

        return handle

    for service, handler in list(ministack_app.SERVICE_HANDLERS.items()):
        ministack_app.SERVICE_HANDLERS[service] = wrap(service, handler)
