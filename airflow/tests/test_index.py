"""A host and a private package index: the real uv and pip, a real index, and an AWS CLI that only answers."""

from __future__ import annotations

import base64
import json
import logging
import sys
from pathlib import Path

import indexkit
import pytest
from conftest import free_port
from test_own_hosts import program, stack

from ductwork_airflow.hosts import envfile, index, install

USER, PASSWORD = "me@acme", "s3cr%t/ #:x"
ENCODED = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@pytest.fixture
def server():
    """The index, with what it was asked."""
    server = indexkit.started(USER, PASSWORD)
    yield server
    server.shutdown()
    server.server_close()


class Machine:
    """A host of AWS before its first release."""

    def __init__(self, root: Path, monkeypatch) -> None:
        self.root = root
        monkeypatch.setenv("DUCTWORK_HOST_ROOT", str(root))
        monkeypatch.setenv("PATH", f"{root / 'bin'}:/usr/bin:/bin")
        monkeypatch.setenv("UV_CACHE_DIR", str(root / "cache"))
        monkeypatch.setenv("PIP_CACHE_DIR", str(root / "cache"))
        monkeypatch.setenv("UV_HTTP_RETRIES", "0")
        uv = next(Path(sys.executable).parents[2].glob("tools-*/bin/uv"))
        # Its arguments are what every user of a host can see.
        program_text = f'echo "uv $*" >>"{root / "calls"}"; exec "{uv}" "$@"'
        for name in ("DUCTWORK_VENVS", "DUCTWORK_INIT", "UV_INDEX", "UV_INDEX_URL", "UV_DEFAULT_INDEX"):
            monkeypatch.delenv(name, raising=False)
        for folder in ("bin", "opt/ductwork/revision", "etc/ductwork"):
            (root / folder).mkdir(parents=True)
        monkeypatch.setenv("DUCTWORK_UV", str(program(root / "bin/uv", program_text)))
        envfile.host_file().write_text("DUCTWORK_STACK=s\nDUCTWORK_ENVIRONMENT=test\nAWS_REGION=eu-west-1\n")
        (root / "opt/ductwork/revision/requirements.lock").write_text(indexkit.locked())
        (root / "opt/ductwork/revision/tools.lock").write_text(indexkit.locked())
        self.knows("")

    def knows(self, parameter: str, secret: str | None = None) -> None:
        """What CloudFormation and Secrets Manager answer; None if there is no such secret."""
        (self.root / "parameters").write_text(stack(PackageIndex=parameter))
        missing = "echo 'An error occurred (ResourceNotFoundException)' >&2; exit 254"
        found = f"cat <<'END'\n{secret}\nEND"
        text = f"""echo "aws $*" >>"{self.root / "calls"}"
        case "$1" in
        cloudformation) cat "{self.root / "parameters"}" ;;
        *) {missing if secret is None else found}
        esac"""
        program(self.root / "bin/aws", text)

    def installs(self) -> Path:
        """What AfterInstall does; the environment's folder of packages."""
        assert install.main([]) == 0
        return next((self.root / "opt/ductwork/venv/lib").glob("python*/site-packages"))

    def files_with(self, text: str) -> list[Path]:
        """Every file that this host has, except the one that stands for Secrets Manager."""
        files = [path for path in self.root.rglob("*") if path.is_file() and path.name != "aws"]
        return [path for path in files if text.encode() in path.read_bytes()]


@pytest.fixture
def machine(tmp_path, monkeypatch) -> Machine:
    """Nothing is installed on it."""
    return Machine(tmp_path, monkeypatch)


def stored(password: str = PASSWORD) -> str:
    """The secret `packages/index`."""
    return json.dumps({"username": USER, "password": password})


@pytest.mark.parametrize("option", ["--extra-index-url", "--index-url"])
def test_the_login_of_the_secret_lets_in_and_stays_nowhere(machine, server, option, caplog):
    machine.knows(f"{option} {server.url}", stored())
    with caplog.at_level(logging.DEBUG):
        packages = machine.installs()
    assert (packages / "acme_tools.py").exists()
    assert (f"/files/{indexkit.WHEEL}", "right") in server.asked
    assert {login for _, login in server.asked} == {"right"}
    calls = (machine.root / "calls").read_text()
    assert "get-secret-value --secret-id ductwork/test/packages/index --region eu-west-1" in calls
    assert "uv pip sync" in calls
    assert PASSWORD not in caplog.text
    assert not [*machine.files_with(PASSWORD), *machine.files_with(ENCODED)]


