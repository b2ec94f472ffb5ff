"""Signing a user in to Spotify.

Nothing is stored before Spotify has identified the account; code and verifier exist only in memory; a user who signs in
again keeps all data.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import structlog

from myi_pipeline.errors import BadInput, MyiError, Transient, UnexpectedAnswer
from myi_pipeline.people import audit
from myi_pipeline.people.audit import Event
from myi_pipeline.people.manage_users import get_user
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.providers import accounts, circuits, login_owners, token_vault
from myi_pipeline.providers.account_names import AccountNames
from myi_pipeline.providers.login_owners import AccountUnclear, AnotherAccount, LoginUse, StoredLogin
from myi_pipeline.providers.login_terms import (
    PLAYLIST_SCOPES,
    WRITE_SCOPES,
    Feature,
    Scope,
    days_left,
    denied,
    ends_at,
    features,
    scopes_to_ask,
    warning_stage,
)
from myi_pipeline.providers.pkce import Challenge, new_challenge, read_redirect
from myi_pipeline.providers.spotify.models import Me
from myi_pipeline.providers.spotify.open_spotify import Spotify
from myi_pipeline.providers.token_vault import Credential
from myi_pipeline.settings import CLIENT_ID, Settings

log = structlog.get_logger(__name__)

_WHERE_TO_GET_ONE = (
    "make an app at https://developer.spotify.com/dashboard, register the redirect address there, and set"
    " MYI_SPOTIFY_CLIENT_ID to its client id (or give --client-id)"
)


ASK_NAMES_EVERY = timedelta(days=1)
_LONGEST_NAME = 200


@dataclass(frozen=True)
class PendingLogin:
    """A sign-in that waits for the person: the address to open, and the redirect address."""

    user_id: int
    user_key: str
    client_id: str
    redirect_uri: str
    url: str = field(repr=False)
    challenge: Challenge = field(repr=False)
    with_playlists: bool = False
    with_writes: bool = False
    use: LoginUse = LoginUse.MAIN


@dataclass(frozen=True, kw_only=True)
class SignedIn:
    """A stored login and its permissions. `is_main`: its account is polled."""

    user_key: str
    account_id: int
    is_main: bool
    client_id: str
    allowed: tuple[Feature, ...]
    denied: tuple[Scope, ...]
    ends_at: datetime


@dataclass(frozen=True, kw_only=True)
class GrantedLogin:
    """Spotify's answer to a code: a login and its account. Exists only in memory."""

    client_id: str
    account_key: str
    other_key: str | None
    refresh_token: str = field(repr=False)
    scopes: frozenset[str]
    name: str | None = None

    @property
    def names(self) -> AccountNames:
        return AccountNames.from_keys(self.account_key, self.other_key)


def begin_login(
    spotify: Spotify,
    settings: Settings,
    *,
    user_id: int,
    user_key: str,
    client_id: str | None = None,
    ask_again: bool = False,
    with_playlists: bool = False,
    with_writes: bool = False,
    use: LoginUse = LoginUse.MAIN,
) -> PendingLogin:
    """The address to open.

    `with_playlists` also requests reading playlists, `with_writes` changing them; `use` is the purpose of the login.
    Raises BadInput, naming the rule, if Spotify would refuse it at once.
    """
    chosen = client_id or settings.spotify_client_id
    if chosen is None:
        raise BadInput(f"no Spotify client id is set: {_WHERE_TO_GET_ONE}", place="MYI_SPOTIFY_CLIENT_ID")
    if not CLIENT_ID.match(chosen):
        raise BadInput("a client id consists of letters and digits", place="--client-id", rule="letters and digits")
    try:
        broken = spotify.broken_rule(chosen)
    except Transient:
        broken = None  # the person's browser will show it
    if broken is not None:
        raise BadInput(broken, place="MYI_SPOTIFY_REDIRECT_URI")
    challenge = new_challenge()
    url = spotify.accounts(chosen).authorise_url(
        challenge,
        redirect_uri=settings.spotify_redirect_uri,
        ask_again=ask_again,
        with_playlists=with_playlists,
        with_writes=with_writes,
    )
    return PendingLogin(
        user_id, user_key, chosen, settings.spotify_redirect_uri, url, challenge, with_playlists, with_writes, use
    )  # fmt: skip


