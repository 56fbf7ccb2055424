"""The arithmetic of scaling, by example and by property over many drawn loads."""

from __future__ import annotations

import random

import pytest

from ductwork_airflow.scaling import arithmetic
from ductwork_airflow.scaling.arithmetic import Bounds, Load, Rule, decide, wanted_hosts

RULE = Rule(concurrency=4)
WIDE = Bounds(0, 10)


def follow(rule: Rule, bounds: Bounds, totals: list[int], capacity: int = 0, step: float = 15.0) -> list[int]:
    """The capacity after each look, for the load at each."""
    memory, found = None, []
    for number, total in enumerate(totals):
        decision = decide(rule, Load(total), bounds, capacity, memory, number * step)
        capacity, memory = decision.capacity, decision.memory
        found.append(capacity)
    return found


@pytest.mark.parametrize(
    ("total", "concurrency", "growth", "hosts"),
    [
        (0, 4, 1.0, 0),
        (1, 4, 1.0, 1),
        (4, 4, 1.0, 1),
        (5, 4, 1.0, 2),
        (14, 4, 0.7, 5),  # 14 / (4 * 0.7) is 5.000000000000001 in binary fractions
        (8, 4, 2.0, 1),
        (9, 4, 2.0, 2),
        (100, 1, 1.0, 100),
    ],
)
def test_wanted_hosts(total, concurrency, growth, hosts):
    assert wanted_hosts(Load(0, total), Rule(concurrency, growth)) == hosts
    assert wanted_hosts(Load(total, 0), Rule(concurrency, growth)) == hosts


def test_grows_at_once_and_shrinks_after_the_patience():
    looks = follow(RULE, WIDE, [0, 40, 40] + [1] * 60)
    assert looks[:3] == [0, 10, 10]
    assert looks[3:42] == [10] * 39, (
        "ten minutes of 15 s looks since the last time that ten hosts were needed"
    )
    assert looks[42:] == [1] * 21


def test_to_zero_and_back():
    looks = follow(RULE, WIDE, [4] + [0] * 60 + [1])
    assert looks[0] == 1
    assert looks[60] == 0
    assert looks[-1] == 1


def test_shrinks_only_to_what_was_needed_within_the_patience():
    """A load that comes back every five minutes keeps its hosts; what has long gone does not."""
    totals = ([40] * 4 + [0] * 16) * 12
    assert set(follow(RULE, WIDE, totals)) == {10}
    slope = [40] + [20] * 30 + [8] * 30 + [0] * 60
    looks = follow(RULE, WIDE, slope)
    assert looks[41] == 5, "ten minutes after the forty: what the twenty needed"
    assert looks[72] == 2
    assert looks[102] == 0


def test_between_the_thresholds_nothing_moves():
    rule = Rule(4, 1.0, 0.7, 600)
    assert set(follow(rule, WIDE, [29] * 200, capacity=10)) == {10}, "29 of 40 slots are more than 70 %"
    assert follow(rule, WIDE, [27] * 200, capacity=10)[-1] == 7


def test_a_new_leader_begins_the_patience_anew():
    assert follow(RULE, WIDE, [0] * 40, capacity=5) == [5] * 40
    assert follow(RULE, WIDE, [0] * 41, capacity=5)[-1] == 0


def test_patience_may_be_none():
    assert follow(Rule(4, patience_seconds=0), WIDE, [40, 0, 40, 0]) == [10, 0, 10, 0]


def test_bounds_change_while_it_looks():
    """Hibernation: the group's own bounds become 0/0 and come back."""
    decision = decide(RULE, Load(20), Bounds(0, 0), 0, None, 0.0)
    assert (decision.wanted, decision.capacity) == (5, 0)
    again = decide(RULE, Load(20), Bounds(2, 10), 2, decision.memory, 15.0)
    assert again.capacity == 5


def test_what_was_set_by_hand_is_not_grown_back_from_memory():
    memory = decide(RULE, Load(30), WIDE, 10, None, 0.0).memory
    assert memory.peak == 10
    assert decide(RULE, Load(0), WIDE, 2, memory, 600.0).capacity <= 2


def draws(count: int = 300):
    """Rules, bounds and loads of all kinds; the same ones each time."""
    draw = random.Random(8)
    for _ in range(count):
        growth = draw.choice([0.5, 0.9, 1.0, 1.5, 2.0])
        rule = Rule(
            draw.randint(1, 16), growth, growth * draw.choice([0.3, 0.7, 0.9]), draw.choice([0, 60, 600])
        )
        least = draw.choice([0, 0, 1, 3])
        yield draw, rule, Bounds(least, least + draw.randint(0, 20))


