"""One track, recording, artist or album: its names and picture, how much of it was heard, and what of it most.

What this user never played has no periods and no picture, whether the catalogue knows it or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from myi_pipeline.web.reads.clock import HourRow
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.sql_files import load_sql
from myi_pipeline.web.reads.top import Entity, Listed

# A rank beyond this says nothing, and counting further would take longer than reading the page.
LAST_RANK = 1_000


@dataclass(frozen=True)
class NamesRow:
    """`picture` is the SHA-256 of an image in hex. Fields that the entity does not have are None."""

    uri: str | None = None
    name: str | None = None
    artist_id: int | None = None
    artist_name: str | None = None
    album_id: int | None = None
    album_name: str | None = None
    duration_ms: int | None = None
    picture: str | None = None


@dataclass(frozen=True)
class PeriodRow:
    """`period` is all, year or month."""

    period: str
    period_start: date
    plays: int
    counted_plays: int
    ms_played: int
    first_played_at: datetime
    last_played_at: datetime


@dataclass(frozen=True)
class DayRow:
    """A day, or a month."""

    starts_on: date
    plays: int
    counted_plays: int
    ms_played: int


@dataclass(frozen=True)
class Absence:
    """Days without a play, between `last` and `next`, on which it was heard."""

    last: date
    next: date

    @property
    def days(self) -> int:
        return (self.next - self.last).days - 1


@dataclass(frozen=True)
class Days:
    """When something was heard: every month and the days of one year, in no order; the hours of the week in which plays
    ended; the longest absence, None if it was heard on one day, or on days in a row; `within` a span that was asked
    for, None if it was not heard in it."""

    months: Sequence[DayRow]
    days: Sequence[DayRow]
    hours: Sequence[HourRow]
    absence: Absence | None
    within: DayRow | None


@dataclass(frozen=True)
class MostHeardRow:
    """A track, or with `track_id` None an album."""

    kind: str
    rank: int
    track_id: int | None
    album_id: int | None
    name: str | None
    artist_id: int | None
    artist_name: str | None
    plays: int
    counted_plays: int
    ms_played: int
    picture: str | None


@dataclass(frozen=True)
class LastPlayRow:
    played_at: datetime
    ms_played: int | None
    is_counted: bool
    track_id: int | None
    name: str | None
    artist_id: int | None
    artist_name: str | None
    album_id: int | None
    album_name: str | None


@dataclass(frozen=True)
class _Part:
    part: str
    starts_on: date | None
    ends_on: date | None
    weekday: int | None
    hour: int | None
    plays: int
    counted_plays: int
    ms_played: int


@dataclass(frozen=True)
class _Rank:
    rank: int


@dataclass(frozen=True)
class _Picture:
    picture: str | None


async def entity_names(marts: Marts, entity: Entity, id: int) -> NamesRow:
    found = await marts.fetch(NamesRow, load_sql("entity_names", entity=entity), id=id)
    return found[0] if found else NamesRow()


async def entity_periods(marts: Marts, entity: Entity, id: int) -> list[PeriodRow]:
    """Sums of all time, of each year and each month; none for what this user never played."""
    return await marts.fetch(PeriodRow, load_sql("entity_periods", entity=entity), id=id)


async def entity_years(marts: Marts, entity: Entity, id: int) -> list[PeriodRow]:
    """Sums of all time and of each year; none for what this user never played."""
    return await marts.fetch(PeriodRow, load_sql("entity_years", entity=entity), id=id)


async def entity_days(
    marts: Marts, entity: Entity, id: int, *, year: int | None, span: tuple[date, date] | None = None
) -> Days:
    """`span` is a first and a last day."""
    first, last = span or (None, None)
    sql = load_sql("entity_days", entity=entity)
    rows = await marts.fetch(_Part, sql, id=id, year=year, first_day=first, last_day=last)
    of_days: dict[str, list[DayRow]] = {"month": [], "day": [], "span": []}
    hours: list[HourRow] = []
    absence = None
    for row in rows:
        sums = (row.plays, row.counted_plays, row.ms_played)
        if row.weekday is not None and row.hour is not None:
            hours.append(HourRow(row.weekday, row.hour, *sums))
        elif row.starts_on is not None and row.ends_on is not None:
            absence = Absence(row.starts_on, row.ends_on)
        elif row.starts_on is not None:
            of_days[row.part].append(DayRow(row.starts_on, *sums))
    return Days(of_days["month"], of_days["day"], hours, absence, next(iter(of_days["span"]), None))


async def entity_rank(marts: Marts, entity: Entity, id: int, row: PeriodRow) -> int | None:
    """Its place in the top list of one of its periods; None beyond LAST_RANK."""
    (found,) = await marts.fetch(
        _Rank, load_sql("entity_rank", entity=entity), id=id, most=LAST_RANK,
        period=row.period, period_start=row.period_start, counted_plays=row.counted_plays, ms_played=row.ms_played,
    )  # fmt: skip
    return found.rank if found.rank <= LAST_RANK else None


async def most_heard_of(
    marts: Marts, entity: Entity, id: int, *, by: Listed = Listed.RECORDING, limit: int, most_albums: int
) -> tuple[list[MostHeardRow], list[MostHeardRow]]:
    """The recordings or tracks of an artist or album, and the albums of an artist, of all time."""
    if entity in ("track", "recording"):
        return [], []
    rows = await marts.fetch(
        MostHeardRow, load_sql("most_heard_of", by=by.value), entity=entity, id=id, limit=limit, most_albums=most_albums
    )
    return [row for row in rows if row.kind == "track"], [row for row in rows if row.kind == "album"]


async def last_plays_of(marts: Marts, entity: Entity, id: int, *, limit: int) -> list[LastPlayRow]:
    return await marts.fetch(LastPlayRow, load_sql("last_plays", entity=entity), id=id, limit=limit)


async def picture_of(marts: Marts, entity: Entity, id: int) -> str | None:
    """The SHA-256 in hex of the picture of an album or artist that this user has played."""
    found = await marts.fetch(_Picture, load_sql("cover", entity=entity), id=id)
    return found[0].picture if found else None
