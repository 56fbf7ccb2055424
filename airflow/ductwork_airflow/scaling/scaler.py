"""Scales the worker sets and publishes how the environment is: `python -m ductwork_airflow.scaling.scaler`.

Runs beside every scheduler; one leads, by a lock in the database that ends with its connection. Should that host be
lost, another leads in the next round. A round, every 15 seconds: counts task instances per queue, publishes metrics,
sets the size of each set, and deploys again what was deployed to a group of hosts while it had none.
What is decided is in arithmetic.py, and what has a size in sizes.py. Imports neither Airflow nor a model of it, which
would cost 200 MB of each host.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ductwork_airflow.hosts import background, database, deployments, envfile, executors, secret
from ductwork_airflow.scaling import arithmetic
from ductwork_airflow.scaling.sizes import AutoScalingGroups, Services, Size, Sizes

log = logging.getLogger("ductwork.scaler")

ROUND_SECONDS = 15.0
LOCK = "scaler"
# The database drops a leader that has not spoken for so long (its host is gone, or it hangs), and so frees the lock.
SILENCE_SECONDS = 45
NAMESPACE = "Ductwork"
REPAIR_SECONDS = 60.0  # between two looks at a group's last deployment
MOST_METRICS = 1000  # in one PutMetricData
JOBS = {
    "SchedulerHeartbeatAge": "SchedulerJob",
    "DagProcessorHeartbeatAge": "DagProcessorJob",
    "TriggererHeartbeatAge": "TriggererJob",
}
COUNTED = (*arithmetic.QUEUED_STATES, *arithmetic.RUNNING_STATES)


@dataclass(frozen=True)
class Look:
    """What the database says in one round."""

    loads: dict[str, arithmetic.Load]
    ages: dict[str, float | None]
    import_errors: int


def look(connection: Any, now: float, default_queue: str = "default", executor: str = "") -> Look:
    """Three small questions, each answered from an index. What another executor runs is no load of a worker."""
    states = ", ".join(f"'{state}'" for state in COUNTED)
    counted = database.rows(
        connection,
        f"select queue, state, count(*) from task_instance where state in ({states})"  # noqa: S608
        f"{executors.of_workers(executor)} group by queue, state",
    )
    beats = {
        str(kind): database.utc(beat).timestamp()
        for kind, beat in database.rows(
            connection,
            "select job_type, max(latest_heartbeat) from job"
            " where job_type in ('SchedulerJob', 'DagProcessorJob', 'TriggererJob') group by job_type",
        )
        if beat is not None
    }
    errors = int(database.rows(connection, "select count(*) from import_error")[0][0])
    ages = {metric: max(0.0, now - beats[job]) if job in beats else None for metric, job in JOBS.items()}
    return Look(arithmetic.loads([tuple(row) for row in counted], default_queue), ages, errors)


def be_mortal(connection: Any, silence_seconds: int = SILENCE_SECONDS) -> None:
    """Lets the server end this session soon after its host has gone: a lost host says no goodbye, and its connection
    would keep the lock for as long as the server waits, by default hours."""
    if connection.dialect.name == "mysql":
        connection.exec_driver_sql(
            f"set session wait_timeout = {silence_seconds}, max_execution_time = 10000"
        )
        return
    wishes = {
        "idle_session_timeout": f"{silence_seconds}s",  # since Postgres 14
        "statement_timeout": "10s",
        "tcp_keepalives_idle": "5",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "2",
    }
    for name, value in wishes.items():
        database.rows(
            connection,
            "select set_config(name, :value, false) from pg_settings where name = :name",
            name=name,
            value=value,
        )


@dataclass
class Group:
    """A worker set and what is remembered of it."""

    name: str
    settings: Mapping[str, Any]
    memory: arithmetic.Memory | None = None
    in_service: int = 0
    repair_at: float = 0.0

    @property
    def queue(self) -> str:
        return str(self.settings["queue"])

    @property
    def scaled(self) -> str:
        """Its Auto Scaling group or ECS service; empty when it has no hosts of its own."""
        if self.settings.get("on_scheduler"):
            return ""
        names = (self.settings.get(key) for key in ("auto_scaling_group", "service"))
        return next(filter(None, map(background.given, names)), "")

    @property
    def deployed(self) -> str:
        """Its deployment group; empty when it has no hosts of its own, or runs on ECS."""
        return "" if not self.scaled else background.given(self.settings.get("deployment_group"))


@dataclass
class Clients:
    """The services of AWS."""

    sizes: Sizes
    cloudwatch: Any
    codedeploy: Any = None  # of hosts


@dataclass
class Scaler:
    """The loop's state; a round may fail anywhere and the next one starts afresh."""

    env: Mapping[str, str]
    connect: Callable[[], Any]
    clients: Clients
    clock: Callable[[], float] = time.time
    groups: list[Group] = field(default_factory=list)
    faults: background.Faults = field(default_factory=background.Faults)
    connection: Any = None
    leads: bool = False

    def __post_init__(self) -> None:
        self.groups = [Group(name, values) for name, values in background.worker_sets(self.env).items()]

    @property
    def default_queue(self) -> str:
        """Where tasks go that name no queue."""
        return next((group.queue for group in self.groups if group.name == "default"), "default")

    def round(self) -> None:
        """One look and what follows. Beats when the database has answered, whether this host leads or not."""
        found = self.ask()
        if self.faults.is_open("database"):
            return
        if found is not None:
            self.act(found)
        background.beat(self.env, "scaler")

    def ask(self) -> Look | None:
        """What the database says; None when another leads, or it does not answer."""
        found = None
        with self.faults.told("database"):
            try:
                if self.lead():
                    executor = self.env.get("AIRFLOW__CORE__EXECUTOR", "")
                    found = look(self.connection, self.clock(), self.default_queue, executor)
            except Exception:
                self.let_go()
                raise
        return found

    def lead(self) -> bool:
        """Whether this scaler leads, now or already; it stays so for as long as the connection."""
        if self.connection is None:
            self.connection = self.connect()
            be_mortal(self.connection)
        if not self.leads and database.lock(self.connection, LOCK, wait=False):
            log.info("this host leads")
            self.leads = True
        return self.leads

    def let_go(self) -> None:
        """Drops the connection and with it the lead and all patience, which may be somebody else's now."""
        if self.leads:
            log.info("this host leads no longer")
        if self.connection is not None:
            with self.faults.told("closing the connection"):
                self.connection.close()
        self.connection, self.leads = None, False
        for group in self.groups:
            group.memory = None

    def act(self, found: Look) -> None:
        """Scales, publishes and repairs; each on its own."""
        described = self.describe()
        metrics = arithmetic.environment_metrics(self.env["DUCTWORK_STACK"], found.ages, found.import_errors)
        for group in self.groups:
            with self.faults.told(f"worker set {group.name}"):
                metrics += self.scale(
                    group, found.loads.get(group.queue, arithmetic.Load()), described.get(group.scaled)
                )
        self.tell_of_lost_queues(found)
        with self.faults.told("metrics"):
            for start in range(0, len(metrics), MOST_METRICS):
                self.clients.cloudwatch.put_metric_data(
                    Namespace=NAMESPACE, MetricData=metrics[start : start + MOST_METRICS]
                )
        for group in self.groups:
            if group.deployed and group.in_service:
                with self.faults.told(f"deployment of worker set {group.name}"):
                    self.repair(group)

    def describe(self) -> dict[str, Size]:
        """The sets as they are; empty when AWS does not answer."""
        names = [group.scaled for group in self.groups if group.scaled]
        found: dict[str, Size] = {}
        with self.faults.told(self.clients.sizes.called):
            found = self.clients.sizes.read(names)
        return found

    def scale(self, group: Group, load: arithmetic.Load, size: Size | None) -> list[dict[str, Any]]:
        """Sets the capacity of a set, if it must change; returns what is to be published of it."""
        stack = self.env["DUCTWORK_STACK"]
        rule = arithmetic.rule_of(group.settings)
        if not group.scaled:
            return arithmetic.set_metrics(stack, group.name, load, None, None)
        if size is None:
            group.memory, group.in_service = None, 0
            return arithmetic.set_metrics(stack, group.name, load, arithmetic.wanted_hosts(load, rule), None)
        group.in_service = size.in_service
        decision = arithmetic.decide(rule, load, size.bounds, size.capacity, group.memory, self.clock())
        group.memory = decision.memory
        # A capacity that cannot be set is a fault, but the metrics are true all the same.
        with self.faults.told(f"capacity of worker set {group.name}"):
            if decision.capacity != size.capacity:
                self.clients.sizes.set(group.scaled, decision.capacity)
                log.info(
                    "worker set %s: %d -> %d hosts (%d queued, %d running)",
                    group.name, size.capacity, decision.capacity, load.queued, load.running,
                )  # fmt: skip
        return arithmetic.set_metrics(stack, group.name, load, decision.wanted, size.in_service)

    def tell_of_lost_queues(self, found: Look) -> None:
        """Tasks on a queue that no worker set serves would wait for ever without a word."""
        served = {group.queue for group in self.groups}
        lost = sorted(queue for queue, load in found.loads.items() if load.queued and queue not in served)
        self.faults.tell("queues without a worker set", ", ".join(lost) or None)

    def repair(self, group: Group) -> None:
        """Deploys again what found no host, now that there is one; next time where another deployment is under way."""
        now = self.clock()
        if now < group.repair_at:
            return
        group.repair_at = now + REPAIR_SECONDS
        application = self.env.get("DUCTWORK_APPLICATION") or self.env["DUCTWORK_STACK"]
        attempt = deployments.last_attempt(self.clients.codedeploy, application, group.deployed)
        if attempt is not None and attempt.found_nobody:
            made = deployments.again(self.clients.codedeploy, application, group.deployed, attempt)
            log.info(
                "worker set %s: deployment %s found no host, %s does", group.name, attempt.deployment, made
            )


