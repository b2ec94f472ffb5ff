"""Who asks: recognising a session cookie or an access token, as dependencies of routes.

Invariants: an access token reads, or submits listens, and does nothing else, save one whose scope lets it move
playlists as well. A wrong credential is counted against guessing, and learns nothing about why it is wrong; a valid one
is served, whatever else came from the same address.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from myi_pipeline.people.manage_access import TokenScope, hashed
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.reads.sql_files import load_sql
from myi_pipeline.web.security import cookies
from myi_pipeline.web.security.client_address import client_address
from myi_pipeline.web.security.rate_limits import Tier, note_guess
from myi_pipeline.web.security.visitors import Visitor, is_secret, is_token
from myi_pipeline.web.site import Site, TheSite

_SAFE_METHODS = ("GET", "HEAD")
BROWSER_ONLY = "Only a signed-in browser can do this; an access token cannot."
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="MYI"'}


async def find_visitor(request: Request, site: Site) -> Visitor | None:
    """Who asks, or None without a credential that is good. A token goes before a cookie. Raises Problem 429."""
    # Once a request: what is wrong is counted once.
    if not hasattr(request.state, "visitor"):
        request.state.visitor = await _find(request, site)
    visitor: Visitor | None = request.state.visitor
    return visitor


async def _find(request: Request, site: Site) -> Visitor | None:
    token = _bearer(request)
    shown = token if token is not None else cookies.read_session(request, site.settings)
    return await _recognise(request, site, shown, is_program=token is not None) if shown else None


async def find_token_holder(request: Request, site: Site, token: str) -> Visitor | None:
    """Whose access token this is, whatever its scope, or None. Raises Problem 429."""
    return await _recognise(request, site, token, is_program=True)


async def _recognise(request: Request, site: Site, shown: str, *, is_program: bool) -> Visitor | None:
    key = hashed(shown)
    visitor = site.visitors.find(key)
    if visitor is not None:
        return visitor
    # What is good is served whatever else came from the same address: 256 random bits are not guessed, and a limit that
    # is looked at first would let anybody behind the same router lock everybody out.
    begun = site.visitors.begin()
    address = client_address(request, site.settings.trusted_networks)
    visitor = await _look_up(site, shown, key, is_program=is_program, address=address)
    if visitor is not None:
        site.visitors.remember(key, visitor, begun)
        return visitor
    ended = await site.pools.ask_access(load_sql("access/find_ended"), {"hash": key})
    if ended is None or ended[1] == "token":
        what = "token" if is_program else "session"
        await note_guess(site, address, what, user_id=ended[0] if ended is not None else None)
    return None


async def is_still_known(request: Request, site: Site, visitor: Visitor) -> bool:
    """Whether what was shown is good yet, for an answer that takes long. Counts nothing: it was good."""
    token = _bearer(request)
    shown = token if token is not None else cookies.read_session(request, site.settings)
    if not shown:
        return False
    key = hashed(shown)
    found = site.visitors.find(key)
    if found is None:
        begun = site.visitors.begin()
        address = client_address(request, site.settings.trusted_networks)
        found = await _look_up(site, shown, key, is_program=token is not None, address=address)
        if found is not None:
            site.visitors.remember(key, found, begun)
    return found == visitor


async def reader(request: Request, site: TheSite) -> Visitor:
    """The signed-in user, who at least may read. Raises Problem 401, 403 and 429."""
    visitor = await find_visitor(request, site)
    if visitor is None:
        raise Problem(401, "not-signed-in", _stranger(request), headers=_CHALLENGE)
    if visitor.scope == TokenScope.SUBMIT_LISTENS:
        raise Problem(
            403,
            "write-only-token",
            f"This access token has the scope '{visitor.scope}', which only submits listens: to read, make one with the"
            f" scope '{TokenScope.READ}'.",
        )
    site.limits.take(Tier.NORMAL, "users", str(visitor.user_id))
    return visitor


async def current_user(request: Request, site: TheSite) -> Visitor:
    """The signed-in user. Raises Problem 401, 403 (a token that would write) and 429."""
    visitor = await reader(request, site)
    if visitor.token_id is not None and request.method not in _SAFE_METHODS:
        raise Problem(
            403,
            "read-only-token",
            f"This access token has the scope '{visitor.scope}', which only reads here: to upload, change or delete"
            " something, sign in with a browser.",
        )
    return visitor


current_user.tier = Tier.NORMAL  # type: ignore[attr-defined]
CurrentUser = Annotated[Visitor, Depends(current_user)]


async def playlist_mover(request: Request, site: TheSite) -> Visitor:
    """The signed-in user, in a browser or by a token that may move playlists. Raises Problem 401, 403 and 429."""
    visitor = await reader(request, site)
    if visitor.token_id is not None and visitor.scope != TokenScope.MOVE_PLAYLISTS:
        raise Problem(
            403,
            "read-only-token",
            f"This access token has the scope '{visitor.scope}': to move playlists, make one with the scope"
            f" '{TokenScope.MOVE_PLAYLISTS}'.",
        )
    return visitor


playlist_mover.tier = Tier.NORMAL  # type: ignore[attr-defined]
PlaylistMover = Annotated[Visitor, Depends(playlist_mover)]


async def current_person(visitor: CurrentUser) -> Visitor:
    """The signed-in user in a browser: a token may not look after sign-ins and tokens. Raises Problem 403."""
    if visitor.session_id is None:
        raise Problem(403, "browser-only", BROWSER_ONLY)
    return visitor


CurrentPerson = Annotated[Visitor, Depends(current_person)]


def _stranger(request: Request) -> str:
    """The same for every credential that is not good."""
    if request.headers.get("authorization") is None:
        return "Sign in, or send an access token."
    return "This is no access token that is valid here: it is incomplete, has ended or was revoked."


def _bearer(request: Request) -> str | None:
    """What an Authorization header shows; an empty text when it shows nothing that could be a token."""
    given = request.headers.get("authorization")
    if given is None:
        return None
    scheme, _, shown = given.partition(" ")
    return shown.strip() if scheme.lower() == "bearer" else ""


async def _look_up(site: Site, shown: str, key: bytes, *, is_program: bool, address: str) -> Visitor | None:
    if not (is_token(shown) if is_program else is_secret(shown)):
        return None
    parameters: dict[str, object] = {"hash": key}
    if is_program:
        parameters["address"] = address
    else:
        parameters |= {"idle_days": site.settings.session_idle_days, "longest_days": site.settings.session_days}
    row = await site.pools.ask_access(
        load_sql("access/find_token" if is_program else "access/find_session"), parameters
    )
    if row is None:
        return None
    user_id, user_key, display_name, time_zone, shown_id, scope, earlier = row
    return Visitor(
        user_id=user_id,
        user_key=user_key,
        display_name=display_name,
        time_zone=time_zone,
        session_id=None if is_program else shown_id,
        token_id=shown_id if is_program else None,
        scope=scope,
        earlier_zones=tuple((name, datetime.fromtimestamp(float(end), UTC)) for name, end in earlier),
    )
