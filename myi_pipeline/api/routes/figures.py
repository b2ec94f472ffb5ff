"""Figures: who you are here, sums by time, streaks, Spotify's ranks, and what may be missing.

Belongs here: which spans are summed. Invariant: sums are sums of a user's days or hours, never of plays.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from myi_pipeline.api.database import Answered
from myi_pipeline.api.exchange import Asked, Row
from myi_pipeline.api.listing import Listing, Order
from myi_pipeline.api.logins import find_login
from myi_pipeline.api.models.figures import Bucket, Clock, Coverage, Me, Ranks, Summary, Timeline
from myi_pipeline.api.models.lists import Streak, StreakList
from myi_pipeline.api.parameters import Day, DaysOf, Id, PageOf
from myi_pipeline.api.routes.reading import reads, serve_document, serve_list, today_of
from myi_pipeline.api.security.identity import CurrentUser
from myi_pipeline.api.site import TheSite
from myi_pipeline.api.spans import FIRST_DAY, LAST_DAY, Period, last_day_of, period_start
from myi_pipeline.api.sql_files import load_sql

router = APIRouter(prefix="/v1/me", tags=["figures"])

STREAKS = Order({"streak_start": LAST_DAY})
BUCKETS = Order({"starts_on": FIRST_DAY})
Fields = dict[str, object]


@router.get("", operation_id="getMe", response_model=Me, responses=reads(), summary="Who you are here")
async def me(request: Request, visitor: CurrentUser, site: TheSite) -> Response:
    shown = {
        "user_key": visitor.user_key,
        "display_name": visitor.display_name,
        "time_zone": visitor.time_zone,
    }

    def build(found: Answered) -> Fields:
        return {**shown, "refreshed_at": found.refreshed_at}

    return await serve_document(request, visitor, site, [], build, hangs_on=tuple(shown.values()))


@router.get(
    "/summary",
    operation_id="getSummary",
    response_model=Summary,
    responses=reads(),
    summary="Today, week, month, year and all",
)
async def summary(request: Request, visitor: CurrentUser, site: TheSite) -> Response:
    today = today_of(visitor)
    spans = [("today", today, today)]
    spans += [(each.value, start, last_day_of(each, start)) for each in Period for start in [period_start(each, today)]]

    names, first_days, last_days = (list(column) for column in zip(*spans, strict=True))
    values = {"names": names, "first_days": first_days, "last_days": last_days}

    def build(found: Answered) -> Fields:
        return {"today": today, "data": [{**row, "last_day": _end(row["last_day"])} for row in found.rows[0]]}

    asked = [Asked(load_sql("marts/summary"), values)]
    return await serve_document(request, visitor, site, asked, build, hangs_on=(today,))


@router.get(
    "/timeline",
    operation_id="getTimeline",
    response_model=Timeline,
    responses=reads(is_list=True),
    summary="Your listening over time",
)
async def timeline(
    request: Request,
    visitor: CurrentUser,
    site: TheSite,
    page: PageOf,
    days: DaysOf,
    grain: Annotated[Literal["day", "week", "month", "year"], Query(description="How long a bucket is.")] = "month",
) -> Response:
    """The oldest first. A bucket at an end of the span holds the days that lie inside."""
    listing = Listing(load_sql("marts/timeline"), BUCKETS, Bucket, values={**days.values, "grain": grain})
    return await serve_list(request, visitor, site, listing, page=page, more=lambda _: {"grain": grain})


@router.get(
    "/clock",
    operation_id="getClock",
    response_model=Clock,
    responses=reads(),
    summary="Your listening by weekday and hour",
)
async def clock(
    request: Request,
    visitor: CurrentUser,
    site: TheSite,
    period: Annotated[Period, Query(description="An ISO week, month, year, or all.")] = Period.ALL,
    day: Annotated[Day, Query(alias="date", description="Any day of the period; else today.")] = None,
) -> Response:
    first = period_start(period, day or today_of(visitor))
    last = last_day_of(period, first)

    def build(found: Answered) -> Fields:
        return {"first_day": first, "last_day": _end(last), "data": found.rows[0]}

    asked = [Asked(load_sql("marts/clock"), {"first_day": first, "last_day": last})]
    return await serve_document(request, visitor, site, asked, build, hangs_on=(first,))


@router.get(
    "/streaks",
    operation_id="listStreaks",
    response_model=StreakList,
    responses=reads(is_list=True),
    summary="Days in a row with plays",
)
async def streaks(request: Request, visitor: CurrentUser, site: TheSite, page: PageOf, days: DaysOf) -> Response:
    """The newest first; `from` and `to` keep those that touch the span."""
    today = today_of(visitor)
    listing = Listing(load_sql("marts/streaks"), STREAKS, Streak, values=days.values)

    def marks(rows: Sequence[list[Row]]) -> Fields:
        found = {row.pop("mark"): row for row in rows[0]}
        return {"current": found.get("current"), "longest": found.get("longest")}

    beside = [Asked(load_sql("marts/streak_marks"), {"yesterday": today - timedelta(days=1)})]
    return await serve_list(
        request, visitor, site, listing, page=page, hangs_on=(today,), beside=beside, more=marks
    )  # fmt: skip


@router.get(
    "/ranks",
    operation_id="getRanks",
    response_model=Ranks,
    responses=reads(),
    summary="Spotify's own top lists over time",
)
async def ranks(
    request: Request,
    visitor: CurrentUser,
    site: TheSite,
    kind: Annotated[Literal["track", "artist"], Query(description="Tracks or artists.")] = "track",
    term: Annotated[
        Literal["short_term", "medium_term", "long_term"], Query(description="About 4 weeks, 6 months, a year.")
    ] = "medium_term",
    day: Annotated[Day, Query(alias="date", description="As of this day; else today.")] = None,
    id: Annotated[Id, Query(description="Only this track or artist, but day by day, the newest first.")] = None,
) -> Response:
    """The list as Spotify last gave it up to a day; or, with `id`, the ranks of one over the last 400 snapshots."""
    statement = load_sql("marts/ranks_on_day" if id is None else "marts/ranks_of_entity")
    values = {"kind": kind, "term": term, "day": day or LAST_DAY, "id": id}

    def build(found: Answered) -> Fields:
        return {"kind": kind, "term": term, "data": found.rows[0]}

    return await serve_document(request, visitor, site, [Asked(statement, values)], build)


@router.get(
    "/coverage",
    operation_id="getCoverage",
    response_model=Coverage,
    responses=reads(),
    summary="What is known, and what may be missing",
)
async def coverage(request: Request, visitor: CurrentUser, site: TheSite) -> Response:
    login = await find_login(site.pools, visitor.user_id)

    values = {"names": ["all"], "first_days": [FIRST_DAY], "last_days": [LAST_DAY]}
    asked = [Asked(load_sql("marts/summary"), values), Asked(load_sql("marts/coverage"))]

    def build(found: Answered) -> Fields:
        (whole,), gaps = found.rows
        shown = {name: whole[name] for name in ("plays", "unknown_plays", "first_heard", "last_heard")}
        return {**shown, "login": login, "data": gaps}

    return await serve_document(request, visitor, site, asked, build, hangs_on=tuple((login or {}).values()))


def _end(last: date) -> date | None:
    return None if last == LAST_DAY else last
