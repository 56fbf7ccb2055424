"""The settings of Airflow on a host, as a pure function of the stack's outputs and parameters. Never holds a secret.

Numbers and traps come from runs with Airflow 3.3.2: SQS keeps a message invisible for at most 12 hours (Airflow's own
default of 24 is refused) and SQS has no remote control.

`connections.py`, `executors.py`, `worker_sets.py`, `login.py`, `mail.py` and `variables.py` have the rules of their
subjects.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from ductwork_airflow import contract
from ductwork_airflow.extensions import login, mail
from ductwork_airflow.hosts import connections, executors, variables
from ductwork_airflow.scaling import worker_sets

SQS_LONGEST_VISIBILITY_SECONDS = 43_200
# Airflow acknowledges a message when its task has ended, so a longer task would be delivered a second time.
VALKEY_VISIBILITY_SECONDS = 86_400
REFRESH_SECONDS = 5  # between two looks at the pointer, if AirflowConfig says nothing
_KEY = re.compile(r"[a-z0-9_]+\.[a-z0-9_]+")


class SettingsError(ValueError):
    """The stack does not say what a host needs to know; all faults are in the message."""


class Ports(NamedTuple):
    """What Airflow opens beside the API."""

    scheduler_health: int
    worker_logs: int
    triggerer_logs: int


USUAL_PORTS = Ports(**contract.PORTS)


@dataclass(frozen=True)
class Host:
    """What a host knows about itself."""

    root: Path  # stands for `/`; on EC2 it is
    region: str
    environment: str
    endpoint_url: str | None = (
        None  # AWS_ENDPOINT_URL, which is passed on to the AWS SDKs and says nothing else
    )
    stack: str = ""  # the master stack
    components: tuple[str, ...] = ()  # of host.env, without those that a worker set adds
    worker_set: str = ""  # of a worker's host
    files: str = ""  # where the shared folder is, if there is one
    revision: str = "unknown"  # sha256 of the host revision, from its key

    # What the stack says of each worker set.
    worker_set_outputs: ClassVar[Mapping[str, str]] = contract.WORKER_SET_OUTPUTS

    @property
    def code(self) -> Path:
        """The files of the host revision."""
        return self.root / "opt/ductwork/revision"

    @property
    def state(self) -> Path:
        """What outlives a revision."""
        return self.root / "var/lib/ductwork"

    @property
    def home(self) -> Path:
        """AIRFLOW_HOME."""
        return self.state / "airflow"

    @property
    def logs(self) -> Path:
        """Where logs of tasks are until they are in S3."""
        return self.root / "var/log/ductwork/airflow"

    def listens(self, parameters: Mapping[str, str]) -> str:
        """The address of the API server."""
        return "127.0.0.1" if is_local(parameters) else "0.0.0.0"

    def ports(self, parameters: Mapping[str, str]) -> Ports:
        """Hosts of a local cloud share one machine's ports with each other and with other projects, so theirs follow
        the port of the API."""
        first = int(parameters["AirflowPort"])
        return Ports(first + 1, first + 2, first + 3) if is_local(parameters) else USUAL_PORTS

    def execution_url(self, outputs: Mapping[str, str]) -> str:
        """Where tasks reach the API server."""
        return outputs["AirflowUrl"]


def variable(section: str, option: str) -> str:
    """The environment variable of an option."""
    return f"AIRFLOW__{section.upper()}__{option.upper()}"


def overrides(text: str) -> dict[str, str]:
    """The user's AirflowConfig: a JSON object of `section.option` to value. Reports every fault at once."""
    if not text.strip():
        return {}
    try:
        given = json.loads(text)
    except ValueError as error:
        raise SettingsError(f"AirflowConfig is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise SettingsError("AirflowConfig is not a JSON object")
    faults = (
        [f"AirflowConfig is longer than {contract.LONGEST_AIRFLOW_CONFIG} characters"]
        if len(text) > contract.LONGEST_AIRFLOW_CONFIG
        else []
    )
    result = {}
    for key, value in given.items():
        if not _KEY.fullmatch(key):
            faults.append(f"AirflowConfig: `{key}` is not of the form section.option")
        elif contract.is_owned_by_hosts(key):
            faults.append(f"AirflowConfig: `{key}` is set by Ductwork and cannot be overridden")
        elif isinstance(value, str) and any(ord(character) < 32 for character in value):
            faults.append(f"AirflowConfig: the value of `{key}` has a control character")
        elif value is None:
            faults.append(f"AirflowConfig: `{key}` has no value")
        else:
            result[variable(*key.split("."))] = value if isinstance(value, str) else json.dumps(value)
    if faults:
        raise SettingsError("; ".join(faults))
    return result


def bundles(outputs: Mapping[str, str], host: Host, refresh_seconds: int) -> list[dict[str, Any]]:
    """The two DAG bundles: the user's, pinned by digest, and the tool's own smoke test."""
    return [
        {
            "name": contract.DAG_BUNDLE,
            "classpath": "ductwork_airflow.extensions.bundle.S3DigestBundle",
            "kwargs": {
                "bucket": outputs["ArtifactBucket"],
                "pointer_key": contract.pointer_key(host.environment),
                "refresh_interval": refresh_seconds,
            },
        },
        {
            "name": "ductwork",
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(host.code / "ductwork_airflow/smoke"), "refresh_interval": 300},
        },
    ]


