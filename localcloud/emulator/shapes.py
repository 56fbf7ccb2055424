"""The shapes of what ministack and hypercorn call and are called with, named once. Holds no logic and imports
neither, so that any module may use it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

# A service's HTTP answer: status, headers, body.
Answer = tuple[int, dict, bytes]
# A service's handler: method, path, headers, body, query parameters.
Handler = Callable[[str, str, dict, bytes, dict], Awaitable[Answer]]
# One action of a query (XML) API: parameters, each a list of strings.
Action = Callable[[dict], Answer]
# One operation of a JSON API: request to answer.
Operation = Callable[[dict], dict]

# What the handlers of a CloudFormation resource type answer: physical id and attributes.
Made = tuple[str, dict]
# logical id, properties, stack name
Create = Callable[[str, dict, str], Made]
# physical id, old properties, new properties, stack name, logical id
Update = Callable[[str, dict, dict, str, str | None], Made]
# physical id, properties; a snapshot is asked for with the same
Delete = Callable[[str, dict], None]

# ASGI, as far as it is touched here.
Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
