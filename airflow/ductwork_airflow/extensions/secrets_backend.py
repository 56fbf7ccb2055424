"""Airflow's connections and variables: those of `airflow/objects.toml`, and those that are only in Secrets Manager.

Secrets Manager has the secrets of both. The mail connection may be just a user and a password.
"""

from __future__ import annotations

import json
from typing import Any

from airflow.configuration import conf
from airflow.providers.amazon.aws.secrets.secrets_manager import SecretsManagerBackend

from ductwork_airflow.extensions import mail
from ductwork_airflow.extensions.objects import ReleasedObjects

_SMTP = ("smtp_host", "smtp_port", "smtp_starttls", "smtp_ssl", "smtp_mail_from")


class DuctworkSecretsBackend(SecretsManagerBackend):
    """The amazon provider's backend, with the objects of the current release and the mail server of the environment.

    :param bucket: artifact bucket, which holds the releases
    :param environment: the name of the environment
    """

    def __init__(self, bucket: str = "", environment: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._released = ReleasedObjects(bucket, environment)

    def get_conn_value(self, conn_id: str, *args: Any, **kwargs: Any) -> str | None:
        """A connection as Airflow serialises it."""
        value = self._declared(conn_id) or super().get_conn_value(conn_id, *args, **kwargs)
        if conn_id != mail.CONNECTION:
            return value
        return mail.complete(value, {name: conf.get("smtp", name, fallback="") or "" for name in _SMTP})

    def get_variable(self, key: str, *args: Any, **kwargs: Any) -> str | None:
        """A variable's value."""
        declared = self._released.variable(key)
        if declared is None:
            return super().get_variable(key, *args, **kwargs)
        if isinstance(declared, dict):
            return super().get_variable(_within(declared["secret"]))
        return str(declared)

    def _declared(self, conn_id: str) -> str | None:
        """A declared connection with what its secret holds: the password, or more fields as JSON."""
        declared = self._released.connection(conn_id)
        if declared is None:
            return None
        fields = {name: value for name, value in declared.items() if name != "secret"}
        if secret := declared.get("secret"):
            fields |= _secret_fields(super().get_conn_value(_within(secret)))
        return json.dumps(fields)


def _within(secret: str) -> str:
    """The name of a secret below the prefix of its kind."""
    return secret.partition("/")[2]


def _secret_fields(value: str | None) -> dict[str, Any]:
    """What a secret says of a connection; without a secret, nothing."""
    if value is None:
        return {}
    try:
        fields = json.loads(value)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        return {"password": value}
    return {name: field for name, field in fields.items() if field is not None}
