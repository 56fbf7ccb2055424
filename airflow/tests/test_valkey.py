"""Valkey as broker, a real one: what the URL means to Celery's client, and a host whose tasks travel through it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import boto3
import kombu
import pytest
import redis
from conftest import new_database, wait_for
from hostkit import REVISION, Api, Host, begin_anew, make_stack, publish, temporary_root
from kombu.exceptions import OperationalError
from serverkit import TlsEnd, certificate, valkey

from ductwork_airflow.hosts import connections, envfile

PASSWORD = "c" * 32  # of the cache's secret in hostkit


@pytest.fixture(scope="module")
def trusted(tmp_path_factory) -> Path:
    """A certificate of this machine."""
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    """Valkey's port, without TLS."""
    with valkey(PASSWORD) as port:
        yield port


@pytest.fixture(scope="module")
def tls(trusted, server) -> Iterator[TlsEnd]:
    """The same Valkey, behind TLS."""
    end = TlsEnd(trusted, server)
    yield end
    end.close()


def travels(url: str) -> bool:
    """Whether a message comes back from the broker."""
    once = {"max_retries": 1}
    with (
        kombu.Connection(url, transport_options=once) as connection,
        connection.SimpleQueue("there-and-back") as queue,
    ):
        queue.put("message")
        message = queue.get(timeout=120)
        message.ack()
        return bool(message.payload == "message")


class TestUrl:
    """The URL that hosts make, against a server that asks for a password."""

    def test_in_the_clear(self, server):
        assert travels(connections.cache_url(PASSWORD, "localhost", str(server), tls=False))

    def test_a_wrong_password_is_refused(self, server):
        with pytest.raises(OperationalError, match="invalid username-password"):
            travels(connections.cache_url("d" * 32, "localhost", str(server), tls=False))

    def test_with_tls(self, tls, trusted, monkeypatch):
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        assert travels(connections.cache_url(PASSWORD, "localhost", str(tls.port), tls=True))

    def test_a_certificate_of_nobody_we_trust_is_refused(self, tls):
        with pytest.raises(OperationalError, match="CERTIFICATE_VERIFY_FAILED"):
            travels(connections.cache_url(PASSWORD, "localhost", str(tls.port), tls=True))

    def test_a_certificate_of_another_name_is_refused(self, tls, trusted, monkeypatch):
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        with pytest.raises(OperationalError, match="CERTIFICATE_VERIFY_FAILED"):
            travels(connections.cache_url(PASSWORD, "127.0.0.1", str(tls.port), tls=True))


def slow(gate: Path) -> str:
    """A DAG whose task waits to be let go."""
    return f"""
import os
import time

from airflow.sdk import dag, task

@dag(dag_id="slow", schedule=None, is_paused_upon_creation=False)
def slow():
    @task
    def wait():
        while not os.path.exists({str(gate)!r}):
            time.sleep(0.1)
    wait()

slow()
"""


def database_of_its_own(login: dict[str, str]) -> str:
    """The ARN of a secret with the URL of a new database."""
    secrets = boto3.client("secretsmanager")
    url = new_database(login, "valkey")
    return str(secrets.create_secret(Name="ductwork/test/url", SecretString=url)["ARN"])


@pytest.fixture
def api_port(aws, postgres, tls) -> int:
    """The API server's port in a new environment with Valkey and a database of its own."""
    begin_anew(aws)
    outputs = {
        "BrokerKind": "valkey",
        "CacheHost": "localhost",
        "CachePort": str(tls.port),
        "DatabaseEngine": "existing",
        "DatabaseSecretArn": database_of_its_own(postgres),
    }
    # On a busy machine the first message can take longer than the ten seconds of hosts.
    return make_stack(postgres, outputs, AirflowConfig=json.dumps({"celery.operation_timeout": "300"}))[0]


def reach_it_as_on_aws(host: Host) -> None:
    """From here on the host takes its cache for one of AWS, with TLS; its ports stay those of a shared machine."""
    file = host.root / "etc/ductwork/airflow.env"
    values = envfile.read_lines(file)
    assert values["DUCTWORK_LOCAL"] == "True"
    envfile.write_lines(file, values | {"DUCTWORK_LOCAL": "False"})
    assert PASSWORD not in file.read_text()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_tasks_travel_through_valkey_and_a_drained_stop_lets_one_end(aws, s3, api_port, tls, trusted, server):
    with temporary_root() as root:
        host = Host(root, aws, "api-server scheduler dag-processor worker", "default")
        host.env["SSL_CERT_FILE"] = str(trusted)
        publish(s3, {"slow.py": slow(root / "go-slow")})
        supervisord = host.boot()
        try:
            deploy(host)
            api = Api(api_port)
            api.login("admin", "first-password-of-admin")
            check_smoke(api)
            assert tls.accepted > 1, "scheduler and worker came by TLS"
            check_drain(api, host)
            check_nothing_is_left(server)
        finally:
            supervisord.terminate()
            supervisord.wait(120)


def deploy(host: Host) -> None:
    """CodeDeploy's steps on a new host."""
    host.download()
    assert host.hook("before_install").returncode == 0
    host.install()
    assert host.hook("after_install").returncode == 0
    reach_it_as_on_aws(host)
    for name in ("application_start", "validate_service"):
        assert host.hook(name).returncode == 0, name


def check_smoke(api: Api) -> None:
    """The tool's own task, from the queue to its end, by this host's worker."""
    wait_for("smoke DAG", lambda: api.dag("ductwork_smoke"))
    run = api.trigger("ductwork_smoke")
    wait_for("smoke run", lambda: api.state("ductwork_smoke", run)["state"] == "success")
    assert api.value("ductwork_smoke", run, "report")["revision"] == REVISION


def check_drain(api: Api, host: Host) -> None:
    """A stopping worker lets its task end."""
    wait_for("DAG slow", lambda: api.dag("slow"))
    run = api.trigger("slow")
    wait_for("slow task", lambda: api.task("slow", run, "wait")["state"] == "running")
    log = host.root / "var/log/ductwork/worker.log"

    def let_go() -> None:
        wait_for("the stop of the worker", lambda: "Warm shutdown" in log.read_text())
        (host.root / "go-slow").touch()

    letting_go = threading.Thread(target=let_go)
    letting_go.start()
    assert host.svc("stop", "worker").returncode == 0
    letting_go.join(120)
    task = api.task("slow", run, "wait")
    assert (task["state"], task["try_number"]) == ("success", 1)


def check_nothing_is_left(server: int) -> None:
    """A message that is still held would be delivered again, and its task run twice."""
    with redis.Redis(port=server, password=PASSWORD) as client:
        assert (client.llen("default"), client.hlen("unacked")) == (0, 0)
