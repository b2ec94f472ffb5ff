"""Signing a user in to Spotify.

Belongs here: the steps from a client id to a stored login, and which of Spotify's rules stands in the way. Not here:
browsers, prompts (cli/login). Invariants: nothing is stored before Spotify named the account; code and verifier live in
memory only; a user who signs in again keeps everything that is there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from myi_pipeline.core.errors import BadInput, Transient, UnexpectedAnswer
from myi_pipeline.core.login_terms import Feature, Scope, denied, ends_at, features
from myi_pipeline.core.pkce import Challenge, new_challenge, read_redirect
from myi_pipeline.services.connection_pool import Connection
from myi_pipeline.services.open_spotify import Spotify
from myi_pipeline.settings import CLIENT_ID, Settings
from myi_pipeline.spotify.models import Me
from myi_pipeline.warehouse import circuits, token_vault

_WHERE_TO_GET_ONE = (
    "make an app at https://developer.spotify.com/dashboard, register the redirect address there, and set"
    " MYI_SPOTIFY_CLIENT_ID to its client id (or give --client-id)"
)


@dataclass(frozen=True)
class PendingLogin:
    """A sign-in that waits for the person: the address to open, and where the browser will come back."""

    user_id: int
    user_key: str
    client_id: str
    redirect_uri: str
    url: str = field(repr=False)
    challenge: Challenge = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class SignedIn:
    """A stored login, and what it allows."""

    user_key: str
    client_id: str
    allowed: tuple[Feature, ...]
    denied: tuple[Scope, ...]
    ends_at: datetime


@dataclass(frozen=True, kw_only=True)
class GrantedLogin:
    """What Spotify gave for a code: a login, and whose it is. Lives in memory only."""

    client_id: str
    account_key: str
    other_key: str | None
    refresh_token: str = field(repr=False)
    scopes: frozenset[str]


def begin_login(
    spotify: Spotify,
    settings: Settings,
    *,
    user_id: int,
    user_key: str,
    client_id: str | None = None,
    ask_again: bool = False,
) -> PendingLogin:
    """The address to open. Raises BadInput, naming the rule, when Spotify would refuse it at once."""
    chosen = client_id or settings.spotify_client_id
    if chosen is None:
        raise BadInput(f"there is no Spotify client id: {_WHERE_TO_GET_ONE}", place="MYI_SPOTIFY_CLIENT_ID")
    if not CLIENT_ID.match(chosen):
        raise BadInput("a client id is made of letters and digits", place="--client-id", rule="letters and digits")
    accounts = spotify.accounts(chosen)
    try:
        broken = accounts.broken_rule(redirect_uri=settings.spotify_redirect_uri)
    except Transient:
        broken = None  # the person's browser will tell
    if broken is not None:
        raise BadInput(broken, place="MYI_SPOTIFY_REDIRECT_URI")
    challenge = new_challenge()
    url = accounts.authorise_url(challenge, redirect_uri=settings.spotify_redirect_uri, ask_again=ask_again)
    return PendingLogin(user_id, user_key, chosen, settings.spotify_redirect_uri, url, challenge)


def finish_login(
    spotify: Spotify, connection: Connection, pending: PendingLogin, *, redirected: str, now: datetime
) -> SignedIn:
    """Exchange the code in the redirected address, ask whose account it is, and store the login.

    Raises BadInput, LoginDenied, AuthRevoked, Forbidden (user not on the app's list, no Premium), AccountTaken.
    """
    code = read_redirect(redirected, pending.challenge)
    granted = ask_whose(
        spotify, client_id=pending.client_id, code=code, challenge=pending.challenge, redirect_uri=pending.redirect_uri
    )
    keep_login(spotify, connection, granted, user_id=pending.user_id, now=now)
    return SignedIn(
        user_key=pending.user_key,
        client_id=pending.client_id,
        allowed=tuple(sorted(features(granted.scopes))),
        denied=denied(granted.scopes),
        ends_at=ends_at(now),
    )


def ask_whose(spotify: Spotify, *, client_id: str, code: str, challenge: Challenge, redirect_uri: str) -> GrantedLogin:
    """A code for a login, and whose account it is. Raises AuthRevoked, Forbidden, Transient."""
    grant = spotify.accounts(client_id).exchange(code, challenge, redirect_uri=redirect_uri)
    assert grant.refresh_token is not None
    me = spotify.client(client_id).me(grant.access)
    account_key, other_key = account_keys(me)
    # A server that does not name the scopes gave all that were asked for (RFC 6749, 5.1).
    asked = frozenset(scope.name for scope in denied(()))
    return GrantedLogin(
        client_id=client_id,
        account_key=account_key,
        other_key=other_key,
        refresh_token=grant.refresh_token,
        scopes=asked if grant.scopes is None else grant.scopes,
    )


def keep_login(spotify: Spotify, connection: Connection, granted: GrantedLogin, *, user_id: int, now: datetime) -> None:
    """Store the login as this user's, in place of an older one. Raises AccountTaken."""
    token_vault.store_login(
        connection,
        spotify.keys,
        user_id=user_id,
        client_id=granted.client_id,
        account_key=granted.account_key,
        other_key=granted.other_key,
        refresh_token=granted.refresh_token,
        scopes=granted.scopes,
        now=now,
    )
    spotify.tokens.forget(user_id)
    circuits.reset(connection, user_id=user_id, now=now)


def account_keys(me: Me) -> tuple[str, str | None]:
    """The account's name in our table, and its other one: account_id never changes; id may, and stands in for it."""
    by_id = f"id:{me.id}" if me.id else None
    if me.account_id:
        return f"account:{me.account_id}", by_id
    if by_id is None:
        raise UnexpectedAnswer("Spotify did not say whose account this is")
    return by_id, None
