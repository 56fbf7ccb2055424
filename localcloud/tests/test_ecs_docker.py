"""Containers of tasks as containers of Docker: `serve --containers`. Skipped where Docker does not answer."""

from __future__ import annotations

import gzip
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud.tests.conftest import ROOT, RunningCloud, until
from localcloud.tests.ecskit import Place, Registry, layer, make_place
from localcloud.tests.test_ecs_sessions import shown

BASE = ROOT / ".ductwork/servers/base.tar"
USER = 50000
FILES = {"data/": "", "app/hello": ("from the image", 0o644)}
CONFIG = {
    "Entrypoint": ["/usr/bin/python3", "-c"], "Env": ["PATH=/usr/bin:/bin", "OWN=image"], "User": str(USER),
    "WorkingDir": "/app", "Volumes": {"/data": {}},
}  # fmt: skip
WAIT = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(4)); print('waits', flush=1); time.sleep(999)"
TELL = "import json, os; print(json.dumps([os.getcwd(), os.getuid(), dict(os.environ)]), flush=True)"
DEAF = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(999)"


def docker(*words: str) -> list[str]:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout.split()


def left(kind: str, task: str) -> list[str]:
    listed = ("ps", "--all") if kind == "container" else ("volume", "ls")
    return docker(*listed, "--quiet", f"--filter=label=ductwork.task={task.rpartition('/')[2]}")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    try:
        docker("info")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("there is no Docker")
    if not BASE.exists():
        pytest.skip("there is no base image: dev/base.sh")
    running = RunningCloud(tmp_path_factory.mktemp("docker") / "local").start("--containers")
    made = make_place(running, "docker")
    made.role("task", ("ssmmessages:*",))
    base = gzip.compress(BASE.read_bytes(), 1, mtime=0)
    made.image = Registry(running, "whole").push([base, layer(FILES, USER)], CONFIG)
    yield made
    running.stop()


def run(place: Place, script: str, **more: object) -> str:
    role = f"arn:aws:iam::000000000000:role/{place.name}-task"
    options = {"command": [script], **more}
    volumes = [{"name": name} for name in ("data", "other")]
    definition = place.define(place.container(**options), taskRoleArn=role, volumes=volumes)
    return place.run(definition, enableExecuteCommand=True)


def inside(place: Place, task: str, *words: str) -> str:
    """What a session shows."""
    asked = {"cluster": place.name, "task": task, "command": shlex.join(words), "interactive": True}
    return shown(place.ecs.execute_command(**asked)["session"]).strip()


def ended(place: Place, task: str) -> dict:
    found = place.wait(task)
    until(lambda: not left("container", task) and not left("volume", task), what="nothing is left in Docker")
    return found


def test_a_container_is_one_of_docker(place: Place) -> None:
    secret = place.cloud.client("secretsmanager").create_secret(Name="several", SecretString="two\nlines")[
        "ARN"
    ]
    task = run(
        place, f"{TELL}; open('/data/x', 'w'); open('/app/x', 'w')", readonlyRootFilesystem=True,
        environment=[{"name": "OWN", "value": "definition"}], secrets=[{"name": "SECRET", "valueFrom": secret}],
        mountPoints=[{"sourceVolume": "data", "containerPath": "/data"}],
    )  # fmt: skip
    found = ended(place, task)
    assert found["containers"][0]["exitCode"] == 1
    # Docker passes on what comes by two pipes in any order.
    lines = place.lines(task)
    (told,) = [line for line in lines if line.startswith("[")]
    folder, user, env = json.loads(told)
    assert (folder, user, env["OWN"], env["SECRET"]) == ("/app", USER, "definition", "two\nlines")
    assert env["PATH"] == "/usr/bin:/bin" and env["ECS_CONTAINER_METADATA_URI_V4"].startswith(
        place.cloud.endpoint
    )
    assert not set(env) & {"DUCTWORK_CONTAINER_FOLDER", "DUCTWORK_STATE", "DUCTWORK_VENVS"}
    assert any("Read-only file system: '/app/x'" in line for line in lines), "and /data could be written to"


