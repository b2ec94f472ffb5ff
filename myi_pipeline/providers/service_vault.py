"""The accounts of app.linked_services and their secrets: sealed when they are written, opened when they are needed.

An account belongs to one user; a user has at most one account of each service; a secret goes with its account.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from psycopg import errors
from psycopg.rows import class_row

from myi_pipeline.errors import BadInput
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.providers.envelope import KeyRing, Place, sealed_by
from myi_pipeline.providers.scrobbles import Service


class ServiceAccountTaken(BadInput):
    """This account of a service is another user's."""


@dataclass(frozen=True, kw_only=True)
class LinkedAccount:
    """One user's account at one service. `sealed` is the envelope of its secret, if it has one."""

    user_id: int
    user_key: str
    service: Service
    account: str
    sealed: bytes | None = field(repr=False)
    linked_at: datetime
    paused_at: datetime | None
    secret_ended_at: datetime | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "service", Service(self.service))

    @property
    def has_good_secret(self) -> bool:
        return self.sealed is not None and self.secret_ended_at is None


def _place(user_id: int, service: Service) -> Place:
    return Place("app.linked_services", "secret", user_id, service.value)


@contextmanager
def _as_user(connection: Connection, user_id: int) -> Iterator[None]:
    """For the role that serves people: row security shows it one user's links. Nothing to the others."""
    with connection.transaction():
        connection.execute("select set_config('app.user_id', %s, true)", (str(user_id),))
        yield


def list_links(connection: Connection, *, user_id: int | None = None) -> tuple[LinkedAccount, ...]:
    """All links in the order of users and services, or those of this user."""
    with connection.cursor(row_factory=class_row(LinkedAccount)) as cursor:
        return tuple(cursor.execute(load_sql("providers/services/list_links"), {"user_id": user_id}).fetchall())


def find_link(connection: Connection, *, user_id: int, service: Service) -> LinkedAccount | None:
    return next((link for link in list_links(connection, user_id=user_id) if link.service is service), None)


def open_secret(keys: KeyRing, link: LinkedAccount) -> str | None:
    """The token or session key, if there is one. Raises UnknownKey and Damaged."""
    return None if link.sealed is None else keys.open(link.sealed, place=_place(link.user_id, link.service))


def store_link(
    connection: Connection,
    keys: KeyRing,
    *,
    user_id: int,
    service: Service,
    account: str,
    secret: str | None,
    now: datetime,
) -> None:
    """Link an account, in place of another one of this service. Without `secret` the same account keeps the one it has.

    Raises ServiceAccountTaken when the account is another user's.
    """
    values = {
        "user_id": user_id,
        "service": service.value,
        "account": account,
        "secret": keys.seal(secret, place=_place(user_id, service))
        if secret is not None and keys is not None
        else None,
        "now": now,
    }
    try:
        with _as_user(connection, user_id):
            # Another account is another history: what is known of the old one's goes, its plays stay.
            connection.execute(load_sql("providers/services/drop_other_account"), values)
            connection.execute(load_sql("providers/services/store_link"), values)
            if secret is not None:
                connection.execute(load_sql("providers/services/replace_secret"), values)
    except errors.UniqueViolation:
        raise ServiceAccountTaken(
            f"this {service.label} account is already linked to another user; its plays would be counted twice",
            place=f"{service.label} account",
        ) from None


def delete_link(connection: Connection, *, user_id: int, service: Service) -> bool:
    """At once. False when there was none. What was collected stays."""
    with _as_user(connection, user_id):
        cursor = connection.execute(
            "delete from app.linked_services where user_id = %s and service = %s", (user_id, service.value)
        )
    return cursor.rowcount > 0


def pause_link(connection: Connection, *, user_id: int, service: Service, now: datetime | None) -> bool:
    """Ask nothing of the service for this user from now on; None: go on. False when there is no link."""
    with _as_user(connection, user_id):
        cursor = connection.execute(
            "update app.linked_services set paused_at = %s where user_id = %s and service = %s",
            (now, user_id, service.value),
        )
    return cursor.rowcount > 0


def note_secret_ended(connection: Connection, link: LinkedAccount, *, now: datetime) -> None:
    """The service refused the secret that this link was read with; a newer one stays."""
    connection.execute(
        "update app.linked_services set secret_ended_at = %s where user_id = %s and service = %s and secret = %s",
        (now, link.user_id, link.service.value, link.sealed),
    )


def count_service_keys(connection: Connection) -> dict[bytes, int]:
    """How many secrets each key seals."""
    rows = connection.execute("select key_id, secrets from app.count_service_keys()").fetchall()
    return {bytes(key): int(count) for key, count in rows}


def services_sealed_otherwise(connection: Connection, *, key_id: bytes, after: int, limit: int) -> tuple[int, ...]:
    """Users above number `after` of whom another key seals a secret."""
    values = {"key_id": key_id, "after": after, "limit": limit}
    return tuple(int(row[0]) for row in connection.execute(load_sql("providers/services/sealed_otherwise"), values))


def seal_services_again(connection: Connection, keys: KeyRing, *, user_id: int) -> int:
    """Seal one user's secrets with the first key; how many were not. Raises UnknownKey and Damaged."""
    done = 0
    with connection.transaction():
        connection.execute("select from app.linked_services where user_id = %s for update", (user_id,))
        for link in list_links(connection, user_id=user_id):
            secret = open_secret(keys, link)
            if secret is None or link.sealed is None or sealed_by(link.sealed) == keys.sealing_id:
                continue
            sealed = keys.seal(secret, place=_place(user_id, link.service))
            connection.execute(
                "update app.linked_services set secret = %s where user_id = %s and service = %s",
                (sealed, user_id, link.service.value),
            )
            done += 1
    return done
