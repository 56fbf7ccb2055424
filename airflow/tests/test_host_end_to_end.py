"""The real hooks, units, wrapper and five real Airflow components, on Postgres, SQS and S3: one host, one story.

A deployment from nothing; a smoke task on the worker; the pointer moves while a run is in flight; a drained stop that
lets a running task finish and uploads its log; a second installation that finds nothing to migrate.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import threading
import time
from pathlib import Path

import apichecks
import boto3
import psycopg2
import pytest
from apichecks import LOGIN
from conftest import wait_for
from hostkit import REVISION, Api, Host, make_stack, publish, temporary_root, update_stack
from loginkit import CLIENT_SECRET, Google
from werkzeug.security import check_password_hash, generate_password_hash

# As the release tool writes them.
POOL = {"name": "narrow way", "slots": 1, "description": "[airflow/objects.toml]", "include_deferred": False}
OBJECTS = {
    "connections": {"warehouse": {"conn_type": "postgres", "host": "db", "secret": "connections/warehouse"}},
    "variables": {"rows": "3"},
}
PASSWORD = "p@ss of {the}: warehouse"
COMPONENTS = "api-server scheduler dag-processor triggerer worker"


def waits_for(gate: Path) -> str:
    """A command that ends once the file exists."""
    return f"while [ ! -e {shlex.quote(str(gate))} ]; do sleep 0.1; done; echo finished-by-itself"


def pinned(word: str, host: Host) -> dict[str, str]:
    """A DAG whose two tasks and helper package say `word`, and one with a slow task; both wait to be let go."""
    return {
        "mylib/__init__.py": f"WORD = {word!r}\n",
        "two.py": f"""
from airflow.sdk import dag, task
import os
import time

@dag(dag_id="two", schedule=None, is_paused_upon_creation=False)
def two():
    @task
    def first():
        while not os.path.exists({str(host.root / "go-two")!r}):
            time.sleep(0.1)
        import mylib
        return {word!r} + mylib.WORD
    @task
    def second(value):
        import mylib
        return value + {word!r} + mylib.WORD
    second(first())

two()
""",
        "slow.py": f"""
from airflow.sdk import dag, task

@dag(dag_id="slow", schedule=None, is_paused_upon_creation=False)
def slow():
    @task.bash
    def sleep():
        return {waits_for(host.root / "go-slow")!r}
    sleep()

slow()
""",
        "needs.py": f"""
from airflow.sdk import BaseHook, Variable, dag, task
import os

@dag(dag_id="needs", schedule=None, is_paused_upon_creation=False)
def needs():
    @task(pool={POOL["name"]!r})
    def tell():
        warehouse = BaseHook.get_connection("warehouse")
        return [os.environ["LAKE"], warehouse.host, warehouse.password == {PASSWORD!r}, Variable.get("rows")]
    tell()

needs()
""",
    }


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_deploy_run_move_the_pointer_and_drain(aws, s3, postgres):
    port, _ = make_stack(postgres, EnvironmentVariables=json.dumps({"LAKE": "s3://lake"}))
    with temporary_root() as root:
        host = Host(root, aws, COMPONENTS, "default")
        google = Google()
        host.env["DUCTWORK_GOOGLE_METADATA_URL"] = f"{google.url}/.well-known/openid-configuration"
        supervisord = host.boot()
        try:
            story(host, s3, port, postgres)
            story_of_login(host, port, postgres, google)
        except BaseException:
            host.tell()
            raise
        finally:
            google.close()
            supervisord.terminate()
            supervisord.wait(120)


def deploy(host: Host, hooks=("after_install", "application_start", "validate_service")) -> str:
    """CodeDeploy's order; returns what ApplicationStop said."""
    said = ""
    if host.archive.exists():
        stopped = host.hook("application_stop")
        assert stopped.returncode == 0
        said = stopped.stdout
    host.download()
    assert host.hook("before_install").returncode == 0
    host.install()
    for name in hooks:
        assert host.hook(name).returncode == 0, name
    return said


