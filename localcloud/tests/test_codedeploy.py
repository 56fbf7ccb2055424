"""CodeDeploy end to end: real appspecs on real (directory) instances."""

from __future__ import annotations

import json
import os
import time
from itertools import pairwise

import pytest
from botocore.exceptions import ClientError

from localcloud.fleet.hostenv import access_key
from localcloud.tests.conftest import RunningCloud, until
from localcloud.tests.fleetkit import (
    UNTIL_GO,
    Site,
    appspec,
    make_site,
    revision,
    telling,
)

ORDER = ["ApplicationStop", "DownloadBundle", "BeforeInstall", "Install", "AfterInstall", "ApplicationStart",
         "ValidateService"]  # fmt: skip


@pytest.fixture(scope="module")
def site(cloud: RunningCloud) -> Site:
    """One instance shared by tests that deploy to it one after the other."""
    return make_site(cloud, f"site{time.monotonic_ns()}")


def script(body: str, event: str = "AfterInstall", timeout: int = 300) -> dict[str, str]:
    return {
        "appspec.yml": appspec({event: [{"location": "hooks/it", "timeout": timeout, "runas": "root"}]}),
        "hooks/it": "#!/bin/sh\n" + body,
    }


def test_order_scripts_of_which_revision_files_and_cleanup(cloud: RunningCloud, name: str) -> None:
    site = make_site(cloud, name)
    first = site.run(telling("one"))
    assert first["status"] == "Succeeded", first
    assert list(site.events(first["deploymentId"])) == ORDER
    for event in site.events(first["deploymentId"]).values():
        said = {"errorCode": "Success", "scriptName": "", "message": "Succeeded", "logTail": ""}
        assert (event["status"], event["diagnostics"]) == ("Succeeded", said), (
            "even with no script, even with output"
        )
    assert site.tale() == [
        f"{e} one" for e in ("BeforeInstall", "AfterInstall", "ApplicationStart", "ValidateService")
    ]
    assert (site.root() / "opt/app/one").read_text() == "one"
    (site.root() / "opt/app/mine").write_text("made by a script")
    second = site.run(telling("two"))
    assert second["status"] == "Succeeded"
    again = ("BeforeInstall", "AfterInstall", "ApplicationStart", "ValidateService")
    assert site.tale()[4:] == ["ApplicationStop one", *(f"{event} two" for event in again)]
    assert site.installed() == ["mine", "two"]
    assert second["previousRevision"] == first["revision"]
    assert second["deploymentOverview"]["Succeeded"] == 1
    group = site.api.get_deployment_group(applicationName=site.application, deploymentGroupName=site.deploy)
    assert group["deploymentGroupInfo"]["targetRevision"] == second["revision"]
    base = site.root() / "opt/codedeploy-agent/deployment-root"
    group_id = group["deploymentGroupInfo"]["deploymentGroupId"]
    assert (base / group_id / second["deploymentId"] / "deployment-archive/appspec.yml").exists()
    assert (
        (base / f"deployment-instructions/{group_id}_last_successful_install")
        .read_text()
        .endswith(second["deploymentId"])
    )


