"""Genres of a period and over the years, and the decades in which the music came out."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from myi_pipeline.web.api.contract_route import ContractRoute
from myi_pipeline.web.api.models import (
    Decade,
    Decades,
    Genre,
    Genres,
    GenreYear,
    GenreYears,
)
from myi_pipeline.web.api.parameters import Day
from myi_pipeline.web.api.routes.reading import Fields, responses, serve_document
from myi_pipeline.web.reads import genres as reads
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.spans import LAST_DAY, Period, last_day_of, period_start, today_in
from myi_pipeline.web.security.identity import CurrentUser
from myi_pipeline.web.shown.contract import fields_of
from myi_pipeline.web.site import TheSite

router = APIRouter(route_class=ContractRoute, prefix="/v1/me", tags=["genres"])


@router.get(
    "/genres",
    operation_id="listGenres",
    response_model=Genres,
    responses=responses(is_table=True),
    summary="Your genres in a period",
)
async def genres(
    request: Request,
    visitor: CurrentUser,
    site: TheSite,
    period: Annotated[Period, Query(description="An ISO week, month, year, or all.")] = Period.ALL,
    day: Annotated[Day, Query(alias="date", description="Any day of the period; defaults to today.")] = None,
    limit: Annotated[int, Query(ge=1, le=500, description="Maximum number of genres.")] = 50,
) -> Response:
    first = period_start(period, day or today_in(visitor.time_zone))
    last = last_day_of(period, first)

    async def build(marts: Marts) -> Fields:
        known = await reads.known_genres(marts, period=period, start=first)
        rows = await reads.top_genres(marts, period=period, start=first, limit=limit)
        return {
            "period": period.value,
            "first_day": first,
            "last_day": None if last == LAST_DAY else last,
            **vars(known),
            "licence": reads.LICENCE,
            "data": fields_of(Genre, rows),
        }

    return await serve_document(request, visitor, site, build, varies_by=(first,), table_of=Genre)


@router.get(
    "/genres/years",
    operation_id="listGenreYears",
    response_model=GenreYears,
    responses=responses(is_table=True),
    summary="Your genres over the years",
)
async def genre_years(
    request: Request,
    visitor: CurrentUser,
    site: TheSite,
    limit: Annotated[int, Query(ge=1, le=50, description="Maximum number of genres.")] = 10,
) -> Response:
    async def build(marts: Marts) -> Fields:
        rows = await reads.genre_years(marts, limit=limit)
        return {"licence": reads.LICENCE, "data": fields_of(GenreYear, rows)}

    return await serve_document(request, visitor, site, build, table_of=GenreYear)


@router.get(
    "/decades",
    operation_id="listDecades",
    response_model=Decades,
    responses=responses(is_table=True),
    summary="When your music came out",
)
async def decades(
    request: Request,
    visitor: CurrentUser,
    site: TheSite,
    period: Annotated[Literal["year", "all"], Query(description="A year, or all.")] = "all",
    day: Annotated[Day, Query(alias="date", description="Any day of the year; defaults to today.")] = None,
) -> Response:
    asked = Period(period)
    first = period_start(asked, day or today_in(visitor.time_zone))
    last = last_day_of(asked, first)

    async def build(marts: Marts) -> Fields:
        rows = await reads.decades(marts, start=first)
        return {
            "period": period,
            "first_day": first,
            "last_day": None if last == LAST_DAY else last,
            "licence": reads.CORE_LICENCE,
            "data": fields_of(Decade, rows),
        }

    return await serve_document(request, visitor, site, build, varies_by=(first,), table_of=Decade)
