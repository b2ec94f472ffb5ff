"""Top lists: tracks, artists and albums of a period, or of any span of days.

Belongs here: which days are meant, and by which statement they are read. Invariant: a period is read in the order of an
index; only a span that is no period adds up rows, at most those of its years, months and odd days.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel

from myi_pipeline.api.listing import MOST_BIGINT, MOST_INT, Listing, Order
from myi_pipeline.api.models.lists import TopAlbum, TopAlbums, TopArtist, TopArtists, TopTrack, TopTracks
from myi_pipeline.api.parameters import Day, DaysOf, PageOf, PeriodOf, wrong
from myi_pipeline.api.routes.reading import reads, serve_list, today_of
from myi_pipeline.api.security.identity import CurrentUser
from myi_pipeline.api.security.known_visitors import Visitor
from myi_pipeline.api.site import Site, TheSite
from myi_pipeline.api.spans import LAST_DAY, Period, last_day_of, parts_of, period_start
from myi_pipeline.api.sql_files import load_sql

router = APIRouter(prefix="/v1/me/top", tags=["top lists"])

# Loaders refuse plays before 2006, and what is more than a day ahead.
_OLDEST = date(2006, 1, 1)


@dataclass(frozen=True)
class Asked:
    """The days of a top list: those of a period, or, with `period` None, any."""

    period: Period | None
    first: date
    last: date
    today: date

    @property
    def settled(self) -> dict[str, str]:
        """The query that asks for the same days tomorrow."""
        if self.period is None:
            return {"from": self.first.isoformat(), "to": self.last.isoformat()}
        return {"period": self.period.value, "date": self.first.isoformat()}

    @property
    def values(self) -> dict[str, Any]:
        if self.period is not None:
            return {"period": self.period.value, "period_start": self.first}
        return range_values(max(self.first, _OLDEST), min(self.last, self.today.replace(month=12, day=31)))

    @property
    def fields(self) -> dict[str, object]:
        last = None if self.last == LAST_DAY else self.last
        return {"period": self.period or "range", "first_day": self.first, "last_day": last}


def range_values(first: date, last: date) -> dict[str, Any]:
    """Of the statements for a span that is no period."""
    parts = parts_of(first, last)
    return {
        "periods": [period.value for period, _ in parts.periods],
        "period_starts": [start for _, start in parts.periods],
        "first_days": [first for first, _ in parts.days],
        "last_days": [last for _, last in parts.days],
    }


def top_order(entity: str) -> Order:
    return Order({"counted_plays": MOST_INT, "ms_played": MOST_BIGINT, f"{entity}_id": 0})


async def _asked(
    visitor: CurrentUser,
    days: DaysOf,
    period: Annotated[PeriodOf, Query(description="An ISO week, month, year, or all; else `all`.")] = None,
    day: Annotated[Day, Query(alias="date", description="Any day of the period; else today.")] = None,
) -> Asked:
    today = today_of(visitor)
    if days.is_given:
        if period is not None or day is not None:
            raise wrong("period", "a list has either a period with its date, or `from` and `to`")
        first, last = days.first or _OLDEST, days.last or max(today, days.first or today)
        return Asked(None, first, last, today)
    start = period_start(period or Period.ALL, day or today)
    return Asked(period or Period.ALL, start, last_day_of(period or Period.ALL, start), today)


AskedOf = Annotated[Asked, Depends(_asked)]


async def _serve(
    request: Request, visitor: Visitor, site: Site, asked: Asked, *, entity: str, item: type[BaseModel], page: PageOf
) -> Response:
    sql = load_sql(f"marts/top_{entity}s" + ("_of_range" if asked.period is None else ""))
    listing = Listing(sql, top_order(entity), item, values=asked.values, settled=asked.settled, is_ranked=True)

    days = (asked.first, asked.last)
    return await serve_list(
        request, visitor, site, listing,
        page=page, hangs_on=days, more=lambda _: asked.fields,
    )  # fmt: skip


@router.get(
    "/tracks",
    operation_id="listTopTracks",
    response_model=TopTracks,
    responses=reads(is_list=True),
    summary="Your top tracks",
)
async def top_tracks(request: Request, visitor: CurrentUser, site: TheSite, page: PageOf, asked: AskedOf) -> Response:
    """By counted plays, then by time heard, of a week, month, year, of all time, or of any days `from` and `to`."""
    return await _serve(request, visitor, site, asked, entity="track", item=TopTrack, page=page)


@router.get(
    "/artists",
    operation_id="listTopArtists",
    response_model=TopArtists,
    responses=reads(is_list=True),
    summary="Your top artists",
)
async def top_artists(request: Request, visitor: CurrentUser, site: TheSite, page: PageOf, asked: AskedOf) -> Response:
    """Plays count for a track's primary artist."""
    return await _serve(request, visitor, site, asked, entity="artist", item=TopArtist, page=page)


@router.get(
    "/albums",
    operation_id="listTopAlbums",
    response_model=TopAlbums,
    responses=reads(is_list=True),
    summary="Your top albums",
)
async def top_albums(request: Request, visitor: CurrentUser, site: TheSite, page: PageOf, asked: AskedOf) -> Response:
    return await _serve(request, visitor, site, asked, entity="album", item=TopAlbum, page=page)
