"""What a project adds to its hosts: OS packages, a start-up script, and the `airflow` command for people."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import AIRFLOW
from test_settings import HOST, LOCAL, OUTPUTS, SECRETS

from ductwork_airflow.hosts import command, configure, envfile, packages, run, secret, startup
from ductwork_airflow.hosts.settings import host_environment


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """A host with a release on it."""
    monkeypatch.setenv("DUCTWORK_HOST_ROOT", str(tmp_path))
    for folder in ("opt/ductwork/revision", "opt/ductwork/venv/bin", "etc/ductwork", "bin"):
        (tmp_path / folder).mkdir(parents=True)
    envfile.host_file().write_text(
        "DUCTWORK_STACK=ductwork-test\nDUCTWORK_ENVIRONMENT=test\nAWS_REGION=eu-west-1\n"
    )
    envfile.write_lines(envfile.airflow_file(), host_environment(OUTPUTS, LOCAL, HOST))
    return tmp_path


def program(path: Path, text: str) -> Path:
    """An executable script."""
    path.write_text(f"#!/usr/bin/env bash\n{text}\n")
    path.chmod(0o755)
    return path


def stack(**parameters: str) -> str:
    """What `aws … --query Stacks[0].Parameters` prints."""
    return json.dumps([{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()])


class TestPackages:
    """A host of AWS, whose AWS CLI, rpm and dnf only record what they are asked for."""

    @pytest.fixture
    def asked(self, root, monkeypatch):
        calls = root / "calls"
        calls.touch()
        monkeypatch.setenv("PATH", f"{root / 'bin'}:/usr/bin:/bin")
        monkeypatch.setenv("PYTHONPATH", "/must/not/reach/dnf")
        record = f'echo "$(basename "$0") $*$PYTHONPATH" >>"{calls}"'
        program(root / "bin/dnf", record)
        program(root / "bin/rpm", '[ "$3" = gcc ]')

        def asked(answer: str) -> list[str]:
            calls.write_text("")
            program(root / "bin/aws", f"{record}; echo '{answer}'")
            assert packages.main() == 0
            return calls.read_text().splitlines()

        return asked

    def test_what_the_stack_names_and_the_host_lacks_is_installed(self, asked):
        describe, install = asked(stack(DrainSeconds="60", HostPackages="gcc,graphviz,libxml2-devel"))
        assert describe.startswith("aws cloudformation describe-stacks --stack-name ductwork-test")
        assert "--region eu-west-1" in describe
        assert install == "dnf install --assumeyes --quiet graphviz libxml2-devel"

    @pytest.mark.parametrize(
        "answer", [stack(HostPackages="gcc"), stack(HostPackages=""), stack(DrainSeconds="60"), "null"]
    )
    def test_a_host_that_lacks_nothing_asks_no_repository(self, asked, answer):
        assert len(asked(answer)) == 1

    def test_a_package_that_does_not_exist_fails_with_the_words_of_dnf(self, asked, root):
        program(root / "bin/dnf", "echo 'Unable to find a match: gaphviz' >&2; exit 1")
        with pytest.raises(RuntimeError, match="Unable to find a match: gaphviz"):
            asked(stack(HostPackages="gaphviz"))

    def test_a_local_cloud_says_what_it_leaves_out(self):
        values = host_environment(OUTPUTS, LOCAL | {"HostPackages": "gcc,graphviz"}, HOST)
        assert configure.not_installed(values) == "gcc graphviz"
        assert configure.not_installed(values | {"DUCTWORK_LOCAL": "False"}) == ""
        assert configure.not_installed(host_environment(OUTPUTS, LOCAL, HOST)) == ""


class Hook:
    """AfterInstall, whose Python only notes the modules that it is asked for, up to the one that is `real`."""

    def __init__(self, root: Path, real: str, **env: str) -> None:
        calls = root / "calls"
        text = f'echo "$*" >>"{calls}"; case "$*" in *{real}) PYTHONPATH="{AIRFLOW}" exec {sys.executable} "$@" ;; esac'
        python = program(root / "opt/ductwork/venv/bin/python", text)
        given = {"DUCTWORK_HOST_ROOT": str(root), "DUCTWORK_PYTHON": str(python), "PATH": "/usr/bin:/bin"}
        self.done = subprocess.run(
            [AIRFLOW / "host/hooks/after_install"], env=given | env, capture_output=True, text=True
        )
        self.modules = [line.removeprefix("-m ductwork_airflow.") for line in calls.read_text().splitlines()]


def test_packages_are_there_before_the_environment_is_installed(root):
    hook = Hook(root, "hosts.install")  # which fails for want of a lock
    assert hook.done.returncode != 0
    assert hook.modules == ["hosts.packages", "hosts.install"]


def test_a_start_up_script_runs_when_settings_are_there_and_before_anything_starts_or_migrates(root):
    (root / "opt/ductwork/revision/startup.sh").write_text("echo no disk here\nfalse\n")
    hook = Hook(root, "hosts.startup", DUCTWORK_INIT="supervisord")
    assert hook.done.returncode != 0
    assert hook.modules == ["hosts.install", "hosts.configure", "hosts.install --driver", "hosts.startup"]
    said, error = hook.done.stdout.splitlines()
    assert said == "no disk here"
    assert "ended with exit code 1" in error


class TestStartup:
    """`airflow/host/startup.sh` on a host."""

    @pytest.fixture
    def run(self, root, monkeypatch):
        def run(script: str) -> subprocess.CompletedProcess[bytes]:
            (root / "opt/ductwork/revision/startup.sh").write_text(script)  # without an execute bit
            env = {"DUCTWORK_HOST_ROOT": str(root), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(AIRFLOW)}
            return subprocess.run(
                [sys.executable, "-m", "ductwork_airflow.hosts.startup"], env=env, capture_output=True
            )

        return run

    def test_a_project_without_one(self, root):
        assert startup.main() == 0
        assert not (root / "var/log/ductwork").exists()

    def test_it_knows_its_host_and_finds_the_environment_and_the_files_beside_it(self, root, run):
        program(root / "opt/ductwork/venv/bin/playwright", "echo installed browsers")
        (root / "opt/ductwork/revision/beside.txt").write_text("beside\n")
        done = run(
            "cat beside.txt; playwright; echo $DUCTWORK_COMPONENTS/$DUCTWORK_LOCAL/$AWS_REGION/$PYTHONPATH\n"
        )
        assert done.returncode == 0
        assert done.stdout.decode() == "beside\ninstalled browsers\nworker keeper/True/eu-west-1/\n"

    def test_no_setting_that_could_hold_a_secret_reaches_it(self, root, run):
        assert "AIRFLOW" not in run("env\n").stdout.decode().replace("DUCTWORK_AIRFLOW_PORT", "")

    def test_a_failure_is_told_last_below_its_last_lines(self, run):
        done = run("echo one\necho two >&2\nexit 7\n")
        assert done.returncode == 1
        one, two, error = done.stdout.decode().splitlines()
        assert (one, two) == ("one", "two")
        assert error.startswith("error: airflow/host/startup.sh ended with exit code 7; ")

    def test_its_output_is_what_codedeploy_accepts(self, run):
        done = run(r"printf 'caf\xe9\n'; head -c 5000 /dev/zero | tr '\0' x; echo" + "\n")
        assert done.returncode == 0
        lines = done.stdout.decode().splitlines()  # UTF-8
        assert lines[0] == "caf�"
        assert max(map(len, lines)) == envfile.LINE_CHARACTERS

    def test_what_it_leaves_running_does_not_hold_the_hook(self, root, run):
        done = run("sleep 3600 & echo $! >pid\n")
        assert done.returncode == 0
        pid = int((root / "opt/ductwork/revision/pid").read_text())
        os.kill(pid, 9)

    def test_its_time_leaves_the_hook_enough_for_the_rest(self):
        import yaml

        spec = yaml.safe_load((AIRFLOW / "host/appspec.yml").read_text())
        (hook,) = spec["hooks"]["AfterInstall"]
        assert hook["timeout"] - startup.LIMIT_SECONDS >= 1200

    def test_what_is_too_slow_ends_with_all_that_it_started(self, root):
        script = root / "startup.sh"
        script.write_text(f"echo begun\nsleep 3600 & echo $! >{root}/pid\nwait\n")
        fault = startup.run(script, dict(os.environ), root / "out", 3.0)
        assert fault == "airflow/host/startup.sh did not end within 3 s"
        assert (root / "out").read_text() == "begun\n"
        pid = int((root / "pid").read_text())
        deadline = time.monotonic() + 300
        while is_running(pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not is_running(pid)


def is_running(pid: int) -> bool:
    """Whether the process is there and not a zombie, which it stays until init has collected it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


