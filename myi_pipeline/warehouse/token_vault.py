"""The logins of app.credentials: sealed when they are written, opened when they are needed.

Belongs here: their statements, and the lock that lets one process refresh a user's login at a time. Not here: deciding
what a failure means. Invariants: a refresh token is in the database only inside an envelope; a row is changed only
under its user's lock or by a whole new login; an account belongs to one user.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row

from myi_pipeline.core.errors import BadInput, Busy
from myi_pipeline.warehouse.envelope import KeyRing, Place
from myi_pipeline.warehouse.sql_files import load_sql

Connection = psycopg.Connection[Any]

ACTIVE, REAUTH_REQUIRED = "active", "reauth_required"
# The first of two numbers of an advisory lock, the second is the user; it spells "myic".
_LOCK_SPACE = 0x6D796963
# Nothing waits longer than 30 s inside a process; a refresh takes that long over the worst of lines only.
LOCK_WAIT_S = 28.0


class AccountTaken(BadInput):
    """This Spotify account is another user's."""


@dataclass(frozen=True, kw_only=True)
class Credential:
    """One user's login, without the login. `sealed` is the envelope of the refresh token."""

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

    def __post_init__(self) -> None:
        object.__setattr__(self, "scopes", tuple(self.scopes))

    @property
    def is_usable(self) -> bool:
        return self.status == ACTIVE and self.paused_at is None


def _place(user_id: int, client_id: str) -> Place:
    return Place("app.credentials", "refresh_token", user_id, client_id)


def open_token(keys: KeyRing, credential: Credential) -> str:
    """The refresh token. Raises UnknownKey and Damaged."""
    return keys.open(credential.sealed, place=_place(credential.user_id, credential.client_id))


def list_credentials(connection: Connection, *, user_id: int | None = None) -> tuple[Credential, ...]:
    """All logins in the order of users, or the one of this user."""
    with connection.cursor(row_factory=class_row(Credential)) as cursor:
        return tuple(cursor.execute(load_sql("vault/list_credentials"), {"user_id": user_id}).fetchall())


def find_credential(connection: Connection, *, user_id: int) -> Credential | None:
    return next(iter(list_credentials(connection, user_id=user_id)), None)


@contextmanager
def login_lock(connection: Connection, *, user_id: int, wait_s: float = LOCK_WAIT_S) -> Iterator[None]:
    """Hold one user's login, across processes. Needs autocommit. Raises Busy after `wait_s` seconds.

    The lock is the session's: no transaction stays open over a request, and a killed process lets go.
    """
    try:
        with connection.transaction():
            connection.execute("select set_config('lock_timeout', %s, true)", (f"{max(1, int(wait_s * 1000))}ms",))
            connection.execute("select pg_advisory_lock(%s, %s)", (_LOCK_SPACE, user_id))
    except psycopg.errors.LockNotAvailable as error:
        raise Busy("another process is refreshing this login") from error
    try:
        yield
    finally:
        if not connection.closed and not connection.broken:
            connection.execute("select pg_advisory_unlock(%s, %s)", (_LOCK_SPACE, user_id))


def store_login(
    connection: Connection,
    keys: KeyRing,
    *,
    user_id: int,
    client_id: str,
    account_key: str,
    other_key: str | None,
    refresh_token: str,
    scopes: Iterable[str],
    now: datetime,
) -> None:
    """A whole new login, in place of any older one. `other_key` is the account's other name, if it has two.

    Raises AccountTaken when the account is another user's, and when the user is another account's.
    """
    names = [name for name in (account_key, other_key) if name is not None]
    with connection.transaction():
        # Two sign-ins at once: the second sees the first.
        connection.execute("lock table app.credentials in share row exclusive mode")
        rows = connection.execute(
            "select c.user_id, u.user_key, c.account_key from app.credentials as c inner join app.users as u using"
            " (user_id) where c.user_id = %s or c.account_key = any (%s)",
            (user_id, names),
        ).fetchall()
        for holder_id, holder, name in rows:
            if holder_id != user_id:
                raise AccountTaken(
                    f"this Spotify account is already signed in as user {holder!r}; its plays would be counted twice",
                    place="user key",
                )
            if name not in names:
                raise AccountTaken(
                    f"user {holder!r} is signed in with another Spotify account; if that is meant: myi user disconnect"
                    f" {holder}, then sign in again",
                    place="user key",
                )
        values = {
            "user_id": user_id,
            "client_id": client_id,
            "account_key": account_key,
            "refresh_token": keys.seal(refresh_token, place=_place(user_id, client_id)),
            "scopes": sorted(scopes),
            "now": now,
        }
        connection.execute(load_sql("vault/store_login"), values)


