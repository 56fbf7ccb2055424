"""A worker on SQS that ends: what the queue gives to its last question is nobody's loss. Celery and SQS's API are real,
the service is moto."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from conftest import REGION, wait_for

from ductwork_airflow.extensions import last_poll

# It says while a question is open. Its main process, once it has stopped its loop, waits until the test lets it go on.
WORKER = """
import os, time
from pathlib import Path
from celery import Celery, bootsteps
from ductwork_airflow.extensions.last_poll import is_open
from kombu.asynchronous.http import get_client
state = Path(os.environ["DUCTWORK_STATE"])
app = Celery("fake")
app.conf.update(broker_url="sqs://", imports=["ductwork_airflow.extensions.worker_signals"], task_acks_late=True,
    worker_prefetch_multiplier=1, worker_enable_remote_control=False, task_default_queue="closing",
    broker_transport_options={"region": os.environ["AWS_REGION"], "predefined_queues":
    {"closing": {"url": os.environ["QUEUE_URL"]}}})
@app.task(name="work")
def work(name): (state / name).touch()
class Stopping(bootsteps.StartStopStep):
    requires = ("ductwork_airflow.extensions.last_poll:LastPoll",)
    def start(self, consumer):
        client = get_client(consumer.hub)
        consumer.hub.call_repeatedly(0.05, lambda: is_open(client) and (state / "polls").touch())
    def stop(self, consumer):
        (state / "stopping").touch()
        while not (state / "sent").exists(): time.sleep(0.05)
from celery.signals import worker_init
@worker_init.connect
def begins(sender, **_): sender.app.steps["consumer"].add(Stopping)
if __name__ == "__main__":
    app.worker_main(["worker", "-P", "prefork", "-c", "1", "-l", "INFO", "--without-mingle", "--without-gossip"])
"""


@pytest.fixture
def worker(aws, tmp_path):
    """A worker that has run a task, its queue's URL, and what sends another task."""
    import boto3

    sqs = boto3.client("sqs", region_name=REGION)
    url = sqs.create_queue(QueueName="closing", Attributes={"VisibilityTimeout": "43200"})["QueueUrl"]
    (tmp_path / "fake.py").write_text(WORKER)
    paths = [str(tmp_path), *(path for path in sys.path if path)]
    env = os.environ | {
        "DUCTWORK_STATE": str(tmp_path),
        "QUEUE_URL": url,
        "AWS_REGION": REGION,
        "PYTHONPATH": os.pathsep.join(paths),
    }
    send = "import sys, fake; fake.work.delay(sys.argv[1])"
    log = tmp_path / "log"
    with log.open("w") as out:
        process = subprocess.Popen([sys.executable, "fake.py"], cwd=tmp_path, env=env, stdout=out, stderr=out)
    try:
        wait_for("the worker is ready", (tmp_path / "worker.ready").exists)
        yield SimpleNamespace(
            process=process,
            root=tmp_path,
            send=lambda name: subprocess.run(
                [sys.executable, "-c", send, name], cwd=tmp_path, env=env, check=True
            ),
            received=lambda: sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages", []),
            log=log,
        )
    finally:
        process.kill()
        process.wait()
        sqs.delete_queue(QueueUrl=url)


def ended(worker, send_while_it_stops: bool) -> None:
    """The worker has run a task, so it polls, and then it is ended."""
    worker.send("first")
    wait_for("a task has run", (worker.root / "first").exists)
    (worker.root / "polls").unlink(missing_ok=True)
    wait_for("the worker asks for the next one", (worker.root / "polls").exists)
    worker.process.terminate()
    wait_for("the worker stops", (worker.root / "stopping").exists)
    if send_while_it_stops:
        worker.send("second")
    (worker.root / "sent").touch()
    assert worker.process.wait(timeout=120) == 0, worker.log.read_text()


@pytest.mark.parametrize("while_it_stops", [True, False], ids=["while it stops", "once it has ended"])
def test_a_task_that_comes_too_late_is_there_for_others(worker, while_it_stops):
    ended(worker, while_it_stops)
    if not while_it_stops:
        worker.send("second")
    assert len(worker.received()) == 1, worker.log.read_text()
    assert not (worker.root / "second").exists()


def test_only_an_open_request_is_waited_for():
    handle = object()
    assert last_poll.is_open(SimpleNamespace(_curls=[handle], _free_list=[], _pending=[]))
    assert last_poll.is_open(SimpleNamespace(_curls=[handle], _free_list=[handle], _pending=[1]))
    assert not last_poll.is_open(SimpleNamespace(_curls=[handle], _free_list=[handle], _pending=[]))
    assert not last_poll.is_open(SimpleNamespace())


@pytest.mark.parametrize("driver", ["sqs", "redis"])
def test_other_brokers_have_no_long_poll(driver):
    consumer = SimpleNamespace(
        connection=SimpleNamespace(transport=SimpleNamespace(driver_type=driver)),
        hub=None if driver == "sqs" else object(),
        task_consumer=SimpleNamespace(cancel=lambda: pytest.fail("cancelled")),
    )
    last_poll.LastPoll(consumer).stop(consumer)
