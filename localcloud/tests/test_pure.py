"""The parts without a cloud: appspec, minimum healthy hosts, install plans, cloud-config, processes."""

from __future__ import annotations

import ast
import base64
import gzip
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from localcloud.base import procs
from localcloud.base.files import write_atomic
from localcloud.base.paths import state_at
from localcloud.base.problems import Refused
from localcloud.cfn.urls import path_style
from localcloud.codedeploy.appspec import AppSpecError, Script, parse
from localcloud.codedeploy.bundle import BundleError, Layout, store
from localcloud.codedeploy.health import BUILT_IN, Gate, Policy, RevisionHealth, Target
from localcloud.codedeploy.install import clean_up, execute
from localcloud.codedeploy.plan import InstallError, Planner
from localcloud.databases.postgres import binaries
from localcloud.ecs import places
from localcloud.ecs.images import Image
from localcloud.emulator import compat, patches
from localcloud.emulator.compat import NAMES
from localcloud.emulator.saver import Saver, rest_after, settle
from localcloud.fleet import cloudconfig, hostenv
from localcloud.life.statefolder import open_folder
from localcloud.tests.conftest import until
from localcloud.tests.fleetkit import revision


def test_a_pg_dump_of_this_machine_is_not_that_of_hosts_and_tasks(tmp_path, monkeypatch) -> None:
    older = tmp_path / "bin/pg_dump"
    older.parent.mkdir()
    older.write_text("#!/bin/sh\n")
    older.chmod(0o755)
    monkeypatch.setattr(hostenv, "SYSTEM_PATH", str(older.parent))
    monkeypatch.setattr(places, "SYSTEM_PATH", str(older.parent))
    host = hostenv.HostEnv("http://127.0.0.1:1", "", "", "").of(tmp_path / "i-1", "us-east-1")
    image = Image("sha256:0", tmp_path, {}, (), "")
    task = places.Places(image, tmp_path, tmp_path, []).variables({})
    for env in (host, task):
        assert shutil.which("pg_dump", path=env["PATH"]) == str(binaries() / "pg_dump")


def spec(**parts: object) -> str:
    return json.dumps({"version": 0.0, "os": "linux", **parts})


def test_appspec() -> None:
    text = """
version: 0.0
os: linux
file_exists_behavior: overwrite
files:
  - source: /
    destination: /opt/app
permissions:
  - object: /opt/app
    pattern: "*.sh"
    except: [secret.sh]
    owner: app
    mode: 755
    type: [file]
hooks:
  ApplicationStop:
    - location: hooks/stop
      timeout: 100
      runas: root
    - location: hooks/stop2
      timeout: 50
  AfterInstall: []
  BeforeInstall:
"""
    parsed = parse(text)
    assert parsed.hooks == {
        "ApplicationStop": (Script("hooks/stop", 100, "root"), Script("hooks/stop2", 50, None))
    }
    assert (parsed.files[0].source, parsed.file_exists_behavior) == ("/", "OVERWRITE")
    rule = parsed.permissions[0]
    assert rule.mode == 0o755
    assert rule.applies("/opt/app/run.sh")
    assert not rule.applies("/opt/app/secret.sh")
    assert not rule.applies("/opt/app/deeper/run.sh")
    assert not rule.applies("/opt/application/run.sh")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "empty"),
        ("version: [", "not valid YAML"),
        ('{"version": 0.1, "os": "linux"}', "invalid version"),
        ('{"version": "0.0", "os": "linux"}', "invalid version"),
        ('{"version": 0.0, "os": "windows"}', "unsupported operating system"),
        ('{"version": 0.0, "os": "beos"}', "unsupported operating system"),
        (spec(hooks={"AfterDinner": [{"location": "x"}]}), "unknown lifecycle event"),
        (spec(hooks={"Install": [{"location": "x"}]}), "unknown lifecycle event"),
        (spec(hooks={"AfterInstall": [{"timeout": 1}]}), "no location"),
        (spec(hooks={"AfterInstall": [{"location": "x", "timeout": 0}]}), "invalid timeout"),
        (spec(hooks={"AfterInstall": [{"location": "x", "timeout": 3601}]}), "invalid timeout"),
        (spec(hooks={"AfterInstall": [{"location": "x", "timeout": 2000}] * 2}), "add up to 4000"),
        (spec(files=[{"source": "x"}]), "without a destination"),
        (spec(files=[{"source": "../x", "destination": "/y"}]), "leaves its place"),
        (spec(files=[{"source": "x", "destination": "y"}]), "not an absolute path"),
        (spec(permissions=[{"object": "/x", "mode": "789"}]), "invalid mode"),
        ("version: 0.0\nos: linux\npermissions:\n  - {object: /x, mode: 0755}\n", "quote it"),
        (spec(file_exists_behavior="PERHAPS"), "file_exists_behavior"),
    ],
)
def test_appspecs_that_are_wrong(text: str, complaint: str) -> None:
    with pytest.raises(AppSpecError, match=complaint):
        parse(text)


