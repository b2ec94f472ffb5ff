"""Signing a browser in with Spotify, and receiving the answer to a command's sign-in.

An answer is taken once, within ten minutes, from the browser that asked; a stranger becomes a user only with
MYI_OPEN_SIGNUP; an account leads to the user who connected it; the code that is kept for a command is sealed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import parse_qs

import structlog

from myi_pipeline.errors import BadInput, Forbidden, Permanent, Transient
from myi_pipeline.people.logins import GrantedLogin, ask_whose, keep_login
from myi_pipeline.people.manage_access import hashed, new_secret
from myi_pipeline.people.manage_users import add_user
from myi_pipeline.people.uploads_folder import make_uploads_folder
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.providers import token_vault
from myi_pipeline.providers.envelope import KeyRing, Place
from myi_pipeline.providers.pkce import Challenge, new_challenge, read_redirect
from myi_pipeline.providers.spotify.open_spotify import Spotify
from myi_pipeline.providers.token_vault import AccountUnclear, AnotherAccount
from myi_pipeline.providers.transport import make_http, send
from myi_pipeline.settings import Settings

log = structlog.get_logger(__name__)

_PROBE_TIMEOUT_S = 3.0
_LONGEST_ANSWER = 4_000
_KEY_LENGTH = 40
_KEYS_TO_TRY = 20


class NotInvited(Forbidden):
    """No user here has connected this Spotify account."""


class NotExpected(BadInput):
    """An answer that no sign-in of this browser waits for: too late, used before, or somebody else's."""


class OtherAccount(Permanent):
    """The user is connected to another Spotify account; `switch_to` names the new one for the next attempt."""

    def __init__(self, switch_to: str) -> None:
        super().__init__("you signed in at Spotify with another account than the one that is connected here")
        self.switch_to = switch_to


@dataclass(frozen=True)
class _Holder:
    user_id: int
    client_id: str


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
    connection: Connection,
    spotify: Spotify,
    settings: Settings,
    *,
    return_to: str,
    user_id: int | None = None,
    switch_to: bytes | None = None,
) -> BegunSignIn:
    """Begin for a browser. Raises Permanent without a client id.

    With `user_id` the account becomes that user's; `switch_to` is the hash of the account that may take the place of
    another one (`OtherAccount.switch_to`).
    """
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
        "switch_to": switch_to,
    }
    connection.execute(load_sql("people/access/begin_sign_in"), values)
    url = spotify.accounts(client_id).authorise_url(challenge, redirect_uri=settings.spotify_redirect_uri)
    return BegunSignIn(url, browser_secret)


def finish_sign_in(
    connection: Connection,
    spotify: Spotify,
    settings: Settings,
    *,
    query: str,
    browser_secrets: Sequence[str],
    session_user: int | None,
    now: datetime,
    address: str | None = None,
) -> FinishedSignIn:
    """What the browser brought back; `session_user` is who is signed in there now.

    `browser_secrets` are those of all sign-ins that this browser has begun: each of its tabs may have its own. Raises
    NotExpected, LoginDenied, NotInvited, AccountTaken, AccountUnclear, OtherAccount, AuthRevoked, Forbidden.
    """
    state = _state(query)
    expected = connection.execute(
        "delete from app.sign_ins where state_hash = %s and browser_hash = any (%s) and expires_at > now()"
        # The user who began to connect an account must still be the one who is signed in.
        " and (user_id is null or user_id = %s) returning user_id, client_id, verifier, return_to, switch_to",
        (hashed(state), [hashed(each) for each in browser_secrets], session_user),
    ).fetchone()
    if expected is None:
        raise NotExpected("this sign-in was not started in this browser, or has expired; start again", place="sign-in")
    user_id, client_id, sealed, return_to, switch_to = expected
    challenge = Challenge(state, spotify.keys.open(bytes(sealed), place=_place(client_id)))
    code = read_redirect(query, challenge)
    granted = ask_whose(
        spotify, client_id=client_id, code=code, challenge=challenge, redirect_uri=settings.spotify_redirect_uri
    )
    holder = None if user_id is not None else _holder(connection, granted)
    is_new = user_id is None and holder is None
    # A stranger who cannot be distinguished from a known user becomes no user.
    with connection.transaction():
        if is_new:
            holder = _sign_up(connection, settings, granted)
        whose = user_id if user_id is not None else holder.user_id if holder is not None else 0
        # A login made with an app of the user's own is kept: this one would be limited by another app's list.
        if user_id is not None or is_new or (holder is not None and holder.client_id == client_id):
            agreed = granted.names.key if switch_to is not None and switch_to == _named(granted) else None
            try:
                keep_login(spotify, connection, granted, user_id=whose, now=now, switch_to=agreed, address=address)
            except AnotherAccount:
                raise OtherAccount(_named(granted).hex()) from None
        found = connection.execute("select user_key from app.users where user_id = %s", (whose,)).fetchone()
    assert found is not None
    if is_new:
        make_uploads_folder(settings, found[0])
        log.info("user_signed_up", user=found[0])
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
        "switch_to": None,
    }
    connection.execute(load_sql("people/access/begin_sign_in"), values)


