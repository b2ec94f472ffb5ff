"""The logins of app.credentials and their access tokens: sealed when written, opened when needed.

A login belongs to one Spotify account, and an account to one user. A user has one main login, which is polled, and may
have others, which are for playlists. The database contains tokens only inside envelopes; a row is changed only under
its account's lock or by a new login; an access token belongs to the newest refresh token, and is deleted with its
login.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import psycopg
from psycopg.rows import class_row

from myi_pipeline.errors import Busy
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.providers.account_names import AccountNames
from myi_pipeline.providers.envelope import KeyRing, Place

ACTIVE, REAUTH_REQUIRED = "active", "reauth_required"
# First key of an advisory lock (the second is the account); it spells "myil".
_LOCK_SPACE = 0x6D79696C
# Versions before 0011, which may still be running, lock the user's only login by the user: "myic".
_LOCK_SPACE_OF_USERS = 0x6D796963
# Nothing waits longer than 30 s inside a process; a refresh takes that long only on the worst connections.
LOCK_WAIT_S = 28.0
_NO_ACCESS: Final = "update app.credentials set access_token = null, access_expires_at = null, access_granted_at = null"


@dataclass(frozen=True, kw_only=True)
class Credential:
    """One account's login, without its tokens in the clear.

    `sealed` is the envelope of the refresh token, `sealed_access` that of the access token, if one is stored.
    `provider_account_id` is the account's id here, `account_id` Spotify's.
    """

    provider_account_id: int
    is_main: bool
    user_id: int
    user_key: str
    client_id: str
    account_key: str
    sealed: bytes = field(repr=False)
    key_id: bytes
    scopes: tuple[str, ...]
    status: str
    paused_at: datetime | None
    authorised_at: datetime
    refreshed_at: datetime
    refusals: int
    last_error: str | None
    last_failed_at: datetime | None
    warned_days: int | None
    account_id: str | None = None
    profile_id: str | None = None
    names_asked_at: datetime | None = None
    sealed_access: bytes | None = field(default=None, repr=False)
    access_expires_at: datetime | None = None
    access_granted_at: datetime | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "scopes", tuple(self.scopes))

    @property
    def names(self) -> AccountNames:
        return AccountNames(account_id=self.account_id, profile_id=self.profile_id)

    @property
    def is_usable(self) -> bool:
        return self.status == ACTIVE and self.paused_at is None


def login_place(user_id: int, client_id: str) -> Place:
    return Place("app.credentials", "refresh_token", user_id, client_id)


def open_token(keys: KeyRing, credential: Credential) -> str:
    """The refresh token. Raises UnknownKey and Damaged."""
    return keys.open(credential.sealed, place=login_place(credential.user_id, credential.client_id))


def access_place(user_id: int, client_id: str) -> Place:
    return Place("app.credentials", "access_token", user_id, client_id)


def open_access(keys: KeyRing, credential: Credential) -> str | None:
    """The stored access token, if there is one. Raises UnknownKey and Damaged."""
    if credential.sealed_access is None:
        return None
    return keys.open(credential.sealed_access, place=access_place(credential.user_id, credential.client_id))


def list_credentials(connection: Connection, *, user_id: int | None = None) -> tuple[Credential, ...]:
    """All logins, ordered by user, or those of one user; a user's main login first."""
    return _read_credentials(connection, user_id=user_id)


def list_main_credentials(connection: Connection) -> tuple[Credential, ...]:
    """The polled logins, ordered by user."""
    return _read_credentials(connection, main_only=True)


def find_credential(connection: Connection, *, user_id: int) -> Credential | None:
    """The user's main login."""
    return next(iter(_read_credentials(connection, user_id=user_id, main_only=True)), None)


def find_account_credential(connection: Connection, *, account: int) -> Credential | None:
    """The login of the account with this id."""
    return next(iter(_read_credentials(connection, account=account)), None)


def _read_credentials(
    connection: Connection, *, user_id: int | None = None, account: int | None = None, main_only: bool = False
) -> tuple[Credential, ...]:
    values = {"user_id": user_id, "account": account, "main_only": main_only}
    with connection.cursor(row_factory=class_row(Credential)) as cursor:
        return tuple(cursor.execute(load_sql("providers/vault/list_credentials"), values).fetchall())


