"""Top lists: the tracks, recordings, artists or albums of a period, or of any span of days.

A year and all of time are read in the order of an index. Any other span adds up rows: those of its whole years, and the
plays of the days left over, which for a week or a month are all that there is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Literal, TypeVar

from myi_pipeline.catalogue.sources import EARLIEST
from myi_pipeline.web.reads.cursors import FIRST_PAGE, MOST_BIGINT, MOST_INT, After, Order
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.spans import Period, last_day_of, parts_of
from myi_pipeline.web.reads.sql_files import load_sql

Entity = Literal["track", "artist", "album", "recording"]
By = Literal["plays", "time"]
BYS: tuple[By, ...] = ("plays", "time")

# Imports refuse plays before the earliest of any source, and those more than a day ahead.
OLDEST = EARLIEST.date()


class ShowKind(StrEnum):
    """What goes by shows; the values are what their parts are in marts."""

    PODCAST = "episode"
    AUDIOBOOK = "chapter"


class Listed(StrEnum):
    """What songs are counted by: recordings, or each of the tracks under which they were heard."""

    RECORDING = "recording"
    TRACK = "track"


@dataclass(frozen=True)
class _TopRow:
    """`picture` is the SHA-256 of an image in hex."""

    rank: int
    uri: str | None
    name: str | None
    picture: str | None
    plays: int
    counted_plays: int
    ms_played: int
    first_played_at: datetime
    last_played_at: datetime


@dataclass(frozen=True)
class TopTrackRow(_TopRow):
    track_id: int
    artist_id: int | None
    artist_name: str | None
    album_id: int | None
    album_name: str | None
    duration_ms: int | None


@dataclass(frozen=True)
class TopArtistRow(_TopRow):
    artist_id: int


@dataclass(frozen=True)
class TopAlbumRow(_TopRow):
    album_id: int
    artist_id: int | None
    artist_name: str | None


@dataclass(frozen=True)
class TopShowRow(_TopRow):
    """A podcast or an audiobook; `show_id` is the content_id of one of its episodes, `artist_name` a book's author."""

    kind: str
    show_id: int
    artist_name: str | None


TopRow = TopTrackRow | TopArtistRow | TopAlbumRow | TopShowRow
Row = TypeVar("Row", TopRow, TopShowRow)
# A recording has the number of one of its tracks, and is listed as that one.
_ROWS: Mapping[Entity, type[TopRow]] = {
    "track": TopTrackRow, "recording": TopTrackRow, "artist": TopArtistRow, "album": TopAlbumRow,
}  # fmt: skip


def top_order(entity: Entity | Literal["show"], by: By = "plays") -> Order:
    shown = "track" if entity == "recording" else entity
    plays, time = ("counted_plays", MOST_INT), ("ms_played", MOST_BIGINT)
    first, second = (time, plays) if by == "time" else (plays, time)
    return Order({first[0]: first[1], second[0]: second[1], f"{shown}_id": 0})


async def top_of_period(
    marts: Marts, entity: Entity, *, period: Period, start: date, after: After = FIRST_PAGE, limit: int
) -> Sequence[TopRow]:
    """By counted plays, then by time heard; ranks go on from the rows already seen."""
    if period in (Period.WEEK, Period.MONTH):
        last_day = last_day_of(period, start)
        return await top_of_range(marts, entity, first_day=start, last_day=last_day, after=after, limit=limit)
    return await marts.fetch(
        _ROWS[entity], load_sql("top_of_period", entity=entity),
        period_start=start, seen=after.seen, limit=limit, **top_order(entity).values(after),
    )  # fmt: skip


async def top_of_range(
    marts: Marts, entity: Entity, *, first_day: date, last_day: date, after: After = FIRST_PAGE, limit: int
) -> Sequence[TopRow]:
    """The same of any days."""
    return await marts.fetch(
        _ROWS[entity], load_sql("top_of_range", entity=entity),
        **range_values(first_day, last_day), seen=after.seen, limit=limit, **top_order(entity).values(after),
    )  # fmt: skip


async def top_by_time(
    marts: Marts, entity: Entity, *, first_day: date, last_day: date, after: After = FIRST_PAGE, limit: int
) -> Sequence[TopRow]:
    """Of any days by time heard, then by counted plays."""
    return await marts.fetch(
        _ROWS[entity], load_sql("top_of_range", entity=entity, by="time"),
        **range_values(first_day, last_day), seen=after.seen, limit=limit, **top_order(entity, "time").values(after),
    )  # fmt: skip


def on_top(rows: Sequence[Row], by: By = "plays") -> list[Row]:
    """The rows of a short list: what was only skipped is at the end of a long one, with 0 plays."""
    return [row for row in rows if (row.ms_played if by == "time" else row.counted_plays)]


async def top_shows(
    marts: Marts,
    kind: ShowKind,
    *,
    first_day: date,
    last_day: date,
    by: By = "plays",
    after: After = FIRST_PAGE,
    limit: int,
) -> Sequence[TopShowRow]:
    """The podcasts or the audiobooks of any days, by counted plays or by time heard."""
    return await marts.fetch(
        TopShowRow, load_sql("top_shows", by=by),
        kind=kind.value, first_day=max(first_day, OLDEST), last_day=last_day, seen=after.seen, limit=limit,
        **top_order("show", by).values(after),
    )  # fmt: skip


@dataclass(frozen=True)
class PlaceRow:
    """`rank` is None for what was not heard in these days; `first_local_date` for what has no first play yet."""

    id: int
    rank: int | None
    first_local_date: date | None


async def places_in_range(
    marts: Marts, entity: Entity, ids: Sequence[int], *, first_day: date, last_day: date, by: By
) -> list[PlaceRow]:
    """Where these stood among everything that was heard in some days."""
    sql = load_sql("places_in_range", entity=entity, by=by)
    return await marts.fetch(PlaceRow, sql, ids=list(ids), **range_values(first_day, last_day))


def range_values(first_day: date, last_day: date) -> dict[str, Any]:
    """Parameters of `heard_in_range.sql`: the span's whole years, and the days left over."""
    parts = parts_of(max(first_day, OLDEST), last_day)
    return {
        "years": list(parts.years),
        "first_days": [first for first, _ in parts.days],
        "last_days": [last for _, last in parts.days],
    }
