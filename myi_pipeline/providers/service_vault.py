"""The accounts of app.linked_services and their secrets: sealed when written, opened when needed.

An account belongs to one user; a user has at most one account at each service; a secret is deleted with its account.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from psycopg import errors
from psycopg.rows import class_row

from myi_pipeline.errors import BadInput
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.postgres.user_scope import as_user
from myi_pipeline.providers.envelope import KeyRing, Place, sealed_by
from myi_pipeline.providers.scrobbles import Service


class ServiceAccountTaken(BadInput):
    """This account of a service belongs to another user."""


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


def list_links(connection: Connection, *, user_id: int | None = None) -> tuple[LinkedAccount, ...]:
    """All links, ordered by user and service, or those of one user."""
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
    """Links an account, replacing another one of this service.

    Without `secret`, the same account keeps the one it has. Raises ServiceAccountTaken if the account belongs to
    another user.
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
        with as_user(connection, user_id):
            # Another account has another history: the state of the old one is deleted, its plays stay.
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
    """Deletes the link at once; collected plays stay. False if there was none."""
    with as_user(connection, user_id):
        cursor = connection.execute(
            "delete from app.linked_services where user_id = %s and service = %s", (user_id, service.value)
        )
    return cursor.rowcount > 0


def pause_link(connection: Connection, *, user_id: int, service: Service, now: datetime | None) -> bool:
    """Stops polling the service for this user, or resumes if None. False if there is no link."""
    with as_user(connection, user_id):
        cursor = connection.execute(
            "update app.linked_services set paused_at = %s where user_id = %s and service = %s",
            (now, user_id, service.value),
        )
    return cursor.rowcount > 0


def note_secret_ended(connection: Connection, link: LinkedAccount, *, now: datetime) -> None:
    """Records that the service refused the secret this link was read with; a newer one stays."""
    connection.execute(
        "update app.linked_services set secret_ended_at = %s where user_id = %s and service = %s and secret = %s",
        (now, link.user_id, link.service.value, link.sealed),
    )


def count_service_keys(connection: Connection) -> dict[bytes, int]:
    """How many secrets each key seals."""
    rows = connection.execute("select key_id, secrets from app.count_service_keys()").fetchall()
    return {bytes(key): int(count) for key, count in rows}


def services_sealed_otherwise(connection: Connection, *, key_id: bytes, after: int, limit: int) -> tuple[int, ...]:
    """Users with user_id > `after` who have a secret sealed with another key."""
    values = {"key_id": key_id, "after": after, "limit": limit}
    return tuple(int(row[0]) for row in connection.execute(load_sql("providers/services/sealed_otherwise"), values))


def seal_services_again(connection: Connection, keys: KeyRing, *, user_id: int) -> int:
    """Seals one user's secrets with the first key; returns how many were sealed with another key.

    Raises UnknownKey and Damaged.
    """
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
