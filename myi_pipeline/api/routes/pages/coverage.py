"""What is known, what may be missing, and why.

Belongs here: what the page brings together. Not here: words for reasons (gap_words). Invariant: whatever the marts say
may be missing is on this page.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.requests import Request

from myi_pipeline.api.coverage_years import years_of
from myi_pipeline.api.database import Snapshot
from myi_pipeline.api.gap_words import groups_of
from myi_pipeline.api.logins import find_login
from myi_pipeline.api.page_reads import coverage_gaps, spans_of
from myi_pipeline.api.parameters import zone_of
from myi_pipeline.api.poll_words import poll_news
from myi_pipeline.api.routes.pages.reader import Person, show_marts
from myi_pipeline.api.site import TheSite
from myi_pipeline.api.spans import FIRST_DAY, LAST_DAY, moment
from myi_pipeline.services.ask_for_poll import polling_outlook

router = APIRouter()


@router.get("/coverage")
async def coverage(request: Request, person: Person, site: TheSite) -> HTMLResponse:
    now = datetime.now(UTC)
    login = await find_login(site.pools, person.user_id)
    outlook = await site.pools.in_thread(polling_outlook, user_id=person.user_id)

    async def build(marts: Snapshot) -> Mapping[str, object]:
        (whole,) = await spans_of(marts, [("all", FIRST_DAY, LAST_DAY)])
        gaps = await coverage_gaps(marts)
        first = moment(whole["first_heard"], zone_of(person.time_zone)) if whole["first_heard"] else None
        groups = groups_of(gaps)
        return {
            "whole": whole,
            "groups": groups,
            "evident": sum(len(group.spans) for group in groups if group.is_evident),
            "years": years_of(gaps, first=first, now=now) if first is not None and first < now else [],
        }

    values = {"login": login, "outlook": outlook, "now": now, "news": poll_news(outlook, now, person.time_zone)}
    return await show_marts(request, person, site, "coverage.html", build, **values)