def drive(policy: Policy, total: int, failing: set[int], healthy: bool = True) -> tuple[Gate, list[int]]:
    """Run a gate to its end, every batch finishing whole; answers the sizes of what ran at once."""
    gate = Gate(policy, [Target(f"i{n:02}", healthy, RevisionHealth.OLD) for n in range(total)])
    sizes, order = [], 0
    while batch := gate.next():
        sizes.append(len(batch))
        for name in batch:
            gate.done(name, order not in failing)
            order += 1
    return gate, sizes


@pytest.mark.parametrize(
    ("policy", "failing", "sizes", "success"),
    [
        (Policy("FLEET_PERCENT", 95), set(), [], False),  # min 10 of 10: no room at all
        (Policy("HOST_COUNT", 9), set(), [1] * 10, True),
        (Policy("HOST_COUNT", 9), {4}, [1] * 5, False),
        (Policy("HOST_COUNT", 9), {9}, [1] * 10, True),  # the very last may fail, as on AWS
        (Policy("HOST_COUNT", 8), set(), [2] * 5, True),
        (Policy("HOST_COUNT", 8), {0}, [2, 1, 1, 1, 1, 1, 1, 1, 1], True),
        (Policy("HOST_COUNT", 8), {0, 1}, [2], False),
        (Policy("HOST_COUNT", 0), set(), [10], True),
        (Policy("HOST_COUNT", 0), set(range(9)), [10], True),
        (Policy("HOST_COUNT", 0), set(range(10)), [10], False),
        (BUILT_IN["CodeDeployDefault.OneAtATime"], set(), [1] * 10, True),
        (BUILT_IN["CodeDeployDefault.HalfAtATime"], set(), [5, 5], True),
        (BUILT_IN["CodeDeployDefault.AllAtOnce"], set(), [10], True),
    ],
)
def test_minimum_healthy_hosts_of_ten(
    policy: Policy, failing: set[int], sizes: list[int], success: bool
) -> None:
    gate, ran = drive(policy, 10, failing)
    assert (ran, gate.success) == (sizes, success)


def test_minimum_healthy_hosts_of_few() -> None:
    for policy in BUILT_IN.values():
        gate, sizes = drive(policy, 1, set())
        assert (sizes, gate.success) == ([1], True)
        assert not drive(policy, 1, {0})[0].success
    first, sizes = drive(BUILT_IN["CodeDeployDefault.OneAtATime"], 3, set(), healthy=False)
    assert (sizes, first.success) == ([3], True)  # a first deployment finds nothing healthy to spare
    assert drive(Policy("FLEET_PERCENT", 50), 3, set())[1] == [1, 1, 1]  # ceil(1.5) stay


