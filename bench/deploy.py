"""`deploy` of the stack, of nothing and of one DAG, beside `aws cloudformation package && deploy` on one local cloud.

    python3 bench/deploy.py

Works in a scratch copy of the project on ports of its own and stops what it started. The AWS CLI comes from
bench/requirements.lock. The first deployment of the tool brings a whole Airflow up; what is compared is its step
`stack`, which packages, uploads, makes a change set and executes it, as the two commands of the AWS CLI do.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
VENVS = ROOT / ".ductwork/venvs"
REPEATS = 5


def run(*words: str | Path, cwd: Path, **env: str) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env=os.environ | env,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"error: {' '.join(map(str, words[:4]))} failed\n{done.stdout}{done.stderr}")
    return done.stdout


def timed(*words: str | Path, cwd: Path, **env: str) -> float:
    """Seconds of a command that must succeed."""
    start = time.monotonic()
    run(*words, cwd=cwd, **env)
    return time.monotonic() - start


def aws_cli() -> Path:
    """The AWS CLI of bench/requirements.lock, in an environment made as the tool makes its own."""
    lock = ROOT / "bench/requirements.lock"
    folder = VENVS / f"bench-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    if not (folder / ".complete").exists():
        uv = next(VENVS.glob("tools-*/bin/uv"))
        run(uv, "venv", "--clear", "--python", sys.executable, folder, cwd=ROOT)
        run(
            uv,
            "pip",
            "sync",
            "--require-hashes",
            "--compile-bytecode",
            "--python",
            folder / "bin/python",
            lock,
            cwd=ROOT,
        )
        (folder / ".complete").write_text("")
    return folder / "bin/aws"


def free_ports() -> int:
    """The first of four free ports in a row."""
    for first in range(21_000, 30_000, 10):
        try:
            for port in range(first, first + 4):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
    raise SystemExit("error: no four free ports in a row")


def copy(folder: Path, port: int) -> None:
    """The project's files, with the Python environments shared."""
    for name in run("git", "ls-files", "-co", "--exclude-standard", cwd=ROOT).splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".ductwork").mkdir()
    (folder / ".ductwork/venvs").symlink_to(VENVS)
    with (folder / "environments/local.toml").open("a") as file:
        file.write(f"\n[airflow]\nport = {port}\n")


def written_out(folder: Path, binary: Path) -> Path:
    """The composed templates with their children by relative path again, which the AWS CLI can package."""
    package = json.loads(run(binary, "package", "--env", "local", "--format", "json", cwd=folder))
    for template in package["templates"]:
        text = Path(package["folder"], f"{template['digest']}.yaml").read_text()
        here = folder / "peer" / template["path"]
        for child in package["templates"]:
            path = os.path.relpath(folder / "peer" / child["path"], here.parent)
            text = re.sub(r'\{"Fn::Sub": "[^"]*/' + child["digest"] + r'\.yaml"\}', f'"{path}"', text)
        here.parent.mkdir(parents=True, exist_ok=True)
        here.write_text(text)
    return folder / "peer/master.yaml"


