"""What Auto Scaling and the clock may do to a deployment that runs."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud.codedeploy.agent import COMMANDS
from localcloud.tests.conftest import RunningCloud, Stacks, until
from localcloud.tests.fleetkit import UNTIL_GO, Site, appspec, make_site, telling

SUSPEND = {"AutoScalingGroupProcessesToSuspend": ["AZRebalance", "Terminate"]}
HELD = {
    "appspec.yml": appspec({"AfterInstall": [{"location": "hooks/it", "timeout": 300, "runas": "root"}]}),
    "hooks/it": "#!/bin/sh\n" + UNTIL_GO,
}


def statuses(site: Site, deployment: str) -> list[str]:
    ids = site.api.list_deployment_targets(deploymentId=deployment)["targetIds"]
    targets = [site.api.get_deployment_target(deploymentId=deployment, targetId=name) for name in ids]
    return sorted(target["deploymentTarget"]["instanceTarget"]["status"] for target in targets)


def scaled_in_meanwhile(site: Site) -> tuple[str, list[Path]]:
    """A deployment that is held in a hook on both hosts while the group is told to have one; answers their folders."""
    roots = [site.root(name) for name in site.instances()]
    deployment = site.begin(HELD)
    until(lambda: all(any(root.rglob("scripts.log")) for root in roots), what="the hooks")
    site.cloud.client("autoscaling").set_desired_capacity(AutoScalingGroupName=site.group, DesiredCapacity=1)
    return deployment, roots


def suspended(site: Site) -> list[str]:
    groups = site.cloud.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[site.group])
    return sorted(process["ProcessName"] for process in groups["AutoScalingGroups"][0]["SuspendedProcesses"])


def refused(cloud: RunningCloud, operation: str, body: dict) -> str:
    """Why; by hand, since the option is newer than the SDK."""
    headers = {
        "X-Amz-Target": f"CodeDeploy_20141006.{operation}",
        "Content-Type": "application/x-amz-json-1.1",
        "Authorization": "AWS4-HMAC-SHA256 Credential=local/20260101/eu-central-1/codedeploy/aws4_request, "
        "SignedHeaders=host, Signature=0",
    }
    request = urllib.request.Request(cloud.endpoint + "/", json.dumps(body).encode(), headers)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    return str(json.load(caught.value)["__type"])


def test_scale_in_takes_a_host_in_the_middle_of_its_rollout(cloud: RunningCloud, name: str) -> None:
    site = make_site(cloud, name, 2)
    deployment, _ = scaled_in_meanwhile(site)
    until(lambda: "Failed" in statuses(site, deployment), what="the lost host")
    (site.root() / "go").touch()
    site.wait(deployment)
    assert statuses(site, deployment) == ["Failed", "Succeeded"]


def test_scale_in_waits_for_a_rollout_that_suspends_it(cloud: RunningCloud, name: str) -> None:
    site = make_site(cloud, name, 2, Ec2DeploymentOptions=SUSPEND)
    assert suspended(site) == []
    deployment, roots = scaled_in_meanwhile(site)
    assert suspended(site) == ["AZRebalance", "Terminate"]
    for root in roots:
        (root / "go").touch()
    assert site.wait(deployment)["status"] == "Succeeded"
    assert statuses(site, deployment) == ["Succeeded", "Succeeded"]
    until(lambda: len(site.instances()) == 1, what="the scale-in that was held back")
    assert suspended(site) == []


def test_processes_that_cannot_be_suspended(cloud: RunningCloud, name: str) -> None:
    site = make_site(cloud, name)
    for processes in (["Launch"], ["terminate"]):
        body = {
            "applicationName": site.application,
            "currentDeploymentGroupName": site.deploy,
            "ec2DeploymentOptions": {"autoScalingGroupProcessesToSuspend": processes},
        }
        assert (
            refused(cloud, "UpdateDeploymentGroup", body)
            == "InvalidAutoScalingGroupProcessToSuspendException"
        )
    scaling = cloud.client("autoscaling")
    scaling.suspend_processes(AutoScalingGroupName=site.group, ScalingProcesses=["Terminate", "Launch"])
    assert suspended(site) == ["Launch", "Terminate"]
    assert site.run(telling("one"))["status"] == "Succeeded"
    assert suspended(site) == ["Launch", "Terminate"], "somebody else's"
    scaling.resume_processes(AutoScalingGroupName=site.group)
    assert suspended(site) == []


@pytest.fixture
def hasty(tmp_path: Path) -> Iterator[RunningCloud]:
    """A cloud in which a deployment may take a second."""
    running = RunningCloud(tmp_path / "local").start("--deployment-hours", str(1 / 3600))
    yield running
    running.stop()


def test_a_deployment_ends_when_its_time_is_up(hasty: RunningCloud, name: str) -> None:
    site = make_site(hasty, name)
    root = site.root()
    deployment = site.begin(HELD)
    until(
        lambda: time.time() > site.info(deployment)["startTime"].timestamp() + 1.5, what="the end of its time"
    )
    (root / "go").touch()
    ended = site.wait(deployment)
    assert (ended["status"], ended["errorInformation"]["code"]) == ("Failed", "TIMEOUT")
    assert site.events(deployment)["ValidateService"]["status"] == "Skipped"


def test_an_agent_that_authorizes_itself_needs_its_hosts_role(cloud: RunningCloud, name: str) -> None:
    """By way of an interface endpoint, which only such an agent uses."""
    site = make_site(cloud, name)
    settings = site.root() / "etc/codedeploy-agent/conf/codedeployagent.yml"
    settings.parent.mkdir(parents=True)

    def asked() -> set[str]:
        records = map(json.loads, (cloud.state / "calls.jsonl").read_text().splitlines())
        return {r["action"] for r in records if r["component"] == site.group and "secure" in r["action"]}

    settings.write_text(":enable_auth_policy: false\n")
    site.run(telling("one"))
    assert asked() == set()
    settings.write_text(":enable_auth_policy: true\n")
    site.run(telling("two"))
    assert asked() == set(COMMANDS)


def test_a_suspended_termination_holds_up_the_deletion_of_the_stack(cloud: RunningCloud, name: str) -> None:
    """As on AWS, where a rollout that goes on, or could not be ended properly, leaves it suspended."""
    site = make_site(cloud, name)
    scaling, stacks = cloud.client("autoscaling"), Stacks(cloud)
    scaling.suspend_processes(AutoScalingGroupName=site.group, ScalingProcesses=["Terminate"])
    stack = stacks.api.describe_stacks(StackName=name)["Stacks"][0]["StackId"]
    stacks.api.delete_stack(StackName=name)

    def group() -> dict:
        found = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[site.group])
        return found["AutoScalingGroups"][0]

    until(lambda: group()["DesiredCapacity"] == 0, what="the deletion of the group")
    assert [i["LifecycleState"] for i in group()["Instances"]] == ["InService"]
    assert stacks.status(stack) == "DELETE_IN_PROGRESS"
    scaling.resume_processes(AutoScalingGroupName=site.group)
    assert stacks.settle(stack) == "DELETE_COMPLETE"
