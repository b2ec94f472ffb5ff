"""The page on which a person lets an app in (people.sign_in_attempts), and its form.

Only somebody who is signed in here can let an app in, and only by this page's own form, which shows the app's code: a
link from a stranger leads to the same page, but to a code that none of the person's apps shows.
"""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import RedirectResponse, Response
from starlette.requests import Request

from myi_pipeline.people import sign_in_attempts
from myi_pipeline.people.sign_in_attempts import NoSuchAttempt, WaitingAttempt
from myi_pipeline.web.dashboard import pages
from myi_pipeline.web.dashboard.inputs import form_of
from myi_pipeline.web.dashboard.polling_news import spotify_trouble
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.security.client_address import client_address
from myi_pipeline.web.security.identity import find_visitor
from myi_pipeline.web.security.rate_limits import Tier, limited, note_guess
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.site import APP_SIGN_IN_PAGE, Site, TheSite

router = APIRouter()
_ID = re.compile(r"[A-Za-z0-9_-]{22}\Z")
_LIMITED = [Depends(limited(Tier.NORMAL, "pages"))]


async def _browser(request: Request, site: TheSite) -> Visitor | None:
    """The person signed in in this browser; a token does not count."""
    visitor = await find_visitor(request, site)
    return visitor if visitor is not None and visitor.session_id is not None else None


Browser = Annotated[Visitor | None, Depends(_browser)]


@router.get(f"{APP_SIGN_IN_PAGE}/{{attempt_id}}", dependencies=_LIMITED)
async def show_app(attempt_id: str, request: Request, person: Browser, site: TheSite) -> Response:
    """Shows which app asks, and its code."""
    attempt = await _find(attempt_id, request, site)
    if attempt.state != "pending":
        return _ended(attempt)
    return pages.page(
        "app_sign_in.html",
        app=attempt,
        person=person,
        spotify_trouble=spotify_trouble(site.settings),
        page=APP_SIGN_IN_PAGE,
    )


@router.post(f"{APP_SIGN_IN_PAGE}/{{attempt_id}}", dependencies=_LIMITED)
async def decide(attempt_id: str, request: Request, person: Browser, site: TheSite) -> Response:
    """The person lets the app in or declines. Declining needs no sign-in."""
    attempt = await _find(attempt_id, request, site)
    answer = (await form_of(request)).get("answer", "")
    if answer == "no":
        await site.pools.in_thread(sign_in_attempts.fail_attempt, attempt_id=attempt.attempt_id, reason="denied")
    elif answer == "yes" and person is not None:
        await site.pools.in_thread(
            sign_in_attempts.let_in, attempt_id=attempt.attempt_id, user_id=person.user_id
        )  # fmt: skip
    else:
        return RedirectResponse(f"{APP_SIGN_IN_PAGE}/{attempt.attempt_id}", 303)
    return _ended(await _find(attempt_id, request, site))


def _ended(attempt: WaitingAttempt) -> Response:
    is_done = attempt.state in ("allowed", "collected")
    return pages.page("app_sign_in_ended.html", app=attempt, is_done=is_done, status=200 if is_done else 410)


async def _find(attempt_id: str, request: Request, site: Site) -> WaitingAttempt:
    try:
        if not _ID.match(attempt_id):
            raise NoSuchAttempt("this address is incomplete: open it from the app again")
        return await site.pools.in_thread(sign_in_attempts.find_attempt, attempt_id=attempt_id)
    except NoSuchAttempt as error:
        await note_guess(site, client_address(request, site.settings.trusted_networks), "attempt")
        raise Problem(404, "not-found", f"{str(error).capitalize()}.") from None
