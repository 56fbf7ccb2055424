"""Tasks outlive the cloud, which finds them again; `stop` leaves none. Layers of images as folders."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from localcloud.ecs import containers, layers
from localcloud.ecs.images import Image
from localcloud.ecs.places import Places
from localcloud.tests.conftest import RunningCloud, until
from localcloud.tests.ecskit import (
    ARCHITECTURE,
    CONFIG,
    FILES,
    INDEX,
    MANIFEST,
    Registry,
    layer,
    make_place,
)
from localcloud.tests.test_ecs_tasks import DATA, environment, fetch


def test_tasks_go_on_without_the_cloud_and_stop_ends_them(fresh: RunningCloud) -> None:
    place = make_place(fresh, "life")
    both = [
        place.container(command=["wait"], mountPoints=[DATA]),
        place.container("side", command=["until", "/data/end", "7"], mountPoints=[DATA], essential=False),
    ]
    definition = place.define(*both, volumes=[{"name": "data"}], taskRoleArn=place.role("task"))
    place.serve(definition, 1)
    place.deployed()
    ending = place.run(definition)
    until(lambda: place.lines(ending), what="it runs")
    kept = place.tasks()[0]
    pid, agent = (place.folder(kept) / "pid").read_text(), environment(place, kept)
    for task in (kept, ending):
        fresh.saved(ecs=task)
    until(lambda: "RUNNING" in json.dumps(saved(fresh, ending)), what="it is saved as running")
    side, main = place.folder(kept, "side"), place.folder(ending)
    fresh.kill()
    (side.parents[1] / "volumes/data/end").touch()
    until((side / "exit").exists, what="the side container ended meanwhile")
    os.kill(int((main / "pid").read_text()), signal.SIGTERM)
    until((main / "exit").exists, what="the other task ended meanwhile")
    fresh.start()
    task = place.wait(ending)
    assert task["stopCode"] == "InfrastructureHealth" and task["containers"][0]["exitCode"] == 0
    until(
        lambda: {c["name"]: c.get("exitCode") for c in place.task(kept)["containers"]}["side"] == 7,
        what="code 7",
    )
    assert place.tasks() == [kept] and (place.folder(kept) / "pid").read_text() == pid, (
        "adopted, not restarted"
    )
    assert fetch(agent["ECS_CONTAINER_METADATA_URI_V4"] + "/task")["TaskARN"] == kept
    assert place.service()["deployments"][0]["rolloutState"] == "COMPLETED"

    fresh.stop()
    assert fresh.processes() == []
    fresh.start()
    until(lambda: place.tasks() not in ([kept], []), what="the service has another task")
    until(lambda: place.service()["runningCount"] == 1, what="the service runs again")
    assert place.deployments()[0]["status"] == "SUCCESSFUL"
    told = [event["message"] for event in place.service()["events"]]
    assert not [message for message in told if "by itself" in message], (
        "the cloud's end is no fault of a task"
    )


def saved(cloud: RunningCloud, arn: str) -> dict:
    document = json.loads((cloud.state / "services/ecs.json").read_text())["payload"]["tasks"]["data"]
    return next((task for key, task in document.items() if arn in key), {})


# -- health checks
def checked(script: str, until_status: str, tmp_path: Path, **more: float) -> int:
    """How often a check ran until it said so; its clock is real, its interval next to nothing."""
    count = tmp_path / "count"
    count.unlink(missing_ok=True)
    command = f"echo >> {count}; {script}"
    health = containers.Health({"command": ["CMD-SHELL", command], "interval": 0.01, **more})
    health.begin()

    def said() -> bool:
        health.step(
            lambda words: {"command": words, "environment": {"PATH": "/usr/bin:/bin"}, "folder": tmp_path}
        )
        return health.status == until_status

    until(said, what=until_status)
    health.end()
    return len(count.read_text().splitlines())


def test_a_check_has_to_fail_as_often_as_its_retries_and_not_while_the_container_starts(
    tmp_path: Path,
) -> None:
    assert checked("true", "HEALTHY", tmp_path, retries=3) == 1
    assert checked("false", "UNHEALTHY", tmp_path, retries=3) == 3
    assert checked("false", "UNHEALTHY", tmp_path, retries=1, startPeriod=0.5) > 1
    assert checked("sleep 600", "UNHEALTHY", tmp_path, retries=2, timeout=0.1) == 2
    ill = tmp_path / "ill"
    script = f"test -e {ill} && exit 1; touch {ill}"
    assert checked(script, "UNHEALTHY", tmp_path, retries=2, startPeriod=300) == 3, (
        "healthy once, then it counts"
    )


# -- images
def test_an_index_a_tag_and_a_second_image_on_the_same_layers(fresh: RunningCloud) -> None:
    place = make_place(fresh, "images-too")
    registry = Registry(fresh, "images")
    top = layer({"app/.wh.gone": ("", 0o644), "app/kept": ("new", 0o644), "var/state": ""}, owner=50000)
    below = layer({**FILES, "app/gone": ("x", 0o644), "app/kept": ("old", 0o644)})
    config = {**CONFIG, "User": "50000:0", "Env": [*CONFIG["Env"], "STATE=/var/state"], "Cmd": ["tell"]}
    place.image = registry.push([below, top], config, tag="two")
    arn = place.run(place.define(place.container()))
    place.wait(arn)
    env = json.loads(place.lines(arn)[1])["env"]
    rootfs = Path(env["DUCTWORK_ROOT"])
    assert not (rootfs / "app/gone").exists() and (rootfs / "app/kept").read_text() == "new"
    assert str(fresh.state / "tasks") in env["STATE"], "what belongs to the image's user is each task's own"
    assert env["DUCTWORK_STATE"].startswith(str(fresh.state / "tasks"))
    other = registry.manifest(json.loads(manifest(fresh, "images", "two")), "")
    platforms = [
        {
            "mediaType": MANIFEST,
            "digest": "sha256:" + "0" * 64,
            "size": 1,
            "platform": {"architecture": "s390x"},
        },
        {"mediaType": MANIFEST, "digest": other, "size": 1, "platform": {"architecture": ARCHITECTURE}},
    ]
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": platforms}
    registry.manifest(index, "many")
    place.image = f"000000000000.dkr.ecr.eu-central-1.amazonaws.com/images:{'many'}"
    arn = place.run(place.define(place.container()))
    assert place.wait(arn)["containers"][0]["imageDigest"] == other
    assert len(list((fresh.state / "images").glob("*/rootfs"))) == 1, "unpacked once"
    registry.manifest({**index, "manifests": platforms[:1]}, "foreign")
    place.image = place.image.replace(":many", ":foreign")
    reason = place.wait(place.run(place.define(place.container())))["stoppedReason"]
    assert "descriptor matching platform" in reason


def test_an_image_for_another_machine_is_pulled_and_cannot_be_run(cloud: RunningCloud, name: str) -> None:
    """An image of one platform is taken as it is: the kernel refuses its programs, as on AWS."""
    place = make_place(cloud, name)
    place.image = Registry(cloud, "images").push([layer(FILES)], CONFIG, "", "s390x")
    arn = place.run(place.define(place.container()))
    task = place.wait(arn)
    assert (task["stopCode"], task["containers"][0]["exitCode"]) == ("EssentialContainerExited", 1)
    assert place.lines(arn)[0].endswith("bin/program: exec format error")


def test_a_task_for_another_machine_finds_no_capacity(cloud: RunningCloud, name: str) -> None:
    place = make_place(cloud, name)
    other = {"amd64": "ARM64"}.get(ARCHITECTURE, "X86_64")
    definition = place.define(place.container(), runtimePlatform={"cpuArchitecture": other})
    task = place.wait(place.run(definition))
    assert (task["stopCode"], "has no capacity of" in task["stoppedReason"]) == ("TaskFailedToStart", True)


def test_an_image_survives_the_cloud_without_being_in_its_state(fresh: RunningCloud) -> None:
    place = make_place(fresh, "kept")
    large = "".join(f"{number:x}" for number in range(100_000))
    place.image = Registry(fresh, "images").push([layer(FILES), layer({"large": (large, 0o644)})], CONFIG)
    digest = place.image.partition("@")[2]
    fresh.saved(ecr=digest)
    assert (fresh.state / "services/ecr.json").stat().st_size < 20_000
    fresh.kill()
    fresh.start()
    place.wait(place.run(place.define(place.container(command=["exit", "0"]))))
    unpacked = fresh.state / "images" / digest.removeprefix("sha256:") / "rootfs/large"
    assert unpacked.read_text() == large


def manifest(cloud: RunningCloud, repository: str, tag: str) -> str:
    found = cloud.client("ecr").batch_get_image(repositoryName=repository, imageIds=[{"imageTag": tag}])
    return found["images"][0]["imageManifest"]


def test_layers_lie_over_each_other_as_docker_says(tmp_path: Path) -> None:
    def unpacked(name: str, files: dict) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        layers.unpack(layer(files), folder)
        return folder

    first = unpacked(
        "1", {"usr/bin/a": ("a", 0o755), "bin": "-> usr/bin", "d/x": ("x", 0o644), "f": ("f", 0o644)}
    )
    second = unpacked(
        "2", {"bin/b": ("b", 0o755), "d/.wh..wh..opq": ("", 0), "d/y": ("y", 0o644), ".wh.f": ("", 0)}
    )
    third = unpacked("3", {"bin/a": ("new", 0o755), "d": "-> /usr", "e": "-> /only/in/the/image"})
    fourth = unpacked("4", {"e/z": ("z", 0o644), "d/q": ("q", 0o644)})
    root = tmp_path / "root"
    root.mkdir()
    for one in (first, second):
        list(layers.lay_over(one, root))
    assert [entry.name for entry in (root / "d").iterdir()] == ["y"] and (first / "d/x").exists()
    for one in (third, fourth):
        list(layers.lay_over(one, root))
    assert (root / "bin").is_symlink() and sorted(p.name for p in (root / "usr/bin").iterdir()) == ["a", "b"]
    assert (root / "usr/bin/a").read_text() == "new" and (first / "usr/bin/a").read_text() == "a"
    assert not (root / "f").exists() and (root / "d").is_symlink() and (root / "usr/q").read_text() == "q"
    assert (root / "only/in/the/image/z").read_text() == "z"
    assert layers.inside(root, "/d/bin/../bin/a") == root / "usr/bin/a"
    assert layers.inside(root, "/../../etc") == root / "etc"


@pytest.mark.parametrize("name", ["../evil", "a/../../evil"])
def test_a_layer_does_not_leave_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(layers.LayerError, match="leaves the image"):
        layers.unpack(layer({name: ("x", 0o644)}), tmp_path)
    inner = tmp_path / "inner"
    inner.mkdir()
    layers.unpack(layer({"out": f"-> {tmp_path}", "out/evil": ("x", 0o644)}), inner)
    assert not (tmp_path / "evil").exists() and (inner / str(tmp_path).lstrip("/") / "evil").exists()


def test_places_of_a_container_are_found_here(tmp_path: Path) -> None:
    rootfs = tmp_path / "rootfs"
    for folder in ("opt/app", "var/state", "usr/bin"):
        (rootfs / folder).mkdir(parents=True)
    (rootfs / "usr/bin/only-there").touch()
    image = Image("sha256:0", rootfs, {}, ("/var/state",), "/here/python")
    mounts = [{"sourceVolume": "v", "containerPath": "/data/"}]
    places = Places(image, tmp_path / "own", tmp_path / "volumes", mounts)
    found = {
        "/opt/app": f"{rootfs}/opt/app",
        "/opt/none": "/opt/none",
        "/usr/bin/env": "/usr/bin/env",
        "/usr/bin/only-there": f"{rootfs}/usr/bin/only-there",
        "/usr/local/bin/python3.12": "/here/python",
        "/var/state/x": f"{tmp_path}/own/root/var/state/x",
        "/data/y": f"{tmp_path}/volumes/v/y",
        "/tmp": f"{tmp_path}/own/tmp",
        "/": "/",
        "/opt/app:/usr/bin:": f"{rootfs}/opt/app:/usr/bin:",
        "http://host/opt/app": "http://host/opt/app",
        "opt/app": "opt/app",
    }
    assert {word: places.word(word) for word in found} == found
