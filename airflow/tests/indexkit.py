"""A package index with a login, for the tests of hosts and, as a program, for those of the release tool.

`python indexkit.py FILE USER PASSWORD` prints its URL and appends every request to FILE, until it is stopped.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import io
import json
import sys
import threading
import zipfile
from pathlib import Path

PACKAGE = "acme-tools"
WHEEL = "acme_tools-1.0-py3-none-any.whl"


def wheel() -> bytes:
    """One module, the same bytes each time."""
    info = "acme_tools-1.0.dist-info"
    files = {
        "acme_tools.py": "ANSWER = 42\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = [f"{name},," for name in (*files, f"{info}/RECORD")]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in (*files.items(), (f"{info}/RECORD", "\n".join(lines) + "\n")):
            archive.writestr(zipfile.ZipInfo(name), text)
    return buffer.getvalue()


def locked() -> str:
    """The package in a lock."""
    return f"{PACKAGE}==1.0 \\\n    --hash=sha256:{hashlib.sha256(wheel()).hexdigest()}\n"


class Server(http.server.ThreadingHTTPServer):
    """Answers nobody without the login."""

    def __init__(self, username: str, password: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.authorization = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
        self.asked: list[tuple[str, str]] = []  # path, and whether with the `right`, a `wrong` or `no` login
        self.status = 0  # instead of what would be right
        self.told = None

    @property
    def url(self) -> str:
        """Of the index itself."""
        return f"http://127.0.0.1:{self.server_port}/simple/"


class Handler(http.server.BaseHTTPRequestHandler):
    """https://packaging.python.org/en/latest/specifications/simple-repository-api/"""

    server: Server

    def do_GET(self) -> None:
        """The list of packages, the one package, its wheel."""
        given = self.headers.get("Authorization")
        login = {None: "no", self.server.authorization: "right"}.get(given, "wrong")
        self.server.asked.append((self.path, login))
        if self.server.told:
            print(json.dumps([self.path, login]), file=self.server.told, flush=True)
        if self.server.status or login != "right":
            self._answer(self.server.status or 401, b"")
            return
        data = wheel()
        digest = hashlib.sha256(data).hexdigest()
        pages = {
            "/simple/": f'<a href="{PACKAGE}/">{PACKAGE}</a>'.encode(),
            f"/simple/{PACKAGE}/": f'<a href="/files/{WHEEL}#sha256={digest}">{WHEEL}</a>'.encode(),
            f"/files/{WHEEL}": data,
        }
        body = pages.get(self.path)
        self._answer(404 if body is None else 200, body or b"")

    do_HEAD = do_GET

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="packages"')
        self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/zip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""


def started(username: str, password: str) -> Server:
    """One that serves until `shutdown`."""
    server = Server(username, password)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


if __name__ == "__main__":
    file, username, password = sys.argv[1:]
    server = Server(username, password)
    with Path(file).open("a", encoding="utf-8") as server.told:
        print(server.url, flush=True)
        server.serve_forever()
