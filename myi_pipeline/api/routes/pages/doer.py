"""Who does something on a page.

Belongs here: the dependency of pages' forms. Invariant: a form is for a person in a browser; a program with an access
token is refused, whoever is not signed in is sent to sign in and then to the page with the form, not to its target.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated
from urllib.parse import quote

from fastapi import Depends
from starlette.requests import Request

from myi_pipeline.api import pages
from myi_pipeline.api.problems import Problem
from myi_pipeline.api.security.identity import find_visitor
from myi_pipeline.api.security.known_visitors import Visitor
from myi_pipeline.api.security.rate_limits import Tier
from myi_pipeline.api.site import TheSite


def doer(page: str) -> Callable[[Request, TheSite], Awaitable[Visitor]]:
    """The dependency of the forms of one page."""

    async def find(request: Request, site: TheSite) -> Visitor:
        visitor = await find_visitor(request, site)
        if visitor is None:
            raise pages.SendTo(f"/sign-in?return_to={quote(page, safe='')}")
        if visitor.session_id is None:
            raise Problem(403, "browser-only", "This is for browsers that are signed in; a token cannot do it.")
        site.limits.take(Tier.NORMAL, "users", str(visitor.user_id))
        return visitor

    find.tier = Tier.NORMAL  # type: ignore[attr-defined]
    return find


OnImports = Annotated[Visitor, Depends(doer("/imports"))]
OnAccount = Annotated[Visitor, Depends(doer("/account"))]
