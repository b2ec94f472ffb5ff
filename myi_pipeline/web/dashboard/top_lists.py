"""Top lists: tracks, artists and albums of a week, a month, a year, of all time, or of any days.

Belongs here: which days an address means, and where the arrows and tabs lead. Invariant: the list and its figures are
those that `/v1/me/top` gives for the same days; a page of it follows the last row seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from urllib.parse import urlencode

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.requests import Request

from myi_pipeline.api.cursors import BadCursor
from myi_pipeline.api.database import Snapshot
from myi_pipeline.api.listening_reads import OLDEST, After, evident_gaps, heard_span, top_page
from myi_pipeline.api.page_addresses import choice_of
from myi_pipeline.api.page_formats import days, month
from myi_pipeline.api.page_months import gaps_within
from myi_pipeline.api.page_queries import cursor_of, day_of, days_of, wrong
from myi_pipeline.api.page_reads import Entity, spans_of
from myi_pipeline.api.parameters import zone_of
from myi_pipeline.api.routes.pages.reader import Person, show_marts
from myi_pipeline.api.routes.reading import today_of
from myi_pipeline.api.site import Site, TheSite
from myi_pipeline.api.spans import Period, last_day_of, period_start

router = APIRouter()

_ON_A_PAGE = 50
_ENTITIES: Mapping[str, Entity] = {"tracks": "track", "artists": "artist", "albums": "album"}
_PERIODS = {Period.WEEK: "Week", Period.MONTH: "Month", Period.YEAR: "Year", Period.ALL: "All time"}


@dataclass(frozen=True)
class Asked:
    """What is listed, and of which days; `period` is None where they are no period."""

    what: str
    period: Period | None
    first: date
    last: date

    @property
    def entity(self) -> Entity:
        return _ENTITIES[self.what]

    @property
    def label(self) -> str:
        match self.period:
            case Period.MONTH:
                return month(self.first)
            case Period.YEAR:
                return str(self.first.year)
            case Period.ALL:
                return "All time"
            case _:
                return days(self.first, self.last)

    @property
    def query(self) -> dict[str, str]:
        """What asks for the same days tomorrow."""
        match self.period:
            case None:
                return {"from": self.first.isoformat(), "to": self.last.isoformat()}
            case Period.ALL:
                return {"period": self.period.value}
            case _:
                return {"period": self.period.value, "date": self.first.isoformat()}

    def address(self, **changes: str) -> str:
        return f"/top?{urlencode({'what': self.what, **self.query, **changes})}"

    def of_period(self, period: Period, at: date | None = None) -> str:
        """The same list of the period that holds `at`; without it, that holds today."""
        wanted = {"what": self.what, "period": period.value}
        if at is not None and period is not Period.ALL:
            wanted["date"] = period_start(period, at).isoformat()
        return f"/top?{urlencode(wanted)}"


@router.get("/top")
async def top_lists(request: Request, person: Person, site: TheSite) -> HTMLResponse:
    """A page of one list."""
    today = today_of(person)
    asked = _asked(request, today)
    purpose = f"{person.user_id} /top {asked.what} {asked.period} {asked.first} {asked.last}"
    after = _after(site, purpose, cursor_of(request))

    async def build(marts: Snapshot) -> Mapping[str, object]:
        last = min(asked.last, today.replace(month=12, day=31))
        page = await top_page(
            marts, asked.entity, period=asked.period, first=asked.first, last=last, after=after, limit=_ON_A_PAGE
        )
        heard = await heard_span(marts)
        (whole,) = await spans_of(marts, [("whole", asked.first, asked.last)])
        gaps = await evident_gaps(marts)
        zone = zone_of(person.time_zone)
        return {
            "page": page,
            "next": asked.address(cursor=site.cursors.seal(purpose, page.next.keys)) if page.next else None,
            "whole": whole,
            "gaps": gaps_within(gaps, first=max(asked.first, OLDEST), last=min(asked.last, today), zone=zone),
            "lately": _lately(asked, heard),
            **_steps(asked, heard, today),
        }

    return await show_marts(
        request, person, site, "top.html", build,
        asked=asked, today=today, first_page=asked.address() if after.rank else None,
        whats=[(asked.address(what=what), what.capitalize(), what == asked.what) for what in _ENTITIES],
        periods=_period_tabs(asked, today),
    )  # fmt: skip


def _asked(request: Request, today: date) -> Asked:
    what = choice_of(request, "what", tuple(_ENTITIES)) or "tracks"
    period = choice_of(request, "period", tuple(Period)) or Period.ALL
    at = day_of(request, "date") or today
    first, last = days_of(request)
    if first is None and last is None:
        start = period_start(period, at)
        return Asked(what, period, start, last_day_of(period, start))
    # One end is enough: from then on, or up to then.
    return Asked(what, None, first or min(OLDEST, last or OLDEST), last or max(today, first or today))


def _after(site: Site, purpose: str, cursor: str | None) -> After:
    if cursor is None:
        return After()
    try:
        return After(*(int(key) for key in site.cursors.open(purpose, cursor)))
    except BadCursor:
        raise wrong("This is no address of a page of this list; begin at its first page.") from None


def _period_tabs(asked: Asked, today: date) -> list[tuple[str, str, bool]]:
    """From a month to the year around it, from a year to its last month that has begun."""
    at = None if asked.period is Period.ALL else min(asked.last, today)
    return [(asked.of_period(each, at), name, each is asked.period) for each, name in _PERIODS.items()]


def _steps(asked: Asked, heard: tuple[date, date] | None, today: date) -> dict[str, str | None]:
    """The periods beside this one, where there may be plays."""
    period = asked.period
    if period is None or period is Period.ALL or heard is None:
        return {"before": None, "after": None}
    has_before, has_after = asked.first > heard[0], asked.last < today
    return {
        "before": asked.of_period(period, asked.first - timedelta(days=1)) if has_before else None,
        "after": asked.of_period(period, asked.last + timedelta(days=1)) if has_after else None,
    }


def _lately(asked: Asked, heard: tuple[date, date] | None) -> tuple[str, date] | None:
    """Where the newest list of this kind is, for a page that has nothing."""
    if heard is None or asked.period is None:
        return None
    return asked.of_period(asked.period, heard[1]), heard[1]
