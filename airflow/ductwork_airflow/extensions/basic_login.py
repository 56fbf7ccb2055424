"""Basic authentication for `/api/v2`, which Airflow 3 dropped: it loads `[fab] auth_backends` but never calls them.

A user and password in the header become a short-lived token, made by the auth manager just as `POST /auth/token` does,
so that who may log in, and with what rights, is decided in one place. Without such a header nothing changes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import time
from collections.abc import Callable, MutableMapping
from typing import Any

PREFIX = "/api/v2"
# A password's hash costs a tenth of a second of processor: a program that polls pays it once in this time, which is
# also how long a changed password lives on.
KEPT_SECONDS = 60.0
TOKEN_SECONDS = 120
MOST_KEPT = 256

Scope = MutableMapping[str, Any]


def credentials(header: bytes) -> tuple[str, str] | None:
    """User and password of a header; None when it is of another scheme or malformed."""
    scheme, _, value = header.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        user, colon, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (user, password) if colon and user and password else None


def log_in(user: str, password: str) -> str | None:
    """A token, or None for a wrong user or password."""
    from airflow import settings
    from airflow.providers.fab.auth_manager.api_fastapi.routes.login import _get_flask_app
    from airflow.providers.fab.www.utils import get_fab_auth_manager

    try:
        with _get_flask_app().app_context():
            manager = get_fab_auth_manager()
            found = manager.create_token(headers={}, body={"username": user, "password": password})
            return manager.generate_jwt(found, expiration_time_in_seconds=TOKEN_SECONDS) if found else None
    finally:
        if settings.Session:
            settings.Session.remove()


class BasicLogin:
    """ASGI middleware."""

    def __init__(self, app: Callable[..., Any], log_in: Callable[[str, str], str | None] = log_in) -> None:
        self.app = app
        self._log_in = log_in
        self._key = os.urandom(32)
        self._kept: dict[bytes, tuple[float, str]] = {}

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Puts a token in the place of a password."""
        header = self._header(scope)
        if header is None:
            await self.app(scope, receive, send)
            return
        token = await self._token(header)
        if token is None:
            await _refuse(send)
            return
        others = [pair for pair in scope["headers"] if pair[0] != b"authorization"]
        bearer = (b"authorization", b"Bearer " + token.encode())
        await self.app({**scope, "headers": [*others, bearer]}, receive, send)

    def _header(self, scope: Scope) -> bytes | None:
        """The header, where it is ours to judge."""
        if scope["type"] != "http":
            return None
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if not path.startswith(f"{PREFIX}/") or len(given) != 1 or given[0][:6].lower() != b"basic ":
            return None
        return given[0]

    async def _token(self, header: bytes) -> str | None:
        import asyncio

        key = hmac.digest(self._key, header, hashlib.sha256)
        made, token = self._kept.get(key, (0.0, ""))
        if token and time.monotonic() - made < KEPT_SECONDS:
            return token
        pair = credentials(header)
        found = await asyncio.to_thread(self._log_in, *pair) if pair else None
        if found:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[key] = (time.monotonic(), found)
        return found


async def _refuse(send: Any) -> None:
    headers = [(b"content-type", b"application/json"), (b"www-authenticate", b'Basic realm="Airflow"')]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"detail":"Invalid credentials"}'})
