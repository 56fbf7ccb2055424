"""The AmazonEC2ContainerServiceV20141113 JSON API: the operations are in api_*.

Runs on the event loop, so no operation waits; what takes time is the scheduler's and the runner's.
"""

from __future__ import annotations

from localcloud.ecs.api_clusters import Clusters
from localcloud.ecs.api_definitions import Definitions
from localcloud.ecs.api_hosts import ContainerInstances
from localcloud.ecs.api_services import Services
from localcloud.ecs.api_tasks import Tasks
from localcloud.ecs.scheduler import Scheduler
from localcloud.ecs.sessions import Find, Sessions
from localcloud.ecs.store import Store
from localcloud.emulator.jsonapi import JsonApi

TARGET_PREFIX = "AmazonEC2ContainerServiceV20141113"


class Service(JsonApi):
    """What ministack takes for a service module: request handling and state."""

    title = "ECS"

    def __init__(self, store: Store, scheduler: Scheduler, find: Find) -> None:
        self.store = store
        operations = {
            **Clusters(store).operations(),
            **ContainerInstances(store, scheduler).operations(),
            **Definitions(store).operations(),
            **Services(store, scheduler).operations(),
            **Tasks(store, scheduler).operations(),
            **Sessions(store, find).operations(),
        }
        super().__init__(operations, store.lock)
        self.get_state = store.get_state
        self.load_persisted_state = store.load_persisted_state
        self.reset = store.reset
