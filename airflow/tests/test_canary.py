"""The election of a canary in the hooks, with a real S3; sleeping is where somebody else does something."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from conftest import AIRFLOW, REGION
from hostkit import Host, temporary_root
from test_keeper import Cloud

from ductwork_airflow import contract
from ductwork_airflow.hosts import canary

REVISION, OTHER = "hosts/new.zip", "hosts/old.zip"
NOTICE = "environments/test/canaries/default.json"


class Election:
    """What the release tool writes, and hosts that ask."""

    def __init__(self, s3: Any, name: str) -> None:
        self.s3, self.name, self.now = s3, name, 0.0
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        env = {
            "DUCTWORK_ENVIRONMENT": "test",
            "DUCTWORK_WORKER_SET": "default",
            "DUCTWORK_ARTIFACT_BUCKET": name,
        }
        self.bucket = canary.Bucket(env, s3)
        self.slept: list[float] = []

    def notice(
        self, verdict: str | None = None, token: str = "01", revision: str = REVISION, why: str = ""
    ) -> None:
        notice = {
            "revision": revision, "token": token, "wait_seconds": 120, "verdict": verdict, "why": why,
        }  # fmt: skip
        self.s3.put_object(Bucket=self.name, Key=NOTICE, Body=json.dumps(notice))

    def asks(self, host: str, meanwhile: Callable[[], None] = lambda: None) -> str | None:
        def sleep(seconds: float) -> None:
            self.now += seconds
            self.slept.append(seconds)
            meanwhile()

        return canary.refusal(self.bucket, REVISION, host, clock=lambda: self.now, sleep=sleep)

    def claims(self) -> list[str]:
        listed = self.s3.list_objects_v2(Bucket=self.name, Prefix="receipts/test/claims/").get("Contents", [])
        return [one["Key"] for one in listed]


@pytest.fixture
def election(s3, request):
    return Election(s3, f"canary-{os.getpid()}-{abs(hash(request.node.name)) % 10**8}")


class TestWhoWaits:
    def test_the_first_that_asks_goes_on_and_the_others_when_it_is_proven(self, election):
        election.notice()
        assert election.asks("i-1") is None
        assert election.slept == [] and election.claims() == [contract.claim_key("test", "01")]
        said: list[str] = []

        def proven() -> None:
            said.append("another look")
            if len(said) == 3:
                election.notice("go")

        assert election.asks("i-2", proven) is None
        assert len(said) == 3, "it waited for the word, and no longer"
        assert election.asks("i-1") is None, "its second hook"
        assert len(election.claims()) == 1

    def test_the_others_keep_what_they_have_when_it_is_bad(self, election):
        election.notice()
        assert election.asks("i-1") is None
        why = election.asks("i-2", lambda: election.notice("no", why="its tasks failed"))
        assert why == "this host keeps its revision: its tasks failed"
        assert election.asks("i-3") == why, "one whose turn comes later does not even wait"
        assert election.slept == [canary.LOOK_SECONDS]

    @pytest.mark.parametrize(
        "notice",
        [None, {"revision": OTHER}, {"revision": OTHER, "verdict": "no"}, {"verdict": "go"}],
        ids=["none", "of another revision", "a bad other revision", "proven"],
    )
    def test_hosts_that_have_nobody_to_wait_for_go_on_at_once(self, election, notice):
        if notice is not None:
            election.notice(**notice)
        assert election.asks("i-1") is None and election.slept == []
        assert election.claims() == [], "nor do they become one"


class TestWithoutTheTool:
    def test_nobody_waits_for_a_word_for_ever(self, election):
        election.notice()
        election.asks("i-1")
        assert election.asks("i-2") == "no word about the canary within 2 minutes. Deploy again"
        assert 120 < election.now < 130

    def test_a_notice_that_is_not_renewed_is_abandoned(self, election, monkeypatch):
        election.notice()
        election.asks("i-1")
        age = [canary.ABANDONED_SECONDS - 1]
        read = election.bucket.notice
        monkeypatch.setattr(election.bucket, "notice", lambda: dataclasses.replace(read(), age=age[0]))

        def ages() -> None:
            age[0] += 1

        assert "the release tool has ended" in str(election.asks("i-2", ages))
        assert len(election.slept) == 2
        assert "the release tool has ended" in str(election.asks("i-1")), "nor does one become a canary then"

    def test_the_age_is_told_by_the_clock_of_s3(self, election):
        election.notice()
        assert 0 <= election.bucket.notice().age < 60

    def test_another_deployment_ends_the_wait_for_this_one(self, election):
        election.notice()
        election.asks("i-1")
        why = election.asks("i-2", lambda: election.notice(token="02"))
        assert why == "another deployment has taken the place of the one that changes this host"


class Faulty:
    """An S3 whose reads fail for a while."""

    def __init__(self, s3: Any, fails: int) -> None:
        self.s3, self.fails, self.exceptions = s3, fails, s3.exceptions

    def get_object(self, **words: Any) -> Any:
        self.fails -= 1
        if self.fails >= 0:
            raise ClientError({"Error": {"Code": "SlowDown", "Message": "m"}}, "GetObject")
        return self.s3.get_object(**words)

    def put_object(self, **words: Any) -> Any:
        return self.s3.put_object(**words)


def test_faults_of_s3_are_borne_for_minutes(election):
    election.notice("go")
    s3 = election.s3
    election.bucket.s3 = Faulty(s3, 5)
    assert election.asks("i-1") is None and len(election.slept) == 5
    election.bucket.s3 = Faulty(s3, 10**6)
    with pytest.raises(ClientError):
        election.asks("i-1")
    assert election.now >= canary.FAULTS_SECONDS


@pytest.fixture
def cloud():
    made = Cloud()
    yield made
    made.server.shutdown()


class TestTheProgram:
    """As a hook calls it."""

    def run(self, root, cloud, s3, bucket: str, revision: str = REVISION, worker_set: str = "default"):
        (root / "etc/ductwork").mkdir(parents=True, exist_ok=True)
        (root / "etc/ductwork/airflow.env").write_text(
            f"DUCTWORK_ENVIRONMENT=test\nDUCTWORK_WORKER_SET={worker_set}\nDUCTWORK_ARTIFACT_BUCKET={bucket}\n"
            f"AWS_REGION={REGION}\n"
        )
        env = {name: os.environ[name] for name in ("PATH", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        env |= {
            "AWS_ENDPOINT_URL": s3.meta.endpoint_url,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"{cloud.endpoint}/metadata",
            "BUNDLE_KEY": revision,
            "DUCTWORK_HOST_ROOT": str(root),
            "PYTHONPATH": str(AIRFLOW),
        }
        command = [sys.executable, "-m", "ductwork_airflow.hosts.canary"]
        return subprocess.run(command, env=env, capture_output=True, text=True)

    def test_its_code_says_whether_the_host_may_be_changed(self, election, cloud, s3, tmp_path):
        assert self.run(tmp_path, cloud, s3, election.name).returncode == 0, "there is no notice"
        election.notice()
        done = self.run(tmp_path, cloud, s3, election.name)
        assert (done.returncode, done.stderr) == (0, "this host is the canary\n")
        claim = s3.get_object(Bucket=election.name, Key=contract.claim_key("test", "01"))["Body"].read()
        assert json.loads(claim) == {"host": "i-1"}
        election.notice("no", why="its tasks failed")
        done = self.run(tmp_path, cloud, s3, election.name)
        assert (done.returncode, done.stderr) == (4, "this host keeps its revision: its tasks failed\n")
        for words in ({"revision": ""}, {"worker_set": ""}, {"revision": OTHER}):
            assert self.run(tmp_path, cloud, s3, election.name, **words).returncode == 0


class TestTheHooks:
    """Of a host that has a worker, with a Python that ends as it is told."""

    @pytest.fixture
    def host(self):
        with temporary_root() as root:
            host = Host(root, components="worker")
            supervisord = host.boot()
            host.download()
            (root / "etc/supervisor.d/ductwork-worker.conf").write_text(
                "[program:ductwork-worker]\ncommand=sleep 3600\nautostart=false\n"
            )
            assert host.svc("start", "worker").returncode == 0
            yield host
            supervisord.terminate()
            supervisord.wait(120)

    def python(self, host: Host, code: int) -> None:
        file = host.root / "opt/ductwork/venv/bin/python"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f'#!/bin/sh\n[ "$2" != ductwork_airflow.hosts.canary ] || exit {code}\n')
        file.chmod(0o755)

    def runs(self, host: Host) -> bool:
        return host.svc("status", "worker").returncode == 0

    @pytest.mark.parametrize("hook", ["application_stop", "before_install"])
    def test_the_worker_goes_on_if_the_host_must_not_be_changed(self, host, hook):
        self.python(host, 4)
        assert host.hook(hook).returncode == 1
        assert self.runs(host)

    @pytest.mark.parametrize("hook", ["application_stop", "before_install"])
    @pytest.mark.parametrize("code", [0, 1, 127])
    def test_and_ends_otherwise(self, host, hook, code):
        self.python(host, code)
        assert host.hook(hook).returncode == 0
        assert not self.runs(host)

    def test_a_host_whose_worker_does_not_run_asks_nobody(self, host):
        """Such as one that was launched: no notice keeps it from getting its revision."""
        assert host.svc("stop", "worker").returncode == 0
        self.python(host, 4)
        assert host.hook("before_install").returncode == 0
