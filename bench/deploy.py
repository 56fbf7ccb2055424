"""`deploy` with the engines `ec2` and `fargate`, beside `aws cloudformation package && deploy` on one local cloud.

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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
VENVS = ROOT / ".ductwork/venvs"
REPEATS = 5
PLUGIN_REPEATS = 3


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


def copy(folder: Path) -> None:
    """The project's files, with the Python environments shared."""
    for name in run("git", "ls-files", "-co", "--exclude-standard", cwd=ROOT).splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".ductwork").mkdir()
    (folder / ".ductwork/venvs").symlink_to(VENVS)


def with_port(folder: Path, environment: str, port: int) -> None:
    """Lets Airflow have this port."""
    file = folder / f"environments/{environment}.toml"
    text, found = re.subn(r"^port = .*$", f"port = {port}", file.read_text(), flags=re.MULTILINE)
    file.write_text(text if found else f"{text}\n[airflow]\nport = {port}\n")


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
    """`aws cloudformation package && deploy` of the same templates and parameters, as a stack of its own."""

    def __init__(self, folder: Path, endpoint: str, master: Path) -> None:
        self.folder, self.master, self.aws = folder, master, aws_cli()
        self.env = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        self.parameters = self.ours() | {"ProjectName": "peer", "EnvironmentName": "peer"}

    def ours(self) -> dict[str, str]:
        """The parameters of the environment's master stack."""
        asked = (self.aws, "cloudformation", "describe-stacks", "--output", "json")
        stacks = json.loads(run(*asked, cwd=self.folder, **self.env))["Stacks"]
        masters = [stack for stack in stacks if "ParentId" not in stack]
        given = [
            {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]} for stack in masters
        ]
        return next(parameters for parameters in given if "EnvironmentName" in parameters)

    def deploy(self) -> float:
        """Seconds of both commands."""
        out, bucket = self.folder / "packaged.yaml", self.parameters["ArtifactBucket"]
        command = (self.aws, "cloudformation")
        package = timed(*command, "package", "--template-file", self.master, "--s3-bucket", bucket,
                        "--output-template-file", out, cwd=self.folder, **self.env)  # fmt: skip
        return package + timed(
            *command, "deploy", "--template-file", out, "--s3-bucket", bucket, "--stack-name", "peer-stack",
            "--capabilities", "CAPABILITY_NAMED_IAM", "--no-fail-on-empty-changeset", "--parameter-overrides",
            *(f"{key}={value}" for key, value in self.parameters.items()),
            cwd=self.folder, **self.env,
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


@dataclass
class Figures:
    """Seconds; medians but for the first deployment."""

    first: float
    stack: float
    unchanged: float
    live: float
    executed: float
    plugin: float
    calls: int


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


def plugin_edited(folder: Path, tool: tuple[str | Path, ...]) -> float:
    """A change that every host or task has to be replaced for."""
    times = []
    for turn in range(PLUGIN_REPEATS):
        (folder / "plugins/bench.py").write_text(f"TURN = {turn}\n")
        times.append(timed(*tool, cwd=folder))
    return statistics.median(times)


def measured(folder: Path, binary: Path, environment: str, port: int) -> Figures:
    """All that is measured of one engine. The local cloud runs afterwards."""
    with_port(folder, environment, port)
    tool = (binary, "deploy", "--env", environment, "--yes", "--format", "json")
    first = json.loads(run(*tool, cwd=folder))
    unchanged = [timed(*tool, cwd=folder) for _ in range(REPEATS)]
    calls = json.loads(run(*tool, cwd=folder))["aws_calls"]
    secret = run(binary, "secret", "admin", "--env", environment, cwd=folder).strip()
    live, executed = edited(folder, tool, Airflow(f"http://127.0.0.1:{port}", secret))
    return Figures(
        first=first["seconds"],
        stack=sum(step["seconds"] for step in first["steps"] if step["name"] == "stack"),
        unchanged=statistics.median(unchanged),
        live=live,
        executed=executed,
        plugin=plugin_edited(folder, tool),
        calls=calls,
    )


def beside_aws_cli(folder: Path, binary: Path) -> tuple[float, float, float]:
    """The AWS CLI's first deployment of the stack and one of nothing, and our plan of a change."""
    cloud = json.loads((folder / ".ductwork/local/cloud.json").read_text())["endpoint"]
    peer = Peer(folder, cloud, written_out(folder, binary))
    first = peer.deploy()
    unchanged = statistics.median(peer.deploy() for _ in range(REPEATS))
    environment = folder / "environments/local.toml"
    before = environment.read_text()
    environment.write_text(f"{before}[alerts]\nbudget_usd = 9\n")
    planned = statistics.median(timed(binary, "plan", cwd=folder) for _ in range(REPEATS))
    environment.write_text(before)
    return first, unchanged, planned


def row(name: str, ec2: float, ecs: float, peer: float | None = None) -> None:
    """A line of the table; the ratios are those to engine `ec2` and of engine `ec2` to the AWS CLI."""
    line = f"{name:40}{ec2:8.2f}s{ecs:9.2f}s{ecs / ec2:8.2f}"
    print(line if peer is None else f"{line}{peer:9.2f}s{ec2 / peer:8.2f}")


def main() -> None:
    """Prints the table."""
    run("cargo", "build", "--quiet", "--package", "xtask", cwd=ROOT)
    binary = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug/xtask"
    figures = {}
    # One after the other, each with a cloud of its own: two Airflows would slow each other down.
    for environment in ("local", "local-fargate"):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            copy(folder)
            try:
                figures[environment] = measured(folder, binary, environment, free_ports())
                if environment == "local":
                    peer_first, peer_unchanged, planned = beside_aws_cli(folder, binary)
            finally:
                run(binary, "local", "down", cwd=folder)
    ec2, ecs = figures["local"], figures["local-fargate"]
    print(f"{'':40}{'ec2':>9}{'fargate':>10}{'ratio':>8}{'aws cli':>10}{'ratio':>8}")
    row("stack, first", ec2.stack, ecs.stack, peer_first)
    row("nothing changed (ours: everything)", ec2.unchanged, ecs.unchanged, peer_unchanged)
    row("first deployment, Airflow included", ec2.first, ecs.first)
    row("one DAG edited, live", ec2.live, ecs.live)
    row("one DAG edited, next run has executed it", ec2.executed, ecs.executed)
    row("a plugin edited: all replaced", ec2.plugin, ecs.plugin)
    print(f"plan of a changed stack, change set included: {planned:.2f} s")
    print(f"AWS calls where nothing changed: {ec2.calls} and {ecs.calls}")


if __name__ == "__main__":
    main()
