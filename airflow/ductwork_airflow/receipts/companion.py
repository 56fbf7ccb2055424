"""Says what a component runs, for as long as it runs: a process beside it that writes its receipt.

`python -S -m ductwork_airflow.receipts.companion COMPONENT PIDFD`, begun by `run.become` just before the process turns
into the component. It inherits a file descriptor of that process, which tells the moment of its end, and takes all else
from the environment that the component starts with: a receipt tells of the process, not of what is installed by now.

The receipt is written when it has changed and every five minutes, with the same bytes: the date that S3 gives the
object is the heartbeat, by a clock that all hosts share, and the tool reads again only what has another tag. That a
worker has run another task waits for the next heartbeat; what a release waits for, a bundle, the smoke test, or the
first task that ends well, does not.

The component never waits for its companion, and is not its parent. It costs 11 MB (so it imports next to nothing, and
leaves the AWS SDK to `send.py`), and in S3 8,640 requests a month: 4 US cents.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ductwork_airflow import contract
from ductwork_airflow.receipts import notes

if TYPE_CHECKING:
    import subprocess

LOOK_SECONDS = 1.0
BEAT_SECONDS = contract.RECEIPT_SECONDS
RETRY_SECONDS = 30.0
SEND_SECONDS = 60.0  # then a request hangs
# What waits for the next heartbeat.
PATIENT = "task"
PASSED_ON = ("PATH", "HOME", "LANG", "TZ", "TMPDIR", "AWS_", "ECS_", "DUCTWORK_", "PYTHONPATH", "REQUESTS_CA_BUNDLE",
             "SSL_CERT_", "no_proxy", "NO_PROXY", "https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY")  # fmt: skip
# Secrets, and the mark by which a stop finds the processes of a component.
WITHHELD = ("DUCTWORK_SECRET_", "DUCTWORK_COMPONENT=")

Send = Callable[[bytes], "subprocess.Popen[bytes]"]


def start(component: str, env: Mapping[str, str]) -> None:
    """Begins the companion of this process, which is about to become the component. A fault keeps nobody from it."""
    if not env.get("DUCTWORK_ARTIFACT_BUCKET") or not env.get("DUCTWORK_STATE"):
        return
    try:
        notes.clear(Path(env["DUCTWORK_STATE"]), component)
        process = os.pidfd_open(os.getpid())
        command = [sys.executable, "-S", "-m", "ductwork_airflow.receipts.companion", component, str(process)]
        _beside(command, passed_on(env), process)
        if component == "api-server":
            command = [sys.executable, "-m", "ductwork_airflow.receipts.relay", str(process)]
            _beside(command, for_relay(env, os.environ), process)
        os.close(process)
    except OSError as error:
        tell(f"no receipts of {component}: {error}")


def _beside(command: list[str], env: dict[str, str], process: int) -> None:
    between = os.fork()
    if between == 0:
        _start(command, env, process)
    os.waitpid(between, 0)


def _start(command: list[str], env: dict[str, str], process: int) -> None:
    """In a process between the two: its child is nobody's of the component, which may wait for any child it has."""
    try:
        if os.fork() == 0:
            os.set_inheritable(process, True)
            os.execve(command[0], command, env)  # noqa: S606
    finally:
        os._exit(0)


def passed_on(env: Mapping[str, str]) -> dict[str, str]:
    """What the companion needs of a component's environment, which has secrets in it."""
    return {
        name: value
        for name, value in env.items()
        if name.startswith(PASSED_ON) and not f"{name}=".startswith(WITHHELD)
    }


def for_relay(env: Mapping[str, str], container: Mapping[str, str]) -> dict[str, str]:
    """What `relay.py` needs: besides, where the API server listens and, in a task, the secret that ECS put there."""
    listens = {name: env[name] for name in ("AIRFLOW__API__HOST", "AIRFLOW__API__PORT") if name in env}
    secret = {name: container[name] for name in ("DUCTWORK_SECRET_ADMIN",) if name in container}
    return passed_on(env) | listens | secret


