"""Sessions, how long they are, and days in a row.

Belongs here: which of them stand on the page. Not here: what a session is (the marts say). Invariant: every figure is
that of a mart's rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.requests import Request

from myi_pipeline.api.database import Snapshot
from myi_pipeline.api.listing import MOST_BIGINT, Order, Row, fetch
from myi_pipeline.api.page_lists import list_page, place_of
from myi_pipeline.api.routes.pages.reader import Person, show_marts
from myi_pipeline.api.routes.reading import today_of
from myi_pipeline.api.site import TheSite
from myi_pipeline.api.spans import BEGINNING, END
from myi_pipeline.api.sql_files import load_sql

router = APIRouter()

_SESSIONS = Order({"ended_at": END, "session_id": MOST_BIGINT})
_SESSIONS_A_PAGE = 25
_STREAKS = 8
_YEAR = timedelta(days=365)
# Of fewer sessions a distribution says nothing.
_WORTH_A_CHART = 20


@router.get("/sessions")
async def sessions(request: Request, person: Person, site: TheSite) -> HTMLResponse:
    today = today_of(person)
    place = place_of(request, site, person.user_id)

    async def build(marts: Snapshot) -> Mapping[str, object]:
        window = {"from_at": BEGINNING, "to_at": END}
        sql = load_sql("marts/sessions")
        page = await list_page(marts, sql, _SESSIONS, place=place, limit=_SESSIONS_A_PAGE, values=window)
        found = await fetch(marts, load_sql("marts/streak_marks"), {"yesterday": today - timedelta(days=1)})
        marks: dict[str, Row] = {row["mark"]: row for row in found}
        return {
            "page": page,
            "current": marks.get("current"),
            "longest": marks.get("longest"),
            "streaks": await fetch(marts, load_sql("pages/longest_streaks"), {"limit": _STREAKS}),
            "lengths": await _lengths(marts, page.rows[0]["ended_at"] if page.rows else None),
        }

    return await show_marts(request, person, site, "sessions.html", build, today=today)


async def _lengths(marts: Snapshot, newest: datetime | None) -> list[Row]:
    """Of the year up to the newest session on the page; none when there are few."""
    if newest is None:
        return []
    values = {"from_at": max(newest, BEGINNING + _YEAR) - _YEAR, "to_at": newest.astimezone(UTC) + timedelta(seconds=1)}
    rows = await fetch(marts, load_sql("pages/session_lengths"), values)
    return rows if sum(row["sessions"] for row in rows) >= _WORTH_A_CHART else []
