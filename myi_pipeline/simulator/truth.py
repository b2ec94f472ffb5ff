"""The marts as they must be, counted in plain Python from what the generator knows.

Belongs here: counting. Not here: which plays there are (see `resolve`), SQL, or anything that the marts are made with.
Invariant: rows are named tuples in the order of their keys, so that a test compares two lists and nothing else.

Chosen where the design leaves it open: a day's distinct tracks and artists count every play of kind track, counted
or not; artists and albums come from tracks alone; durations are unknown from archives, so a play counts from 30 s.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from myi_pipeline.simulator.archive_truth import ArchiveTruth
from myi_pipeline.simulator.mart_rows import (
    AlbumKey,
    DayRow,
    FirstRow,
    HourRow,
    PeriodRow,
    SessionRow,
    StreakRow,
    TrackKey,
)
from myi_pipeline.simulator.plays import TruePlay
from myi_pipeline.simulator.resolve import ContentId, Names, ResolvedPlay, resolve

COUNTED_FROM_MS = 30_000
SILENCE = timedelta(minutes=30)
_BEGINNING = date(1970, 1, 1)


@dataclass(frozen=True, kw_only=True)
class MartTruth:
    """Every mart that archives can feed. `plays` are the resolved plays in time order."""

    plays: list[ResolvedPlay]
    days: list[DayRow]
    hours: list[HourRow]
    tracks: list[PeriodRow]
    artists: list[PeriodRow]
    albums: list[PeriodRow]
    sessions: list[SessionRow]
    streaks: list[StreakRow]
    firsts: list[FirstRow]

    @property
    def total_plays(self) -> int:
        return len(self.plays)

    @property
    def total_ms_played(self) -> int:
        return sum(play.ms_played or 0 for play in self.plays)


def expected_marts(archives: Sequence[ArchiveTruth | Iterable[TruePlay]], *, time_zone: str) -> MartTruth:
    """The marts of one listener in `time_zone` after all `archives` were imported, in any order.

    A sequence of TruePlay stands for the archive that would tell just those.
    """
    resolution = resolve([each.plays() if isinstance(each, ArchiveTruth) else each for each in archives])
    zone = ZoneInfo(time_zone)
    plays, names = resolution
    local = [play.played_at.astimezone(zone) for play in plays]
    entities = [_entities(play, names) for play in plays]
    return MartTruth(
        plays=plays,
        days=_days(plays, local, entities),
        hours=_hours(plays, local),
        tracks=_periods(plays, local, [each.track for each in entities]),
        artists=_periods(plays, local, [each.artist for each in entities]),
        albums=_periods(plays, local, [each.album for each in entities]),
        sessions=list(sessions(plays)),
        streaks=list(streaks(sorted({moment.date() for moment in local}))),
        firsts=_firsts(plays, entities),
    )


def is_counted(ms_played: int | None, *, duration_ms: int | None = None) -> bool:
    """Whether an archive's play counts; an unknown ms_played of an archive does not."""
    threshold = COUNTED_FROM_MS if duration_ms is None else min(COUNTED_FROM_MS, duration_ms / 2)
    return ms_played is not None and ms_played >= threshold


class _Entities(NamedTuple):
    track: TrackKey | None
    artist: str | None
    album: AlbumKey | None


def _entities(play: ResolvedPlay, names: dict[ContentId, Names]) -> _Entities:
    content = play.content
    if content is None or content.kind != "track":
        return _Entities(None, None, None)
    title, creator, collection = names[content]
    album = AlbumKey(creator, collection) if creator is not None and collection is not None else None
    return _Entities(TrackKey(content.uri, title, creator, collection), creator, album)


def _sums(plays: Iterable[ResolvedPlay]) -> tuple[int, int, int]:
    """Plays, counted plays, ms_played."""
    count = counted = total = 0
    for play in plays:
        count += 1
        counted += is_counted(play.ms_played)
        total += play.ms_played or 0
    return count, counted, total


_Key = TypeVar("_Key", bound=Hashable)