_NUMBERS = ("AirflowPort", "DrainSeconds")  # parameters


def _checked(outputs: Mapping[str, str], parameters: Mapping[str, str], host: Host) -> None:
    faults = [f"the stack has no output `{name}`" for name in contract.OUTPUTS if not outputs.get(name)]
    for name in _NUMBERS:
        if not str(parameters.get(name, "")).isdecimal():
            faults.append(f"the stack's parameter `{name}` is not a number: `{parameters.get(name)}`")
    for check in (
        lambda: connections.kind(outputs.get("DatabaseEngine", ""), "mysql://"),
        lambda: _worker_sets(outputs, parameters, host),
        lambda: executors.settings(outputs, parameters),
        lambda: login.parse(parameters.get("LoginConfig", "")),
        lambda: mail.options(parameters.get("MailConfig", "")),
        lambda: variables.parse(parameters.get("EnvironmentVariables", "")),
    ):
        try:
            check()
        except ValueError as error:
            faults.append(str(error))
    if faults:
        raise SettingsError("; ".join(faults))


def _worker_sets(
    outputs: Mapping[str, str], parameters: Mapping[str, str], host: Host
) -> dict[str, dict[str, Any]]:
    needed = executors.worker_sets(executors.names(parameters))
    return worker_sets.resolve(outputs, host.worker_set_outputs, needed)


