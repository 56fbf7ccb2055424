"""ECS exec: a command in a container that runs, on a terminal, by way of the stand-in for AWS's plugin."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import shlex
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from localcloud.ecs import sessions
from localcloud.sessions.frames import DATA, TOKEN, Frames
from localcloud.tests.conftest import ROOT, STUCK, RunningCloud, until
from localcloud.tests.ecskit import Place, make_place

NOT_ENABLED = (
    "execute command was not enabled when the task was run or the execute command agent isn't running"
)
MESSAGES = ("ssmmessages:*",)
VARIABLE = "AWS_SSM_START_SESSION_RESPONSE"


@pytest.fixture(scope="module")
def place(cloud: RunningCloud) -> Place:
    made = make_place(cloud, "sessions")
    made.role("task", MESSAGES)
    made.role("silent", ("s3:GetObject",))
    return made


def role(place: Place, name: str = "task") -> str:
    return f"arn:aws:iam::000000000000:role/{place.name}-{name}"


def started(place: Place, *containers: dict, by: str = "task", **more: object) -> str:
    whole = containers or (place.container(command=["wait"], environment=[{"name": "OWN", "value": "yes"}]),)
    options = {"enableExecuteCommand": True, **more}
    task = place.run(place.define(*whole, taskRoleArn=role(place, by)), **options)
    place.wait(task, "RUNNING")
    return task


@pytest.fixture(scope="module")
def task(place: Place) -> Iterator[str]:
    task = started(place)
    yield task
    place.ecs.stop_task(cluster=place.name, task=task)
    place.wait(task)


def opened(place: Place, task: str, *words: str, **more: object) -> dict:
    asked = {"cluster": place.name, "task": task, "command": shlex.join(words), "interactive": True, **more}
    return place.ecs.execute_command(**asked)["session"]


def plugin(session: dict, **more: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "localcloud.sessions.plugin", VARIABLE, "eu-central-1", "StartSession", "", "{}", ""],
        cwd=ROOT, env={**os.environ, VARIABLE: json.dumps(session), "PYTHONPATH": str(ROOT)}, **more,
    )  # fmt: skip


def shown(session: dict) -> str:
    """What a session shows without a terminal."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "text": True}
    out, _ = (process := plugin(session, **pipes)).communicate(timeout=STUCK)
    assert process.returncode == 0, "AWS's knows no exit code of the command"
    name = session["sessionId"]
    begin, end = (
        f"\nStarting session with SessionId: {name}\n",
        f"\n\nExiting session with sessionId: {name}.\n\n",
    )
    assert out.startswith(begin) and out.endswith(end)
    return out.removeprefix(begin).removesuffix(end)


class Terminal:
    """The plugin on a terminal."""

    def __init__(self, session: dict, rows: int, columns: int) -> None:
        self._end, theirs = pty.openpty()
        self.resize(rows, columns)
        self.process = plugin(session, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
        os.close(theirs)
        self.text = ""

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._end, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self._end, text.encode())

    def sees(self, pattern: str) -> None:
        deadline = time.monotonic() + STUCK
        while not re.search(pattern, self.text):
            assert time.monotonic() < deadline, self.text
            if select.select([self._end], [], [], 1)[0]:
                try:
                    self.text += os.read(self._end, 4096).decode()
                except OSError:
                    assert re.search(pattern, self.text), self.text

    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self._end)[3] & termios.ECHO)


def test_a_command_has_what_the_container_has(place: Place, task: str) -> None:
    tell = (
        "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ), os.getcwd(), os.isatty(0)]))"
    )
    words, env, folder, terminal = json.loads(
        shown(opened(place, task, "python", "-c", tell, "a b", "$HOME"))
    )
    assert words == ["a b", "$HOME"], "no shell reads it"
    assert env["OWN"] == "yes" and env["TERM"] == "xterm-256color" and terminal
    assert env["ECS_CONTAINER_METADATA_URI_V4"] and folder == env["DUCTWORK_ROOT"]
    assert not set(env) & {"PYTHONPATH", "DUCTWORK_VENVS"}, "nothing of the cloud's own"
    whole = shown(
        opened(place, task, "/app/venv/bin/python", "-c", "import sys; print(sys.prefix); sys.exit(3)")
    )
    assert whole.strip() == f"{env['DUCTWORK_ROOT']}/app/venv", "a place of the image"
    text = shown(opened(place, task, "nothing-here"))
    assert "Unable to start command" in text and "nothing-here: no such file or directory" in text


def test_a_task_shows_its_agents(place: Place, task: str) -> None:
    record = place.task(task)["containers"][0]
    agent = record["managedAgents"][0]
    assert (agent["name"], agent["lastStatus"]) == ("ExecuteCommandAgent", "RUNNING") and agent[
        "lastStartedAt"
    ]
    assert record["runtimeId"].startswith(task.rpartition("/")[2] + "-")
    without = started(place, enableExecuteCommand=False)
    assert "managedAgents" not in place.task(without)["containers"][0]
    with pytest.raises(ClientError, match=NOT_ENABLED):
        opened(place, without, "true")
    place.ecs.stop_task(cluster=place.name, task=without)


def test_keys_and_the_size_of_the_window_reach_the_command(place: Place, task: str) -> None:
    terminal = Terminal(opened(place, task, "sh"), 31, 101)
    terminal.type("stty size; echo begin-$((1+1))\n")
    terminal.sees(r"31 101\r\n(.*\r\n)*begin-2")
    assert not terminal.echoes(), "each key is handed over"
    terminal.resize(41, 99)
    terminal.type("until stty size | grep 41; do sleep 0.1; done\n")
    terminal.sees("41 99")
    terminal.type("sleep 1000; echo interrupted-$((1+1))\n")
    time.sleep(0.5)
    terminal.type("\x03")
    terminal.type("echo after-$((1+1)); exit\n")
    terminal.sees("after-2")
    terminal.sees(r"Exiting session with sessionId")
    assert "interrupted-2" not in terminal.text
    assert terminal.process.wait(STUCK) == 0
    assert terminal.echoes(), "the terminal is as before"


