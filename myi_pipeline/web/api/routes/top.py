"""Top lists: the days that a request means, and the read that answers it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from myi_pipeline.web.api.contract_route import ContractRoute
from myi_pipeline.web.api.models import (
    TopAlbum,
    TopAlbums,
    TopArtist,
    TopArtists,
    TopShow,
    TopShows,
    TopTrack,
    TopTracks,
)
from myi_pipeline.web.api.parameters import COUNTED_BY, Day, DaysOf, ListedOf, PageOf, PeriodOf, wrong
from myi_pipeline.web.api.routes.reading import Fields, Listing, responses, serve_list
from myi_pipeline.web.reads.cursors import After
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.spans import LAST_DAY, Period, last_day_of, period_start, today_in
from myi_pipeline.web.reads.top import (
    OLDEST,
    Entity,
    Listed,
    ShowKind,
    TopRow,
    top_of_period,
    top_of_range,
    top_order,
    top_shows,
)
from myi_pipeline.web.security.identity import CurrentUser
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.shown.contract import Answer
from myi_pipeline.web.site import Site, TheSite

router = APIRouter(route_class=ContractRoute, prefix="/v1/me/top", tags=["top lists"])


@dataclass(frozen=True)
class TopDays:
    """The days of a top list: a period or, if `period` is None, any range."""

    period: Period | None
    first: date
    last: date
    today: date

    @property
    def settled(self) -> dict[str, str]:
        """The query that means the same days tomorrow."""
        if self.period is None:
            return {"from": self.first.isoformat(), "to": self.last.isoformat()}
        return {"period": self.period.value, "date": self.first.isoformat()}

    async def read(self, marts: Marts, entity: Entity, after: After, limit: int) -> Sequence[TopRow]:
        if self.period is not None:
            return await top_of_period(
                marts, entity, period=self.period, start=self.first, after=after, limit=limit
            )  # fmt: skip
        last = min(self.last, self.today.replace(month=12, day=31))
        return await top_of_range(marts, entity, first_day=self.first, last_day=last, after=after, limit=limit)

    @property
    def fields(self) -> Fields:
        last = None if self.last == LAST_DAY else self.last
        return {"period": self.period or "range", "first_day": self.first, "last_day": last}


async def _days(
    visitor: CurrentUser,
    days: DaysOf,
    period: Annotated[PeriodOf, Query(description="An ISO week, month, year, or all; defaults to `all`.")] = None,
    day: Annotated[Day, Query(alias="date", description="Any day of the period; defaults to today.")] = None,
) -> TopDays:
    today = today_in(visitor.time_zone)
    if days.is_given:
        if period is not None or day is not None:
            raise wrong("period", "cannot be combined with 'from' and 'to'")
        first, last = days.first or OLDEST, days.last or max(today, days.first or today)
        return TopDays(None, first, last, today)
    start = period_start(period or Period.ALL, day or today)
    return TopDays(period or Period.ALL, start, last_day_of(period or Period.ALL, start), today)


TopDaysOf = Annotated[TopDays, Depends(_days)]


async def _serve(
    request: Request,
    visitor: Visitor,
    site: Site,
    days: TopDays,
    *,
    entity: Entity,
    item: type[Answer],
    page: PageOf,
) -> Response:
    async def read(marts: Marts, after: After, limit: int) -> Sequence[TopRow]:
        return await days.read(marts, entity, after, limit)

    async def beside(_: Marts) -> Fields:
        return days.fields

    listing = Listing(read, top_order(entity), item, settled=days.settled)
    return await serve_list(
        request, visitor, site, listing, page=page, varies_by=(days.first, days.last), beside=beside
    )  # fmt: skip


@router.get(
    "/tracks",
    operation_id="listTopTracks",
    response_model=TopTracks,
    responses=responses(is_list=True),
    summary="Your top tracks",
)
async def top_tracks(
    request: Request,
    visitor: CurrentUser,
    site: TheSite,
    page: PageOf,
    days: TopDaysOf,
    by: Annotated[ListedOf, Query(description=COUNTED_BY)] = Listed.TRACK,
) -> Response:
    """By counted plays, then by time heard, for a week, month, year, all time, or the days between `from` and `to`."""
    return await _serve(request, visitor, site, days, entity=by.value, item=TopTrack, page=page)


@router.get(
    "/artists",
    operation_id="listTopArtists",
    response_model=TopArtists,
    responses=responses(is_list=True),
    summary="Your top artists",
)
async def top_artists(request: Request, visitor: CurrentUser, site: TheSite, page: PageOf, days: TopDaysOf) -> Response:
    """Plays count for a track's primary artist."""
    return await _serve(request, visitor, site, days, entity="artist", item=TopArtist, page=page)


@router.get(
    "/albums",
    operation_id="listTopAlbums",
    response_model=TopAlbums,
    responses=responses(is_list=True),
    summary="Your top albums",
)
async def top_albums(request: Request, visitor: CurrentUser, site: TheSite, page: PageOf, days: TopDaysOf) -> Response:
    return await _serve(request, visitor, site, days, entity="album", item=TopAlbum, page=page)


@router.get(
    "/shows",
    operation_id="listTopShows",
    response_model=TopShows,
    responses=responses(is_list=True),
    summary="Your top podcasts or audiobooks",
)
async def top_shows_of(
    request: Request,
    visitor: CurrentUser,
    site: TheSite,
    page: PageOf,
    days: TopDaysOf,
    kind: Annotated[
        Literal["podcast", "audiobook"], Query(description="Which of the two; defaults to `podcast`.")
    ] = "podcast",
) -> Response:
    """By counted plays, then by time heard. The sources know shows by name alone."""

    async def read(marts: Marts, after: After, limit: int) -> Sequence[TopRow]:
        last = min(days.last, days.today.replace(month=12, day=31))
        return await top_shows(
            marts, ShowKind[kind.upper()], first_day=days.first, last_day=last, after=after, limit=limit
        )

    async def beside(_: Marts) -> Fields:
        return days.fields

    listing = Listing(read, top_order("show"), TopShow, settled=days.settled)
    return await serve_list(
        request, visitor, site, listing, page=page, varies_by=(days.first, days.last), beside=beside
    )  # fmt: skip
