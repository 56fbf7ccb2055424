"""Spot capacity that is taken away: from tasks on Fargate Spot, and from Spot instances of a cluster."""

from __future__ import annotations

import urllib.error

import pytest

from localcloud.tests.conftest import RunningCloud, until
from localcloud.tests.ecskit import Place, make_place
from localcloud.tests.test_ecs_hosts import JOIN, Hosted

SPOT = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
BREAKER = {
    "deploymentCircuitBreaker": {
        "enable": True,
        "rollback": True,
        "thresholdConfiguration": {"type": "COUNT", "value": 3},
    }
}
PROVIDERS = {"capacityProviders": ["FARGATE", "FARGATE_SPOT"]}


@pytest.fixture
def place(cloud: RunningCloud, name: str) -> Place:
    return make_place(cloud, name, **PROVIDERS)


def interrupt(place: Place, name: str) -> int:
    return place.cloud.post(f"/_localcloud/interrupt/{name.rpartition('/')[2]}")


def test_an_interrupted_task_is_told_and_replaced_and_has_not_failed(place: Place) -> None:
    """Three times during a deployment whose breaker takes three failures."""
    never = {"command": ["CMD", "false"], "interval": 5, "startPeriod": 300}
    place.serve(
        place.define(place.container(command=["wait"], stopTimeout=60, healthCheck=never)),
        capacityProviderStrategy=SPOT,
        deploymentConfiguration=BREAKER,
    )
    seen: list[str] = []
    for _ in range(3):
        until(lambda: [one for one in place.tasks() if one not in seen], what="the next task")
        name = next(one for one in place.tasks() if one not in seen)
        until(lambda name=name: place.lines(name), what="it runs")
        place.ecs.update_task_protection(cluster=place.name, tasks=[name], protectionEnabled=True)
        assert interrupt(place, name) == 204
        task = place.wait(name)
        assert (task["stopCode"], task["stoppedReason"]) == (
            "SpotInterruption",
            "Your Spot Task was interrupted.",
        )
        assert task["containers"][0]["exitCode"] == 0  # it was asked to end, and did
        seen.append(name)
    until(lambda: place.tasks(), what="a fourth")
    assert (place.deployments()[0]["status"], place.service()["deployments"][0]["failedTasks"]) == (
        "IN_PROGRESS",
        0,
    )


def test_a_task_that_does_not_listen_is_killed_after_its_stop_timeout(place: Place) -> None:
    definition = place.define(place.container(command=["deaf"], stopTimeout=2))
    asked = {"cluster": place.name, "taskDefinition": definition, "networkConfiguration": place.network}
    name = place.ecs.run_task(**asked, capacityProviderStrategy=SPOT)["tasks"][0]["taskArn"]
    until(lambda: place.lines(name), what="it runs")
    interrupt(place, name)
    task = place.wait(name)
    assert (task["stopCode"], task["containers"][0]["exitCode"]) == ("SpotInterruption", 137)


def test_only_spot_is_taken_away(place: Place) -> None:
    name = place.run(place.define(place.container(command=["wait"])))
    with pytest.raises(urllib.error.HTTPError, match="404"):
        interrupt(place, name)
    place.ecs.stop_task(cluster=place.name, task=name)


def test_a_spot_instance_drains_on_its_notice(place: Place) -> None:
    hosted = Hosted(place, actions=JOIN, spot=True)
    place.serve(hosted.define(), capacityProviderStrategy=hosted.strategy())
    place.deployed()
    before = hosted.hosts()[0]
    first = place.tasks()[0]
    assert interrupt(place, before["ec2InstanceId"]) == 204
    until(lambda: [h["status"] for h in hosted.hosts()].count("DRAINING") == 1, what="it drains")
    assert place.wait(first)["stopCode"] == "ServiceSchedulerInitiated"
    moved = place.task(place.tasks()[0])
    assert moved["containerInstanceArn"] != before["containerInstanceArn"]
