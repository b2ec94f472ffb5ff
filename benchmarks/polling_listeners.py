"""Listeners whose days are unlike each other, which is what a pace that follows habits gets wrong.

Belongs here: who listens when, beside the simulator's personas; timelines and scripts of both. Not here: polling.
Invariant: equal kind, number and seed give equal plays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import cycle
from random import Random

from benchmarks.polling_rules import START, Timeline
from myi_pipeline.simulator.live import (
    PERSONAS,
    ListenerSpec,
    LiveListener,
    ScriptedPlay,
    SimulatorSpec,
    World,
    persona,
    world_of,
)

# A play: when it began, and how long it was heard.
Play = tuple[datetime, timedelta]
_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)
# Between two plays.
_PAUSE = timedelta(seconds=1)
# Spotify takes up to half a minute to tell of a play.
_MOST_LAG_S = 30.0


def _sitting(dice: Random, begin: datetime, hours: float, seconds: Callable[[], float]) -> Iterator[Play]:
    now, end = begin, begin + hours * _HOUR
    while now < end:
        heard = timedelta(seconds=round(seconds(), 1))
        yield now, heard
        now += heard + _PAUSE


def _songs(dice: Random) -> Callable[[], float]:
    return lambda: dice.uniform(150, 270)


def _party(dice: Random) -> Callable[[], float]:
    """Guests press "next": a third of the tracks is cut short."""
    return lambda: dice.uniform(30, 60) if dice.random() < 0.35 else dice.uniform(150, 240)


def _skips(dice: Random) -> Callable[[], float]:
    return lambda: dice.uniform(30, 50)


def _party_once_a_month(dice: Random, day: int) -> Iterator[tuple[float, float, Callable[[], float]]]:
    if day % 30 == 8:
        yield 18.0, dice.uniform(8, 10), _party(dice)


def _every_second_weekend(dice: Random, day: int) -> Iterator[tuple[float, float, Callable[[], float]]]:
    if day % 14 in (12, 13):
        yield 12.0, dice.uniform(8, 10), _party(dice)


def _four_weeks_away(dice: Random, day: int) -> Iterator[tuple[float, float, Callable[[], float]]]:
    if day % 35 >= 28:
        yield 10.0, dice.uniform(8, 10), _songs(dice) if dice.random() < 0.7 else _party(dice)


def _one_fast_hour_a_week(dice: Random, day: int) -> Iterator[tuple[float, float, Callable[[], float]]]:
    if day % 7 == 4:
        yield 19.0, 1.0, _skips(dice)
        yield 20.0, 1.5, _songs(dice)
    else:
        yield 19.0 + dice.random(), 2.5, _songs(dice)


def _album_evenings(dice: Random, day: int) -> Iterator[tuple[float, float, Callable[[], float]]]:
    yield 18.0 + dice.random(), dice.uniform(2, 5), _songs(dice)


def _skipping_all_day(dice: Random, day: int) -> Iterator[tuple[float, float, Callable[[], float]]]:
    for hour in (8.0, 13.0, 20.0):
        yield hour + dice.random(), dice.uniform(1, 2), _skips(dice)


def _short_track_in_a_loop(dice: Random, day: int) -> Iterator[tuple[float, float, Callable[[], float]]]:
    if day % 3 == 1:
        yield 9.0 + dice.random(), dice.uniform(2, 12), lambda: 30.5


_SCHEDULES = {
    "party once a month": _party_once_a_month,
    "every second weekend": _every_second_weekend,
    "four weeks away": _four_weeks_away,
    "one fast hour a week": _one_fast_hour_a_week,
    "album evenings": _album_evenings,
    "skipping all day": _skipping_all_day,
    "short track in a loop": _short_track_in_a_loop,
}
SCHEDULED = tuple(_SCHEDULES)
KINDS = (*SCHEDULED, *PERSONAS)


def plays_of(kind: str, number: int, *, days: int, seed: int) -> Iterator[Play]:
    """A scheduled listener's plays of so many days from START. `number` shifts their calendar and their dice."""
    dice = Random(f"{kind} {number} {seed}")
    shift = dice.randrange(420)
    for day in range(days):
        for hour, hours, seconds in _SCHEDULES[kind](dice, day + shift):
            yield from _sitting(dice, START + day * _DAY + hour * _HOUR, hours, seconds)


def scripted_listener(kind: str, number: int, *, days: int, seed: int, tracks: Sequence[int]) -> ListenerSpec:
    """The same for the simulator, which serves them over HTTP."""
    chosen = cycle(tracks)
    script = tuple(
        ScriptedPlay(started_at=began, track=next(chosen), ms_played=round(heard.total_seconds() * 1000))
        for began, heard in plays_of(kind, number, days=days, seed=seed)
    )
    key = f"{kind.replace(' ', '-')}-{number}"
    return ListenerSpec(key=key, plays_per_day=0, stale_days=0.0, scripted=script, time_zone="UTC")


def small_world(seed: int) -> World:
    return world_of(SimulatorSpec(seed=seed, artists=200))


def timeline(kind: str, number: int, *, days: int, seed: int, world: World) -> Timeline:
    """What Spotify's page shows of such a person."""
    if kind in _SCHEDULES:
        lag = Random(f"lag {kind} {number} {seed}")
        ends = ((began + heard) for began, heard in plays_of(kind, number, days=days, seed=seed))
        return Timeline.of(kind, ((_ms(end), _ms(end) + int(lag.random() * _MOST_LAG_S * 1000)) for end in ends))
    first = date(2026, 2, 20)
    return timeline_of(LiveListener(persona(kind, f"{kind}-{number}-{seed}", first_day=first), world), kind, days=days)


def timeline_of(listener: LiveListener, kind: str, *, days: int) -> Timeline:
    """The same of one of the simulator's listeners."""
    until = _ms(START + days * _DAY)
    listed = (play for play in listener.live_plays(until_ms=until) if play.is_listed)
    day_numbers = range(START.toordinal() - 2, START.toordinal() + days + 1)
    stale = [span for day in day_numbers if (span := listener.maker.stale_span(day)) is not None]
    return Timeline.of(kind, ((play.reported_ms, play.surfaces_ms) for play in listed), stale)


def _ms(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
