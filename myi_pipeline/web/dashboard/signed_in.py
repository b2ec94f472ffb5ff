"""Who looks at a page or sends its form: a person in a signed-in browser, never an access token.

A visitor who is not signed in is sent to sign in, and then back: to the page that was asked for, or from a form to the
page that holds it.
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
AccountForm = Annotated[Visitor, Depends(sender_of_form("/account"))]