def test_environment_of_hooks(site: Site) -> None:
    done = site.run(script('env > "$DUCTWORK_HOST_ROOT/env"'))
    env = dict(line.split("=", 1) for line in (site.root() / "env").read_text().splitlines() if "=" in line)
    root = str(site.root())
    assert env["DUCTWORK_HOST_ROOT"] == root
    assert env["HOME"] == f"{root}/root" and env["PWD"] == root
    assert env["DUCTWORK_INIT"] == "supervisord"
    assert env["DUCTWORK_SUPERVISOR_CONF"] == f"{root}/etc/supervisord.conf"
    assert os.access(env["DUCTWORK_SUPERVISORCTL"], os.X_OK)
    assert env["AWS_ENDPOINT_URL"] == site.cloud.endpoint
    assert env["AWS_REGION"] == env["AWS_DEFAULT_REGION"] == "eu-central-1"
    assert (env["AWS_ACCESS_KEY_ID"], env["LANG"]) == (access_key(site.root().name), "C.UTF-8")
    assert env["AWS_EC2_METADATA_SERVICE_ENDPOINT"].endswith(f"/metadata/{site.root().name}")
    assert (env["DEPLOYMENT_ID"], env["LIFECYCLE_EVENT"]) == (done["deploymentId"], "AfterInstall")
    assert (env["APPLICATION_NAME"], env["DEPLOYMENT_GROUP_NAME"]) == (site.application, site.deploy)
    assert env["BUNDLE_BUCKET"] == site.bucket and env["BUNDLE_KEY"] and env["DEPLOYMENT_GROUP_ID"]
    assert "BUNDLE_VERSION" not in env and "BUNDLE_ETAG" not in env, "only if the revision names them"
    etag = site.cloud.client("s3").head_object(Bucket=site.bucket, Key=env["BUNDLE_KEY"])["ETag"]
    named = {"bucket": site.bucket, "key": env["BUNDLE_KEY"], "bundleType": "zip", "eTag": etag}
    assert site.run(location={"revisionType": "S3", "s3Location": named})["status"] == "Succeeded"
    assert f"BUNDLE_ETAG={etag}" in (site.root() / "env").read_text().splitlines()
    assert "PYTHONPATH" not in env and "PYTEST_CURRENT_TEST" not in env


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (script("echo good; echo bad >&2; exit 3"), "ScriptFailed", "failed with exit code 3"),
        (
            {"appspec.yml": appspec({"AfterInstall": [{"location": "hooks/none"}]})},
            "ScriptMissing",
            "does not exist",
        ),
        (script("sleep 3600", timeout=1), "ScriptTimedOut", "failed to complete in 1 seconds"),
        (script("sleep 3600 &", timeout=2), "UnknownError", "failed to close STDOUT"),
    ],
    ids=["exit-code", "missing", "timeout", "left-open"],
)
def test_failing_scripts(site: Site, content: dict, code: str, message: str) -> None:
    done = site.run(content)
    assert done["status"] == "Failed"
    assert done["errorInformation"]["code"] == "HEALTH_CONSTRAINTS"
    events = site.events(done["deploymentId"])
    diagnostics = events["AfterInstall"]["diagnostics"]
    assert events["AfterInstall"]["status"] == "Failed"
    assert diagnostics["errorCode"] == code
    assert message in diagnostics["message"]
    assert events["ApplicationStart"]["status"] == "Skipped"
    if code == "ScriptFailed":
        assert "[stdout]good" in diagnostics["logTail"] and "[stderr]bad" in diagnostics["logTail"]
        assert diagnostics["scriptName"] == "hooks/it"


def test_last_successful_install_is_the_last_installed_and_stop_failures_can_be_ignored(
    cloud: RunningCloud, name: str
) -> None:
    site = make_site(cloud, name)
    assert site.run(telling("one"))["status"] == "Succeeded"
    bad = telling("bad", {"hooks/tell": "#!/bin/sh\n[ $LIFECYCLE_EVENT = ApplicationStop ] && exit 9\n"
                          "[ $LIFECYCLE_EVENT = ValidateService ] && exit 8\nexit 0"})  # fmt: skip
    assert site.run(bad)["status"] == "Failed"
    # The trap of AWS: `bad` was installed, so its ApplicationStop is in the way of the next deployment …
    blocked = site.run(telling("three"))
    assert blocked["status"] == "Failed"
    assert site.events(blocked["deploymentId"])["ApplicationStop"]["status"] == "Failed"
    # … and this is the way out.
    through = site.run(telling("three"), ignoreApplicationStopFailures=True)
    assert through["status"] == "Succeeded", through
    assert site.events(through["deploymentId"])["ApplicationStop"]["status"] == "Failed"


