"""What live listeners do: repeatable, lazily made, and each persona with its own trouble."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from myi_pipeline.simulator.live import (
    PERSONAS,
    DeviceSpec,
    LiveListener,
    ScriptedPlay,
    TrueLivePlay,
    World,
    mixed_listeners,
    persona,
)
from myi_pipeline.simulator.live.behaviour import DayMaker, day_begin_ms, listening_day
from myi_pipeline.simulator.live.clock import from_ms, to_ms

FIRST_DAY = date(2025, 6, 1)
NOW = datetime(2025, 8, 1, 12, tzinfo=UTC)


def plays_of(kind: str, world: World, **changes: object) -> list[TrueLivePlay]:
    return list(LiveListener(persona(kind, "ana", first_day=FIRST_DAY, **changes), world).truth(until=NOW))


@pytest.mark.parametrize("kind", PERSONAS)
def test_plays_of_every_persona_are_in_order_do_not_overlap_and_end_in_seconds_of_their_own(
    kind: str, world: World
) -> None:
    plays = plays_of(kind, world)

    assert len(plays) > 50
    for before, after in pairwise(plays):
        assert before.ended_at < after.started_at
        assert before.ended_at.replace(microsecond=0) < after.ended_at.replace(microsecond=0)
    for play in plays:
        assert play.ms_played <= (play.ended_at - play.started_at) / timedelta(milliseconds=1)
        assert play.ms_played <= play.duration_ms


def test_equal_specs_play_alike_and_other_people_and_seeds_do_not(world: World) -> None:
    assert plays_of("albums", world) == plays_of("albums", world)
    ana, ben = (LiveListener(persona("albums", key, first_day=FIRST_DAY), world) for key in ("ana", "ben"))
    assert list(ana.truth(until=NOW)) != list(ben.truth(until=NOW))


def test_a_day_is_the_same_whether_or_not_the_days_before_it_were_looked_at(world: World) -> None:
    spec = persona("heavy", "ana", first_day=FIRST_DAY)
    day = date(2025, 7, 20).toordinal()
    alone = DayMaker(spec, world).plays(day)
    listener = LiveListener(spec, world)
    all_days = list(listener.live_plays(until_ms=to_ms(NOW)))

    assert alone
    assert [play for play in all_days if listening_day(play.start_ms, listener.maker.zone) == day] == list(alone)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia"])
def test_every_moment_lies_in_exactly_one_listening_day_also_when_clocks_change(zone: str, world: World) -> None:
    maker = DayMaker(persona("albums", "ana", time_zone=zone), world)
    for first in (date(2025, 3, 8), date(2025, 3, 29), date(2025, 10, 25), date(2025, 11, 1)):
        start = to_ms(datetime(first.year, first.month, first.day, tzinfo=UTC))
        for minute in range(0, 3 * 1440, 7):
            at = start + minute * 60_000
            day = listening_day(at, maker.zone)
            assert day_begin_ms(day, maker.zone) <= at < day_begin_ms(day + 1, maker.zone)


def test_offline_plays_surface_late_and_out_of_order(world: World) -> None:
    plays = [play for play in plays_of("commuter", world) if play.is_offline and play.surfaces_at]
    delays = [play.surfaces_at - play.ended_at for play in plays if play.surfaces_at]

    assert len(plays) > 100
    assert max(delays) > timedelta(hours=20)
    assert min(delays) > timedelta(minutes=10)
    assert any(before.surfaces_at > after.surfaces_at for before, after in pairwise(plays))  # type: ignore[operator]


def test_private_plays_episodes_and_short_plays_never_surface(world: World) -> None:
    plays = plays_of("private", world)
    reasons = Counter(play.why_hidden for play in plays)

    assert {"", "private", "episode", "short"} <= set(reasons)
    for play in plays:
        assert (play.surfaces_at is None) == bool(play.why_hidden)
        assert not (play.is_private and play.surfaces_at)


def test_a_start_clock_reports_starts_and_an_end_clock_ends(world: World) -> None:
    for kind, moment in (("start_clock", "started_at"), ("albums", "ended_at")):
        shown = [play for play in plays_of(kind, world) if play.reported_at]
        off = [play.reported_at - getattr(play, moment) for play in shown if play.reported_at]
        assert timedelta(0) <= min(off) <= max(off) < timedelta(seconds=2)
        assert len(set(off)) > 50


def test_the_api_shows_no_play_before_it_is_over(world: World) -> None:
    for kind in PERSONAS:
        assert all(play.surfaces_at >= play.ended_at for play in plays_of(kind, world) if play.surfaces_at)


def test_pauses_lie_inside_plays(world: World) -> None:
    silent = [
        (play.ended_at - play.started_at) - timedelta(milliseconds=play.ms_played) for play in plays_of("pauser", world)
    ]
    assert sum(each > timedelta(seconds=4) for each in silent) > 100
    assert max(silent) > timedelta(minutes=20)


def test_a_skipper_fills_a_window_of_fifty_within_the_hour(world: World) -> None:
    shown = [play for play in plays_of("skipper", world) if play.reported_at]
    spans = [after.ended_at - before.ended_at for before, after in zip(shown, shown[49:], strict=False)]
    assert min(spans) < timedelta(hours=1)


def test_a_loop_day_is_one_track_from_morning_to_morning(world: World) -> None:
    plays = plays_of("looper", world, loop_days=1.0, silent_days=0.0)
    whole_day = [play for play in plays if FIRST_DAY + timedelta(days=9) == play.started_at.date()]

    assert max(Counter(play.uri for play in whole_day).values()) > 500
    assert any(play.started_at.date() < play.ended_at.date() for play in plays)


def test_scripted_plays_come_as_written(world: World) -> None:
    track = sorted(world.listable)[0]
    start = datetime(2025, 7, 1, 21, 59, 30, 250_000, tzinfo=UTC)
    play = ScriptedPlay(started_at=start, track=track, ms_played=45_000, paused_ms=5_000)
    late = ScriptedPlay(
        started_at=start + timedelta(minutes=5),
        track=track,
        ms_played=40_000,
        offline=True,
        surfaces_at=start + timedelta(days=2),
        archived_at=start + timedelta(days=2),
    )
    spec = persona("rare", "ana", plays_per_day=0, devices=(DeviceSpec(latency_ms=7),), scripted=(late, play))
    first, second = LiveListener(spec, world).truth(until=NOW)

    assert (first.started_at, first.ended_at, first.ms_played) == (start, start + timedelta(seconds=50), 45_000)
    assert first.reported_at == start + timedelta(seconds=50, milliseconds=7)
    assert first.archived_at == (start + timedelta(seconds=50)).replace(microsecond=0)
    assert (second.surfaces_at, second.is_offline) == (start + timedelta(days=2), True)
    assert second.archived_at == (start + timedelta(days=2)).replace(microsecond=0)


def test_mixed_listeners_hold_every_persona() -> None:
    people = mixed_listeners(20)
    assert len({person.key for person in people}) == 20
    assert len({person.model_copy(update={"key": "x"}) for person in people}) == len(PERSONAS)


def test_milliseconds_survive_the_way_to_a_datetime_and_back() -> None:
    for stamp in (0, 1, 1_772_362_781_775, 1_772_362_781_999, 951_782_400_001):
        assert to_ms(from_ms(stamp)) == stamp
