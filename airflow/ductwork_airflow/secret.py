"""Fetches the secrets that Airflow needs and gives them as environment variables; never writes them anywhere.

boto3 is imported here inside functions: settings and tests need this module's rules without its network.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ductwork_airflow.settings import database_uri

Fetch = Callable[[str], str]

SIGNERS = ("api-server", "scheduler", "dag-processor", "triggerer")


def secrets_manager(region: str) -> Fetch:
    """A function from secret id to value. Throttling and broken connections are tried again by botocore."""

    def fetch(secret_id: str) -> str:
        import boto3
        from botocore.config import Config

        retries: Any = {"mode": "standard", "total_max_attempts": 8}
        config = Config(connect_timeout=5, read_timeout=15, retries=retries)
        client = boto3.client("secretsmanager", region_name=region, config=config)
        return str(client.get_secret_value(SecretId=secret_id)["SecretString"])

    return fetch


def database(env: Mapping[str, str], fetch: Fetch) -> dict[str, str]:
    """Keyword arguments for psycopg2.connect."""
    login = json.loads(fetch(env["DUCTWORK_DATABASE_SECRET_ARN"]))
    return {
        "user": login["username"],
        "password": login["password"],
        "host": env["DUCTWORK_DATABASE_HOST"],
        "port": env["DUCTWORK_DATABASE_PORT"],
        "dbname": env["DUCTWORK_DATABASE_NAME"],
    }


def secret_environment(env: Mapping[str, str], fetch: Fetch, component: str = "") -> dict[str, str]:
    """The variables that hold a secret, for the environment of an Airflow process.

    Only components that sign tokens or verify them get the key for it. A worker runs the users' code and gets none:
    each task comes with a token of its own. Its role may not read that key either.
    """
    login = database(env, fetch)
    parts = (login["user"], login["password"], login["host"], login["port"], login["dbname"])
    signing = {"AIRFLOW__API_AUTH__JWT_SECRET": "DUCTWORK_JWT_SECRET_ARN"} if component in SIGNERS else {}
    return {
        # 43 generated characters are 32 bytes of base64 with its padding left off.
        "AIRFLOW__CORE__FERNET_KEY": fetch(env["DUCTWORK_FERNET_KEY_SECRET_ARN"]).rstrip("=") + "=",
        "AIRFLOW__API__SECRET_KEY": fetch(env["DUCTWORK_API_SECRET_ARN"]),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database_uri("postgresql+psycopg2", *parts),
        "AIRFLOW__CELERY__RESULT_BACKEND": database_uri("db+postgresql", *parts),
        **{name: fetch(env[arn]) for name, arn in signing.items()},
    }
