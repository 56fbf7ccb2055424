"""The AmazonEC2ContainerServiceV20141113 JSON API: dispatch and error shapes. The operations are in api_*.

Runs on the event loop, so no operation waits; what takes time is the scheduler's and the runner's.
"""

from __future__ import annotations

import json

from localcloud.ecs.api_clusters import Clusters
from localcloud.ecs.api_definitions import Definitions
from localcloud.ecs.api_services import Services
from localcloud.ecs.api_tasks import Tasks
from localcloud.ecs.errors import ApiError
from localcloud.ecs.scheduler import Scheduler
from localcloud.ecs.store import Store
from localcloud.emulator.shapes import Answer, Operation

TARGET_PREFIX = "AmazonEC2ContainerServiceV20141113"
CONTENT_TYPE = "application/x-amz-json-1.1"


class Service:
    """What ministack takes for a service module: request handling and state."""

    def __init__(self, store: Store, scheduler: Scheduler) -> None:
        self.store = store
        self.operations: dict[str, Operation] = {
            **Clusters(store).operations(),
            **Definitions(store).operations(),
            **Services(store, scheduler).operations(),
            **Tasks(store, scheduler).operations(),
        }
        self.get_state = store.get_state
        self.load_persisted_state = store.load_persisted_state
        self.reset = store.reset

    async def handle_request(
        self, method: str, path: str, headers: dict, body: bytes, query_params: dict
    ) -> Answer:
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        try:
            document = json.loads(body or b"{}")
            if not isinstance(document, dict):
                raise ApiError("SerializationException", "The request is not a JSON object")
            return _answer(200, self.call(operation, document))
        except ApiError as error:
            return _answer(400, {"__type": error.code, "message": str(error)})
        except ValueError as error:
            return _answer(400, {"__type": "SerializationException", "message": str(error)})

    def call(self, operation: str, request: dict) -> dict:
        handler = self.operations.get(operation)
        if handler is None:
            raise ApiError(
                "UnknownOperationException", f"ECS of the local cloud has no operation {operation}"
            )
        with self.store.lock:
            return handler(request)


def _answer(status: int, document: dict) -> Answer:
    return status, {"Content-Type": CONTENT_TYPE}, json.dumps(document).encode()
