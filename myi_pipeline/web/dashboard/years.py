"""A year on one page, made to be shown to others and to be printed.

Nothing personal is on it but the display name and the music. A year that is not over, or of which plays may be missing,
says so beside its figures, and is compared with like days only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.requests import Request

from myi_pipeline.web.dashboard.charts import calendar_of, clock_of, every_month, month_sums
from myi_pipeline.web.dashboard.coverage import known_part
from myi_pipeline.web.dashboard.formats import days as spelt
from myi_pipeline.web.dashboard.inputs import missing, year_in_path
from myi_pipeline.web.dashboard.pages import SendTo, show_marts
from myi_pipeline.web.dashboard.signed_in import Person
from myi_pipeline.web.reads.clock import clock
from myi_pipeline.web.reads.coverage import evident_gaps
from myi_pipeline.web.reads.database import Marts
from myi_pipeline.web.reads.firsts import new_artists, year_variety
from myi_pipeline.web.reads.spans import Period, today_in
from myi_pipeline.web.reads.streaks import longest_streak_within
from myi_pipeline.web.reads.summary import SpanRow, heard_span, sums_of
from myi_pipeline.web.reads.timeline import timeline
from myi_pipeline.web.reads.top import top_of_period
from myi_pipeline.web.site import TheSite

router = APIRouter()

_TOP = 5
# A year whose first play comes later than this is one in which the history itself begins.
_LATE_DAYS = 31


@dataclass(frozen=True)
class Comparison:
    """With the same days of the year before: `change` in per cent of time; `is_sure` if nothing of them is missing."""

    year: int
    change: int
    is_sure: bool


@router.get("/year")
async def newest_year(request: Request, person: Person, site: TheSite) -> HTMLResponse:
    """To the newest year with plays."""

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
    # The days that there have been; plays of a listener further east may lie a day ahead.
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
        missing_spans = [gap.days_within(first=first, last=last, zone=zone) for gap in gaps]
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
            "top_artists": await top_of_period(marts, "artist", period=Period.YEAR, start=first, limit=_TOP),
            "top_tracks": await top_of_period(marts, "recording", period=Period.YEAR, start=first, limit=_TOP),
            "top_albums": await top_of_period(marts, "album", period=Period.YEAR, start=first, limit=_TOP),
            "new_artists": await new_artists(marts, first, limit=_TOP),
            "gaps": [spelt(*span) for span in missing_spans if span is not None],
            "known": known_part(
                gaps, first=first, last=last, since=whole.first_heard if begins_late else None, zone=zone
            ),
        }

    return await show_marts(
        request, person, site, "year.html", build, year=first.year, is_over=last == end, last=last, today=today
    )


def same_day_before(day: date) -> date:
    """That day of the year before; of a leap day the day before it."""
    try:
        return day.replace(year=day.year - 1)
    except ValueError:
        return day.replace(year=day.year - 1, day=28)


def is_late(first_heard: date | None, begins: date) -> bool:
    return first_heard is not None and (first_heard - begins).days > _LATE_DAYS


def comparison_of(whole: SpanRow, before: SpanRow, *, oldest: date, is_sure: bool) -> Comparison | None:
    """None where there is nothing to compare with. `oldest` is 1 January of the year in which the history begins."""
    if before.ms_played == 0:
        return None
    # A history that begins in the middle of a year has nothing to compare the next one with.
    if before.first_day == oldest and is_late(before.first_heard, oldest):
        return None
    change = round(100 * (whole.ms_played - before.ms_played) / before.ms_played)
    return Comparison(before.first_day.year, change, is_sure)
