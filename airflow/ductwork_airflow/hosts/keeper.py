"""Keeps a worker host from ending under its tasks: `python -m ductwork_airflow.hosts.keeper`.

Every five seconds it asks the host itself, and calls AWS only where something changes:
- A host with a task is protected from scale-in; one without has lost the protection a minute later, so that Auto
  Scaling, which asks nobody, ends idle hosts only.
- A host that ends all the same (chosen in the moment before its first task, an instance refresh, an empty zone) drains:
  the gate closes, the worker gets SIGTERM, and Auto Scaling hears a heartbeat each minute until the worker and every
  task have ended, logs uploaded. There is no budget but Auto Scaling's own: 100 times the hook's timeout, at most 48 h.
- A host that a rollout replaces works on standby until others have come, then ends in the same way, with the budget
  of rollouts: tasks that are left at its end are told to end, and killed 30 seconds later.
- A Spot interruption leaves two minutes. Tasks that have not ended in time are told to, so that Airflow knows at once
  and has their logs.

Busy is what Celery's own signals say (worker_signals.py): from before a task is `running` for Airflow until after its
log's upload, seconds after it is `success`. The database knows neither, and may be away.

It signals the worker itself instead of `svc stop`, which needs root on EC2 and kills after the budget of a rollout. A
worker that its supervisor starts again finds the gate closed. Runs as the worker's user.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ductwork_airflow import contract
from ductwork_airflow.hosts import background, envfile, gate, metadata, services

log = logging.getLogger("ductwork.keeper")

ROUND_SECONDS = 5.0  # AWS's advice for Spot interruptions
IDLE_SECONDS = 60.0
HEARTBEAT_SECONDS = 60.0
# A task that is told to end gets this time before EC2 switches the host off.
LAST_WORDS_SECONDS = 30.0
# `target-lifecycle-state` of a host that Auto Scaling is about to end, and of one that a rollout is replacing.
ENDING = "Terminated"
STANDBY = "Standby"


def busy_pids(folder: Path) -> list[int]:
    """The pool processes that work on a task, log upload included; marks of those that have died are removed."""
    import psutil

    found = []
    for mark in folder.iterdir() if folder.is_dir() else ():
        with contextlib.suppress(OSError, ValueError):
            pid = int(mark.name)
            try:
                process = psutil.Process(pid)
                # A process that is younger than the mark's last word only has the number in common.
                lives = process.create_time() <= mark.stat().st_mtime + 1
                lives = lives and process.status() != psutil.STATUS_ZOMBIE
            except psutil.NoSuchProcess:
                lives = False
            if lives:
                found.append(pid)
            else:
                mark.unlink()
    return found


@dataclass(frozen=True)
class Ending:
    """Why and when this host ends."""

    why: str
    deadline: float | None = None  # of a Spot interruption
    hooked: bool = False  # Auto Scaling waits to hear that it may go on
    budget: float | None = None  # seconds that tasks have from the beginning of the drain


def deadline_of(text: str) -> float | None:
    """The time in a Spot notice, in seconds since the epoch."""
    try:
        return datetime.fromisoformat(json.loads(text)["time"].replace("Z", "+00:00")).timestamp()
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


@dataclass
class Keeper:
    """The loop's state. After a restart in the middle of a drain it finds the gate closed and goes on."""

    env: Mapping[str, str]
    metadata: metadata.Metadata
    autoscaling: Any
    main_pid: Callable[[str], int | None] = services.main_pid
    clock: Callable[[], float] = time.time
    idle_seconds: float = IDLE_SECONDS
    heartbeat_seconds: float = HEARTBEAT_SECONDS
    faults: background.Faults = field(default_factory=background.Faults)
    instance: str = ""
    ending: Ending | None = None
    protected: bool | None = None
    idle_since: float | None = None
    signalled: dict[int, float] = field(default_factory=dict)
    heard: float = 0.0
    hurried: bool = False
    reported: bool = False
    completed: bool = False

    @property
    def group(self) -> str:
        """This host's Auto Scaling group."""
        return background.given(background.own_set(self.env).get("auto_scaling_group"))

    @property
    def tasks(self) -> Path:
        """Where the worker's processes mark their tasks."""
        return Path(self.env["DUCTWORK_STATE"], "tasks")

    @property
    def replaced(self) -> Path:
        """There once a rollout has put this host on standby, and until it is back in service."""
        return Path(self.env["DUCTWORK_STATE"], "worker.replaced")

    def round(self) -> None:
        """One look at the host and what follows from it."""
        with self.faults.told("instance metadata"):
            self.ending = self.look()
        if self.ending is None:
            self.open_gate()
            self.protect()
        else:
            self.drain(self.ending)
        background.beat(self.env, "keeper")

    def look(self) -> Ending | None:
        """Whether this host ends. Once it does it stays so, whatever the service says later, but for a Spot notice that
        has gone: a host that was only stopped or hibernated works again."""
        self.instance = self.instance or self.metadata.get("instance-id") or ""
        notice = self.metadata.get("spot/instance-action")
        deadline = deadline_of(notice) if notice else None
        state = self.metadata.get("autoscaling/target-lifecycle-state")
        if state == ENDING:
            if not self.replaced.exists():
                return Ending("Auto Scaling ends this host", deadline, hooked=True)
            budget = float(self.env.get("DUCTWORK_DRAIN_SECONDS") or 0) or None
            return Ending("a rollout has replaced this host", deadline, hooked=True, budget=budget)
        self.note(state)
        return Ending("Spot interruption", deadline) if notice else None

    def note(self, state: str | None) -> None:
        """Remembers, also for a keeper that is started again, that this host is being replaced."""
        if state == STANDBY and not self.replaced.exists():
            self.replaced.touch()
            log.info("a rollout replaces this host: it works until others have come")
        elif state != STANDBY:
            self.replaced.unlink(missing_ok=True)

    # -- a host that stays
    def open_gate(self) -> None:
        """Lets workers start; something is in the way only after a host was stopped and started again."""
        file = gate.closed_file(self.env)
        if file.exists():
            file.unlink()
            log.info("this host stays: the gate is open")
        self.signalled.clear()
        self.hurried = self.reported = self.completed = False

    def protect(self) -> None:
        """Protection from scale-in follows the tasks, at once on and late off."""
        now = self.clock()
        if busy_pids(self.tasks):
            self.idle_since = None
            self.set_protection(True)
        else:
            self.idle_since = now if self.idle_since is None else self.idle_since
            if now - self.idle_since >= self.idle_seconds:
                self.set_protection(False)

    def set_protection(self, wanted: bool) -> None:
        """Calls AWS where it is not so already. Fails for a host that is not in service, and is tried again."""
        if self.protected == wanted or not self.group or not self.instance:
            return
        with self.faults.told("scale-in protection"):
            self.autoscaling.set_instance_protection(
                InstanceIds=[self.instance], AutoScalingGroupName=self.group, ProtectedFromScaleIn=wanted
            )
            self.protected = wanted
            log.info("protected from scale-in" if wanted else "idle: may be scaled in")

    # -- a host that ends
    def drain(self, ending: Ending) -> None:
        """One step: no new task, running ones end by themselves, then Auto Scaling may go on."""
        self.close_gate(ending)
        working = self.stop_worker() | set(busy_pids(self.tasks))
        if ending.hooked and not self.completed:
            self.keep_waiting()
        if working:
            self.hurry(ending, working)
        else:
            self.report(ending)
            if ending.hooked and not self.completed:
                self.complete()

    def close_gate(self, ending: Ending) -> None:
        """From here on a worker that starts waits."""
        file = gate.closed_file(self.env)
        if file.exists():
            return
        file.write_text(ending.why, encoding="utf-8")
        log.info("%s: the worker takes no more tasks, %d are running", ending.why, len(busy_pids(self.tasks)))

    def stop_worker(self) -> set[int]:
        """Sends SIGTERM, once, to the worker's main process and to each that came after it. Returns those that live."""
        pid = self.main_pid("worker")
        if pid and pid not in self.signalled and not gate.waits(self.env, pid):
            begun = services.started(pid)
            if begun is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
                self.signalled[pid] = begun
        return {one for one, begun in self.signalled.items() if services.started(one) == begun}

    def keep_waiting(self) -> None:
        """A heartbeat, when one is due."""
        if self.clock() - self.heard < self.heartbeat_seconds:
            return
        with self.faults.told("lifecycle heartbeat"):
            self.autoscaling.record_lifecycle_action_heartbeat(**self.action())
            self.heard = self.clock()

    def deadline(self, ending: Ending) -> float | None:
        """When tasks must have ended, if there is such a time."""
        ends = [ending.deadline] if ending.deadline is not None else []
        if ending.budget is not None:
            ends.append(gate.closed_file(self.env).stat().st_mtime + ending.budget)
        return min(ends, default=None)

    def hurry(self, ending: Ending, working: set[int]) -> None:
        """Shortly before the deadline: what still runs is told to end. What is left then is killed, unless EC2
        switches the host off anyway."""
        deadline, now = self.deadline(ending), self.clock()
        if deadline is None or now < deadline - LAST_WORDS_SECONDS:
            return
        if self.hurried:
            if ending.budget is not None and now >= deadline:
                for pid in working:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            return
        self.hurried = True
        told = [pid for pid in busy_pids(self.tasks) if pid in working]
        if told:
            self.tell("--told", "--why", ending.why)
        for pid in told:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)  # Airflow passes it on to the task, whose on_kill runs
        log.warning("the time is over in %.0f s: told %d tasks to end", LAST_WORDS_SECONDS, len(told))

    def tell(self, *arguments: str) -> None:
        """Says, in drain.py's words, what is cut short, and leaves a loss report."""
        with self.faults.told("report of the drain"):
            command = [sys.executable, "-m", "ductwork_airflow.hosts.drain", *arguments]
            done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
            said = done.stdout.splitlines() or ["could not find out whether a task was cut short"]
            for line in said:
                log.info("%s", line)

    def report(self, ending: Ending) -> None:
        """Says once what was cut short."""
        if self.reported:
            return
        self.reported = True
        since = gate.closed_file(self.env).stat().st_mtime
        self.tell("--since", str(since), "--why", ending.why)
        log.info("the worker has ended after %.0f s", self.clock() - since)

    def complete(self) -> None:
        """Lets Auto Scaling go on."""
        with self.faults.told("lifecycle action"):
            try:
                self.autoscaling.complete_lifecycle_action(**self.action(), LifecycleActionResult="CONTINUE")
            except Exception as error:
                # Over already: by its timeout, or because a Spot interruption waits for no hook.
                if "No active Lifecycle Action" not in str(error):
                    raise
            self.completed = True
            log.info("Auto Scaling may go on")

    def action(self) -> dict[str, str]:
        """How Auto Scaling knows the hook's action."""
        return {
            "LifecycleHookName": contract.LIFECYCLE_HOOK,
            "AutoScalingGroupName": self.group,
            "InstanceId": self.instance,
        }


def main() -> int:
    """The loop; ends by SIGTERM, and a drain goes on with the next start."""
    envfile.log_to_stderr()
    env = background.environment()
    keeper = Keeper(env, metadata.metadata(env), background.client("autoscaling", env["AWS_REGION"]))
    while True:
        keeper.round()
        time.sleep(ROUND_SECONDS)


if __name__ == "__main__":
    raise SystemExit(main())
