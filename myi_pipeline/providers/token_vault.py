"""The logins of app.credentials and their access tokens: sealed when they are written, opened when they are needed.

A token is in the database only inside an envelope; a row is changed only under its user's lock or by a whole new login;
an access token is the newest refresh token's, and goes with its login; an account belongs to one user.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from myi_pipeline.errors import BadInput, Busy, Transient
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.providers.account_names import AccountNames, Match
from myi_pipeline.providers.envelope import Damaged, KeyRing, Place, UnknownKey, sealed_by

ACTIVE, REAUTH_REQUIRED = "active", "reauth_required"
# The first of two numbers of an advisory lock, the second is the user; it spells "myic".
_LOCK_SPACE = 0x6D796963
# Nothing waits longer than 30 s inside a process; a refresh takes that long over the worst of lines only.
LOCK_WAIT_S = 28.0
_UNCLEAR = (
    "Spotify left out the name by which this account differs from another one that is connected here; nothing was"
    " changed. Try again later"
)


class AccountTaken(BadInput):
    """This Spotify account is another user's."""


class AccountUnclear(Transient):
    """Spotify's answer does not say whose account it is."""


class AnotherAccount(BadInput):
    """The user is signed in with another Spotify account; a person must say that the new one takes its place."""

    def __init__(self, account_key: str) -> None:
        super().__init__(
            "the user is signed in with another Spotify account; plays of both would count as one person's. If that is"
            " meant, sign in with --switch-account",
            place="Spotify account",
        )
        self.account_key = account_key


@dataclass(frozen=True, kw_only=True)
class Credential:
    """One user's login, without the login. `sealed` is the envelope of the refresh token, `sealed_access` that of the
    access token, if one is kept.
    """

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


def _place(user_id: int, client_id: str) -> Place:
    return Place("app.credentials", "refresh_token", user_id, client_id)


def open_token(keys: KeyRing, credential: Credential) -> str:
    """The refresh token. Raises UnknownKey and Damaged."""
    return keys.open(credential.sealed, place=_place(credential.user_id, credential.client_id))


def _access_place(user_id: int, client_id: str) -> Place:
    return Place("app.spotify_tokens", "sealed", user_id, client_id)


def open_access(keys: KeyRing, credential: Credential) -> str | None:
    """The access token that is kept, if there is one. Raises UnknownKey and Damaged."""
    if credential.sealed_access is None:
        return None
    return keys.open(credential.sealed_access, place=_access_place(credential.user_id, credential.client_id))


def list_credentials(connection: Connection, *, user_id: int | None = None) -> tuple[Credential, ...]:
    """All logins in the order of users, or the one of this user."""
    with connection.cursor(row_factory=class_row(Credential)) as cursor:
        return tuple(cursor.execute(load_sql("providers/vault/list_credentials"), {"user_id": user_id}).fetchall())


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
    switch_to: str | None = None,
    trust_owner: bool = True,
) -> AccountNames:
    """A whole new login, in place of any older one. `other_key` is the account's other name, if it is known.

    `switch_to` is the account that may take the place of another one of this user: somebody was asked. `trust_owner`:
    what nobody can tell from the account of this very user is taken for it. Returns the names of the account that are
    known now. Raises AccountTaken when the account is another user's, AccountUnclear when nobody can tell, and
    AnotherAccount when the user is signed in with another account and nobody was asked.
    """
    given = AccountNames.from_keys(account_key, other_key)
    with connection.transaction():
        # Two sign-ins at once: the second sees the first.
        connection.execute("lock table app.credentials in share row exclusive mode")
        stored = find_credential_names(connection, user_id=user_id)
        match = stored.compare(given) if stored is not None else None
        # What is known of the owner's account counts against others too, once it is certain that it is that account.
        certain = stored.known_with(given) if stored is not None and match is Match.SAME else given
        for _, names in _rivals(connection, certain, but_user=user_id):
            against = names.compare(certain)
            if against in (Match.SAME, Match.CONFLICT):
                raise AccountTaken(
                    "this Spotify account is already signed in as another user; its plays would be counted twice",
                    place="Spotify account",
                )
            if against is Match.UNKNOWN:
                raise AccountUnclear(_UNCLEAR)
        if match is Match.UNKNOWN and not trust_owner:
            raise AccountUnclear(_UNCLEAR)
        if match in (Match.OTHER, Match.CONFLICT):
            if switch_to != given.key:
                raise AnotherAccount(given.key)
            # The trigger on this table closes what was polled of the account before.
            connection.execute("delete from app.credentials where user_id = %s", (user_id,))
            stored = None
        names = given if stored is None else stored.known_with(given)
        values = {
            "user_id": user_id,
            "client_id": client_id,
            "account_key": names.key,
            "account_id": names.account_id,
            "profile_id": names.profile_id,
            "refresh_token": keys.seal(refresh_token, place=_place(user_id, client_id)),
            "scopes": sorted(scopes),
            "now": now,
        }
        connection.execute(load_sql("providers/vault/store_login"), values)
        if stored is not None:
            _rename_polled(connection, user_id=user_id, before=stored, after=names)
    return names


