"""Signing a browser in with Spotify, and receiving the answer to a command's sign-in.

Belongs here: the steps between the button and the session, and who may come in. Not here: HTTP, cookies, sessions; the
exchange with Spotify itself (login_user). Invariants: an answer is taken once, within ten minutes, from the browser
that asked; a stranger becomes a user only with MYI_OPEN_SIGNUP; an account leads to the user who connected it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

import httpx
import structlog

from myi_pipeline.core.errors import BadInput, Forbidden, Permanent
from myi_pipeline.core.pkce import Challenge, new_challenge, read_redirect
from myi_pipeline.services.connection_pool import Connection
from myi_pipeline.services.login_user import GrantedLogin, ask_whose, keep_login
from myi_pipeline.services.manage_access import hashed, new_secret
from myi_pipeline.services.manage_users import add_user
from myi_pipeline.services.open_spotify import Spotify
from myi_pipeline.services.uploads_folder import make_uploads_folder
from myi_pipeline.settings import Settings
from myi_pipeline.spotify.transport import make_http
from myi_pipeline.warehouse.envelope import Place
from myi_pipeline.warehouse.sql_files import load_sql

log = structlog.get_logger(__name__)

_PROBE_TIMEOUT_S = 3.0
_LONGEST_ANSWER = 4_000
_KEY_LENGTH = 40


class NotInvited(Forbidden):
    """Nobody here has connected this Spotify account."""


class NotExpected(BadInput):
    """An answer that no sign-in of this browser waits for: too late, used before, or somebody else's."""


@dataclass(frozen=True)
class BegunSignIn:
    """Where the browser goes now, and the secret that binds it to this sign-in."""

    url: str = field(repr=False)
    browser_secret: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class FinishedSignIn:
    """Who has signed in, and where the browser wanted to go."""

    user_id: int
    user_key: str
    return_to: str
    is_new_user: bool


def begin_sign_in(
    connection: Connection, spotify: Spotify, settings: Settings, *, return_to: str, user_id: int | None = None
) -> BegunSignIn:
    """Begin for a browser. With `user_id` the account becomes that user's. Raises Permanent without a client id."""
    client_id = settings.spotify_client_id
    if client_id is None:
        raise Permanent("signing in with Spotify needs MYI_SPOTIFY_CLIENT_ID; until then: myi user link KEY")
    challenge, browser_secret = new_challenge(), new_secret()
    values = {
        "state_hash": hashed(challenge.state),
        "browser_hash": hashed(browser_secret),
        "user_id": user_id,
        "client_id": client_id,
        "verifier": spotify.keys.seal(challenge.verifier, place=_place(client_id)),
        "return_to": return_to,
    }
    connection.execute(load_sql("access/begin_sign_in"), values)
    url = spotify.accounts(client_id).authorise_url(challenge, redirect_uri=settings.spotify_redirect_uri)
    return BegunSignIn(url, browser_secret)


def finish_sign_in(
    connection: Connection,
    spotify: Spotify,
    settings: Settings,
    *,
    query: str,
    browser_secret: str,
    session_user: int | None,
    now: datetime,
) -> FinishedSignIn:
    """What the browser brought back; `session_user` is who is signed in there now.

    Raises NotExpected, LoginDenied, NotInvited, AccountTaken, AuthRevoked, Forbidden.
    """
    state = _state(query)
    expected = connection.execute(
        "delete from app.sign_ins where state_hash = %s and browser_hash = %s and expires_at > now()"
        # Whoever began to connect an account must still be the one who is signed in.
        " and (user_id is null or user_id = %s) returning user_id, client_id, verifier, return_to",
        (hashed(state), hashed(browser_secret), session_user),
    ).fetchone()
    if expected is None:
        raise NotExpected("this browser waits for no such answer; begin once more", place="sign-in")
    user_id, client_id, sealed, return_to = expected
    challenge = Challenge(state, spotify.keys.open(bytes(sealed), place=_place(client_id)))
    code = read_redirect(query, challenge)
    granted = ask_whose(
        spotify, client_id=client_id, code=code, challenge=challenge, redirect_uri=settings.spotify_redirect_uri
    )
    holder = _holder(connection, granted)
    is_new = False
    if user_id is None and holder is None:
        holder, is_new = _sign_up(connection, settings, granted), True
    whose = user_id if user_id is not None else holder["user_id"] if holder is not None else 0
    # Whoever signed in with an app of their own keeps that login: this one would be limited by another app's list.
    if user_id is not None or is_new or (holder is not None and holder["client_id"] == client_id):
        keep_login(spotify, connection, granted, user_id=whose, now=now)
    found = connection.execute("select user_key from app.users where user_id = %s", (whose,)).fetchone()
    assert found is not None
    return FinishedSignIn(user_id=whose, user_key=found[0], return_to=return_to, is_new_user=is_new)


