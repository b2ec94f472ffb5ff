"""A year on one page, made for sharing and printing.

It contains nothing personal except the display name and the music. If the year is not over or plays may be missing, it
says so next to its figures, and only corresponding days are compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.requests import Request

from myi_pipeline.web.dashboard.charts import calendar_of, clock_of
from myi_pipeline.web.dashboard.inputs import missing, year_in_path
from myi_pipeline.web.dashboard.pages import SendTo, show_marts
from myi_pipeline.web.dashboard.signed_in import Person
from myi_pipeline.web.reads.clock import clock
from myi_pipeline.web.reads.coverage import completeness_within, evident_gaps, known_part
from myi_pipeline.web.reads.firsts import new_artists, year_variety
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.spans import Period, today_in
from myi_pipeline.web.reads.streaks import longest_streak_within
from myi_pipeline.web.reads.summary import comparison_of, heard_span, is_late, same_day_before, sums_of
from myi_pipeline.web.reads.timeline import every_month, month_sums, timeline
from myi_pipeline.web.reads.top import on_top, top_of_period
from myi_pipeline.web.shown.formats import days as spelt
from myi_pipeline.web.site import TheSite

router = APIRouter()

_TOP = 5


@router.get("/year")
async def newest_year(request: Request, person: Person, site: TheSite) -> HTMLResponse:
    """Redirects to the newest year with plays."""

    async def build(marts: Marts) -> Mapping[str, object]:
        heard = await heard_span(marts)
        if heard is not None:
            raise SendTo(f"/year/{heard[1].year}")
        return {}

    return await show_marts(request, person, site, "welcome.html", build)


@router.get("/year/{year}")
async def one_year(request: Request, person: Person, site: TheSite, year: str) -> HTMLResponse:
    first = date(year_in_path(year), 1, 1)
    end = first.replace(month=12, day=31)
    today = today_in(person.time_zone)
    # Days that have begun; plays of a listener further east may be a day ahead.
    last = max(first, min(end, today))
    zone = person.zones

    async def build(marts: Marts) -> Mapping[str, object]:
        years = await timeline(marts, grain="year")
        if first not in [row.starts_on for row in years]:
            raise missing(f"Nothing was heard in {first.year}.")
        days = await timeline(marts, grain="day", first_day=first, last_day=end)
        months = await timeline(marts, grain="month", first_day=first, last_day=end)
        before = (same_day_before(first), same_day_before(last))
        whole, year_before = await sums_of(marts, ("year", first, end), ("before", *before))
        gaps = await evident_gaps(marts)
        is_sure = not any(gap.days_within(first=before[0], last=before[1], zone=zone) for gap in gaps)
        is_first = first == years[0].starts_on
        begins_late = is_first and is_late(whole.first_heard, first)
        missing_spans = [gap.days_within(first=first, last=last, zone=zone) for gap in gaps if gap.gap_end is not None]
        return {
            "years": [row.starts_on.year for row in years],
            "whole": whole,
            "is_first": is_first,
            "begins": whole.first_heard if begins_late else None,
            "comparison": comparison_of(whole, year_before, oldest=years[0].starts_on, is_sure=is_sure),
            "variety": await year_variety(marts, first, zone),
            "calendar": calendar_of(days, first=first, last=last, drawn_to=end),
            "months": every_month(month_sums(months), first=first, last=end),
            "clock": clock_of(await clock(marts, first_day=first, last_day=end)),
            "busiest": max(days, key=lambda row: (row.ms_played, row.plays)),
            "streak": await longest_streak_within(marts, first_day=first, last_day=end),
            "top_artists": on_top(await top_of_period(marts, "artist", period=Period.YEAR, start=first, limit=_TOP)),
            "top_tracks": on_top(await top_of_period(marts, "recording", period=Period.YEAR, start=first, limit=_TOP)),
            "top_albums": on_top(await top_of_period(marts, "album", period=Period.YEAR, start=first, limit=_TOP)),
            "new_artists": await new_artists(marts, first, limit=_TOP),
            "gaps": [spelt(*span) for span in missing_spans if span is not None],
            "complete": completeness_within(gaps, first=first, last=last, zone=zone),
            "known": known_part(
                gaps, first=first, last=last, since=whole.first_heard if begins_late else None, zone=zone
            ),
        }

    return await show_marts(
        request, person, site, "year.html", build, year=first.year, is_over=last == end, last=last, today=today
    )
