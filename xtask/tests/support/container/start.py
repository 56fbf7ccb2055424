"""Takes the place of `ductwork_airflow/images/start.py` in images of the tests: tasks run `../host/stub.py`.

A migration ends well at once. A component is what a host of its own would be, and its folder is the task's. A worker
has the real companion, which writes its receipt; what it runs is what a test says in the file `run/ran`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

# What hosts ask their stack for, by the names that the stub has for it.
TOLD = {
    "DUCTWORK_BUCKET": "DUCTWORK_OUTPUT_ArtifactBucket",
    "DUCTWORK_EXECUTORS": "DUCTWORK_PARAMETER_Executors",
    "DUCTWORK_PORT": "DUCTWORK_PARAMETER_AirflowPort",
}


def address() -> str:
    """That of this task, which shares a machine with others."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(os.environ["ECS_CONTAINER_METADATA_URI_V4"], timeout=5) as answer:
        return str(json.load(answer)["Networks"][0]["IPv4Addresses"][0])


class Login(BaseHTTPRequestHandler):
    """Flower: everybody is asked for a password but who looks whether it works."""

    def do_GET(self) -> None:
        """Any page."""
        self.send_response(200 if self.path == "/flower/healthcheck" else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


def tell(ran: Path, revision: str) -> None:
    """What this worker runs. What a test writes into the file is how a task has ended."""
    from ductwork_airflow.receipts import companion, work

    told = {"DUCTWORK_ARTIFACT_BUCKET": os.environ["DUCTWORK_BUCKET"], "DUCTWORK_REVISION": revision}
    companion.start("worker", dict(os.environ) | told)
    task = {"id": "1", "dag_id": "etl", "run_id": "manual__1", "task_id": "load", "try_number": 1}

    def watch() -> None:
        while True:
            if ran.exists() and (state := ran.read_text(encoding="utf-8")):
                work.note([json.dumps({"ti": task})], state)
                ran.unlink()
            time.sleep(0.2)

    threading.Thread(target=watch, daemon=True).start()


def main() -> int:
    """What the container was started with."""
    component = sys.argv[1]
    if component == "migrate":
        return 0
    while component == "scaler":  # beside the scheduler, whose task has one folder
        signal.pause()
    while component == "flower":  # which has no folder, and is none of Airflow's components
        HTTPServer((address(), 5555), Login).serve_forever()
    root = Path(os.environ["DUCTWORK_STATE"]).parents[1]
    (root / "run").mkdir(exist_ok=True)
    os.environ.update({name: os.environ[told] for name, told in TOLD.items()})
    os.environ.update(DUCTWORK_HOST_ROOT=str(root), DUCTWORK_COMPONENTS=component, DUCTWORK_ADDRESS=address())
    from ductwork_airflow.images import stub

    if component == "worker":
        tell(root / "run/ran", stub.revision())
    return stub.main()


if __name__ == "__main__":
    sys.exit(main())
