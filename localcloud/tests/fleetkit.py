"""Helpers for tests with instances: a stack with a group and CodeDeploy, and revisions made on the spot."""

from __future__ import annotations

import base64
import io
import json
import tarfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

from localcloud.tests.conftest import RunningCloud, Stacks, until

USER_DATA = """#cloud-config
packages: [git]
write_files:
  - path: /etc/ductwork/host.env
    permissions: "0640"
    content: |
      DUCTWORK_COMPONENTS="scheduler"
runcmd:
  - touch /never
"""
# A hook's body that lasts until the test touches /go of its instance.
UNTIL_GO = 'while [ ! -e "$DUCTWORK_HOST_ROOT/go" ]; do sleep 0.05; done\n'
TALE = """#!/bin/sh
echo "$LIFECYCLE_EVENT %s" >> "$DUCTWORK_HOST_ROOT/tale"
"""


def resources(capacity: int, config: str = "CodeDeployDefault.AllAtOnce", **group: object) -> dict:
    return {
        "Template": {
            "Type": "AWS::EC2::LaunchTemplate",
            "Properties": {"LaunchTemplateData": {"UserData": base64.b64encode(USER_DATA.encode()).decode()}},
        },
        "Group": {
            "Type": "AWS::AutoScaling::AutoScalingGroup",
            "Properties": {
                "MinSize": "0",
                "MaxSize": "10",
                "DesiredCapacity": str(capacity),
                "LaunchTemplate": {
                    "LaunchTemplateId": {"Ref": "Template"},
                    "Version": {"Fn::GetAtt": ["Template", "LatestVersionNumber"]},
                },
            },
        },
        "Application": {"Type": "AWS::CodeDeploy::Application"},
        "Deploy": {
            "Type": "AWS::CodeDeploy::DeploymentGroup",
            "Properties": {
                "ApplicationName": {"Ref": "Application"},
                "ServiceRoleArn": "arn:aws:iam::000000000000:role/deploy",
                "AutoScalingGroups": [{"Ref": "Group"}],
                "DeploymentConfigName": config,
                **group,
            },
        },
        "Bucket": {"Type": "AWS::S3::Bucket"},
    }


OUTPUTS = {key: {"Ref": key} for key in ("Group", "Application", "Deploy", "Bucket", "Template")}


def revision(files: dict[str, str | tuple[str, int]], kind: str = "zip", top: str = "") -> bytes:
    """An archive; a value is the text, or text and mode. Files under hooks/ are executable."""
    raw = io.BytesIO()
    modes = {name: 0o755 if name.startswith("hooks/") else 0o644 for name in files}
    entries = [
        (top + name, *(value if isinstance(value, tuple) else (value, modes[name])))
        for name, value in files.items()
    ]
    if kind == "zip":
        with zipfile.ZipFile(raw, "w") as bundle:
            for name, text, mode in entries:
                info = zipfile.ZipInfo(name)
                info.external_attr = (0o100000 | mode) << 16
                bundle.writestr(info, text)
    else:
        with tarfile.open(fileobj=raw, mode="w:gz" if kind == "tgz" else "w") as bundle:
            for name, text, mode in entries:
                info = tarfile.TarInfo(name)
                info.size, info.mode = len(text.encode()), mode
                bundle.addfile(info, io.BytesIO(text.encode()))
    return raw.getvalue()


def appspec(hooks: dict[str, list[dict]], files: list[dict] | None = None, **more: object) -> str:
    return json.dumps({"version": 0.0, "os": "linux", "files": files or [], "hooks": hooks, **more})


def telling(
    word: str, extra: dict[str, str] | None = None, seconds: int = 300, **spec: object
) -> dict[str, str]:
    """A revision whose every hook writes a line into /tale and that installs /opt/app/word."""
    events = ("ApplicationStop", "BeforeInstall", "AfterInstall", "ApplicationStart", "ValidateService")
    hooks = {event: [{"location": "hooks/tell", "timeout": seconds}] for event in events}
    files = [{"source": "app", "destination": "/opt/app"}]
    return {
        "appspec.yml": appspec(hooks, files, **spec),
        "hooks/tell": TALE % word,
        f"app/{word}": word,
        **(extra or {}),
    }


@dataclass
class Site:
    """A made stack with a group of instances and CodeDeploy."""

    cloud: RunningCloud
    stack: str
    group: str
    application: str
    deploy: str
    bucket: str

    @property
    def api(self):
        return self.cloud.client("codedeploy")

    def location(self, content: dict, kind: str = "zip", key: str = "", **more: str) -> dict:
        data = revision(content, kind)
        key = key or f"r{time.monotonic_ns()}.{kind}"
        self.cloud.client("s3").put_object(Bucket=self.bucket, Key=key, Body=data)
        return {
            "revisionType": "S3",
            "s3Location": {"bucket": self.bucket, "key": key, "bundleType": kind, **more},
        }

    def begin(self, content: dict | None = None, location: dict | None = None, **options: object) -> str:
        return self.api.create_deployment(
            applicationName=self.application,
            deploymentGroupName=self.deploy,
            revision=location or self.location(content or {}),
            **options,
        )["deploymentId"]

    def info(self, deployment: str) -> dict:
        return self.api.get_deployment(deploymentId=deployment)["deploymentInfo"]

    def wait(self, deployment: str) -> dict:
        until(lambda: self.info(deployment)["status"] in ("Succeeded", "Failed", "Stopped"), what="ended")
        return self.info(deployment)

    def run(self, content: dict | None = None, **options: object) -> dict:
        return self.wait(self.begin(content, **options))

    def instances(self) -> list[str]:
        groups = self.cloud.client("autoscaling").describe_auto_scaling_groups(
            AutoScalingGroupNames=[self.group]
        )
        return [
            i["InstanceId"]
            for i in groups["AutoScalingGroups"][0]["Instances"]
            if i["LifecycleState"] == "InService"
        ]

    def root(self, instance: str = "") -> Path:
        return self.cloud.state / "instances" / (instance or self.instances()[0])

    def installed(self) -> list[str]:
        """The names in /opt/app."""
        return sorted(path.name for path in (self.root() / "opt/app").iterdir())

    def tale(self, instance: str = "") -> list[str]:
        file = self.root(instance) / "tale"
        return file.read_text().splitlines() if file.exists() else []

    def events(self, deployment: str, instance: str = "") -> dict[str, dict]:
        target = self.api.get_deployment_target(
            deploymentId=deployment, targetId=instance or self.instances()[0]
        )
        found = target["deploymentTarget"]["instanceTarget"]["lifecycleEvents"]
        return {event["lifecycleEventName"]: event for event in found}


def make_site(cloud: RunningCloud, name: str, capacity: int = 1, config: str = "CodeDeployDefault.AllAtOnce",
              **group: object) -> Site:  # fmt: skip
    out = Stacks(cloud).made(name, resources(capacity, config, **group), OUTPUTS)
    return Site(cloud, name, out["Group"], out["Application"], out["Deploy"], out["Bucket"])