@contextmanager
def login_lock(connection: Connection, credential: Credential, *, wait_s: float = LOCK_WAIT_S) -> Iterator[None]:
    """Locks one account's login across processes. Needs autocommit. Raises Busy after `wait_s` seconds.

    A session lock: no transaction stays open during a request, and a killed process releases it.
    """
    locks = [(_LOCK_SPACE, credential.provider_account_id)]
    if credential.is_main:
        locks.append((_LOCK_SPACE_OF_USERS, credential.user_id))
    held: list[tuple[int, int]] = []
    try:
        for lock in locks:
            _take_lock(connection, lock, wait_s=wait_s)
            held.append(lock)
        yield
    finally:
        if not connection.closed and not connection.broken:
            for lock in reversed(held):
                connection.execute("select pg_advisory_unlock(%s, %s)", lock)


def _take_lock(connection: Connection, lock: tuple[int, int], *, wait_s: float) -> None:
    try:
        with connection.transaction():
            connection.execute("select set_config('lock_timeout', %s, true)", (f"{max(1, int(wait_s * 1000))}ms",))
            connection.execute("select pg_advisory_lock(%s, %s)", lock)
    except psycopg.errors.LockNotAvailable as error:
        raise Busy("another process is refreshing this login") from error


def note_refreshed(
    connection: Connection,
    keys: KeyRing,
    credential: Credential,
    *,
    refresh_token: str | None,
    scopes: Iterable[str] | None,
    access: tuple[str, datetime] | None = None,
    now: datetime,
) -> None:
    """A refresh succeeded: stores the new refresh token, if any, and the access token for all processes.

    Committed together on return. A sign-in in the meantime is not overwritten: its tokens are newer than this answer.
    """
    place = login_place(credential.user_id, credential.client_id)
    value, expires_at = access if access is not None else (None, None)
    values = {
        "account": credential.provider_account_id,
        "authorised_at": credential.authorised_at,
        "refresh_token": keys.seal(refresh_token, place=place) if refresh_token is not None else None,
        "scopes": sorted(scopes) if scopes is not None else None,
        "access_token": keys.seal(value, place=access_place(credential.user_id, credential.client_id))
        if value is not None
        else None,
        "access_expires_at": expires_at,
        "now": now,
    }
    with connection.transaction():
        connection.execute(load_sql("providers/vault/note_refreshed"), values)


def forget_access(connection: Connection, credential: Credential) -> None:
    """Deletes the access token that was read with this credential, as it is rejected or damaged; a newer one stays."""
    connection.execute(
        _NO_ACCESS + " where provider_account_id = %s and access_token = %s",
        (credential.provider_account_id, credential.sealed_access),
    )


def note_refused(
    connection: Connection, credential: Credential, *, reason: str, is_final: bool, most_refusals: int, now: datetime
) -> bool:
    """Records that the token endpoint refused this login. True if it is `reauth_required` from now on."""
    values = {
        "account": credential.provider_account_id,
        "authorised_at": credential.authorised_at,
        "reason": reason,
        "is_final": is_final,
        "most": most_refusals,
        "now": now,
    }
    with connection.transaction():
        row = connection.execute(load_sql("providers/vault/note_refused"), values).fetchone()
    return row is not None and row[0] == REAUTH_REQUIRED


def note_warned(connection: Connection, credential: Credential, *, days: int) -> None:
    """Records that the countdown's warning was logged."""
    connection.execute(
        "update app.credentials set warned_days = %s where provider_account_id = %s",
        (days, credential.provider_account_id),
    )


def pause(connection: Connection, *, user_id: int, now: datetime) -> bool:
    """Stops all requests to Spotify for this user, for every account, until `resume`. False if there is no login."""
    statement = "update app.credentials set paused_at = coalesce(paused_at, %s) where user_id = %s"
    return connection.execute(statement, (now, user_id)).rowcount > 0


def resume(connection: Connection, *, user_id: int) -> bool:
    return connection.execute("update app.credentials set paused_at = null where user_id = %s", (user_id,)).rowcount > 0


def pause_account(connection: Connection, *, user_id: int, account: int, now: datetime | None) -> bool:
    """The same for one account; None resumes it. False if the user has no login of it."""
    statement = (
        "update app.credentials set paused_at = case when %s::timestamptz is not null then coalesce(paused_at, %s) end"
        " where provider_account_id = %s and user_id = %s"
    )
    return connection.execute(statement, (now, now, account, user_id)).rowcount > 0


def delete_login(connection: Connection, *, user_id: int, account: int | None = None) -> bool:
    """Deletes the login of this account, or (None) the main login, at once, even during a refresh.

    False if there was none.
    """
    statement = (
        "delete from app.credentials where user_id = %s"
        " and case when %s::int is null then is_main else provider_account_id = %s end"
    )
    return connection.execute(statement, (user_id, account, account)).rowcount > 0
