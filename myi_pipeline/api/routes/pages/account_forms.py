"""What the forms of the page for accounts do.

Belongs here: from a form to one service and back to the page. Not here: the page. Invariants: a person in a browser
alone may post, on this site's own page (security/same_site); each form changes what belongs to that person and nothing
else; what belongs to another is not there.
"""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response
from starlette.requests import Request

from myi_pipeline.api.page_queries import form_of, number_in_path
from myi_pipeline.api.poll_words import obstacle_text
from myi_pipeline.api.problems import Problem
from myi_pipeline.api.routes.pages.account import account_page
from myi_pipeline.api.routes.pages.doer import OnAccount
from myi_pipeline.api.site import TheSite
from myi_pipeline.core.errors import BadInput
from myi_pipeline.services import manage_access
from myi_pipeline.services.ask_for_poll import ask_for_poll
from myi_pipeline.services.manage_access import LONGEST_TOKEN_DAYS
from myi_pipeline.services.manage_logins import disconnect_user, pause_user, resume_user
from myi_pipeline.services.manage_users import set_user

router = APIRouter(prefix="/account")


@router.post("/time-zone")
async def change_time_zone(request: Request, person: OnAccount, site: TheSite) -> Response:
    """Every play moves to its day in the new zone, with the next refresh."""
    zone = (await form_of(request)).get("time_zone", "")
    try:
        await site.pools.in_thread(set_user, user_key=person.user_key, time_zone=zone)
    except BadInput as error:
        return await account_page(request, person, site, trouble=str(error))
    site.visitors.forget_all()
    return _back("zone")


@router.post("/poll")
async def poll_now(request: Request, person: OnAccount, site: TheSite) -> Response:
    now = datetime.now(UTC)
    found = await site.pools.in_thread(ask_for_poll, user_id=person.user_id, now=now)
    if found is not None:
        return await account_page(request, person, site, trouble=obstacle_text(found, person.time_zone))
    return _back("asked")


@router.post("/pause")
async def pause(request: Request, person: OnAccount, site: TheSite) -> Response:
    try:
        await site.pools.in_thread(pause_user, user_key=person.user_key, now=datetime.now(UTC))
    except BadInput:
        return await account_page(request, person, site, trouble="Spotify is not connected.")
    return _back("paused")


@router.post("/resume")
async def resume(request: Request, person: OnAccount, site: TheSite) -> Response:
    try:
        await site.pools.in_thread(resume_user, user_key=person.user_key)
    except BadInput:
        return await account_page(request, person, site, trouble="Spotify is not connected.")
    return _back("resumed")


@router.post("/disconnect")
async def disconnect(person: OnAccount, site: TheSite) -> Response:
    """The login is gone when this answers."""
    await site.pools.in_thread(disconnect_user, user_key=person.user_key)
    return _back("disconnected")


@router.post("/sign-ins/{session_id}/end")
async def end_sign_in(session_id: str, person: OnAccount, site: TheSite) -> Response:
    number = number_in_path(session_id)
    found = await site.pools.in_thread(manage_access.end_session_of, user_id=person.user_id, session_id=number)
    return _ended(site, found, "signed-out")


@router.post("/tokens")
async def make_token(request: Request, person: OnAccount, site: TheSite) -> Response:
    """The answer itself shows the token, once: an address to go on to would have to keep it."""
    form = await form_of(request)
    days = form.get("days")
    try:
        if days is not None and not (days.isascii() and days.isdigit() and len(days) <= len(str(LONGEST_TOKEN_DAYS))):
            raise BadInput(f"a token lives 1 to {LONGEST_TOKEN_DAYS} days", place="days")
        made = await site.pools.in_thread(
            manage_access.make_token,
            user_id=person.user_id,
            name=form.get("name", ""),
            days=int(days) if days is not None else None,
        )
    except BadInput as error:
        return await account_page(request, person, site, trouble=str(error))
    return await account_page(request, person, site, new_token=made)


@router.post("/tokens/{token_id}/revoke")
async def revoke_token(token_id: str, person: OnAccount, site: TheSite) -> Response:
    number = number_in_path(token_id)
    found = await site.pools.in_thread(manage_access.revoke_token, token_id=number, user_id=person.user_id)
    return _ended(site, found, "revoked")


def _ended(site: TheSite, found: bool, done: str) -> Response:
    if not found:
        raise Problem(404, "not-found", "You have none of that number.")
    site.visitors.forget_all()
    return _back(done)


def _back(done: str) -> Response:
    return RedirectResponse(f"/account?done={done}", 303)
