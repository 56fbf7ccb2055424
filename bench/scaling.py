"""Simulates worker hosts under loads of several shapes: our scaling beside the formulas of five older systems.

    python3 bench/scaling.py            # every shape, as the tables in bench/README.md
    python3 bench/scaling.py burst day  # some

Our side is `ductwork_airflow/scaling/arithmetic.py` itself. The others are written down from their sources: formula,
alarms, cooldowns, bounds, and what becomes of the tasks of a host that is scaled in. Everything else is the same for
all: hosts of four slots that take tasks three minutes after their launch, one queue, first come, first served.

Time has whole seconds; seconds in which nothing happens are skipped. The loads are drawn once from fixed seeds.
"""

from __future__ import annotations

import heapq
import math
import random
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "airflow"))
from ductwork_airflow.scaling import arithmetic

BOOT_SECONDS = 180
CONCURRENCY = 4
STOP_SECONDS = 20  # an idle host is paid until its worker has stopped
NOTICE_SECONDS = 300  # [scheduler] task_instance_heartbeat_timeout: until Airflow tries a killed task again
HOUR = 3600


# --- loads


@dataclass(frozen=True)
class Shape:
    """A load: tasks as (second of arrival, seconds of work), and how long is looked at it."""

    name: str
    what: str
    tasks: list[tuple[int, int]]
    horizon: int
    parallelism: int | None = None  # tasks that Airflow hands out at once; the others are `scheduled`


def burst() -> Shape:
    tasks = [(1800, 300)] * 120
    return Shape("burst", "120 tasks of 5 min at one moment, nothing else", tasks, 6 * HOUR)


def backfill() -> Shape:
    draw = random.Random(1)  # noqa: S311
    tasks = [(600, draw.randint(120, 600)) for _ in range(1500)]
    return Shape(
        "backfill", "1500 tasks of 2-10 min at one moment, Airflow hands out 32", tasks, 30 * HOUR, 32
    )


def long_task() -> Shape:
    tasks = [(1800 + 5 * number, 180) for number in range(60)]
    tasks.append((2000, 6 * HOUR))
    return Shape("long", "60 tasks of 3 min, and among them one of 6 h", sorted(tasks), 24 * HOUR)


def idle() -> Shape:
    return Shape(
        "idle", "one task of 1 min every two hours", [(1800 + 7200 * n, 60) for n in range(6)], 12 * HOUR
    )


def flapping() -> Shape:
    tasks = [(1800 + 600 * wave, 150) for wave in range(36) for _ in range(24)]
    return Shape("flapping", "24 tasks of 2.5 min every ten minutes, for six hours", tasks, 9 * HOUR)


def day() -> Shape:
    """A working day: a wave of arrivals, hourly batches, and durations with a long tail."""
    draw = random.Random(2)  # noqa: S311
    tasks, second = [], 0.0
    while second < 24 * HOUR:
        rate = 0.2 + 4.0 * max(0.0, math.sin(math.pi * (second / HOUR - 6) / 14)) ** 2
        second += draw.expovariate(rate / 60)
        tasks.append((int(second), max(5, min(7200, int(draw.lognormvariate(4.4, 1.0))))))
    tasks += [(hour * HOUR, 240) for hour in range(1, 24) for _ in range(30)]
    tasks = sorted(task for task in tasks if task[0] < 24 * HOUR)
    return Shape(
        "day", "a day: few tasks at night, 4 a minute at noon, 30 at each full hour", tasks, 30 * HOUR
    )


SHAPES: dict[str, Callable[[], Shape]] = {
    "burst": burst,
    "backfill": backfill,
    "long": long_task,
    "idle": idle,
    "flapping": flapping,
    "day": day,
}


# --- hosts


@dataclass
class Task:
    """A task; `left` is what a killed one has to do again, so all of it."""

    arrival: int
    duration: int
    finished: int | None = None


@dataclass(eq=False)
class Host:
    """A worker host."""

    launched: int
    ready: int
    tasks: dict[int, Task] = field(default_factory=dict)
    idle_since: int | None = None
    ending: bool = False
    takes: bool = True
    gone_at: int | None = None

    def free(self, now: int) -> int:
        return CONCURRENCY - len(self.tasks) if self.takes and now >= self.ready else 0


