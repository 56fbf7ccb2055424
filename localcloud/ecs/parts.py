"""Puts the parts of ECS together, and starts and ends them with the cloud."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from localcloud.base.paths import State
from localcloud.ecs import spot
from localcloud.ecs.agent import Agent
from localcloud.ecs.api import Service
from localcloud.ecs.asked import asked
from localcloud.ecs.docker import Docker
from localcloud.ecs.hosts import Hosts
from localcloud.ecs.images import Images
from localcloud.ecs.managed import Managed
from localcloud.ecs.runner import Runner
from localcloud.ecs.scaling import Scaling
from localcloud.ecs.scheduler import Scheduler
from localcloud.ecs.store import Store, tail
from localcloud.ecs.tasks import KEY_PREFIX, Addresses, component
from localcloud.ecs.traffic import Traffic
from localcloud.fleet.ec2 import Fleet
from localcloud.fleet.hostenv import HostEnv
from localcloud.iam.recording import Calls


class Ecs:
    def __init__(
        self,
        state: State,
        env: HostEnv,
        fleet: Fleet,
        changed: Callable[[], None],
        calls: Calls,
        runs: Docker | None,
    ) -> None:
        self.store = Store()
        self.runner = Runner(state.tasks, Images(state.images, env.python), self.store, env, runs)
        self._traffic = Traffic()
        hosts = Hosts(self.store, fleet)
        self.scheduler = Scheduler(
            self.store, self.runner, Addresses(state.root), self._traffic, changed, hosts,
            Managed(self.store, fleet, hosts),
        )  # fmt: skip
        self.service = Service(self.store, self.scheduler, self.runner.find)
        self.scaling = Scaling(self.service)
        self.agent = Agent(self.store, self.service, self.runner)
        self._fleet = fleet
        self._calls = calls
        self.runner.note = self._note
        calls.task_caller = self.caller
        calls.ecs_asked = partial(asked, self.store)

    def _note(self, task: dict, role: str, action: str, resource: str) -> None:
        caller = {"component": component(self.store, task), "profile": "", "role": role}
        context = {"ecs:cluster": task["clusterArn"]} if action.startswith("ecs:") else {}
        self._calls.note_task(caller, action, resource, context)

    def caller(self, key: str) -> dict[str, str] | None:
        """Who asks with an access key, if it is a task's."""
        task = self.store.by_key(key) if key.startswith(KEY_PREFIX) else None
        if task is None:
            return None
        return {"component": component(self.store, task), "profile": "", "role": tail(task["local"]["role"])}

    def interrupt(self, name: str) -> bool:
        """Take Spot capacity away: a task by its id, or an instance."""
        return spot.interrupt(self.store, self.scheduler, self._fleet, name)

    def kept(self) -> dict[str, Callable[[], Iterable[str]]]:
        """The names by which stacks know what is here, by resource type."""
        store = self.store
        return {
            "AWS::ECS::CapacityProvider": lambda: store.providers,
            "AWS::ECS::Cluster": lambda: [
                c["clusterName"] for c in store.clusters.values() if c["status"] == "ACTIVE"
            ],
            "AWS::ECS::Service": lambda: [
                s["serviceArn"] for s in store.services.values() if s["status"] == "ACTIVE"
            ],
            "AWS::ECS::TaskDefinition": lambda: [d["taskDefinitionArn"] for d in store.definitions.values()],
        }

    def boot(self) -> None:
        for service in self.store.all_services():
            if service["local"].pop("unfinished", False):
                service.update(status="DRAINING", desiredCount=0)
        self.runner.recover()
        self.scheduler.start()

    def close(self) -> None:
        self.scheduler.close()

    def end(self) -> None:
        self.scheduler.close()
        self._traffic.close()
