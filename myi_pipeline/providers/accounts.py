"""Accounts at services with playlists: the links of users, and all logins except Spotify's.

An account is linked to one user at a time; a user may link several at one service. Spotify's logins are in
app.credentials (token_vault), and a trigger adds their accounts: `link_account` is for the other services. Tokens are
stored sealed; only one process at a time refreshes an account's; an account's failures open only its own circuit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

import psycopg
from psycopg.rows import class_row, dict_row

from myi_pipeline.errors import AuthRevoked, BadInput, Busy, CircuitOpen, LoginDoubted, MyiError
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.postgres.user_scope import as_user
from myi_pipeline.providers import circuits, token_vault
from myi_pipeline.providers.circuits import CircuitOwner
from myi_pipeline.providers.envelope import Damaged, KeyRing, Place, UnknownKey, sealed_by
from myi_pipeline.providers.retries import failure_kind
from myi_pipeline.providers.sign_in_rules import AccessToken, TokenGrant

# First key of an advisory lock (the second is the account); it spells "myia".
_LOCK_SPACE = 0x6D796961
_LOCK_WAIT_S = 28.0
# An access token that expires sooner is refreshed first: a request and its retries take less time.
_MARGIN = timedelta(minutes=2)
# A faulty token endpoint may refuse a valid login: it is asked a second time before the login counts as ended.
SECOND_LOOK_AFTER = timedelta(hours=6)
_MOST_REFUSALS = 2
_LONGEST_ERROR = 300

Refresh = Callable[[str], TokenGrant]
"""Exchanges a refresh token. Raises AuthRevoked if the service refuses it."""


class Provider(StrEnum):
    """A service with playlists; the values are those of app.provider_accounts."""

    SPOTIFY = "spotify"
    TIDAL = "tidal"
    DEEZER = "deezer"
    YOUTUBE_MUSIC = "youtube_music"

    @property
    def label(self) -> str:
        return {"spotify": "Spotify", "tidal": "TIDAL", "deezer": "Deezer", "youtube_music": "YouTube Music"}[self]


class ProviderAccountTaken(BadInput):
    """This account is linked to another user."""


@dataclass(frozen=True, kw_only=True)
class ProviderAccount:
    """One user's account at one service.

    `provider_account` is the service's id of it. `is_main`: it is the polled Spotify account.
    """

    account_id: int
    user_id: int
    user_key: str
    provider: Provider
    provider_account: str
    name: str | None
    client_id: str | None
    scopes: tuple[str, ...]
    state: str
    linked_at: datetime
    paused_at: datetime | None
    ended_at: datetime | None
    is_main: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "provider", Provider(self.provider))
        object.__setattr__(self, "scopes", tuple(self.scopes))

    @property
    def is_usable(self) -> bool:
        return self.state == "active" and self.paused_at is None

    @property
    def title(self) -> str:
        """Its name for people: Spotify, or TIDAL account NAME."""
        return f"{self.provider.label} account {self.name}" if self.name else f"{self.provider.label} account"


@dataclass(frozen=True, kw_only=True)
class _Login:
    account_id: int
    refresh_token: bytes | None = field(repr=False)
    access_token: bytes | None = field(repr=False)
    access_expires_at: datetime | None
    authorised_at: datetime
    refusals: int
    last_error: str | None
    last_failed_at: datetime | None


def list_accounts(
    connection: Connection, *, user_id: int | None = None, with_ended: bool = False
) -> tuple[ProviderAccount, ...]:
    """All linked accounts, ordered by user, or those of one user."""
    if user_id is not None:
        with as_user(connection, user_id):
            return _read_accounts(connection, user_id=user_id, account_id=None, with_ended=with_ended)
    return _read_accounts(connection, user_id=user_id, account_id=None, with_ended=with_ended)


def find_account(connection: Connection, *, account_id: int) -> ProviderAccount | None:
    """The account, even if it was unlinked."""
    return next(iter(_read_accounts(connection, user_id=None, account_id=account_id, with_ended=True)), None)


def link_account(
    connection: Connection,
    keys: KeyRing,
    *,
    user_id: int,
    provider: Provider,
    provider_account: str,
    name: str | None,
    client_id: str | None,
    grant: TokenGrant | None,
    now: datetime,
) -> int:
    """Links an account, or signs in to it again; returns its account_id.

    Without a `grant`, it is read without a login. Raises ProviderAccountTaken if it is linked to another user.
    """
    values = {
        "user_id": user_id,
        "provider": provider.value,
        "provider_account": provider_account,
        "name": name,
        "client_id": client_id,
        "scopes": sorted(grant.scopes or ()) if grant is not None else [],
        "now": now,
    }
    try:
        with as_user(connection, user_id):
            row = connection.execute(load_sql("providers/accounts/link_account"), values).fetchone()
            assert row is not None
            account_id = int(row[0])
            connection.execute("delete from app.account_credentials where account_id = %s", (account_id,))
            if grant is not None and grant.refresh_token is not None:
                sealed = {
                    "account_id": account_id,
                    "refresh_token": keys.seal(grant.refresh_token, place=_place("refresh_token", user_id, account_id)),
                    "access_token": keys.seal(grant.access.value, place=_place("access_token", user_id, account_id)),
                    "access_expires_at": grant.access.expires_at,
                    "now": now,
                }
                connection.execute(load_sql("providers/accounts/store_login"), sealed)
    except psycopg.errors.UniqueViolation:
        raise ProviderAccountTaken(
            f"this {provider.label} account is already linked to another user", place=f"{provider.label} account"
        ) from None
    return account_id


def unlink_account(connection: Connection, *, user_id: int, account_id: int, now: datetime) -> bool:
    """Deletes the login and ends the link at once; False if there was no such link. What was read stays."""
    with as_user(connection, user_id):
        if token_vault.delete_login(connection, user_id=user_id, account=account_id):
            return True  # this also ends its account
        connection.execute("delete from app.account_credentials where account_id = %s", (account_id,))
        cursor = connection.execute(
            "update app.provider_accounts set state = 'ended', ended_at = %s, paused_at = null"
            " where account_id = %s and user_id = %s and state <> 'ended'",
            (now, account_id, user_id),
        )
    return cursor.rowcount > 0


def name_account(connection: Connection, *, user_id: int, account_id: int, name: str | None) -> None:
    """Stores the service's name for the account's owner; None leaves it unchanged."""
    with as_user(connection, user_id):
        connection.execute(
            "update app.provider_accounts set name = coalesce(%s, name) where account_id = %s and user_id = %s",
            (name, account_id, user_id),
        )


def pause_account(connection: Connection, *, user_id: int, account_id: int, now: datetime | None) -> bool:
    """Stops requests for this account, or resumes them if None. False if there is no such link."""
    with as_user(connection, user_id):
        if token_vault.pause_account(connection, user_id=user_id, account=account_id, now=now):
            return True  # its account follows by trigger
        cursor = connection.execute(
            "update app.provider_accounts set paused_at = %s"
            " where account_id = %s and user_id = %s and state <> 'ended'",
            (now, account_id, user_id),
        )
    return cursor.rowcount > 0


def open_access(
    connection: Connection,
    keys: KeyRing,
    account: ProviderAccount,
    *,
    refresh: Refresh,
    now: datetime,
    rejected: AccessToken | None = None,
) -> AccessToken:
    """An access token that is valid for some minutes; refreshed if the stored one is not, or is the `rejected` one.

    `connection` is in autocommit. Raises AuthRevoked if the login has ended, LoginDoubted while a refused one is left
    alone, Busy, and what `refresh` raises.
    """
    with _account_lock(connection, account.account_id):
        login = _find_login(connection, account.account_id)
        if login is None or login.refresh_token is None:
            raise AuthRevoked(f"{account.title} has no login: link it again")
        try:
            kept = _open_kept(keys, account, login)
            is_rejected = rejected is not None and kept is not None and kept.value == rejected.value
            if kept is not None and not is_rejected and kept.is_good(now, margin=_MARGIN):
                return kept
            if login.last_failed_at is not None and now < login.last_failed_at + SECOND_LOOK_AFTER:
                raise _doubted(login.last_error, login.last_failed_at)
            stored = keys.open(
                login.refresh_token, place=_place("refresh_token", account.user_id, account.account_id)
            )  # fmt: skip
            grant = refresh(stored)
        except UnknownKey:
            raise Busy(
                "the login was sealed with a newer key than this process has loaded; the next run has it"
            ) from None
        except Damaged as error:
            _refused(connection, account, login, reason=str(error), is_final=True, now=now)
            raise AuthRevoked(f"{error}; link {account.title} again") from None
        except AuthRevoked as error:
            if _refused(connection, account, login, reason=str(error), is_final=False, now=now):
                raise AuthRevoked(f"{error}; nothing is lost. Link {account.title} again") from None
            raise _doubted(str(error), now) from None
        _note_refreshed(connection, keys, account, login, grant, now=now)
        return grant.access


def end_login(
    connection: Connection, keys: KeyRing, account: ProviderAccount, *, revoke: Callable[[str], None]
) -> bool:
    """Has the service end an account's login; False if there is none here.

    The login stays here: the caller deletes it next. Raises what `revoke` raises, UnknownKey and Damaged."""
    login = _find_login(connection, account.account_id)
    if login is None or login.refresh_token is None:
        return False
    revoke(keys.open(login.refresh_token, place=_place("refresh_token", account.user_id, account.account_id)))
    return True


def admit(connection: Connection, account: ProviderAccount, *, now: datetime) -> None:
    """Asks this account's circuit to admit one piece of work. Raises CircuitOpen."""
    admission = circuits.admit_holder(connection, CircuitOwner(account.account_id, is_account=True), now=now)
    if not admission.allowed and admission.retry_at is not None:
        why = admission.circuit.reason or "requests failed"
        raise CircuitOpen(
            f"requests for {account.title} are suspended until {admission.retry_at:%Y-%m-%d %H:%M} UTC because: {why}",
            retry_at=admission.retry_at,
        )


