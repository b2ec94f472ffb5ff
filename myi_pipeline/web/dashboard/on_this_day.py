"""What was heard on one day of the calendar, in every year that has it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.requests import Request

from myi_pipeline.web.dashboard.inputs import missing
from myi_pipeline.web.dashboard.pages import show_marts
from myi_pipeline.web.dashboard.signed_in import Person
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.on_this_day import DayRow, heard_on, same_day_of
from myi_pipeline.web.reads.spans import today_in
from myi_pipeline.web.reads.summary import heard_span
from myi_pipeline.web.site import TheSite

router = APIRouter()

_DAY = re.compile(r"(\d{2})-(\d{2})\Z", re.ASCII)
# A leap year, which has every day.
_LEAP = 2024


@router.get("/on-this-day")
async def today_in_other_years(request: Request, person: Person, site: TheSite) -> HTMLResponse:
    today = today_in(person.time_zone)
    return await _page(request, person, site, today.replace(year=_LEAP), today)


@router.get("/on-this-day/{day}")
async def on_this_day(request: Request, person: Person, site: TheSite, day: str) -> HTMLResponse:
    return await _page(request, person, site, _day_in_path(day), today_in(person.time_zone))


async def years_ago(marts: Marts, today: date) -> list[DayRow]:
    """What was heard on this day in earlier years, newest first."""
    heard = await heard_span(marts)
    if heard is None:
        return []
    return await heard_on(marts, same_day_of(range(heard[0].year, today.year), month=today.month, day=today.day))


async def _page(request: Request, person: Person, site: TheSite, day: date, today: date) -> HTMLResponse:
    async def build(marts: Marts) -> Mapping[str, object]:
        heard = await heard_span(marts)
        years = range(heard[0].year, max(heard[1], today).year + 1) if heard else range(0)
        return {"heard": await heard_on(marts, same_day_of(years, month=day.month, day=day.day))}

    return await show_marts(
        request,
        person,
        site,
        "on_this_day.html",
        build,
        day=day,
        before=_same_year(day - timedelta(days=1)),
        after=_same_year(day + timedelta(days=1)),
        today=today,
    )


def _same_year(day: date) -> date:
    return day.replace(year=_LEAP)


def _day_in_path(text: str) -> date:
    """A day of the calendar, such as 02-29. Raises Problem 404."""
    found = _DAY.match(text)
    try:
        if found is not None:
            return date(_LEAP, int(found[1]), int(found[2]))
    except ValueError:
        pass
    raise missing("There is no such day.")
