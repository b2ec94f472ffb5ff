"""The window of 50: what the API can show at a moment, held against the whole truth."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from myi_pipeline.simulator.live import PERSONAS, LiveListener, World, persona
from myi_pipeline.simulator.live.clock import from_ms, to_ms
from myi_pipeline.simulator.live.listener import DayShelf

FIRST_DAY = date(2025, 6, 1)
NOW = datetime(2025, 8, 1, 12, tzinfo=UTC)


def naive_window(listener: LiveListener, now: datetime) -> list[datetime | None]:
    shown = [
        play.reported_at
        for play in listener.truth(until=now)
        if play.reported_at and play.surfaces_at and play.surfaces_at <= now
    ]
    return sorted(shown, reverse=True)[:50]  # type: ignore[type-var]


@pytest.mark.parametrize("kind", PERSONAS)
def test_the_window_is_the_latest_fifty_that_have_surfaced(kind: str, world: World) -> None:
    listener = LiveListener(persona(kind, "ana", first_day=FIRST_DAY, stale_days=0.0), world)
    for hours in (0, 7, 31, 200):
        now = NOW - timedelta(hours=hours)
        assert [from_ms(play.reported_ms) for play in listener.window(to_ms(now))] == naive_window(listener, now)


def test_in_a_stale_spell_the_window_is_that_of_its_beginning_and_then_catches_up(world: World) -> None:
    listener = LiveListener(persona("heavy", "ana", first_day=FIRST_DAY, stale_days=1.0), world)
    start, end = listener.maker.stale_span(date(2025, 7, 10).toordinal()) or (0, 0)
    assert start
    middle = (start + end) // 2

    assert listener.seen_ms(middle) <= start
    assert listener.window(middle) == listener.window(listener.seen_ms(middle))
    assert listener.seen_ms(end + 1) in (end + 1, *(start for start, _ in _spans(listener)))


def _spans(listener: LiveListener) -> list[tuple[int, int]]:
    days = (date(2025, 7, 9).toordinal() + number for number in range(3))
    return [span for day in days if (span := listener.maker.stale_span(day))]


def test_a_list_by_surfacing_ends_with_what_became_known_last(world: World) -> None:
    spec = persona("commuter", "ana", first_day=FIRST_DAY, window_order="surfaced", stale_days=0.0)
    window = LiveListener(spec, world).window(to_ms(NOW))

    assert [play.surfaces_ms for play in window] == sorted((play.surfaces_ms for play in window), reverse=True)
    assert [play.reported_ms for play in window] != sorted((play.reported_ms for play in window), reverse=True)


def test_before_the_first_day_and_after_the_last_nothing_is_added(world: World) -> None:
    spec = persona("albums", "ana", first_day=FIRST_DAY, last_day=date(2025, 6, 20))
    listener = LiveListener(spec, world)

    assert listener.window(to_ms(datetime(2025, 5, 1, tzinfo=UTC))) == []
    last = listener.window(to_ms(datetime(2025, 7, 1, tzinfo=UTC)))
    assert len(last) == 50
    assert listener.window(to_ms(datetime(2026, 7, 1, tzinfo=UTC))) == last


def test_what_plays_now_is_in_the_truth_and_hidden_when_private(world: World) -> None:
    listener = LiveListener(persona("private", "ana", first_day=FIRST_DAY), world)
    seen = hidden = 0
    for play in listener.live_plays(until_ms=to_ms(NOW)):
        found = listener.playing(play.start_ms)
        assert found == (None if play.is_private or play.is_offline else play)
        seen += found is not None
        hidden += found is None
    assert seen
    assert hidden


def test_the_shelf_of_days_keeps_no_more_than_it_may(world: World) -> None:
    shelf = DayShelf(10)
    listeners = [LiveListener(persona("albums", f"p{n}", first_day=FIRST_DAY), world, shelf) for n in range(20)]
    windows = [listener.window(to_ms(NOW)) for listener in listeners]

    assert len(shelf._days) == 10
    assert [listener.window(to_ms(NOW)) for listener in listeners] == windows
