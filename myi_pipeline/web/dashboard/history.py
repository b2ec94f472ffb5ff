"""Every play, newest first, day by day; found again by its names and by its date.

Belongs here: what narrows the list and how it is grouped. Not here: reading plays (play_search). Invariant: the list
has the order of `/v1/me/plays`, and no play is left out of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from itertools import groupby

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.requests import Request

from myi_pipeline.api.database import Snapshot
from myi_pipeline.api.listing import Row
from myi_pipeline.api.page_lists import place_of
from myi_pipeline.api.page_queries import days_of, text_of
from myi_pipeline.api.page_reads import timeline
from myi_pipeline.api.parameters import zone_of
from myi_pipeline.api.play_search import find_plays
from myi_pipeline.api.routes.pages.reader import Person, show_marts
from myi_pipeline.api.site import TheSite
from myi_pipeline.api.spans import BEGINNING, END, moment

router = APIRouter()

_PLAYS_A_PAGE = 60


@router.get("/history")
async def history(request: Request, person: Person, site: TheSite) -> HTMLResponse:
    words = text_of(request, "q")
    first, last = days_of(request)
    filters = {"q": words, "from": first.isoformat() if first else "", "to": last.isoformat() if last else ""}
    place = place_of(request, site, person.user_id, **filters)
    window = _window(first, last, person.time_zone)

    async def build(marts: Snapshot) -> Mapping[str, object]:
        plays = await find_plays(marts, words, place=place, limit=_PLAYS_A_PAGE, window=window)
        days = [(day, list(rows)) for day, rows in groupby(plays.rows, key=lambda row: row["local_date"])]
        # Of a search a day shows a part, beside which the day's sum would mislead.
        sums = {} if words else await _sums(marts, [day for day, _ in days])
        return {"plays": plays, "days": days, "sums": sums}

    asked = {"words": words, "first": first, "last": last, "is_narrowed": any(filters.values())}
    return await show_marts(request, person, site, "history.html", build, **asked)


def _window(first: date | None, last: date | None, time_zone: str) -> dict[str, datetime]:
    zone = zone_of(time_zone)
    return {
        "from_at": BEGINNING if first is None else moment(first, zone),
        "to_at": END if last is None else moment(last, zone, is_end=True),
    }


async def _sums(marts: Snapshot, days: Sequence[date]) -> dict[date, Row]:
    if not days:
        return {}
    rows = await timeline(marts, grain="day", first=min(days), last=max(days))
    return {row["starts_on"]: row for row in rows}