def host_environment(
    outputs: Mapping[str, str], parameters: Mapping[str, str], host: Host, database_kind: str = ""
) -> dict[str, str]:
    """Everything for airflow.env. Raises SettingsError naming all faults.

    `database_kind` is that of an existing database, which only its secret tells.
    """
    _checked(outputs, parameters, host)
    custom = overrides(parameters.get("AirflowConfig", ""))
    database = database_kind or connections.kind(outputs["DatabaseEngine"])
    sets = _worker_sets(outputs, parameters, host)
    try:
        serves = worker_sets.served(sets, host.worker_set, host.components)
    except worker_sets.WorkerSetsError as error:
        raise SettingsError(str(error)) from error
    fixed = {
        "AIRFLOW_HOME": str(host.home),
        "PYTHONPATH": str(host.code),
        "AWS_REGION": host.region,
        "AWS_DEFAULT_REGION": host.region,  # the only name that boto3 reads
        **{passed_on_as(name): outputs[name] for name in contract.OUTPUTS if is_passed_on(name)},
        "DUCTWORK_ARTIFACT_BUCKET": outputs["ArtifactBucket"],
        "DUCTWORK_ADDRESS": outputs["AddressAllocationId"],
        "DUCTWORK_AIRFLOW_PORT": parameters["AirflowPort"],
        "DUCTWORK_APPLICATION": outputs["CodeDeployApplication"],
        "DUCTWORK_BEHIND_BALANCER": str(_behind_balancer(parameters)),
        "DUCTWORK_BROKER_KIND": outputs["BrokerKind"],
        "DUCTWORK_CACHE_HOST": outputs["CacheHost"],
        "DUCTWORK_CACHE_PORT": outputs["CachePort"],
        "DUCTWORK_COMPONENTS": " ".join(worker_sets.effective_components(host.components, serves)),
        "DUCTWORK_DATABASE_KIND": database,
        "DUCTWORK_DRAIN_SECONDS": parameters["DrainSeconds"],
        "DUCTWORK_ENVIRONMENT": host.environment,
        "DUCTWORK_GOOGLE_SECRET": contract.google_secret(host.environment),
        "DUCTWORK_LOGIN": _one_line(parameters.get("LoginConfig") or "{}"),
        "DUCTWORK_PACKAGES": parameters.get("HostPackages", ""),
        "DUCTWORK_PACKAGE_INDEX": parameters.get("PackageIndex", ""),
        "DUCTWORK_QUEUES": ",".join(sets[name]["queue"] for name in serves),
        "DUCTWORK_REVISION": host.revision,
        "DUCTWORK_STACK": host.stack,
        "DUCTWORK_STATE": str(host.state),
        "DUCTWORK_WORKER_SET": host.worker_set,
        "DUCTWORK_WORKER_SETS": json.dumps(sets),
    }
    if host.files:
        fixed["DUCTWORK_FILES"] = host.files  # tasks find the shared folder by it
    local = is_local(parameters)
    fixed["DUCTWORK_LOCAL"] = str(local)
    if host.endpoint_url:
        fixed["AWS_ENDPOINT_URL"] = host.endpoint_url
    if local:
        fixed["AWS_EC2_METADATA_DISABLED"] = "true"
    refresh = custom.get(variable("dag_processor", "refresh_interval"), str(REFRESH_SECONDS))
    if not refresh.isdecimal():
        raise SettingsError(f"AirflowConfig: `dag_processor.refresh_interval` is not a number: `{refresh}`")
    options = (
        _options(outputs, parameters, host)
        | executors.settings(outputs, parameters)
        | (_celery(sets, serves) | _broker(outputs, sets, host, local) if sets else {})
        | mail.options(parameters.get("MailConfig", ""))
        | {
            "dag_processor.dag_bundle_config_list": json.dumps(bundles(outputs, host, int(refresh))),
        }
    )
    if database == "mysql" and not local:
        options["database.sql_alchemy_connect_args_async"] = (
            "ductwork_airflow.extensions.mysql_tls.CONNECT_ARGUMENTS"
        )
    named = {variable(*key.split(".")): value for key, value in options.items()}
    result = variables.parse(parameters.get("EnvironmentVariables", "")) | fixed | named | custom
    broken = [key for key, value in result.items() if "\n" in value or "\0" in value]
    if broken:
        raise SettingsError(f"line break in the value of {', '.join(broken)}")
    return result


def is_passed_on(output: str) -> bool:
    """Whether airflow.env has the output as it is, for the programs that fetch secrets at start."""
    return output.startswith("Database") or output.endswith("SecretArn")


def passed_on_as(output: str) -> str:
    """The variable of airflow.env that holds such an output."""
    return f"DUCTWORK_{_snake(output)}"


def _one_line(text: str) -> str:
    """JSON without line breaks, which a file of lines cannot hold."""
    return json.dumps(json.loads(text))


def _behind_balancer(parameters: Mapping[str, str]) -> bool:
    """Whether a load balancer is in front, whose headers then say who asks and how. Nobody else's may be believed."""
    return parameters.get("EntryScheme", "none") != "none"


def is_local(parameters: Mapping[str, str]) -> bool:
    """Whether the environment is in a local cloud, as the stack says. Stacks of earlier releases do not say it."""
    return parameters.get("Local", "false") == "true"


