"""Keeps ECS from ending a worker's task under its Airflow tasks: a thread of the worker's main process.

What the keeper is to a host, from the same marks of `worker_signals.py`: the ECS task is protected from scale-in and
deployments from before its first Airflow task begins until a minute after the last one's log is uploaded. A protection
ends by itself, so it is renewed; an agent that does not answer is asked again and is never a reason to end a task.

ECS leaves a protected task alone when the service gets another revision, so the worker asks by itself, while it is
protected, what its service runs. Once the tasks of another revision are there it takes no more Airflow tasks and ends
with its last one, as a host that drains does: new tasks run on new code, and a busy queue keeps no old worker. Nor does
it keep a canary, which is done once none is wanted. A worker of the set's own goes on until it is idle where fewer are
wanted: ECS starts nobody in its place before it has ended.

Protection does not help against a Spot interruption, a stopped instance or StopTask: ECS sends SIGTERM, Celery takes no
more tasks, and two minutes later all is over. Tasks that have not ended in time are told to, so that Airflow knows at
once and has their logs.

The file `protected` holds the time until which the ECS task is protected for certain. Whoever begins an Airflow task
makes its mark first and reads the file then; whoever drops the protection removes the file first and looks for marks
then. So one of the two always sees the other.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ductwork_airflow import contract
from ductwork_airflow.hosts import background, database, drain, keeper
from ductwork_airflow.images import place

log = logging.getLogger("ductwork.protection")

AGENT = "ECS_AGENT_URI"
PATIENCE_SECONDS = 5.0  # of a task that is about to begin
MINUTES = 60  # of each protection; renewed when half of it is over
ROUND_SECONDS = 0.25
RETRY_SECONDS = 2.0
LOOK_SECONDS = 10.0  # between two questions about the service
LOOKS_PER_SECOND = 5  # of all workers of a service together: ECS answers 20 in a second, to everybody
WHY = "ECS ends this task"
STOP_SECONDS = 120.0  # the longest `stopTimeout` on Fargate, and the notice of a Spot interruption


def protected_file(state: Path) -> Path:
    """There while the ECS task is protected."""
    return state / "protected"


def is_protected(state: Path, now: float) -> bool:
    """Whether a task may begin."""
    with contextlib.suppress(OSError, ValueError):
        return float(protected_file(state).read_text(encoding="utf-8")) > now
    return False


def wait(
    state: Path,
    patience: float = PATIENCE_SECONDS,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Called where a task is about to begin, after its mark was made; returns when it may."""
    deadline = clock() + patience
    while not is_protected(state, clock()):
        if clock() > deadline:
            log.warning(
                "ECS has not protected this task within %.0f s: an Airflow task begins without", patience
            )
            return False
        sleep(0.05)
    return True


def teller(environ: Mapping[str, str]) -> Callable[[], None]:
    """Leaves a loss report of the Airflow tasks that are about to be told to end: Airflow calls them failed, as if by
    themselves, and after SIGKILL nobody is left to tell."""

    def tell() -> None:
        url, host = environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"], database.hostname()
        found = drain.tell(environ, WHY, lambda connection: drain.in_work(connection, host, time.time()), url)
        for task in found or []:
            log.warning("cut short: %s", task)

    return tell


class Agent:
    """The endpoint of the container agent that knows this ECS task."""

    def __init__(self, uri: str) -> None:
        self._url = uri.rstrip("/") + "/task-protection/v1/state"
        # Never by a proxy: it is this task's own.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def protect(self, wanted: bool) -> None:
        """Sets the protection; raises where ECS does not confirm it. A refusal may come as an answer with 200."""
        words = {"ProtectionEnabled": wanted} | ({"ExpiresInMinutes": MINUTES} if wanted else {})
        answer = self._put(json.dumps(words).encode())
        if answer.get("protection", {}).get("ProtectionEnabled") is not wanted:
            said = answer.get("failure") or answer.get("error") or answer
            raise RuntimeError(f"ECS refuses: {json.dumps(said)[:300]}")

    def _put(self, body: bytes) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._url, data=body, method="PUT", headers=headers)  # noqa: S310
        try:
            with self._opener.open(request, timeout=5) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            with error:
                raise RuntimeError(f"{error.code}: {error.read(300).decode(errors='replace')}") from error


@dataclass(frozen=True)
class Seen:
    """What the service runs."""

    superseded: bool  # by tasks of another revision, all of which run, or of the set, if it is a canary
    workers: int

    @property
    def pause(self) -> float:
        """Until the next question."""
        return max(LOOK_SECONDS, self.workers / LOOKS_PER_SECOND)


def seen(service: Mapping[str, Any], definition: str) -> Seen:
    """Of an answer to DescribeServices, by a task of `definition`, which is family and revision."""
    workers = int(service.get("runningCount", 0))
    if contract.is_canary(service.get("serviceName", "")) and not service.get("desiredCount"):
        return Seen(superseded=True, workers=workers)
    for one in service.get("deployments", ()):
        if one["status"] == "PRIMARY":
            other = one["taskDefinition"].rpartition("/")[2] != definition
            there = one["runningCount"] >= one["desiredCount"] and not one.get("pendingCount")
            return Seen(other and there, workers)
    return Seen(superseded=False, workers=workers)


