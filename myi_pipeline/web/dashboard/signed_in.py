"""The person who views a page or sends its form: in a signed-in browser, never an access token.

A visitor who is not signed in is redirected to sign in and then back to the requested page, or to the page with the
form.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated
from urllib.parse import quote

from fastapi import Depends
from starlette.requests import Request

from myi_pipeline.web.dashboard import pages
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.security.identity import BROWSER_ONLY, find_visitor
from myi_pipeline.web.security.rate_limits import Tier
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.site import TheSite


def person_within(tier: Tier, what: str) -> Callable[[Request, TheSite], Awaitable[Visitor]]:
    """The dependency of every page; requests are rate-limited by `what`."""

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


def sender_of_form(page: str) -> Callable[[Request, TheSite], Awaitable[Visitor]]:
    """The dependency of the forms on one page."""

    async def find(request: Request, site: TheSite) -> Visitor:
        visitor = await find_visitor(request, site)
        if visitor is None:
            raise pages.SendTo(f"/sign-in?return_to={quote(page, safe='')}")
        if visitor.session_id is None:
            raise Problem(403, "browser-only", BROWSER_ONLY)
        site.limits.take(Tier.NORMAL, "users", str(visitor.user_id))
        return visitor

    find.tier = Tier.NORMAL  # type: ignore[attr-defined]
    return find


ImportsForm = Annotated[Visitor, Depends(sender_of_form("/imports"))]
CorrectionsForm = Annotated[Visitor, Depends(sender_of_form("/corrections"))]
PlaylistsForm = Annotated[Visitor, Depends(sender_of_form("/playlists"))]
AccountForm = Annotated[Visitor, Depends(sender_of_form("/account"))]
ExportsForm = Annotated[Visitor, Depends(sender_of_form("/exports"))]
MigrationsForm = Annotated[Visitor, Depends(sender_of_form("/migrations"))]
SharesForm = Annotated[Visitor, Depends(sender_of_form("/shares"))]
HouseholdForm = Annotated[Visitor, Depends(sender_of_form("/household"))]
NoticesForm = Annotated[Visitor, Depends(sender_of_form("/notices"))]