def test_an_interrupt_reaches_the_command_without_a_terminal_too(place: Place, task: str) -> None:
    script = "trap 'echo caught; exit' INT; echo ready; while :; do sleep 0.1; done"
    process = plugin(
        opened(place, task, "sh", "-c", script), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    while b"ready" not in process.stdout.readline():
        pass
    process.send_signal(signal.SIGINT)
    assert b"caught" in process.stdout.read()
    assert process.wait(STUCK) == 0


def connect(session: dict, token: str) -> Frames:
    place = urlsplit(session["streamUrl"])
    assert place.hostname == "127.0.0.1"
    frames = Frames(socket.create_connection((place.hostname, place.port), timeout=STUCK))
    frames.send(TOKEN, token.encode())
    return frames


def test_a_session_is_for_one_who_has_its_token(place: Place, task: str) -> None:
    session = opened(place, task, "sh")
    with pytest.raises((EOFError, ConnectionError)):
        list(connect(session, "guessed").read())
    frames = connect(session, session["tokenValue"])
    frames.send_size(10, 20)
    frames.send(DATA, b"stty size; echo pid-$$\n")
    text = b""
    while not re.search(rb"pid-\d+", text):
        text += b"".join(payload for _, payload in frames.read())
    assert b"10 20" in text
    with pytest.raises(OSError):
        connect(session, session["tokenValue"])
    # The command ends with its connection.
    pid = int(re.findall(rb"pid-(\d+)", text)[0])
    frames.connection.close()
    until(lambda: not _runs(pid), what="the end of the shell")


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_session_ends_with_its_container(place: Place) -> None:
    task = started(place)
    process = plugin(opened(place, task, "sleep", "1000"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert process.stdout is not None and b"Starting" in process.stdout.readline() + process.stdout.readline()
    place.ecs.stop_task(cluster=place.name, task=task)
    assert b"Exiting session" in process.stdout.read()
    assert process.wait(STUCK) == 0
    place.wait(task)
    with pytest.raises(ClientError, match=NOT_ENABLED):
        opened(place, task, "true")


def test_sessions_outlive_the_cloud_and_are_there_after_it(fresh: RunningCloud) -> None:
    place = make_place(fresh, "again")
    place.role("task", MESSAGES)
    task = started(place)
    fresh.saved(ecs=task)
    fresh.kill()
    fresh.start()
    place = Place(fresh, "again")
    tell = "import os; print(os.environ['OWN'])"
    until(
        lambda: place.task(task)["containers"][0]["managedAgents"][0]["lastStatus"] == "RUNNING",
        what="the agent",
    )
    assert shown(opened(place, task, "python", "-c", tell)).strip() == "yes"


def test_a_container_is_named_where_there_are_several(place: Place) -> None:
    side = place.container("side", command=["wait"], environment=[{"name": "OWN", "value": "side"}])
    task = started(place, place.container(command=["wait"]), side)
    with pytest.raises(ClientError, match="container name must be specified"):
        opened(place, task, "true")
    with pytest.raises(ClientError, match="container other does not exist"):
        opened(place, task, "true", container="other")
    assert shown(opened(place, task, "sh", "-c", "echo $OWN", container="side")).strip() == "side"
    place.ecs.stop_task(cluster=place.name, task=task)


@pytest.mark.parametrize(
    ("more", "code", "refusal"),
    [
        ({"interactive": False}, "InvalidParameterException", "Interactive is the only mode supported"),
        ({"cluster": "none"}, "ClusterNotFoundException", "Cluster not found."),
        ({"task": "0" * 32}, "InvalidParameterException", "The referenced task was not found."),
        ({"command": " "}, "InvalidParameterException", "cannot be empty"),
        ({"command": "a 'b"}, "InvalidParameterException", "cannot be read"),
    ],
)
def test_a_session_is_refused(place: Place, task: str, more: dict, code: str, refusal: str) -> None:
    with pytest.raises(ClientError, match=re.escape(refusal)) as caught:
        opened(place, more.pop("task", task), "true", **more)
    assert caught.value.response["Error"]["Code"] == code


def test_the_agent_needs_the_rights_of_the_task(place: Place) -> None:
    task = started(place, by="silent")
    with pytest.raises(ClientError, match="failed due to an internal error") as caught:
        opened(place, task, "true")
    assert caught.value.response["Error"]["Code"] == "TargetNotConnectedException"
    place.ecs.stop_task(cluster=place.name, task=task)
    with pytest.raises(ClientError, match="a valid taskRoleArn is not being used"):
        place.run(place.define(place.container(command=["wait"])), enableExecuteCommand=True)


def test_the_agent_needs_places_to_write_to() -> None:
    read_only = {"readonlyRootFilesystem": True}
    mounts = [{"containerPath": "/var/lib/amazon"}, {"containerPath": "/var/log/amazon/ssm"}]

    def status(definition: dict, container: str = "RUNNING") -> str:
        record = {"lastStatus": container}
        sessions.show(record, definition)
        return record["managedAgents"][0]["lastStatus"]

    assert status({}) == status({**read_only, "mountPoints": mounts}) == "RUNNING"
    assert status(read_only) == status({**read_only, "mountPoints": mounts[:1]}) == "STOPPED"
    assert status({}, "PENDING") == "PENDING"