class Fleet:
    """The hosts, the queue and the clock."""

    def __init__(self, shape: Shape, policy: Policy) -> None:
        self.shape, self.policy = shape, policy
        self.now = 0
        self.hosts: list[Host] = [Host(-BOOT_SECONDS, 0, idle_since=0) for _ in range(policy.least)]
        self.desired = policy.least
        self.scheduled: deque[Task] = deque()
        self.queued: deque[Task] = deque()
        self.all = [Task(*task) for task in shape.tasks]
        self.coming = deque(self.all)
        self.again: list[tuple[int, int, Task]] = []
        self.ends: list[tuple[int, int, Host]] = []
        self.counter = 0
        self.paid = 0
        self.killed = 0

    # what policies look at
    @property
    def live(self) -> list[Host]:
        """Hosts that are not ending, booting ones included."""
        return [host for host in self.hosts if not host.ending]

    @property
    def serving(self) -> list[Host]:
        """Hosts in service."""
        return [host for host in self.hosts if not host.ending and host.ready <= self.now]

    @property
    def running(self) -> int:
        """Tasks that run according to Airflow: also killed ones, until it notices."""
        return sum(len(host.tasks) for host in self.hosts) + len(self.again)

    # one step
    def run(self) -> Result:
        """The whole load; ends when nothing is left to do and nothing to pay that could still change."""
        while self.now < self.shape.horizon:
            self.happen()
            after = min(self.next_event(), self.shape.horizon)
            self.policy.watch(self, after - self.now)
            self.paid += (after - self.now) * len(self.hosts)
            self.now = after
        return Result.of(self)

    def next_event(self) -> int:
        times = [self.now - self.now % self.policy.tick + self.policy.tick]
        times += [self.coming[0].arrival] if self.coming else []
        times += [self.again[0][0]] if self.again else []
        times += [self.ends[0][0]] if self.ends else []
        for host in self.hosts:
            times += [time for time in (host.ready, host.gone_at) if time is not None and time > self.now]
        return max(self.now + 1, min(times))

    def happen(self) -> None:
        self.finish_tasks()
        self.remove_hosts()
        while self.coming and self.coming[0].arrival <= self.now:
            self.scheduled.append(self.coming.popleft())
        while self.again and self.again[0][0] <= self.now:
            self.scheduled.appendleft(heapq.heappop(self.again)[2])
        self.hand_out()
        if self.now % self.policy.tick == 0:
            self.desired = max(self.policy.least, min(self.policy.most, self.policy.decide(self)))
            self.reconcile()

    def finish_tasks(self) -> None:
        while self.ends and self.ends[0][0] <= self.now:
            _, key, host = heapq.heappop(self.ends)
            task = host.tasks.pop(key, None)  # none: it was killed
            if task is not None:
                task.finished = self.now
                if not host.tasks:
                    host.idle_since = self.now

    def remove_hosts(self) -> None:
        for host in list(self.hosts):
            if host.ending and host.gone_at is None and not host.tasks:
                host.gone_at = self.now + STOP_SECONDS
            if host.gone_at is not None and host.gone_at <= self.now:
                for task in host.tasks.values():
                    self.killed += 1
                    self.counter += 1
                    heapq.heappush(self.again, (self.now + NOTICE_SECONDS, self.counter, task))
                self.hosts.remove(host)

    def hand_out(self) -> None:
        limit = self.shape.parallelism or len(self.all) + 1
        active = len(self.queued) + self.running
        while self.scheduled and active < limit:
            self.queued.append(self.scheduled.popleft())
            active += 1
        for host in self.hosts:
            while self.queued and host.free(self.now) > 0:
                task = self.queued.popleft()
                self.counter += 1
                host.tasks[self.counter] = task
                host.idle_since = None
                heapq.heappush(self.ends, (self.now + task.duration, self.counter, host))
            if host.idle_since is None and not host.tasks and host.ready <= self.now:
                host.idle_since = self.now

    def reconcile(self) -> None:
        live = self.live
        for _ in range(self.desired - len(live)):
            self.hosts.append(Host(self.now, self.now + BOOT_SECONDS))
        if len(live) > self.desired:
            chosen = [host for host in live if self.policy.may_end(host, self.now)]
            for host in chosen[: len(live) - self.desired]:  # the oldest first
                host.ending = True
                host.takes = self.policy.takes_while_ending
                if self.policy.kill_after is not None:
                    host.gone_at = self.now + self.policy.kill_after
                    if not host.tasks and not host.takes:
                        host.gone_at = self.now + STOP_SECONDS


@dataclass(frozen=True)
class Result:
    """What a system made of a load."""

    mean_wait: float
    p95_wait: float
    host_minutes: float
    killed: int
    unfinished: int

    @staticmethod
    def of(fleet: Fleet) -> Result:
        waits = sorted(
            (fleet.now if task.finished is None else task.finished - task.duration) - task.arrival
            for task in fleet.all
        )
        return Result(
            sum(waits) / len(waits),
            waits[min(len(waits) - 1, math.ceil(0.95 * len(waits)) - 1)],
            fleet.paid / 60,
            fleet.killed,
            sum(task.finished is None for task in fleet.all),
        )


# --- systems