def tell(line: str, what: str = "receipt") -> None:
    """A line in the component's log."""
    sys.stderr.write(f"{what}: {line}\n")


class Told:
    """A fault is told when it appears and when it has gone, by the first words: request ids change."""

    def __init__(self, what: str) -> None:
        self.what, self.fault = what, ""

    def tell(self, fault: str | None) -> None:
        if (fault or "")[:60] != self.fault[:60]:
            tell(fault or "works again", self.what)
        self.fault = fault or ""


def sender(body: bytes) -> subprocess.Popen[bytes]:
    """A process that sends one receipt. With the site's packages, which this one does without."""
    import subprocess

    command = [sys.executable, "-m", "ductwork_airflow.receipts.send"]
    sending = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    if sending.stdin:
        sending.stdin.write(body)
        sending.stdin.close()
    return sending


class Companion:
    """The loop's state."""

    def __init__(
        self,
        component: str,
        env: Mapping[str, str],
        send: Send = sender,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.component, self.env, self.send, self.clock = component, env, send, clock
        self.started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.sending: subprocess.Popen[bytes] | None = None
        self.begun = self.due = clock()
        self.arrived: dict[str, Any] = {}
        self.receipt: dict[str, Any] = {}
        self.proven = False  # a task that ended well has been told
        self.faults = Told("receipt")

    def look(self) -> dict[str, Any]:
        """What the component runs, as far as it is known now."""
        worker_set = self.env.get("DUCTWORK_WORKER_SET") if self.component == "worker" else ""
        return {
            "component": self.component,
            "revision": self.env.get("DUCTWORK_REVISION", "unknown"),
            **({"worker_set": worker_set} if worker_set else {}),
            "started": self.started,
            **notes.read(Path(self.env["DUCTWORK_STATE"]), self.component),
        }

    def round(self) -> None:
        """Looks after the receipt that is being sent, or sends the next one if it is time."""
        now = self.clock()
        if self.sending is not None:
            self.look_after(self.sending, now)
            return
        receipt = self.look()
        changed = not self.faults.fault and self.urgent(receipt) != self.urgent(self.arrived)
        if changed or now >= self.due:
            self.receipt, self.begun = receipt, now
            self.sending = self.send(json.dumps(receipt).encode())

    def look_after(self, sending: subprocess.Popen[bytes], now: float) -> None:
        """A receipt that did not arrive is sent again a little later."""
        code, fault = sending.poll(), None
        if code is None and now - self.begun < SEND_SECONDS:
            return
        if code is None:
            sending.kill()
            fault = f"no answer within {SEND_SECONDS:.0f} s"
        elif code:
            said = sending.stderr.read().decode(errors="replace").strip() if sending.stderr else ""
            fault = said[:500] or f"exit code {code}"
        else:
            self.arrived = self.receipt
            self.proven |= _state(self.arrived) == "success"
        sending.wait()
        self.sending = None
        self.due = now + (RETRY_SECONDS if fault else BEAT_SECONDS)
        self.faults.tell(fault)

    def urgent(self, receipt: Mapping[str, Any]) -> dict[str, Any]:
        """What of a receipt does not wait. Until a task has ended well that is how the last one ended, too, so a new
        worker has two such receipts at most."""
        state = None if self.proven else _state(receipt)
        return {name: value for name, value in receipt.items() if name != PATIENT} | {PATIENT: state}

    def end(self) -> None:
        """The component has ended."""
        if self.sending is not None:
            self.sending.kill()


def _state(receipt: Mapping[str, Any]) -> str | None:
    state = receipt.get(PATIENT, {}).get("state")
    return None if state is None else str(state)


def main() -> int:
    """Ends with the component; a stop that reaches the whole group is none for this process."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    component, process = sys.argv[1], int(sys.argv[2])
    companion = Companion(component, os.environ)
    poll = select.poll()
    poll.register(process, select.POLLIN)
    while not poll.poll(LOOK_SECONDS * 1000):
        companion.round()
    companion.end()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
