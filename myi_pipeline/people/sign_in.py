"""Signing in a browser with Spotify, and receiving the answer to a command's sign-in.

An answer is accepted once, within ten minutes, from the browser that began; an unknown person becomes a user only with
MYI_OPEN_SIGNUP; an account signs in the user who connected it; the code that is kept for a command is sealed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import parse_qs

import structlog

from myi_pipeline.errors import BadInput, Forbidden, MyiError, Permanent, Transient
from myi_pipeline.people.logins import GrantedLogin, ask_whose, keep_login
from myi_pipeline.people.manage_access import hashed, new_secret
from myi_pipeline.people.manage_users import add_user
from myi_pipeline.people.sign_in_attempts import Reason, fail_attempt
from myi_pipeline.people.uploads_folder import make_uploads_folder
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.providers import login_owners
from myi_pipeline.providers.envelope import KeyRing, Place
from myi_pipeline.providers.login_owners import AccountUnclear, AnotherAccount, LoginOwner, LoginUse
from myi_pipeline.providers.login_terms import PLAYLIST_SCOPES, WRITE_SCOPES
from myi_pipeline.providers.pkce import Challenge, LoginDenied, new_challenge, read_redirect
from myi_pipeline.providers.spotify.open_spotify import Spotify
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
    """An answer that no sign-in of this browser expects: too late, already used, or somebody else's."""


class OtherAccount(Permanent):
    """The user is connected to another Spotify account; `switch_to` names the new one for the next attempt."""

    def __init__(self, switch_to: str) -> None:
        super().__init__("you signed in at Spotify with a different account from the one that is connected here")
        self.switch_to = switch_to


# Why an app's attempt failed with a sign-in; other refusals are Spotify's.
_REASONS: dict[type[MyiError], Reason] = {LoginDenied: "denied", NotInvited: "not-invited"}


@dataclass(frozen=True)
class BegunSignIn:
    """The address for the browser, and the secret that binds it to this sign-in."""

    url: str = field(repr=False)
    browser_secret: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class FinishedSignIn:
    """Who has signed in, and the page that the browser wanted."""

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
    with_playlists: bool = False,
    with_writes: bool = False,
    is_further: bool = False,
    attempt_id: str | None = None,
) -> BegunSignIn:
    """Begins a sign-in for a browser. Raises Permanent without a client id.

    With `user_id`, the account becomes that user's: as the polled one, or (`is_further`) as another one for its
    playlists; `switch_to` is the hash of the account that may replace another one (`OtherAccount.switch_to`).
    `with_playlists` also requests reading playlists, and `with_writes` changing them; so does an existing login of the
    user that allows it. `attempt_id` is the app's attempt that the person wants to let in afterwards: it fails with
    this sign-in.
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
        "is_further": is_further,
        "attempt_id": attempt_id,
    }
    connection.execute(load_sql("people/access/begin_sign_in"), values)
    allowed = _playlist_scopes(connection, user_id) if user_id is not None else frozenset()
    url = spotify.accounts(client_id).authorise_url(
        challenge,
        redirect_uri=settings.spotify_redirect_uri,
        # A person signed in at Spotify with the first account can then choose another one.
        ask_again=is_further,
        with_playlists=with_playlists or is_further or bool(allowed),
        with_writes=with_writes or any(scope.name in allowed for scope in WRITE_SCOPES),
    )
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
    """Handles the answer that the browser brought back; `session_user` is the user signed in there now.

    `browser_secrets` are those of all sign-ins that this browser has begun: each tab may have its own. Raises
    NotExpected, LoginDenied, NotInvited, AccountTaken, AccountUnclear, OtherAccount, AuthRevoked, Forbidden.
    """
    state = _state(query)
    expected = connection.execute(
        "delete from app.sign_ins where state_hash = %s and browser_hash = any (%s) and expires_at > now()"
        # The user who began to connect an account must still be signed in.
        " and (user_id is null or user_id = %s)"
        " returning user_id, client_id, verifier, return_to, switch_to, is_further, attempt_id",
        (hashed(state), [hashed(each) for each in browser_secrets], session_user),
    ).fetchone()
    if expected is None:
        raise NotExpected("this sign-in was not started in this browser, or has expired; start again", place="sign-in")
    *begun, attempt_id = expected
    try:
        return _finish(
            connection, spotify, settings, _Begun(*begun), state=state, query=query, now=now, address=address
        )  # fmt: skip
    except MyiError as error:
        if attempt_id is not None and not isinstance(error, Transient):
            reason = _REASONS.get(type(error), "refused")
            fail_attempt(connection, attempt_id=attempt_id, reason=reason)
        raise


@dataclass(frozen=True)
class _Begun:
    """What was stored when a sign-in began."""

    user_id: int | None
    client_id: str
    verifier: bytes = field(repr=False)
    return_to: str
    switch_to: bytes | None
    is_further: bool


def _finish(
    connection: Connection,
    spotify: Spotify,
    settings: Settings,
    begun: _Begun,
    *,
    state: str,
    query: str,
    now: datetime,
    address: str | None,
) -> FinishedSignIn:
    user_id, client_id = begun.user_id, begun.client_id
    challenge = Challenge(state, spotify.keys.open(bytes(begun.verifier), place=_place(client_id)))
    code = read_redirect(query, challenge)
    granted = ask_whose(
        spotify, client_id=client_id, code=code, challenge=challenge, redirect_uri=settings.spotify_redirect_uri
    )
    holder = None if user_id is not None else _holder(connection, granted)
    is_new = user_id is None and holder is None
    # An unknown person who cannot be distinguished from a known user does not become a user.
    with connection.transaction():
        if is_new:
            whose = _sign_up(connection, settings, granted)
        else:
            whose = user_id if user_id is not None else holder.user_id if holder is not None else 0
        # A login made with the user's own app is kept: this one would be limited by another app's list. So is one that
        # allows playlists, unless the page requested them again.
        is_kept = holder is not None and (
            holder.client_id != client_id
            or bool(_playlist_scopes(connection, whose, account=holder.provider_account_id) - granted.scopes)
        )
        if not is_kept:
            agreed = granted.names.key if begun.switch_to is not None and begun.switch_to == _named(granted) else None
            use = LoginUse.FURTHER if begun.is_further else LoginUse.KNOWN if holder is not None else LoginUse.MAIN
            try:
                keep_login(
                    spotify, connection, granted, user_id=whose, now=now, use=use, switch_to=agreed, address=address
                )
            except AnotherAccount:
                raise OtherAccount(_named(granted).hex()) from None
        found = connection.execute("select user_key from app.users where user_id = %s", (whose,)).fetchone()
    assert found is not None
    if is_new:
        make_uploads_folder(settings, found[0])
        log.info("user_signed_up", user=found[0])
    return FinishedSignIn(user_id=whose, user_key=found[0], return_to=begun.return_to, is_new_user=is_new)


def _playlist_scopes(connection: Connection, user_id: int, *, account: int | None = None) -> frozenset[str]:
    """The playlist scopes of a user's main login, or of an account's; empty if it has ended."""
    row = connection.execute(
        "select scopes from app.credentials where user_id = %s and status = 'active'"
        " and case when %s::int is null then is_main else provider_account_id = %s end",
        (user_id, account, account),
    ).fetchone()
    return frozenset(row[0] if row is not None else ()) & {scope.name for scope in PLAYLIST_SCOPES + WRITE_SCOPES}


def expect_answer(connection: Connection, challenge: Challenge, *, client_id: str) -> None:
    """A command waits for an answer at the site's address: lets the site keep the answer for it."""
    values = {
        "state_hash": hashed(challenge.state),
        "browser_hash": None,
        "user_id": None,
        "client_id": client_id,
        "verifier": None,
        "return_to": "/",
        "switch_to": None,
        "is_further": False,
        "attempt_id": None,
    }
    connection.execute(load_sql("people/access/begin_sign_in"), values)