def finish_login(
    spotify: Spotify,
    connection: Connection,
    pending: PendingLogin,
    *,
    redirected: str,
    now: datetime,
    may_switch: Callable[[], bool] = lambda: False,
) -> SignedIn:
    """Exchanges the code in the redirected address, identifies the account, and stores the login.

    `may_switch` is called if the user is signed in with another account. Raises BadInput, LoginDenied, AuthRevoked,
    Forbidden (user not on the app's list, no Premium), AccountTaken, AccountUnclear, AnotherAccount.
    """
    code = read_redirect(redirected, pending.challenge)
    granted = ask_whose(
        spotify, client_id=pending.client_id, code=code, challenge=pending.challenge, redirect_uri=pending.redirect_uri
    )
    keep = partial(keep_login, spotify, connection, granted, user_id=pending.user_id, now=now, use=pending.use)
    try:
        try:
            stored = keep(trust_owner=False)
        except AccountUnclear:
            # Stored logins may have the missing name.
            learn_missing_names(spotify, connection, now=now, asked_before=now)
            stored = keep()
    except AnotherAccount as found:
        if not may_switch():
            raise
        stored = keep(switch_to=found.account_key)
    return SignedIn(
        user_key=pending.user_key,
        account_id=stored.provider_account_id,
        is_main=stored.is_main,
        client_id=pending.client_id,
        allowed=tuple(sorted(features(granted.scopes))),
        denied=denied(granted.scopes, with_playlists=pending.with_playlists, with_writes=pending.with_writes),
        ends_at=ends_at(now),
    )


def ask_whose(spotify: Spotify, *, client_id: str, code: str, challenge: Challenge, redirect_uri: str) -> GrantedLogin:
    """Exchanges a code for a login, and identifies its account. Raises AuthRevoked, Forbidden, Transient."""
    grant = spotify.accounts(client_id).exchange(code, challenge, redirect_uri=redirect_uri)
    assert grant.refresh_token is not None
    me = spotify.client(client_id).me(grant.access)
    account_key, other_key = account_keys(me)
    # A server that omits the scopes granted all that were requested (RFC 6749, 5.1): those of every sign-in.
    asked = frozenset(scope.name for scope in scopes_to_ask(with_playlists=False))
    return GrantedLogin(
        client_id=client_id,
        account_key=account_key,
        other_key=other_key,
        refresh_token=grant.refresh_token,
        scopes=asked if grant.scopes is None else grant.scopes,
        name=_shown_name(me),
    )


def _shown_name(me: Me) -> str | None:
    return "".join(each for each in me.display_name or "" if each.isprintable()).strip()[:_LONGEST_NAME] or None


def keep_login(
    spotify: Spotify,
    connection: Connection,
    granted: GrantedLogin,
    *,
    user_id: int,
    now: datetime,
    use: LoginUse = LoginUse.MAIN,
    switch_to: str | None = None,
    trust_owner: bool = True,
    address: str | None = None,
) -> StoredLogin:
    """Stores the login for this user, replacing an older one of the account: see login_owners.store_login."""
    with connection.transaction():
        stored = login_owners.store_login(
            connection,
            spotify.keys,
            user_id=user_id,
            client_id=granted.client_id,
            account_key=granted.account_key,
            other_key=granted.other_key,
            refresh_token=granted.refresh_token,
            scopes=granted.scopes,
            now=now,
            use=use,
            switch_to=switch_to,
            trust_owner=trust_owner,
        )
        if granted.name is not None:
            account_id = stored.provider_account_id
            accounts.name_account(connection, user_id=user_id, account_id=account_id, name=granted.name)
        detail = {"switched_account": True} if switch_to is not None else None
        audit.record(connection, Event.SPOTIFY_CONNECTED, user_id=user_id, address=address, detail=detail)
    spotify.tokens.forget(stored.provider_account_id)
    if stored.is_main:
        circuits.reset(connection, user_id=user_id, now=now)
    return stored


def poll_account(
    connection: Connection, *, user_id: int, account_id: int, now: datetime, address: str | None = None
) -> None:
    """Polls this Spotify account of the user from now on; the former one's login stays, for playlists.

    Raises BadInput if the user has no login of it.
    """
    with connection.transaction():
        if not login_owners.make_main(connection, user_id=user_id, account=account_id):
            raise BadInput(f"account {account_id} is not a Spotify account of this user", place="account")
        detail = {"switched_account": True, "account": account_id}
        audit.record(connection, Event.SPOTIFY_CONNECTED, user_id=user_id, address=address, detail=detail)
    # The failures belong to the other account.
    circuits.reset(connection, user_id=user_id, now=now)