def note_outcome(connection: Connection, account: ProviderAccount, error: Exception | None, *, now: datetime) -> None:
    """Records the outcome of that work; errors are counted by kind."""
    holder = CircuitOwner(account.account_id, is_account=True)
    if error is None:
        circuits.note_success_of(connection, holder, now=now)
        return
    # The text of a foreign error may contain anything, so it is not stored.
    reason = str(error) if isinstance(error, MyiError) else type(error).__name__
    circuits.note_failure_of(connection, holder, kind=failure_kind(error), reason=reason, now=now)


def count_account_keys(connection: Connection, *, with_access: bool = False) -> dict[bytes, int]:
    """How many logins each key seals; `with_access` also counts those whose access token alone it seals."""
    rows = connection.execute("select key_id, secrets from app.count_account_keys(%s)", (with_access,)).fetchall()
    return {bytes(key): int(count) for key, count in rows}


def accounts_sealed_otherwise(connection: Connection, *, key_id: bytes, after: int, limit: int) -> tuple[int, ...]:
    """Accounts with account_id > `after` that have anything sealed with another key."""
    values = {"key_id": key_id, "after": after, "limit": limit}
    return tuple(int(row[0]) for row in connection.execute(load_sql("providers/accounts/sealed_otherwise"), values))


def seal_account_again(connection: Connection, keys: KeyRing, *, account_id: int) -> bool:
    """Seals one account's tokens with the first key; False if they already are, or no longer exist.

    The access token is deleted, since a refresh brings another. Raises UnknownKey and Damaged for the login.
    """
    with connection.transaction():
        connection.execute("select from app.account_credentials where account_id = %s for update", (account_id,))
        login, account = _find_login(connection, account_id), find_account(connection, account_id=account_id)
        if login is None or account is None or login.refresh_token is None:
            return False
        place = _place("refresh_token", account.user_id, account_id)
        is_changed = False
        if sealed_by(login.refresh_token) != keys.sealing_id:
            sealed = keys.seal(keys.open(login.refresh_token, place=place), place=place)
            connection.execute(
                "update app.account_credentials set refresh_token = %s where account_id = %s", (sealed, account_id)
            )
            is_changed = True
        if login.access_token is not None and sealed_by(login.access_token) != keys.sealing_id:
            connection.execute(
                "update app.account_credentials set access_token = null, access_expires_at = null"
                " where account_id = %s",
                (account_id,),
            )
            is_changed = True
    return is_changed


