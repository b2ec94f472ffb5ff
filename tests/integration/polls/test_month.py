"""A sample of benchmarks/polling_month: mixed listeners, polled by the real services, held against the truth."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from benchmarks import polling_month
from benchmarks.house import House
from benchmarks.polling_house import many_listeners
from benchmarks.polling_month import START, by_services, every, own_pace, poll_by_rules, verdict_of_database
from benchmarks.polling_truth import Verdict
from myi_pipeline.core.poll_windows import Comparison
from myi_pipeline.settings import Settings
from myi_pipeline.simulator.live import LiveListener, MovableClock, SimulatorSpec, mixed_listeners, persona, world_of
from myi_pipeline.simulator.live.clock import from_ms
from myi_pipeline.warehouse.connections import Warehouse

LISTENERS, DAYS = 10, 0.5


def test_ten_mixed_listeners_lose_nothing_unsaid_and_no_play_twice(
    warehouse: Warehouse, settings_for_tests: Settings, tmp_path: Path
) -> None:
    clock = MovableClock(START)
    world = world_of(SimulatorSpec(artists=200, listeners=mixed_listeners(LISTENERS)))
    with many_listeners(House(settings_for_tests, warehouse, tmp_path), users=LISTENERS, clock=clock) as (house, _):
        polls = by_services(house, clock, DAYS, look_every=timedelta(minutes=20))
        found = verdict_of_database(house, world, LISTENERS)
        assert polls < 24 * DAYS * LISTENERS
        assert (found.silent, found.doubled) == (0, 0)
        assert found.kept > 500
        assert found.kept + found.in_gaps + found.between + found.never == found.plays
        for each in mixed_listeners(LISTENERS):
            listener = LiveListener(each, world)
            key = f"select user_id from app.users where user_key = '{each.key}'"
            kept = {
                row[0] for row in house.execute(f"select played_at from raw.listening_events where user_id = ({key})")
            }
            for (polled_at,) in house.execute(f"select polled_at from ops.polls where user_id = ({key})"):
                # Whatever was still in the window when it was polled is in raw.
                assert {from_ms(play.reported_ms) for play in listener.window_at(polled_at)} <= kept


def _by_rules(turn: polling_month.Turn) -> tuple[int, Verdict]:
    spec = SimulatorSpec(artists=60)
    calls, total = 0, Verdict()
    for kind in ("albums", "skipper", "looper", "commuter", "pauser", "rare"):
        listener = LiveListener(persona(kind, kind), world_of(spec))
        asked, verdict = poll_by_rules(listener, turn=turn, days=10, dice=Random(3))
        calls, total = calls + asked, total + verdict
    return calls, total


def test_own_pace_asks_less_often_than_every_hour_and_loses_less() -> None:
    calls_hourly, hourly = _by_rules(every(60))
    calls, own = _by_rules(own_pace)
    assert calls < calls_hourly
    assert own.in_gaps < hourly.in_gaps
    assert (own.silent, own.doubled) == (0, 0)
    assert own.kept + own.in_gaps + own.between + own.never == own.plays


def test_without_gaps_the_losses_would_be_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling_month, "compare", lambda *_, **__: Comparison())
    _, hourly = _by_rules(every(60))
    assert hourly.silent > 0
