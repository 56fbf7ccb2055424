"""Settings are a pure function of the stack; secrets are in no file; URIs are right for any character."""

from __future__ import annotations

import ast
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import AIRFLOW
from hostkit import SETS

from ductwork_airflow import contract
from ductwork_airflow.hosts import configure, connections, envfile, run, secret, settings
from ductwork_airflow.hosts.connections import database_uri
from ductwork_airflow.hosts.settings import Host, SettingsError, host_environment, overrides

OUTPUTS = {
    "AddressAllocationId": "-",
    "AirflowUrl": "http://127.0.0.1:8080/",
    "ArtifactBucket": "artifacts",
    "LogsBucket": "logs",
    "CodeDeployApplication": "ductwork-test",
    "WorkerSets": json.dumps(SETS),
    "WorkerDefaultQueueUrl": "http://127.0.0.1:4566/000000000000/tasks",
    "WorkerDefaultAutoScalingGroup": "workers",
    "WorkerDefaultDeploymentGroup": "worker",
    "WorkerSmallQueueUrl": "http://127.0.0.1:4566/000000000000/small",
    "WorkerSmallAutoScalingGroup": "-",
    "WorkerSmallDeploymentGroup": "-",
    "BrokerKind": "sqs",
    "CacheHost": "-",
    "CachePort": "-",
    "CacheSecretArn": "arn:cache",
    "DatabaseEngine": "postgres",
    "DatabaseHost": "db.example.internal",
    "DatabasePort": "5432",
    "DatabaseName": "airflow",
    "DatabaseSecretArn": "arn:db",
    "FernetKeySecretArn": "arn:fernet",
    "JwtSecretArn": "arn:jwt",
    "ApiSecretArn": "arn:api",
    "AdminSecretArn": "arn:admin",
    "ServiceSecretArn": "arn:service",
    "SecretsPrefix": "ductwork/test",
}
PARAMETERS = {"AirflowPort": "8080", "DrainSeconds": "900", "AirflowConfig": "{}"}
HOST = Host(
    Path("/"), "eu-west-1", "test", revision="f" * 64, stack="ductwork-test",
    components=("worker", "keeper"), worker_set="default",
)  # fmt: skip
SECRETS = {
    "arn:db": json.dumps({"username": "air@flow", "password": "p:@/?#[]%41 &+;='\"\\ü"}),
    "arn:fernet": "a" * 43,
    "arn:jwt": "j" * 64,
    "arn:api": "s" * 64,
    "arn:cache": json.dumps({"username": "default", "password": "c@che/pass word"}),
    "arn:admin": json.dumps({"username": "admin", "password": "a" * 32}),
    "arn:service": json.dumps({"username": "service", "password": "s" * 32}),
    contract.google_secret("test"): "client-secret",
}
GOOGLE = json.dumps({"method": "google", "google_client_id": "id", "google_domain": "example.com"})


SERVER_PORTS = (
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT",
    "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT",
    "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT",
)


LOCAL = PARAMETERS | {"Local": "true"}


def test_aws_and_local_differ_only_by_what_a_local_cloud_lacks():
    aws = host_environment(OUTPUTS, PARAMETERS, HOST)
    local = host_environment(OUTPUTS, LOCAL, replace(HOST, endpoint_url="http://127.0.0.1:4566"))
    differing = {key for key in aws.keys() | local.keys() if aws.get(key) != local.get(key)}
    assert differing == {
        *SERVER_PORTS,
        "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__WAIT_TIME_SECONDS",
        "AWS_ENDPOINT_URL",
        "AWS_EC2_METADATA_DISABLED",
        "AIRFLOW__API__HOST",
        "DUCTWORK_LOCAL",
    }


def test_the_endpoint_says_nothing_but_where_the_sdks_call():
    aws = host_environment(OUTPUTS, PARAMETERS, HOST)
    elsewhere = host_environment(OUTPUTS, PARAMETERS, replace(HOST, endpoint_url="http://127.0.0.1:4566"))
    assert elsewhere == aws | {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}