def _place(column: str, user_id: int, account_id: int) -> Place:
    return Place("app.account_credentials", column, user_id, str(account_id))


@contextmanager
def _account_lock(connection: Connection, account_id: int) -> Iterator[None]:
    """Only one process at a time refreshes an account's tokens. A session lock: a killed process releases it."""
    try:
        with connection.transaction():
            connection.execute("select set_config('lock_timeout', %s, true)", (f"{int(_LOCK_WAIT_S * 1000)}ms",))
            connection.execute("select pg_advisory_lock(%s, %s)", (_LOCK_SPACE, account_id))
    except psycopg.errors.LockNotAvailable as error:
        raise Busy("another process is refreshing this login") from error
    try:
        yield
    finally:
        if not connection.closed and not connection.broken:
            connection.execute("select pg_advisory_unlock(%s, %s)", (_LOCK_SPACE, account_id))


def _read_accounts(
    connection: Connection, *, user_id: int | None, account_id: int | None, with_ended: bool
) -> tuple[ProviderAccount, ...]:
    values = {"user_id": user_id, "account_id": account_id, "with_ended": with_ended}
    with connection.cursor(row_factory=class_row(ProviderAccount)) as cursor:
        return tuple(cursor.execute(load_sql("providers/accounts/list_accounts"), values).fetchall())


