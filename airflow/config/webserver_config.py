"""Login by Flask-AppBuilder, read by the API server through [fab] config_file. No secret belongs here.

`[login]` of the environment file chooses between users of Airflow's own database and Google; the secrets of both are in
Secrets Manager, and a secret that is needed here comes by the environment.
"""

from __future__ import annotations

import os

from flask_appbuilder.const import AUTH_DB, AUTH_OAUTH

from ductwork_airflow.extensions import login

_login = login.parse(os.environ.get(login.CONFIG, ""))

AUTH_TYPE = AUTH_DB

WTF_CSRF_ENABLED = True
WTF_CSRF_TIME_LIMIT = None

# Cookies of a site that is served by https never travel in the clear.
SESSION_COOKIE_SECURE = os.environ.get("AIRFLOW__API__BASE_URL", "").startswith("https://")
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"

# Passwords are not to be guessed at full speed. Counted per API server process.
AUTH_RATE_LIMITED = True
AUTH_RATE_LIMIT = "10 per 20 second"
RATELIMIT_STORAGE_URI = "memory://"

if _login.method == "google":
    from ductwork_airflow.extensions.login_manager import GoogleSecurityManager

    AUTH_TYPE = AUTH_OAUTH
    SECURITY_MANAGER_CLASS = GoogleSecurityManager
    # Who has been admitted gets an account, and at each login exactly the role that the configuration says.
    AUTH_USER_REGISTRATION = True
    AUTH_USER_REGISTRATION_ROLE_JMESPATH = "role"
    AUTH_ROLES_SYNC_AT_LOGIN = True
    OAUTH_PROVIDERS = [
        {
            "name": "google",
            "icon": "fa-google",
            "token_key": "access_token",
            "remote_app": {
                "client_id": _login.google_client_id,
                "client_secret": os.environ.get(login.CLIENT_SECRET, ""),
                "server_metadata_url": os.environ.get(login.METADATA, login.GOOGLE),
                # `hd` makes Google's page offer the right accounts; what counts is checked after it.
                "authorize_params": {"hd": _login.google_domain, "prompt": "select_account"},
                "client_kwargs": {"scope": "openid email profile"},
            },
        }
    ]
