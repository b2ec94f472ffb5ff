"""What was heard for the first time, and how much of a year was new."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, tzinfo

from myi_pipeline.web.reads.cursors import MOST_INT, After, Order
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.spans import BEGINNING, END, moment
from myi_pipeline.web.reads.sql_files import load_sql
from myi_pipeline.web.reads.top import Entity

FIRSTS = Order({"first_played_at": END, "id": MOST_INT})


@dataclass(frozen=True)
class FirstRow:
    kind: str
    id: int
    uri: str | None
    name: str | None
    artist_name: str | None
    first_played_at: datetime
    first_local_date: date
    play_id: str


@dataclass(frozen=True)
class NewArtistRow:
    artist_id: int
    name: str | None
    picture: str | None
    plays: int
    counted_plays: int
    ms_played: int
    first_local_date: date


@dataclass(frozen=True)
class VarietyRow:
    """How many songs and artists a year has, and how many of the artists were new."""

    songs: int
    artists: int
    new_artists: int


async def firsts(
    marts: Marts, *, kind: Entity, from_at: datetime = BEGINNING, to_at: datetime = END, after: After, limit: int
) -> list[FirstRow]:
    """The first plays of tracks, recordings, artists or albums, newest first."""
    return await marts.fetch(
        FirstRow, load_sql("firsts", kind=kind), from_at=from_at, to_at=to_at, limit=limit, **FIRSTS.values(after)
    )


async def new_artists(marts: Marts, year_start: date, *, limit: int) -> list[NewArtistRow]:
    """Those first heard in the year, most heard first."""
    return await marts.fetch(NewArtistRow, load_sql("new_artists"), year_start=year_start, limit=limit)


async def year_variety(marts: Marts, year_start: date, zone: tzinfo) -> VarietyRow:
    end = year_start.replace(year=year_start.year + 1)
    (found,) = await marts.fetch(
        VarietyRow, load_sql("year_variety"),
        year_start=year_start, from_at=moment(year_start, zone), to_at=moment(end, zone),
    )  # fmt: skip
    return found
