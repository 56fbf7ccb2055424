"""The life of a task, in a thread of its own: pulls, fetches secrets, starts containers in their order, watches, stops.

What a task should do is in its record (`desiredStatus`); whoever wants it to stop changes that and calls `wake`.
Tasks go on without the cloud and are found again by the files of their containers.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from ministack.core.concurrency import spawn_background
from ministack.core.responses import get_account_id, get_region, request_scope

from localcloud.ecs import (
    containers,
    docker,
    firelens,
    names,
    platforms,
    secrets,
    sessions,
    taskenv,
    tasks,
    valkey,
)
from localcloud.ecs.containers import Container
from localcloud.ecs.docker import Docker
from localcloud.ecs.docker_containers import DockerContainer
from localcloud.ecs.errors import StartError
from localcloud.ecs.hosts import needs_host
from localcloud.ecs.images import Image, Images
from localcloud.ecs.logs import Stream, Tail
from localcloud.ecs.rights import Rights
from localcloud.ecs.store import Store, now, tail
from localcloud.fleet.hostenv import HostEnv

log = logging.getLogger("localcloud.ecs")
LOOK_SECONDS = 0.1
ESSENTIAL_ENDED = "Essential container in task exited"
WITHOUT_CLOUD = "The task ended while the local cloud did not run."
PULL = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")


class Runner:
    def __init__(self, folder: Path, images: Images, store: Store, env: HostEnv, runs: Docker | None) -> None:
        self._folder = folder
        self._images = images
        self._store = store
        self._env = env
        self._docker = runs
        self._wakes: dict[str, threading.Event] = {}
        self._lives: dict[str, Life] = {}
        self._closed = False
        # Set by whoever wants to know: a task's record has changed; a role was used.
        self.on_change: Callable[[dict], None] = lambda task: None
        self.note: Callable[[dict, str, str, str], None] = lambda task, role, action, resource: None

    # -- from outside
    def start(self, task: dict) -> None:
        self._wakes[task["taskArn"]] = threading.Event()
        spawn_background(self._live, task, False, thread_name="task")

    def wake(self, task: dict) -> None:
        event = self._wakes.get(task["taskArn"])
        if event is not None:
            event.set()

    def find(self, task: dict, name: str) -> tuple[Container, Rights | None] | None:
        """A container of a task that runs, and the rights of the task."""
        life = self._lives.get(task["taskArn"])
        return life.find(name) if life is not None else None

    def recover(self) -> None:
        """Take over what runs since before; what has ended meanwhile is stopped."""
        for account, region, task in self._store.all_tasks():
            if task["lastStatus"] != "STOPPED" and not needs_host(task):
                self._wakes[task["taskArn"]] = threading.Event()
                with request_scope(account, region):
                    spawn_background(self._live, task, True, thread_name="task")
        known = {
            task["local"]["id"] for _, _, task in self._store.all_tasks() if task["lastStatus"] != "STOPPED"
        }
        for stray in self._folder.iterdir():
            if stray.name not in known:
                containers.end_marked(stray)
                containers.forget(stray)

    def close(self) -> None:
        """Leave every task as it is."""
        self._closed = True
        for event in list(self._wakes.values()):
            event.set()

    # -- a life
    def _live(self, task: dict, again: bool) -> None:
        life = self._lives[task["taskArn"]] = Life(self, task)
        try:
            life.take_over() if again else life.begin()
            while not self._closed and not life.is_over():
                if life.step():
                    self._changed(task)
                self._wakes[task["taskArn"]].wait(LOOK_SECONDS)
                self._wakes[task["taskArn"]].clear()
        except StartError as error:
            life.failed = str(error)
        except Exception as error:
            log.exception("task %s broke", task["taskArn"])
            life.failed = f"InternalError: {error}"
        if not self._closed:
            life.end()
            self._wakes.pop(task["taskArn"], None)
            self._lives.pop(task["taskArn"], None)
            self._changed(task)

    def _changed(self, task: dict) -> None:
        if not self._closed:
            self.on_change(task)


class Life:
    """One task's."""

    def __init__(self, runner: Runner, task: dict) -> None:
        self._runner = runner
        self._store, self._env = runner._store, runner._env
        self._task = task
        self._local = task["local"]
        self.folder: Path = runner._folder / self._local["id"]
        self.failed = ""  # why it cannot go on
        definition = self._definition = self._store.definitions[tail(task["taskDefinitionArn"])]
        self._router = firelens.router(definition["containerDefinitions"])
        self._containers = {
            one["name"]: self._container(one, self._place(one["name"]), self._stream(one))
            for one in definition["containerDefinitions"]
        }

    def _container(self, definition: dict, folder: Path, stream: Tail) -> Container:
        """Run by Docker if the cloud was started so, or was when this one was launched; never what stands in for an
        image that nobody can pull here."""
        launched = (folder / "shim.json").exists()
        runs = docker.recall(folder) if launched else self._runner._docker
        if runs is None or definition is self._router or valkey.is_meant(definition["image"]):
            return Container(definition, folder, stream)
        return DockerContainer(runs, definition, folder, stream, self._task)

    def _place(self, name: str) -> Path:
        return self.folder / "containers" / name

    def _stream(self, container: dict) -> Tail:
        folder = self._place(container["name"])
        if self._router is not None and firelens.uses(container):
            return firelens.Routed(container, self._router, self._task, folder, self._of_task)
        return Stream(container, self._local["id"], folder)

    # -- start
    def begin(self) -> None:
        for container in self._containers.values():
            container.folder.mkdir(parents=True, exist_ok=True)
        rights = self._rights()
        self._move("PENDING", pullStartedAt=now())
        images = self._pull(rights)
        self._task["pullStoppedAt"] = now()
        for container in self._containers.values():
            self._prepare(container, images[container.name], rights)
            container.stream.open(rights)

    def take_over(self) -> None:
        """After the cloud was away. A task that had not started yet starts now."""
        if not any(one.launched for one in self._containers.values()):
            if self._task["desiredStatus"] == "RUNNING":
                self.begin()
            return
        for container in self._containers.values():
            container.poll()
        if any(one.essential and one.exit_code is not None for one in self._containers.values()):
            self._local["lost"] = True
            self._ask_to_stop(WITHOUT_CLOUD, "InfrastructureHealth")
            return
        # Those that only have to end need nothing.
        unready = [
            one
            for one in self._containers.values()
            if not one.launched or one.health.command or self._task["enableExecuteCommand"]
        ]
        if unready and self._task["desiredStatus"] == "RUNNING":
            rights = self._rights()
            for container in unready:
                self._prepare(container, self._image(container), rights)

    def _rights(self) -> Rights | None:
        self._of_task()  # raises if it cannot be assumed
        role = self._local["execution_role"]
        return Rights(role, self._local["id"], self._note) if role else None

    def _of_task(self) -> Rights | None:
        role = self._local["role"]
        return Rights(role, self._local["id"], self._note) if role else None

    def _note(self, role: str, action: str, resource: str) -> None:
        self._runner.note(self._task, role, action, resource)

    def _pull(self, rights: Rights | None) -> dict[str, Image]:
        platforms.check(self._definition)
        found = {}
        for container in self._containers.values():
            reference = container.definition["image"]
            if rights is not None and not self._is_public(container):
                self._check_pull(rights, reference)
            image = found[container.name] = self._image(container)
            if image.digest:
                self._record(container.name)["imageDigest"] = image.digest
        return found

    def _image(self, container: Container) -> Image:
        """Of public ones there are those that this cloud knows; a log router's is not run."""
        reference = container.definition["image"]
        if self._is_router(container):
            return firelens.stand_in(reference, container.folder)
        if valkey.is_meant(reference):
            return valkey.stand_in(reference, self._runner._images.public / "valkey")
        return container.pull(self._runner._images, platforms.wanted(self._definition))

    def _is_public(self, container: Container) -> bool:
        """Then no right is needed."""
        return self._is_router(container) or valkey.is_meant(container.definition["image"])

    def _is_router(self, container: Container) -> bool:
        return container.definition is self._router

    def _check_pull(self, rights: Rights, reference: str) -> None:
        repository = reference.partition("/")[2].partition("@")[0].partition(":")[0]
        arn = f"arn:aws:ecr:{get_region()}:{get_account_id()}:repository/{repository}"
        wanted = [("ecr:GetAuthorizationToken", "*"), *((action, arn) for action in PULL)]
        reason = next(filter(None, (rights.denied(*one) for one in wanted)), "")
        if reason:
            raise StartError(
                "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval "
                f"failed: unable to retrieve ecr registry auth: service call has been retried 1 time(s): {reason}"
            )

    def _prepare(self, container: Container, image: Image, rights: Rights | None) -> None:
        """Command, environment and directory."""
        definition = container.definition
        if definition.get("secrets") and rights is None:
            raise StartError(f"{secrets.FAILED}the task has no execution role")
        places = container.places(image, self.folder / "volumes")
        places.make()
        overrides = taskenv.overrides_of(self._task, container.name)
        container.command = (
            firelens.COMMAND
            if self._is_router(container)
            else platforms.command(
                self._definition, image, taskenv.command(definition, overrides, image, places)
            )
        )
        values = secrets.values(definition, rights) if rights is not None else {}
        container.environment = taskenv.environment(
            self._env,
            self._task,
            container,
            image,
            places,
            overrides,
            values,
            names.found(self._store.all_services()),
        )
        container.health.command = [places.word(word) for word in container.health.command]
        wanted = definition.get("workingDirectory") or image.config.get("WorkingDir") or "/"
        container.directory = places.word(wanted) if wanted != "/" else str(image.rootfs)
        container.here = places.word

    def find(self, name: str) -> tuple[Container, Rights | None]:
        try:
            return self._containers[name], self._of_task()
        except StartError:  # the role has gone
            return self._containers[name], None

    # -- while it runs
    def step(self) -> bool:
        """Look at everything once; True if the record has changed."""
        before = self._task["version"]
        for container in self._containers.values():
            container.poll()
            container.check()
            container.stream.send(ended=container.exit_code is not None)
        if self._task["desiredStatus"] == "RUNNING":
            self._start_ready()
            self._look_for_ends()
        self._show()
        if self._task["desiredStatus"] == "STOPPED":
            self._stop()
        return self._task["version"] != before

    def is_over(self) -> bool:
        ended = all(not one.running for one in self._containers.values())
        return ended and self._task["desiredStatus"] == "STOPPED"

    def _start_ready(self) -> None:
        for container in self._containers.values():
            if not container.launched and all(map(self._holds, container.definition.get("dependsOn") or [])):
                container.start()

    def _holds(self, needed: dict) -> bool:
        other, condition = self._containers[needed["containerName"]], needed["condition"]
        if condition == "START":
            return other.started
        if condition == "HEALTHY":
            return other.running and other.health.status == "HEALTHY"
        if condition == "SUCCESS" and other.exit_code:
            self._ask_to_stop(f"Container {other.name} exited with {other.exit_code}", "TaskFailedToStart")
        return other.exit_code is not None

    def _look_for_ends(self) -> None:
        for container in self._containers.values():
            if container.exit_code is None:
                continue
            if container.reason:
                self._ask_to_stop(container.reason, "TaskFailedToStart")
            elif container.essential:
                self._ask_to_stop(ESSENTIAL_ENDED, "EssentialContainerExited")

    def _stop(self) -> None:
        """In the reverse order: a container is asked when nothing that depends on it runs any more."""
        if self._task["lastStatus"] != "STOPPING":
            self._move("STOPPING", stoppingAt=self._task.get("stoppingAt") or now())
        for container in self._containers.values():
            dependents = [
                other
                for other in self._containers.values()
                if any(
                    one["containerName"] == container.name for one in other.definition.get("dependsOn") or []
                )
            ]
            if container.running and not any(other.running for other in dependents):
                container.stop()

    def _show(self) -> None:
        """Bring the record up to date."""
        changed = False
        for container in self._containers.values():
            record = self._record(container.name)
            status = "PENDING" if not container.started else "RUNNING" if container.running else "STOPPED"
            shown = {"lastStatus": status, "healthStatus": container.health.status}
            if container.exit_code is not None:
                shown["exitCode"] = container.exit_code
                reason = container.reason or container.told
                shown |= {"reason": reason} if reason else {}
            changed |= any(record.get(key) != value for key, value in shown.items())
            record.update(shown)
            if self._task["enableExecuteCommand"]:
                changed |= sessions.show(record, container.definition)
            if container.started:
                record.setdefault("runtimeId", tasks.runtime_id(self._task))
        health = self._health()
        if changed or health != self._task["healthStatus"]:
            self._task.update(healthStatus=health, version=self._task["version"] + 1)
        started = all(one.started for one in self._containers.values())
        if started and self._task["lastStatus"] == "PENDING" and self._task["desiredStatus"] == "RUNNING":
            self._move("RUNNING", startedAt=now(), connectivityAt=now())

    def _health(self) -> str:
        """That of the essential containers that have checks."""
        found = {
            one.health.status for one in self._containers.values() if one.essential and one.health.command
        }
        return next((word for word in ("UNHEALTHY", "UNKNOWN", "HEALTHY") if word in found), "UNKNOWN")

    # -- its end
    def end(self) -> None:
        if self.failed:
            self._ask_to_stop(self.failed, "TaskFailedToStart")
        containers.end_marked(self.folder)
        # The router's last: it may still say why a line could not be delivered.
        for container in sorted(self._containers.values(), key=self._is_router):
            container.poll()
            while container.stream.send(ended=True):
                pass
        self._show()
        if self._task["stopCode"] != "ServiceSchedulerInitiated":
            log.info("task %s stopped: %s", self._local["id"], self._task["stoppedReason"])
        for record in self._task["containers"]:
            record["lastStatus"] = "STOPPED"
        self._move("STOPPED", stoppedAt=now(), executionStoppedAt=now())
        self._task.setdefault("stoppingAt", self._task["stoppedAt"])
        containers.forget(self.folder)

    def _record(self, name: str) -> dict:
        return next(one for one in self._task["containers"] if one["name"] == name)

    def _move(self, status: str, **more: object) -> None:
        with self._store.lock:
            tasks.move(self._task, status, **more)
        self._runner._changed(self._task)

    def _ask_to_stop(self, reason: str, code: str) -> None:
        with self._store.lock:
            tasks.ask_to_stop(self._task, reason, code)
