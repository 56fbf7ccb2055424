"""The CodeDeploy_20141006 JSON API: each operation is in api_groups or api_deployments.

Runs on the event loop, so no operation waits; what takes time is the engine's.
"""

from __future__ import annotations

from localcloud.codedeploy.api_deployments import Deployments
from localcloud.codedeploy.api_groups import Groups
from localcloud.codedeploy.engine import Engine
from localcloud.codedeploy.store import Store
from localcloud.emulator.jsonapi import JsonApi

TARGET_PREFIX = "CodeDeploy_20141006"


class Service(JsonApi):
    """What ministack takes for a service module: request handling and state."""

    title = "CodeDeploy"

    def __init__(self, store: Store, engine: Engine) -> None:
        self.store = store
        self.groups = Groups(store)
        self.deployments = Deployments(store, engine)
        operations = {
            **self.groups.operations(),
            **self.deployments.operations(),
        }
        super().__init__(operations, store.lock)
        self.get_state = store.get_state
        self.load_persisted_state = store.load_persisted_state
        self.reset = store.reset