def clients(env: Mapping[str, str]) -> Clients:
    """Those of hosts, or those of a task in its cluster."""

    def client(name: str) -> Any:
        return background.client(name, env["AWS_REGION"])

    if cluster := env.get("DUCTWORK_CLUSTER"):
        sizes = Services(client("ecs"), client("application-autoscaling"), cluster)
        return Clients(sizes, client("cloudwatch"))
    groups = AutoScalingGroups(client("autoscaling"))
    return Clients(groups, client("cloudwatch"), client("codedeploy"))


def connector(env: Mapping[str, str]) -> Callable[[], Any]:
    """Connects to the database. Hosts fetch its secret each time, which may have changed; a task has it from its start,
    and no right to fetch it."""
    if env.get("DUCTWORK_CLUSTER"):
        url = env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
        return lambda: database.open_url(url, patience_seconds=5)
    fetch = secret.secrets_manager(env["AWS_REGION"])
    return lambda: database.connect(env, fetch, patience_seconds=5)


def main() -> int:
    """The loop; ends by SIGTERM."""
    envfile.log_to_stderr()
    env = background.environment()
    scaler = Scaler(env, connector(env), clients(env))
    while True:
        began = time.monotonic()
        scaler.round()
        time.sleep(max(1.0, ROUND_SECONDS - (time.monotonic() - began)))


if __name__ == "__main__":
    raise SystemExit(main())
