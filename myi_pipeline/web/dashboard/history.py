"""Every play, newest first, day by day; searched by name and narrowed by date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta, tzinfo
from itertools import groupby

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.requests import Request

from myi_pipeline.web.dashboard.inputs import LONGEST_TEXT, day_of, days_of, text_of
from myi_pipeline.web.dashboard.pages import show_marts
from myi_pipeline.web.dashboard.paging import place_of
from myi_pipeline.web.dashboard.signed_in import Person
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.plays import PLAYS, FoundPlays, find_plays
from myi_pipeline.web.reads.spans import BEGINNING, END, moment
from myi_pipeline.web.reads.timeline import BucketRow, timeline
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.site import Site, TheSite

router = APIRouter()

_PLAYS_A_PAGE = 60


@router.get("/history")
async def history(request: Request, person: Person, site: TheSite) -> HTMLResponse:
    """All of it, the matches of a search, or one day; a mistake is shown in the form, which keeps what was typed."""
    try:
        words = text_of(request, "q")
        day = day_of(request, "day")
        first, last = (day, day) if day is not None else days_of(request)
    except Problem as problem:
        return await _refused(request, person, site, problem)
    filters = {"q": words, "from": first.isoformat() if first else "", "to": last.isoformat() if last else ""}
    place = place_of(request, site, person.user_id, **filters)
    from_at, to_at = _window(first, last, person.zones)

    async def build(marts: Marts) -> Mapping[str, object]:
        plays = await find_plays(
            marts, words, from_at=from_at, to_at=to_at, after=place.after, limit=_PLAYS_A_PAGE
        )  # fmt: skip
        days = [(day, list(rows)) for day, rows in groupby(plays.rows, key=lambda row: row.local_date)]
        # A search shows only part of a day, so the day's total would mislead.
        sums = {} if words else await _sums(marts, [day for day, _ in days])
        following = place.next(PLAYS.keys_of(plays.last)) if plays.last is not None else None
        return {"plays": plays, "days": days, "sums": sums, "first_page": place.first, "next_page": following}

    return await show_marts(
        request, person, site, "history.html", build,
        words=words, first=first, last=last, is_narrowed=any(filters.values()), mistake=None,
        day=first if first is not None and first == last and not words else None, next_day=timedelta(days=1),
    )  # fmt: skip


async def _refused(request: Request, person: Visitor, site: Site, problem: Problem) -> HTMLResponse:
    async def build(_: Marts) -> Mapping[str, object]:
        return {"plays": FoundPlays([], None, None), "days": [], "sums": {}, "first_page": None, "next_page": None}

    typed = {name: request.query_params.get(name, "")[:LONGEST_TEXT] for name in ("q", "from", "to")}
    answer = await show_marts(
        request, person, site, "history.html", build,
        words=typed["q"], first=typed["from"], last=typed["to"], is_narrowed=True, mistake=problem.detail, day=None,
    )  # fmt: skip
    answer.status_code = 422
    return answer


def _window(first: date | None, last: date | None, zone: tzinfo) -> tuple[datetime, datetime]:
    return (
        BEGINNING if first is None else moment(first, zone),
        END if last is None else moment(last, zone, is_end=True),
    )


async def _sums(marts: Marts, days: Sequence[date]) -> dict[date, BucketRow]:
    if not days:
        return {}
    rows = await timeline(marts, grain="day", first_day=min(days), last_day=max(days))
    return {row.starts_on: row for row in rows}
