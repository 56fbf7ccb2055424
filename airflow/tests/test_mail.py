"""Mail really goes out, by both of Airflow's ways, with a password that only Secrets Manager knows."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import boto3
import mailkit
import pytest
from conftest import AIRFLOW
from test_settings import HOST, OUTPUTS, PARAMETERS

from ductwork_airflow.extensions import mail
from ductwork_airflow.hosts.settings import SettingsError, host_environment

SMTP = {"smtp_host": "smtp.example.com", "smtp_port": "587", "smtp_starttls": "True", "smtp_ssl": "False",
        "smtp_mail_from": "airflow@example.com"}  # fmt: skip

# The first is what plain `send_email` does, the second what EmailOperator and the failure mails of tasks do.
SEND = """
from airflow.utils.email import send_email
send_email("ann@example.com", "first way", "<b>one</b>")
from airflow.providers.smtp.operators.smtp import EmailOperator
EmailOperator(task_id="t", to="ann@example.com", subject="second way", html_content="two").execute({})
from airflow.providers.smtp.notifications.smtp import SmtpNotifier
SmtpNotifier(to="ann@example.com", subject="third way", html_content="three").notify({})
"""


@pytest.fixture
def server():
    """A mail server with a password."""
    server = mailkit.Server("mailer", "pass/w@rd %41")
    yield server
    server.close()


@pytest.mark.parametrize("form", ["json", "uri"])
def test_mail_goes_out(aws, server, form):
    secrets = {
        "json": json.dumps({"conn_type": "smtp", "login": "mailer", "password": "pass/w@rd %41"}),
        "uri": "smtp://mailer:pass%2Fw%40rd%20%2541@",
    }
    prefix = f"ductwork/mail-{form}"
    boto3.client("secretsmanager").create_secret(
        Name=f"{prefix}/connections/smtp_default", SecretString=secrets[form]
    )
    config = {
        "host": "127.0.0.1",
        "port": server.port,
        "starttls": False,
        "ssl": False,
        "from": "airflow@example.com",
    }
    env = host_environment(
        OUTPUTS | {"SecretsPrefix": prefix}, PARAMETERS | {"MailConfig": json.dumps(config)}, HOST
    )
    assert "mailer" not in json.dumps(env)
    mine = {name: os.environ[name] for name in os.environ if name.startswith("AWS_")} | {
        "PATH": os.environ["PATH"],
        "AIRFLOW_HOME": os.environ["AIRFLOW_HOME"],
        "PYTHONPATH": str(AIRFLOW),
    }
    done = subprocess.run([sys.executable, "-c", SEND], env=env | mine, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert [found.user for found in server.mails] == ["mailer"] * 3
    for found, way in zip(server.mails, ("first", "second", "third"), strict=True):
        assert f"Subject: {way} way" in found.text
        assert "airflow@example.com" in found.sender
        assert "ann@example.com" in found.recipients[0]


def test_a_connection_that_names_its_server_is_left_alone():
    whole = json.dumps({"conn_type": "smtp", "host": "own.example.com", "login": "a", "password": "b"})
    assert mail.complete(whole, SMTP) == whole
    assert mail.complete("smtp://a:b@own.example.com:25", SMTP) == "smtp://a:b@own.example.com:25"
    assert mail.complete(None, {}) is None


def test_a_connection_is_completed_with_the_servers_manners():
    found = json.loads(mail.complete(None, SMTP))
    assert (found["host"], found["port"]) == ("smtp.example.com", 587)
    assert found["extra"] == {"disable_tls": False, "disable_ssl": True, "from_email": "airflow@example.com"}
    own = json.dumps(
        {"login": "a", "password": "b", "extra": json.dumps({"timeout": 3, "from_email": "x@y.z"})}
    )
    found = json.loads(mail.complete(own, SMTP))
    assert found["extra"] == {"disable_tls": False, "disable_ssl": True, "from_email": "x@y.z", "timeout": 3}


def test_without_a_server_airflow_has_no_mail_settings():
    assert mail.options("") == mail.options("{}") == {}


@pytest.mark.parametrize("text", ["[]", "{", '{"host": "h"}', '{"host": "h", "from": "a", "port": "x"}',
                                  '{"host": "h", "from": "a\\nB=c"}', '{"host": ["h"], "from": "a"}'])  # fmt: skip
def test_what_cannot_be_used_is_told(text):
    with pytest.raises(SettingsError, match="MailConfig"):
        host_environment(OUTPUTS, PARAMETERS | {"MailConfig": text}, HOST)
