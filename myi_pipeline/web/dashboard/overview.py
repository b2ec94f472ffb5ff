"""The first page: what was heard lately and ever, when, and what most."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.requests import Request

from myi_pipeline.web.dashboard.charts import calendar_of, clock_of, every_month, month_sums, months_back
from myi_pipeline.web.dashboard.on_this_day import years_ago
from myi_pipeline.web.dashboard.pages import show_marts
from myi_pipeline.web.dashboard.signed_in import Person
from myi_pipeline.web.reads.clock import clock
from myi_pipeline.web.reads.coverage import evident_gaps, find_login, is_being_counted
from myi_pipeline.web.reads.database import Marts
from myi_pipeline.web.reads.spans import FIRST_DAY, Period, period_start, today_in
from myi_pipeline.web.reads.streaks import streak_marks
from myi_pipeline.web.reads.summary import sums_of, usual_spans
from myi_pipeline.web.reads.timeline import timeline
from myi_pipeline.web.reads.top import top_of_period
from myi_pipeline.web.site import TheSite

router = APIRouter()

_WEEKS = 53
_TREND_MONTHS = 24
_TOP = 5
_YEARS_AGO = 3


@router.get("/")
async def overview(request: Request, person: Person, site: TheSite) -> HTMLResponse:
    """Today, this month, all time; a year of days; two years of months; the hours of the week; what is on top."""
    today = today_in(person.time_zone)
    login = await find_login(site.pools, person.user_id)

    async def build(marts: Marts) -> Mapping[str, object]:
        by_name = {span.name: span for span in await sums_of(marts, *usual_spans(today))}
        first_week = period_start(Period.WEEK, today) - timedelta(weeks=_WEEKS - 1)
        days = await timeline(marts, grain="day", first_day=first_week, last_day=today)
        trend_from = months_back(today, _TREND_MONTHS - 1)
        months = await timeline(marts, grain="month", first_day=trend_from, last_day=today)
        # At the beginning of a month there is no list yet.
        period = Period.MONTH if by_name["month"].counted_plays >= _TOP else Period.ALL
        start = period_start(period, today)
        return {
            "spans": by_name,
            "calendar": calendar_of(days, first=first_week, last=today),
            "months": every_month(month_sums(months), first=min(trend_from, today), last=today),
            "streaks": await streak_marks(marts, today),
            "clock": clock_of(await clock(marts, first_day=FIRST_DAY, last_day=today)),
            "top_period": period.value,
            "top_artists": await top_of_period(marts, "artist", period=period, start=start, limit=_TOP),
            "top_tracks": await top_of_period(marts, "track", period=period, start=start, limit=_TOP),
            "years_ago": await years_ago(marts, today),
            "most_years_ago": _YEARS_AGO,
            "gaps": await evident_gaps(marts),
        }

    return await show_marts(
        request,
        person,
        site,
        "overview.html",
        build,
        today=today,
        is_connected=login is not None and login.status == "active",
        is_being_counted=await is_being_counted(site.pools, person.user_id),
    )
