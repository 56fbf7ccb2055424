"""A host as the local cloud makes it, for tests: a folder that stands for `/`, supervisord, and CodeDeploy's steps."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

from conftest import AIRFLOW, REGION, ROOT, free_port, tool, wait_for

REVISION = "ab" * 32
_SCALING = {"growth_threshold": 1.0, "shrink_threshold": 0.7, "shrink_after_minutes": 10, "min": 0, "max": 2}
SETS = {
    "default": {
        "prefix": "WorkerDefault",
        "queue": "default",
        "concurrency": 2,
        "on_scheduler": False,
        **_SCALING,
    },
    "small": {"prefix": "WorkerSmall", "queue": "small", "concurrency": 3, "on_scheduler": True, **_SCALING},
}


def make_zip(files: dict[str, str]) -> tuple[str, bytes]:
    """A reproducible zip and its digest."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name), text)
    data = buffer.getvalue()
    return hashlib.sha256(data).hexdigest(), data


def publish(
    s3, files: dict[str, str], bucket: str = "artifacts", key: str = "environments/test/current.json"
) -> str:
    """Uploads a bundle and points at it; returns the digest."""
    digest, data = make_zip(files)
    s3.put_object(Bucket=bucket, Key=f"bundles/{digest}.zip", Body=data)
    s3.put_object(Bucket=bucket, Key=key, Body=json.dumps({"release": "r", "bundle": digest, "serial": 1}))
    return digest