def is_served_here(redirect_uri: str) -> bool:
    """Whether an MYI site answers at the redirect address, so that a command need not listen there itself."""
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
    """Raises NotExpected unless a browser or command expects an answer with this state."""
    state_hash = hashed(_state(query))
    query_ = "select from app.sign_ins where state_hash = %s and expires_at > now()"
    if connection.execute(query_, (state_hash,)).fetchone() is None:
        raise NotExpected("this sign-in was not started here, or has expired; start again", place="sign-in")


def is_awaited_by_command(connection: Connection, *, query: str) -> bool:
    """Whether a command is still waiting for this answer."""
    found = connection.execute(
        "select from app.sign_ins where state_hash = %s and browser_hash is null"
        " and answer is null and sealed_answer is null and expires_at > now()",
        (hashed(_state(query)),),
    )
    return found.fetchone() is not None


def keep_answer(connection: Connection, *, query: str, keys: KeyRing) -> bool:
    """The site received an answer: stores it, sealed, if a command waits for it. Works for one answer."""
    state_hash = hashed(_state(query))
    found = connection.execute(
        "update app.sign_ins set sealed_answer = %s where state_hash = %s and browser_hash is null"
        " and answer is null and sealed_answer is null and expires_at > now()",
        (keys.seal(query[:_LONGEST_ANSWER], place=_place_of_answer(state_hash)), state_hash),
    )
    return found.rowcount == 1


def collect_answer(connection: Connection, challenge: Challenge, *, keys: KeyRing) -> str | None:
    """What the site received for this command, once; None until something arrives."""
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


def _holder(connection: Connection, granted: GrantedLogin) -> LoginOwner | None:
    return next(iter(login_owners.holders(connection, granted.names)), None)


def _sign_up(connection: Connection, settings: Settings, granted: GrantedLogin) -> int:
    """Returns the id of the new user."""
    if not settings.open_signup:
        raise NotInvited(
            "no user here has connected this Spotify account: ask the operator of this MYI for a link, then connect"
            " Spotify"
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
            # The key of somebody whose removal is not finished, or who signed up a moment ago.
            continue
        return user.user_id
    raise AccountUnclear("no key is free for a new user right now; try again later")
