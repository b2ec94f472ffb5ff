"""The account page (sign-ins, tokens, services, time zone, light or dark) with its forms, and the audit log.

Each form changes only what belongs to the person who sends it. The page shows no secrets: only the answer that creates
a token shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from zoneinfo import available_timezones

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.requests import Request

from myi_pipeline.errors import BadInput
from myi_pipeline.onward.journal import OnwardCounts, onward_of
from myi_pipeline.people import manage_access
from myi_pipeline.people.account_links import unlink
from myi_pipeline.people.audit import AuditRow, list_audit
from myi_pipeline.people.links import LinkedService, services_of
from myi_pipeline.people.logins import disconnect_user, pause_user, poll_account, resume_user
from myi_pipeline.people.manage_access import LONGEST_NAME, LONGEST_TOKEN_DAYS, TOKEN_DAYS, NewToken, TokenScope
from myi_pipeline.people.manage_users import set_user
from myi_pipeline.people.user_time_zones import begin_time_zone, list_time_zones, remove_time_zone
from myi_pipeline.playlists.gather_users import trouble_of
from myi_pipeline.playlists.migration.reviewing import list_linked
from myi_pipeline.polling.obstacles import ask_for_poll, polling_outlook
from myi_pipeline.providers.accounts import Provider, ProviderAccount, list_accounts
from myi_pipeline.providers.open_services import service_trouble
from myi_pipeline.providers.scrobbles import Service
from myi_pipeline.settings import Settings
from myi_pipeline.web.audit_words import audit_text, device_name
from myi_pipeline.web.dashboard.inputs import day_in_form, form_of, moment_in_form, number_in_path
from myi_pipeline.web.dashboard.pages import local_address, show
from myi_pipeline.web.dashboard.paging import place_of
from myi_pipeline.web.dashboard.polling_news import obstacle_text, poll_news, spotify_trouble
from myi_pipeline.web.dashboard.signed_in import AccountForm, Person
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.reads.coverage import find_login
from myi_pipeline.web.security import cookies
from myi_pipeline.web.security.client_address import client_address
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.shown.looks import scheme_of
from myi_pipeline.web.site import Site, TheSite

router = APIRouter()
_AUDIT_ROWS, _REFUSED_ROWS = 10, 10
_ACTIVITY_ROWS = 100
_SUBMISSIONS = b"select * from ops.submissions_of(%(user_id)s)"
_WAITING = b"select ops.listens_waiting(%(user_id)s)"
_REFUSED = b"select * from ops.refused_of(%(user_id)s, %(most)s)"

# The result of a form, by the word in the address it redirects to.
DONE = {
    "zone": "Your time zone has been changed. Days and hours are recalculated within a few minutes.",
    "asked": "Spotify is being polled. New plays appear within a minute.",
    "paused": "Polling is paused. Plays in the meantime may be missing until an archive adds them.",
    "resumed": "Polling is resumed; the first poll runs within five minutes.",
    "disconnected": "Spotify is disconnected and its login deleted. Your plays stay.",
    "main": "That account is polled from now on. The former one stays linked for its playlists.",
    "account-unlinked": "That Spotify account is no longer linked, and its login is deleted. What was read stays.",
    "linked": "The account is linked. Its history arrives within minutes, newest first.",
    "unlinked": "The account is no longer linked. Your plays stay.",
    "service-paused": "That service is not polled until you resume. Nothing is lost.",
    "service-resumed": "That service is polled again.",
    "sending": "Plays are sent on from now on, at least half an hour after they began.",
    "allowed": "MYI may send plays to Last.fm now. Press “Send my plays on” to begin.",
    "sending-stopped": "No more plays are sent. Plays already sent stay there.",
    "keeper-linked": "The account is linked. Its playlists are read within a few hours.",
    "keeper-unlinked": "That account is no longer linked, and its login is deleted. What was read stays.",
    "signed-out": "That browser is signed out.",
    "revoked": "That token no longer works.",
    "not-erased": "Your account stays. Nothing was erased.",
    "others-ended": "You are now signed in only here. Every other sign-in, token and link has ended.",
}


@dataclass(frozen=True)
class Allowing:
    """A pending permission that the person grants on a `page` of Last.fm;

    `token` is the one that page was opened with.
    """

    page: str
    token: str


@dataclass(frozen=True)
class Mistake:
    """What is wrong in one form of the page, shown there, and what was typed into it."""

    form: str
    text: str
    typed: Mapping[str, str]


@router.get("/account")
async def account(request: Request, person: Person, site: TheSite) -> HTMLResponse:
    done = DONE.get(request.query_params.get("done", ""))
    return await account_page(request, person, site, done=done)


async def account_page(
    request: Request,
    person: Visitor,
    site: Site,
    *,
    done: str | None = None,
    trouble: str | None = None,
    mistake: Mistake | None = None,
    new_token: NewToken | None = None,
    allowing: Allowing | None = None,
) -> HTMLResponse:
    settings, now = site.settings, datetime.now(UTC)
    outlook = await site.pools.in_thread(polling_outlook, user_id=person.user_id)
    sign_ins = await site.pools.in_thread(
        manage_access.list_sessions,
        user_id=person.user_id,
        idle_days=settings.session_idle_days,
        longest_days=settings.session_days,
    )
    values = {
        "login": await find_login(site.pools, person.user_id),
        "outlook": outlook,
        "now": now,
        "news": poll_news(outlook, now, person.time_zone),
        "spotify_trouble": spotify_trouble(settings),
        "further_accounts": [(each, trouble_of(each)) for each in await _further_accounts(site, person)],
        "services": await _services(site, person),
        "linkable": [each for each in Service if service_trouble(settings, each) is None],
        "keepers": await site.pools.in_thread(list_linked, user_id=person.user_id),
        "keepers_offered": _offered(settings),
        "sign_ins": [(each, device_name(each.device), each.session_id == person.session_id) for each in sign_ins],
        "tokens": await site.pools.in_thread(manage_access.list_tokens, user_id=person.user_id),
        "new_token": new_token,
        "site_url": settings.site_url,
        "submits": TokenScope.SUBMIT_LISTENS,
        "moves": TokenScope.MOVE_PLAYLISTS,
        "scrobblers": await site.pools.ask_access_for_rows(_SUBMISSIONS, {"user_id": person.user_id}),
        "waiting": (await site.pools.ask_access(_WAITING, {"user_id": person.user_id}) or (0,))[0],
        "refused": await site.pools.ask_access_for_rows(_REFUSED, {"user_id": person.user_id, "most": _REFUSED_ROWS}),
        "audit": [(row, audit_text(row)) for row in await _audit(site, person)],
        "token_days": TOKEN_DAYS,
        "longest_name": LONGEST_NAME,
        "longest_days": LONGEST_TOKEN_DAYS,
        "time_zones": _zones(),
        "zones_in_turn": await site.pools.in_thread(list_time_zones, user_id=person.user_id),
        "done": done,
        "trouble": trouble,
        "mistake": mistake,
        "allowing": allowing,
        "may_allow_lastfm": settings.lastfm_api_secret is not None,
    }
    answer = show(request, person, "account.html", values, path="/account")
    answer.status_code = 200 if trouble is None and mistake is None else 422
    return answer


@router.get("/account/activity")
async def activity(request: Request, person: Person, site: TheSite) -> HTMLResponse:
    """The whole audit log of the person, newest first."""
    place = place_of(request, site, person.user_id)
    before = int(place.after.keys[0]) if place.after.keys is not None else None
    found = await site.pools.in_thread(list_audit, user_id=person.user_id, limit=_ACTIVITY_ROWS + 1, before=before)
    rows = found[:_ACTIVITY_ROWS]
    values = {
        "rows": [(row, audit_text(row)) for row in rows],
        "first_page": place.first,
        "next_page": place.next([rows[-1].audit_id]) if len(found) > _ACTIVITY_ROWS else None,
    }
    return show(request, person, "activity.html", values, path="/account")


async def _services(site: Site, person: Visitor) -> list[tuple[LinkedService, OnwardCounts | None]]:
    """Linked accounts, and the state of sending plays on to each."""
    linked = await site.pools.in_thread(services_of, user_id=person.user_id)
    counts = await site.pools.in_thread(onward_of, user_id=person.user_id) if linked else ()
    by_service = {each.service: each for each in counts}
    return [(each, by_service.get(each.service)) for each in linked]


async def _further_accounts(site: Site, person: Visitor) -> list[ProviderAccount]:
    """Spotify accounts other than the polled one."""
    linked = await site.pools.in_thread(list_accounts, user_id=person.user_id)
    return [each for each in linked if each.provider is Provider.SPOTIFY and not each.is_main]


def _offered(settings: Settings) -> list[Provider]:
    """Services with playlists, other than Spotify, that can be linked here."""
    is_set_up = {
        Provider.TIDAL: settings.tidal_client_id is not None,
        Provider.YOUTUBE_MUSIC: settings.youtube_client_id is not None and settings.youtube_client_secret is not None,
    }
    return [provider for provider, is_there in is_set_up.items() if is_there]


async def _audit(site: Site, person: Visitor) -> tuple[AuditRow, ...]:
    return await site.pools.in_thread(list_audit, user_id=person.user_id, limit=_AUDIT_ROWS)


@cache
def _zones() -> list[str]:
    """Zones named after places, and UTC; not the many old names and offsets."""
    return sorted(name for name in available_timezones() if name == "UTC" or _is_place(name))


def _is_place(name: str) -> bool:
    area = name.partition("/")[0]
    return area in {
        "Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific",
    }  # fmt: skip


@router.post("/account/time-zone")
async def change_time_zone(request: Request, person: AccountForm, site: TheSite) -> Response:
    """Plays of the time in which it applies move to their days in the new zone with the next refresh."""
    form = await form_of(request)
    zone, since = form.get("time_zone", ""), form.get("since")
    try:
        if since is None:
            await site.pools.in_thread(set_user, user_key=person.user_key, time_zone=zone)
        else:
            await site.pools.in_thread(
                begin_time_zone,
                user_key=person.user_key,
                time_zone=zone,
                since=day_in_form(since, "since"),
                now=datetime.now(UTC),
            )
    except BadInput as error:
        return await account_page(request, person, site, mistake=Mistake("time_zone", str(error), form))
    site.visitors.forget_all()
    # If a page offered the browser's zone, go back to that page.
    return RedirectResponse(local_address(form["return_to"]), 303) if "return_to" in form else _back("zone")


@router.post("/account/time-zone/remove")
async def remove_zone(request: Request, person: AccountForm, site: TheSite) -> Response:
    """Removes a move: the previous zone stays in force."""
    form = await form_of(request)
    since = moment_in_form(form.get("since", ""), "since")
    found = await site.pools.in_thread(remove_time_zone, user_id=person.user_id, valid_from=since)
    return _ended(site, found, "zone")


@router.post("/account/look")
async def change_look(request: Request, person: AccountForm, site: TheSite) -> Response:
    """The switch at the bottom of every page, which leads back to it."""
    form = await form_of(request)
    answer = RedirectResponse(local_address(form.get("return_to")), 303)
    cookies.set_scheme(answer, site.settings, scheme_of(form.get("scheme")))
    return answer


@router.post("/account/poll")
async def poll_now(request: Request, person: AccountForm, site: TheSite) -> Response:
    now = datetime.now(UTC)
    found = await site.pools.in_thread(ask_for_poll, user_id=person.user_id, now=now)
    if found is not None:
        return await account_page(request, person, site, trouble=obstacle_text(found, person.time_zone))
    return _back("asked")


@router.post("/account/pause")
async def pause(request: Request, person: AccountForm, site: TheSite) -> Response:
    try:
        await site.pools.in_thread(pause_user, user_key=person.user_key, now=datetime.now(UTC))
    except BadInput:
        return await account_page(request, person, site, trouble="Spotify is not connected.")
    return _back("paused")


@router.post("/account/resume")
async def resume(request: Request, person: AccountForm, site: TheSite) -> Response:
    try:
        await site.pools.in_thread(resume_user, user_key=person.user_key)
    except BadInput:
        return await account_page(request, person, site, trouble="Spotify is not connected.")
    return _back("resumed")


@router.post("/account/disconnect")
async def disconnect(request: Request, person: AccountForm, site: TheSite) -> Response:
    """The login has been deleted when this answers."""
    await site.pools.in_thread(disconnect_user, user_key=person.user_key, address=_address(request, site))
    return _back("disconnected")


@router.post("/account/spotify/{account_id}/main")
async def poll_another(account_id: str, request: Request, person: AccountForm, site: TheSite) -> Response:
    """Polls another of the person's Spotify accounts from now on."""
    number = number_in_path(account_id)
    try:
        await site.pools.in_thread(
            poll_account,
            user_id=person.user_id,
            account_id=number,
            now=datetime.now(UTC),
            address=_address(request, site),
        )
    except BadInput:
        raise Problem(404, "not-found", "That account is no longer linked.") from None
    return _back("main")


