"""What the JSON services of AWS have in common: operations by X-Amz-Target, the shape of errors. Holds no service."""

from __future__ import annotations

import json
import threading
from contextlib import AbstractContextManager
from typing import ClassVar

from localcloud.emulator.shapes import Answer, Operation

CONTENT_TYPE = "application/x-amz-json-1.1"


class ApiError(Exception):
    """Answered as HTTP 400 with `__type`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class JsonApi:
    """Runs on the event loop, so no operation waits; each has the lock while it runs."""

    title: ClassVar[str]

    def __init__(self, operations: dict[str, Operation], lock: AbstractContextManager | None = None) -> None:
        self.operations = operations
        self._turn = lock or threading.RLock()

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
                "UnknownOperationException", f"{self.title} of the local cloud has no operation {operation}"
            )
        with self._turn:
            return handler(request)


def _answer(status: int, document: dict) -> Answer:
    return status, {"Content-Type": CONTENT_TYPE}, json.dumps(document).encode()
