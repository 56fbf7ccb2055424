"""Auto Scaling groups and their instances: launch, scale, templates, and what a new instance gets."""

from __future__ import annotations

import base64
from pathlib import Path

from localcloud.tests.conftest import RunningCloud, Stacks, until
from localcloud.tests.fleetkit import OUTPUTS, UNTIL_GO, USER_DATA, make_site, resources, telling


def test_instances_are_launched_from_the_template(cloud: RunningCloud, name: str) -> None:
    site = make_site(cloud, name, 2)
    assert len(site.instances()) == 2
    env = site.root() / "etc" / "ductwork" / "host.env"
    assert env.read_text() == 'DUCTWORK_COMPONENTS="scheduler"\n'
    assert env.stat().st_mode & 0o777 == 0o640
    assert not (site.root() / "never").exists()
    assert "skipped runcmd" in (site.root() / "var/log/cloud-init.log").read_text()
    asg = cloud.client("autoscaling")
    roots = [site.root(i) for i in site.instances()]
    asg.set_desired_capacity(AutoScalingGroupName=site.group, DesiredCapacity=1)
    until(lambda: sum(root.exists() for root in roots) == 1, what="one directory is gone")
    assert len(site.instances()) == 1
    asg.set_desired_capacity(AutoScalingGroupName=site.group, DesiredCapacity=2)
    until(lambda: len(site.instances()) == 2, what="two instances in service")
    cloud.client("s3").delete_bucket(Bucket=site.bucket)
    assert Stacks(cloud).delete(name) == "DELETE_COMPLETE"
    assert not any(root.exists() for root in roots)
    assert not [p for p in cloud.processes() if _root_of(p.pid) in map(str, roots)]


def _root_of(pid: int) -> str:
    try:
        environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    return next((e.split(b"=", 1)[1].decode() for e in environ if e.startswith(b"DUCTWORK_HOST_ROOT=")), "")


def test_template_versions_and_rolling_updates(cloud: RunningCloud, name: str) -> None:
    stacks = Stacks(cloud)
    site = make_site(cloud, name, 2)
    assert site.run(telling("word"))["status"] == "Succeeded"
    before = site.instances()
    parts = resources(2)
    changed = base64.b64encode(USER_DATA.replace("scheduler", "worker").encode()).decode()
    parts["Template"]["Properties"]["LaunchTemplateData"]["UserData"] = changed
    stacks.updated(name, parts, OUTPUTS)
    assert site.instances() == before, "without an update policy, only new instances get the new version"
    del parts["Group"]["Properties"]["DesiredCapacity"]
    cloud.client("autoscaling").set_desired_capacity(AutoScalingGroupName=site.group, DesiredCapacity=3)
    until(lambda: len(site.instances()) == 3, what="the third instance")
    parts["Group"]["UpdatePolicy"] = {"AutoScalingRollingUpdate": {"MinInstancesInService": 1}}
    parts["Group"]["Properties"]["MaxSize"] = "9"
    stacks.updated(name, parts, OUTPUTS)
    after = site.instances()
    assert len(after) == 3 and not set(after) & set(before), (
        "capacity is kept, outdated instances are replaced"
    )
    for instance in after:
        assert "worker" in (site.root(instance) / "etc/ductwork/host.env").read_text()
        assert (site.root(instance) / "opt/app/word").exists()


def test_a_group_that_cannot_be_made_leaves_nothing(cloud: RunningCloud, name: str) -> None:
    stacks = Stacks(cloud)
    parts = resources(1)
    bad = base64.b64encode(b"#cloud-config\nwrite_files: [{path: relative}]\n").decode()
    parts["Template"]["Properties"]["LaunchTemplateData"]["UserData"] = bad
    stack = stacks.create(name, parts, OUTPUTS)
    assert stacks.settle(stack) == "ROLLBACK_COMPLETE"
    assert any("did not stabilize" in reason for reason in stacks.reasons(stack))
    groups = cloud.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    assert not [g for g in groups if g["AutoScalingGroupName"].startswith(name)]


def test_an_instance_that_comes_during_a_deployment_is_updated_after_it(
    cloud: RunningCloud, name: str
) -> None:
    site = make_site(cloud, name)
    assert site.run(telling("one"))["status"] == "Succeeded"
    slow = {
        **telling("two"),
        "hooks/tell": f"#!/bin/sh\n[ $LIFECYCLE_EVENT = AfterInstall ] || exit 0\n{UNTIL_GO}",
    }
    running = site.begin(slow)
    until(lambda: site.api.list_deployment_targets(deploymentId=running)["targetIds"], what="a target")
    cloud.client("autoscaling").set_desired_capacity(AutoScalingGroupName=site.group, DesiredCapacity=2)
    until(lambda: len(site.instances()) == 2, what="two instances")
    for instance in site.instances():
        (site.root(instance) / "go").touch()
    assert site.wait(running)["deploymentOverview"]["Succeeded"] == 1
    until(lambda: all((site.root(i) / "opt/app/two").exists() for i in site.instances()), what="both updated")
    ids = site.api.list_deployments(applicationName=site.application, deploymentGroupName=site.deploy)[
        "deployments"
    ]
    assert {site.info(i)["creator"] for i in ids} == {"user", "autoscaling", "CodeDeployAutoUpdate"}


def test_a_deployment_to_an_empty_group_fails(cloud: RunningCloud, name: str) -> None:
    site = make_site(cloud, name, 0)
    info = site.run(telling("one"))
    assert (info["status"], info["errorInformation"]["code"]) == ("Failed", "NO_INSTANCES")