def holders(connection: Connection, given: AccountNames) -> tuple[tuple[int, str], ...]:
    """Users and client ids of the logins whose account is the one in the answer.

    Raises AccountUnclear when the names contradict each other: they lead to two users, or to another account.
    """
    found = []
    for user_id, names in _rivals(connection, given):
        match = names.compare(given)
        if match is Match.CONFLICT:
            raise AccountUnclear(
                "the names that Spotify gave for this account contradict each other; nothing was changed"
            )
        if match is Match.SAME:
            found.append(user_id)
    if len(found) > 1:
        raise AccountUnclear("the names that Spotify gave for this account belong to two users; nothing changed")
    rows = connection.execute("select user_id, client_id from app.credentials where user_id = any (%s)", (found,))
    return tuple((int(user_id), str(client_id)) for user_id, client_id in rows)


def lacking_names(
    connection: Connection, *, asked_before: datetime, user_ids: Collection[int] | None = None
) -> tuple[Credential, ...]:
    """Usable logins of whose account one name is not known, asked for it last before that moment; some of them."""
    values = {"asked_before": asked_before, "user_ids": None if user_ids is None else list(user_ids), "limit": 20}
    rows = connection.execute(load_sql("providers/vault/lacking_names"), values).fetchall()
    found = (find_credential(connection, user_id=user_id) for (user_id,) in rows)
    return tuple(credential for credential in found if credential is not None and credential.is_usable)


def learn_names(connection: Connection, given: AccountNames | None, *, credential: Credential, now: datetime) -> None:
    """Keep a name of this login's own account that was not known; None: Spotify was asked in vain."""
    with connection.transaction():
        connection.execute("lock table app.credentials in share row exclusive mode")
        known = credential.names
        names = known
        if given is not None and known.compare(given) in (Match.SAME, Match.UNKNOWN):
            # It came for this login's own token, so it is this account.
            both = known.known_with(given)
            rivals = _rivals(connection, both, but_user=credential.user_id)
            if all(rival.compare(both) is Match.OTHER for _, rival in rivals):
                names = both
        connection.execute(
            "update app.credentials set account_key = %s, account_id = %s, profile_id = %s, names_asked_at = %s"
            " where user_id = %s and authorised_at = %s",
            (names.key, names.account_id, names.profile_id, now, credential.user_id, credential.authorised_at),
        )
        _rename_polled(connection, user_id=credential.user_id, before=known, after=names)


def find_credential_names(connection: Connection, *, user_id: int) -> AccountNames | None:
    """The names of the account of a user's login. Takes no right to read the login itself."""
    row = connection.execute(
        "select account_id, profile_id from app.credentials where user_id = %s", (user_id,)
    ).fetchone()
    return AccountNames(account_id=row[0], profile_id=row[1]) if row is not None else None


