"""How Airflow sends mail: MailConfig as Airflow's options. User and password are the connection `smtp_default`.

Airflow has two ways. `airflow.utils.email` takes the server from [smtp] and asks the connection for user and password
only; the SMTP provider (failure mails of tasks, EmailOperator, SmtpNotifier) takes all from the connection. So
`secrets_backend.py` completes a connection that says no host with what is said here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

CONNECTION = "smtp_default"


class MailError(ValueError):
    """MailConfig cannot be used."""


def options(text: str) -> dict[str, str]:
    """Airflow's options; none without a mail server."""
    try:
        given = json.loads(text or "{}")
        host = given.get("host")
        if not host:
            return {}
        sender = given["from"]
        found = {
            "smtp.smtp_host": host,
            "smtp.smtp_port": str(int(given.get("port", 587))),
            "smtp.smtp_starttls": str(bool(given.get("starttls", True))),
            "smtp.smtp_ssl": str(bool(given.get("ssl", False))),
            "smtp.smtp_mail_from": sender,
            "email.from_email": sender,
            "email.email_conn_id": CONNECTION,
        }
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise MailError(f"MailConfig cannot be read: {error!r}") from error
    broken = [name for name, value in found.items() if not isinstance(value, str) or "\n" in value]
    if broken:
        raise MailError(f"MailConfig has no usable value for {', '.join(broken)}")
    return found


def _parts(value: str) -> dict[str, Any]:
    """A connection's fields, of its JSON or its URI."""
    if value.strip().startswith("{"):
        return dict(json.loads(value))
    uri = urlsplit(value.strip())
    named = {
        "conn_type": uri.scheme or "smtp",
        "login": unquote(uri.username or ""),
        "password": unquote(uri.password or ""),
        "host": unquote(uri.hostname or ""),
        "port": uri.port,
        "extra": dict(parse_qsl(uri.query)),
    }
    return {name: part for name, part in named.items() if part}


def complete(value: str | None, smtp: Mapping[str, str]) -> str | None:
    """The connection with the server of [smtp], where it names none itself."""
    if not smtp.get("smtp_host"):
        return value
    parts = _parts(value) if value else {}
    if parts.get("host"):
        return value
    extra = parts.get("extra") or {}
    switches = {
        "disable_tls": smtp["smtp_starttls"] != "True",
        "disable_ssl": smtp["smtp_ssl"] != "True",
        "from_email": smtp["smtp_mail_from"],
    }
    server = {"conn_type": "smtp", "host": smtp["smtp_host"], "port": int(smtp["smtp_port"])}
    return json.dumps(
        parts | server | {"extra": switches | (json.loads(extra) if isinstance(extra, str) else extra)}
    )
