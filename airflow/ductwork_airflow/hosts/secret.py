"""Fetches the secrets that Airflow needs and gives them as environment variables; never writes them anywhere.

boto3 is imported here inside functions: settings and tests need this module's rules without its network.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ductwork_airflow.extensions import login
from ductwork_airflow.hosts import connections

Fetch = Callable[[str], str]

SIGNERS = ("api-server", "scheduler", "dag-processor", "triggerer")
# They run tasks, and nothing else of Airflow.
CODE_OF_DAGS = ("worker", "executor")
BROKER_USERS = ("scheduler", "worker")


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


def _is_local(env: Mapping[str, str]) -> bool:
    """Whether database and cache are those of a local cloud, which have no certificates."""
    return env.get("DUCTWORK_LOCAL") == "True"


def database_url(env: Mapping[str, str], fetch: Fetch) -> str:
    """The SQLAlchemy URL of the metadata database."""
    value = fetch(env["DUCTWORK_DATABASE_SECRET_ARN"])
    if env["DUCTWORK_DATABASE_ENGINE"] == "existing":
        return connections.existing_database(value)
    user = json.loads(value)
    place = (env[f"DUCTWORK_DATABASE_{name}"] for name in ("HOST", "PORT", "NAME"))
    host, port, name = place
    dialect = connections.kind(env["DUCTWORK_DATABASE_ENGINE"])
    parts = (user["username"], user["password"], host, port, name)
    return connections.own_database(dialect, parts, tls=not _is_local(env))


def _broker(env: Mapping[str, str], fetch: Fetch, component: str) -> dict[str, str]:
    """The URL of a Valkey broker, which has a password in it. SQS needs none, its URL is a plain setting."""
    if env["DUCTWORK_BROKER_KIND"] == "sqs" or component not in BROKER_USERS:
        return {}
    place = (env["DUCTWORK_CACHE_HOST"], env["DUCTWORK_CACHE_PORT"])
    password = json.loads(fetch(env["DUCTWORK_CACHE_SECRET_ARN"]))["password"]
    # A broker that is a task has no certificate: only its security group and its password keep others out.
    tls = env["DUCTWORK_BROKER_KIND"] == "valkey" and not _is_local(env)
    url = connections.cache_url(password, *place, tls=tls)
    return {"AIRFLOW__CELERY__BROKER_URL": url}


def _login(env: Mapping[str, str], fetch: Fetch, component: str) -> dict[str, str]:
    """What only the API server needs to let people in. The names of users with a password are not secret."""
    if component != "api-server" or login.parse(env["DUCTWORK_LOGIN"]).method != "google":
        return {}
    local = (json.loads(fetch(env[f"DUCTWORK_{who}_SECRET_ARN"]))["username"] for who in ("ADMIN", "SERVICE"))
    return {
        login.CLIENT_SECRET: fetch(env["DUCTWORK_GOOGLE_SECRET"]).strip(),
        login.LOCAL_USERS: json.dumps(sorted(local)),
    }


def secret_environment(env: Mapping[str, str], fetch: Fetch, component: str = "") -> dict[str, str]:
    """The variables that hold a secret, for the environment of an Airflow process.

    Only components that sign tokens or verify them get the key for it. A worker runs the users' code and gets none:
    each task comes with a token of its own. Its role may not read that key either.
    """
    url = database_url(env, fetch)
    # A worker has no use for the asynchronous engine, and each variable with a password is one that a task could read.
    asynchronous = {} if component in CODE_OF_DAGS else {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": url}
    signing = {"AIRFLOW__API_AUTH__JWT_SECRET": "DUCTWORK_JWT_SECRET_ARN"} if component in SIGNERS else {}
    return {
        # 43 generated characters are 32 bytes of base64 with its padding left off.
        "AIRFLOW__CORE__FERNET_KEY": fetch(env["DUCTWORK_FERNET_KEY_SECRET_ARN"]).rstrip("=") + "=",
        "AIRFLOW__API__SECRET_KEY": fetch(env["DUCTWORK_API_SECRET_ARN"]),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url,
        **{name: connections.async_database(value) for name, value in asynchronous.items()},
        "AIRFLOW__CELERY__RESULT_BACKEND": connections.result_backend(url),
        **_broker(env, fetch, component),
        **_login(env, fetch, component),
        **{name: fetch(env[arn]) for name, arn in signing.items()},
    }
