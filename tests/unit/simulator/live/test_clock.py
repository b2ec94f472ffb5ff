"""The clock that tests move, and the size of a simulator of ten thousand."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from threading import Thread

import pytest

from myi_pipeline.simulator.live import MovableClock, SimulatorSpec, apps_for, mixed_listeners
from myi_pipeline.simulator.live.clock import DEFAULT_START, to_ms
from myi_pipeline.simulator.live.state import SimulatorState


def test_it_stands_still_until_it_is_moved() -> None:
    clock = MovableClock()
    assert clock() == clock.now() == DEFAULT_START
    assert clock.advance(1.5) == DEFAULT_START + timedelta(seconds=1.5)
    assert clock.advance(timedelta(days=-1)) == clock()
    assert clock.set(DEFAULT_START) == clock.now()
    assert clock.now_ms() == to_ms(DEFAULT_START)


def test_it_can_tick_faster_than_the_machines_and_still_be_moved() -> None:
    clock = MovableClock(speed=1000.0)
    time.sleep(0.05)
    passed = clock.now() - DEFAULT_START
    assert timedelta(seconds=45) < passed < timedelta(minutes=30)
    clock.set(datetime(2030, 1, 1, tzinfo=UTC))
    assert clock.now() < datetime(2030, 1, 2, tzinfo=UTC)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        MovableClock(datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point
    with pytest.raises(ValueError, match="zone"):
        MovableClock().set(datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point


def test_watchers_hear_of_moves_and_threads_lose_none() -> None:
    clock, heard = MovableClock(), []
    clock.on_move(heard.append)
    threads = [Thread(target=lambda: [clock.advance(1) for _ in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock() == DEFAULT_START + timedelta(seconds=800)
    assert len(heard) == 800
    clock.forget(heard.append)
    clock.advance(1)
    assert len(heard) == 800


def test_ten_thousand_listeners_are_made_lazily_and_only_days_that_are_looked_at_are_kept() -> None:
    people = mixed_listeners(10_000)
    spec = SimulatorSpec(listeners=people, apps=apps_for(people), artists=20)
    state = SimulatorState(spec, MovableClock(), "http://127.0.0.1/v1")
    assert len(state.listeners) == 10_000
    assert len(state.accounts.apps) == 2_000
    assert not state._days._days
    for person in people[::100]:
        assert len(state.listeners[person.key].window(state.clock.now_ms())) == 50
    assert 100 <= len(state._days._days) <= 4096