def test_a_volume_that_the_image_does_not_declare_is_roots(place: Place) -> None:
    mount = {"sourceVolume": "other", "containerPath": "/other"}
    task = run(place, "open('/other/x', 'w')", mountPoints=[mount])
    assert ended(place, task)["containers"][0]["exitCode"] == 1
    assert "Permission denied" in place.lines(task)[-1]


def test_secrets_are_in_no_argument(place: Place) -> None:
    task = run(place, WAIT, environment=[{"name": "HIDDEN", "value": "not-for-everybody"}])
    until(lambda: place.lines(task) == ["waits"], what="it has begun")
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert b"not-for-everybody" not in file.read_bytes()
        except OSError:
            continue
    place.ecs.stop_task(cluster=place.name, task=task)
    assert ended(place, task)["containers"][0]["exitCode"] == 4


def test_it_is_asked_then_killed(place: Place) -> None:
    task = run(place, DEAF, stopTimeout=2)
    until(lambda: place.lines(task) == ["deaf"], what="it has begun")
    place.ecs.stop_task(cluster=place.name, task=task)
    assert ended(place, task)["containers"][0]["exitCode"] == 137


def test_what_takes_too_much_memory_is_killed(place: Place) -> None:
    task = run(place, "x = bytearray(400 << 20)", memory=64)
    container = ended(place, task)["containers"][0]
    assert container["exitCode"] == 137
    assert container["reason"] == "OutOfMemoryError: Container killed due to memory usage"


def test_what_cannot_start_says_why(place: Place) -> None:
    task = run(place, "", entryPoint=["/not/there"])
    found = ended(place, task)
    assert found["stopCode"] == "TaskFailedToStart"
    assert "CannotStartContainerError" in found["stoppedReason"] and "/not/there" in found["stoppedReason"]


def test_checks_and_sessions_are_inside(place: Place) -> None:
    check = {"command": ["CMD-SHELL", 'test "$OWN" = image && test -e /app/hello'], "interval": 5}
    task = run(place, WAIT, healthCheck=check)
    until(lambda: place.task(task)["healthStatus"] == "HEALTHY", what="its check succeeds")
    tell = ["/usr/bin/python3", "-c", "import os; print(open('hello').read(), os.getuid(), os.isatty(0))"]
    assert inside(place, task, *tell) == "from the image 0 True"
    place.ecs.stop_task(cluster=place.name, task=task)
    ended(place, task)


def test_containers_outlive_the_cloud_and_end_with_stop(place: Place) -> None:
    task = run(place, WAIT)
    until(lambda: place.lines(task) == ["waits"], what="it has begun")
    place.cloud.saved(ecs=task)
    place.cloud.kill()
    assert left("container", task)
    place.cloud.start()  # without --containers: what runs in Docker is still found
    assert place.wait(task, "RUNNING")
    until(
        lambda: place.task(task)["containers"][0]["managedAgents"][0]["lastStatus"] == "RUNNING",
        what="its agent",
    )
    assert inside(place, task, "cat", "/app/hello") == "from the image"
    assert place.task(task)["desiredStatus"] == "RUNNING"
    place.cloud.stop()
    assert not left("container", task) and not left("volume", task)
    place.cloud.start("--containers")


@pytest.mark.parametrize(
    ("variables", "refusal"),
    [
        ({"PATH": "/nowhere"}, "there is no Docker"),
        ({"DOCKER_HOST": "unix:///nowhere"}, "Docker does not answer"),
    ],
)
def test_without_docker_it_is_refused(tmp_path: Path, variables: dict, refusal: str) -> None:
    if "PATH" not in variables and shutil.which("docker") is None:
        pytest.skip("there is no Docker")
    words = [sys.executable, "-m", "localcloud", "serve", "--state", str(tmp_path / "s"), "--containers"]
    done = subprocess.run(
        words, env={**os.environ, **variables}, capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 2 and refusal in done.stderr and "hint: " in done.stderr
