"""Flask-AppBuilder's security manager where people log in with Google: lets in whom `login.admit` admits, nobody else.

Local users beside it are the two of Secrets Manager, for the tool and for programs. All others who may have a password
(made by hand, or from before Google was chosen) cannot use it: one door, and two keys in a safe.
"""

from __future__ import annotations

import json
import logging
import os
from typing import Any

from airflow.providers.fab.auth_manager.models import User
from airflow.providers.fab.auth_manager.security_manager.override import FabAirflowSecurityManagerOverride

from ductwork_airflow.extensions import login

log = logging.getLogger(__name__)


class GoogleSecurityManager(FabAirflowSecurityManagerOverride):
    """Google for people, passwords for the two local users."""

    def get_oauth_user_info(self, provider: str, resp: dict[str, Any]) -> dict[str, Any]:
        """What Google says of a person. The claims are those of the ID token, whose signature, issuer, audience, nonce
        and time authlib has checked; the UserInfo endpoint, which Airflow would ask, says nothing of verification."""
        if provider != "google":
            raise login.LoginError(f"unknown provider `{provider}`")
        claims = resp.get("userinfo") if resp.get("id_token") else None
        if not claims:
            raise login.LoginError("Google sent no ID token")
        try:
            return login.admit(claims, login.parse(os.environ[login.CONFIG]))
        except login.LoginError as error:
            log.warning("login refused: %s", error)
            raise

    def auth_user_db(self, username: str, password: str, rotate_session_id: bool = True) -> User | None:
        """A password is only taken from the local users, by their names and not by a mail address."""
        if username not in json.loads(os.environ.get(login.LOCAL_USERS, "[]")):
            log.warning("login refused: `%s` has no password login here", username)
            return None
        return super().auth_user_db(username, password, rotate_session_id)
