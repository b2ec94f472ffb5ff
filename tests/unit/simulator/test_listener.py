"""The listener behaves as it promises: as many plays, in order, with the odd seconds, nights and days."""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from myi_pipeline.simulator import ArchiveSpec, Listener, build_listener
from myi_pipeline.simulator.catalogue import AWKWARD_NAMES
from myi_pipeline.simulator.plays import RawPlay


def test_there_are_exactly_as_many_plays_as_asked_for_and_they_come_in_time_order(listener: Listener) -> None:
    times = [play.played_at for play in listener.plays()]

    assert len(times) == listener.spec.plays
    assert times == sorted(times)
    assert all(time.microsecond == 0 and time.tzinfo is UTC for time in times[:100])
    assert times[0].date() >= date(2020, 12, 31)
    assert times[-1] < datetime(2024, 1, 3, tzinfo=UTC)


def test_the_same_spec_gives_the_same_plays_and_another_seed_others(spec: ArchiveSpec, listener: Listener) -> None:
    again = list(build_listener(spec).plays())

    assert again == list(listener.plays())
    assert again == list(listener.plays())  # a second time from the same object
    assert again[:50] != list(itertools.islice(build_listener(replace(spec, seed=8)).plays(), 50))
    assert again[:50] != list(itertools.islice(build_listener(replace(spec, listener="bo")).plays(), 50))


def test_two_readers_of_one_listener_do_not_disturb_each_other(listener: Listener) -> None:
    assert all(one == other for one, other in zip(listener.plays(), listener.plays(), strict=True))


def test_plays_that_share_a_second_differ_in_content_or_are_twins(listener: Listener) -> None:
    seconds: defaultdict[int, list[RawPlay]] = defaultdict(list)
    for raw in listener.raw_plays():
        seconds[raw.played_at].append(raw)
    shared = [plays for plays in seconds.values() if len(plays) > 1]
    twins = 0
    for plays in shared:
        for one, other in itertools.combinations(plays, 2):
            if one.thing == other.thing:
                twins += 1
                assert one.ms_played == other.ms_played
                assert listener.manners[one.manner] != listener.manners[other.manner]
    assert twins > 20
    assert len(shared) > twins


def test_a_track_that_some_catalogue_does_not_know_shares_its_second_with_nothing(listener: Listener) -> None:
    seconds: defaultdict[int, list[int]] = defaultdict(list)
    for raw in listener.raw_plays():
        seconds[raw.played_at].append(raw.thing)
    heard = [things for things in seconds.values() if listener.unsteady.intersection(things)]

    assert len(heard) > 20
    assert all(len(things) == 1 for things in heard)


def test_about_an_eighth_of_the_plays_is_shorter_than_30_seconds() -> None:
    plays = list(build_listener(ArchiveSpec(plays=20_000)).raw_plays())
    short = sum(1 for play in plays if play.ms_played is not None and play.ms_played < 30_000)

    assert 0.10 < short / len(plays) < 0.17


def test_most_nights_of_a_clock_change_are_listened_through(listener: Listener) -> None:
    zone = ZoneInfo(listener.spec.time_zone)
    offsets = [(play.played_at, play.played_at.astimezone(zone).utcoffset()) for play in listener.plays()]
    crossings = [
        later - earlier
        for (earlier, before), (later, after) in itertools.pairwise(offsets)
        if before != after and later - earlier < timedelta(hours=1)
    ]

    assert len(crossings) >= 4  # of six changes in three years; a skipping session is over too soon


def test_some_sessions_run_across_midnight_and_some_weeks_are_silent(listener: Listener) -> None:
    zone = ZoneInfo(listener.spec.time_zone)
    times = [play.played_at.astimezone(zone) for play in listener.plays()]
    pairs = list(itertools.pairwise(times))

    assert any(a.date() != b.date() and b - a < timedelta(minutes=10) for a, b in pairs)
    assert any(b.date() - a.date() > timedelta(days=5) for a, b in pairs)


def test_awkward_names_are_met_in_a_small_history(listener: Listener) -> None:
    names = {name for play in listener.plays() for name in (play.title, play.creator, play.collection)}

    assert len(names.intersection(AWKWARD_NAMES)) > 20
    assert any(name is not None and len(name) > 900 for name in names)


def test_the_densest_listener_still_ends_about_when_asked() -> None:
    spec = ArchiveSpec(first_day=date(2020, 1, 1), last_day=date(2020, 3, 30), plays=300 * 90)
    *_, last = build_listener(spec).raw_plays()

    assert datetime.fromtimestamp(last.played_at, UTC) < datetime(2020, 4, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    "change",
    [
        {"plays": -1},
        {"plays": 10**9},
        {"last_day": date(2000, 1, 1)},
        {"zero_ms": 1.5},
        {"time_zone": "Nowhere/Atall"},
    ],
)
def test_a_spec_that_nobody_could_live_is_refused(spec: ArchiveSpec, change: dict[str, object]) -> None:
    with pytest.raises((ValueError, KeyError)):
        replace(spec, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "knob", ["audiobook_sessions", "podcast_sessions", "offline_sessions", "looping_sessions", "video_sessions"]
)
def test_a_knob_turned_all_the_way_still_gives_a_history(knob: str) -> None:
    spec = replace(ArchiveSpec(plays=300, first_day=date(2019, 1, 1), last_day=date(2019, 12, 31)), **{knob: 1.0})  # type: ignore[arg-type]

    assert len(list(build_listener(spec).raw_plays())) == 300