class Recorded(Mapping):
    """Remembers which names were read; `get` and `in` count too. Reading everything at once is refused."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.read.add(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("hosts must read each value by its name")

    def __len__(self) -> int:
        return len(self._values)


def test_hosts_read_exactly_what_the_contract_lists():
    """A name that is read but not listed could change without a rollout; one that is listed but not read would
    restart workers for nothing."""
    outputs, parameters = Recorded(OUTPUTS), Recorded(PARAMETERS)
    host_environment(outputs, parameters, replace(HOST, endpoint_url="http://127.0.0.1:1"))
    sets = json.loads(OUTPUTS["WorkerSets"]).values()
    of_sets = {one["prefix"] + suffix for one in sets for suffix in contract.WORKER_SET_OUTPUTS.values()}
    assert outputs.read == {*contract.OUTPUTS, *of_sets}
    assert parameters.read == {*contract.PARAMETERS, *contract.ECS_PARAMETERS}


def test_every_listed_name_is_used(monkeypatch):
    """The check that every output is there reads all of them and uses none, so it does not count here."""
    monkeypatch.setattr(settings, "_checked", lambda *_: None)
    outputs, parameters = Recorded(TestBroker.OUTPUTS), Recorded(PARAMETERS | {"LoginConfig": GOOGLE})
    env = Recorded(host_environment(outputs, parameters, HOST))
    for component in contract.COMPONENTS:
        secret.secret_environment(env, SECRETS.__getitem__, component)
    passed_on = {name for name in contract.OUTPUTS if settings.is_passed_on(name)}
    unused = {name for name in passed_on if settings.passed_on_as(name) not in env.read}
    assert outputs.read - unused >= set(contract.OUTPUTS)
    assert parameters.read >= set(contract.PARAMETERS)


def test_what_configure_reads_is_listed_too():
    outputs = Recorded(OUTPUTS | {"DatabaseEngine": "existing"})
    configure.existing_database(outputs, lambda _: "postgresql://u:p@db/airflow")
    assert outputs.read <= set(contract.OUTPUTS)


def test_components_are_those_of_the_contract():
    assert tuple(run.COMMANDS) == contract.COMPONENTS
    listed = subprocess.run(
        ["bash", str(AIRFLOW / "host/bin/components"), "all"], capture_output=True, text=True, check=True
    )
    assert tuple(listed.stdout.split()) == contract.COMPONENTS


def test_the_smoke_dag_is_the_one_that_the_tool_runs():
    tree = ast.parse((AIRFLOW / "ductwork_airflow/smoke/ductwork_smoke.py").read_text())
    ids = [
        word.value.value for word in ast.walk(tree) if isinstance(word, ast.keyword) and word.arg == "dag_id"
    ]
    assert ids == [contract.SMOKE_DAG]


def test_the_values_that_break_airflow_when_they_are_wrong():
    env = host_environment(OUTPUTS, PARAMETERS, HOST)
    assert env["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
    assert env["AIRFLOW__CELERY__BROKER_URL"] == "sqs://"
    assert env["AIRFLOW__CELERY__WORKER_ENABLE_REMOTE_CONTROL"] == "False"
    assert int(env["AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"]) <= 43200
    queues = json.loads(env["AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__PREDEFINED_QUEUES"])
    assert queues == {
        "default": {"url": OUTPUTS["WorkerDefaultQueueUrl"]},
        "small": {"url": OUTPUTS["WorkerSmallQueueUrl"]},
    }
    assert env["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:8080/execution/"
    assert env["AIRFLOW__CELERY__WORKER_CONCURRENCY"] == "2"
    assert env["DUCTWORK_QUEUES"] == env["AIRFLOW__OPERATORS__DEFAULT_QUEUE"] == "default"
    dags, smoke = json.loads(env["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])
    assert dags["name"] == "dags"
    assert dags["kwargs"]["pointer_key"] == "environments/test/current.json"
    assert smoke["name"] == "ductwork"
    assert env["DUCTWORK_DRAIN_SECONDS"] == "900"


def test_every_setting_is_one_that_this_airflow_knows():
    """A misspelt option is silently ignored by Airflow."""
    from airflow.configuration import conf

    free = {"celery_broker_transport_options"}  # passed on to kombu as they are
    known = conf.configuration_description
    mail = {"MailConfig": json.dumps({"host": "smtp.example.com", "from": "a@example.com"})}
    for name in host_environment(OUTPUTS, PARAMETERS | mail, HOST, "mysql"):
        if name.startswith("AIRFLOW__"):
            section, option = name.removeprefix("AIRFLOW__").lower().split("__", 1)
            assert section in free or option in known.get(section, {}).get("options", {}), name


def test_no_secret_reaches_airflow_env(tmp_path):
    file = tmp_path / "airflow.env"
    envfile.write_lines(file, host_environment(OUTPUTS, PARAMETERS, HOST))
    text = file.read_text()
    env = envfile.read_lines(file)
    assert env == host_environment(OUTPUTS, PARAMETERS, HOST)
    secrets = secret.secret_environment(env, SECRETS.__getitem__, "scheduler")
    for name, value in secrets.items():
        assert name not in text
        assert value not in text
    assert "AIRFLOW__API_AUTH__JWT_SECRET" in secrets
    worker = secret.secret_environment(env, SECRETS.__getitem__, "worker")
    assert secrets.keys() - worker.keys() == {
        "AIRFLOW__API_AUTH__JWT_SECRET",  # workers cannot sign tokens
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC",
    }
    assert file.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("password", ["p:@/?#[]%41 &+;='\"\\ü", "%", "a b", "://", "@@", "x" * 32])
@pytest.mark.parametrize("host", ["db.example", "::1"])
def test_database_uris_survive_any_character(password, host):
    from sqlalchemy.engine import make_url

    for driver in ("postgresql+psycopg2", "db+postgresql"):
        uri = database_uri(driver, "us:er/@", password, host, "5432", "na/me?")
        url = make_url(uri.removeprefix("db+"))
        found = (url.username, url.password, url.host, url.port, url.database)
        assert found == ("us:er/@", password, host, 5432, "na/me?")


def test_airflow_and_celery_read_the_hostile_uri_back():
    """Airflow's configuration has its own `%`; only a real process shows what arrives."""
    env = host_environment(OUTPUTS, PARAMETERS, HOST)
    secrets = secret.secret_environment(env, SECRETS.__getitem__)
    code = """
import json
from airflow.configuration import conf
from airflow.providers.celery.executors.celery_executor import app
from sqlalchemy.engine import make_url
print("ANSWER" + json.dumps([
    make_url(conf.get("database", "sql_alchemy_conn")).password,
    make_url(app.conf.result_backend.removeprefix("db+")).password,
    app.conf.broker_transport_options["predefined_queues"]["default"]["url"],
    list(app.conf.imports), app.conf.task_acks_late, app.conf.worker_prefetch_multiplier,
]))"""
    paths = {
        "PATH": os.environ["PATH"],
        "AIRFLOW_HOME": os.environ["AIRFLOW_HOME"],
        "PYTHONPATH": str(AIRFLOW),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=env | secrets | paths, capture_output=True, text=True
    )
    answer = [line for line in done.stdout.splitlines() if line.startswith("ANSWER")]
    assert answer, done.stderr[-2000:]
    database, results, queue, imports, late, prefetch = json.loads(answer[0].removeprefix("ANSWER"))
    assert database == results == "p:@/?#[]%41 &+;='\"\\ü"
    assert queue == OUTPUTS["WorkerDefaultQueueUrl"]
    assert imports == ["ductwork_airflow.extensions.worker_signals"]
    # With both of these a worker holds no message that it does not work on: nothing is invisible for 12 h after a stop.
    assert (late, prefetch) == (True, 1)


