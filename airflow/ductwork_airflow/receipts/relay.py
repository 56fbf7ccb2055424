"""Answers the release tool where it cannot reach the API server: both meet in the artifact bucket.

`python -m ductwork_airflow.receipts.relay PIDFD`, begun beside the API server, whose end it learns as the companion
does. The tool, which may run where no way leads into the network, writes requests to Airflow's REST API into one
document (`relay.json`); this process asks the API server of its own machine and writes each answer to an object of its
own. So nothing listens, nothing is opened, and what the tool hears is what Airflow says.

Only who may deploy can write that document. It holds no password and no token: this process logs in by itself, with
the secret that the API server may read. If there are several API servers, one of them takes a request, by a
conditional write of the answer. A request is good for a minute by the clock of S3.

It costs 50 MB, and a request to S3 every three seconds: 35 US cents a month.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from ductwork_airflow import contract
from ductwork_airflow.hosts import background, secret
from ductwork_airflow.receipts import companion, send

IDLE_SECONDS = 3.0
# Who asks once asks again.
BUSY_SECONDS = 0.2
STAYS_BUSY_SECONDS = 60.0
# The tool gives up earlier, and nobody takes over a lease as early.
LIVES_SECONDS = 60.0
API_SECONDS = 15.0
PREFIX = "/api/v2/"
# Of these the tool wants to know whether they are there. What is in them belongs into no bucket.
WITHHELD = (f"{PREFIX}connections", f"{PREFIX}variables")
MOST_KEPT = 1000
# A key that is not there is forbidden to those that may not list.
NOTHING_NEW = ("304", "NotModified", "404", "NoSuchKey", "403", "AccessDenied")
TAKEN = ("412", "PreconditionFailed", "409", "ConditionalRequestConflict")

Credentials = Callable[[], tuple[str, str]]


def base(env: Mapping[str, str]) -> str:
    """Where the API server of this machine listens."""
    host = env.get("AIRFLOW__API__HOST", "")
    host = "127.0.0.1" if host in ("", "0.0.0.0", "::") else host
    return f"http://{host}:{env['AIRFLOW__API__PORT']}"


def credentials(env: Mapping[str, str]) -> tuple[str, str]:
    """The administrator's, as ECS gave it or from Secrets Manager."""
    text = env.get("DUCTWORK_SECRET_ADMIN") or secret.secrets_manager(env["AWS_REGION"])(
        env["DUCTWORK_ADMIN_SECRET_ARN"]
    )
    document = json.loads(text)
    return document["username"], document["password"]