def test_automatic_rollback_is_a_new_deployment_of_the_last_good(cloud: RunningCloud, name: str) -> None:
    rollback = {"Enabled": True, "Events": ["DEPLOYMENT_FAILURE"]}
    site = make_site(cloud, name, AutoRollbackConfiguration=rollback)
    first = site.run(script("exit 1"))
    assert first["status"] == "Failed" and "rollbackDeploymentId" not in first["rollbackInfo"]
    good = site.run(telling("good"))
    failed = site.run(
        telling("broken", {"hooks/tell": "#!/bin/sh\n[ $LIFECYCLE_EVENT != ApplicationStart ]"})
    )
    assert failed["status"] == "Failed"
    back = site.wait(failed["rollbackInfo"]["rollbackDeploymentId"])
    assert (back["status"], back["creator"]) == ("Succeeded", "codeDeployRollback")
    assert back["revision"] == good["revision"]
    assert back["rollbackInfo"]["rollbackTriggeringDeploymentId"] == failed["deploymentId"]
    assert site.installed() == ["good"]


def test_one_at_a_time_stops_at_the_first_failure_and_a_new_instance_gets_the_revision(
    cloud: RunningCloud, name: str
) -> None:
    site = make_site(cloud, name, 3, "CodeDeployDefault.OneAtATime")
    first = site.run(telling("one"))
    assert first["deploymentOverview"]["Succeeded"] == 3
    failed = site.run(script("exit 1"))
    assert failed["status"] == "Failed"
    overview = {key: count for key, count in failed["deploymentOverview"].items() if count}
    assert overview == {"Failed": 1, "Skipped": 2}
    before = set(site.instances())
    cloud.client("autoscaling").set_desired_capacity(AutoScalingGroupName=site.group, DesiredCapacity=4)
    until(lambda: len(site.instances()) == 4, what="the fourth instance")
    new = (set(site.instances()) - before).pop()
    assert (site.root(new) / "opt/app/one").exists()
    ids = site.api.list_deployments(applicationName=site.application, deploymentGroupName=site.deploy)[
        "deployments"
    ]
    assert site.info(ids[0])["creator"] == "autoscaling"
    group = site.api.get_deployment_group(applicationName=site.application, deploymentGroupName=site.deploy)
    last = group["deploymentGroupInfo"]["lastAttemptedDeployment"]
    assert last["deploymentId"] == ids[0], "a launch hides the failed attempt, as on AWS"
    second = site.run(telling("two"))
    assert second["deploymentOverview"]["Succeeded"] == 4
    starts = sorted(
        (e["BeforeInstall"]["startTime"], e["ValidateService"]["endTime"])
        for e in (site.events(second["deploymentId"], i) for i in site.instances())
    )
    unhealthy_first = starts[0][1] <= starts[1][0]
    assert unhealthy_first and all(a[1] <= b[0] for a, b in pairwise(starts))


def test_stop_with_rollback_and_one_deployment_at_a_time(cloud: RunningCloud, name: str) -> None:
    site = make_site(cloud, name)
    good = site.run(telling("good"))
    slow = site.begin(script(UNTIL_GO))
    until(lambda: site.api.list_deployment_targets(deploymentId=slow)["targetIds"], what="a target")
    until(lambda: site.events(slow)["AfterInstall"]["status"] == "InProgress", what="running")
    with pytest.raises(
        ClientError, match=r"DeploymentLimitExceededException.*already has an active Deployment"
    ):
        site.begin(telling("other"))
    assert site.api.stop_deployment(deploymentId=slow, autoRollbackEnabled=True)["status"] == "Pending"
    (site.root() / "go").touch()
    stopped = site.wait(slow)
    assert stopped["status"] == "Stopped"
    assert site.events(slow)["AfterInstall"]["status"] == "Succeeded"
    assert site.events(slow)["ValidateService"]["status"] == "Skipped"
    back = site.wait(stopped["rollbackInfo"]["rollbackDeploymentId"])
    assert back["revision"] == good["revision"]
    with pytest.raises(ClientError, match="DeploymentAlreadyCompletedException"):
        site.api.stop_deployment(deploymentId=slow)


