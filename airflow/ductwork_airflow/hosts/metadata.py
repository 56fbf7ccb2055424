"""What a host asks about itself: the instance metadata service."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping

TOKEN_SECONDS = 21_600


class Metadata:
    """The instance metadata service, version 2."""

    def __init__(self, endpoint: str) -> None:
        self._base = endpoint.rstrip("/") + "/latest/"
        self._token = ""
        # Never by a proxy: the service is this host's own.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(self, path: str) -> str | None:
        """A value; None when there is none (404). OSError when the service does not answer."""
        for fresh in (False, True):
            if fresh or not self._token:
                self._token = self._ask(
                    "PUT", "api/token", {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_SECONDS)}
                )
            try:
                return self._ask("GET", f"meta-data/{path}", {"X-aws-ec2-metadata-token": self._token})
            except urllib.error.HTTPError as error:
                error.close()
                if error.code == 404:
                    return None
                if error.code != 401 or fresh:  # 401: the token has run out
                    raise
        return None

    def _ask(self, method: str, path: str, headers: dict[str, str]) -> str:
        request = urllib.request.Request(self._base + path, method=method, headers=headers)  # noqa: S310
        with self._opener.open(request, timeout=2) as answer:
            return str(answer.read().decode()).strip()


def metadata(env: Mapping[str, str]) -> Metadata:
    """The service of this host; a local cloud names its own."""
    return Metadata(env.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or "http://169.254.169.254")