def in_database(login: dict[str, str], query: str) -> list[tuple]:
    """What Airflow left, without an API server."""
    keys = {"username": "user", "password": "password", "host": "host", "port": "port", "database": "dbname"}
    connection = psycopg2.connect(**{keys[name]: value for name, value in login.items()})
    with connection.cursor() as cursor:
        cursor.execute(query)
        found = cursor.fetchall()
    connection.commit()
    connection.close()
    return found


def story(host: Host, s3, port: int, postgres: dict[str, str]) -> None:
    digest = publish(s3, pinned("A", host))
    deploy(host)
    api = Api(port)
    api.login("admin", "first-password-of-admin")

    # the smoke task, on this host's worker, of this revision
    wait_for("smoke DAG", lambda: api.dag("ductwork_smoke"))
    run = api.trigger("ductwork_smoke")
    wait_for("smoke run", lambda: api.state("ductwork_smoke", run)["state"] == "success")
    assert api.value("ductwork_smoke", run, "report")["revision"] == REVISION
    assert api.value("ductwork_smoke", run, "report")["airflow"] == "3.3.2"

    apichecks.check_health_of_a_whole_cluster(port)
    apichecks.check_basic_authentication(port)
    make_old_user(postgres)

    check_what_dags_need(api, s3)

    # the pointer moves while `first` runs: the run keeps its code, the next one has the new
    dag = wait_for("DAG two", lambda: api.dag("two"))
    assert dag["bundle_version"] == digest
    first = api.trigger("two")
    wait_for("first task", lambda: api.task("two", first, "first")["state"] == "running")
    began = time.monotonic()
    newer = publish(s3, pinned("B", host))
    api.call("PUT", f"/api/v2/parseDagFile/{dag['file_token']}")
    wait_for("new version", lambda: api.dag("two")["bundle_version"] == newer)
    print(f"pointer to bundle_version: {time.monotonic() - began:.1f} s")
    assert api.task("two", first, "first")["state"] == "running"
    second = api.trigger("two")
    (host.root / "go-two").touch()
    wait_for("both runs", lambda: all(api.state("two", run)["state"] == "success" for run in (first, second)))
    assert api.value("two", first, "second") == "AAAA"
    assert api.value("two", second, "second") == "BBBB"
    assert [api.state("two", run)["bundle_version"] for run in (first, second)] == [digest, newer]

    # a stop waits for the running task and for its log's upload
    slow = api.trigger("slow")
    wait_for("slow task", lambda: api.task("slow", slow, "sleep")["state"] == "running")
    check_a_report(host, s3, slow)
    pids = [int(host.svc("mainpid", component).stdout) for component in COMPONENTS.split()]
    changed = json.dumps({"username": "admin", "password": "second-password-of-admin"})
    secrets = boto3.client("secretsmanager")
    secrets.put_secret_value(SecretId="ductwork/test/admin", SecretString=changed)
    secrets.create_secret(Name="ductwork/test/login/google", SecretString=CLIENT_SECRET)
    assert in_database(postgres, "select count(*) from connection") == [(0,)]
    wish = json.dumps({"database.load_default_connections": "True"})
    update_stack(LoginConfig=json.dumps(LOGIN), EntryScheme="internal", AirflowConfig=wish)
    letting_go = threading.Thread(target=let_go_once_stopping, args=(host,))
    letting_go.start()
    said = deploy(host, ["after_install"])
    letting_go.join(120)
    assert "no task was cut short" in said
    states = "select state, try_number from task_instance where dag_id = 'slow'"
    assert in_database(postgres, states) == [("success", 1)]
    assert in_database(postgres, "select conn_type from connection where conn_id = 'aws_default'") == [
        ("aws",)
    ]
    (hashed,) = in_database(postgres, "select password from ab_user where username = 'admin'")[0]
    assert check_password_hash(hashed, "second-password-of-admin"), "the secret is the truth"
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    objects = s3.list_objects_v2(Bucket="logs", Prefix=f"airflow/dag_id=slow/run_id={slow}/")["Contents"]
    log = s3.get_object(Bucket="logs", Key=objects[0]["Key"])["Body"].read().decode()
    assert "finished-by-itself" in log
    # nothing secret in the one file with settings
    text = (host.root / "etc/ductwork/airflow.env").read_text()
    for secret in ("p@ss:w/rd", "p%40ss", "aB3aB3", "J7wJ7w", "A9pA9p", "first-password", CLIENT_SECRET):
        assert secret not in text


