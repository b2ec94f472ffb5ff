"""Who looks at a page, and the step from that person's marts to a page.

Belongs here: what all pages have in common. Not here: a page. Invariant: who is not signed in is sent to sign in and
then back; an access token is no person.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated
from urllib.parse import quote

import psycopg
from fastapi import Depends
from fastapi.responses import HTMLResponse
from starlette.requests import Request

from myi_pipeline.api import pages
from myi_pipeline.api.database import Snapshot
from myi_pipeline.api.security.identity import find_visitor
from myi_pipeline.api.security.known_visitors import Visitor
from myi_pipeline.api.security.rate_limits import Tier
from myi_pipeline.api.site import Site, TheSite

Build = Callable[[Snapshot], Awaitable[Mapping[str, object]]]


def person_within(tier: Tier, what: str) -> Callable[[Request, TheSite], Awaitable[Visitor]]:
    """The dependency of whatever a person looks at; requests are counted by `what`."""

    async def find(request: Request, site: TheSite) -> Visitor:
        visitor = await find_visitor(request, site)
        if visitor is None or visitor.session_id is None:
            target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            raise pages.SendTo("/sign-in" if target == "/" else f"/sign-in?return_to={quote(target, safe='')}")
        site.limits.take(tier, what, str(visitor.user_id))
        return visitor

    find.tier = tier  # type: ignore[attr-defined]
    return find


Person = Annotated[Visitor, Depends(person_within(Tier.NORMAL, "users"))]


def show(
    request: Request,
    person: Visitor,
    template: str,
    values: Mapping[str, object] | None = None,
    *,
    path: str | None = None,
) -> HTMLResponse:
    """A page of the dashboard, with its frame; `path` where it stands, if it answers another address."""
    return pages.page(template, values, person=person, path=path or request.url.path)


async def show_marts(
    request: Request, person: Visitor, site: Site, template: str, build: Build, **values: object
) -> HTMLResponse:
    """A page of what `build` reads, all in one snapshot. Before the first refresh: how to begin."""
    try:
        async with site.pools.read_as(person.user_id) as marts:
            if marts.version is None:
                return show(request, person, "welcome.html")
            read = await build(marts)
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return show(request, person, "welcome.html")
    return show(request, person, template, {**values, **read})