def test_uv_itself_comes_from_what_stands_in_the_place_of_pypi(machine, server, monkeypatch):
    """By pip; the test's package stands for uv."""
    monkeypatch.delenv("DUCTWORK_UV")
    tools = machine.root / "opt/ductwork/revision/tools.lock"
    source = index.Index(server.url, True, USER, PASSWORD, "x")
    uv = install.uv(machine.root / "venvs", tools, source)
    assert list(uv.parents[1].glob("lib/python*/site-packages/acme_tools.py"))
    assert (f"/files/{indexkit.WHEEL}", "right") in server.asked
    assert not [*machine.files_with(PASSWORD), *machine.files_with(ENCODED)]
    assert index.Index(server.url, False, USER, PASSWORD).for_pip() == {}, "else pip asks for uv there"


def test_a_host_without_an_index_asks_for_no_secret(machine, server):
    assert index.of_host() == index.Index()
    (machine.root / "parameters").write_text(stack(DrainSeconds="60"))  # a stack of an earlier release
    assert index.of_host() == index.Index()
    assert "secretsmanager" not in (machine.root / "calls").read_text()
    assert index.Index().for_uv() == index.Index().for_pip() == {}


def test_a_host_that_has_the_environment_asks_nobody(machine, server):
    machine.knows(f"--extra-index-url {server.url}", stored())
    machine.installs()
    (machine.root / "calls").write_text("")
    server.asked.clear()
    machine.installs()
    assert server.asked == []
    assert (machine.root / "calls").read_text() == ""


def test_a_local_cloud_has_the_environments_that_the_tool_made(machine, server, monkeypatch):
    machine.knows(f"--extra-index-url {server.url}", stored())
    monkeypatch.setenv("DUCTWORK_INIT", "supervisord")
    assert index.of_host() == index.Index()
    assert not (machine.root / "calls").exists()


def refused(machine: Machine) -> list[str]:
    """The lines of the error; the last is what CodeDeploy shows for sure."""
    with pytest.raises(RuntimeError) as caught:
        machine.installs()
    text = str(caught.value)
    assert PASSWORD not in text
    lines = text.splitlines()
    assert len(lines[-1]) < 1500
    return lines


def test_an_index_that_wants_a_login_and_there_is_none(machine, server):
    machine.knows(f"--extra-index-url {server.url}")
    last = refused(machine)[-1]
    for word in (server.url, "wants a login", "ResourceNotFoundException", "ductwork/test/packages/index",
                 "cargo xtask secret set packages/index"):  # fmt: skip
        assert word in last


def test_an_index_that_refuses_the_login(machine, server):
    machine.knows(f"--index-url {server.url}", stored("another"))
    lines = refused(machine)
    assert "refuses the login of `me@acme`" in lines[-1]
    assert "another" not in "\n".join(lines)


def test_a_secret_of_another_form_is_told_without_its_value(machine, server):
    for value in ("hunter2", '["hunter2"]', '{"username": "hunter2"}'):
        machine.knows(f"--extra-index-url {server.url}", value)
        lines = refused(machine)
        assert "is not of the form" in lines[-1]
        assert "hunter2" not in "\n".join(lines)


def test_an_index_that_does_not_answer(machine):
    url = f"http://127.0.0.1:{free_port()}/simple/"
    machine.knows(f"--index-url {url}", stored())
    assert f"{url} does not answer: " in refused(machine)[-1]


def test_an_index_that_is_out_of_order(machine, server):
    server.status = 503
    machine.knows(f"--index-url {server.url}", stored())
    assert "answers with status 503" in refused(machine)[-1]


def test_a_package_that_is_not_on_the_index(machine, server):
    machine.knows(f"--index-url {server.url.rstrip('/')}", stored())
    lock = machine.root / "opt/ductwork/revision/requirements.lock"
    lock.write_text(indexkit.locked().replace("acme-tools", "acme-other"))
    lines = refused(machine)
    assert "acme-other" in "\n".join(lines)
    assert "answers; is the package on it?" in lines[-1]


def test_an_installer_gets_no_more_than_it_needs(server):
    beside = index.Index(server.url, False, USER, PASSWORD)
    assert beside.for_uv() == {
        "UV_INDEX": f"ductwork={server.url}",
        "UV_INDEX_DUCTWORK_USERNAME": USER,
        "UV_INDEX_DUCTWORK_PASSWORD": PASSWORD,
    }
    assert PASSWORD not in repr(beside)
    assert index.Index(server.url, True).for_uv() == {"UV_DEFAULT_INDEX": f"ductwork={server.url}"}
    assert index.Index(server.url, True).for_pip()["PIP_INDEX_URL"] == server.url