def check_what_dags_need(api: Api, s3) -> None:
    """Besides code: a pool, a variable of the environment, a connection and a variable of the release."""
    record = {"environment": {"objects": OBJECTS}}
    s3.put_object(Bucket="artifacts", Key="environments/test/releases/needs.json", Body=json.dumps(record))
    pointer = json.loads(
        s3.get_object(Bucket="artifacts", Key="environments/test/current.json")["Body"].read()
    )
    body = json.dumps(pointer | {"release": "needs"})
    s3.put_object(Bucket="artifacts", Key="environments/test/current.json", Body=body)
    boto3.client("secretsmanager").create_secret(
        Name="ductwork/test/connections/warehouse", SecretString=PASSWORD
    )

    api.call("POST", "/api/v2/pools", POOL)
    change = {"pool": POOL["name"], "slots": 2, "description": POOL["description"], "include_deferred": True}
    api.call("PATCH", "/api/v2/pools/narrow%20way", change)
    pools = api.call("GET", "/api/v2/pools?order_by=id&limit=100&offset=0")
    assert [pool["name"] for pool in pools["pools"]] == ["default_pool", POOL["name"]]
    assert (pools["pools"][1]["slots"], pools["pools"][1]["include_deferred"]) == (2, True)
    wait_for("DAG needs", lambda: api.dag("needs"))
    run = api.trigger("needs")
    wait_for("its run", lambda: api.state("needs", run)["state"] in ("success", "failed"))
    assert api.value("needs", run, "tell") == ["s3://lake", "db", True, "3"]
    api.call("DELETE", "/api/v2/pools/narrow%20way")
    assert api.call("GET", "/api/v2/pools")["total_entries"] == 1


def check_a_report(host: Host, s3, run: str) -> None:
    """What is about to be told to end is named in the artifact bucket; here nobody tells it afterwards."""
    command = [
        "opt/ductwork/venv/bin/python",
        "-m",
        "ductwork_airflow.hosts.drain",
        "--told",
        "--why",
        "test",
    ]
    env = host.env | {"PYTHONPATH": str(host.root / "opt/ductwork/revision")}
    said = subprocess.check_output(command, env=env, cwd=host.root, text=True)
    assert said == f"cut short: slow {run} sleep (try 1)\n"
    (left,) = s3.list_objects_v2(Bucket="artifacts", Prefix="environments/test/drains/")["Contents"]
    report = json.loads(s3.get_object(Bucket="artifacts", Key=left["Key"])["Body"].read())
    assert (report["worker_set"], report["why"], report["unknown"]) == ("default", "test", None)
    assert [(task["dag_id"], task["run_id"]) for task in report["tasks"]] == [("slow", run)]


def let_go_once_stopping(host: Host) -> None:
    """The slow task ends only after the worker was told to stop."""
    log = host.root / "var/log/ductwork/worker.log"
    wait_for("the stop of the worker", lambda: "Warm shutdown" in log.read_text())
    (host.root / "go-slow").touch()


def make_old_user(login: dict[str, str]) -> None:
    """Somebody with a password, from before Google was chosen."""
    statement = f"""insert into ab_user (id, first_name, last_name, username, email, active, password)
        values (900, 'O', 'L', 'old', 'old@example.com', true, '{generate_password_hash("old-password")}')
        returning id"""
    assert in_database(login, statement) == [(900,)]


def story_of_login(host: Host, port: int, postgres: dict[str, str], google: Google) -> None:
    """The second installation has Google's login; of all components only its API server runs."""
    assert host.svc("start", "api-server").returncode == 0
    wait_for("API server", lambda: answers(port))
    apichecks.check_google(port, google)
    apichecks.check_proxy(port, google)
    apichecks.check_passwords_beside_google(port)
    apichecks.check_a_dead_scheduler_and_a_dead_database(port, postgres)
    log = (host.root / "var/log/ductwork/api-server.log").read_text()
    apichecks.check_reasons(log)
    assert CLIENT_SECRET not in log


def answers(port: int) -> bool:
    """Whether the API server is up."""
    try:
        return apichecks.health(port)[0] == 200
    except OSError:
        return False