class Api:
    """The API server, with a token that is got when it is needed."""

    def __init__(self, url: str, log_in: Credentials) -> None:
        self.url, self.log_in, self.token = url, log_in, ""
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Status and JSON."""
        if not path.startswith(PREFIX):
            return 403, {"detail": f"only paths below {PREFIX} are passed on"}
        if self.token:
            status, document = self._send(method, path, body)
            if status != 401:
                return status, document
        user, password = self.log_in()
        status, document = self._send("POST", "/auth/token", {"username": user, "password": password})
        if status >= 300:
            # What the server finds wrong with the form it shows as it came.
            return status, {"detail": "the API server refuses the administrator's password"}
        self.token = document["access_token"]
        return self._send(method, path, body)

    def _send(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        request = urllib.request.Request(f"{self.url}{path}", method=method)  # noqa: S310
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        if self.token and path.startswith(PREFIX):
            request.add_header("Authorization", f"Bearer {self.token}")
        try:
            with self.opener.open(request, timeout=API_SECONDS) as answer:
                return answer.status, _json(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, _json(error.read())


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


class Relay:
    """The loop's state."""

    def __init__(self, environment: str, bucket: str, s3: Any, api: Api, who: str) -> None:
        self.environment, self.bucket, self.s3, self.api, self.who = environment, bucket, s3, api, who
        self.tag = ""
        self.seen: dict[str, None] = {}

    def round(self) -> bool:
        """Answers what is new; whether there was anything."""
        tag, requests = self.new_requests()
        for request in requests:
            self.seen[request["id"]] = None
            key = contract.answer_key(self.environment, request["id"])
            if self.put(key, {"by": self.who}, IfNoneMatch="*"):
                self.put(key, {"by": self.who, **self.answer(request)})
        # Only now: what a fault has left is looked at again.
        self.tag = tag
        return bool(requests)

    def new_requests(self) -> tuple[str, list[dict[str, Any]]]:
        """The document's tag, and those that are in it for the first time."""
        condition = {"IfNoneMatch": self.tag} if self.tag else {}
        try:
            got = self.s3.get_object(
                Bucket=self.bucket, Key=contract.relay_key(self.environment), **condition
            )
        except self.s3.exceptions.ClientError as error:
            if _code(error) in NOTHING_NEW:
                return self.tag, []
            raise
        listed = json.loads(got["Body"].read())["requests"]
        for old in list(self.seen)[:-MOST_KEPT]:
            del self.seen[old]
        now = parsedate_to_datetime(got["ResponseMetadata"]["HTTPHeaders"]["date"])
        if (now - got["LastModified"]).total_seconds() >= LIVES_SECONDS:
            self.seen |= dict.fromkeys(request["id"] for request in listed)
        return got["ETag"], [request for request in listed if request["id"] not in self.seen]

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """What the API server says, or why it says nothing."""
        try:
            status, body = self.api.ask(request["method"], request["path"], request.get("body"))
        except Exception as error:  # whatever it is: whoever asks has to hear of it
            return {"fault": f"{type(error).__name__}: {error}".splitlines()[0][:500]}
        return {"status": status, "body": None if request["path"].startswith(WITHHELD) else body}

    def put(self, key: str, document: Mapping[str, Any], **condition: str) -> bool:
        """Whether it was written; it is not if another one was first."""
        body = json.dumps(document).encode()
        try:
            self.s3.put_object(
                Bucket=self.bucket, Key=key, Body=body, ContentType="application/json", **condition
            )
        except self.s3.exceptions.ClientError as error:
            if condition and _code(error) in TAKEN:
                return False
            raise
        return True


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code"))


class Pace:
    """How long to wait for the next look."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock, self.busy_until = clock, 0.0

    def after(self, asked: bool) -> float:
        """Seconds."""
        now = self.clock()
        if asked:
            self.busy_until = now + STAYS_BUSY_SECONDS
        return BUSY_SECONDS if now < self.busy_until else IDLE_SECONDS


def of_this_server(env: Mapping[str, str]) -> Relay:
    """Asks AWS who this is, which may fail on a machine that has just been started."""
    s3 = background.client("s3", env["AWS_REGION"])
    name = send.identity(env)["id"]
    api = Api(base(env), lambda: credentials(env))
    return Relay(env["DUCTWORK_ENVIRONMENT"], env["DUCTWORK_ARTIFACT_BUCKET"], s3, api, name)


def serve(make: Callable[[], Relay], is_over: Callable[[float], bool]) -> None:
    """Goes on whatever happens, until it is over; that is asked for so many seconds between two looks."""
    relay, pace, faults, wait = None, Pace(), companion.Told("relay"), IDLE_SECONDS
    while not is_over(wait):
        asked, fault = False, None
        try:
            relay = relay or make()
            asked = relay.round()
        except Exception as error:  # whatever it is: the next round tries again
            fault = f"{type(error).__name__}: {error}".splitlines()[0]
        faults.tell(fault)
        wait = pace.after(asked)


def main() -> int:
    """Ends with the API server; a stop that reaches the whole group is none for this process."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.environ.update(background.host_values())
    poll = select.poll()
    poll.register(int(sys.argv[1]), select.POLLIN)
    serve(lambda: of_this_server(os.environ), lambda seconds: bool(poll.poll(seconds * 1000)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