def test_the_fernet_key_is_one():
    from cryptography.fernet import Fernet

    env = host_environment(OUTPUTS, PARAMETERS, HOST)
    key = secret.secret_environment(env, SECRETS.__getitem__)["AIRFLOW__CORE__FERNET_KEY"]
    assert Fernet(key).decrypt(Fernet(key).encrypt(b"x")) == b"x"


def test_overrides():
    assert overrides("") == {}
    given = {"core.parallelism": 64, "logging.logging_level": "DEBUG", "core.lazy_load_plugins": False}
    assert overrides(json.dumps(given)) == {
        "AIRFLOW__CORE__PARALLELISM": "64",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
        "AIRFLOW__CORE__LAZY_LOAD_PLUGINS": "false",
    }
    assert (
        host_environment(OUTPUTS, PARAMETERS, HOST)["AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION"] == "False"
    )
    given = '{"api.workers": 3, "core.dags_are_paused_at_creation": "True"}'
    env = host_environment(OUTPUTS, PARAMETERS | {"AirflowConfig": given}, HOST)
    assert env["AIRFLOW__API__WORKERS"] == "3"
    assert env["AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION"] == "True"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"core": "x"}', "section.option"),
        ('{"Core.X": "x"}', "section.option"),
        ('{"core.fernet_key": "x"}', "set by Ductwork"),
        ('{"database.sql_alchemy_conn_secret": "x"}', "set by Ductwork"),
        ('{"celery.broker_url_cmd": "x"}', "set by Ductwork"),
        ('{"core.x": "a\\nAIRFLOW__CORE__FERNET_KEY=y"}', "control character"),
        ('{"core.x": null}', "no value"),
        (json.dumps({"core.x": "y" * 4096}), "longer than 4096"),
    ],
)
def test_refused_overrides(text, words):
    with pytest.raises(SettingsError, match=words):
        overrides(text)


