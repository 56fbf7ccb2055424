"""Spot interruptions, which a test asks for: of a task on Fargate Spot, or of a Spot instance with its tasks.

docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-capacity-providers.html and container-instance-spot.html
"""

from __future__ import annotations

from ministack.core.responses import request_scope

from localcloud.ecs import tasks
from localcloud.ecs.scheduler import Scheduler
from localcloud.ecs.store import Store
from localcloud.fleet.ec2 import Fleet

CODE, REASON = "SpotInterruption", "Your Spot Task was interrupted."


def interrupt(store: Store, scheduler: Scheduler, fleet: Fleet, name: str) -> bool:
    """Take a task (by its id) or an instance away; False if there is no such Spot capacity.

    A task gets SIGTERM at once and SIGKILL after its `stopTimeout`, protected or not. An instance gets the notice, and
    is terminated two minutes later.
    """
    if name.startswith("i-"):
        return fleet.notice(name)
    for account, region, task in store.all_tasks():
        if task["local"]["id"] == name:
            on_spot = task.get("capacityProviderName") == "FARGATE_SPOT" and tasks.is_live(task)
            if on_spot:
                with request_scope(account, region), store.lock:
                    scheduler.stop(task, REASON, CODE)
            return on_spot
    return False