def _find_login(connection: Connection, account_id: int) -> _Login | None:
    query = (
        "select account_id, refresh_token, access_token, access_expires_at, authorised_at, refusals, last_error,"
        " last_failed_at from app.account_credentials where account_id = %s"
    )
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(query, (account_id,)).fetchone()
    return _Login(**row) if row is not None else None


def _open_kept(keys: KeyRing, account: ProviderAccount, login: _Login) -> AccessToken | None:
    if login.access_token is None or login.access_expires_at is None:
        return None
    place = _place("access_token", account.user_id, account.account_id)
    try:
        return AccessToken(keys.open(login.access_token, place=place), login.access_expires_at)
    except Damaged:
        return None  # a refresh brings another


def _note_refreshed(
    connection: Connection, keys: KeyRing, account: ProviderAccount, login: _Login, grant: TokenGrant, *, now: datetime
) -> None:
    user_id, account_id = account.user_id, account.account_id
    refresh = grant.refresh_token
    with connection.transaction():
        values = {
            "account_id": account_id,
            "authorised_at": login.authorised_at,
            "refresh_token": keys.seal(refresh, place=_place("refresh_token", user_id, account_id))
            if refresh is not None
            else None,
            "access_token": keys.seal(grant.access.value, place=_place("access_token", user_id, account_id)),
            "access_expires_at": grant.access.expires_at,
            "now": now,
        }
        connection.execute(load_sql("providers/accounts/note_refreshed"), values)
        if grant.scopes is not None:
            connection.execute(
                "update app.provider_accounts set scopes = %s where account_id = %s",
                (sorted(_texts(grant.scopes)), account_id),
            )


def _texts(scopes: Iterable[str]) -> list[str]:
    return [scope[:200] for scope in scopes][:100]


def _refused(
    connection: Connection, account: ProviderAccount, login: _Login, *, reason: str, is_final: bool, now: datetime
) -> bool:
    """Records that the token endpoint refused this login. True if a person must sign in again."""
    values = {
        "account_id": account.account_id,
        "authorised_at": login.authorised_at,
        "reason": reason[:_LONGEST_ERROR],
        "now": now,
    }
    with connection.transaction():
        row = connection.execute(load_sql("providers/accounts/note_refused"), values).fetchone()
        is_over = row is not None and (is_final or int(row[0]) >= _MOST_REFUSALS)
        if is_over:
            connection.execute(
                "update app.provider_accounts set state = 'reauth_required' where account_id = %s and state = 'active'",
                (account.account_id,),
            )
    return is_over


def _doubted(reason: str | None, refused_at: datetime) -> LoginDoubted:
    retry_at = refused_at + SECOND_LOOK_AFTER
    return LoginDoubted(
        f"{reason or 'the service refused this login'}; this may pass, so it is tried again at"
        f" {retry_at:%Y-%m-%d %H:%M} UTC",
        retry_at=retry_at,
    )