def _options(outputs: Mapping[str, str], parameters: Mapping[str, str], host: Host) -> dict[str, str]:
    url = outputs["AirflowUrl"].rstrip("/")
    ports = host.ports(parameters)
    prefix = outputs["SecretsPrefix"].strip("/")
    return {
        "core.load_examples": "False",
        "core.dags_are_paused_at_creation": "False",  # what is released is meant to run; git says what exists
        # Airflow's own 30 s keep the second of two quick releases from the scheduler, though the DAG shows its version.
        "core.min_serialized_dag_update_interval": "0",
        "core.plugins_folder": str(host.code / "plugins"),
        "core.auth_manager": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
        "core.execution_api_server_url": f"{host.execution_url(outputs).rstrip('/')}/execution/",
        "fab.config_file": str(host.code / "config/webserver_config.py"),
        # The balancer sets X-Forwarded-For, -Proto and -Port; a -Host or -Prefix would be the client's own.
        "fab.enable_proxy_fix": str(_behind_balancer(parameters)),
        "fab.proxy_fix_x_host": "0",
        "fab.proxy_fix_x_prefix": "0",
        "api.base_url": url,
        "api.host": host.listens(parameters),
        "api.port": parameters["AirflowPort"],
        "api.workers": "1",
        "api.expose_config": "False",
        # A rollout restarts the API server under running tasks. Airflow's own 5 tries give up after some 8 s, and the
        # task is killed; these last for about 4 minutes, less than the scheduler waits for a heartbeat (300 s).
        "workers.execution_api_retries": "40",
        "workers.execution_api_retry_wait_max": "12",
        "scheduler.enable_health_check": "True",
        "scheduler.scheduler_health_check_server_port": str(ports.scheduler_health),
        "logging.worker_log_server_port": str(ports.worker_logs),
        "logging.trigger_log_server_port": str(ports.triggerer_logs),
        "dag_processor.dag_bundle_storage_path": str(host.state / "bundles"),
        "dag_processor.bundle_refresh_check_interval": "2",
        "logging.base_log_folder": str(host.logs),
        "logging.remote_logging": "True",
        "logging.remote_base_log_folder": f"s3://{outputs['LogsBucket']}/airflow",
        "logging.remote_log_conn_id": "",  # empty: boto3's own chain, so the instance's role
        "secrets.backend": "ductwork_airflow.extensions.secrets_backend.DuctworkSecretsBackend",
        "secrets.backend_kwargs": json.dumps(
            {
                "connections_prefix": f"{prefix}/connections",
                "variables_prefix": f"{prefix}/variables",
                "config_prefix": None,
                "bucket": outputs["ArtifactBucket"],
                "environment": host.environment,
            }
        ),
    }


def _celery(sets: Mapping[str, dict[str, Any]], serves: list[str]) -> dict[str, str]:
    concurrency = sum(int(sets[name]["concurrency"]) for name in serves or [contract.DEFAULT_WORKER_SET])
    return {
        "celery.worker_concurrency": str(concurrency),
        "celery.extra_celery_config": json.dumps({"imports": ["ductwork_airflow.extensions.worker_signals"]}),
        # Airflow's own second is too short for the first message of a small host that is busy: three such, and the task
        # has failed.
        "celery.operation_timeout": "10",
        "operators.default_queue": sets[contract.DEFAULT_WORKER_SET]["queue"],
    }


def _broker(
    outputs: Mapping[str, str], sets: Mapping[str, dict[str, Any]], host: Host, local: bool
) -> dict[str, str]:
    """What is said of the broker in plain; the URL of Valkey has a password in it and comes at start."""
    if outputs["BrokerKind"] != "sqs":
        return {
            "celery.worker_enable_remote_control": "True",
            "celery_broker_transport_options.visibility_timeout": str(VALKEY_VISIBILITY_SECONDS),
        }
    # A worker that ends waits for the answer to its last question (`extensions/last_poll.py`), and where nobody pays
    # for questions, they may be short.
    short = {"celery_broker_transport_options.wait_time_seconds": "2"} if local else {}
    # A task is told the queues that it has to do with.
    used = (one for one in sets.values() if one["queue_url"] != contract.NONE)
    queues = {one["queue"]: {"url": one["queue_url"]} for one in used}
    return {
        # No host in the URL: kombu leaves the endpoint to boto3, which knows region, credentials and AWS_ENDPOINT_URL.
        "celery.broker_url": "sqs://",
        "celery.worker_enable_remote_control": "False",
        "celery_broker_transport_options.region": host.region,
        "celery_broker_transport_options.visibility_timeout": str(SQS_LONGEST_VISIBILITY_SECONDS),
        "celery_broker_transport_options.predefined_queues": json.dumps(queues),
    } | short


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()
