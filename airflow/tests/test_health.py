"""`/ductwork/health` and the health of our own programs; with a real API server in test_host_end_to_end.py."""

from __future__ import annotations

import asyncio
import os
import threading
import time

from conftest import PATIENCE_SECONDS, new_database

from ductwork_airflow.extensions import health_app
from ductwork_airflow.hosts import database, health, run


def check(ask, *, times: int = 1, begun=lambda: None) -> list[tuple[bool, dict]]:
    """So many checks at once; `begun` is called when all of them wait."""

    async def all_at_once():
        checker = health_app.Checker(ask, PATIENCE_SECONDS)
        checks = [asyncio.create_task(checker.check()) for _ in range(times)]
        await asyncio.sleep(0)  # tasks begin in the order in which they were made
        begun()
        return await asyncio.gather(*checks)

    return asyncio.run(all_at_once())


def test_a_database_that_answers():
    assert check(lambda: {"database": "healthy"}) == [(True, {"database": "healthy"})]


def test_what_a_driver_says_stays_in_the_log(caplog):
    def ask():
        raise ValueError("host db.internal, user airflow")

    assert check(ask) == [(False, {"database": "unhealthy", "reason": "ValueError"})]
    assert "db.internal" in caplog.text


def test_many_who_ask_cost_one_query():
    asked, all_wait = [], threading.Event()

    def ask():
        asked.append(1)
        assert all_wait.wait(PATIENCE_SECONDS)
        return {}

    assert check(ask, times=50, begun=all_wait.set) == [(True, {})] * 50
    assert len(asked) == 1


def test_a_database_that_swallows_packets_keeps_nobody_waiting_and_comes_back():
    release, asked = threading.Event(), []

    def ask():
        asked.append(1)
        release.wait()
        return {}

    async def story():
        checker = health_app.Checker(ask, 0.2)
        dead = [await checker.check(), await checker.check()]
        release.set()  # only now: whoever waited for the question itself would still hang
        after = await checker.check()
        while not after[0]:
            await asyncio.sleep(0.05)
            after = await checker.check()
        return dead, after

    dead, after = asyncio.run(story())
    assert dead == [(False, {"database": "unhealthy", "reason": "no answer within 0.2 s"})] * 2
    assert len(asked) == 1, "nobody starts a second question beside one that hangs"
    assert after == (True, {})


def test_a_killed_process_does_not_count_as_running(postgres):
    """It never writes that it ended. A heart that has stopped is still told of, by its age."""
    url = new_database(postgres, "health")
    jobs = [("SchedulerJob", "running", 5), ("SchedulerJob", "running", 500), ("SchedulerJob", "success", 1),
            ("TriggererJob", "running", 500)]  # fmt: skip
    with database.open_url(url) as connection:
        connection.exec_driver_sql(
            "create table job (job_type text, state text, latest_heartbeat timestamptz)"
        )
        for job, state, age in jobs:
            insert = f"insert into job values (:job, :state, now() - interval '{age} s') returning 1"
            database.rows(connection, insert, job=job, state=state)
    found = health_app.read(url)["components"]
    assert {name: one["running"] for name, one in found.items()} == {
        "scheduler": 1, "dag-processor": 0, "triggerer": 0,
    }  # fmt: skip
    assert 5 <= found["scheduler"]["heartbeat_age_s"] < 500 <= found["triggerer"]["heartbeat_age_s"]


def test_a_program_of_rounds_works_while_it_finishes_them(tmp_path):
    env = {"DUCTWORK_STATE": str(tmp_path)}
    now = time.time()
    process = health.Process("keeper", 1, now - 300)
    assert "not finished a round yet" in health.round_fault(env, process, now)
    beat = run.beat_file(env, "keeper")
    beat.touch()
    for age, words in ((400, "since its start"), (200, "its last round was 200 s ago"), (5, None)):
        os.utime(beat, (now - age, now - age))
        fault = health.round_fault(env, process, now)
        assert (fault is None) if words is None else (words in fault)