class TestCommand:
    """`airflow` for people."""

    @pytest.fixture
    def become(self, root, monkeypatch):
        """What the process would become, and which secrets were fetched for it."""
        became: dict[str, object] = {"fetched": []}

        def fetch(secret_id: str) -> str:
            became["fetched"].append(secret_id)
            return SECRETS[secret_id]

        def execve(path, words, env):
            became.update(path=path, words=words, env=env)

        monkeypatch.setattr(secret, "secrets_manager", lambda region: fetch)
        monkeypatch.setattr(os, "execve", execve)
        return became

    def components(self, names: str) -> None:
        settings = envfile.read_lines(envfile.airflow_file())
        envfile.write_lines(envfile.airflow_file(), settings | {"DUCTWORK_COMPONENTS": names})

    def test_it_has_settings_and_secrets_of_its_host_and_no_secret_in_its_arguments(
        self, become, monkeypatch
    ):
        monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "LocalExecutor")
        monkeypatch.setenv("TERM", "xterm-256color")
        self.components("api-server scheduler")
        command.main(["dags", "list", "-o", "plain"])
        assert become["words"] == [
            str(Path(sys.executable).with_name("airflow")),
            "dags",
            "list",
            "-o",
            "plain",
        ]
        env = become["env"]
        assert env["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor", "the shell's own settings do not slip in"
        assert env["TERM"] == "xterm-256color"
        assert env["AIRFLOW__API_AUTH__JWT_SECRET"] == SECRETS["arn:jwt"]
        assert "air%40flow" in env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
        assert (Path(env["AIRFLOW_HOME"]) / "airflow.cfg").read_text() == run.CFG
        assert len(become["fetched"]) == len(set(become["fetched"])), "each secret is fetched once"

    def test_it_becomes_any_command_that_is_asked_for(self, become, monkeypatch, capsys):
        def execvpe(file, words, env):
            if file == "nothing":
                raise FileNotFoundError(2, "No such file or directory")
            become.update(words=words, env=env)

        monkeypatch.setattr(os, "execvpe", execvpe)
        self.components("scheduler")
        command.main(["--run", "python", "-c", "a b"])
        assert become["words"] == ["python", "-c", "a b"]
        env = become["env"]
        assert env["PATH"].split(":")[0] == str(Path(sys.executable).parent), "Airflow's programs come first"
        assert env["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
        assert command.main(["--run", "nothing"]) == 127
        assert "there is no program `nothing`" in capsys.readouterr().err

    def test_on_a_worker_it_gets_what_a_worker_gets(self, become):
        self.components("worker keeper")
        command.main(["config", "list"])
        assert "AIRFLOW__API_AUTH__JWT_SECRET" not in become["env"]
        assert "arn:jwt" not in become["fetched"]

    def test_a_host_without_a_release(self, become, capsys):
        envfile.airflow_file().unlink()
        assert command.main(["dags", "list"]) == 2
        assert "no release yet" in capsys.readouterr().err
        assert "path" not in become

    def test_the_wrapper_passes_everything_on(self, root):
        program(root / "opt/ductwork/venv/bin/python", 'printf "%s|" "$PYTHONPATH" "$@"; cat; exit 7')
        env = {"DUCTWORK_HOST_ROOT": str(root), "DUCTWORK_INIT": "supervisord", "PATH": "/usr/bin:/bin"}
        words = [AIRFLOW / "host/bin/airflow", "dags", "a b", "--conf", '{"a": 1}']
        done = subprocess.run(words, env=env, input="in", capture_output=True, text=True)
        assert done.returncode == 7
        code = f"{root}/opt/ductwork/revision"
        expected = f'{code}|-m|ductwork_airflow.hosts.command|dags|a b|--conf|{{"a": 1}}|in'
        assert done.stdout == expected

    def test_on_aws_it_runs_as_the_user_of_the_components(self, root):
        program(root / "bin/id", '[ "$1" = -un ] && echo root || echo 0')
        program(root / "bin/runuser", 'echo "$@"')
        env = {"DUCTWORK_HOST_ROOT": str(root), "PATH": f"{root}/bin:/usr/bin:/bin"}
        words = [AIRFLOW / "host/bin/airflow", "dags", "list"]
        said = subprocess.check_output(words, env=env, text=True)
        assert said == f"-u ductwork -- bash {root}/opt/ductwork/revision/bin/airflow dags list\n"
        program(root / "bin/id", '[ "$1" = -un ] && echo ssm-user || echo 1001')
        done = subprocess.run(words, env=env, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (2, "")
        assert "sudo ductwork-airflow" in done.stderr
