"""Figures: your account, totals over time, streaks, Spotify's rankings, and what may be missing."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from myi_pipeline.web.api.contract_route import ContractRoute
from myi_pipeline.web.api.models import (
    Bucket,
    Clock,
    ClockHour,
    Coverage,
    Gap,
    Me,
    Rank,
    Ranks,
    Span,
    Streak,
    StreakList,
    Summary,
    Timeline,
)
from myi_pipeline.web.api.parameters import COUNTED_BY, Day, DaysOf, Id, ListedOf, PageOf
from myi_pipeline.web.api.routes.reading import Fields, Listing, responses, serve_document, serve_list
from myi_pipeline.web.reads.clock import clock as read_clock
from myi_pipeline.web.reads.coverage import coverage_gaps, covered_spans, find_login
from myi_pipeline.web.reads.cursors import After
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.ranks import Ranked, RankedKind, Term, ranks_of_entity, ranks_on_day
from myi_pipeline.web.reads.recordings import recording_of
from myi_pipeline.web.reads.spans import LAST_DAY, Period, last_day_of, period_start, today_in
from myi_pipeline.web.reads.streaks import STREAKS, StreakRow, streak_marks
from myi_pipeline.web.reads.streaks import streaks as read_streaks
from myi_pipeline.web.reads.summary import EVERYTHING, sums_of, usual_spans
from myi_pipeline.web.reads.timeline import BUCKETS, BucketRow, Grain
from myi_pipeline.web.reads.timeline import timeline as read_timeline
from myi_pipeline.web.reads.top import Listed
from myi_pipeline.web.security.identity import CurrentUser
from myi_pipeline.web.shown.contract import fields_of
from myi_pipeline.web.site import TheSite

router = APIRouter(route_class=ContractRoute, prefix="/v1/me", tags=["figures"])


@router.get("", operation_id="getMe", response_model=Me, responses=responses(), summary="Your account")
async def me(request: Request, visitor: CurrentUser, site: TheSite) -> Response:
    shown = {
        "user_key": visitor.user_key,
        "display_name": visitor.display_name,
        "time_zone": visitor.time_zone,
    }

    async def build(marts: Marts) -> Fields:
        return {**shown, "refreshed_at": (await marts.version()).refreshed_at}

    return await serve_document(request, visitor, site, build, varies_by=tuple(shown.values()))


@router.get(
    "/summary",
    operation_id="getSummary",
    response_model=Summary,
    responses=responses(is_table=True),
    summary="Today, week, month, year and all",
)
async def summary(request: Request, visitor: CurrentUser, site: TheSite) -> Response:
    today = today_in(visitor.time_zone)

    async def build(marts: Marts) -> Fields:
        spans = await sums_of(marts, *usual_spans(today))
        return {"today": today, "data": [{**vars(span), "last_day": _end(span.last_day)} for span in spans]}

    return await serve_document(request, visitor, site, build, varies_by=(today,), table_of=Span)


@router.get(
    "/timeline",
    operation_id="getTimeline",
    response_model=Timeline,
    responses=responses(is_list=True),
    summary="Your listening over time",
)
async def timeline(
    request: Request,
    visitor: CurrentUser,
    site: TheSite,
    page: PageOf,
    days: DaysOf,
    grain: Annotated[Grain, Query(description="Length of a bucket.")] = "month",
) -> Response:
    """Oldest first. The first and last bucket contain only days within the span."""

    async def read(marts: Marts, after: After, limit: int) -> list[BucketRow]:
        return await read_timeline(marts, grain=grain, **days.values, after=after, limit=limit)

    async def beside(_: Marts) -> Fields:
        return {"grain": grain}

    return await serve_list(request, visitor, site, Listing(read, BUCKETS, Bucket), page=page, beside=beside)


@router.get(
    "/clock",
    operation_id="getClock",
    response_model=Clock,
    responses=responses(is_table=True),
    summary="Your listening by weekday and hour",
)
async def clock(
    request: Request,
    visitor: CurrentUser,
    site: TheSite,
    period: Annotated[Period, Query(description="An ISO week, month, year, or all.")] = Period.ALL,
    day: Annotated[Day, Query(alias="date", description="Any day of the period; defaults to today.")] = None,
) -> Response:
    first = period_start(period, day or today_in(visitor.time_zone))
    last = last_day_of(period, first)

    async def build(marts: Marts) -> Fields:
        hours = await read_clock(marts, first_day=first, last_day=last)
        return {"first_day": first, "last_day": _end(last), "data": fields_of(ClockHour, hours)}

    return await serve_document(request, visitor, site, build, varies_by=(first,), table_of=ClockHour)


@router.get(
    "/streaks",
    operation_id="listStreaks",
    response_model=StreakList,
    responses=responses(is_list=True),
    summary="Days in a row with plays",
)
async def streaks(request: Request, visitor: CurrentUser, site: TheSite, page: PageOf, days: DaysOf) -> Response:
    """Newest first; `from` and `to` keep streaks that overlap the span."""
    today = today_in(visitor.time_zone)

    async def read(marts: Marts, after: After, limit: int) -> list[StreakRow]:
        return await read_streaks(marts, **days.values, after=after, limit=limit)

    async def beside(marts: Marts) -> Fields:
        marks = await streak_marks(marts, today)
        return {name: fields_of(Streak, [row])[0] if row else None for name, row in vars(marks).items()}

    listing = Listing(read, STREAKS, Streak)
    return await serve_list(request, visitor, site, listing, page=page, varies_by=(today,), beside=beside)


@router.get(
    "/ranks",
    operation_id="getRanks",
    response_model=Ranks,
    responses=responses(is_table=True),
    summary="Spotify's own top lists over time",
)
async def ranks(
    request: Request,
    visitor: CurrentUser,
    site: TheSite,
    kind: Annotated[RankedKind, Query(description="Tracks or artists.")] = "track",
    by: Annotated[ListedOf, Query(description=f"Tracks only. {COUNTED_BY}")] = Listed.TRACK,
    term: Annotated[Term, Query(description="About 4 weeks, 6 months or a year.")] = "medium_term",
    day: Annotated[Day, Query(alias="date", description="As of this day; defaults to today.")] = None,
    id: Annotated[Id, Query(description="Only this track or artist, day by day, newest first.")] = None,
) -> Response:
    """Spotify's latest list as of a day or, with `id`, one item's rank in the last 400 snapshots.

    By recording, a song is listed once, at the rank of its best track."""

    async def build(marts: Marts) -> Fields:
        until = day or LAST_DAY
        entity: Ranked = by.value if kind == "track" else kind
        if id is None:
            found = await ranks_on_day(marts, entity=entity, term=term, day=until)
        else:
            one = await recording_of(marts, id) or id if entity == "recording" else id
            found = await ranks_of_entity(marts, entity=entity, id=one, term=term, day=until)
        return {"kind": kind, "term": term, "data": fields_of(Rank, found)}

    return await serve_document(request, visitor, site, build, table_of=Rank)


@router.get(
    "/coverage",
    operation_id="getCoverage",
    response_model=Coverage,
    responses=responses(is_table=True),
    summary="What is known, and what may be missing",
)
async def coverage(request: Request, visitor: CurrentUser, site: TheSite) -> Response:
    login = await find_login(site.pools, visitor.user_id)

    async def build(marts: Marts) -> Fields:
        (whole,) = await sums_of(marts, EVERYTHING)
        shown = {name: getattr(whole, name) for name in ("plays", "unknown_plays", "first_heard", "last_heard")}
        gaps = fields_of(Gap, await coverage_gaps(marts))
        return {**shown, "login": login, "data": gaps, "covered": await covered_spans(marts)}

    return await serve_document(request, visitor, site, build, varies_by=(login,), table_of=Gap)


def _end(last: date) -> date | None:
    return None if last == LAST_DAY else last
