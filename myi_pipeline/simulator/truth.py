"""The expected marts, computed in plain Python from what the generator knows, without SQL.

Rows are named tuples sorted by key, so that a test only compares two lists. Times are UTC, dates and hours are local to
the listener, and sums of milliseconds skip unknown values. Conventions: the time of a play of up to an hour belongs to
the hour in which it ended; distinct tracks and artists of a day include all plays of kind track, counted or not;
artists and albums come from tracks only; archives do not contain durations, so a play counts from 30 s.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from myi_pipeline.simulator.archive_truth import ArchiveTruth
from myi_pipeline.simulator.plays import TruePlay
from myi_pipeline.simulator.resolve import ContentId, Names, ResolvedPlay, resolve


class DayRow(NamedTuple):
    local_date: date
    plays: int
    counted_plays: int
    ms_played: int
    unknown_plays: int  # plays of unknown ms_played
    distinct_tracks: int
    distinct_artists: int


class HourRow(NamedTuple):
    local_date: date
    local_hour: int
    plays: int
    counted_plays: int
    ms_played: int


class TrackKey(NamedTuple):
    """A track by its canonical content: the URI, if there is one, and the final names."""

    uri: str | None
    title: str | None
    creator: str | None
    collection: str | None


class AlbumKey(NamedTuple):
    artist: str
    album: str


class PeriodRow(NamedTuple):
    """`key`: a TrackKey, an AlbumKey or the name of an artist. `period`: week, month, year or all."""

    period: str
    period_start: date
    key: Hashable
    plays: int
    counted_plays: int
    ms_played: int
    first_played_at: datetime
    last_played_at: datetime


class SessionRow(NamedTuple):
    """`started_at`: start of the first play (its end if ms_played is unknown); `ended_at`: end of the last one."""

    started_at: datetime
    ended_at: datetime
    plays: int
    counted_plays: int
    ms_played: int


class StreakRow(NamedTuple):
    first_date: date
    last_date: date
    days: int


class FirstRow(NamedTuple):
    """`entity`: track, artist or album; `key` as in PeriodRow."""

    entity: str
    key: Hashable
    first_played_at: datetime


COUNTED_FROM_MS = 30_000
# The time of a longer play is divided among the hours in which it was heard.
LONGEST_IN_ONE_HOUR_MS = 3_600_000
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
    """The marts of one listener in `time_zone` after importing all `archives`, in any order.

    An iterable of TruePlay represents an archive that contains just those.
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
    """Whether a play from an archive counts; one with unknown ms_played does not."""
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
    """A play belongs to the hour in which it ended; the time of a long one is divided minute by minute."""
    # In autumn, one hour occurs twice; both count as the same local hour.
    groups = _group(plays, ((moment.date(), moment.hour) for moment in local))
    rows = {key: _sums(group) for key, group in groups.items()}
    for play, moment in zip(plays, local, strict=True):
        if (play.ms_played or 0) <= LONGEST_IN_ONE_HOUR_MS:
            continue
        _add(rows, moment, -(play.ms_played or 0))
        at = _started_at(play)
        while at < play.played_at:
            until = min(at.replace(second=0, microsecond=0) + timedelta(minutes=1), play.played_at)
            _add(rows, at.astimezone(moment.tzinfo), (until - at) // timedelta(milliseconds=1))
            at = until
    return [HourRow(*key, *sums) for key, sums in sorted(rows.items())]


def _add(rows: dict[tuple[date, int], tuple[int, int, int]], local: datetime, ms: int) -> None:
    count, counted, total = rows.get((local.date(), local.hour), (0, 0, 0))
    rows[local.date(), local.hour] = count, counted, total + ms


def period_starts(day: date) -> tuple[tuple[str, date], ...]:
    """The four periods that contain a local day, with their first days; weeks begin on Monday."""
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
    """Runs of plays, ordered by end, without a gap of more than 30 minutes between an end and the next start."""
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
    """Runs of consecutive days; `days` are the sorted days with any play."""
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
