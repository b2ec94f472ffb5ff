"""Who may come in, Spotify, and the time zone: what a person decides, as ordinary forms.

Belongs here: the page. Not here: what its forms do (account_forms). Invariant: it shows no secret; a new token is shown
by the answer that makes it and by nothing else.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from zoneinfo import available_timezones

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.requests import Request

from myi_pipeline.api.devices import device_name
from myi_pipeline.api.logins import find_login
from myi_pipeline.api.poll_words import poll_news
from myi_pipeline.api.routes.pages.reader import Person, show
from myi_pipeline.api.routes.sign_in import spotify_trouble
from myi_pipeline.api.security.known_visitors import Visitor
from myi_pipeline.api.site import Site, TheSite
from myi_pipeline.services import manage_access
from myi_pipeline.services.ask_for_poll import polling_outlook
from myi_pipeline.services.manage_access import LONGEST_NAME, LONGEST_TOKEN_DAYS, NewToken

router = APIRouter()

# What a form did, by the word with which it leads back here.
DONE = {
    "zone": "The time zone is changed. Days and hours are counted anew with the next refresh, within minutes while myi"
    " up runs.",
    "asked": "Spotify is asked with the next run of polls, within ten minutes while myi up runs. Figures follow with"
    " the refresh after it.",
    "paused": "Polling is paused. Plays of this time may be missing until an archive brings them.",
    "resumed": "Polling goes on; the first poll comes within ten minutes while myi up runs.",
    "disconnected": "Spotify is disconnected: the login is deleted. Your plays stay.",
    "signed-out": "That browser is signed out.",
    "revoked": "That token is good no more.",
}


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
        "sign_ins": [(each, device_name(each.device), each.session_id == person.session_id) for each in sign_ins],
        "tokens": await site.pools.in_thread(manage_access.list_tokens, user_id=person.user_id),
        "new_token": new_token,
        "longest_name": LONGEST_NAME,
        "longest_days": LONGEST_TOKEN_DAYS,
        "time_zones": _zones(),
        "done": done,
        "trouble": trouble,
    }
    answer = show(request, person, "account.html", values, path="/account")
    answer.status_code = 200 if trouble is None else 422
    return answer


@cache
def _zones() -> list[str]:
    """Places, and UTC; not the many old names and offsets."""
    return sorted(name for name in available_timezones() if name == "UTC" or _is_place(name))


def _is_place(name: str) -> bool:
    area = name.partition("/")[0]
    return area in {
        "Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific",
    }  # fmt: skip
