"""The relay: requests and answers over a real S3 client and a real HTTP server, with the bucket in memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.exceptions import ClientError
from conftest import AIRFLOW

from ductwork_airflow import contract
from ductwork_airflow.receipts import companion, relay

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=timezone.utc)


class Bucket:
    """S3's answers to the two calls, with its conditions."""

    class exceptions:
        ClientError = ClientError

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.age = 0.0
        self.reads = 0

    def get_object(self, Bucket: str, Key: str, IfNoneMatch: str = "") -> dict[str, Any]:
        self.reads += 1
        if Key not in self.objects:
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "GetObject")
        tag = str(hash(self.objects[Key]))
        if tag == IfNoneMatch:
            raise ClientError({"Error": {"Code": "304"}}, "GetObject")
        body = self.objects[Key]
        return {
            "ETag": tag, "Body": type("Body", (), {"read": lambda _: body})(),
            "LastModified": NOW - timedelta(seconds=self.age),
            "ResponseMetadata": {"HTTPHeaders": {"date": format_datetime(NOW, usegmt=True)}},
        }  # fmt: skip

    def put_object(self, Bucket: str, Key: str, Body: bytes, ContentType: str, IfNoneMatch: str = "") -> None:
        if IfNoneMatch and Key in self.objects:
            raise ClientError({"Error": {"Code": "PreconditionFailed"}}, "PutObject")
        self.objects[Key] = Body

    def ask(self, id_: str, path: str, method: str = "GET", body: Any = None) -> None:
        key = contract.relay_key("dev")
        requests = json.loads(self.objects.get(key, b'{"requests": []}'))["requests"]
        requests.append({"id": id_, "at": 0, "method": method, "path": path, "body": body})
        self.objects[key] = json.dumps({"requests": requests}).encode()

    def answer(self, id_: str) -> dict[str, Any] | None:
        found = self.objects.get(contract.answer_key("dev", id_))
        return json.loads(found) if found else None


class Server:
    """An API server whose tokens can be made invalid."""

    def __init__(self) -> None:
        self.log: list[tuple[str, str, Any]] = []
        self.token, self.password = "t1", "secret"
        server = self

        class Handler(BaseHTTPRequestHandler):
            def handle_one(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                server.log.append((self.command, self.path, body))
                status, document = self.answered(body)
                text = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def answered(self, body: Any) -> tuple[int, Any]:
                if self.path == "/auth/token":
                    right = body == {"username": "admin", "password": server.password}
                    return (201, {"access_token": server.token}) if right else (401, {"detail": body})
                if self.headers["Authorization"] != f"Bearer {server.token}":
                    return 401, {"detail": "who"}
                return 200, {"path": self.path, "body": body}

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_one

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"


@pytest.fixture
def server():
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


def made(bucket: Bucket, server: Server, who: str = "i-1") -> relay.Relay:
    api = relay.Api(server.url, lambda: ("admin", "secret"))
    return relay.Relay("dev", "b", bucket, api, who)


class TestRequests:
    def test_each_is_asked_once_by_whoever_takes_it_and_answered_as_airflow_does(self, server):
        bucket = Bucket()
        one, other = made(bucket, server), made(bucket, server, "i-2")
        assert not one.round(), "nobody has ever asked"
        bucket.ask("a", "/api/v2/pools", "POST", {"name": "p"})
        assert one.round()
        other.round()
        answer = {"path": "/api/v2/pools", "body": {"name": "p"}}
        assert bucket.answer("a") == {"by": "i-1", "status": 200, "body": answer}
        assert not one.round() and bucket.reads == 4
        bucket.ask("b", "/api/v2/dags", "GET")
        other.round()
        one.round()
        assert bucket.answer("b")["by"] == "i-2"
        asked = [line[:2] for line in server.log if line[1] != "/auth/token"]
        assert asked == [("POST", "/api/v2/pools"), ("GET", "/api/v2/dags")]

    def test_one_that_nobody_waits_for_any_longer_is_left_alone(self, server):
        bucket = Bucket()
        bucket.ask("old", "/api/v2/dags")
        bucket.age = relay.LIVES_SECONDS
        one = made(bucket, server)
        one.round()
        bucket.ask("new", "/api/v2/dags")
        bucket.age = 0
        one.round()
        assert bucket.answer("old") is None and bucket.answer("new")["status"] == 200

    def test_an_api_server_that_is_down_is_told(self, server):
        bucket = Bucket()
        one = made(bucket, server)
        one.api.url = "http://127.0.0.1:1"
        bucket.ask("a", "/api/v2/monitor/health")
        one.round()
        answer = bucket.answer("a")
        assert answer["by"] == "i-1" and "refused" in answer["fault"] and "status" not in answer

    def test_it_goes_on_after_a_fault_and_loses_no_request(self, server, capsys):
        bucket, tries, ends = Bucket(), [], [False] * 4
        for name in ("a", "b"):
            bucket.ask(name, "/api/v2/dags")
        put = bucket.put_object

        def make() -> relay.Relay:
            tries.append(1)
            if len(tries) == 1:
                raise OSError("no credentials yet")
            return made(bucket, server)

        def fails_once(**call: Any) -> None:
            bucket.put_object = put
            raise ConnectionError("reset")

        bucket.put_object = fails_once
        relay.serve(make, lambda _: not ends or ends.pop())
        assert bucket.answer("b")["status"] == 200
        said = capsys.readouterr().err.splitlines()
        assert said == [
            "relay: OSError: no credentials yet",
            "relay: ConnectionError: reset",
            "relay: works again",
        ]

    def test_the_process_ends_with_the_api_server(self):
        with subprocess.Popen(["/bin/sleep", "600"]) as component:
            process = os.pidfd_open(component.pid)
            env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(AIRFLOW), "AWS_REGION": "r"}
            command = [sys.executable, "-m", "ductwork_airflow.receipts.relay", str(process)]
            with subprocess.Popen(command, env=env, pass_fds=[process], stderr=subprocess.DEVNULL) as beside:
                component.kill()
                assert beside.wait(30) == 0
            os.close(process)