def learn_missing_names(
    spotify: Spotify,
    connection: Connection,
    *,
    now: datetime,
    asked_before: datetime,
    user_ids: Collection[int] | None = None,
) -> None:
    """Asks Spotify for missing account names, of every login or of these users.

    Skips those that were asked since `asked_before`; failures are left until next time.
    """
    for credential in login_owners.lacking_names(connection, asked_before=asked_before, user_ids=user_ids):
        names = None
        try:
            me = spotify.call(credential, lambda client, token: client.me(token), counts=False)
            names = AccountNames.from_keys(*account_keys(me))
        except MyiError as error:
            log.info("account_names_not_learnt", user=credential.user_key, reason=str(error))
        login_owners.learn_names(connection, names, credential=credential, now=now)


def account_keys(me: Me) -> tuple[str, str | None]:
    """The account's name in our table, and its other one: account_id never changes; id may, and is the fallback."""
    by_id = f"id:{me.id}" if me.id else None
    if me.account_id:
        return f"account:{me.account_id}", by_id
    if by_id is None:
        raise UnexpectedAnswer("Spotify did not identify the account")
    return by_id, None


@dataclass(frozen=True, kw_only=True)
class LoginState:
    """One login for people. `state` is `active`, `paused` or `reauth_required`; `warning` 30, 7, 1 or 0 days;
    `is_main`: its account is polled.
    """

    user_key: str
    account_id: int
    is_main: bool
    client_id: str
    state: str
    allowed: tuple[str, ...]
    denied: tuple[str, ...]
    authorised_at: datetime
    refreshed_at: datetime
    ends_at: datetime
    days_left: int
    warning: int | None
    last_error: str | None
    is_doubted: bool


def list_logins(connection: Connection, *, now: datetime) -> tuple[LoginState, ...]:
    """Every login, ordered by user."""
    return tuple(_state(credential, now) for credential in token_vault.list_credentials(connection))


def pause_user(connection: Connection, *, user_key: str, now: datetime) -> None:
    """Stops polling Spotify for this user until resumed. Raises UnknownUser, BadInput without a login."""
    user = get_user(connection, user_key=user_key)
    _require(token_vault.pause(connection, user_id=user.user_id, now=now), user_key)


def resume_user(connection: Connection, *, user_key: str) -> None:
    """Raises UnknownUser, BadInput without a login."""
    user = get_user(connection, user_key=user_key)
    _require(token_vault.resume(connection, user_id=user.user_id), user_key)


def wants_playlists(credential: Credential) -> bool:
    """The person has allowed something that only playlists need: the next sign-in asks for it again."""
    return any(scope.name in credential.scopes for scope in PLAYLIST_SCOPES)


def wants_writes(credential: Credential) -> bool:
    """The person has allowed changes of playlists: the next sign-in asks for it again."""
    return any(scope.name in credential.scopes for scope in WRITE_SCOPES)


def disconnect_user(connection: Connection, *, user_key: str, address: str | None = None) -> bool:
    """Deletes the main login at once; collected data and further accounts stay.

    False if there was none. Raises UnknownUser.
    """
    user = get_user(connection, user_key=user_key)
    with connection.transaction():
        found = token_vault.delete_login(connection, user_id=user.user_id)
        if found:
            audit.record(connection, Event.SPOTIFY_DISCONNECTED, user_id=user.user_id, address=address)
    return found


def _require(found: bool, user_key: str) -> None:
    if not found:
        raise BadInput(
            f"user {user_key} is not signed in to Spotify; sign in with: myi user login {user_key}", place="user key"
        )


def _state(credential: Credential, now: datetime) -> LoginState:
    is_paused = credential.status == token_vault.ACTIVE and credential.paused_at is not None
    return LoginState(
        user_key=credential.user_key,
        account_id=credential.provider_account_id,
        is_main=credential.is_main,
        client_id=credential.client_id,
        state="paused" if is_paused else credential.status,
        allowed=tuple(sorted(feature.value for feature in features(credential.scopes))),
        denied=tuple(
            scope.name
            for scope in denied(
                credential.scopes, with_playlists=wants_playlists(credential), with_writes=wants_writes(credential)
            )
        ),
        authorised_at=credential.authorised_at,
        refreshed_at=credential.refreshed_at,
        ends_at=ends_at(credential.authorised_at),
        days_left=days_left(credential.authorised_at, now),
        warning=warning_stage(credential.authorised_at, now),
        last_error=credential.last_error,
        is_doubted=credential.is_usable and credential.refusals > 0,
    )