def test_unhealthy_first_then_unknown_old_current() -> None:
    targets = [
        Target("current", True, RevisionHealth.CURRENT),
        Target("old", True, RevisionHealth.OLD),
        Target("unknown", True, RevisionHealth.UNKNOWN),
        Target("sick", False, RevisionHealth.CURRENT),
    ]
    gate = Gate(Policy("MOST_CONCURRENCY", 1), targets)
    order = []
    while batch := gate.next():
        order += batch
        assert gate.next() == []
        for name in batch:
            gate.done(name, True)
    assert order == ["sick", "unknown", "old", "current"]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    folder = tmp_path / "archive"
    for name in ("a.txt", "sub/b.txt", "other/a.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / "sub" / "link").symlink_to("./b.txt")
    return folder


def planned(archive: Path, root: Path, behavior: str = "DISALLOW", **parts: object):
    return Planner(archive, root, behavior).plan(parse(spec(**parts)))


def test_install_and_the_way_back(archive: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    files = [{"source": "sub", "destination": "/opt/x/y"}, {"source": "a.txt", "destination": "/etc/z"}]
    plan = planned(archive, root, files=files)
    record = tmp_path / "cleanup"
    execute(plan, tmp_path / "i" / "install.json", record)
    assert (root / "opt/x/y/b.txt").read_text() == "sub/b.txt"
    assert os.readlink(root / "opt/x/y/link") == "./b.txt"  # noqa: PTH115 - Path.readlink tidies
    assert (root / "etc/z/a.txt").exists()
    assert json.loads((tmp_path / "i" / "install.json").read_text())["instructions"]
    (root / "etc/z/mine").write_text("")
    clean_up(record)
    assert sorted(str(p.relative_to(root)) for p in root.rglob("*")) == ["etc", "etc/z", "etc/z/mine"]
    assert not record.exists()


def test_conflicts(archive: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/a.txt").write_text("mine")
    files = [{"source": "a.txt", "destination": "/etc"}]
    with pytest.raises(InstallError, match=r"already exists at this location: /etc/a\.txt"):
        planned(archive, root, files=files)
    assert planned(archive, root, "RETAIN", files=files).copies == []
    assert len(planned(archive, root, "OVERWRITE", files=files).copies) == 1
    with pytest.raises(InstallError, match="two source files"):
        planned(archive, root, "OVERWRITE", files=[*files, {"source": "other/a.txt", "destination": "/etc"}])
    with pytest.raises(InstallError, match="is not in the revision"):
        planned(archive, root, files=[{"source": "none", "destination": "/x"}])
    twice = [{"object": "/new", "mode": "600"}, {"object": "/new/a.txt", "mode": "600"}]
    with pytest.raises(InstallError, match="more than once"):
        planned(archive, root, files=[{"source": "a.txt", "destination": "/new"}], permissions=twice)


def test_a_bundle_stays_inside(tmp_path: Path) -> None:
    layout = Layout(tmp_path, "g")
    for kind in ("zip", "tar"):
        with pytest.raises(BundleError):
            store(layout, "d-1", revision({"../../evil": "x", "appspec.yml": ""}, kind), kind)
    assert not list(tmp_path.rglob("evil"))


def test_cloud_config(tmp_path: Path) -> None:
    packed = base64.b64encode(gzip.compress(b"packed")).decode()
    text = f"""#cloud-config
write_files:
  - {{path: /a/b, content: "one\\n", permissions: '0600'}}
  - {{path: /a/b, content: "two\\n", append: true}}
  - {{path: /c, content: {packed}, encoding: gz+b64}}
runcmd: [[rm, -rf, /]]
"""
    config = cloudconfig.parse(cloudconfig.decode(base64.b64encode(text.encode()).decode()))
    cloudconfig.apply(config, tmp_path)
    assert (tmp_path / "a/b").read_text() == "one\ntwo\n"
    assert (tmp_path / "c").read_bytes() == b"packed"
    assert config.skipped == ("runcmd (1 entries)",)
    assert cloudconfig.parse("#!/bin/sh\nrm -rf /").files == ()
    assert cloudconfig.parse("") == cloudconfig.CloudConfig((), ())
    for bad in (
        "write_files: [{path: relative}]",
        "write_files: [{path: /a/../../b}]",
        "write_files: [{path: /a, permissions: rw}]",
        "write_files: [1]",
        "a: [",
    ):
        with pytest.raises(cloudconfig.BadUserData):
            cloudconfig.parse("#cloud-config\n" + bad)


def test_identity_of_processes(tmp_path: Path) -> None:
    child = subprocess.Popen(["sleep", "3600"], env={**os.environ, "DW_TEST_MARK": str(tmp_path)})
    identity = procs.remember(tmp_path / "pids" / "p.json", child.pid)
    assert identity is not None and identity.alive()
    assert procs.recall(tmp_path / "pids" / "p.json") == identity
    assert not procs.Identity(child.pid, "another start").alive()

    def tagged() -> list[procs.Identity]:
        return procs.tagged(lambda env: env.get("DW_TEST_MARK") == str(tmp_path))

    until(tagged, what="the environment of a process that has just started")
    assert tagged() == [identity]
    procs.end([identity], 2)
    assert not identity.alive()
    child.wait()
    assert procs.recall(tmp_path / "pids" / "p.json") is None
    (tmp_path / "junk").write_text("{")
    assert procs.recall(tmp_path / "junk") is None


def test_a_batch_is_saved_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.json").write_text("old")
        (tmp_path / f"{name}.json.new").write_text("new")
    settle(tmp_path)  # the cloud was killed before the whole batch was written
    assert [path.read_text() for path in sorted(tmp_path.iterdir())] == ["old", "old"]
    (tmp_path / "b.json.new").write_text("new")
    (tmp_path / "committed").write_text("")
    settle(tmp_path)  # it was killed between two renames
    assert [path.read_text() for path in sorted(tmp_path.iterdir())] == ["old", "new"]


def test_saver_writes_what_changed_and_nothing_else(tmp_path: Path) -> None:
    states: dict[str, dict] = {"a": {}, "b": {"x": 1}}
    getters = {key: (lambda key=key: states[key]) for key in states}
    saver = Saver(tmp_path, lambda: getters, lambda key, state: json.dumps(state), lambda: False)
    saver.save_all()
    assert [p.name for p in tmp_path.iterdir()] == ["b.json"]
    stamp = (tmp_path / "b.json").stat().st_mtime_ns
    saver.save_all()
    assert (tmp_path / "b.json").stat().st_mtime_ns == stamp
    states["a"]["y"] = 2
    saver.save_all()
    assert json.loads((tmp_path / "a.json").read_text()) == {"y": 2}
    states["a"].clear()
    saver.save_all()
    assert json.loads((tmp_path / "a.json").read_text()) == {}


def test_saver_reads_again_what_changes_while_it_is_read(tmp_path: Path) -> None:
    state, looks = {"x": 1}, []

    def encode(_key: str, state: dict) -> str:
        looks.append(state)
        if len(looks) == 1:
            raise RuntimeError("dictionary changed size during iteration")
        return json.dumps(state)

    Saver(tmp_path, lambda: {"a": lambda: state}, encode, lambda: False).save_all()
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": 1}


def test_saver_leaves_nine_tenths_of_the_time_to_others() -> None:
    assert [rest_after(0.0), rest_after(0.05), rest_after(5.0)] == [0.05, pytest.approx(0.45), 1.0]


@pytest.mark.parametrize("name", ["100%", "%(here)s", "a [b]", "Project #2", "a ;b", "a\nb"])
def test_a_path_that_supervisord_cannot_hold_is_refused_before_it_is_made(tmp_path: Path, name: str) -> None:
    with pytest.raises(Refused, match="cannot be used"):
        open_folder(state_at(tmp_path / name / "local"))
    assert not list(tmp_path.iterdir())


def test_an_unusual_path_that_supervisord_can_hold_is_taken(tmp_path: Path) -> None:
    open_folder(state_at(tmp_path / "It's (a) C#-folder; {ä} *?" / "local")).close()


def test_write_atomic_leaves_nothing_behind(tmp_path: Path) -> None:
    write_atomic(tmp_path / "f", "one")
    with pytest.raises(TypeError):
        write_atomic(tmp_path / "f", 5)  # type: ignore[arg-type]
    assert [p.name for p in tmp_path.iterdir()] == ["f"]
    assert (tmp_path / "f").read_text() == "one"


def test_every_private_name_of_ministack_is_checked_at_the_start() -> None:
    """emulator/compat.py lists what an upgrade can take away."""
    listed = {f"{module.rpartition('.')[2]}.{name}" for module, names in NAMES.items() for name in names}
    modules = "|".join(sorted({entry.partition(".")[0] for entry in listed}))
    used = set()
    for path in Path(compat.__file__).parent.parent.rglob("*.py"):
        if "tests" in path.parts:
            continue
        text = path.read_text(encoding="utf-8").replace("ministack_app._", "app._")
        used |= {f"{m}.{n}" for m, n in re.findall(rf"\b({modules})\.(_[A-Za-z]\w*)", text)}
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ministack"):
                private = [alias.name for alias in node.names if alias.name.startswith("_")]
                used |= {f"{str(node.module).rpartition('.')[2]}.{name}" for name in private}
    assert used - listed == set()


def replaced(text: str) -> list[str]:
    """Names of ministack's modules that this source assigns to."""
    tree = ast.parse(text)
    modules = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ministack")
        for alias in node.names
    }
    targets = [
        target
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name)
    ]
    return [f"{target.value.id}.{target.attr}" for target in targets if target.value.id in modules]


def test_only_patches_py_replaces_what_ministack_has() -> None:
    for path in Path(compat.__file__).parent.parent.rglob("*.py"):
        assert replaced(path.read_text(encoding="utf-8")) == [], f"{path}: move it to emulator/patches.py"
    assert replaced("from ministack.services import ec2\nec2._x = 1\nother.y = 2\n") == ["ec2._x"]


def test_every_patch_has_a_reason() -> None:
    tree = ast.parse(Path(patches.__file__).read_text(encoding="utf-8"))
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Patch"
    ]
    assert len(calls) > 10
    for call in calls:
        reason = call.args[3]
        assert isinstance(reason, ast.Name) or len(str(reason.value)) > 20, ast.unparse(call)


@pytest.mark.parametrize(
    ("url", "read"),
    [
        (
            "https://b.s3.eu-central-1.amazonaws.com/k/t.yaml",
            "https://s3.eu-central-1.amazonaws.com/b/k/t.yaml",
        ),
        ("https://b.c.s3.us-east-1.amazonaws.com/t", "https://s3.us-east-1.amazonaws.com/b.c/t"),
        ("https://b.s3-eu-west-1.amazonaws.com/t", "https://s3-eu-west-1.amazonaws.com/b/t"),
        ("https://b.s3.amazonaws.com/t", "https://s3.amazonaws.com/b/t"),
        ("https://b.s3.cn-north-1.amazonaws.com.cn/t", "https://s3.cn-north-1.amazonaws.com.cn/b/t"),
        ("https://s3.eu-central-1.amazonaws.com/b/t", "https://s3.eu-central-1.amazonaws.com/b/t"),
        ("http://127.0.0.1:4566/b/t", "http://127.0.0.1:4566/b/t"),
    ],
)
def test_a_template_url_that_names_the_bucket_in_its_host_is_read_by_its_path(url: str, read: str) -> None:
    assert path_style(url) == read