class Peer:
    """`aws cloudformation package && deploy` of the same templates, as a stack of its own."""

    def __init__(self, folder: Path, endpoint: str, aws: Path, master: Path) -> None:
        self.folder, self.endpoint, self.aws, self.master = folder, endpoint, aws, master
        self.bucket = "ductwork-000000000000-us-east-1"

    def deploy(self) -> float:
        """Seconds of both commands."""
        env = {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        out = self.folder / "packaged.yaml"
        command = (self.aws, "cloudformation")
        package = timed(*command, "package", "--template-file", self.master, "--s3-bucket", self.bucket,
                        "--output-template-file", out, cwd=self.folder, **env)  # fmt: skip
        return package + timed(
            *command, "deploy", "--template-file", out, "--s3-bucket", self.bucket, "--stack-name", "peer-stack",
            "--capabilities", "CAPABILITY_NAMED_IAM", "--no-fail-on-empty-changeset", "--parameter-overrides",
            "ProjectName=peer", "EnvironmentName=peer", f"ArtifactBucket={self.bucket}",
            "AirflowUrl=http://127.0.0.1:1", "EntryDomain=127.0.0.1",
            cwd=self.folder, **env,
        )  # fmt: skip


class Airflow:
    """The API, as much of it as is needed to run a DAG and see what it returned."""

    def __init__(self, url: str, password: str) -> None:
        self.url = url
        self.token = self.ask("POST", "/auth/token", {"username": "admin", "password": password})[
            "access_token"
        ]

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One request."""
        headers = {"Content-Type": "application/json"}
        if hasattr(self, "token"):
            headers["Authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, method=method, data=data, headers=headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.load(answer)

    def executed(self, dag: str) -> Any:
        """Runs a DAG of one task `t` and gives what it returned."""
        run_id = self.ask("POST", f"/api/v2/dags/{dag}/dagRuns", {"logical_date": None})["dag_run_id"]
        run = f"/api/v2/dags/{dag}/dagRuns/{urllib.request.quote(run_id, safe='')}"
        while (state := self.ask("GET", run)["state"]) != "success":
            if state == "failed":
                raise SystemExit(f"error: the run of `{dag}` failed")
            time.sleep(0.05)
        return self.ask("GET", f"{run}/taskInstances/t/xcomEntries/return_value")["value"]


def edited(folder: Path, tool: tuple[str | Path, ...], airflow: Airflow) -> tuple[float, float]:
    """From the start of `deploy` to its end, and to the end of the next run, which executes the edit."""
    live, executed = [], []
    for turn in range(REPEATS):
        dag = "from airflow.sdk import dag, task\n\n@dag(schedule=None)\ndef bench():\n    @task\n    def t():\n"
        (folder / "dags/bench.py").write_text(f"{dag}        return {turn}\n    t()\n\nbench()\n")
        start = time.monotonic()
        run(*tool, cwd=folder)
        live.append(time.monotonic() - start)
        if airflow.executed("bench") != turn:
            raise SystemExit("error: the run executed old code")
        executed.append(time.monotonic() - start)
    return statistics.median(live), statistics.median(executed)


def main() -> None:
    """Prints the table."""
    run("cargo", "build", "--quiet", "--package", "xtask", cwd=ROOT)
    binary = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug/xtask"
    with tempfile.TemporaryDirectory() as scratch:
        folder, port = Path(scratch), free_ports()
        copy(folder, port)
        tool = (binary, "deploy", "--env", "local", "--yes", "--format", "json")
        try:
            first = json.loads(run(*tool, cwd=folder))
            stack = next(step["seconds"] for step in first["steps"] if step["name"] == "stack")
            unchanged = [timed(*tool, cwd=folder) for _ in range(REPEATS)]
            calls = json.loads(run(*tool, cwd=folder))["aws_calls"]
            cloud = json.loads((folder / ".ductwork/local/cloud.json").read_text())["endpoint"]
            peer = Peer(folder, cloud, aws_cli(), written_out(folder, binary))
            peer_first = peer.deploy()
            peer_unchanged = statistics.median(peer.deploy() for _ in range(REPEATS))
            environment = folder / "environments/local.toml"
            before = environment.read_text()
            environment.write_text(f"{before}[alerts]\nbudget_usd = 9\n")
            planned = statistics.median(timed(binary, "plan", cwd=folder) for _ in range(REPEATS))
            environment.write_text(before)
            secret = run(binary, "secret", "admin", cwd=folder).strip()
            live, executed = edited(folder, tool, Airflow(f"http://127.0.0.1:{port}", secret))
        finally:
            run(binary, "local", "down", cwd=folder)
    ours = statistics.median(unchanged)
    print(f"{'':44}{'ductwork':>10}{'aws cli':>10}{'ratio':>8}")
    print(f"{'stack, first':44}{stack:9.2f}s{peer_first:9.2f}s{stack / peer_first:8.2f}")
    print(
        f"{'nothing changed (ours: everything)':44}{ours:9.2f}s{peer_unchanged:9.2f}s{ours / peer_unchanged:8.2f}"
    )
    print(f"{'plan of a changed stack, change set included':44}{planned:9.2f}s")
    print(f"{'first deployment, Airflow included':44}{first['seconds']:9.2f}s")
    print(f"{'one DAG edited, live':44}{live:9.2f}s")
    print(f"{'one DAG edited, next run has executed it':44}{executed:9.2f}s")
    print(f"AWS calls where nothing changed: {calls}")


if __name__ == "__main__":
    main()