class Policy:
    """What a system looks at and does."""

    tick = 60
    # Seconds that a host which is scaled in gives its tasks; None waits for them.
    kill_after: int | None = None
    takes_while_ending = False

    def __init__(self, name: str, least: int, most: int) -> None:
        self.name, self.least, self.most = name, least, most

    def watch(self, fleet: Fleet, seconds: int) -> None:
        """Sees the seconds that pass until the next event, in which nothing changes."""

    def decide(self, fleet: Fleet) -> int:
        """The number of hosts wanted now."""
        raise NotImplementedError

    def may_end(self, host: Host, now: int) -> bool:
        """Whether scale-in may choose a host."""
        return True


class Ductwork(Policy):
    """Our arithmetic.py with its defaults, every 15 s; the keeper protects a host with tasks and for a minute after."""

    tick = 15
    idle_seconds = 60

    def __init__(self, least: int = 0, most: int = 10) -> None:
        super().__init__("**ductwork**", least, most)
        self.rule = arithmetic.Rule(CONCURRENCY)
        self.memory: arithmetic.Memory | None = None

    def decide(self, fleet: Fleet) -> int:
        load = arithmetic.Load(len(fleet.queued), fleet.running)
        bounds = arithmetic.Bounds(self.least, self.most)
        decision = arithmetic.decide(self.rule, load, bounds, fleet.desired, self.memory, float(fleet.now))
        self.memory = decision.memory
        return decision.capacity

    def may_end(self, host: Host, now: int) -> bool:
        if now < host.ready:
            return True
        return not host.tasks and host.idle_since is not None and now - host.idle_since >= self.idle_seconds