def test_the_users_variables_are_beside_those_of_the_tool():
    given = {"EnvironmentVariables": json.dumps({"LAKE": "s3://lake", "NOTE": 'a "b" = c'})}
    env = host_environment(OUTPUTS, PARAMETERS | given, HOST)
    assert env == host_environment(OUTPUTS, PARAMETERS, HOST) | {"LAKE": "s3://lake", "NOTE": 'a "b" = c'}


def test_what_hosts_set_themselves_is_owned_by_the_contract(monkeypatch, tmp_path):
    """Whatever a component's environment holds must be refused in `[env]`: one of the two would be lost."""
    env = host_environment(TestBroker.OUTPUTS, LOCAL | {"EntryScheme": "internal", "LoginConfig": GOOGLE},
                           replace(HOST, endpoint_url="http://127.0.0.1:1", files="/mnt"))  # fmt: skip
    for component in contract.COMPONENTS:
        env |= secret.secret_environment(env, SECRETS.__getitem__, component)
    started: list[dict[str, str]] = []
    monkeypatch.setattr(run, "component_environment", lambda component: env)
    monkeypatch.setattr(run, "prepare_home", lambda env: None)
    monkeypatch.setattr(run.os, "chdir", lambda folder: None)
    monkeypatch.setattr(run.os, "execve", lambda path, command, env: started.append(env))
    run.main(["api-server"])
    free = [name for name in started[0] if not contract.is_owned_variable(name)]
    assert "SPT_NOENV" in started[0], "this is what the component starts with"
    assert free == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"a b": "x"}', "not the name"),
        ('{"PATH": "/bin"}', "set by Ductwork"),
        ('{"AIRFLOW__CORE__FERNET_KEY": "x"}', "set by Ductwork"),
        ('{"X": 1}', "not a string"),
        ('{"X": "a\\nPATH=/bin"}', "control character"),
    ],
)
def test_refused_variables(text, words):
    with pytest.raises(SettingsError, match=words):
        host_environment(OUTPUTS, PARAMETERS | {"EnvironmentVariables": text}, HOST)


def test_all_faults_of_a_stack_are_told_at_once():
    outputs = {key: value for key, value in OUTPUTS.items() if key not in ("AirflowUrl", "LogsBucket")}
    with pytest.raises(SettingsError) as error:
        host_environment(outputs, PARAMETERS | {"DrainSeconds": "soon"}, HOST)
    assert all(word in str(error.value) for word in ("AirflowUrl", "LogsBucket", "DrainSeconds", "soon"))


def test_stack_values_prefer_what_a_parameter_resolved_to():
    stack = {
        "Outputs": [],
        "Parameters": [{"ParameterKey": "A", "ParameterValue": "/ssm", "ResolvedValue": "v"}],
    }
    assert configure.stack_values(stack) == ({}, {"A": "v"})