class TestLogin:
    def test_a_token_that_has_expired_is_got_again(self, server):
        bucket = Bucket()
        one = made(bucket, server)
        for token in ("t1", "t1", "t2"):
            server.token = token
            bucket.ask(f"{len(server.log)}", "/api/v2/dags")
            one.round()
        assert [line[1] for line in server.log].count("/auth/token") == 2
        answers = [json.loads(text) for key, text in bucket.objects.items() if "answers" in key]
        assert [answer["status"] for answer in answers] == [200, 200, 200]

    def test_no_password_comes_back(self, server):
        bucket = Bucket()
        server.password = "another"
        bucket.ask("a", "/api/v2/dags")
        made(bucket, server).round()
        assert bucket.answer("a")["status"] == 401
        assert all(b"secret" not in text for text in bucket.objects.values())

    def test_only_the_api_is_passed_on_and_no_variable_comes_back(self, server):
        bucket = Bucket()
        bucket.ask("a", "/auth/token", "POST", {"username": "admin"})
        bucket.ask("b", "/api/v2/variables/key")
        made(bucket, server).round()
        assert bucket.answer("a")["status"] == 403
        assert bucket.answer("b") == {"by": "i-1", "status": 200, "body": None}


def test_whoever_was_asked_looks_often_for_a_while():
    now = 0.0
    pace = relay.Pace(lambda: now)
    assert pace.after(False) == relay.IDLE_SECONDS
    assert pace.after(True) == relay.BUSY_SECONDS
    now = 59.0
    assert pace.after(False) == relay.BUSY_SECONDS
    now = 60.0
    assert pace.after(False) == relay.IDLE_SECONDS


def test_it_gets_where_the_api_server_listens_and_no_other_secret():
    env = {
        "AWS_REGION": "r", "AIRFLOW__API__HOST": "0.0.0.0", "AIRFLOW__API__PORT": "8080",
        "DUCTWORK_COMPONENT": "api-server", "AIRFLOW__API_AUTH__JWT_SECRET": "s",
    }  # fmt: skip
    container = {
        "DUCTWORK_SECRET_ADMIN": '{"username": "admin", "password": "p"}',
        "DUCTWORK_SECRET_JWT": "s",
    }
    found = companion.for_relay(env, container)
    assert set(found) == {"AWS_REGION", "AIRFLOW__API__HOST", "AIRFLOW__API__PORT", "DUCTWORK_SECRET_ADMIN"}
    assert relay.base(found) == "http://127.0.0.1:8080"
    assert relay.base(found | {"AIRFLOW__API__HOST": "127.1.2.3"}) == "http://127.1.2.3:8080"
    assert relay.credentials(found) == ("admin", "p")
