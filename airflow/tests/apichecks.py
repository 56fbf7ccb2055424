"""What a real API server must do and refuse; parts of the story in test_host_end_to_end.py, which has one running."""

from __future__ import annotations

import base64
import contextlib
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import psycopg2
from conftest import wait_for
from loginkit import CLIENT, DOMAIN, PERSON, Browser, Google

LOGIN = {
    "method": "google",
    "google_client_id": CLIENT,
    "google_domain": DOMAIN,
    "default_role": "Viewer",
    "service_role": "User",
    "roles": {f"Boss@{DOMAIN}": "Admin"},
}


def health(port: int) -> tuple[int, dict[str, Any]]:
    """Status and document, without any login."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ductwork/health", timeout=120) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def basic(port: int, user: str, password: str, path: str = "/api/v2/dags", scheme: str = "Basic") -> int:
    """The status of a request with a password in its header."""
    word = base64.b64encode(f"{user}:{password}".encode()).decode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"{scheme} {word}"}
    )
    try:
        return int(urllib.request.urlopen(request, timeout=120).status)
    except urllib.error.HTTPError as error:
        return error.code


def token(port: int, user: str, password: str) -> int:
    """The status of a request for a token."""
    body = json.dumps({"username": user, "password": password}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/auth/token", body, {"Content-Type": "application/json"}
    )
    try:
        return int(urllib.request.urlopen(request, timeout=120).status)
    except urllib.error.HTTPError as error:
        return error.code


def check_health_of_a_whole_cluster(port: int) -> None:
    """Every component's heartbeat, for people."""
    status, document = health(port)
    assert (status, document["database"]) == (200, "healthy")
    for name in ("scheduler", "dag-processor", "triggerer"):
        assert document["components"][name]["running"] == 1, document
        assert document["components"][name]["heartbeat_age_s"] < 30, document


def check_basic_authentication(port: int) -> None:
    """The service user, with what its role may do; a wrong password never; other paths never."""
    password = "password-of-the-service-user"
    assert basic(port, "service", password) == 200
    began = time.monotonic()
    assert basic(port, "service", password, scheme="bAsIc") == 200
    print(f"basic authentication, second time: {time.monotonic() - began:.3f} s")
    assert basic(port, "service", password, "/api/v2/connections") == 200, "Op may read connections"
    for path in ("/auth/fab/v1/users", "/auth/fab/v1/roles"):
        assert basic(port, "service", password, path) in (401, 403), "users are not for programs"
    assert basic(port, "service", "wrong") == 401
    assert basic(port, "service", "") == 401
    assert basic(port, "nobody", password) == 401
    assert basic(port, "service", password, "/ui/auth/me") == 401, "only the API, not the pages"
    assert token(port, "service", password) == 201
    assert token(port, "service", "wrong") == 401


@contextmanager
def dead_database(login: dict[str, str]):
    """A database that lets nobody in."""
    connection = psycopg2.connect(
        user=login["username"], password=login["password"], host="127.0.0.1", port=login["port"], dbname="postgres"
    )  # fmt: skip
    connection.autocommit = True
    name = login["database"]

    def allow(word: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f'alter database "{name}" with allow_connections {word}')
            cursor.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,)
            )

    allow("false")
    yield
    allow("true")
    connection.close()


def check_a_dead_scheduler_and_a_dead_database(port: int, login: dict[str, str]) -> None:
    """The first must not take API servers out of the balancer, the second must."""
    status, document = health(port)
    assert status == 200
    assert document["components"]["scheduler"]["running"] == 0, document
    with dead_database(login):
        wait_for("a dead database", lambda: health(port)[0] == 503)
        assert health(port)[1] == {"database": "unhealthy", "reason": "OperationalError"}
    wait_for("a database that is back", lambda: health(port)[0] == 200)