def test_the_revision_comes_from_its_key():
    assert configure.revision({"BUNDLE_KEY": f"hosts/{'a' * 64}.zip"}) == "a" * 64
    assert configure.revision({}) == "unknown"


def test_host_env_is_read_as_a_shell_reads_it(tmp_path, monkeypatch):
    monkeypatch.setenv("DUCTWORK_HOST_ROOT", str(tmp_path))
    (tmp_path / "etc/ductwork").mkdir(parents=True)
    (tmp_path / "etc/ductwork/host.env").write_text(
        '# who\nDUCTWORK_COMPONENTS="a b"\nAWS_REGION=eu-west-1\n\n'
    )
    assert envfile.read_host() == {"DUCTWORK_COMPONENTS": "a b", "AWS_REGION": "eu-west-1"}


def test_a_component_inherits_no_stray_setting():
    stray = {
        "AIRFLOW__CORE__EXECUTOR": "X",
        "PATH": "/bin",
        "AWS_REGION": "r",
        "PYTHONPATH": "/evil",
        "LD_PRELOAD": "/e",
    }
    assert run.inherited(stray) == {"PATH": "/bin", "AWS_REGION": "r"}


class TestWorkerSets:
    """Who serves which queue."""

    def of(self, components: str, worker_set: str = "", **outputs: str) -> dict[str, str]:
        host = replace(HOST, components=tuple(components.split()), worker_set=worker_set)
        return host_environment(OUTPUTS | outputs, PARAMETERS, host)

    def test_a_schedulers_host_works_on_the_sets_without_hosts(self):
        env = self.of("scheduler dag-processor triggerer scaler")
        assert env["DUCTWORK_COMPONENTS"] == "scheduler dag-processor triggerer scaler worker"
        assert (env["DUCTWORK_QUEUES"], env["AIRFLOW__CELERY__WORKER_CONCURRENCY"]) == ("small", "3")
        env = self.of("api-server")
        assert (env["DUCTWORK_COMPONENTS"], env["DUCTWORK_QUEUES"]) == ("api-server", "")

    def test_a_workers_host_serves_its_own(self):
        env = self.of("worker keeper", "default")
        assert env["DUCTWORK_COMPONENTS"] == "worker keeper"
        command = run.COMMANDS["worker"](env)
        assert command[1:] == ["celery", "worker", "-q", "default", "--without-mingle", "--without-gossip"]
        sets = json.loads(env["DUCTWORK_WORKER_SETS"])
        assert sets["default"]["queue_url"] == OUTPUTS["WorkerDefaultQueueUrl"]
        assert sets["default"]["auto_scaling_group"] == "workers"
        assert sets["small"]["deployment_group"] == "-"

    def test_tasks_find_the_shared_folder(self):
        env = host_environment(OUTPUTS, PARAMETERS, replace(HOST, files="/mnt/ductwork"))
        assert env["DUCTWORK_FILES"] == "/mnt/ductwork"
        assert "DUCTWORK_FILES" not in host_environment(OUTPUTS, PARAMETERS, HOST)

    def test_a_set_that_is_not_there_or_not_whole_is_told(self):
        with pytest.raises(SettingsError, match="worker set `big`"):
            self.of("worker keeper", "big")
        with pytest.raises(SettingsError, match=r"no output `WorkerSmallQueueUrl`.*`small`"):
            self.of("worker", "default", WorkerSmallQueueUrl="")
        with pytest.raises(SettingsError, match="no worker set `default`"):
            self.of("worker", WorkerSets="{}")
        with pytest.raises(SettingsError, match="cannot be read"):
            self.of("worker", WorkerSets="nonsense")

    def test_the_hooks_and_the_wrapper_know_the_same_components(self):
        command = ["bash", str(AIRFLOW / "host/bin/components"), "all"]
        assert subprocess.check_output(command, text=True).split() == list(run.COMMANDS)


