"""Loss reports: what is left where, and that nothing of it stops the end of a worker."""

from __future__ import annotations

import json
import logging

import pytest

from ductwork_airflow.hosts import database, drain, losses

ENV = {
    "DUCTWORK_ARTIFACT_BUCKET": "artifacts",
    "DUCTWORK_ENVIRONMENT": "dev",
    "DUCTWORK_WORKER_SET": "big",
    "DUCTWORK_REVISION": "ab" * 32,
    "AWS_REGION": "eu-central-1",
}
TASK = losses.Task("etl", "manual__1", "load", 3, 2)


class S3:
    """Keeps what it is sent, or refuses it."""

    def __init__(self, refusal: str = "") -> None:
        self.sent: list[dict] = []
        self.refusal = refusal

    def put_object(self, **words) -> None:
        if self.refusal:
            raise RuntimeError(self.refusal)
        self.sent.append(words)


def test_a_report_names_each_task():
    s3 = S3()
    key = losses.leave(ENV, "ip-10-0-0-1.internal", "rollout", [TASK], s3=s3)
    assert key is not None
    (sent,) = s3.sent
    assert (sent["Bucket"], sent["Key"]) == ("artifacts", key)
    assert key.startswith("environments/dev/drains/2")
    assert "-ip-10-0-0-1.internal-" in key
    body = json.loads(sent["Body"])
    assert body.pop("at").endswith("Z")
    assert body == {
        "host": "ip-10-0-0-1.internal",
        "worker_set": "big",
        "revision": "ab" * 32,
        "why": "rollout",
        "tasks": [
            {"dag_id": "etl", "run_id": "manual__1", "task_id": "load", "map_index": 3, "try_number": 2}
        ],
        "unknown": None,
    }
    assert str(TASK) == "etl manual__1 load[3] (try 2)"


def test_there_is_none_without_a_loss_or_before_the_settings_know_of_it():
    s3 = S3()
    assert losses.leave(ENV, "h", "rollout", [], s3=s3) is None
    assert losses.leave({"AWS_REGION": "r"}, "h", "rollout", [TASK], s3=s3) is None
    assert s3.sent == []


def test_a_bucket_that_refuses_is_logged_and_no_more(caplog):
    caplog.set_level(logging.WARNING, "ductwork")
    assert losses.leave(ENV, "h", "rollout", [TASK], s3=S3("AccessDenied")) is None
    assert "no loss report could be left at environments/dev/drains/" in caplog.text
    assert "AccessDenied" in caplog.text


@pytest.fixture
def left(monkeypatch) -> S3:
    """What drain.py leaves."""
    s3 = S3()
    monkeypatch.setattr(losses, "client", lambda region: s3)
    return s3


def test_a_database_that_is_away_is_told(left, monkeypatch):
    def away(*_: object, **__: object) -> None:
        raise OSError("no route to p@ssword")

    monkeypatch.setattr(database, "open_url", away)
    assert drain.tell(ENV, "rollout", lambda connection: [], "postgresql://x") is None
    body = json.loads(left.sent[0]["Body"])
    assert (body["tasks"], body["unknown"]) == ([], "the database did not answer (OSError)")


def test_what_is_found_is_left(left, monkeypatch):
    class Connection:
        def __enter__(self) -> Connection:
            return self

        def __exit__(self, *_: object) -> None:
            """Closed."""

    monkeypatch.setattr(database, "open_url", lambda *_, **__: Connection())
    assert drain.tell(ENV, "ECS ends this task", lambda connection: [TASK], "postgresql://x") == [TASK]
    body = json.loads(left.sent[0]["Body"])
    assert (body["why"], len(body["tasks"])) == ("ECS ends this task", 1)
