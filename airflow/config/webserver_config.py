"""Login by Flask-AppBuilder, read by the API server through [fab] config_file. No secret belongs here.

Users are in Airflow's database; the admin is created by the rollout, with its password in Secrets Manager.
"""

from __future__ import annotations

import os

from flask_appbuilder.const import AUTH_DB

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
