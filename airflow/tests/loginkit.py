"""A Google of this machine, as far as OpenID Connect goes, and a browser that logs in through it."""

from __future__ import annotations

import base64
import hmac
import http.cookiejar
import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, CLIENT_SECRET, DOMAIN = "client-id", "client-secret", "example.com"


def encoded(data: bytes) -> str:
    """Base64 as tokens have it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def words(*parts: dict[str, Any]) -> str:
    """What a token's signature is made over."""
    return ".".join(encoded(json.dumps(part).encode()) for part in parts)


class Google:
    """Issues ID tokens with whatever claims the test wants, from keys that it may swap."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "good"})
        self.claims: dict[str, Any] = {}
        self.sign: Callable[[dict[str, Any]], str] = self.signed
        self.answer: dict[str, Any] = {}  # further fields of the token endpoint's answer
        self.codes: dict[str, str] = {}
        self.seen: list[dict[str, str]] = []
        google = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                google.get(self)

            def do_POST(self) -> None:
                google.post(self)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def signed(self, claims: dict[str, Any]) -> str:
        """As Google does."""
        return jwt.encode({"alg": "RS256", "kid": "good"}, claims, self.key)

    def forged(self, claims: dict[str, Any]) -> str:
        """With a key of somebody else, under Google's name for its own."""
        return jwt.encode({"alg": "RS256", "kid": "good"}, claims, RSAKey.generate_key(2048))

    def unsigned(self, claims: dict[str, Any]) -> str:
        """Without a signature, as the format allows."""
        return f"{words({'alg': 'none', 'typ': 'JWT'}, claims)}."

    def with_the_public_key(self, claims: dict[str, Any]) -> str:
        """The old trick: the public key, which all know, as the secret of another algorithm."""
        text = words({"alg": "HS256", "kid": "good"}, claims)
        key = self.key.as_pem(private=False)
        return f"{text}.{encoded(hmac.digest(key, text.encode(), 'sha256'))}"

    def get(self, request: BaseHTTPRequestHandler) -> None:
        """Discovery, keys, and the page where a person agrees."""
        path, _, query = request.path.partition("?")
        if path == "/authorize":
            given = dict(urllib.parse.parse_qsl(query))
            self.seen.append(given)
            self.codes["code"] = given["nonce"]
            back = urllib.parse.urlencode({"code": "code", "state": given["state"]})
            request.send_response(302)
            request.send_header("Location", f"{given['redirect_uri']}?{back}")
            request.end_headers()
            return
        documents = {
            "/.well-known/openid-configuration": {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "userinfo_endpoint": f"{self.url}/userinfo",
                "jwks_uri": f"{self.url}/keys",
                "id_token_signing_alg_values_supported": ["RS256"],
            },
            "/keys": {"keys": [self.key.as_dict(private=False)]},
        }
        self.send(request, documents[path])

    def post(self, request: BaseHTTPRequestHandler) -> None:
        """A token for a code."""
        request.rfile.read(int(request.headers["Content-Length"]))
        now = int(time.time())
        standard = {"iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": self.codes["code"]}
        claims = {name: value for name, value in (standard | self.claims).items() if value is not None}
        answer = {
            "access_token": "t",
            "token_type": "Bearer",
            "expires_in": 300,
            "id_token": self.sign(claims),
        }
        answer |= self.answer
        self.send(request, {name: value for name, value in answer.items() if value is not None})

    @staticmethod
    def send(request: BaseHTTPRequestHandler, document: dict[str, Any]) -> None:
        """JSON."""
        data = json.dumps(document).encode()
        request.send_response(200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    def close(self) -> None:
        """No more logins."""
        self.server.shutdown()
        self.server.server_close()


PERSON = {
    "sub": "1001",
    "email": f"ann@{DOMAIN}",
    "email_verified": True,
    "hd": DOMAIN,
    "given_name": "Ann",
    "family_name": "B",
}


class Browser:
    """Follows redirects and keeps cookies."""

    def __init__(self, base: str) -> None:
        self.base = base
        jar = http.cookiejar.CookieJar()
        handlers = (urllib.request.HTTPCookieProcessor(jar), urllib.request.ProxyHandler({}))
        self.opener = urllib.request.build_opener(*handlers)
        self.jar = jar

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
        """Status and text of the page at the end."""
        request = urllib.request.Request(self.base + path, headers=headers or {})
        try:
            with self.opener.open(request, timeout=120) as answer:
                return answer.status, answer.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")

    def login(self) -> bool:
        """The whole way through Google; whether it ended in Airflow, logged in."""
        self.get("/auth/login/google")
        return self.get("/ui/auth/me")[0] == 200

    def permissions(self) -> dict[str, Any]:
        """Who Airflow takes us for."""
        return json.loads(self.get("/ui/auth/me")[1])
