"""Helpers for tests of ECS: tiny images pushed to the local ECR, roles, task definitions and services."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import sys
import tarfile
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from localcloud.tests.conftest import RunningCloud, until

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "arm64")
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
EVERYTHING = ("ecr:*", "logs:*", "secretsmanager:GetSecretValue", "ssm:GetParameters")
# Runs until it is told to stop; a test lets it do other things by its arguments.
PROGRAM = """#!/app/venv/bin/python
import json, os, signal, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer

word = sys.argv[1] if len(sys.argv) > 1 else "wait"
if word == "deaf":
    signal.signal(signal.SIGTERM, lambda *_: print("no", flush=True))
else:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
# From here on it hears that it shall end; tests that ask it to wait for this line.
print("begins", word, flush=True)
if word == "exit":
    sys.exit(int(sys.argv[2]))
if word == "tell":
    print(json.dumps({"argv": sys.argv, "env": dict(os.environ), "cwd": os.getcwd(), "python": sys.executable,
                      "prefix": sys.prefix}), flush=True)
    sys.exit(0)
if word == "until":
    while not os.path.exists(sys.argv[2]):
        time.sleep(0.02)
    sys.exit(int(sys.argv[3]))
if word == "serve":
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(os.environ["ECS_AGENT_URI"].encode())
        def log_message(self, *_):
            pass
    address = json.loads(__import__("urllib.request").request.urlopen(
        os.environ["ECS_CONTAINER_METADATA_URI_V4"]).read())["Networks"][0]["IPv4Addresses"][0]
    HTTPServer((address, int(sys.argv[2])), Handler).serve_forever()
while True:
    time.sleep(0.05)
"""
FILES = {
    "app/venv/pyvenv.cfg": (
        f"home = /usr/local/bin\ninclude-system-site-packages = false\nversion = {MINOR}\n",
        0o644,
    ),
    "app/venv/bin/python": f"-> /usr/local/bin/python{MINOR}",
    "app/venv/bin/program": (PROGRAM, 0o755),
}
CONFIG = {"Entrypoint": ["/app/venv/bin/program"], "Env": ["PATH=/app/venv/bin:/usr/local/bin:/usr/bin:/bin"]}


def layer(files: dict[str, str | tuple[str, int]], owner: int = 0) -> bytes:
    """A layer; a value is the text and the mode, `-> target` for a link, or empty for a folder."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for name, value in files.items():
            info = tarfile.TarInfo(name)
            text, info.mode = value if isinstance(value, tuple) else ("", 0o755)
            if isinstance(value, str) and value.startswith("-> "):
                info.type, info.linkname = tarfile.SYMTYPE, value[3:]
            elif value == "":
                info.type, info.uid = tarfile.DIRTYPE, owner
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return gzip.compress(raw.getvalue(), mtime=0)


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Registry:
    """The registry's HTTP API of the local ECR."""

    def __init__(self, cloud: RunningCloud, repository: str) -> None:
        self.url = f"{cloud.endpoint}/v2/{repository}"
        self.repository = repository
        self.host = cloud.endpoint.removeprefix("http://")
        ecr = cloud.client("ecr")
        if repository not in [r["repositoryName"] for r in ecr.describe_repositories()["repositories"]]:
            ecr.create_repository(repositoryName=repository)

    def _send(self, method: str, path: str, body: bytes, **headers: str) -> None:
        request = urllib.request.Request(
            path if path.startswith("http") else self.url + path, data=body, method=method,
            headers={"Content-Type": "application/octet-stream", **headers},
        )  # fmt: skip
        urllib.request.urlopen(request, timeout=60).close()

    def blob(self, content: bytes) -> dict:
        digest = digest_of(content)
        self._send("POST", f"/blobs/uploads/?digest={digest}", content)
        return {"mediaType": "application/octet-stream", "digest": digest, "size": len(content)}

    def manifest(self, document: dict, reference: str) -> str:
        raw = json.dumps(document).encode()
        self._send(
            "PUT", f"/manifests/{reference or digest_of(raw)}", raw, **{"Content-Type": document["mediaType"]}
        )
        return digest_of(raw)

    def push(self, layers: list[bytes], config: dict, tag: str = "", machine: str = ARCHITECTURE) -> str:
        """The reference of the image by its digest, or by its tag."""
        unpacked = [digest_of(gzip.decompress(one)) for one in layers if one.startswith(b"\x1f\x8b")]
        whole = {"config": config, "architecture": machine, "os": "linux"}
        whole["rootfs"] = {"type": "layers", "diff_ids": unpacked}
        descriptor = self.blob(json.dumps(whole).encode())
        stored = [self.blob(one) for one in layers]
        document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor, "layers": stored}
        digest = self.manifest(document, tag)
        return f"{self.host}/{self.repository}" + (f":{tag}" if tag else f"@{digest}")


