"""Who asks: the dependencies on which routes stand.

Belongs here: recognising a session cookie or an access token, and opening that user's marts. Not here: making either.
Invariants: a token only reads; who shows something that is not good is counted against guessing, and is told nothing
about why it is not; every row of a mart comes through `mart_reader`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from myi_pipeline.api.database import Snapshot
from myi_pipeline.api.problems import Problem
from myi_pipeline.api.security import cookies
from myi_pipeline.api.security.client_address import client_address
from myi_pipeline.api.security.known_visitors import Visitor
from myi_pipeline.api.security.rate_limits import Tier
from myi_pipeline.api.security.secrets_of_visitors import is_secret, is_token
from myi_pipeline.api.site import Site, TheSite
from myi_pipeline.api.sql_files import load_sql
from myi_pipeline.services.manage_access import hashed

_SAFE_METHODS = ("GET", "HEAD")
_GUESSES = "wrong credentials"
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="MYI"'}


async def find_visitor(request: Request, site: Site) -> Visitor | None:
    """Who asks, or None without a credential that is good. A token goes before a cookie. Raises Problem 429."""
    token = _bearer(request)
    shown = token if token is not None else cookies.read_session(request, site.settings)
    if not shown:
        return None
    key = hashed(shown)
    visitor = site.visitors.find(key)
    if visitor is not None:
        return visitor
    address = client_address(request, site.settings.trusted_networks)
    site.limits.check(Tier.SENSITIVE, _GUESSES, address)
    begun = site.visitors.begin()
    visitor = await _look_up(site, shown, key, is_program=token is not None)
    if visitor is None:
        site.limits.take(Tier.SENSITIVE, _GUESSES, address)
        return None
    site.visitors.remember(key, visitor, begun)
    return visitor


async def current_user(request: Request, site: TheSite) -> Visitor:
    """The signed-in user. Raises Problem 401, 403 (a token that would write) and 429."""
    visitor = await find_visitor(request, site)
    if visitor is None:
        raise Problem(401, "not-signed-in", "Sign in, or send an access token.", headers=_CHALLENGE)
    if visitor.token_id is not None and request.method not in _SAFE_METHODS:
        raise Problem(403, "read-only-token", "An access token only reads; sign in with a browser for this.")
    site.limits.take(Tier.NORMAL, "users", str(visitor.user_id))
    return visitor


current_user.tier = Tier.NORMAL  # type: ignore[attr-defined]
CurrentUser = Annotated[Visitor, Depends(current_user)]


async def current_person(visitor: CurrentUser) -> Visitor:
    """The signed-in user in a browser: a token may not look after sign-ins and tokens. Raises Problem 403."""
    if visitor.session_id is None:
        raise Problem(403, "browser-only", "This is for browsers that are signed in; a token cannot do it.")
    return visitor


CurrentPerson = Annotated[Visitor, Depends(current_person)]


async def mart_reader(visitor: CurrentUser, site: TheSite) -> AsyncIterator[Snapshot]:
    """The user's marts: one read-only transaction of the role `api`, restricted to this user by the database."""
    async with site.pools.read_as(visitor.user_id) as snapshot:
        yield snapshot


MartReader = Annotated[Snapshot, Depends(mart_reader)]


def _bearer(request: Request) -> str | None:
    """What an Authorization header shows; an empty text when it shows nothing that could be a token."""
    given = request.headers.get("authorization")
    if given is None:
        return None
    scheme, _, shown = given.partition(" ")
    return shown.strip() if scheme.lower() == "bearer" else ""


async def _look_up(site: Site, shown: str, key: bytes, *, is_program: bool) -> Visitor | None:
    if not (is_token(shown) if is_program else is_secret(shown)):
        return None
    parameters: dict[str, object] = {"hash": key}
    if not is_program:
        parameters |= {"idle_days": site.settings.session_idle_days, "longest_days": site.settings.session_days}
    row = await site.pools.ask_access(
        load_sql("access/find_token" if is_program else "access/find_session"), parameters
    )
    if row is None:
        return None
    user_id, user_key, display_name, time_zone, shown_id = row
    return Visitor(
        user_id=user_id,
        user_key=user_key,
        display_name=display_name,
        time_zone=time_zone,
        session_id=None if is_program else shown_id,
        token_id=shown_id if is_program else None,
    )