def is_served_here(redirect_uri: str) -> bool:
    """Whether a site of MYI answers at the redirect address, so that a command need not listen there itself."""
    try:
        with make_http(redirect_uri) as http:
            answer = send(
                http, "GET", redirect_uri, headers={"accept": "application/json"}, deadline_s=_PROBE_TIMEOUT_S
            )
        kind = answer.document().get("type", "")
    except Transient:
        return False
    return str(kind).startswith("urn:myi:problem:")


def require_awaited(connection: Connection, *, query: str) -> None:
    """Raises NotExpected unless some browser or command waits for an answer with this state."""
    state_hash = hashed(_state(query))
    query_ = "select from app.sign_ins where state_hash = %s and expires_at > now()"
    if connection.execute(query_, (state_hash,)).fetchone() is None:
        raise NotExpected("this sign-in was not started here, or has expired; start again", place="sign-in")


def is_awaited_by_command(connection: Connection, *, query: str) -> bool:
    """Whether a command waits for this answer, and has none yet."""
    found = connection.execute(
        "select from app.sign_ins where state_hash = %s and browser_hash is null"
        " and answer is null and sealed_answer is null and expires_at > now()",
        (hashed(_state(query)),),
    )
    return found.fetchone() is not None


def keep_answer(connection: Connection, *, query: str, keys: KeyRing) -> bool:
    """The site received an answer: keep it, sealed, if a command waits for it. Good for one answer."""
    state_hash = hashed(_state(query))
    found = connection.execute(
        "update app.sign_ins set sealed_answer = %s where state_hash = %s and browser_hash is null"
        " and answer is null and sealed_answer is null and expires_at > now()",
        (keys.seal(query[:_LONGEST_ANSWER], place=_place_of_answer(state_hash)), state_hash),
    )
    return found.rowcount == 1


def collect_answer(connection: Connection, challenge: Challenge, *, keys: KeyRing) -> str | None:
    """What the site received for this command, once; None as long as nothing came."""
    state_hash = hashed(challenge.state)
    found = connection.execute(
        "delete from app.sign_ins where state_hash = %s and (answer is not null or sealed_answer is not null)"
        " returning answer, sealed_answer",
        (state_hash,),
    ).fetchone()
    if found is None:
        return None
    kept_open, sealed = found
    return str(kept_open) if sealed is None else keys.open(bytes(sealed), place=_place_of_answer(state_hash))


def _place(client_id: str) -> Place:
    return Place("app.sign_ins", "verifier", 0, client_id)


def _place_of_answer(state_hash: bytes) -> Place:
    return Place("app.sign_ins", "sealed_answer", 0, state_hash.hex())


def _named(granted: GrantedLogin) -> bytes:
    return hashed(granted.names.key)


def _state(query: str) -> str:
    try:
        values = parse_qs(query, max_num_fields=20).get("state", [])
    except ValueError:
        values = []
    if len(values) != 1:
        raise NotExpected("this is not a sign-in response", place="sign-in")
    return values[0]


def _holder(connection: Connection, granted: GrantedLogin) -> _Holder | None:
    found = token_vault.holders(connection, granted.names)
    return _Holder(*found[0]) if found else None


def _sign_up(connection: Connection, settings: Settings, granted: GrantedLogin) -> _Holder:
    if not settings.open_signup:
        raise NotInvited(
            "this Spotify account belongs to no user here: ask the operator of this MYI for a link, then"
            " connect Spotify"
        )
    _, _, name = (granted.other_key or granted.account_key).partition(":")
    slug = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_")[:_KEY_LENGTH] or "listener"
    query = (
        "select user_key from app.users where user_key like %(key)s"
        " union select user_key from ops.removals where holds_key and user_key like %(key)s"
    )
    taken = {row[0] for row in connection.execute(query, {"key": f"{slug}%"})}
    for key in (slug, *(f"{slug}-{number}" for number in range(2, len(taken) + _KEYS_TO_TRY))):
        if key in taken:
            continue
        try:
            user = add_user(connection, user_key=key, time_zone=settings.new_user_time_zone)
        except BadInput as error:
            if error.place != "user key":
                raise
            # The key of somebody whose removal is not finished, or who came a moment before.
            continue
        return _Holder(user.user_id, granted.client_id)
    raise AccountUnclear("no key is free for a new user just now; try again later")
