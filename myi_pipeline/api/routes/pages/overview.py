"""The first page: what was heard lately and ever, when, and what most.

Belongs here: which figures stand there. Invariant: every figure is one that `/v1` also gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.requests import Request

from myi_pipeline.api.calendars import calendar_of, clock_of
from myi_pipeline.api.database import Snapshot
from myi_pipeline.api.listening_reads import evident_gaps, streak_marks
from myi_pipeline.api.page_months import every_month, months_back
from myi_pipeline.api.page_reads import clock, spans, timeline, top
from myi_pipeline.api.routes.pages.reader import Person, show_marts
from myi_pipeline.api.routes.reading import today_of
from myi_pipeline.api.site import TheSite
from myi_pipeline.api.spans import Period, period_start

router = APIRouter()

_WEEKS = 53
_TREND_MONTHS = 24
_TOP = 5


@router.get("/")
async def overview(request: Request, person: Person, site: TheSite) -> HTMLResponse:
    """Today, this month, all time; a year of days; two years of months; the hours of the week; what is on top."""
    today = today_of(person)

    async def build(marts: Snapshot) -> Mapping[str, object]:
        by_name = {span["name"]: span for span in await spans(marts, today)}
        first_week = period_start(Period.WEEK, today) - timedelta(weeks=_WEEKS - 1)
        days = await timeline(marts, grain="day", first=first_week, last=today)
        trend_from = months_back(today, _TREND_MONTHS - 1)
        months = await timeline(marts, grain="month", first=trend_from, last=today)
        # At the beginning of a month there is no list yet.
        period = Period.MONTH if by_name["month"]["counted_plays"] >= _TOP else Period.ALL
        start = period_start(period, today)
        return {
            "spans": by_name,
            "calendar": calendar_of(days, first=first_week, last=today),
            "months": every_month(months, first=min(trend_from, today), last=today),
            "streaks": await streak_marks(marts, today),
            "clock": clock_of(await clock(marts, first=None, last=today)),
            "top_period": period.value,
            "top_artists": await top(marts, "artist", period=period, start=start, limit=_TOP),
            "top_tracks": await top(marts, "track", period=period, start=start, limit=_TOP),
            "gaps": await evident_gaps(marts),
        }

    return await show_marts(request, person, site, "overview.html", build, today=today)
