"""Stands for Airflow on a host of the local cloud, in tests of the tool and of the templates. Standard library only.

Started by the hooks of this folder, which take the place of `airflow/host`. On an api-server host it answers what
the release tool asks, as Airflow would with these hosts around it: a component is healthy while a host of this stack
runs it, DAGs are those of the bundle that the pointer names, a run succeeds once there is a worker, and tells that
worker's revision. On a worker host it lets its termination go on, as the keeper does, and writes a receipt of the task
that a test says it has run. Of all it is told it keeps pools only. `../container/start.py` runs it in tasks of ECS,
which are hosts to it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
import time
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

ROOT = Path(os.environ["DUCTWORK_HOST_ROOT"])
STACK = os.environ["DUCTWORK_STACK"]
ENVIRONMENT = os.environ["DUCTWORK_ENVIRONMENT"]
COMPONENTS = os.environ["DUCTWORK_COMPONENTS"].split()
ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
EXECUTORS = os.environ.get("DUCTWORK_EXECUTORS", "celery")
BUSY = ROOT / "run/busy"
# How the last task ended, if there was one.
RAN = ROOT / "run/ran"
METADATA = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "").rstrip("/")
# Health says it with an underscore.
BEATING = {"scheduler": "scheduler", "dag_processor": "dag-processor", "triggerer": "triggerer"}


def fetch(request: str | urllib.request.Request) -> bytes:
    """What the local cloud answers; no proxy stands before it."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as answer:
        return bytes(answer.read())


def call(service: str, **form: str) -> ElementTree.Element:
    """An action of a service with the query protocol; the signature only names service and region."""
    region, key = os.environ["AWS_REGION"], os.environ["AWS_ACCESS_KEY_ID"]
    scope = f"AWS4-HMAC-SHA256 Credential={key}/20260101/{region}/{service}/aws4_request"
    body = urllib.parse.urlencode(form).encode()
    request = urllib.request.Request(f"{ENDPOINT}/", data=body, headers={"Authorization": scope})
    text = re.sub(rb'\sxmlns="[^"]*"', b"", fetch(request))
    return ElementTree.fromstring(text)


def parameters() -> dict[str, str]:
    """The parameters of the stack."""
    answer = call("cloudformation", Action="DescribeStacks", StackName=STACK)
    members = answer.findall(".//Parameters/member")
    return {m.findtext("ParameterKey", ""): m.findtext("ParameterValue", "") for m in members}


def revision() -> str:
    """The sha256 in the key of the revision that CodeDeploy has installed, or that of the task's image."""
    installed = os.environ.get("BUNDLE_KEY") or os.environ.get("DUCTWORK_IMAGE", "")
    found = re.search(r"([0-9a-f]{64})(\.zip)?$", installed)
    return found[1] if found else "unknown"


def hosts() -> Iterator[dict[str, Any]]:
    """What runs on the hosts of this stack, this one included."""
    for file in ROOT.parent.glob("*/run/stub.json"):
        try:
            host = json.loads(file.read_text(encoding="utf-8"))
            os.kill(host["pid"], 0)
        except (OSError, ValueError):
            continue
        if host["stack"] == STACK:
            yield host


def health() -> dict[str, Any]:
    """The health document."""
    running = {component for host in hosts() for component in host["components"]}
    now = datetime.now(timezone.utc).isoformat()
    document: dict[str, Any] = {"metadatabase": {"status": "healthy"}}
    for name, component in BEATING.items():
        status = "healthy" if component in running else "unhealthy"
        document[name] = {"status": status, f"latest_{name}_heartbeat": now}
    return document


def dags(bucket: str) -> list[dict[str, Any]]:
    """The DAGs of the bundle that the pointer names."""
    bundle = json.loads(fetch(f"{ENDPOINT}/{bucket}/environments/{ENVIRONMENT}/current.json"))["bundle"]
    index = json.loads(fetch(f"{ENDPOINT}/{bucket}/bundles/{bundle}.dags.json"))
    common = {"bundle_name": "dags", "bundle_version": bundle, "file_token": "token", "is_stale": False}
    return [common | {"dag_id": dag["dag_id"], "relative_fileloc": dag["file"]} for dag in index]


def report() -> dict[str, str] | None:
    """What the smoke task returns, once there is a worker to run it, or a scheduler that starts tasks of ECS."""
    runs = "worker" if "celery" in EXECUTORS else "scheduler"
    workers = [host for host in hosts() if runs in host["components"]]
    # One that is busy runs nothing else; once it is to end, it is none of these any more.
    if not workers or any((ROOT.parent / host["host"] / "run/busy").exists() for host in workers):
        return None
    return {"host": workers[0]["host"], "revision": workers[0]["revision"]}


