"""Erasing an account: what would be deleted, requesting it, withdrawing the request, and the receipt.

The receipt is open to anybody who has its id, since the person no longer has an account by then. It names nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.requests import Request

from myi_pipeline.errors import BadInput
from myi_pipeline.people import erasures
from myi_pipeline.people.erasures import ImportIsRunning
from myi_pipeline.web.dashboard.inputs import form_of
from myi_pipeline.web.dashboard.pages import page, show
from myi_pipeline.web.dashboard.signed_in import AccountForm, Person
from myi_pipeline.web.erasing import ask_for_erasure, look_at_erasure, withdraw_erasure
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.security import cookies
from myi_pipeline.web.security.rate_limits import Tier, limited
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.site import Site, TheSite

router = APIRouter(include_in_schema=False)
# Never by the session's cookie, which is no longer valid: it would count as a guess from the person's address.
_BY_ADDRESS = [Depends(limited(Tier.LENIENT, "receipts"))]
# How often the page reloads while the erasure is carried out.
_AGAIN_IN_S = 5


@router.get("/account/erase")
async def erase_page(request: Request, person: Person, site: TheSite) -> HTMLResponse:
    return await _page(request, person, site)


@router.post("/account/erase")
async def ask(request: Request, person: AccountForm, site: TheSite) -> Response:
    """Redirects to the receipt, because this page is gone once the user is deleted."""
    form = await form_of(request)
    try:
        wish = await ask_for_erasure(request, site, person, confirmation=form.get("confirmation", ""))
    except (BadInput, ImportIsRunning) as error:
        return await _page(request, person, site, mistake=str(error))
    return RedirectResponse(f"/erasures/{wish.receipt_id}", 303)


@router.post("/account/erase/withdraw")
async def withdraw(request: Request, person: AccountForm, site: TheSite) -> Response:
    if not await withdraw_erasure(request, site, person):
        return await _page(request, person, site, mistake="it is being carried out already")
    return RedirectResponse("/account?done=not-erased", 303)


@router.get("/erasures/{receipt_id}", dependencies=_BY_ADDRESS)
async def receipt(receipt_id: str, request: Request, site: TheSite) -> HTMLResponse:
    found = await site.pools.in_thread(erasures.read_receipt, receipt_id)
    if found is None:
        raise Problem(404, "not-found", "There is no such receipt.")
    is_waiting = found.state == "waiting" and found.due_at > datetime.now(UTC)
    values: Mapping[str, object] = {"receipt": found, "is_waiting": is_waiting, "again_in_s": _AGAIN_IN_S}
    answer = page("erased.html", values)
    if found.erased_at is not None and cookies.read_session(request, site.settings):
        cookies.clear_session(answer, site.settings)
    # Neither a cache nor the next site learns the id.
    answer.headers["Referrer-Policy"] = "no-referrer"
    answer.headers["Cache-Control"] = "no-store"
    return answer


async def _page(request: Request, person: Visitor, site: Site, *, mistake: str | None = None) -> HTMLResponse:
    counts, wish = await look_at_erasure(site, person)
    page_values: Mapping[str, object] = {
        "counts": counts,
        "wish": wish,
        "is_due": wish is not None and wish.due_at <= datetime.now(UTC),
        "grace_days": site.settings.erasure_grace_days,
        "mistake": mistake,
    }
    answer = show(request, person, "erase.html", page_values, path="/account/erase")
    answer.status_code = 200 if mistake is None else 422
    return answer