@pytest.mark.parametrize("kind", ["tar", "tgz"])
def test_other_bundle_types_and_a_single_top_directory(site: Site, kind: str) -> None:
    data = revision(script("exit 0"), kind, top="release-1/")
    site.cloud.client("s3").put_object(Bucket=site.bucket, Key=f"r.{kind}", Body=data)
    location = {
        "revisionType": "S3",
        "s3Location": {"bucket": site.bucket, "key": f"r.{kind}", "bundleType": kind},
    }
    assert site.run(location=location)["status"] == "Succeeded"


def test_bundles_that_are_wrong(site: Site) -> None:
    wrong_etag = site.run(location=site.location(script("exit 0"), eTag="0" * 32))
    assert wrong_etag["errorInformation"]["code"] == "REVISION_MISSING"
    assert "etag" in wrong_etag["errorInformation"]["message"]
    site.cloud.client("s3").put_object(Bucket=site.bucket, Key="junk.zip", Body=b"no archive")
    junk = {
        "revisionType": "S3",
        "s3Location": {"bucket": site.bucket, "key": "junk.zip", "bundleType": "zip"},
    }
    done = site.run(location=junk)
    assert "zip archive" in site.events(done["deploymentId"])["DownloadBundle"]["diagnostics"]["message"]
    no_spec = site.run({"other": "x"})
    events = site.events(no_spec["deploymentId"])
    assert events["DownloadBundle"]["diagnostics"]["message"] == "appspec file is not found."


def test_files_that_exist_already(cloud: RunningCloud, name: str) -> None:
    site = make_site(cloud, name)
    taken = site.root() / "opt/app/word"
    taken.parent.mkdir(parents=True)
    taken.write_text("mine")
    refused = site.run(telling("word"))
    assert (
        "already exists at this location: /opt/app/word"
        in (site.events(refused["deploymentId"])["Install"]["diagnostics"]["message"])
    )
    assert site.run(telling("word"), fileExistsBehavior="RETAIN")["status"] == "Succeeded"
    assert taken.read_text() == "mine"
    assert site.run(telling("word", file_exists_behavior="OVERWRITE"), fileExistsBehavior="DISALLOW")[
        "status"
    ] == ("Succeeded")
    assert taken.read_text() == "word"


def test_permissions_and_retention(cloud: RunningCloud, name: str) -> None:
    site = make_site(cloud, name)
    rules = [
        {"object": "/opt/app", "pattern": "*.sh", "mode": "750", "type": ["file"]},
        {"object": "/opt", "pattern": "app", "mode": "700", "type": ["directory"]},
    ]
    first = site.run(telling("one", {"app/run.sh": "x"}, permissions=rules))
    assert first["status"] == "Succeeded", site.events(first["deploymentId"])
    assert (site.root() / "opt/app/run.sh").stat().st_mode & 0o777 == 0o750
    assert (site.root() / "opt/app").stat().st_mode & 0o777 == 0o700
    last = [site.run(telling(f"v{i}"))["deploymentId"] for i in range(7)]
    kept = {
        p.parent.name for p in site.root().glob("opt/codedeploy-agent/deployment-root/*/*/deployment-archive")
    }
    assert kept == set(last[-5:])


