"""The first page: recent and total listening, when, and what most; or the same for the requested days."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.requests import Request

from myi_pipeline.web.dashboard.charts import calendar_of, clock_of
from myi_pipeline.web.dashboard.inputs import choice_of
from myi_pipeline.web.dashboard.live import last_plays
from myi_pipeline.web.dashboard.notices import mendable
from myi_pipeline.web.dashboard.on_this_day import years_ago
from myi_pipeline.web.dashboard.pages import show_marts
from myi_pipeline.web.dashboard.period_overview import read_period
from myi_pipeline.web.dashboard.periods import asked_span, period_tabs
from myi_pipeline.web.dashboard.signed_in import Person
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.reads.clock import clock
from myi_pipeline.web.reads.coverage import completeness, coverage_gaps
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.spans import FIRST_DAY, Period, months_back, period_start, today_in
from myi_pipeline.web.reads.streaks import streak_marks
from myi_pipeline.web.reads.summary import sums_by_kind, usual_spans
from myi_pipeline.web.reads.timeline import every_month, month_sums, timeline
from myi_pipeline.web.reads.top import BYS, on_top, top_of_period
from myi_pipeline.web.reads.user_status import find_user_status
from myi_pipeline.web.shown.spans import Span
from myi_pipeline.web.site import TheSite

router = APIRouter()

_WEEKS = 53
_TREND_MONTHS = 24
_TOP = 5
# A person who returns after a day gets new top lists from Spotify; the page does not wait for them.
_WANT_TOP_LISTS = b"select ops.want_top_lists(%(user_id)s, %(now)s)"
_YEARS_AGO = 3


@router.get("/")
async def overview(request: Request, person: Person, site: TheSite) -> HTMLResponse:
    """Everything, unless the address names a period; a mistake in it is shown in the form, above everything."""
    today = today_in(person.time_zone)
    mistake = None
    try:
        span = asked_span(request, today)
        by = choice_of(request, "ranked", BYS) or "plays"
    except Problem as problem:
        span, by, mistake = Span.of(Period.ALL, today), "plays", problem.detail
    user_status = await find_user_status(site.pools, person.user_id)
    if not span.is_everything:
        holds_today = span.first <= today <= span.last

        async def build_period(marts: Marts) -> Mapping[str, object]:
            found = await read_period(marts, span, today=today, by=by, zone=person.zones)
            return {**found, "plays": await last_plays(marts) if holds_today else ()}

        tabs = period_tabs(span, "/", today, **({"ranked": by} if by != "plays" else {}))
        return await show_marts(
            request, person, site, "period.html", build_period,
            today=today, by=by, tabs=tabs, holds_today=holds_today, user_status=user_status, zone=person.zones,
        )  # fmt: skip

    if user_status.is_connected:
        await site.pools.ask_access(_WANT_TOP_LISTS, {"user_id": person.user_id, "now": datetime.now(UTC)})

    async def build(marts: Marts) -> Mapping[str, object]:
        by_name = {row.name: row for row in await sums_by_kind(marts, *usual_spans(today))}
        first_week = period_start(Period.WEEK, today) - timedelta(weeks=_WEEKS - 1)
        days = await timeline(marts, grain="day", first_day=first_week, last_day=today)
        trend_from = months_back(today, _TREND_MONTHS - 1)
        months = await timeline(marts, grain="month", first_day=trend_from, last_day=today)
        # At the start of a month, there is no list yet.
        period = Period.MONTH if by_name["month"].counted_plays >= _TOP else Period.ALL
        start = period_start(period, today)
        gaps = await coverage_gaps(marts)
        return {
            "spans": by_name,
            "calendar": calendar_of(days, first=first_week, last=today),
            "months": every_month(month_sums(months), first=min(trend_from, today), last=today),
            "streaks": await streak_marks(marts, today),
            "clock": clock_of(await clock(marts, first_day=FIRST_DAY, last_day=today)),
            "plays": await last_plays(marts),
            "top_period": period.value,
            "top_artists": on_top(await top_of_period(marts, "artist", period=period, start=start, limit=_TOP)),
            "top_tracks": on_top(await top_of_period(marts, "recording", period=period, start=start, limit=_TOP)),
            "years_ago": await years_ago(marts, today),
            "most_years_ago": _YEARS_AGO,
            "known": completeness(gaps, last_heard=by_name["all"].last_heard, zone=person.zones),
        }

    answer = await show_marts(
        request, person, site, "overview.html", build,
        today=today, user_status=user_status, mendable=await mendable(site, person.user_id), zone=person.zones,
        span=span, tabs=period_tabs(span, "/", today),
        mistake=mistake, typed={name: request.query_params.get(name, "") for name in ("from", "to")},
    )  # fmt: skip
    answer.status_code = 422 if mistake else 200
    return answer
