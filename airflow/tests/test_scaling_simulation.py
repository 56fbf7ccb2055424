"""What bench/README.md claims about scaling, asserted on the simulation itself; never on time."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache

import pytest
from conftest import ROOT

spec = importlib.util.spec_from_file_location("bench_scaling", ROOT / "bench/scaling.py")
bench = importlib.util.module_from_spec(spec)
sys.modules["bench_scaling"] = bench
spec.loader.exec_module(bench)

OURS = bench.Ductwork
RIVALS = (bench.Turbine, bench.Psyclone, bench.Hankehly, bench.Freckle, bench.Fairflow)


@cache
def shape(name: str):
    return bench.SHAPES[name]()


@cache
def result(name: str, make, *bounds: int):
    return bench.simulate(shape(name), make(*bounds))


@pytest.mark.parametrize("name", bench.SHAPES)
@pytest.mark.parametrize("rival", RIVALS)
def test_with_the_same_hosts_nobody_waits_less_and_no_task_is_killed(name, rival):
    policy = rival()
    theirs, ours = result(name, rival), result(name, OURS, policy.least, policy.most)
    assert ours.mean_wait <= theirs.mean_wait
    assert ours.p95_wait <= theirs.p95_wait
    assert (ours.killed, ours.unfinished) == (0, 0)


def test_what_the_others_kill():
    assert result("long", bench.Turbine).killed > 10, "the long task, again and again"
    assert result("long", bench.Psyclone).killed == 0
    for rival in (bench.Freckle, bench.Fairflow):
        assert result("long", rival).killed >= 1
    for rival in (bench.Turbine, bench.Hankehly, bench.Freckle, bench.Fairflow):
        assert result("day", rival).killed > 10


def test_what_is_paid():
    for name in ("burst", "backfill", "long"):
        for rival in (bench.Turbine, bench.Psyclone):
            assert result(name, OURS, 0, 10).host_minutes < result(name, rival).host_minutes
    assert result("day", OURS, 0, 10).host_minutes < result("day", bench.Psyclone).host_minutes
    assert result("idle", OURS, 0, 10).host_minutes < result("idle", bench.Freckle).host_minutes / 8
    # The price of not waiting: a load that comes back within the patience keeps its hosts.
    assert result("flapping", OURS, 0, 10).host_minutes > result("flapping", bench.Turbine).host_minutes


def test_it_is_the_same_each_time():
    assert bench.table(shape("long")) == bench.table(shape("long"))
    assert bench.simulate(bench.day(), OURS()) == result("day", OURS, 0, 10)


def test_the_tables_of_the_readme_are_those_of_the_simulation():
    text = (ROOT / "bench/README.md").read_text()
    for name in bench.SHAPES:
        assert bench.table(shape(name)).strip() in text, f"run bench/scaling.py {name}"
