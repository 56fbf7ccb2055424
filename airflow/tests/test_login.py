"""Who may come in; the whole way through a browser is in test_host_end_to_end.py."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest
from loginkit import CLIENT, DOMAIN, PERSON

from ductwork_airflow.extensions import basic_login, login
from ductwork_airflow.extensions.login import LoginError, admit, parse
from ductwork_airflow.release import migrate

GOOGLE = parse(
    json.dumps(
        {
            "method": "google",
            "google_client_id": CLIENT,
            "google_domain": "Example.com",
            "roles": {" Boss@Example.com": "Admin"},
        }
    )
)
GOOD = PERSON | {"aud": CLIENT}


def test_a_person_of_the_domain():
    found = admit(GOOD, GOOGLE)
    assert found == {
        "username": "google_1001",
        "email": "ann@example.com",
        "first_name": "Ann",
        "last_name": "B",
        "role": "Viewer",
    }
    assert admit(GOOD | {"email": "BOSS@example.com"}, GOOGLE)["role"] == "Admin"
    assert admit(GOOD | {"aud": [CLIENT]}, GOOGLE)


@pytest.mark.parametrize(
    "claims",
    [
        {"hd": "evil.com"}, {"hd": None}, {"hd": ""}, {"hd": "Example.com "}, {"hd": ["example.com"]},
        {"email_verified": False}, {"email_verified": "true"}, {"email_verified": 1}, {"email_verified": None},
        {"email": "ann@evil.com"}, {"email": "@example.com"}, {"email": "example.com"}, {"email": ""},
        {"email": None}, {"email": ["ann@example.com"]}, {"email": "ann@example.com\\u200b"},
        {"email": "ann@xexample.com"}, {"email": "ann@example.com.evil.com"}, {"email": "a@b@example.com"},
        {"sub": None}, {"sub": ""}, {"sub": 7}, {"aud": "another"}, {"aud": [CLIENT, "another"]}, {"aud": None},
    ],
)  # fmt: skip
def test_everybody_else(claims):
    with pytest.raises(LoginError):
        admit(GOOD | claims, GOOGLE)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"method": "saml"}', "neither"),
        ('{"method": "google", "google_domain": "example.com"}', "needs `google_client_id`"),
        ('{"method": "google", "google_client_id": "x"}', "not a domain"),
        ('{"method": "google", "google_client_id": "x", "google_domain": "*.example.com"}', "not a domain"),
        ('{"method": "google", "google_client_id": "x", "google_domain": "com"}', "not a domain"),
        ('{"roles": {"a@b.c": ""}}', "not the name of a role"),
        ('{"roles": {"a@b.c": 7}}', "not the name of a role"),
        ('{"service_role": "`"}', "not the name of a role"),
    ],
)
def test_configurations_that_are_refused(given, words):
    with pytest.raises(LoginError, match=words):
        parse(given)


def test_without_a_word_there_are_passwords():
    assert parse("") == parse("{}") == login.Login()


def users(config: dict, **secrets: dict) -> list[migrate.LocalUser]:
    """Local users of an environment."""
    values = {
        "admin": {"username": "admin", "password": "a" * 32},
        "service": {"username": "service", "password": "s" * 32},
    } | secrets
    env = {
        "DUCTWORK_LOGIN": json.dumps(config),
        "DUCTWORK_ADMIN_SECRET_ARN": "admin",
        "DUCTWORK_SERVICE_SECRET_ARN": "service",
    }
    return migrate.local_users(env, lambda name: json.dumps(values[name]))


def test_the_local_users():
    admin, service = users({})
    assert (admin.role, admin.only, service.role, service.only) == ("Admin", False, "Op", True)
    assert "aaaa" not in repr(admin)
    assert users({"service_role": "Viewer"})[1].role == "Viewer"


def test_no_weak_password_beside_google():
    google = {"method": "google", "google_client_id": CLIENT, "google_domain": DOMAIN}
    weak = {"username": "admin", "password": "admin"}
    with pytest.raises(LoginError, match="shorter than 16"):
        users(google, admin=weak)
    assert users({}, admin=weak)
    with pytest.raises(LoginError, match="same name"):
        users({}, service=weak)


class TestBasicLogin:
    """The middleware by itself."""

    @staticmethod
    def ask(path: str, *headers: bytes, known: dict | None = None, kind: str = "http", root: str = ""):
        """What the application behind it sees, or the status of a refusal; and how often the password was tried."""
        seen: list = []
        tried: list = []
        middleware = basic_login.BasicLogin(None, lambda *pair: tried.append(pair) or (known or {}).get(pair))

        async def app(scope, receive, send):
            seen.append([value for name, value in scope["headers"] if name == b"authorization"])

        async def send(message):
            if message["type"] == "http.response.start":
                seen.append(message["status"])

        middleware.app = app
        scope = {
            "type": kind,
            "path": path,
            "root_path": root,
            "headers": [(b"authorization", one) for one in headers],
        }

        async def twice():
            await middleware(scope, None, send)
            await middleware(scope, None, send)

        asyncio.run(twice())
        return seen[0], len(tried)

    GOOD = b"Basic " + base64.b64encode(b"service:pa:ss")
    KNOWN = {("service", "pa:ss"): "token"}  # noqa: RUF012

    def test_a_password_becomes_a_token_and_is_tried_once(self):
        assert self.ask("/api/v2/dags", self.GOOD, known=self.KNOWN) == ([b"Bearer token"], 1)
        assert self.ask("/team/api/v2/dags", self.GOOD, known=self.KNOWN, root="/team") == (
            [b"Bearer token"],
            1,
        )

    def test_a_wrong_password_is_tried_each_time(self):
        assert self.ask("/api/v2/dags", self.GOOD) == (401, 2)

    @pytest.mark.parametrize("value", [b"Basic !!!", b"Basic ", b"basic " + base64.b64encode(b"nocolon"),
                                       b"Basic " + base64.b64encode(b":x"), b"Basic " + base64.b64encode(b"x:"),
                                       b"Basic " + base64.b64encode(b"\xff:x")])  # fmt: skip
    def test_what_is_no_password_is_refused_untried(self, value):
        assert self.ask("/api/v2/dags", value, known=self.KNOWN) == (401, 0)

    def test_all_else_passes_untouched(self):
        assert self.ask("/api/v2/dags") == ([], 0)
        assert self.ask("/api/v2/dags", b"Bearer x") == ([b"Bearer x"], 0)
        assert self.ask("/ui/dags", self.GOOD, known=self.KNOWN) == ([self.GOOD], 0)
        assert self.ask("/api/v2evil", self.GOOD, known=self.KNOWN) == ([self.GOOD], 0)
        assert self.ask("/api/v2/dags", b"Bearer x", self.GOOD, known=self.KNOWN)[1] == 0
        assert self.ask("/api/v2/dags", self.GOOD, known=self.KNOWN, kind="websocket") == ([self.GOOD], 0)