@router.post("/account/spotify/{account_id}/unlink")
async def unlink_spotify(account_id: str, request: Request, person: AccountForm, site: TheSite) -> Response:
    """The login of one of the person's Spotify accounts has been deleted when this answers."""
    number = number_in_path(account_id)
    found = await site.pools.in_thread(
        unlink, user_id=person.user_id, account_id=number, now=datetime.now(UTC), address=_address(request, site)
    )
    return _ended(site, found, "account-unlinked")


@router.post("/account/sign-ins/{session_id}/end")
async def end_sign_in(session_id: str, request: Request, person: AccountForm, site: TheSite) -> Response:
    number = number_in_path(session_id)
    found = await site.pools.in_thread(
        manage_access.end_session_of, user_id=person.user_id, session_id=number, address=_address(request, site)
    )
    return _ended(site, found, "signed-out")


@router.post("/account/sign-ins/end-others")
async def end_others(request: Request, person: AccountForm, site: TheSite) -> Response:
    """Ends every sign-in except this one, and every token and link."""
    await site.pools.in_thread(
        manage_access.end_all,
        user_id=person.user_id,
        but_session=person.session_id,
        address=_address(request, site),
    )
    site.visitors.forget_all()
    return _back("others-ended")


@router.post("/account/tokens")
async def make_token(request: Request, person: AccountForm, site: TheSite) -> Response:
    """The answer itself shows the token, once: a redirect would need to keep it in its address."""
    form = await form_of(request)
    days = form.get("days")
    try:
        if days is not None and not (days.isascii() and days.isdigit() and len(days) <= len(str(LONGEST_TOKEN_DAYS))):
            raise BadInput(f"a token is valid for 1 to {LONGEST_TOKEN_DAYS} days", place="days")
        made = await site.pools.in_thread(
            manage_access.make_token,
            user_id=person.user_id,
            name=form.get("name", ""),
            days=int(days) if days is not None else None,
            scope=_scope(form.get("scope")),
            address=_address(request, site),
        )
    except BadInput as error:
        return await account_page(request, person, site, mistake=Mistake("token", str(error), form))
    return await account_page(request, person, site, new_token=made)


@router.post("/account/tokens/{token_id}/revoke")
async def revoke_token(token_id: str, request: Request, person: AccountForm, site: TheSite) -> Response:
    number = number_in_path(token_id)
    found = await site.pools.in_thread(
        manage_access.revoke_token, token_id=number, user_id=person.user_id, address=_address(request, site)
    )
    return _ended(site, found, "revoked")


def _scope(chosen: str | None) -> TokenScope:
    if chosen in (None, TokenScope.READ, TokenScope.SUBMIT_LISTENS, TokenScope.MOVE_PLAYLISTS):
        return TokenScope(chosen or TokenScope.READ)
    raise BadInput("choose whether the token reads, submits listens or moves playlists", place="scope")


def _address(request: Request, site: TheSite) -> str:
    return client_address(request, site.settings.trusted_networks)


def _ended(site: TheSite, found: bool, done: str) -> Response:
    if not found:
        raise Problem(404, "not-found", "It no longer exists.")
    site.visitors.forget_all()
    return _back(done)


def _back(done: str) -> Response:
    return RedirectResponse(f"/account?done={done}", 303)