def test_always_within_the_bounds_and_never_more_than_needed():
    for draw, rule, bounds in draws():
        totals = [draw.randint(0, 400) for _ in range(80)]
        looks = follow(rule, bounds, totals, bounds.least)
        assert all(bounds.least <= hosts <= bounds.most for hosts in looks)
        for number, (total, hosts) in enumerate(zip(totals, looks, strict=True)):
            needed = bounds.clamp(wanted_hosts(Load(total), rule))
            assert hosts >= needed, "the load now is always served"
            lately = totals[max(0, number - int(rule.patience_seconds // 15) - 1) : number + 1]
            assert hosts <= max(
                bounds.clamp(wanted_hosts(Load(max(lately)), rule)), looks[number - 1] if number else 0
            )


def test_a_steady_load_settles_for_good():
    for draw, rule, bounds in draws():
        total = draw.randint(0, 400)
        looks = follow(rule, bounds, [total] * 120, draw.randint(bounds.least, bounds.most))
        assert len(set(looks[60:])) == 1
        if total == 0:
            assert looks[-1] == bounds.least


def test_more_load_never_means_fewer_hosts():
    """Of one state; over time it need not hold, since a larger set may be too large where a smaller one is not."""
    for draw, rule, bounds in draws():
        capacity, memory = bounds.least, None
        for number in range(60):
            total, now = draw.randint(0, 200), number * 15.0
            decision = decide(rule, Load(total), bounds, capacity, memory, now)
            more = decide(rule, Load(total + draw.randint(0, 50)), bounds, capacity, memory, now)
            assert more.capacity >= decision.capacity
            capacity, memory = decision.capacity, decision.memory


def test_no_shrinking_within_the_patience_of_a_need():
    for draw, rule, bounds in draws():
        totals = [draw.choice([0, 5, 50, 300]) for _ in range(100)]
        looks = follow(rule, bounds, totals, bounds.least)
        window = int(rule.patience_seconds // 15)
        for number in range(1, len(looks)):
            if looks[number] < looks[number - 1]:
                lately = totals[max(0, number - max(window, 1) + 1) : number + 1]
                assert looks[number] >= bounds.clamp(wanted_hosts(Load(max(lately)), rule))


def test_memory_stays_small():
    draw = random.Random(1)
    memory = None
    for number in range(5000):
        decision = decide(RULE, Load(draw.randint(0, 400)), Bounds(0, 100), 100, memory, number * 15.0)
        memory = decision.memory
        assert len(memory.needs) <= 101


def test_loads_by_queue():
    rows = [(None, "queued", 2), ("default", "running", 3), ("big", "restarting", 1), ("big", "scheduled", 9)]
    assert arithmetic.loads(rows) == {"default": Load(2, 3), "big": Load(0, 1)}


def test_rule_of_a_worker_set():
    given = {"concurrency": 2, "growth_threshold": 1.5, "shrink_threshold": 0.5, "shrink_after_minutes": 3}
    assert arithmetic.rule_of(given) == Rule(2, 1.5, 0.5, 180.0)
    assert arithmetic.rule_of({"concurrency": "4"}) == Rule(4)


def test_what_is_published():
    found = arithmetic.set_metrics("ductwork-x", "big", Load(3, 2), 2, 1)
    assert [(one["MetricName"], one["Value"], one["Unit"]) for one in found] == [
        ("TasksQueued", 3, "Count"),
        ("TasksRunning", 2, "Count"),
        ("HostsWanted", 2, "Count"),
        ("HostsInService", 1, "Count"),
    ]
    assert all(one["StorageResolution"] == 1 for one in found)
    assert found[0]["Dimensions"] == [
        {"Name": "Environment", "Value": "ductwork-x"},
        {"Name": "WorkerSet", "Value": "big"},
    ]
    bare = arithmetic.set_metrics("s", "small", Load(1, 0), None, None)
    assert [one["MetricName"] for one in bare] == ["TasksQueued", "TasksRunning"]
    ages = {"SchedulerHeartbeatAge": 4.5, "TriggererHeartbeatAge": None}
    assert [
        (one["MetricName"], one["Value"], one["Unit"]) for one in arithmetic.environment_metrics("s", ages, 2)
    ] == [("SchedulerHeartbeatAge", 4.5, "Seconds"), ("ImportErrors", 2, "Count")]