@dataclass
class Place:
    """A cluster with what tasks need around it."""

    cloud: RunningCloud
    name: str
    image: str = ""
    roles: list[str] = field(default_factory=list)

    @property
    def ecs(self):
        return self.cloud.client("ecs")

    @property
    def logs(self):
        return self.cloud.client("logs")

    def role(self, name: str, actions: tuple[str, ...] = EVERYTHING, trust: dict | None = None) -> str:
        iam = self.cloud.client("iam")
        whole = f"{self.name}-{name}"
        arn = iam.create_role(RoleName=whole, AssumeRolePolicyDocument=json.dumps(trust or TRUST))["Role"][
            "Arn"
        ]
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        if actions:
            policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            iam.put_role_policy(RoleName=whole, PolicyName="p", PolicyDocument=policy)
        return arn

    def container(self, name: str = "main", **more: object) -> dict:
        logs = {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": self.name,
                "awslogs-region": "eu-central-1",
                "awslogs-stream-prefix": "p",
            },
        }
        return {"name": name, "image": self.image, "logConfiguration": logs, **more}

    def define(self, *containers: dict, family: str = "", **more: object) -> str:
        execution = f"arn:aws:iam::000000000000:role/{self.name}-execution"
        asked = {
            "family": family or self.name, "requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc",
            "cpu": "256", "memory": "512", "executionRoleArn": execution,
            "containerDefinitions": list(containers), **more,
        }  # fmt: skip
        return self.ecs.register_task_definition(**asked)["taskDefinition"]["taskDefinitionArn"]

    @property
    def network(self) -> dict:
        subnet = self.cloud.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
        return {"awsvpcConfiguration": {"subnets": [subnet]}}

    def run(self, definition: str, **more: object) -> str:
        asked = {
            "cluster": self.name, "taskDefinition": definition, "launchType": "FARGATE",
            "networkConfiguration": self.network, **more,
        }  # fmt: skip
        return self.ecs.run_task(**asked)["tasks"][0]["taskArn"]

    def task(self, arn: str) -> dict:
        return self.ecs.describe_tasks(cluster=self.name, tasks=[arn], include=["TAGS"])["tasks"][0]

    def wait(self, arn: str, status: str = "STOPPED") -> dict:
        until(lambda: self.task(arn)["lastStatus"] in (status, "STOPPED"), what=f"{arn} is {status}")
        task = self.task(arn)
        assert task["lastStatus"] == status, (task.get("stoppedReason"), self.lines(arn))
        return task

    def lines(self, arn: str, container: str = "main") -> list[str]:
        stream = f"p/{container}/{arn.rpartition('/')[2]}"
        answer = self.logs.filter_log_events(logGroupName=self.name, logStreamNames=[stream])
        return [event["message"] for event in answer["events"]]

    def folder(self, arn: str, container: str = "main") -> Path:
        return self.cloud.state / "tasks" / arn.rpartition("/")[2] / "containers" / container

    # -- services
    def serve(self, definition: str, count: int = 1, name: str = "s", **more: object) -> str:
        asked = {
            "cluster": self.name, "serviceName": name, "taskDefinition": definition, "desiredCount": count,
            "networkConfiguration": self.network, **more,
        }  # fmt: skip
        if "capacityProviderStrategy" not in more:
            asked["launchType"] = "FARGATE"
        return self.ecs.create_service(**asked)["service"]["serviceArn"]

    def update(self, name: str = "s", **more: object) -> dict:
        return self.ecs.update_service(cluster=self.name, service=name, **more)["service"]

    def service(self, name: str = "s") -> dict:
        return self.ecs.describe_services(cluster=self.name, services=[name])["services"][0]

    def deployments(self, name: str = "s") -> list[dict]:
        """The newest first."""
        found = self.ecs.list_service_deployments(cluster=self.name, service=name)["serviceDeployments"]
        arns = [one["serviceDeploymentArn"] for one in found]
        return self.ecs.describe_service_deployments(serviceDeploymentArns=arns)["serviceDeployments"]

    def deployed(self, name: str = "s", status: str = "SUCCESSFUL") -> dict:
        """The newest deployment, once it has ended in a status."""
        running = ("PENDING", "IN_PROGRESS", "ROLLBACK_IN_PROGRESS")
        until(lambda: self.deployments(name)[0]["status"] not in running, what="the deployment ended")
        newest = self.deployments(name)[0]
        events = [event["message"] for event in self.service(name)["events"]]
        assert newest["status"] == status, (newest.get("statusReason"), events)
        return newest

    def tasks(self, name: str = "s", status: str = "RUNNING") -> list[str]:
        return self.ecs.list_tasks(cluster=self.name, serviceName=name, desiredStatus=status)["taskArns"]


def make_place(cloud: RunningCloud, name: str, **cluster: object) -> Place:
    place = Place(cloud, name)
    cloud.client("ecs").create_cluster(clusterName=name, **cluster)
    cloud.client("logs").create_log_group(logGroupName=name)
    place.role("execution")
    place.image = Registry(cloud, "images").push([layer(FILES)], CONFIG)
    return place
