"""A task's settings are those of a host for the same stack; secrets go into the component's environment alone."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import taskkit
import test_settings
from test_settings import GOOGLE, HOST, OUTPUTS, PARAMETERS, SECRETS

from ductwork_airflow import contract
from ductwork_airflow.hosts import run, secret
from ductwork_airflow.hosts.settings import Ports, SettingsError, host_environment
from ductwork_airflow.images import place, start, task

VALKEY = test_settings.TestBroker.OUTPUTS
QUEUES = "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__PREDEFINED_QUEUES"
# What a host and a task of the same stack have to tell differently.
DIFFERENT = {"DUCTWORK_WORKER_SETS", "DUCTWORK_REVISION", "DUCTWORK_COMPONENTS", "DUCTWORK_ADDRESS",
             "DUCTWORK_PACKAGES", "DUCTWORK_APPLICATION", "DUCTWORK_DRAIN_SECONDS",
             "AIRFLOW__LOGGING__BASE_LOG_FOLDER", QUEUES}  # fmt: skip


def container(component: str, outputs: dict[str, str] = OUTPUTS, **parameters: str) -> dict[str, str]:
    """The variables of a container on AWS."""
    given = (
        dict.fromkeys(contract.PARAMETERS, "")
        | {"EntryScheme": "none", "Local": "false"}
        | PARAMETERS
        | parameters
    )
    environ = taskkit.variables(outputs, given, SECRETS, component)
    return environ | {"AWS_REGION": HOST.region, "AWS_DEFAULT_REGION": HOST.region}


def settings(environ: dict[str, str], component: str, **more: object) -> dict[str, str]:
    return task.settings(environ, task.of(environ, component, **more))


@pytest.mark.parametrize("parameters", [
    {},
    {"LoginConfig": GOOGLE, "EntryScheme": "internal"},
    {"AirflowConfig": json.dumps({"core.parallelism": "7"}), "EnvironmentVariables": json.dumps({"COLOUR": "blue"}),
     "MailConfig": json.dumps({"host": "smtp.example.com", "from": "a@example.com"})},
])  # fmt: skip
def test_a_worker_is_told_what_a_host_of_the_same_stack_reads(parameters):
    host = host_environment(OUTPUTS, PARAMETERS | parameters, HOST)
    told = settings(container("worker", **parameters), "worker")
    assert {name: told[name] for name in host if name not in DIFFERENT} == {
        name: value for name, value in host.items() if name not in DIFFERENT
    }
    assert told.keys() == host.keys()
    assert told["DUCTWORK_REVISION"] == taskkit.DIGEST
    assert told["DUCTWORK_COMPONENTS"] == "worker"
    assert told["AIRFLOW__LOGGING__BASE_LOG_FOLDER"] == "/var/lib/ductwork/logs"


def test_secrets_are_those_of_a_host():
    for component in ("api-server", "scheduler", "worker", "triggerer"):
        environ = container(component, VALKEY)
        host = host_environment(VALKEY, PARAMETERS, HOST)
        wanted = secret.secret_environment(host, SECRETS.__getitem__, component)
        env = task.environment(environ, task.of(environ, component), component)
        assert {name: env.get(name) for name in wanted} == wanted
        assert not [name for name in env if name.startswith(("DUCTWORK_SECRET_", "DUCTWORK_OUTPUT_"))]
    assert "AIRFLOW__API_AUTH__JWT_SECRET" not in task.environment(
        container("worker", VALKEY), task.of(container("worker", VALKEY), "worker"), "worker"
    )


def test_a_task_reads_what_the_contract_lists_and_nothing_that_only_hosts_have():
    """Every output that a task definition has to name is missed when it is not there."""
    environ = container("worker")
    named = {name.removeprefix(task.OUTPUT) for name in environ if name.startswith(task.OUTPUT)}
    assert named == {*contract.OUTPUTS} - {*contract.EC2_OUTPUTS}
    for name in named:
        with pytest.raises(SettingsError, match=f"`{name}`|WorkerSets"):
            settings(
                {key: value for key, value in environ.items() if key != f"{task.OUTPUT}{name}"}, "worker"
            )


def test_each_component_knows_the_queues_that_it_has_to_do_with():
    queues = {component: json.loads(settings(container(component), component)[QUEUES])
              for component in ("worker", "scheduler", "triggerer")}  # fmt: skip
    default, small = ({"url": OUTPUTS[f"Worker{one}QueueUrl"]} for one in ("Default", "Small"))
    assert queues == {
        "worker": {"default": default},
        "scheduler": {"default": default, "small": small},
        "triggerer": {},
    }
    with pytest.raises(SettingsError, match="no queue of the worker set `small`"):
        settings(
            container("scheduler") | {"DUCTWORK_QUEUE_URLS": "default=https://example.com/q small=-"},
            "scheduler",
        )
    with pytest.raises(SettingsError, match="no queue of the worker set `default`"):
        settings(
            {key: value for key, value in container("worker").items() if key != "DUCTWORK_QUEUE_URLS"},
            "worker",
        )


def test_the_scaler_knows_the_services():
    sets = json.loads(settings(container("scaler"), "scaler")["DUCTWORK_WORKER_SETS"])
    assert {name: one["service"] for name, one in sets.items()} == {
        "default": "worker-default",
        "small": "worker-small",
    }
    assert not [one for one in sets.values() if "auto_scaling_group" in one]


def test_what_a_task_definition_has_forgotten_is_named_all_at_once():
    forgotten = ("DUCTWORK_STACK", "AWS_REGION", "DUCTWORK_PARAMETER_EntryScheme")
    environ = {key: value for key, value in container("worker").items() if key not in forgotten}
    with pytest.raises(
        SettingsError, match="does not set AWS_REGION, DUCTWORK_STACK, DUCTWORK_PARAMETER_EntryScheme"
    ):
        task.of(environ, "worker")


def test_a_secret_that_the_definition_does_not_name_is_named():
    environ = container("scheduler")
    del environ["DUCTWORK_SECRET_JWT"]
    with pytest.raises(SettingsError, match="`DUCTWORK_SECRET_JWT`"):
        task.environment(environ, task.of(environ, "scheduler"), "scheduler")


def test_only_what_the_stack_did_not_make_is_fetched(monkeypatch):
    asked = []
    monkeypatch.setattr(
        secret, "secrets_manager", lambda region: lambda name: asked.append((region, name)) or "found"
    )
    environ = container("api-server", LoginConfig=GOOGLE)
    env = task.environment(environ, task.of(environ, "api-server"), "api-server")
    assert asked == [(HOST.region, contract.google_secret("test"))]
    assert "found" in env.values()


def test_an_existing_database_is_told_by_its_secret():
    outputs = OUTPUTS | {"DatabaseEngine": "existing"}
    environ = container("worker", outputs) | {
        "DUCTWORK_SECRET_DATABASE": "mysql://u:p@db.example.com/airflow"
    }
    env = task.environment(environ, task.of(environ, "worker"), "worker")
    assert env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == "mysql+mysqldb://u:p@db.example.com/airflow"
    assert env["DUCTWORK_DATABASE_KIND"] == "mysql"


@pytest.mark.parametrize(("outputs", "url"), [
    ({}, "http://127.0.0.1:8080/execution/"),
    ({"ExecutionUrl": "-"}, "http://127.0.0.1:8080/execution/"),
    ({"ExecutionUrl": "http://api-server.test.internal:8080/"}, "http://api-server.test.internal:8080/execution/"),
])  # fmt: skip
def test_tasks_reach_the_api_server_by_its_inner_name_if_there_is_one(outputs, url):
    env = settings(container("worker", OUTPUTS | outputs), "worker")
    assert env["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == url
    assert env["AIRFLOW__API__BASE_URL"] == "http://127.0.0.1:8080"


def test_no_setting_of_airflow_comes_from_elsewhere():
    environ = container("worker") | {"AIRFLOW__CORE__PARALLELISM": "3", "JAVA_HOME": "/opt/java"}
    env = task.environment(environ, task.of(environ, "worker"), "worker")
    assert "AIRFLOW__CORE__PARALLELISM" not in env
    assert env["JAVA_HOME"] == "/opt/java"


class TestLocal:
    """Tasks of a local cloud share a machine."""

    @pytest.fixture
    def agent(self):
        found = taskkit.Agent("127.64.0.7")
        yield found
        found.close()

    def test_each_has_places_of_its_own(self, agent, tmp_path):
        environ = container("api-server", Local="true") | agent.variables
        environ |= {"DUCTWORK_ROOT": "/unpacked", "DUCTWORK_STATE": str(tmp_path)}
        address, ports = start.own_place(environ)
        assert address == "127.64.0.7"
        assert len(set(ports)) == 3
        env = settings(environ, "api-server", address=address, ports=ports)
        assert env["AIRFLOW__API__HOST"] == "127.64.0.7"
        assert env["AIRFLOW__API__PORT"] == "8080"
        assert env["AIRFLOW__CORE__PLUGINS_FOLDER"] == "/unpacked/opt/ductwork/revision/plugins"
        assert env["AIRFLOW_HOME"] == str(tmp_path / "airflow")
        assert env["AIRFLOW__LOGGING__BASE_LOG_FOLDER"] == str(tmp_path / "logs")
        names = ("SCHEDULER__SCHEDULER_HEALTH_CHECK", "LOGGING__WORKER_LOG", "LOGGING__TRIGGER_LOG")
        assert [env[f"AIRFLOW__{name}_SERVER_PORT"] for name in names] == [str(port) for port in ports]

    def test_on_aws_nobody_is_asked(self):
        environ = container("api-server")
        assert start.own_place(environ) == ("", None)
        env = settings(environ, "api-server")
        assert env["AIRFLOW__API__HOST"] == "0.0.0.0"
        usual = Ports(**contract.PORTS)
        assert env["AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT"] == str(usual.worker_logs)

    def test_metadata_without_an_address_is_named(self, monkeypatch):
        monkeypatch.setattr(place, "ask", lambda url: {"Networks": []})
        with pytest.raises(OSError, match="tells no IPv4 address"):
            place.own_address({place.METADATA: "http://127.0.0.1:1/v4"})


def everything_below(folder: Path) -> str:
    return "".join(file.read_text(errors="replace") for file in folder.rglob("*") if file.is_file())


def test_a_component_becomes_itself_with_secrets_in_no_argument_and_no_file(monkeypatch, tmp_path):
    became: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(os, "execve", lambda _, words, env: became.append((words, env)))
    monkeypatch.setattr(start.migration, "looker", lambda url: lambda: None)
    monkeypatch.setattr(
        os, "environ", container("scheduler") | taskkit.of_image(tmp_path, tmp_path / "state")
    )
    start.component("scheduler")
    [(words, env)] = became
    assert words[1:] == ["-m", "ductwork_airflow.extensions.scheduler"]
    assert env["DUCTWORK_COMPONENT"] == "scheduler"
    hidden = [
        json.loads(SECRETS["arn:db"])["password"],
        SECRETS["arn:fernet"],
        SECRETS["arn:jwt"],
        SECRETS["arn:api"],
    ]
    assert env["AIRFLOW__API_AUTH__JWT_SECRET"] == SECRETS["arn:jwt"]
    written = everything_below(tmp_path)
    assert '"scheduler_health": 8974' in written
    assert not [one for one in hidden if one in written or one in " ".join(words)]
    raw = [name for name, value in env.items() if value in hidden]
    assert sorted(raw) == ["AIRFLOW__API_AUTH__JWT_SECRET", "AIRFLOW__API__SECRET_KEY"]


def entry(environ: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*taskkit.START, *words], env=environ, capture_output=True, text=True, check=False)


def test_a_command_of_a_task_has_the_same_settings(tmp_path):
    environ = container("migrate") | taskkit.of_image(tmp_path, tmp_path / "state")
    told = entry(environ, "sh", "-c", "echo $AIRFLOW__API__BASE_URL; env | grep -c DUCTWORK_SECRET_")
    assert told.stdout == "http://127.0.0.1:8080\n0\n", told.stderr
    broken = {name: value for name, value in environ.items() if name != "DUCTWORK_OUTPUT_LogsBucket"}
    told = entry(broken, "true")
    assert (told.returncode, told.stderr) == (1, "error: the stack has no output `LogsBucket`\n")


def test_what_stands_in_the_way_of_a_start_is_said_in_a_line(tmp_path):
    environ = container("scaler") | taskkit.of_image(tmp_path, tmp_path / "state")
    told = entry(environ | {"DUCTWORK_STATE": "/dev/null/state"}, "scaler")
    assert told.returncode == 1
    assert told.stderr == "error: [Errno 20] Not a directory: '/dev/null/state'\n"


@pytest.mark.parametrize(("component", "like"), [
    ("worker", "worker"), ("scheduler", "scheduler"), ("api-server", "triggerer"), ("migrate", ""),
])  # fmt: skip
def test_a_command_has_the_secrets_of_its_container(component, like):
    assert task.likeness(container(component, VALKEY)) == like


def test_what_is_for_hosts_or_tasks_only_is_said(tmp_path):
    plain = taskkit.of_image(tmp_path, tmp_path / "state")
    for words, told in ((["keeper"], "runs on hosts only"), (["migrate"], "use `airflow db migrate`")):
        done = entry(plain, *words)
        assert done.returncode == 2
        assert told in done.stderr
    assert set(start.run.COMMANDS) == set(run.COMMANDS)
