"""Sessions, newest first, how long they last, and streaks of days."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.requests import Request

from myi_pipeline.web.dashboard.pages import show_marts
from myi_pipeline.web.dashboard.paging import place_of
from myi_pipeline.web.dashboard.signed_in import Person
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.sessions import SESSIONS, SessionLengthRow, session_lengths
from myi_pipeline.web.reads.sessions import sessions as read_sessions
from myi_pipeline.web.reads.spans import BEGINNING, today_in
from myi_pipeline.web.reads.streaks import longest_streaks, streak_marks
from myi_pipeline.web.site import TheSite

router = APIRouter()

_SESSIONS_A_PAGE = 25
_STREAKS = 8
_YEAR = timedelta(days=365)
# A distribution of fewer sessions says nothing.
_WORTH_A_CHART = 20


@router.get("/sessions")
async def sessions(request: Request, person: Person, site: TheSite) -> HTMLResponse:
    today = today_in(person.time_zone)
    place = place_of(request, site, person.user_id)

    async def build(marts: Marts) -> Mapping[str, object]:
        found = await read_sessions(marts, after=place.after, limit=_SESSIONS_A_PAGE + 1)
        rows = found[:_SESSIONS_A_PAGE]
        marks = await streak_marks(marts, today)
        return {
            "sessions": rows,
            "first_page": place.first,
            "next_page": place.next(SESSIONS.keys_of(rows[-1])) if len(found) > len(rows) else None,
            "current": marks.current,
            "longest": marks.longest,
            "streaks": await longest_streaks(marts, limit=_STREAKS),
            "lengths": await _lengths(marts, rows[0].ended_at if rows else None),
        }

    return await show_marts(request, person, site, "sessions.html", build, today=today)


async def _lengths(marts: Marts, newest: datetime | None) -> list[SessionLengthRow]:
    """Lengths of sessions in the year up to the newest one on the page; none if there are few."""
    if newest is None:
        return []
    from_at = max(newest, BEGINNING + _YEAR) - _YEAR
    rows = await session_lengths(marts, from_at=from_at, to_at=newest.astimezone(UTC) + timedelta(seconds=1))
    return rows if sum(row.sessions for row in rows) >= _WORTH_A_CHART else []
