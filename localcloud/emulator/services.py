"""How services and state of ours get into ministack's request routing and saved state. Holds no service
itself.
"""

from __future__ import annotations

from typing import Protocol

from ministack import app as ministack_app
from ministack.core import router

from localcloud.emulator.shapes import Answer


class StateModule(Protocol):
    """What ministack's persistence expects of a service module."""

    def get_state(self) -> dict: ...

    def load_persisted_state(self, data: dict) -> None: ...

    def reset(self) -> None: ...


class ServiceModule(StateModule, Protocol):
    """What ministack's routing expects of it besides."""

    async def handle_request(
        self, method: str, path: str, headers: dict, body: bytes, query_params: dict
    ) -> Answer: ...


def keep_state(key: str, module: StateModule) -> None:
    """Save and load `<key>.json` with the services' states."""
    ministack_app._state_map[key] = key
    ministack_app._loaded_modules[key] = module


def add_service(name: str, target_prefix: str, module: ServiceModule) -> None:
    """A JSON service, found by its X-Amz-Target prefix."""
    keep_state(name, module)
    router.SERVICE_PATTERNS[name] = {
        "target_prefixes": [target_prefix],
        "host_patterns": [rf"{name}\."],
        "credential_scope": name,
    }
    ministack_app.SERVICE_REGISTRY[name] = {"module": name}
    ministack_app.SERVICE_HANDLERS[name] = module.handle_request
