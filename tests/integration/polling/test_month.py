"""A sample of benchmarks/polling_month: mixed listeners, polled by the real code, compared with the truth."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from benchmarks import polling_rules
from benchmarks.polling_listeners import scripted_listener
from benchmarks.polling_month import by_rules, by_services, verdict_of_database
from benchmarks.polling_rules import START, every
from benchmarks.polling_setup import many_listeners
from benchmarks.setups import Setup
from myi_pipeline.polling.windows import Comparison
from myi_pipeline.postgres.connections import Warehouse
from myi_pipeline.settings import Settings
from myi_pipeline.simulator.live import (
    ListenerSpec,
    LiveListener,
    MovableClock,
    SimulatorSpec,
    mixed_listeners,
    world_of,
)
from myi_pipeline.simulator.live.clock import from_ms

pytestmark = pytest.mark.property

LISTENERS, DAYS = 10, 0.5


def test_ten_mixed_listeners_lose_nothing_unsaid_and_no_play_twice(
    warehouse: Warehouse, settings_for_tests: Settings, tmp_path: Path
) -> None:
    clock, listeners = MovableClock(START), mixed_listeners(LISTENERS)
    world = world_of(SimulatorSpec(artists=200, listeners=listeners))
    setup = Setup(settings_for_tests, warehouse, tmp_path)
    with many_listeners(setup, listeners=listeners, clock=clock) as (setup, _):
        # Half as often as turns come up, to keep the test short.
        polls = by_services(setup, clock, until=START + timedelta(days=DAYS), look_every=timedelta(minutes=30))
        found = verdict_of_database(setup, world, listeners)
        assert polls == 48 * DAYS * LISTENERS
        assert (found.silent, found.doubled) == (0, 0)
        assert found.kept > 500
        assert found.kept + found.in_gaps + found.between + found.never == found.plays
        for each in listeners:
            listener = LiveListener(each, world)
            key = f"select user_id from app.users where user_key = '{each.key}'"
            kept = {
                row[0] for row in setup.execute(f"select played_at from raw.listening_events where user_id = ({key})")
            }
            for (polled_at,) in setup.execute(f"select polled_at from ops.polls where user_id = ({key})"):
                # Whatever was still in the window when it was polled is in raw.
                assert {from_ms(play.reported_ms) for play in listener.window_at(polled_at)} <= kept


def test_a_household_of_the_services_costs_few_requests_and_no_token_is_refreshed_twice_an_hour(
    warehouse: Warehouse, settings_for_tests: Settings, tmp_path: Path
) -> None:
    """Two who listen for hours after weeks of silence, one in the evening, two of whom nothing is heard."""
    hours, tracks = 6, sorted(world_of(SimulatorSpec(artists=200)).listable)
    listeners = (
        *(scripted_listener("four weeks away", number, days=1, seed=1, tracks=tracks) for number in (1, 2)),
        scripted_listener("album evenings", 3, days=1, seed=1, tracks=tracks),
        *(ListenerSpec(key=f"silent-{number}", plays_per_day=0) for number in (4, 5)),
    )
    clock = MovableClock(START + timedelta(hours=15))
    setup = Setup(settings_for_tests, warehouse, tmp_path)
    with many_listeners(setup, listeners=listeners, clock=clock) as (setup, simulator):
        polls = by_services(setup, clock, until=clock.now() + timedelta(hours=hours))
        calls = simulator.control.calls(route="/me/player/recently-played")
        refreshes = simulator.control.calls(route="/api/token")
        others = simulator.control.calls() - calls - refreshes
        ((most,),) = setup.execute(
            "select max(later.polled_at - p.polled_at) from ops.polls as p cross join lateral (select min(l.polled_at)"
            " as polled_at from ops.polls as l where l.user_id = p.user_id and l.polled_at > p.polled_at) as later"
        )
    assert calls == polls
    assert others == 0
    assert refreshes <= 5 * (hours * 60 / 50 + 1)
    assert isinstance(most, timedelta)
    assert most <= timedelta(minutes=20)
    assert 5 * hours * 4 <= polls <= 800 / 24 * hours


def test_what_is_lost_to_fixed_polls_lies_in_gaps_and_without_them_it_would_be_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, own = by_rules(10, 6, None, seed=3)
    assert (own.silent, own.doubled) == (0, 0)
    assert own.kept + own.in_gaps + own.between + own.never == own.plays
    _, hourly = by_rules(10, 6, every(60), seed=3)
    assert hourly.silent == 0
    assert hourly.in_gaps > own.in_gaps
    monkeypatch.setattr(polling_rules, "compare", lambda *_, **__: Comparison())
    _, hourly = by_rules(10, 6, every(60), seed=3)
    assert hourly.silent > 0