def test_errors_of_the_api(site: Site, name: str) -> None:
    api, missing = site.api, {"bucket": site.bucket, "key": "none.zip", "bundleType": "zip"}
    cases = [
        ("ApplicationDoesNotExistException", lambda: api.get_application(applicationName="none")),
        ("ApplicationAlreadyExistsException",
         lambda: api.create_application(applicationName=site.application)),
        ("InvalidDeploymentGroupNameException",
         lambda: api.get_deployment_group(applicationName=site.application, deploymentGroupName="no spaces")),
        ("DeploymentGroupDoesNotExistException",
         lambda: api.get_deployment_group(applicationName=site.application, deploymentGroupName="none")),
        ("DeploymentDoesNotExistException", lambda: api.get_deployment(deploymentId="d-AAAAAAAAA")),
        ("InvalidDeploymentIdException", lambda: api.get_deployment(deploymentId="x")),
        ("RevisionDoesNotExistException",
         lambda: site.begin(location={"revisionType": "S3", "s3Location": missing})),
        ("RevisionDoesNotExistException",
         lambda: api.get_application_revision(applicationName=site.application,
                                              revision={"revisionType": "S3", "s3Location": missing})),
        ("RevisionRequiredException",
         lambda: api.create_deployment(applicationName=site.application, deploymentGroupName=site.deploy)),
        ("DeploymentConfigDoesNotExistException",
         lambda: site.begin(script("exit 0"), deploymentConfigName="none")),
        ("InvalidMinimumHealthyHostValueException",
         lambda: api.create_deployment_config(deploymentConfigName=name,
                                              minimumHealthyHosts={"type": "FLEET_PERCENT", "value": 150})),
        ("InvalidNextTokenException", lambda: api.list_applications(nextToken="x")),
    ]  # fmt: skip
    for code, call in cases:
        with pytest.raises(ClientError) as caught:
            call()
        assert caught.value.response["Error"]["Code"] == code


def test_revisions_groups_configs_and_both_shapes_of_targets(
    cloud: RunningCloud, site: Site, name: str
) -> None:
    api = site.api
    location = site.location(script("exit 0"))
    api.register_application_revision(applicationName=site.application, revision=location, description="mine")
    found = api.get_application_revision(applicationName=site.application, revision=location)
    assert found["revisionInfo"]["description"] == "mine"
    assert location in api.list_application_revisions(applicationName=site.application)["revisions"]
    done = site.run(location=location, description="text")
    instance = site.instances()[0]
    assert api.list_deployment_targets(deploymentId=done["deploymentId"])["targetIds"] == [instance]
    assert api.list_deployment_instances(deploymentId=done["deploymentId"])["instancesList"] == [instance]
    batch = api.batch_get_deployment_targets(deploymentId=done["deploymentId"], targetIds=[instance])
    assert batch["deploymentTargets"][0]["instanceTarget"]["status"] == "Succeeded"
    old = api.batch_get_deployment_instances(deploymentId=done["deploymentId"], instanceIds=[instance])
    assert old["instancesSummary"][0]["status"] == "Succeeded"
    one = api.get_deployment_instance(deploymentId=done["deploymentId"], instanceId=instance)
    assert one["instanceSummary"]["lifecycleEvents"][0]["lifecycleEventName"] == "ApplicationStop"
    assert (
        api.list_deployments(
            applicationName=site.application,
            deploymentGroupName=site.deploy,
            includeOnlyStatuses=["Succeeded"],
        )["deployments"][0]
        == done["deploymentId"]
    )
    api.create_deployment_config(
        deploymentConfigName=name, minimumHealthyHosts={"type": "HOST_COUNT", "value": 1}
    )
    assert name in api.list_deployment_configs()["deploymentConfigsList"]
    too_many = site.run(script("exit 0"), deploymentConfigName=name)
    assert too_many["errorInformation"]["code"] in ("HEALTH_CONSTRAINTS_INVALID", "HEALTH_CONSTRAINTS")
    api.update_deployment_group(applicationName=site.application, currentDeploymentGroupName=site.deploy,
                                deploymentConfigName=name)  # fmt: skip
    with pytest.raises(ClientError, match="InUse"):
        api.delete_deployment_config(deploymentConfigName=name)
    api.update_deployment_group(applicationName=site.application, currentDeploymentGroupName=site.deploy,
                                deploymentConfigName="CodeDeployDefault.AllAtOnce")  # fmt: skip
    api.delete_deployment_config(deploymentConfigName=name)
    groups = api.batch_get_deployment_groups(
        applicationName=site.application, deploymentGroupNames=[site.deploy]
    )
    assert groups["deploymentGroupsInfo"][0]["autoScalingGroups"][0]["name"] == site.group
    assert json.dumps(groups, default=str)