class Handler(BaseHTTPRequestHandler):
    """Airflow's API as far as the tool uses it."""

    bucket = ""
    pools: ClassVar[dict[str, dict[str, Any]]] = {}

    def reply(self, status: int, document: Any) -> None:
        """Ends the request."""
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer(self) -> Any:
        """The document for this request, or None where there is nothing of the kind."""
        path, _, query = self.path.partition("?")
        given = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if path == "/auth/token":
            return {"access_token": "token"} if json.loads(given)["password"] else None
        if path in ("/api/v2/monitor/health", "/ductwork/health"):
            return health()
        if not self.headers.get("Authorization"):
            return None
        if path == "/api/v2/dags":
            rows = dags(self.bucket)
            first = int(dict(urllib.parse.parse_qsl(query)).get("offset", 0))
            return {"dags": rows[first:], "total_entries": len(rows)}
        if found := re.fullmatch(r"/api/v2/(dags|connections|variables)/([^/]+)", path):
            return self.known(*found.groups())
        if path.startswith("/api/v2/pools"):
            return self.pool(path.removeprefix("/api/v2/pools").strip("/"), json.loads(given or b"{}"))
        if path == "/api/v2/importErrors":
            return {"import_errors": [], "total_entries": 0}
        if path.startswith("/api/v2/parseDagFile/"):
            return {}
        return self.runs(path)

    def known(self, kind: str, name: str) -> Any:
        """A DAG, paused if its name says so; of connections and variables there is one that somebody made."""
        if kind == "dags":
            names = [dag["dag_id"] for dag in dags(self.bucket)]
            return {"is_paused": name.startswith("paused")} if name in names else None
        return {"name": name} if name == "by_hand" else None

    def pool(self, name: str, given: dict[str, Any]) -> Any:
        """Pools as people and the tool made them."""
        if self.command == "POST":
            self.pools[given["name"]] = given
        elif self.command == "PATCH":
            self.pools[name] = given | {"name": given.pop("pool")}
        elif self.command == "DELETE":
            del self.pools[name]
        return {"pools": list(self.pools.values()), "total_entries": len(self.pools)}

    def runs(self, path: str) -> Any:
        """Runs of DAGs; all are over as soon as there is a worker."""
        if path == "/api/v2/dags/~/dagRuns/~/taskInstances":
            return {"task_instances": [], "total_entries": 0}
        if path == "/api/v2/dags/~/dagRuns":
            return {"dag_runs": [], "total_entries": 0}
        if re.fullmatch(r"/api/v2/dags/[^/]+/dagRuns", path):
            return {"dag_run_id": f"manual__{time.time_ns()}"}
        done = report()
        if re.fullmatch(r"/api/v2/dags/[^/]+/dagRuns/[^/]+", path):
            return {"state": "success" if done else "queued"}
        return {"value": json.dumps(done)} if path.endswith("/xcomEntries/return_value") else None

    def respond(self) -> None:
        """Any method: the path alone tells what is asked."""
        try:
            document = self.answer()
        except (OSError, ValueError, KeyError) as error:
            self.reply(500, {"detail": str(error)})
            return
        if document is None:
            self.reply(404, {"detail": f"the stub knows no {self.command} {self.path}"})
        else:
            self.reply(200, document)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = respond

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


class Server(ThreadingHTTPServer):
    """Two api-server hosts of a local cloud share this machine's port."""

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Connections of whoever had the port before may not be quite over.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Without the look-up of a name for the address, which may take seconds.
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "localhost", self.server_address[1]


def listening() -> Server:
    """The server of an api-server: a host asks its stack what a task has in variables."""
    address = os.environ.get("DUCTWORK_ADDRESS", "")
    if address:
        Handler.bucket = os.environ["DUCTWORK_BUCKET"]
        return Server((address, int(os.environ["DUCTWORK_PORT"])), Handler)
    given = parameters()
    Handler.bucket = given["ArtifactBucket"]
    return Server(("127.0.0.1", int(given["AirflowPort"])), Handler)


def metadata(path: str) -> str:
    """A line of the instance metadata service; empty where it says nothing."""
    head = {"X-aws-ec2-metadata-token-ttl-seconds": "600"}
    try:
        token = fetch(urllib.request.Request(f"{METADATA}/latest/api/token", method="PUT", headers=head))
        head = {"X-aws-ec2-metadata-token": token.decode()}
        return fetch(urllib.request.Request(f"{METADATA}/latest/meta-data/{path}", headers=head)).decode()
    except OSError:
        return ""


