"""A year on one page, made to be shown to others and to be printed.

Belongs here: which figures stand there. Invariants: nothing personal but the display name and the music; a year that is
not over, or of which plays may be missing, says so beside its figures, and is compared with like days only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.requests import Request

from myi_pipeline.api.calendars import calendar_of, clock_of
from myi_pipeline.api.database import Snapshot
from myi_pipeline.api.listening_reads import evident_gaps, heard_span, longest_streak, new_artists, year_variety
from myi_pipeline.api.listing import Row
from myi_pipeline.api.page_addresses import missing, year_in_path
from myi_pipeline.api.page_formats import days as spelt
from myi_pipeline.api.page_months import every_month, gaps_within
from myi_pipeline.api.page_reads import clock, spans_of, timeline, top
from myi_pipeline.api.pages import SendTo
from myi_pipeline.api.parameters import zone_of
from myi_pipeline.api.routes.pages.reader import Person, show_marts
from myi_pipeline.api.routes.reading import today_of
from myi_pipeline.api.site import TheSite
from myi_pipeline.api.spans import Period

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

    async def build(marts: Snapshot) -> Mapping[str, object]:
        heard = await heard_span(marts)
        if heard is not None:
            raise SendTo(f"/year/{heard[1].year}")
        return {}

    return await show_marts(request, person, site, "welcome.html", build)


@router.get("/year/{year}")
async def one_year(request: Request, person: Person, site: TheSite, year: str) -> HTMLResponse:
    first = date(year_in_path(year), 1, 1)
    end = first.replace(month=12, day=31)
    today = today_of(person)
    # The days that there have been; plays of a listener further east may lie a day ahead.
    last = max(first, min(end, today))
    zone = zone_of(person.time_zone)

    async def build(marts: Snapshot) -> Mapping[str, object]:
        years = await timeline(marts, grain="year", first=None, last=None)
        if first not in [row["starts_on"] for row in years]:
            raise missing(f"Nothing was heard in {first.year}.")
        days = await timeline(marts, grain="day", first=first, last=end)
        months = await timeline(marts, grain="month", first=first, last=end)
        before = (_same_day(first), _same_day(last))
        whole, year_before = await spans_of(marts, [("year", first, end), ("before", *before)])
        gaps = await evident_gaps(marts)
        is_sure = not gaps_within(gaps, first=before[0], last=before[1], zone=zone)
        is_first = first == years[0]["starts_on"]
        begins_late = is_first and (whole["first_heard"] - first).days > _LATE_DAYS
        missing_spans = gaps_within(gaps, first=first, last=last, zone=zone)
        return {
            "years": [row["starts_on"].year for row in years],
            "whole": whole,
            "is_first": is_first,
            "begins": whole["first_heard"] if begins_late else None,
            "comparison": _comparison(whole, year_before, oldest=years[0]["starts_on"], is_sure=is_sure),
            "variety": await year_variety(marts, first, zone),
            "calendar": calendar_of(days, first=first, last=last, drawn_to=end),
            "months": every_month(months, first=first, last=end),
            "clock": clock_of(await clock(marts, first=first, last=end)),
            "busiest": max(days, key=lambda row: (row["ms_played"], row["plays"])),
            "streak": await longest_streak(marts, first=first, last=end),
            "top_artists": await top(marts, "artist", period=Period.YEAR, start=first, limit=_TOP),
            "top_tracks": await top(marts, "track", period=Period.YEAR, start=first, limit=_TOP),
            "top_albums": await top(marts, "album", period=Period.YEAR, start=first, limit=_TOP),
            "new_artists": await new_artists(marts, first, limit=_TOP),
            "gaps": [spelt(gap["first_day"], gap["last_day"]) for gap in missing_spans],
        }

    return await show_marts(
        request, person, site, "year.html", build, year=first.year, is_over=last == end, last=last, today=today
    )


def _same_day(day: date) -> date:
    """That day of the year before; of a leap day the day before it."""
    try:
        return day.replace(year=day.year - 1)
    except ValueError:
        return day.replace(year=day.year - 1, day=28)


def _comparison(whole: Row, before: Row, *, oldest: date, is_sure: bool) -> Comparison | None:
    if before["ms_played"] == 0:
        return None
    # A history that begins in the middle of a year has nothing to compare the next one with.
    if before["first_day"] == oldest and (before["first_heard"] - oldest).days > _LATE_DAYS:
        return None
    change = round(100 * (whole["ms_played"] - before["ms_played"]) / before["ms_played"])
    return Comparison(before["first_day"].year, change, is_sure)