def revision_tree(target: Path) -> None:
    """What the release tool packs into a host revision, as an agent unpacks it that finds no `unzip`."""
    shutil.copytree(AIRFLOW / "host", target, copy_function=shutil.copyfile)
    for name in ("ductwork_airflow", "config"):
        shutil.copytree(AIRFLOW / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "plugins", target / "plugins", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("requirements.lock", "requirements-mysql.lock", "tools.lock"):
        shutil.copy(AIRFLOW / name, target / name)


class Host:
    """One machine."""

    SVC = ("bash", str(AIRFLOW / "host/bin/svc"))

    def __init__(
        self, root: Path, endpoint: str | None = None, components: str = "", worker_set: str = ""
    ) -> None:
        self.root = root
        self.archive = root / "archive"
        self.env = {
            "DUCTWORK_HOST_ROOT": str(root),
            "DUCTWORK_INIT": "supervisord",
            "DUCTWORK_SUPERVISOR_CONF": str(root / "etc/supervisord.conf"),
            "DUCTWORK_SUPERVISORCTL": tool("supervisorctl"),
            "DUCTWORK_VENVS": os.environ.get("DUCTWORK_VENVS") or str(ROOT / ".ductwork/venvs"),
            "DUCTWORK_PYTHON": sys.executable,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "HOME": str(root / "root"),
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "BUNDLE_KEY": f"hosts/{REVISION}.zip",
        }
        if endpoint:
            self.env["AWS_ENDPOINT_URL"] = endpoint
        for folder in ("etc/ductwork", "etc/supervisor.d", "run", "root", "var/log"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        (root / "etc/ductwork/host.env").write_text(
            f'DUCTWORK_ENVIRONMENT=test\nDUCTWORK_STACK=ductwork-test\nDUCTWORK_COMPONENTS="{components}"\n'
            f"DUCTWORK_WORKER_SET={worker_set}\n"
            f"AWS_REGION={REGION}\n"
        )

    def boot(self) -> subprocess.Popen:
        """supervisord, in the foreground of a child."""
        socket = self.root / "run/s.sock"
        escaped = str(self.root).replace("%", "%%")
        (self.root / "etc/supervisord.conf").write_text(
            f"[unix_http_server]\nfile={escaped}/run/s.sock\n[supervisord]\nnodaemon=true\n"
            f"logfile={escaped}/var/log/supervisord.log\npidfile={escaped}/run/supervisord.pid\n"
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
            f"[supervisorctl]\nserverurl=unix://{escaped}/run/s.sock\n"
            f"[include]\nfiles=supervisor.d/*.conf\n"
        )
        process = subprocess.Popen(
            [tool("supervisord"), "-c", str(self.root / "etc/supervisord.conf")],
            env={key: value for key, value in self.env.items() if key != "BUNDLE_KEY"},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.root,
        )  # fmt: skip
        wait_for("supervisord", socket.exists)
        return process

    def tell(self) -> None:
        """The end of each log, for whoever reads of a failure: the folder goes with the test."""
        for log in sorted((self.root / "var/log").rglob("*.log")):
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            print(f"== {log.name}", *lines[-60:], sep="\n")

    def svc(self, *words: str) -> subprocess.CompletedProcess[str]:
        """bin/svc of the repository."""
        return subprocess.run([*self.SVC, *words], env=self.env, capture_output=True, text=True)

    def begin(self, *words: str) -> subprocess.Popen[bytes]:
        """bin/svc, not waited for."""
        return subprocess.Popen([*self.SVC, *words], env=self.env)

    def hook(self, name: str) -> subprocess.CompletedProcess[str]:
        """One hook of the archive, as CodeDeploy runs it."""
        began = time.monotonic()
        script = self.archive / "hooks" / name
        script.chmod(0o755)  # nothing else is made executable
        done = subprocess.run([str(script)], env=self.env, capture_output=True, text=True, cwd="/")
        print(f"{name}: {done.returncode} after {time.monotonic() - began:.1f} s\n{done.stdout}{done.stderr}")
        return done

    def download(self) -> None:
        """DownloadBundle: the new revision's archive."""
        shutil.rmtree(self.archive, ignore_errors=True)
        revision_tree(self.archive)

    def install(self) -> None:
        """Install: appspec's one `files` entry."""
        shutil.copytree(self.archive, self.root / "opt/ductwork/revision", dirs_exist_ok=True)


@contextlib.contextmanager
def temporary_root(prefix: str = "d w-") -> Iterator[Path]:
    """A short path (sockets) that is hard on shells. Never with a `%`: alembic and supervisord refuse those."""
    with tempfile.TemporaryDirectory(prefix=prefix, dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


class Api:
    """Airflow's REST API, as the release tool uses it."""

    def __init__(self, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}"
        self.token = ""

    def call(self, method: str, path: str, body: dict | None = None) -> dict:
        """A call; the JSON answer."""
        request = urllib.request.Request(self.base + path, method=method)
        request.add_header("Content-Type", "application/json")
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        data = json.dumps(body).encode() if body is not None else None
        with urllib.request.urlopen(request, data, timeout=120) as answer:
            text = answer.read()
            return json.loads(text) if text else {}

    def login(self, username: str, password: str) -> None:
        """Takes a token."""
        self.token = self.call("POST", "/auth/token", {"username": username, "password": password})[
            "access_token"
        ]

    def dag(self, dag_id: str) -> dict | None:
        """A DAG, when it is there."""
        try:
            return self.call("GET", f"/api/v2/dags/{dag_id}")
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def trigger(self, dag_id: str) -> str:
        """A new run; its id."""
        return self.call("POST", f"/api/v2/dags/{dag_id}/dagRuns", {"logical_date": None})["dag_run_id"]

    def state(self, dag_id: str, run: str) -> dict:
        """The run."""
        return self.call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run}")

    def task(self, dag_id: str, run: str, task: str) -> dict:
        """A task instance of the run."""
        return self.call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run}/taskInstances/{task}")

    def value(self, dag_id: str, run: str, task: str):
        """What a task returned."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run}/taskInstances/{task}/xcomEntries/return_value?deserialize=true"
        return self.call("GET", path)["value"]


def make_stack(
    login: dict[str, str], changed: dict[str, str] | None = None, **parameters: str
) -> tuple[int, dict[str, str]]:
    """The master stack's parameters and outputs, and what they name, in the AWS of this machine.

    `changed` are outputs other than those of an environment with Postgres and SQS.
    """
    import boto3

    port = free_port()
    s3 = boto3.client("s3")
    for bucket in ("artifacts", "logs"):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    sqs = boto3.client("sqs")
    queues = {
        name: sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "43200"})["QueueUrl"]
        for name in ("tasks", "small")
    }
    secrets = boto3.client("secretsmanager")

    def secret(name: str, value: str) -> str:
        return secrets.create_secret(Name=f"ductwork/test/{name}", SecretString=value)["ARN"]

    outputs = {
        "AddressAllocationId": "-",
        "AirflowUrl": f"http://127.0.0.1:{port}",
        "ArtifactBucket": "artifacts",
        "LogsBucket": "logs",
        "CodeDeployApplication": "ductwork-test",
        "WorkerSets": json.dumps(SETS),
        "WorkerDefaultQueueUrl": queues["tasks"],
        "WorkerDefaultAutoScalingGroup": "workers",
        "WorkerDefaultDeploymentGroup": "worker",
        "WorkerSmallQueueUrl": queues["small"],
        "WorkerSmallAutoScalingGroup": "-",
        "WorkerSmallDeploymentGroup": "-",
        "BrokerKind": "sqs",
        "CacheHost": "-",
        "CachePort": "-",
        "CacheSecretArn": secret("cache", json.dumps({"username": "default", "password": "c" * 32})),
        "DatabaseEngine": "postgres",
        "DatabaseHost": login["host"],
        "DatabasePort": login["port"],
        "DatabaseName": login["database"],
        "DatabaseSecretArn": secret("db", json.dumps({k: login[k] for k in ("username", "password")})),
        "FernetKeySecretArn": secret("fernet", "aB3" * 14 + "Q"),
        "JwtSecretArn": secret("jwt", "J7w" * 21 + "t"),
        "ApiSecretArn": secret("api", "A9p" * 21 + "i"),
        "AdminSecretArn": secret(
            "admin", json.dumps({"username": "admin", "password": "first-password-of-admin"})
        ),
        "ServiceSecretArn": secret(
            "service", json.dumps({"username": "service", "password": "password-of-the-service-user"})
        ),
        "SecretsPrefix": "ductwork/test",
    } | (changed or {})
    given = {"EnvironmentName": "test", "AirflowPort": str(port), "DrainSeconds": "60", "AirflowConfig": "{}",
             "LoginConfig": "{}", "MailConfig": "{}", "EntryScheme": "none", "Local": "true"} | parameters  # fmt: skip
    template = {
        "Parameters": {name: {"Type": "String"} for name in given},
        "Resources": {"Q": {"Type": "AWS::SQS::Queue"}},
        "Outputs": {name: {"Value": value} for name, value in outputs.items()},
    }
    boto3.client("cloudformation").create_stack(
        StackName="ductwork-test",
        TemplateBody=json.dumps(template),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
    )
    return port, outputs


def update_stack(**parameters: str) -> None:
    """A change of configuration, as the release tool makes it."""
    import boto3

    client = boto3.client("cloudformation")
    known = client.describe_stacks(StackName="ductwork-test")["Stacks"][0]["Parameters"]
    values = {entry["ParameterKey"]: entry["ParameterValue"] for entry in known} | parameters
    client.update_stack(
        StackName="ductwork-test",
        UsePreviousTemplate=True,
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()],
    )


def begin_anew(endpoint: str) -> None:
    """The AWS of this machine as new, and a session with it: an earlier test has made a stack with the same names."""
    import boto3

    boto3.setup_default_session(region_name=REGION)
    request = urllib.request.Request(f"{endpoint}/moto-api/reset", method="POST")
    urllib.request.urlopen(request, timeout=120).close()