class TestBroker:
    """SQS is plain settings; Valkey has a password."""

    OUTPUTS = OUTPUTS | {"BrokerKind": "valkey", "CacheHost": "cache.internal", "CachePort": "6379"} | {
        name: "-" for name in OUTPUTS if name.endswith("QueueUrl")
    }  # fmt: skip

    def test_valkey(self):
        env = host_environment(self.OUTPUTS, PARAMETERS, HOST)
        assert "AIRFLOW__CELERY__BROKER_URL" not in env
        assert "PREDEFINED_QUEUES" not in " ".join(env)
        assert env["AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"] == "86400"
        for component in ("worker", "scheduler"):
            found = secret.secret_environment(env, SECRETS.__getitem__, component)
            assert found["AIRFLOW__CELERY__BROKER_URL"] == (
                "rediss://:c%40che%2Fpass%20word@cache.internal:6379/0?ssl_cert_reqs=required"
            )
        assert "AIRFLOW__CELERY__BROKER_URL" not in secret.secret_environment(
            env, SECRETS.__getitem__, "api-server"
        )
        local = secret.secret_environment(env | {"DUCTWORK_LOCAL": "True"}, SECRETS.__getitem__, "worker")
        assert local["AIRFLOW__CELERY__BROKER_URL"] == "redis://:c%40che%2Fpass%20word@cache.internal:6379/0"

    def test_a_valkey_that_is_a_task_has_no_tls(self):
        env = host_environment(self.OUTPUTS | {"BrokerKind": "valkey-service"}, PARAMETERS, HOST)
        assert env["AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"] == "86400"
        found = secret.secret_environment(env, SECRETS.__getitem__, "worker")
        assert found["AIRFLOW__CELERY__BROKER_URL"] == "redis://:c%40che%2Fpass%20word@cache.internal:6379/0"

    def test_a_worker_reads_the_secrets_that_the_contract_names(self):
        """A change of one of these makes a deployment restart workers, and a change of no other."""
        env = host_environment(self.OUTPUTS, PARAMETERS, HOST)
        read = set()
        secret.secret_environment(env, lambda name: read.add(name) or SECRETS[name], "worker")
        assert {self.OUTPUTS[name] for name in contract.WORKER_SECRETS} == read

    def test_kombu_connects_with_tls_and_the_right_password(self):
        from kombu import Connection

        url = connections.cache_url("c@che/pass word", "cache.internal", "6379", tls=True)
        with Connection(url) as connection:
            assert (connection.password, connection.hostname) == ("c@che/pass word", "cache.internal")
            assert connection.ssl == {"ssl_cert_reqs": ssl.CERT_REQUIRED}