def note_refreshed(
    connection: Connection,
    keys: KeyRing,
    credential: Credential,
    *,
    refresh_token: str | None,
    scopes: Iterable[str] | None,
    now: datetime,
) -> None:
    """A refresh succeeded: the new refresh token, if there is one, replaces the old. Committed on return.

    A sign-in that came meanwhile stays as it is: its token is younger than this answer.
    """
    place = _place(credential.user_id, credential.client_id)
    values = {
        "user_id": credential.user_id,
        "authorised_at": credential.authorised_at,
        "refresh_token": keys.seal(refresh_token, place=place) if refresh_token is not None else None,
        "scopes": sorted(scopes) if scopes is not None else None,
        "now": now,
    }
    with connection.transaction():
        connection.execute(load_sql("vault/note_refreshed"), values)


def note_refused(
    connection: Connection, credential: Credential, *, reason: str, is_final: bool, most_refusals: int, now: datetime
) -> bool:
    """The token endpoint refused this login. True when it is `reauth_required` from now on."""
    values = {
        "user_id": credential.user_id,
        "authorised_at": credential.authorised_at,
        "reason": reason,
        "is_final": is_final,
        "most": most_refusals,
        "now": now,
    }
    with connection.transaction():
        row = connection.execute(load_sql("vault/note_refused"), values).fetchone()
    return row is not None and row[0] == REAUTH_REQUIRED


def note_warned(connection: Connection, *, user_id: int, days: int) -> None:
    """The countdown's warning was logged."""
    connection.execute("update app.credentials set warned_days = %s where user_id = %s", (days, user_id))


def pause(connection: Connection, *, user_id: int, now: datetime) -> bool:
    """Nothing is asked of Spotify for this user until `resume`. False when there is no login."""
    statement = "update app.credentials set paused_at = coalesce(paused_at, %s) where user_id = %s"
    return connection.execute(statement, (now, user_id)).rowcount > 0


def resume(connection: Connection, *, user_id: int) -> bool:
    return connection.execute("update app.credentials set paused_at = null where user_id = %s", (user_id,)).rowcount > 0


def delete_login(connection: Connection, *, user_id: int) -> bool:
    """At once, whoever is refreshing. False when there was none."""
    return connection.execute("delete from app.credentials where user_id = %s", (user_id,)).rowcount > 0


def count_by_key(connection: Connection) -> dict[bytes, int]:
    """How many logins each key seals."""
    rows = connection.execute("select key_id, count(*) from app.credentials group by 1 order by 1").fetchall()
    return {bytes(key): int(count) for key, count in rows}


def sealed_otherwise(connection: Connection, *, key_id: bytes, after: int, limit: int) -> tuple[int, ...]:
    """Users above number `after` whose login another key seals."""
    rows = connection.execute(
        "select user_id from app.credentials where key_id <> %s and user_id > %s order by user_id limit %s",
        (key_id, after, limit),
    ).fetchall()
    return tuple(int(row[0]) for row in rows)


def seal_again(connection: Connection, keys: KeyRing, *, user_id: int) -> bool:
    """Seal one login with the first key, in one transaction. False when it is so already, or gone.

    Raises UnknownKey and Damaged. A refresh under way writes its own envelope later, whole.
    """
    with connection.transaction():
        connection.execute("select from app.credentials where user_id = %s for update", (user_id,))
        credential = find_credential(connection, user_id=user_id)
        if credential is None or credential.key_id == keys.sealing_id:
            return False
        place = _place(user_id, credential.client_id)
        sealed = keys.seal(open_token(keys, credential), place=place)
        connection.execute("update app.credentials set refresh_token = %s where user_id = %s", (sealed, user_id))
    return True
