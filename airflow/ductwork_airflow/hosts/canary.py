"""Lets one host of a worker set get a release before the others: `python -m ductwork_airflow.hosts.canary`.

Called by the hooks of CodeDeploy before they stop a worker, since CodeDeploy itself cannot pause after the first host.
The release tool leaves a notice in the artifact bucket (`xtask/src/apply/rollout/election.rs`). The first host to claim
it is the canary and goes on; the others keep working until the tool has judged it by the tasks that it runs.

Exit code 4: this host must not be changed, and the last line says why. Any other failure is one of this program, on a
host in any state, and must not stop a rollout.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from ductwork_airflow import contract
from ductwork_airflow.hosts import background, envfile, metadata

log = logging.getLogger("ductwork.canary")

REFUSED = 4
LOOK_SECONDS = 3.0
# The tool renews its notice every minute, and gives up when it has seen nothing for five.
ABANDONED_SECONDS = 600.0
FAULTS_SECONDS = 300.0
GO, NO = "go", "no"
# A key that is not there is forbidden to those that may not list.
ABSENT = ("404", "NoSuchKey", "403", "AccessDenied")
TAKEN = ("412", "PreconditionFailed", "409", "ConditionalRequestConflict")


@dataclass(frozen=True)
class Notice:
    """What the release tool has written about a revision that comes to the hosts of a worker set."""

    revision: str  # its key
    token: str
    wait_seconds: float
    verdict: str | None
    why: str
    age: float  # since the tool has last written it, by the clock of S3


class Bucket:
    """The two objects by which hosts and tool agree."""

    def __init__(self, env: Mapping[str, str], s3: Any) -> None:
        self.environment, self.set = env["DUCTWORK_ENVIRONMENT"], env["DUCTWORK_WORKER_SET"]
        self.name, self.s3 = env["DUCTWORK_ARTIFACT_BUCKET"], s3

    def notice(self) -> Notice | None:
        """The last one for this worker set; None if there never was one."""
        got = self._get(contract.canary_key(self.environment, self.set))
        if got is None:
            return None
        value = json.loads(got["Body"].read())
        now = parsedate_to_datetime(got["ResponseMetadata"]["HTTPHeaders"]["date"])
        return Notice(
            revision=value["revision"],
            token=value["token"],
            wait_seconds=float(value["wait_seconds"]),
            verdict=value.get("verdict"),
            why=value.get("why") or "",
            age=(now - got["LastModified"]).total_seconds(),
        )

    def claimed_by(self, token: str, host: str) -> str:
        """The canary: this host, if it is the first that asks."""
        key = contract.claim_key(self.environment, token)
        body = json.dumps({"host": host}).encode()
        try:
            self.s3.put_object(
                Bucket=self.name, Key=key, Body=body, ContentType="application/json", IfNoneMatch="*"
            )
        except self.s3.exceptions.ClientError as error:
            if _code(error) not in TAKEN:
                raise
            got = self._get(key)
            if got is None:
                raise
            return str(json.loads(got["Body"].read())["host"])
        return host

    def _get(self, key: str) -> Any:
        try:
            return self.s3.get_object(Bucket=self.name, Key=key)
        except self.s3.exceptions.ClientError as error:
            if _code(error) in ABSENT:
                return None
            raise


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code"))


def patient(clock: Callable[[], float], sleep: Callable[[float], None]) -> Callable[[Callable[[], Any]], Any]:
    """Tries for some minutes: whatever S3 has, a host must not go on for want of an answer."""

    def until_answered(ask: Callable[[], Any]) -> Any:
        begun = clock()
        while True:
            try:
                return ask()
            except Exception as error:
                if clock() - begun >= FAULTS_SECONDS:
                    raise
                log.warning("the artifact bucket does not answer, asking again: %s", error)
            sleep(LOOK_SECONDS)

    return until_answered


def refusal(
    bucket: Bucket,
    revision: str,
    host: str,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> str | None:
    """Waits until it is known whether this host may get the revision. Why it must not; None if it may."""
    answered, begun = patient(clock, sleep), clock()
    first: Notice | None = answered(bucket.notice)
    # That of another revision is none of this host's: it is launched, or goes back.
    if first is None or first.revision != revision:
        return None
    notice, token, waits = first, first.token, False
    while True:
        if notice.token != token:
            return "another deployment has taken the place of the one that changes this host"
        if notice.verdict == GO:
            return None
        if notice.verdict == NO:
            return f"this host keeps its revision: {notice.why}"
        if notice.age > ABANDONED_SECONDS:
            return "nobody judges the canary any more: the release tool has ended. Deploy again"
        if clock() - begun > first.wait_seconds:
            return f"no word about the canary within {first.wait_seconds / 60:.0f} minutes. Deploy again"
        if not waits:
            canary = answered(lambda: bucket.claimed_by(token, host))
            if canary == host:
                log.info("this host is the canary")
                return None
            log.info("waits until the canary, %s, has run a task", canary)
            waits = True
        sleep(LOOK_SECONDS)
        # It is never deleted while an environment exists.
        notice = answered(bucket.notice) or notice


def main() -> int:
    """The command line, without arguments; CodeDeploy's agent names the revision that comes."""
    envfile.log_to_stderr()
    env = background.environment()
    revision = os.environ.get("BUNDLE_KEY", "")
    if not revision or not env.get("DUCTWORK_WORKER_SET"):
        return 0
    host = metadata.metadata(env).get("instance-id") or ""
    bucket = Bucket(env, background.client("s3", env["AWS_REGION"]))
    try:
        why = refusal(bucket, revision, host)
    except Exception as error:  # whatever it is: nobody knows whether this host may go on
        why = f"the artifact bucket does not say what became of the canary: {error}"
    if why:
        log.error("%s", why)
    return REFUSED if why else 0


if __name__ == "__main__":
    raise SystemExit(main())