def looker(environ: Mapping[str, str]) -> Callable[[], Seen]:
    """Asks ECS for the service of this task; a task of none is never superseded."""
    found: list[tuple[Any, dict[str, Any]]] = []

    def look() -> Seen:
        if not found:
            task: Any = place.ask(f"{environ[place.METADATA]}/task")
            found.append((background.client("ecs", environ["AWS_REGION"]), task))
        ecs, task = found[0]
        if not (name := task.get("ServiceName")):
            return Seen(superseded=False, workers=0)
        answer = ecs.describe_services(cluster=task["Cluster"], services=[name])
        return seen((answer["services"] or [{}])[0], f"{task['Family']}:{task['Revision']}")

    return look


def take_no_more() -> None:
    """Celery gives back what it has fetched and ends with its last task. Its loop looks at this, as after SIGTERM."""
    from celery.worker import state

    state.should_stop = 0


@dataclass
class Protection:
    """The loop's state."""

    state: Path
    agent: Agent
    look: Callable[[], Seen] = lambda: Seen(superseded=False, workers=0)
    retire: Callable[[], None] = take_no_more
    clock: Callable[[], float] = time.time
    faults: background.Faults = field(default_factory=background.Faults)
    until: float | None = None  # when the protection ends that ECS has last confirmed
    idle_since: float | None = None
    ask_at: float = 0.0
    stopping_since: float | None = None  # set by Celery's handler of SIGTERM
    tell: Callable[[], None] = lambda: None
    hurried: bool = False
    look_at: float = 0.0
    retired: bool = False

    def busy(self) -> list[int]:
        """The processes that work on a task."""
        return keeper.busy_pids(self.state / "tasks")

    def round(self) -> None:
        """One look at the marks and what follows from it."""
        now = self.clock()
        if self.busy():
            self.idle_since = None
            self.hold(now)
        else:
            self.idle_since = now if self.idle_since is None else self.idle_since
            if self.until is not None and now - self.idle_since >= keeper.IDLE_SECONDS:
                self.drop(now)
        self.hurry(now)
        if self.until is not None and not self.retired and now >= self.look_at:
            self.give_way(now)

    def give_way(self, now: float) -> None:
        """To the tasks of another revision. ECS itself ends a worker that is not protected."""
        self.look_at = now + LOOK_SECONDS
        with self.faults.told("revision of the service"):
            seen = self.look()
            self.look_at = now + seen.pause
            if seen.superseded:
                self.retired = True
                log.info("the service runs another revision: this worker takes no more tasks")
                self.retire()

    def hold(self, now: float) -> None:
        """Protects, or renews in time."""
        half = MINUTES * 60 / 2
        if self.until is None or self.until - now < half or not protected_file(self.state).exists():
            self.ask(True, now)

    def drop(self, now: float) -> None:
        """Lets ECS end this task, unless an Airflow task has begun at this moment."""
        protected_file(self.state).unlink(missing_ok=True)
        if not self.busy():
            self.ask(False, now)

    def ask(self, wanted: bool, now: float) -> None:
        """Asks ECS, not more often than it is good for."""
        if now < self.ask_at:
            return
        self.ask_at = now + RETRY_SECONDS
        with self.faults.told("task protection"):
            self.agent.protect(wanted)
            self.until = now + MINUTES * 60 if wanted else None
            self.ask_at = now
            if wanted:
                self.confirm()

    def confirm(self) -> None:
        """Lets tasks begin."""
        fresh = protected_file(self.state).with_suffix(".new")
        fresh.write_text(str(self.until), encoding="utf-8")
        fresh.replace(protected_file(self.state))

    def hurry(self, now: float) -> None:
        """Shortly before SIGKILL: what still runs is told to end."""
        deadline = STOP_SECONDS - keeper.LAST_WORDS_SECONDS
        if self.hurried or self.stopping_since is None or now - self.stopping_since < deadline:
            return
        self.hurried = True
        told = self.busy()
        if told:
            with self.faults.told("loss report of what is cut short"):
                self.tell()
        for pid in told:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)  # Airflow passes it on to the task, whose on_kill runs
        log.warning(
            "ECS ends this task in %.0f s: told %d tasks to end", keeper.LAST_WORDS_SECONDS, len(told)
        )

    def run(self) -> None:
        """For as long as the worker lives."""
        while True:
            with self.faults.told("keeper of the task"):
                self.round()
            time.sleep(ROUND_SECONDS)


def start(environ: Mapping[str, str]) -> Protection:
    """Begins to look after this worker. A thread of the main process ends with it."""
    state = Path(environ["DUCTWORK_STATE"])
    protected_file(state).unlink(missing_ok=True)
    protection = Protection(state, Agent(environ[AGENT]), looker(environ), tell=teller(environ))
    threading.Thread(target=protection.run, name="ductwork-protection", daemon=True).start()
    return protection
