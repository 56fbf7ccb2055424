"""Executors: what Airflow is told of them, what the ECS executor makes of it, and which tasks are a worker's."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from conftest import AIRFLOW
from test_images_settings import container, settings
from test_settings import OUTPUTS, PARAMETERS

from ductwork_airflow.hosts import executors
from ductwork_airflow.hosts.settings import SettingsError
from ductwork_airflow.images import task

TOLD = {"cluster": "c", "container_name": "executor", "task_definition": "arn:aws:ecs:a:0:task-definition/e:7",
        "subnets": "subnet-1,subnet-2", "security_groups": "sg-1", "assign_public_ip": "DISABLED",
        "capacity_provider": "FARGATE"}  # fmt: skip
BOTH = {"DUCTWORK_PARAMETER_Executors": "celery,ecs", "DUCTWORK_OUTPUT_EcsExecutor": json.dumps(TOLD)}
NO_SETS = {name: "{}" if name == "WorkerSets" else value for name, value in OUTPUTS.items()}


def test_the_first_is_the_default_and_hosts_have_celery():
    assert executors.settings(OUTPUTS, PARAMETERS) == {"core.executor": "CeleryExecutor"}
    ecs = "ecs:ductwork_airflow.extensions.ecs_executor.EcsExecutor"
    for names, option in [
        ("celery,ecs", f"CeleryExecutor,{ecs}"),
        ("ecs,celery", f"{ecs},CeleryExecutor"),
        ("ecs", ecs),
    ]:
        assert executors.option(executors.names({"Executors": names})) == option


def test_the_scheduler_is_told_what_to_start_and_a_worker_only_the_names():
    told = settings(container("scheduler") | BOTH, "scheduler")
    assert told["AIRFLOW__AWS_ECS_EXECUTOR__TASK_DEFINITION"].endswith(":7"), (
        "of its own release, not the newest"
    )
    assert told["AIRFLOW__AWS_ECS_EXECUTOR__ASSIGN_PUBLIC_IP"] == "False"
    worker = settings(container("worker") | {"DUCTWORK_PARAMETER_Executors": "celery,ecs"}, "worker")
    assert worker["AIRFLOW__CORE__EXECUTOR"] == told["AIRFLOW__CORE__EXECUTOR"]
    assert not [name for name in worker if name.startswith("AIRFLOW__AWS_ECS_EXECUTOR")]


def test_without_celery_nothing_is_said_of_workers():
    environ = container("scheduler", NO_SETS) | BOTH | {"DUCTWORK_PARAMETER_Executors": "ecs"}
    told = settings(environ, "scheduler")
    assert told["DUCTWORK_WORKER_SETS"] == "{}"
    assert not [name for name in told if name.startswith("AIRFLOW__CELERY")]
    with pytest.raises(SettingsError, match="no worker set `default`"):
        settings(environ | {"DUCTWORK_PARAMETER_Executors": "celery"}, "scheduler")


@pytest.mark.parametrize(("changed", "fault"), [
    ({"DUCTWORK_PARAMETER_Executors": "celery,batch"}, "unknown: batch"),
    ({"DUCTWORK_OUTPUT_EcsExecutor": json.dumps({"cluster": "c"})}, "lacks container_name, task_definition"),
    ({"DUCTWORK_OUTPUT_EcsExecutor": "["}, "`EcsExecutor` cannot be read"),
])  # fmt: skip
def test_what_is_wrong_is_told(changed, fault):
    with pytest.raises(SettingsError, match=fault):
        settings(container("scheduler") | BOTH | changed, "scheduler")


def test_a_task_of_its_own_has_the_secrets_of_a_worker_and_no_broker():
    """Of a Valkey broker, too, whose password only workers and schedulers have."""
    environ = container("executor") | {"DUCTWORK_SERVICE": task.EXECUTOR}
    for name in ("JWT", "CACHE"):
        environ.pop(f"DUCTWORK_SECRET_{name}", None)
    env = task.environment(environ, task.of(environ, ""), task.likeness(environ))
    assert env["AIRFLOW__CORE__FERNET_KEY"]
    for name in ("AIRFLOW__API_AUTH__JWT_SECRET", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC"):
        assert name not in env


# With the settings of a scheduler: what RunTask would be asked.
ASKED = """
import json
from ductwork_airflow.extensions.ecs_executor import EcsExecutor
from airflow.executors.executor_loader import ExecutorLoader
executor = ExecutorLoader.load_executor("ecs")
assert type(executor) is EcsExecutor and executor.name.alias == "ecs"
command = ["python", "-m", "x"]
size = {"overrides": {"cpu": "2048", "memory": "8192"}}
executor.active_workers.tasks["arn"] = object()
executor.end()
print("\\n" + json.dumps(executor._run_task_kwargs("key", command, "default", size)))
"""


def test_the_executor_asks_for_a_task_of_the_wanted_size(tmp_path):
    """By a capacity provider, without the platform version that AWS refuses on instances. Its end waits for none."""
    told = settings(container("scheduler") | BOTH, "scheduler")
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(AIRFLOW), "AIRFLOW_HOME": str(tmp_path),
           "AWS_DEFAULT_REGION": "eu-central-1"} | {
        name: value for name, value in told.items() if name.startswith(("AIRFLOW__AWS_ECS", "AIRFLOW__CORE__EXECUTOR"))
    }  # fmt: skip
    done = subprocess.run([sys.executable, "-c", ASKED], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    asked = json.loads(done.stdout.splitlines()[-1])
    container_override = asked["overrides"].pop("containerOverrides")[0]
    assert asked == {
        "cluster": "c",
        "taskDefinition": TOLD["task_definition"],
        "count": 1,
        "startedBy": "ductwork/executor",
        "capacityProviderStrategy": [{"capacityProvider": "FARGATE", "weight": 1}],
        "networkConfiguration": {
            "awsvpcConfiguration": {
                "subnets": ["subnet-1", "subnet-2"],
                "securityGroups": ["sg-1"],
                "assignPublicIp": "DISABLED",
            }
        },
        "overrides": {"cpu": "2048", "memory": "8192"},
    }
    assert container_override["name"] == "executor"
    assert container_override["command"] == ["python", "-m", "x"]


def test_tasks_of_the_ecs_executor_are_no_load_of_workers():
    assert executors.of_workers("CeleryExecutor") == ""
    both = executors.of_workers(executors.option(["celery", "ecs"]))
    assert both.startswith(" and (executor is null or executor not in ('ecs', ")
    assert executors.of_workers(executors.option(["ecs", "celery"])).startswith(
        " and (executor not in ('ecs', "
    )