def check_google(port: int, google: Google) -> None:
    """One door, and every way around it."""
    base = f"http://127.0.0.1:{port}"

    def enters(sign: Callable[..., str] | None = None, answer: dict | None = None, **claims: Any) -> bool:
        google.claims, google.sign, google.answer = PERSON | claims, sign or google.signed, answer or {}
        return Browser(base).login()

    google.claims = dict(PERSON)
    ann = Browser(base)
    assert ann.login()
    assert google.seen[-1]["redirect_uri"] == f"{base}/auth/oauth-authorized/google"
    assert google.seen[-1]["hd"] == DOMAIN
    assert ann.permissions()["username"] == "google_1001"
    assert ann.get("/api/v2/dags")[0] == 200
    assert ann.get("/api/v2/connections")[0] == 403, "a Viewer"
    # the same person again, when the mapping knows her: the role follows at the login, and is the only one
    assert enters(sub="1002", email=f"boss@{DOMAIN}")
    boss = Browser(base)
    assert boss.login()
    assert boss.get("/api/v2/connections")[0] == 200, "an Admin, by any spelling of the address"

    refused: dict[str, dict[str, Any]] = {
        "another organisation": {"hd": "evil.com", "email": "x@evil.com", "sub": "1"},
        "our domain only in the address": {"hd": "evil.com", "sub": "2"},
        "an account without organisation": {"hd": None, "sub": "3"},
        "an address not verified": {"email_verified": False, "sub": "4"},
        "verified as a word": {"email_verified": "false", "sub": "5"},
        "verified not said": {"email_verified": None, "sub": "6"},
        "our domain as an ending": {"email": f"x@evil-{DOMAIN}", "sub": "7"},
        "a subdomain": {"email": f"x@sub.{DOMAIN}", "sub": "8"},
        "our domain as a beginning": {"email": f"x@{DOMAIN}.evil.com", "sub": "9"},
        "two at signs": {"email": f"x@evil.com@{DOMAIN}", "sub": "10"},
        "no address": {"email": None, "sub": "11"},
        "nobody": {"sub": None},
        "a token for another client": {"aud": "another", "sub": "12"},
        "a token for another client, by way of ours": {
            "aud": ["another", CLIENT],
            "azp": CLIENT,
            "sub": "13",
        },
        "another issuer": {"iss": "https://evil.com", "sub": "14"},
        "an old token": {"exp": int(time.time()) - 3600, "sub": "15"},
        "the nonce of another login": {"nonce": "other", "sub": "16"},
        "a forged signature": {"sign": google.forged, "sub": "17"},
        "no signature": {"sign": google.unsigned, "sub": "18"},
        "the public key as a secret": {"sign": google.with_the_public_key, "sub": "19"},
        "claims beside no token": {"answer": {"id_token": None, "userinfo": PERSON}, "sub": "20"},
    }
    for why, claims in refused.items():
        assert not enters(**claims), why
    assert enters(), "and after all that, Ann still"

    # a callback that nobody asked for
    assert Browser(base).get("/auth/oauth-authorized/google?code=code&state=x")[0] == 200
    stranger = Browser(base)
    stranger.get("/auth/oauth-authorized/google?code=code&state=x")
    assert stranger.get("/ui/auth/me")[0] == 401


def check_reasons(log: str) -> None:
    """Each attempt was refused for what was wrong with it; the log says so, the page does not."""
    for words in (
        "is of the organisation `evil.com`",
        "is of the organisation `None`",
        "is not verified by Google",
        f"`x@evil-{DOMAIN}` is not one of",
        f"`x@sub.{DOMAIN}` is not one of",
        f"`x@{DOMAIN}.evil.com` is not one of",
        f"`x@evil.com@{DOMAIN}` is not one of",
        "token names nobody",
        "is for another client",
        "Google sent no ID token",
        "`old` has no password login here",
    ):
        assert words in log, words
    print("\n".join(sorted({line[-160:] for line in log.splitlines() if "OAuth access token" in line})))


def check_proxy(port: int, google: Google) -> None:
    """Behind the balancer: its word on the scheme counts, a client's on the host does not."""
    browser = Browser(f"http://127.0.0.1:{port}")
    headers = {
        "X-Forwarded-For": "192.0.2.1",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.com",
        "X-Forwarded-Prefix": "/evil",
    }
    with contextlib.suppress(OSError):  # the callback is on a port with TLS that nobody serves here
        browser.get("/auth/login/google", headers)
    assert google.seen[-1]["redirect_uri"] == f"https://127.0.0.1:{port}/auth/oauth-authorized/google"


def check_passwords_beside_google(port: int) -> None:
    """Only the two users of Secrets Manager keep a password."""
    assert token(port, "admin", "second-password-of-admin") == 201
    assert token(port, "service", "password-of-the-service-user") == 201
    assert basic(port, "service", "password-of-the-service-user") == 200
    assert token(port, "admin", "first-password-of-admin") == 401
    assert token(port, "old", "old-password") == 401, "a user from before Google"
    assert token(port, "old@example.com", "old-password") == 401
    assert token(port, "admin@localhost.invalid", "second-password-of-admin") == 401, "not by its address"
    assert token(port, "google_1001", "") in (400, 401)
    assert basic(port, "service", "password-of-the-service-user", "/api/v2/connections") == 403, "now a User"