def expect_answer(connection: Connection, challenge: Challenge, *, client_id: str) -> None:
    """A command waits at the site's address: let the site keep the answer for it."""
    values = {
        "state_hash": hashed(challenge.state),
        "browser_hash": None,
        "user_id": None,
        "client_id": client_id,
        "verifier": None,
        "return_to": "/",
    }
    connection.execute(load_sql("access/begin_sign_in"), values)


def is_served_here(redirect_uri: str) -> bool:
    """Whether a site of MYI answers at the redirect address, so that a command need not listen there itself."""
    try:
        with make_http(redirect_uri) as http:
            answer = http.get(redirect_uri, headers={"accept": "application/json"}, timeout=_PROBE_TIMEOUT_S)
        kind = answer.json().get("type", "")
    except (httpx.HTTPError, ValueError, AttributeError):
        return False
    return str(kind).startswith("urn:myi:problem:")


def keep_answer(connection: Connection, *, query: str) -> bool:
    """The site received an answer: keep it if a command waits for it. Good for one answer.

    The code in it opens nothing without the verifier, which the command alone has.
    """
    found = connection.execute(
        "update app.sign_ins set answer = %s where state_hash = %s and browser_hash is null and answer is null"
        " and expires_at > now()",
        (query[:_LONGEST_ANSWER], hashed(_state(query))),
    )
    return found.rowcount == 1


def collect_answer(connection: Connection, challenge: Challenge) -> str | None:
    """What the site received for this command, once; None as long as nothing came."""
    found = connection.execute(
        "delete from app.sign_ins where state_hash = %s and answer is not null returning answer",
        (hashed(challenge.state),),
    ).fetchone()
    return str(found[0]) if found is not None else None


def _place(client_id: str) -> Place:
    return Place("app.sign_ins", "verifier", 0, client_id)


def _state(query: str) -> str:
    try:
        values = parse_qs(query, max_num_fields=20).get("state", [])
    except ValueError:
        values = []
    if len(values) != 1:
        raise NotExpected("this is no answer to a sign-in", place="sign-in")
    return values[0]


def _holder(connection: Connection, granted: GrantedLogin) -> dict[str, Any] | None:
    names = [name for name in (granted.account_key, granted.other_key) if name is not None]
    query = "select user_id, client_id from app.credentials where account_key = any (%s)"
    found = connection.execute(query, (names,)).fetchone()
    return {"user_id": found[0], "client_id": found[1]} if found is not None else None


def _sign_up(connection: Connection, settings: Settings, granted: GrantedLogin) -> dict[str, Any]:
    if not settings.open_signup:
        raise NotInvited(
            "this Spotify account belongs to nobody here: ask whoever runs this MYI for a link, then connect Spotify"
        )
    _, _, name = (granted.other_key or granted.account_key).partition(":")
    slug = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_")[:_KEY_LENGTH] or "listener"
    taken = {
        row[0] for row in connection.execute("select user_key from app.users where user_key like %s", (f"{slug}%",))
    }
    key = next(key for key in (slug, *(f"{slug}-{number}" for number in range(2, len(taken) + 3))) if key not in taken)
    user = add_user(connection, user_key=key, time_zone=settings.new_user_time_zone)
    make_uploads_folder(settings, user.user_key)
    log.info("user_signed_up", user=user.user_key)
    return {"user_id": user.user_id, "client_id": granted.client_id}
