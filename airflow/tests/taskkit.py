"""An ECS task for tests: the variables that its task definition and the agent give a container."""

from __future__ import annotations

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from conftest import AIRFLOW, REGION

from ductwork_airflow import contract
from ductwork_airflow.hosts.settings import passed_on_as

DIGEST = "d" * 64
START = (sys.executable, "-m", "ductwork_airflow.images.start")
HEALTH = (sys.executable, "-m", "ductwork_airflow.images.health")
# What the task definition of a component names, short of the prefix.
SECRETS = {
    "worker": ("DATABASE", "FERNET_KEY", "API", "CACHE"),
    "scheduler": ("DATABASE", "FERNET_KEY", "API", "JWT", "CACHE"),
    "api-server": ("DATABASE", "FERNET_KEY", "API", "JWT", "ADMIN", "SERVICE"),
    "migrate": ("DATABASE", "FERNET_KEY", "API", "ADMIN", "SERVICE"),
}
COMMON = ("DATABASE", "FERNET_KEY", "API", "JWT")


def variables(
    outputs: dict[str, str], parameters: dict[str, str], values: dict[str, str], component: str
) -> dict[str, str]:
    """The container's variables; `values` are secrets by the ARN that an output names."""
    own = [name for name in contract.OUTPUTS if name not in contract.EC2_OUTPUTS]
    told = {
        f"DUCTWORK_OUTPUT_{name}": outputs[name] for name in [*own, *contract.ECS_OUTPUTS] if name in outputs
    }
    sets = {name: one["prefix"] for name, one in json.loads(outputs["WorkerSets"]).items()}
    if component == "worker":
        sets = {"default": sets["default"]}
    if component in ("worker", "scheduler"):
        told["DUCTWORK_QUEUE_URLS"] = " ".join(
            f"{name}={outputs[f'{one}QueueUrl']}" for name, one in sets.items()
        )
    told |= {
        f"DUCTWORK_PARAMETER_{name}": value
        for name, value in parameters.items()
        if name in contract.PARAMETERS and name not in contract.EC2_PARAMETERS
    }
    for name, arn in outputs.items():
        short = passed_on_as(name.removesuffix("SecretArn")).removeprefix("DUCTWORK_")
        if name.endswith("SecretArn") and short in SECRETS.get(component, COMMON) and arn in values:
            told[f"DUCTWORK_SECRET_{short}"] = values[arn]
    return told | {
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "DUCTWORK_ENVIRONMENT": "test",
        "DUCTWORK_STACK": "ductwork-test",
        "DUCTWORK_CLUSTER": "ductwork-test",
        "DUCTWORK_SERVICE": f"ductwork-test-{component}",
        "DUCTWORK_IMAGE": f"registry.example.com/airflow@sha256:{DIGEST}",
        **({"DUCTWORK_WORKER_SET": "default"} if component == "worker" else {}),
    }


def of_image(root: Path, state: Path) -> dict[str, str]:
    """What the image sets besides, below a folder that stands for `/`; without its own packages."""
    return {
        "AIRFLOW_HOME": str(state / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": "/var/log/ductwork/airflow",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "DUCTWORK_QUEUES": "default",
        "DUCTWORK_REVISION": "of-the-recipe",
        "DUCTWORK_ROOT": str(root),
        "DUCTWORK_STATE": str(state),
        "HOME": str(state / "airflow"),
        "LANG": "C.UTF-8",
        "LOGNAME": "airflow",
        "PATH": os.environ["PATH"],
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(AIRFLOW),
    }


class Agent:
    """The endpoints of the container agent: metadata and task protection. Says what it was asked."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.protections: list[dict[str, Any]] = []
        self.broken = False  # answers with an error
        self.refuses = False  # answers with 200 and a failure
        agent = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self, status: int, document: object) -> None:
                text = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def do_GET(self) -> None:
                assert self.path == "/v4/container", self.path
                network = {"NetworkMode": "awsvpc", "IPv4Addresses": [address]}
                self.answer(200, {"DockerId": "1", "Networks": [network]})

            def do_PUT(self) -> None:
                assert self.path == "/api/1/task-protection/v1/state", self.path
                words = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if agent.broken:
                    return self.answer(500, {"error": {"Code": "ServerException", "Message": "later"}})
                if agent.refuses:
                    return self.answer(
                        200, {"failure": {"Arn": "a", "Detail": None, "Reason": "DEPLOYMENT_BLOCKED"}}
                    )
                agent.protections.append(words)
                return self.answer(200, {"protection": {"ProtectionEnabled": words["ProtectionEnabled"]}})

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        base = f"http://127.0.0.1:{self.server.server_port}"
        self.variables = {
            "ECS_AGENT_URI": f"{base}/api/1",
            "ECS_CONTAINER_METADATA_URI_V4": f"{base}/v4/container",
        }
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def wanted(self) -> list[bool]:
        """Protection on and off, in order."""
        return [words["ProtectionEnabled"] for words in self.protections]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
