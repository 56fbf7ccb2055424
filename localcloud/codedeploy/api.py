"""The CodeDeploy_20141006 JSON API: dispatch and error shapes. Each operation is in api_groups or
api_deployments.

Runs on the event loop, so no operation waits; what takes time is the engine's.
"""

from __future__ import annotations

import json
import logging

from localcloud.codedeploy.api_deployments import Deployments
from localcloud.codedeploy.api_groups import Groups
from localcloud.codedeploy.engine import Engine
from localcloud.codedeploy.errors import ApiError
from localcloud.codedeploy.store import Store
from localcloud.emulator.shapes import Answer, Operation

log = logging.getLogger("localcloud.codedeploy")
TARGET_PREFIX = "CodeDeploy_20141006"
CONTENT_TYPE = "application/x-amz-json-1.1"


class Service:
    """What ministack takes for a service module: request handling and state."""

    def __init__(self, store: Store, engine: Engine) -> None:
        self.store = store
        self.groups = Groups(store)
        self.deployments = Deployments(store, engine)
        self.operations: dict[str, Operation] = {
            **self.groups.operations(),
            **self.deployments.operations(),
        }
        self.get_state = store.get_state
        self.load_persisted_state = store.load_persisted_state
        self.reset = store.reset

    async def handle_request(
        self, method: str, path: str, headers: dict, body: bytes, query_params: dict
    ) -> Answer:
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        handler = self.operations.get(operation)
        try:
            if handler is None:
                raise ApiError(
                    "UnknownOperationException", f"CodeDeploy of the local cloud has no operation {operation}"
                )
            document = json.loads(body or b"{}")
            if not isinstance(document, dict):
                raise ApiError("SerializationException", "The request is not a JSON object")
            with self.store.lock:
                return _answer(200, handler(document))
        except ApiError as error:
            return _answer(400, {"__type": error.code, "message": str(error)})
        except ValueError as error:
            return _answer(400, {"__type": "SerializationException", "message": str(error)})


def _answer(status: int, document: dict) -> Answer:
    return status, {"Content-Type": CONTENT_TYPE}, json.dumps(document).encode()
