"""Airflow's connections and variables from Secrets Manager; the mail connection may be just a user and a password."""

from __future__ import annotations

from typing import Any

from airflow.configuration import conf
from airflow.providers.amazon.aws.secrets.secrets_manager import SecretsManagerBackend

from ductwork_airflow.extensions import mail

_SMTP = ("smtp_host", "smtp_port", "smtp_starttls", "smtp_ssl", "smtp_mail_from")


class DuctworkSecretsBackend(SecretsManagerBackend):
    """The amazon provider's backend, with the mail server of the environment file in `smtp_default`."""

    def get_conn_value(self, conn_id: str, *args: Any, **kwargs: Any) -> str | None:
        """A connection as Airflow serialises it."""
        value = super().get_conn_value(conn_id, *args, **kwargs)
        if conn_id != mail.CONNECTION:
            return value
        return mail.complete(value, {name: conf.get("smtp", name, fallback="") or "" for name in _SMTP})