def _rivals(
    connection: Connection, given: AccountNames, *, but_user: int | None = None
) -> list[tuple[int, AccountNames]]:
    """Every login that is or may be of the account that is given, with its user; but for one user's."""
    values = {"but_user": but_user, "account_id": given.account_id, "profile_id": given.profile_id}
    rows = connection.execute(load_sql("providers/vault/rivals"), values)
    return [(user, AccountNames(account_id=account_id, profile_id=profile_id)) for user, account_id, profile_id in rows]


def _rename_polled(connection: Connection, *, user_id: int, before: AccountNames, after: AccountNames) -> None:
    if before.key != after.key:
        connection.execute(
            "update app.polled_accounts set account_key = %s where user_id = %s and account_key = %s",
            (after.key, user_id, before.key),
        )


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
    """A refresh succeeded: the new refresh token, if there is one, replaces the old, and the access token (its value,
    and when it ends) is kept for all processes. Committed together on return.

    A sign-in that came meanwhile stays as it is: its tokens are younger than this answer.
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
        # Updates the login first, and so holds its row: a sign-in waits, and finds the access token to forget.
        connection.execute(load_sql("providers/vault/note_refreshed"), values)
        if access is not None:
            value, expires_at = access
            sealed = keys.seal(value, place=_access_place(credential.user_id, credential.client_id))
            connection.execute(
                load_sql("providers/vault/store_access"), values | {"sealed": sealed, "expires_at": expires_at}
            )


def forget_access(connection: Connection, credential: Credential) -> None:
    """The access token that was read with this credential is rejected or damaged: it goes, a newer one stays."""
    connection.execute(
        "delete from app.spotify_tokens where user_id = %s and sealed = %s",
        (credential.user_id, credential.sealed_access),
    )


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
        row = connection.execute(load_sql("providers/vault/note_refused"), values).fetchone()
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


def count_by_key(connection: Connection, *, with_access: bool = False) -> dict[bytes, int]:
    """How many logins each key seals; `with_access` also counts those of which it seals the access token alone."""
    query = load_sql("providers/vault/count_by_key_of_all" if with_access else "providers/vault/count_by_key")
    rows = connection.execute(query).fetchall()
    return {bytes(key): int(count) for key, count in rows}


def sealed_otherwise(connection: Connection, *, key_id: bytes, after: int, limit: int) -> tuple[int, ...]:
    """Users above number `after` of whom another key seals anything."""
    values = {"key_id": key_id, "after": after, "limit": limit}
    return tuple(
        int(row[0]) for row in connection.execute(load_sql("providers/vault/sealed_otherwise"), values).fetchall()
    )


def seal_again(connection: Connection, keys: KeyRing, *, user_id: int) -> bool:
    """Seal one user's tokens with the first key, in one transaction. False when they are so already, or gone.

    An access token that cannot be opened goes, since a refresh brings another. Raises UnknownKey and Damaged of the
    login. A refresh under way writes its own envelopes later, whole.
    """
    with connection.transaction():
        connection.execute("select from app.credentials where user_id = %s for update", (user_id,))
        credential = find_credential(connection, user_id=user_id)
        if credential is None:
            return False
        is_changed = _seal_access_again(connection, keys, credential)
        if credential.key_id != keys.sealing_id:
            sealed = keys.seal(open_token(keys, credential), place=_place(user_id, credential.client_id))
            connection.execute("update app.credentials set refresh_token = %s where user_id = %s", (sealed, user_id))
            is_changed = True
    return is_changed


def _seal_access_again(connection: Connection, keys: KeyRing, credential: Credential) -> bool:
    envelope = credential.sealed_access
    if envelope is None or sealed_by(envelope) == keys.sealing_id:
        return False
    try:
        value = open_access(keys, credential)
    except (UnknownKey, Damaged):
        forget_access(connection, credential)
        return True
    assert value is not None
    user_id = credential.user_id
    sealed = keys.seal(value, place=_access_place(user_id, credential.client_id))
    connection.execute("update app.spotify_tokens set sealed = %s where user_id = %s", (sealed, user_id))
    return True
