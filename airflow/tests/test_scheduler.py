"""The pause of the scheduler's loop, by a clock of the test."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy.exc import OperationalError

from ductwork_airflow.extensions import scheduler


class Clock:
    """Time that only a pause lets pass, and the newest run at each look."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *newest: int | Exception | None) -> None:
        self.now, self._newest = 0.0, list(newest)
        own = SimpleNamespace(monotonic=lambda: self.now, sleep=self._pass)
        monkeypatch.setattr(scheduler, "time", own)
        monkeypatch.setattr(scheduler, "newest_run", self._look)

    def _pass(self, seconds: float) -> None:
        self.now += seconds

    def _look(self) -> int | None:
        found = self._newest.pop(0) if len(self._newest) > 1 else self._newest[0]
        if isinstance(found, Exception):
            raise found
        return found

    def paused(self, pause: scheduler.Pause) -> float:
        """Seconds that a pause of one takes."""
        began = self.now
        pause.sleep(1.0)
        return round(self.now - began, 3)


def test_the_pause_lasts_if_nothing_happens(monkeypatch):
    assert Clock(monkeypatch, None).paused(scheduler.Pause()) == 1.0


def test_a_new_run_ends_the_pause(monkeypatch):
    clock, pause = Clock(monkeypatch, 7, 7, 7, 8), scheduler.Pause()
    assert clock.paused(pause) == 0.0, "what was there before the first look may be new"
    assert clock.paused(pause) == 0.4
    assert clock.paused(pause) == 1.0, "it is told once"


def test_a_run_that_came_during_the_loop_s_round_is_not_slept_over(monkeypatch):
    clock, pause = Clock(monkeypatch, 7, 8), scheduler.Pause()
    clock.paused(pause)
    assert clock.paused(pause) == 0.0


def test_a_database_that_does_not_answer_ends_nothing(monkeypatch):
    error = OperationalError("select", None, Exception("gone"))
    assert Clock(monkeypatch, error).paused(scheduler.Pause()) == 1.0


def test_the_loop_uses_nothing_else_of_the_module():
    spec = importlib.util.find_spec("airflow.jobs.scheduler_job_runner")
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    used = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    names = {node.attr for node in used if isinstance(node.value, ast.Name) and node.value.id == "time"}
    assert names == {"sleep"}
