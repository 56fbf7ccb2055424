"""The scaler on a real Postgres, with AWS's own shapes of requests and answers (botocore's stubs)."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import boto3
import pytest
from botocore.stub import ANY, Stubber
from conftest import AIRFLOW, REGION, new_database, wait_for
from test_gate import NEW, OLD, info

from ductwork_airflow.hosts import database, executors
from ductwork_airflow.scaling import scaler
from ductwork_airflow.scaling.sizes import AutoScalingGroups, Services

NOW = 1_800_000_000.0
TABLES = """
create table task_instance (queue varchar(256), state varchar(20), executor varchar(1000), n serial);
create table job (id serial, job_type varchar(30), latest_heartbeat timestamptz);
create table import_error (id serial);
"""


def sets(**more: dict) -> str:
    """DUCTWORK_WORKER_SETS."""
    common = {"concurrency": 4, "on_scheduler": False, "growth_threshold": 1.0, "shrink_threshold": 0.7,
              "shrink_after_minutes": 10}  # fmt: skip
    found = {
        name: {**common, "queue": name, "auto_scaling_group": f"asg-{name}", "deployment_group": f"dg-{name}"}
        | one
        for name, one in ({"default": {}} | more).items()
    }
    return json.dumps(found)


@pytest.fixture(scope="module")
def server(postgres):
    """A database of its own, with the columns that the scaler reads."""
    url = new_database(postgres, "scaler")
    with database.open_url(url) as connection:
        connection.exec_driver_sql(TABLES)
    return url


@pytest.fixture
def sql(server):
    """Runs a statement; the tables are empty at first."""
    with database.open_url(server) as connection:
        connection.exec_driver_sql("truncate task_instance, job, import_error")
        yield connection.exec_driver_sql


class Stubs:
    """The three services; every call must be the next one that was announced."""

    def __init__(self, stack: ExitStack) -> None:
        names = ("autoscaling", "cloudwatch", "codedeploy")
        clients = [boto3.client(name, region_name=REGION) for name in names]
        self.clients = scaler.Clients(AutoScalingGroups(clients[0]), *clients[1:])
        self.autoscaling, self.cloudwatch, self.codedeploy = (
            stack.enter_context(Stubber(one)) for one in clients
        )
        self.metrics: list[dict] = []
        self.clients.cloudwatch.meta.events.register(
            "provide-client-params.cloudwatch.PutMetricData",
            lambda params, **_: self.metrics.append(params),
        )

    def group(self, *groups: tuple[str, int, int, int, list[str]]) -> None:
        """Announces one DescribeAutoScalingGroups."""
        self.autoscaling.add_response(
            "describe_auto_scaling_groups",
            {
                "AutoScalingGroups": [
                    {
                        "AutoScalingGroupName": name, "MinSize": least, "MaxSize": most,
                        "DesiredCapacity": desired, "DefaultCooldown": 300, "AvailabilityZones": ["a"],
                        "HealthCheckType": "EC2", "CreatedTime": "2026-01-01T00:00:00Z",
                        "Instances": [
                            {"InstanceId": f"i-{name}-{number}", "LifecycleState": state, "HealthStatus": "Healthy",
                             "AvailabilityZone": "a", "ProtectedFromScaleIn": False}
                            for number, state in enumerate(states)
                        ],
                    }
                    for name, least, most, desired, states in groups
                ]
            },
        )  # fmt: skip

    def desired(self, group: str, hosts: int) -> None:
        self.autoscaling.add_response(
            "set_desired_capacity",
            {},
            {"AutoScalingGroupName": group, "DesiredCapacity": hosts, "HonorCooldown": False},
        )

    def put(self) -> None:
        self.cloudwatch.add_response("put_metric_data", {}, {"Namespace": "Ductwork", "MetricData": ANY})

    def attempt(self, found: dict | None) -> None:
        """Announces a look at the last deployment."""
        last = {"lastAttemptedDeployment": {"deploymentId": found["deploymentId"]}} if found else {}
        self.codedeploy.add_response("get_deployment_group", {"deploymentGroupInfo": last})
        if found:
            self.codedeploy.add_response("get_deployment", {"deploymentInfo": found})

    def done(self) -> None:
        for stub in (self.autoscaling, self.cloudwatch, self.codedeploy):
            stub.assert_no_pending_responses()

    def value(self, metric: str, worker_set: str = "") -> float | None:
        """What the last PutMetricData said."""
        for one in self.metrics[-1]["MetricData"]:
            dimensions = {entry["Name"]: entry["Value"] for entry in one["Dimensions"]}
            assert dimensions.pop("Environment") == "ductwork-test"
            if one["MetricName"] == metric and dimensions.get("WorkerSet", "") == worker_set:
                return one["Value"]
        return None


@pytest.fixture
def stubs():
    with ExitStack() as stack:
        yield Stubs(stack)


@pytest.fixture
def make(server, stubs, tmp_path):
    """Makes scalers of this environment and lets go of them."""
    made = []

    def maker(worker_sets: str = "", url: str = "", clock=lambda: NOW) -> scaler.Scaler:
        env = {
            "DUCTWORK_STACK": "ductwork-test",
            "DUCTWORK_STATE": str(tmp_path / f"state{len(made)}"),
            "DUCTWORK_WORKER_SETS": worker_sets or sets(),
            "DUCTWORK_APPLICATION": "app",
        }
        made.append(scaler.Scaler(env, lambda: database.open_url(url or server, 0), stubs.clients, clock))
        return made[-1]

    yield maker
    for one in made:
        one.let_go()


def beats(one: scaler.Scaler) -> bool:
    """Whether a round has been finished; forgets it."""
    file = Path(one.env["DUCTWORK_STATE"], "scaler.beat")
    found = file.exists()
    file.unlink(missing_ok=True)
    return found


def test_a_round(make, sql, stubs):
    sql("insert into task_instance (queue, state) select 'default', 'queued' from generate_series(1, 9)")
    sql("insert into task_instance (queue, state) values (null, 'running'), ('big', 'restarting')")
    sql(
        "insert into task_instance (queue, state) select 'default', unnest(array['scheduled','success','deferred'])"
    )
    sql(f"insert into job (job_type, latest_heartbeat) select 'SchedulerJob', to_timestamp({NOW} - 3)")
    sql(f"insert into job (job_type, latest_heartbeat) select 'SchedulerJob', to_timestamp({NOW} - 90)")
    sql(f"insert into job (job_type, latest_heartbeat) select 'DagProcessorJob', to_timestamp({NOW} - 70)")
    sql("insert into job (job_type) values ('TriggererJob')")
    sql("insert into import_error default values")
    one = make(sets(big={"concurrency": 1}, small={"on_scheduler": True, "auto_scaling_group": "-"}))
    stubs.group(("asg-default", 0, 10, 1, ["InService"]), ("asg-big", 0, 2, 1, ["Pending"]))
    stubs.desired("asg-default", 3)
    stubs.put()
    stubs.attempt(None)
    one.round()
    stubs.done()
    assert beats(one)
    values = {
        ("TasksQueued", "default"): 9,
        ("TasksRunning", "default"): 1,
        ("HostsWanted", "default"): 3,
        ("HostsInService", "default"): 1,
        ("TasksRunning", "big"): 1,
        ("HostsWanted", "big"): 1,
        ("HostsInService", "big"): 0,
        ("TasksQueued", "small"): 0,
        ("HostsWanted", "small"): None,
        ("SchedulerHeartbeatAge", ""): 3,
        ("DagProcessorHeartbeatAge", ""): 70,
        ("TriggererHeartbeatAge", ""): None,
        ("ImportErrors", ""): 1,
    }
    assert {key: stubs.value(*key) for key in values} == values


def test_tasks_of_the_ecs_executor_need_no_worker(server, sql):
    """Of those that name none, the default decides."""
    sql("insert into task_instance (queue, state) select 'default', 'queued' from generate_series(1, 3)")
    named = "unnest(array['ecs', 'ecs', 'CeleryExecutor'])"
    sql(f"insert into task_instance (queue, state, executor) select 'default', 'queued', {named}")
    with database.open_url(server) as connection:
        queued = {
            names: scaler.look(connection, NOW, "default", executors.option(names)).loads["default"].queued
            for names in (("celery", "ecs"), ("ecs", "celery"), ("celery",))
        }
    assert queued == {("celery", "ecs"): 4, ("ecs", "celery"): 1, ("celery",): 6}


def test_the_groups_own_bounds_hold(make, sql, stubs):
    sql("insert into task_instance (queue, state) select 'default', 'queued' from generate_series(1, 99)")
    one = make()
    stubs.group(("asg-default", 0, 0, 0, []))
    stubs.put()
    one.round()
    stubs.group(("asg-default", 1, 5, 1, []))
    stubs.desired("asg-default", 5)
    stubs.put()
    one.round()
    stubs.done()
    assert stubs.value("HostsWanted", "default") == 25


def test_shrinks_after_its_patience_only(make, sql, stubs):
    now = [NOW]
    one = make(clock=lambda: now[0])
    for second in range(0, 600, 15):
        now[0] = NOW + second
        stubs.group(("asg-default", 0, 10, 4, []))
        stubs.put()
        one.round()
    now[0] = NOW + 600
    stubs.group(("asg-default", 0, 10, 4, []))
    stubs.desired("asg-default", 0)
    stubs.put()
    one.round()
    stubs.done()


def test_one_fault_stops_nothing_else_and_is_told_once(make, sql, stubs, caplog):
    caplog.set_level(logging.INFO, "ductwork")
    sql(
        "insert into task_instance (queue, state) values ('default', 'queued'), ('big', 'queued'), ('lost', 'queued')"
    )
    one = make(sets(big={}, broken={"concurrency": "many"}))
    for _ in range(2):
        stubs.group(("asg-default", 0, 10, 0, []), ("asg-big", 0, 10, 0, []), ("asg-broken", 0, 1, 0, []))
        stubs.autoscaling.add_client_error("set_desired_capacity", "ScalingActivityInProgress", "words")
        stubs.desired("asg-big", 1)
        stubs.cloudwatch.add_client_error("put_metric_data", "Throttling", "slowly")
        one.round()
    stubs.done()
    assert beats(one)
    told = [record.getMessage() for record in caplog.records]
    for words in (
        "capacity of worker set default",
        "worker set broken",
        "metrics: ",
        "queues without a worker set: lost",
    ):
        assert len([line for line in told if words in line]) == 1, words
    stubs.group(("asg-default", 0, 10, 1, []), ("asg-big", 0, 10, 1, []), ("asg-broken", 0, 1, 0, []))
    stubs.put()
    one.round()
    told = [record.getMessage() for record in caplog.records]
    assert "metrics: works again" in told
    assert stubs.value("TasksQueued", "broken") is None
    assert stubs.value("TasksQueued", "big") == 1


def test_without_auto_scaling_it_still_publishes(make, sql, stubs):
    one = make()
    stubs.autoscaling.add_client_error("describe_auto_scaling_groups", "AccessDenied", "no")
    stubs.put()
    one.round()
    stubs.done()
    assert stubs.value("HostsWanted", "default") == 0
    assert stubs.value("HostsInService", "default") is None
    assert beats(one)


def nobody_leads(sql) -> bool:
    """Whether no session holds the lead any more."""
    return not list(sql("select 1 from pg_locks where locktype = 'advisory' and granted"))


def test_only_one_leads_and_the_other_beats_too(make, sql, stubs):
    first, second = make(), make()
    stubs.group(("asg-default", 0, 10, 0, []))
    stubs.put()
    first.round()
    second.round()
    stubs.done()
    assert (first.leads, second.leads) == (True, False)
    assert beats(second)
    # the leader's connection goes, and with it the lead
    sql("select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted")
    wait_for("the end of its session", lambda: nobody_leads(sql))
    stubs.group(("asg-default", 0, 10, 0, []))
    stubs.put()
    second.round()
    assert second.leads
    first.round()
    assert not first.leads
    first.round()
    assert not first.leads
    assert beats(first)
    stubs.done()


LEADER = f"""
import sys, time
sys.path.insert(0, {str(AIRFLOW)!r})
from ductwork_airflow.hosts import database
from ductwork_airflow.scaling import scaler
from ductwork_airflow.scaling.sizes import AutoScalingGroups, Services
connection = database.open_url(sys.argv[1], 0)
scaler.be_mortal(connection, int(sys.argv[2]))
assert database.lock(connection, scaler.LOCK, wait=False)
print("leads", flush=True)
time.sleep(3600)
"""


@pytest.fixture
def leader(server):
    """A scaler on another host, as far as the lock goes."""
    made = []

    def start(silence: int) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", LEADER, server, str(silence)], stdout=subprocess.PIPE, text=True
        )
        made.append(process)
        assert process.stdout.readline() == "leads\n"
        return process

    yield start
    for process in made:
        process.kill()
        process.wait()


def test_the_loss_of_the_leader_costs_one_round(make, sql, stubs, leader):
    other = leader(45)
    one = make()
    one.round()
    assert not one.leads
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    wait_for("the end of its session", lambda: nobody_leads(sql))
    stubs.group(("asg-default", 0, 10, 0, []))
    stubs.put()
    one.round()
    assert one.leads


def test_a_leader_that_hangs_loses_the_lead(make, sql, stubs, leader):
    """Its process lives and its connection is open, as with a host that has lost its network."""
    other = leader(1)
    one = make()
    one.round()
    assert not one.leads
    os.kill(other.pid, signal.SIGSTOP)
    wait_for("the end of its session", lambda: nobody_leads(sql))
    stubs.group(("asg-default", 0, 10, 0, []))
    stubs.put()
    one.round()
    assert one.leads
    settings = dict(
        one.connection.exec_driver_sql(
            "select name, setting from pg_settings where name like 'tcp_keepalives%%' or name like 'idle_session%%'"
        ).fetchall()
    )
    assert settings["idle_session_timeout"] == "45000"
    assert settings["tcp_keepalives_idle"] == "5"


def test_a_database_that_is_away_stops_the_beat_and_all_patience(make, sql, stubs, server, caplog):
    one = make(url=server)
    stubs.group(("asg-default", 0, 10, 4, []))
    stubs.put()
    one.round()
    assert beats(one)
    assert one.groups[0].memory is not None
    sql("alter table task_instance rename to away")
    try:
        one.round()
        assert not beats(one)
        assert (one.connection, one.leads, one.groups[0].memory) == (None, False, None)
    finally:
        sql("alter table away rename to task_instance")
    stubs.group(("asg-default", 0, 10, 4, []))
    stubs.put()
    one.round()
    assert beats(one)
    stubs.done()


class TestRepair:
    """A rollout that found no host is done again when there is one."""

    def rounds(self, make, stubs, found, states, times: int = 1) -> scaler.Scaler:
        now = [NOW]
        one = make(clock=lambda: now[0])
        for number in range(times):
            now[0] = NOW + 15 * number
            stubs.group(("asg-default", 1, 10, 1, states))
            stubs.put()
            if states == ["InService"] and number % 4 == 0:
                stubs.attempt(found)
            one.round()
        return one

    def test_same_revision_and_description(self, make, sql, stubs):
        found = info(7, "Failed", NEW, "NO_INSTANCES")
        stubs.codedeploy.add_response("get_deployment_group", {
            "deploymentGroupInfo": {"lastAttemptedDeployment": {"deploymentId": "d-7"}}})  # fmt: skip
        stubs.codedeploy.add_response("get_deployment", {"deploymentInfo": found})
        stubs.codedeploy.add_response(
            "create_deployment",
            {"deploymentId": "d-8"},
            {
                "applicationName": "app",
                "deploymentGroupName": "dg-default",
                "revision": found["revision"],
                "description": "mark 7",
                "fileExistsBehavior": "OVERWRITE",
            },
        )
        one = make()
        for _ in range(2):  # the second round is within the minute: CodeDeploy is not asked again
            stubs.group(("asg-default", 1, 10, 1, ["InService"]))
            stubs.put()
            one.round()
        stubs.done()

    def test_not_without_a_host_in_service(self, make, sql, stubs):
        self.rounds(make, stubs, None, ["Pending:Wait"], 2)
        stubs.done()

    @pytest.mark.parametrize(
        "found",
        [info(7, "Failed", NEW, "HEALTH_CONSTRAINTS"), info(7, "Succeeded", OLD), info(7, "InProgress", OLD)],
    )
    def test_nothing_else_is_repaired(self, make, sql, stubs, found):
        self.rounds(make, stubs, found, ["InService"], 5)
        stubs.done()

    def test_another_deployment_under_way_is_no_harm(self, make, sql, stubs):
        one = make()
        stubs.group(("asg-default", 1, 10, 1, ["InService"]))
        stubs.put()
        stubs.attempt(info(7, "Failed", NEW, "NO_INSTANCES"))
        stubs.codedeploy.add_client_error("create_deployment", "DeploymentLimitExceededException", "busy")
        one.round()
        assert beats(one)
        stubs.done()


class TestServices:
    """On ECS the sets are services, and their bounds those of scalable targets."""

    @pytest.fixture
    def ecs(self, stubs):
        """The same clients but for what holds the sets."""
        clients = [boto3.client(name, region_name=REGION) for name in ("ecs", "application-autoscaling")]
        with Stubber(clients[0]) as ecs, Stubber(clients[1]) as targets:
            stubs.clients = scaler.Clients(Services(*clients, "cluster"), stubs.clients.cloudwatch)
            self.ecs, self.targets = ecs, targets
            yield
            for stub in (ecs, targets):
                stub.assert_no_pending_responses()

    def services(self, *services: tuple[str, int, int, int, int]) -> None:
        """Announces a look; each has a name, what is wanted, what runs, and the bounds."""
        names = [name for name, *_ in services]
        targets = [
            {"ServiceNamespace": "ecs", "ResourceId": f"service/cluster/{name}", "MinCapacity": least,
             "MaxCapacity": most, "ScalableDimension": "ecs:service:DesiredCount", "RoleARN": "r" * 20,
             "CreationTime": "2026-01-01T00:00:00Z"}
            for name, _, _, least, most in services if most >= 0
        ]  # fmt: skip
        asked = {"ServiceNamespace": "ecs", "ScalableDimension": "ecs:service:DesiredCount",
                 "ResourceIds": [f"service/cluster/{name}" for name in names]}  # fmt: skip
        self.targets.add_response("describe_scalable_targets", {"ScalableTargets": targets}, asked)
        found = [{"serviceName": name, "status": "ACTIVE", "desiredCount": wanted, "runningCount": running}
                 for name, wanted, running, *_ in services]  # fmt: skip
        self.ecs.add_response(
            "describe_services", {"services": found}, {"cluster": "cluster", "services": names}
        )

    def wanted(self, service: str, tasks: int) -> None:
        words = {"cluster": "cluster", "service": service, "desiredCount": tasks}
        self.ecs.add_response("update_service", {}, words)

    def of(self, *names: str) -> str:
        found = json.loads(sets(**{name: {} for name in names if name != "default"}))
        for name, one in found.items():
            del one["auto_scaling_group"], one["deployment_group"]
            one["service"] = f"worker-{name}"
        return json.dumps(found)

    def test_a_round(self, make, sql, stubs, ecs):
        sql("insert into task_instance (queue, state) select 'default', 'queued' from generate_series(1, 9)")
        sql("insert into task_instance (queue, state) values ('big', 'running')")
        one = make(self.of("default", "big"))
        self.services(("worker-default", 1, 1, 0, 10), ("worker-big", 1, 0, 0, 2))
        self.wanted("worker-default", 3)
        stubs.put()
        one.round()
        stubs.done()
        assert beats(one)
        found = {key: stubs.value(*key) for key in [("HostsWanted", "default"), ("HostsInService", "default"),
                                                    ("HostsWanted", "big"), ("HostsInService", "big")]}  # fmt: skip
        assert list(found.values()) == [3, 1, 1, 0]

    def test_a_service_that_sleeps_stays_asleep(self, make, sql, stubs, ecs):
        sql("insert into task_instance (queue, state) values ('default', 'queued')")
        one = make(self.of("default"))
        self.services(("worker-default", 0, 0, 0, 0))
        stubs.put()
        one.round()
        stubs.done()
        assert not one.faults.is_open("capacity of worker set default"), "nothing else was called"
        assert stubs.value("HostsWanted", "default") == 1

    def test_to_zero_after_its_patience(self, make, sql, stubs, ecs):
        now = [NOW]
        one = make(self.of("default"), clock=lambda: now[0])
        for second in range(0, 615, 15):
            now[0] = NOW + second
            self.services(("worker-default", 2, 2, 0, 5))
            if second == 600:
                self.wanted("worker-default", 0)
            stubs.put()
            one.round()
        stubs.done()

    def test_a_service_without_bounds_is_left_alone(self, make, sql, stubs, ecs):
        sql("insert into task_instance (queue, state) values ('default', 'queued')")
        one = make(self.of("default"))
        self.services(("worker-default", 0, 0, 0, -1))
        stubs.put()
        one.round()
        stubs.done()
        assert not one.faults.is_open("ECS")
        assert stubs.value("HostsInService", "default") is None

    def test_many_services_take_several_calls(self, make, sql, stubs, ecs):
        names = ["default", *(f"set{number}" for number in range(12))]
        one = make(self.of(*names))
        for page in (names[:10], names[10:]):
            self.services(*((f"worker-{name}", 0, 0, 0, 1) for name in page))
        stubs.put()
        one.round()
        stubs.done()

    def test_without_ecs_it_still_publishes(self, make, sql, stubs, ecs, caplog):
        one = make(self.of("default"))
        self.targets.add_client_error("describe_scalable_targets", "AccessDeniedException", "no")
        stubs.put()
        one.round()
        stubs.done()
        assert beats(one)
        assert "ECS: ClientError" in caplog.text

    def test_a_task_of_a_cluster_has_these_clients_and_its_own_url(self, server):
        env = {
            "AWS_REGION": REGION,
            "DUCTWORK_CLUSTER": "cluster",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": server,
        }
        found = scaler.clients(env)
        assert isinstance(found.sizes, Services)
        assert (found.sizes.cluster, found.codedeploy) == ("cluster", None)
        with scaler.connector(env)() as connection:
            assert database.rows(connection, "select 1") == [(1,)]
        assert isinstance(scaler.clients({"AWS_REGION": REGION}).sizes, AutoScalingGroups)


def test_it_imports_no_airflow():
    """Each scheduler host pays for its memory."""
    code = "import sys, ductwork_airflow.scaling.scaler, ductwork_airflow.hosts.keeper; print('airflow' in sys.modules)"
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(AIRFLOW)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
