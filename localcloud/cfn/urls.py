"""Addresses of templates in S3, in every form that AWS accepts. All of them are read from the local cloud's own S3."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlparse

BUCKET_HOST = re.compile(r"(?P<bucket>.+?)\.s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com(?:\.cn)?")

Resolve = Callable[[dict, str, str, str], Any]  # ministack's reader of a document or of its URL


def path_style(url: str) -> str:
    """`https://<bucket>.s3.<region>.amazonaws.com/<key>` with the bucket in the path; any other URL unchanged."""
    parsed = urlparse(url)
    found = BUCKET_HOST.fullmatch(parsed.hostname or "")
    if found is None:
        return url
    host = (parsed.hostname or "").removeprefix(f"{found['bucket']}.")
    return f"{parsed.scheme}://{host}/{found['bucket']}{parsed.path}"


def with_bucket_hosts(original: Resolve) -> Resolve:
    """Read a document whose URL names the bucket in its host."""

    def resolve(params: dict, body_key: str, url_key: str, label: str) -> Any:
        given = params.get(url_key)
        url = given[0] if isinstance(given, list) and given else given
        if isinstance(url, str) and url:
            params = {**params, url_key: [path_style(url)]}
        return original(params, body_key, url_key, label)

    return resolve
