"""Who may log in, as the environment file says: LoginConfig, and the judgement over what Google says of a person.

Pure and without Airflow: `login_manager.py` puts it into Flask-AppBuilder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Variables of the API server's environment.
CONFIG, CLIENT_SECRET, LOCAL_USERS = "DUCTWORK_LOGIN", "DUCTWORK_GOOGLE_CLIENT_SECRET", "DUCTWORK_LOCAL_USERS"
METADATA = "DUCTWORK_GOOGLE_METADATA_URL"
GOOGLE = "https://accounts.google.com/.well-known/openid-configuration"
# Local users stay beside Google, reachable from wherever the login page is: theirs must not be guessable.
SHORTEST_PASSWORD = 16
_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")
_ROLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _-]{0,63}")


class LoginError(ValueError):
    """LoginConfig cannot be used, or a person may not come in; the message is for the log."""


@dataclass(frozen=True)
class Login:
    """LoginConfig, complete."""

    method: str = "password"
    google_client_id: str = ""
    google_domain: str = ""
    default_role: str = "Viewer"
    service_role: str = "Op"
    roles: Mapping[str, str] = field(default_factory=dict)


def parse(text: str) -> Login:
    """The configuration; LoginError names every fault."""
    try:
        given = json.loads(text or "{}")
        roles = {mail.strip().lower(): role for mail, role in dict(given.get("roles") or {}).items()}
        named = {key: str(value) for key, value in given.items() if key in Login.__annotations__}
    except (ValueError, TypeError, AttributeError) as error:
        raise LoginError(f"LoginConfig cannot be read: {error}") from error
    login = Login(**(named | {"roles": roles, "google_domain": named.get("google_domain", "").lower()}))  # type: ignore[arg-type]
    if faults := _faults(login):
        raise LoginError("; ".join(faults))
    return login


def _faults(login: Login) -> list[str]:
    faults = []
    if login.method not in ("password", "google"):
        faults.append(f"LoginConfig: method `{login.method}` is neither `password` nor `google`")
    if login.method == "google" and not login.google_client_id:
        faults.append("LoginConfig: method `google` needs `google_client_id`")
    if login.method == "google" and not _DOMAIN.fullmatch(login.google_domain):
        faults.append(f"LoginConfig: `google_domain` is not a domain: `{login.google_domain}`")
    for role in (login.default_role, login.service_role, *login.roles.values()):
        if not isinstance(role, str) or not _ROLE.fullmatch(role):
            faults.append(f"LoginConfig: `{role}` is not the name of a role")
    return faults


def admit(claims: Mapping[str, Any], login: Login) -> dict[str, str]:
    """What Flask-AppBuilder is to know of a person, from the claims of Google's signed token.

    What must hold together, https://developers.google.com/identity/openid-connect/openid-connect: the token is for us,
    its own `hd` (the request's parameter of that name is only a wish, which the browser can drop) is our domain,
    Google has verified the mail address, and the address is one of the domain. Raises LoginError else.
    """
    mail = claims.get("email")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject or not isinstance(mail, str):
        raise LoginError("Google's token names nobody")
    mail = mail.strip().lower()
    if claims.get("aud") not in (login.google_client_id, [login.google_client_id]):
        raise LoginError("Google's token is for another client")
    local, at, domain = mail.rpartition("@")
    if claims.get("email_verified") is not True:
        raise LoginError(f"the address `{mail}` is not verified by Google")
    if claims.get("hd") != login.google_domain:
        raise LoginError(
            f"`{mail}` is of the organisation `{claims.get('hd')}`, not of `{login.google_domain}`"
        )
    if not local or not at or domain != login.google_domain or "@" in local:
        raise LoginError(f"the address `{mail}` is not one of `{login.google_domain}`")
    return {
        # Google's subject is for ever one person's; an address may be given to another one.
        "username": f"google_{subject}",
        "email": mail,
        "first_name": str(claims.get("given_name") or local),
        "last_name": str(claims.get("family_name") or ""),
        "role": login.roles.get(mail, login.default_role),
    }