class TestDatabases:
    """URLs of every engine, for both of Airflow's engines and for Celery."""

    def of(self, engine: str, local: bool = False, value: str = "") -> dict[str, str]:
        kind = configure.existing_database(
            {"DatabaseEngine": engine, "DatabaseSecretArn": "x"}, lambda _: value
        )
        env = host_environment(OUTPUTS | {"DatabaseEngine": engine}, PARAMETERS, HOST, kind)
        env |= {"DUCTWORK_LOCAL": str(local)}
        secrets = SECRETS | ({"arn:db": value} if value else {})
        return env | secret.secret_environment(env, secrets.__getitem__)

    @staticmethod
    def urls(env: dict[str, str]) -> list[str]:
        """Of Airflow, its asynchronous half, and Celery."""
        names = (
            "DATABASE__SQL_ALCHEMY_CONN",
            "DATABASE__SQL_ALCHEMY_CONN_ASYNC",
            "CELERY__RESULT_BACKEND",
        )
        return [env[f"AIRFLOW__{name}"] for name in names]

    @pytest.mark.parametrize("engine", ["postgres", "aurora-postgresql"])
    def test_postgres(self, engine):
        from sqlalchemy.engine import make_url

        plain, asynchronous, results = self.urls(self.of(engine))
        assert results == f"db+{plain}"
        assert dict(make_url(plain).query) == {"sslmode": "require"}
        assert make_url(plain).password == "p:@/?#[]%41 &+;='\"\\ü"
        assert make_url(asynchronous).password == make_url(plain).password
        assert make_url(asynchronous).drivername == "postgresql+asyncpg"
        assert dict(make_url(asynchronous).query) == {"ssl": "require"}, "asyncpg dies of `sslmode`"
        assert all("?" not in url for url in self.urls(self.of(engine, local=True)))

    def test_mysql(self):
        env = self.of("mysql")
        plain, asynchronous, results = self.urls(env)
        assert plain.startswith("mysql+mysqldb://")
        assert plain.endswith("/airflow?ssl_mode=REQUIRED&charset=utf8mb4")
        assert asynchronous.startswith("mysql+aiomysql://")
        assert asynchronous.endswith("/airflow?charset=utf8mb4")
        assert results == f"db+{plain}"
        assert env["DUCTWORK_DATABASE_KIND"] == "mysql"
        name = env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS_ASYNC"]
        from airflow._shared.module_loading import import_string

        assert import_string(name)["ssl"]

    @pytest.mark.parametrize(
        ("given", "plain", "kind"),
        [
            ("postgresql+psycopg2://u:p%40@h/d?sslmode=verify-full", None, "postgresql"),
            ("postgres://u:p@h/d", "postgresql+psycopg2://u:p@h/d", "postgresql"),
            ("postgresql://u:p@h/d\n", "postgresql+psycopg2://u:p@h/d", "postgresql"),
            ("mysql://u:p@h/d", "mysql+mysqldb://u:p@h/d", "mysql"),
        ],
    )
    def test_existing(self, given, plain, kind):
        env = self.of("existing", value=given)
        found = self.urls(env)
        assert found[0] == (plain or given)
        assert found[2] == f"db+{found[0]}"
        assert ("ssl=verify-full" in found[1]) == ("verify-full" in given)
        assert env["DUCTWORK_DATABASE_KIND"] == kind

    def test_what_cannot_be_used_is_told(self):
        with pytest.raises(SettingsError, match="`sqlite` cannot keep"):
            self.of("existing", value="sqlite:////tmp/x")
        with pytest.raises(SettingsError, match="`oracle` cannot keep"):
            self.of("oracle")


class TestProxy:
    """Headers of a proxy are believed only where there is one."""

    def test_only_behind_a_balancer(self):
        env = host_environment(OUTPUTS, PARAMETERS, HOST)
        assert env["AIRFLOW__FAB__ENABLE_PROXY_FIX"] == "False"
        assert run.COMMANDS["api-server"](env)[1:] == ["api-server"]
        env = host_environment(OUTPUTS, PARAMETERS | {"EntryScheme": "internet-facing"}, HOST)
        assert env["AIRFLOW__FAB__ENABLE_PROXY_FIX"] == "True"
        assert env["AIRFLOW__FAB__PROXY_FIX_X_HOST"] == "0", "a balancer passes on what the client says there"
        assert run.COMMANDS["api-server"](env)[1:] == ["api-server", "--proxy-headers"]


def test_only_the_api_server_gets_the_secret_of_the_login():
    env = host_environment(OUTPUTS, PARAMETERS | {"LoginConfig": GOOGLE}, HOST)
    assert "client-secret" not in " ".join(env.values())
    for component in ("api-server", "scheduler", "worker", ""):
        found = secret.secret_environment(env, SECRETS.__getitem__, component)
        assert ("client-secret" in found.values()) == (component == "api-server")
        if component == "api-server":
            assert json.loads(found["DUCTWORK_LOCAL_USERS"]) == ["admin", "service"]
    plain = host_environment(OUTPUTS, PARAMETERS, HOST)
    assert "client-secret" not in secret.secret_environment(plain, SECRETS.__getitem__, "api-server").values()


def test_hosts_of_one_machine_listen_side_by_side():
    """Locally everything shares one address; on AWS the ports are those that the security groups open."""
    local = host_environment(OUTPUTS, {**LOCAL, "AirflowPort": "9000"}, HOST)
    assert [local[option] for option in SERVER_PORTS] == ["9001", "9002", "9003"]
    aws = host_environment(OUTPUTS, {**PARAMETERS, "AirflowPort": "9000"}, replace(HOST, endpoint_url=None))
    assert [aws[option] for option in SERVER_PORTS] == ["8974", "8793", "8794"]