def _group(plays: list[ResolvedPlay], keys: Iterable[_Key]) -> dict[_Key, list[ResolvedPlay]]:
    groups: defaultdict[_Key, list[ResolvedPlay]] = defaultdict(list)
    for play, key in zip(plays, keys, strict=True):
        groups[key].append(play)
    return groups


def _days(plays: list[ResolvedPlay], local: list[datetime], entities: list[_Entities]) -> list[DayRow]:
    tracks: defaultdict[date, set[TrackKey]] = defaultdict(set)
    artists: defaultdict[date, set[str]] = defaultdict(set)
    for moment, each in zip(local, entities, strict=True):
        if each.track is not None:
            tracks[moment.date()].add(each.track)
        if each.artist is not None:
            artists[moment.date()].add(each.artist)
    groups = _group(plays, (moment.date() for moment in local))
    return [
        DayRow(
            day,
            *_sums(group),
            unknown_plays=sum(play.ms_played is None for play in group),
            distinct_tracks=len(tracks[day]),
            distinct_artists=len(artists[day]),
        )
        for day, group in sorted(groups.items())
    ]


def _hours(plays: list[ResolvedPlay], local: list[datetime]) -> list[HourRow]:
    # In the autumn an hour comes twice; both are the same local hour.
    groups = _group(plays, ((moment.date(), moment.hour) for moment in local))
    return [HourRow(*key, *_sums(group)) for key, group in sorted(groups.items())]


def period_starts(day: date) -> tuple[tuple[str, date], ...]:
    """The four periods that hold a local day, with their first days; weeks begin on Monday."""
    return (
        ("all", _BEGINNING),
        ("month", day.replace(day=1)),
        ("week", day - timedelta(days=day.weekday())),
        ("year", day.replace(month=1, day=1)),
    )


def _periods(plays: list[ResolvedPlay], local: list[datetime], keys: Sequence[_Key | None]) -> list[PeriodRow]:
    groups: defaultdict[tuple[str, date, _Key], list[ResolvedPlay]] = defaultdict(list)
    for play, moment, key in zip(plays, local, keys, strict=True):
        if key is not None:
            for period, start in period_starts(moment.date()):
                groups[period, start, key].append(play)
    rows = [PeriodRow(*key, *_sums(group), group[0].played_at, group[-1].played_at) for key, group in groups.items()]
    return sorted(rows, key=lambda row: (row.period, row.period_start, str(row.key)))


def sessions(plays: Iterable[ResolvedPlay]) -> Iterator[SessionRow]:
    """Runs of plays without a silence of more than 30 minutes from an end to the next start, in the order of ends."""
    current: list[ResolvedPlay] = []
    for play in sorted(plays, key=lambda play: (play.played_at, _started_at(play))):
        if current and _started_at(play) - current[-1].played_at > SILENCE:
            yield _session(current)
            current = []
        current.append(play)
    if current:
        yield _session(current)


def _started_at(play: ResolvedPlay) -> datetime:
    return play.played_at - timedelta(milliseconds=play.ms_played or 0)


def _session(plays: list[ResolvedPlay]) -> SessionRow:
    return SessionRow(_started_at(plays[0]), plays[-1].played_at, *_sums(plays))


def streaks(days: Sequence[date]) -> Iterator[StreakRow]:
    """Runs of consecutive days, from the sorted days with any play."""
    first: date | None = None
    for number, day in enumerate(days):
        first = first or day
        if number + 1 == len(days) or days[number + 1] != day + timedelta(days=1):
            yield StreakRow(first, day, (day - first).days + 1)
            first = None


def _firsts(plays: list[ResolvedPlay], entities: list[_Entities]) -> list[FirstRow]:
    firsts: dict[tuple[str, Hashable], datetime] = {}
    for play, each in zip(plays, entities, strict=True):
        for entity, key in zip(("track", "artist", "album"), each, strict=True):
            if key is not None:
                firsts.setdefault((entity, key), play.played_at)
    rows = [FirstRow(entity, key, played_at) for (entity, key), played_at in firsts.items()]
    return sorted(rows, key=lambda row: (row.entity, str(row.key)))
