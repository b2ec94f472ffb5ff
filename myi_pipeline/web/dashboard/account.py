"""Who may come in, Spotify and other services, the time zone, light or dark: the page, what its forms do, and the audit
log in words.

Each form changes what belongs to the person who sends it, and nothing else. The page shows no secret: a new token is
shown by the answer that makes it, and by nothing else.
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
from myi_pipeline.people.audit import AuditRow, Event, list_audit
from myi_pipeline.people.links import LinkedService, services_of
from myi_pipeline.people.logins import disconnect_user, pause_user, resume_user
from myi_pipeline.people.manage_access import LONGEST_NAME, LONGEST_TOKEN_DAYS, TOKEN_DAYS, NewToken, TokenScope
from myi_pipeline.people.manage_users import set_user
from myi_pipeline.people.user_time_zones import begin_time_zone, list_time_zones, remove_time_zone
from myi_pipeline.polling.obstacles import ask_for_poll, polling_outlook
from myi_pipeline.providers.open_services import service_trouble
from myi_pipeline.providers.scrobbles import Service
from myi_pipeline.web.dashboard.inputs import day_in_form, form_of, moment_in_form, number_in_path
from myi_pipeline.web.dashboard.looks import scheme_of
from myi_pipeline.web.dashboard.pages import local_address, show
from myi_pipeline.web.dashboard.polling_news import obstacle_text, poll_news, spotify_trouble
from myi_pipeline.web.dashboard.signed_in import AccountForm, Person
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.reads.coverage import find_login
from myi_pipeline.web.security import cookies
from myi_pipeline.web.security.client_address import client_address
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.site import Site, TheSite

router = APIRouter()
_AUDIT_ROWS, _REFUSED_ROWS = 30, 10
_SUBMISSIONS = b"select * from ops.submissions_of(%(user_id)s)"
_WAITING = b"select ops.listens_waiting(%(user_id)s)"
_REFUSED = b"select * from ops.refused_of(%(user_id)s, %(most)s)"

# What a form did, by the word with which it leads back here.
DONE = {
    "zone": "Your time zone is changed. Days and hours are worked out anew within a few minutes.",
    "asked": "Spotify is being asked. What is new shows up within a minute.",
    "paused": "Polling is paused. What you play meanwhile may be missing until an archive brings it.",
    "resumed": "Polling goes on; the first poll comes within five minutes.",
    "disconnected": "Spotify is disconnected and its login deleted. Your plays stay.",
    "linked": "The account is linked. Its history comes within minutes, the newest first.",
    "unlinked": "The account is not linked any more. Your plays stay.",
    "service-paused": "That service is not asked until you resume. Nothing is lost by it.",
    "service-resumed": "That service is asked again.",
    "sending": "Plays are sent on from now on, half an hour after they began at the earliest.",
    "sending-stopped": "Nothing more is sent. What was sent stays there.",
    "signed-out": "That browser is signed out.",
    "revoked": "That token no longer works.",
    "others-ended": "You are signed in only here now. Every other sign-in, token and link has ended.",
}


@dataclass(frozen=True)
class Mistake:
    """What is wrong in one form of the page, said there, and what was typed into it."""

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
        "services": await _services(site, person),
        "linkable": [each for each in Service if service_trouble(settings, each) is None],
        "sign_ins": [(each, device_name(each.device), each.session_id == person.session_id) for each in sign_ins],
        "tokens": await site.pools.in_thread(manage_access.list_tokens, user_id=person.user_id),
        "new_token": new_token,
        "site_url": settings.site_url,
        "submits": TokenScope.SUBMIT_LISTENS,
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
    }
    answer = show(request, person, "account.html", values, path="/account")
    answer.status_code = 200 if trouble is None and mistake is None else 422
    return answer


async def _services(site: Site, person: Visitor) -> list[tuple[LinkedService, OnwardCounts | None]]:
    """Linked accounts, and how sending plays on to each stands."""
    linked = await site.pools.in_thread(services_of, user_id=person.user_id)
    counts = await site.pools.in_thread(onward_of, user_id=person.user_id) if linked else ()
    by_service = {each.service: each for each in counts}
    return [(each, by_service.get(each.service)) for each in linked]


async def _audit(site: Site, person: Visitor) -> tuple[AuditRow, ...]:
    return await site.pools.in_thread(list_audit, user_id=person.user_id, limit=_AUDIT_ROWS)


@cache
def _zones() -> list[str]:
    """Places, and UTC; not the many old names and offsets."""
    return sorted(name for name in available_timezones() if name == "UTC" or _is_place(name))


def _is_place(name: str) -> bool:
    area = name.partition("/")[0]
    return area in {
        "Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific",
    }  # fmt: skip


@router.post("/account/time-zone")
async def change_time_zone(request: Request, person: AccountForm, site: TheSite) -> Response:
    """The plays of the time in which it holds move to their days in the new zone, with the next refresh."""
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
    # From a page that offered the browser's zone, back to that page.
    return RedirectResponse(local_address(form["return_to"]), 303) if "return_to" in form else _back("zone")


@router.post("/account/time-zone/remove")
async def remove_zone(request: Request, person: AccountForm, site: TheSite) -> Response:
    """A move that was none: the zone before it holds on."""
    form = await form_of(request)
    since = moment_in_form(form.get("since", ""), "since")
    found = await site.pools.in_thread(remove_time_zone, user_id=person.user_id, valid_from=since)
    return _ended(site, found, "zone")


@router.post("/account/look")
async def change_look(request: Request, person: AccountForm, site: TheSite) -> Response:
    """The switch below every page, which leads back there."""
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
    """The login is gone when this answers."""
    await site.pools.in_thread(disconnect_user, user_key=person.user_key, address=_address(request, site))
    return _back("disconnected")


@router.post("/account/sign-ins/{session_id}/end")
async def end_sign_in(session_id: str, request: Request, person: AccountForm, site: TheSite) -> Response:
    number = number_in_path(session_id)
    found = await site.pools.in_thread(
        manage_access.end_session_of, user_id=person.user_id, session_id=number, address=_address(request, site)
    )
    return _ended(site, found, "signed-out")


@router.post("/account/sign-ins/end-others")
async def end_others(request: Request, person: AccountForm, site: TheSite) -> Response:
    """Every sign-in but this one, and every token and link."""
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
    if chosen in (None, TokenScope.READ, TokenScope.SUBMIT_LISTENS):
        return TokenScope(chosen or TokenScope.READ)
    raise BadInput("a token made here reads, or submits listens", place="scope")


def _address(request: Request, site: TheSite) -> str:
    return client_address(request, site.settings.trusted_networks)


def _ended(site: TheSite, found: bool, done: str) -> Response:
    if not found:
        raise Problem(404, "not-found", "That is not there any more.")
    site.visitors.forget_all()
    return _back(done)


def _back(done: str) -> Response:
    return RedirectResponse(f"/account?done={done}", 303)


_PLAIN: dict[str, str] = {
    Event.SIGN_IN_REFUSED: "A sign-in was refused",
    Event.LINK_MADE: "A one-time link was made",
    Event.SPOTIFY_CONNECTED: "Spotify was connected",
    Event.SPOTIFY_DISCONNECTED: "Spotify was disconnected",
    Event.SERVICE_LINKED: "An account of Last.fm or ListenBrainz was linked",
    Event.SERVICE_UNLINKED: "An account of Last.fm or ListenBrainz was unlinked",
    Event.USER_ADDED: "The user was added",
    Event.CORRECTED: "Plays were hidden, deleted or corrected",
    Event.CORRECTION_UNDONE: "A correction was undone",
}


def audit_text(row: AuditRow) -> str:
    """A sentence without its full stop. Names in it are the person's own words: templates escape them."""
    detail = row.detail
    match row.event:
        case Event.SIGNED_IN:
            how = "by a link" if detail.get("method") == "link" else "with Spotify"
            return f"{device_name(str(detail.get('device', '')))} signed in {how}"
        case Event.SIGNED_OUT:
            return f"{device_name(str(detail.get('device', '')))} was signed out"
        case Event.SIGN_INS_ENDED:
            kept = "every other sign-in" if detail.get("kept_one") else "every sign-in"
            return f"{kept.capitalize()}, token and link was ended"
        case Event.TOKEN_MADE:
            return f"The token “{detail.get('name', '')}” was made"
        case Event.TOKEN_REVOKED:
            return f"The token “{detail.get('name', '')}” was revoked"
        case Event.RECORDING_DECIDED if detail.get("decision") == "same":
            return f"Tracks {detail.get('track')} and {detail.get('other')} were said to be one song"
        case Event.RECORDING_DECIDED:
            return f"Track {detail.get('track')} was said to stand by itself"
        case Event.RECORDING_TAKEN_BACK:
            return "A decision about a song was taken back"
        case Event.WRONG_CREDENTIAL:
            return "A token that has ended was shown"
        case Event.COMMAND if "operator" in detail:
            return f"Dagster's pages were {'opened' if detail['operator'] else 'closed'} to the user"
        case Event.COMMAND:
            return f"The operator did something to this account ({detail.get('command', '')})"
        case _:
            return _PLAIN.get(row.event, row.event.replace("_", " ").capitalize())


# In the order in which they must be asked: Edge and Opera name Chrome too, Chrome names Safari.
_BROWSERS = (
    ("Edg/", "Edge"), ("OPR/", "Opera"), ("SamsungBrowser/", "Samsung Internet"), ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"), ("CriOS/", "Chrome"), ("Chrome/", "Chrome"), ("Safari/", "Safari"),
)  # fmt: skip
_SYSTEMS = (
    ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"), ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"), ("Linux", "Linux"),
)  # fmt: skip
_LONGEST = 60


def device_name(user_agent: str) -> str:
    """`Firefox on Linux`, or the beginning of what was said."""
    browser = next((name for sign, name in _BROWSERS if sign in user_agent), None)
    system = next((name for sign, name in _SYSTEMS if sign in user_agent), None)
    if browser is not None and system is not None:
        return f"{browser} on {system}"
    return browser or user_agent[:_LONGEST].strip() or "Unknown browser"