class Turbine(Policy):
    """villasv/aws-airflow-stack: ClusterLoad is the share of time in which workers do not ask an empty queue, of the
    five minutes that began 10 to 15 minutes ago; one host more at 0.9, one less at 0.5, then ten minutes of nothing.
    A host that is scaled in works on, and takes tasks, until its hook times out after 180 s."""

    kill_after: int | None = 180
    takes_while_ending = True
    window = 300
    polls = 0.098444  # empty receives per second of a worker with a free slot, from its source
    growth, shrink = 0.9, 0.5

    def __init__(self, name: str = "Turbine", cooldown: int = 600) -> None:
        super().__init__(name, 0, 10)
        self.cooldown = cooldown
        self.quiet_until = 0
        self.sums: dict[int, list[float]] = {}  # window -> empty receives, host seconds, most messages

    def watch(self, fleet: Fleet, seconds: int) -> None:
        sums = self.sums.setdefault(fleet.now // self.window, [0.0, 0.0, 0.0])
        if not fleet.queued:
            sums[0] += seconds * self.polls * sum(host.free(fleet.now) > 0 for host in fleet.hosts)
        sums[1] += seconds * len(fleet.serving)
        sums[2] = max(sums[2], len(fleet.queued))

    def load(self, now: int) -> float | None:
        empty, seconds, messages = self.sums.get(now // self.window - 2, [0.0, 0.0, 0.0])
        if seconds:
            return 1 - empty / (seconds * self.polls)
        return 1.0 if messages else None

    def decide(self, fleet: Fleet) -> int:
        load = self.load(fleet.now)
        if load is None or fleet.now < self.quiet_until:
            return fleet.desired
        step = 1 if load >= self.growth else -1 if load <= self.shrink else 0
        if self.least <= fleet.desired + step <= self.most and step:
            self.quiet_until = fleet.now + self.cooldown
            return fleet.desired + step
        return fleet.desired


class Psyclone(Turbine):
    """Dativa's fork: alarms of one minute, a cooldown of three, and a drain that works."""

    kill_after = None
    takes_while_ending = False

    def __init__(self) -> None:
        super().__init__("psyclone", cooldown=180)


class Shares(Policy):
    """A system that looks at a share per minute, such as CPU. Every task is taken to keep its slot's part of the
    processor busy all the time, which is the best case for these: tasks that wait for others use none."""

    kill_after: int | None = 30  # ECS's default stopTimeout; its worker takes no more tasks

    def __init__(self, name: str, least: int, most: int) -> None:
        super().__init__(name, least, most)
        self.sum = 0.0
        self.minutes: deque[float] = deque(maxlen=15)
        self.quiet_out = self.quiet_in = 0

    def share(self, fleet: Fleet) -> float:
        hosts = fleet.serving
        return sum(len(host.tasks) for host in hosts) / (CONCURRENCY * len(hosts)) if hosts else 0.0

    def watch(self, fleet: Fleet, seconds: int) -> None:
        self.sum += seconds * self.share(fleet)

    def decide(self, fleet: Fleet) -> int:
        self.minutes.append(self.sum / self.tick)
        self.sum = 0.0
        return self.judge(fleet)

    def judge(self, fleet: Fleet) -> int:
        """The number of hosts, from the minutes so far."""
        raise NotImplementedError

    def over(self, minutes: int, true: Callable[[float], bool]) -> bool:
        """Whether something held in each of the last minutes."""
        return len(self.minutes) >= minutes and all(map(true, list(self.minutes)[-minutes:]))


class Freckle(Shares):
    """FreckleIOT/ecs-airflow: CPU above 75 % for two minutes +10 or +30 %, below 15 % the same less; 60 s cooldown. Of
    one to four tasks each of these percentages is one task."""

    def __init__(self) -> None:
        super().__init__("FreckleIOT", 1, 4)

    def judge(self, fleet: Fleet) -> int:
        if fleet.now < self.quiet_out:
            return fleet.desired
        step = (
            1 if self.over(2, lambda cpu: cpu > 0.75) else -1 if self.over(2, lambda cpu: cpu < 0.15) else 0
        )
        if step:
            self.quiet_out = fleet.now + 60
        return fleet.desired + step


class Tracking(Shares):
    """Target tracking of Application Auto Scaling: out after 3 minutes above the target, in after 15 below 90 % of it,
    each time in proportion, from zero to one."""

    out_cooldown, in_cooldown = 300, 300

    def ratios(self, fleet: Fleet, share: float) -> list[float]:
        """Each metric of a minute over its target."""
        raise NotImplementedError

    def judge(self, fleet: Fleet) -> int:
        now = fleet.now
        last = max(self.ratios(fleet, self.minutes[-1]))
        if self.over(3, lambda share: max(self.ratios(fleet, share)) > 1) and now >= self.quiet_out:
            self.quiet_out = now + self.out_cooldown
            return max(fleet.desired, math.ceil(fleet.desired * last - 1e-9), 1)
        low = self.over(15, lambda share: max(self.ratios(fleet, share)) < 0.9)
        if low and now >= max(self.quiet_in, self.quiet_out):
            self.quiet_in = now + self.in_cooldown
            return min(fleet.desired, math.ceil(fleet.desired * last - 1e-9))
        return fleet.desired


class Fairflow(Tracking):
    """fairflow-cdk, highly available: CPU 70 % and memory 70 %, two to four workers, cooldown 60 s out and 300 s in.
    Memory: a quarter for the worker itself and 60 % for four tasks."""

    out_cooldown = 60

    def __init__(self) -> None:
        super().__init__("fairflow", 2, 4)

    def ratios(self, fleet: Fleet, share: float) -> list[float]:
        return [share / 0.7, (0.25 + 0.6 * share) / 0.7]


class Hankehly(Tracking):
    """deploy-airflow-on-ecs-fargate: queued and running tasks per worker, over the tasks that a worker shall have (its
    constant 5 is our number of slots), 200 % where there is no worker; zero to five workers."""

    def __init__(self) -> None:
        super().__init__("hankehly", 0, 5)

    def share(self, fleet: Fleet) -> float:
        needed, there = (len(fleet.queued) + fleet.running) / CONCURRENCY, len(fleet.live)
        if there == 0:
            return 2.0 if needed else 1.0
        return needed / there

    def ratios(self, fleet: Fleet, share: float) -> list[float]:
        return [share]


# Each system beside ours with its bounds: more hosts would make any formula wait less.
SYSTEMS: list[Callable[[], Policy]] = [
    Turbine,
    Psyclone,
    lambda: Ductwork(0, 10),
    Hankehly,
    lambda: Ductwork(0, 5),
    Freckle,
    lambda: Ductwork(1, 4),
    Fairflow,
    lambda: Ductwork(2, 4),
]


def simulate(shape: Shape, policy: Policy) -> Result:
    """One load on one system."""
    return Fleet(shape, policy).run()


def duration(seconds: float) -> str:
    """Minutes and seconds."""
    return f"{int(seconds + 0.5) // 60}:{int(seconds + 0.5) % 60:02d}"


def table(shape: Shape) -> str:
    """The rows of one load, in Markdown."""
    lines = [
        f"**{shape.name}**: {shape.what}.",
        "",
        "| system | hosts | mean wait | p95 wait | host-minutes | killed | unfinished |",
        "|---|---|---|---|---|---|---|",
    ]
    for make in SYSTEMS:
        policy = make()
        found = simulate(shape, policy)
        lines.append(
            f"| {policy.name} | {policy.least}-{policy.most} | {duration(found.mean_wait)} | "
            f"{duration(found.p95_wait)} | {found.host_minutes:.0f} | {found.killed} | {found.unfinished} |"
        )
    return "\n".join(lines) + "\n"


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in SHAPES]
    if unknown:
        print(f"error: no such shape: {', '.join(unknown)}; there are {', '.join(SHAPES)}", file=sys.stderr)
        return 2
    for name in names or SHAPES:
        print(table(SHAPES[name]()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