def protect(group: str, instance: str) -> None:
    """From scale-in, as a host with a task is."""
    action = {
        "Action": "SetInstanceProtection",
        "AutoScalingGroupName": group,
        "ProtectedFromScaleIn": "true",
    }
    call("autoscaling", **action, **{"InstanceIds.member.1": instance})


def put(bucket: str, key: str, document: Any) -> None:
    """An object."""
    body = json.dumps(document).encode()
    fetch(urllib.request.Request(f"{ENDPOINT}/{bucket}/{key}", data=body, method="PUT"))


def settle_in() -> str:
    """What a worker host has from its installation: settings, no task, and which revisions ran here. The bucket."""
    bucket = parameters()["ArtifactBucket"]
    RAN.unlink(missing_ok=True)
    settings = ROOT / "etc/ductwork/airflow.env"
    settings.write_text(f"DUCTWORK_ARTIFACT_BUCKET={bucket}\n", encoding="utf-8")
    with (ROOT / "run/revisions").open("a", encoding="utf-8") as history:
        history.write(f"{revision()}\n")
    return bucket


def leave_receipt(bucket: str, instance: str, state: str) -> None:
    """Of the last task, as companion.py writes it."""
    task = {
        "dag_id": "etl",
        "run_id": "manual__1",
        "task_id": "load",
        "try_number": 1,
        "state": state,
        "ended": "",
    }
    receipt = {"component": "worker", "id": instance, "revision": revision(), "started": "", "task": task}
    put(bucket, f"receipts/{ENVIRONMENT}/{instance}/worker.json", receipt)


def leave_report(bucket: str, instance: str) -> None:
    """Of a task that was cut short, as losses.py writes it."""
    task = {"dag_id": "etl", "run_id": "manual__1", "task_id": "load", "map_index": -1, "try_number": 1}
    now = datetime.now(timezone.utc)
    report = {"host": instance, "worker_set": "default", "at": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
               "why": "a rollout has replaced this host", "tasks": [task], "unknown": None}  # fmt: skip
    put(
        bucket,
        f"environments/{ENVIRONMENT}/drains/{now.strftime('%Y%m%dT%H%M%SZ')}-{instance}-1.json",
        report,
    )


def let_go(bucket: str) -> None:
    """Waits for this host's termination and lets it go on, at once unless a test has made a file in the place of a
    task."""
    while not METADATA:
        signal.pause()
    told = ""
    instance = metadata("instance-id")
    found = call("autoscaling", Action="DescribeAutoScalingInstances", **{"InstanceIds.member.1": instance})
    group = found.findtext(".//AutoScalingGroupName", "")
    protected = False
    while metadata("autoscaling/target-lifecycle-state") != "Terminated":
        if BUSY.exists() and not protected:
            protect(group, instance)
            protected = True
        ran = RAN.read_text(encoding="utf-8") if RAN.exists() else ""
        if ran != told:
            leave_receipt(bucket, instance, ran)
            told = ran
        time.sleep(0.2)
    if BUSY.exists():
        leave_report(bucket, instance)
    (ROOT / "run/stub.json").unlink(missing_ok=True)  # takes no more tasks
    while BUSY.exists():
        time.sleep(0.2)
    hooks = call("autoscaling", Action="DescribeLifecycleHooks", AutoScalingGroupName=group)
    for hook in hooks.iter("member"):
        if hook.findtext("LifecycleTransition") == "autoscaling:EC2_INSTANCE_TERMINATING":
            call(
                "autoscaling",
                Action="CompleteLifecycleAction",
                AutoScalingGroupName=group,
                InstanceId=instance,
                LifecycleHookName=hook.findtext("LifecycleHookName", ""),
                LifecycleActionResult="CONTINUE",
            )


def main() -> int:
    """Runs until it is killed."""
    server = listening() if "api-server" in COMPONENTS else None
    bucket = settle_in() if METADATA and "worker" in COMPONENTS else ""
    about = {
        "stack": STACK,
        "components": COMPONENTS,
        "revision": revision(),
        "host": ROOT.name,
        "pid": os.getpid(),
    }
    (ROOT / "run/stub.json").write_text(json.dumps(about), encoding="utf-8")
    if server:
        server.serve_forever()
    let_go(bucket)
    return 0


if __name__ == "__main__":
    sys.exit(main())
