"""Two listeners who show each other some of their figures: invitations, what each shows, the other's page, ending it.

Only signed-in people see any of it. Agreements of others are answered with 404.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.requests import Request

from myi_pipeline.errors import BadInput, Gone
from myi_pipeline.sharing import household as agreements
from myi_pipeline.sharing.household import SHARED_PARTS
from myi_pipeline.web.dashboard.inputs import form_of, missing, number_in_path
from myi_pipeline.web.dashboard.pages import show
from myi_pipeline.web.dashboard.periods import asked_span, period_tabs
from myi_pipeline.web.dashboard.signed_in import HouseholdForm, Person
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.reads.spans import today_in
from myi_pipeline.web.security.client_address import client_address
from myi_pipeline.web.security.rate_limits import Tier, limited
from myi_pipeline.web.security.visitors import Visitor, is_secret
from myi_pipeline.web.shown.agreements import read_of_other, shown_span
from myi_pipeline.web.site import Site, TheSite

router = APIRouter()
PART_NAMES = {
    "overview": "how much you listen: times, counts, when",
    "tops": "your top artists, tracks and albums",
    "common": "what you both love",
}
DONE = {
    "invited": "The invitation is on the other’s page “Household” for 14 days.",
    "claimed": "The invitation is yours: choose what to show, and accept it.",
    "agreed": "You can see each other’s figures now.",
    "chosen": "Your choice has been saved.",
    "ended": "It has ended. Neither of you sees the other’s figures any more.",
}
_NONE = "This invitation or agreement no longer exists."
# An invitation by name reveals whether a user has that name.
_LIMITED = [Depends(limited(Tier.SENSITIVE, "invitations"))]


@dataclass(frozen=True)
class Mistake:
    """What was wrong in a form: `new`, or the id of an agreement."""

    form: str
    text: str
    typed: Mapping[str, str]


@router.get("/household")
async def household(request: Request, person: Person, site: TheSite) -> HTMLResponse:
    return await _page(request, person, site, done=DONE.get(request.query_params.get("done", "")))


@router.post("/household", dependencies=_LIMITED)
async def invite(request: Request, person: HouseholdForm, site: TheSite) -> Response:
    """The answer itself shows the link, once: a redirect would need to keep it in its address."""
    form = await form_of(request)
    by_link = form.get("by") == "link"
    try:
        if not by_link and "user_key" not in form:
            raise BadInput("enter whom you invite", place="user_key")
        secret = await site.pools.in_thread(
            agreements.invite,
            user_id=person.user_id,
            parts=_parts(form),
            user_key=None if by_link else form["user_key"],
            now=datetime.now(UTC),
            address=_address(request, site),
        )
    except BadInput as error:
        return await _page(request, person, site, mistake=Mistake("new", str(error), form))
    if secret is None:
        return RedirectResponse("/household?done=invited", 303)
    return await _page(request, person, site, link=f"{site.settings.site_url}/household/invitations/{secret}")


@router.get("/household/invitations/{secret}")
async def look_at_invitation(request: Request, person: Person, secret: str) -> HTMLResponse:
    """The page behind a link: the invitation is taken by a form, so that link-checking programs do not take it."""
    if not is_secret(secret):
        raise missing("This link is incomplete: ask for the whole link.")
    return show(request, person, "invitation.html", {"secret": secret}, path="/household")


@router.post("/household/invitations/{secret}", dependencies=_LIMITED)
async def take_invitation(secret: str, person: HouseholdForm, site: TheSite) -> Response:
    if not is_secret(secret):
        raise missing("This link is incomplete: ask for the whole link.")
    try:
        await site.pools.in_thread(agreements.claim, user_id=person.user_id, secret=secret, now=datetime.now(UTC))
    except Gone as error:
        text = str(error)
        raise Problem(404, "not-found", text[:1].upper() + text[1:]) from None
    return RedirectResponse("/household?done=claimed", 303)


@router.post("/household/{agreement_id}/accept")
async def accept(agreement_id: str, request: Request, person: HouseholdForm, site: TheSite) -> Response:
    form = await form_of(request)
    try:
        await site.pools.in_thread(
            agreements.accept, user_id=person.user_id, agreement_id=number_in_path(agreement_id), parts=_parts(form),
            now=datetime.now(UTC), address=_address(request, site),
        )  # fmt: skip
    except Gone:
        raise missing(_NONE) from None
    except BadInput as error:
        return await _page(request, person, site, mistake=Mistake(agreement_id, str(error), form))
    return RedirectResponse("/household?done=agreed", 303)


@router.post("/household/{agreement_id}/choose")
async def choose(agreement_id: str, request: Request, person: HouseholdForm, site: TheSite) -> Response:
    form = await form_of(request)
    try:
        await site.pools.in_thread(
            agreements.choose, user_id=person.user_id, agreement_id=number_in_path(agreement_id), parts=_parts(form),
            address=_address(request, site),
        )  # fmt: skip
    except Gone:
        raise missing(_NONE) from None
    except BadInput as error:
        return await _page(request, person, site, mistake=Mistake(agreement_id, str(error), form))
    return RedirectResponse("/household?done=chosen", 303)


@router.post("/household/{agreement_id}/end")
async def end(agreement_id: str, request: Request, person: HouseholdForm, site: TheSite) -> Response:
    found = await site.pools.in_thread(
        agreements.end, user_id=person.user_id, agreement_id=number_in_path(agreement_id),
        address=_address(request, site),
    )  # fmt: skip
    if not found:
        raise missing(_NONE)
    return RedirectResponse("/household?done=ended", 303)


@router.get("/household/{agreement_id}")
async def of_other(agreement_id: str, request: Request, person: Person, site: TheSite) -> HTMLResponse:
    """What the other shows of a period; all time by default."""
    today = today_in(person.time_zone)
    number = number_in_path(agreement_id)
    shown = await read_of_other(site, person, number, asked_span(request, today))
    span = shown.span
    after = span.after()
    path = f"/household/{number}"
    values = {
        "shown": shown, "span": span, "tabs": period_tabs(span, path, today), "today": today,
        "part_names": PART_NAMES, "own_path": path, "before": span.before(),
        "after": after if after is not None and shown_span(after, today) == after else None,
    }  # fmt: skip
    return show(request, person, "household_member.html", values)


async def _page(
    request: Request,
    person: Visitor,
    site: Site,
    *,
    done: str | None = None,
    link: str | None = None,
    mistake: Mistake | None = None,
) -> HTMLResponse:
    found = await site.pools.in_thread(agreements.list_agreements, user_id=person.user_id, now=datetime.now(UTC))
    values = {
        "agreed": [each for each in found if each.accepted_at is not None],
        "received": [each for each in found if each.accepted_at is None and not each.is_inviter],
        "sent": [each for each in found if each.accepted_at is None and each.is_inviter],
        "part_names": PART_NAMES,
        "done": done,
        "link": link,
        "mistake": mistake,
    }
    answer = show(request, person, "household.html", values, path="/household")
    answer.status_code = 422 if mistake is not None else 200
    return answer


def _parts(form: Mapping[str, str]) -> list[str]:
    return [part for part in SHARED_PARTS if form.get(f"part_{part}")]


def _address(request: Request, site: Site) -> str:
    return client_address(request, site.settings.trusted_networks)
