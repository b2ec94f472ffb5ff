"""The tables of polling linked accounts: who is due, state, stretches, the log, the plays, and the lock.

A page's plays, its log entry, its stretch and the state are committed together, on the connection that holds the
account's lock: a process that has lost the lock cannot commit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from myi_pipeline.catalogue.sources import POLLED_SOURCES
from myi_pipeline.polling.obstacles import ALWAYS_BLOCKING
from myi_pipeline.polling.scrobble_rules import LinkState, NamedScrobble, Stretch
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.providers.scrobbles import Service

# First key of an advisory lock (the second is the user and the service); it spells "myis".
_LOCK_SPACE = 0x6D796973


@dataclass(frozen=True)
class DueLink:
    """An account that has been due since `due_at`."""

    user_id: int
    user_key: str
    service: Service
    due_at: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "service", Service(self.service))


@dataclass(frozen=True, kw_only=True)
class PageEntry:
    """One line of the log."""

    items: int
    new_plays: int
    known_plays: int
    late_plays: int
    refused_items: int
    oldest_played_at: datetime | None
    newest_played_at: datetime | None
    refused: Sequence[dict[str, Any]] = ()
    correlation_id: str | None = None


def due_links(connection: Connection, *, now: datetime, within: timedelta) -> tuple[DueLink, ...]:
    """Accounts that may be polled and are due `within` this time, longest waiting first."""
    values = {"now": now, "turn_at": now + within, "firm": list(ALWAYS_BLOCKING)}
    with connection.cursor(row_factory=class_row(DueLink)) as cursor:
        return tuple(cursor.execute(load_sql("polling/scrobbles/due"), values).fetchall())


@dataclass(frozen=True, kw_only=True)
class LinkHealth:
    """How reading an account is going. `unread_since`: when the oldest unfinished stretch was opened; `failures` are
    consecutive, with the reason of the last one."""

    user_key: str
    service: Service
    polled_at: datetime | None
    unread_since: datetime | None
    failures: int
    reason: str | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "service", Service(self.service))

    @property
    def name(self) -> str:
        return f"{self.user_key} at {self.service.label}"


def health_of_links(connection: Connection) -> tuple[LinkHealth, ...]:
    """For every account that nobody has paused, by user and service."""
    with connection.cursor(row_factory=class_row(LinkHealth)) as cursor:
        return tuple(cursor.execute(load_sql("polling/scrobbles/health")).fetchall())


@contextmanager
def link_lock(connection: Connection, *, user_id: int, service: Service) -> Iterator[bool]:
    """Hold one account's polling across processes; False if another one does. Needs autocommit.

    A session lock: no transaction stays open during a request, and a killed process releases it.
    """
    number = service.lock_number(user_id)
    row = connection.execute("select pg_try_advisory_lock(%s, %s)", (_LOCK_SPACE, number)).fetchone()
    is_held = bool(row and row[0])
    try:
        yield is_held
    finally:
        if is_held and not connection.closed and not connection.broken:
            connection.execute("select pg_advisory_unlock(%s, %s)", (_LOCK_SPACE, number))


def is_still_linked(connection: Connection, *, user_id: int, service: Service, account: str) -> bool:
    """Locks the link until the transaction ends, so that an account's page is never stored under the next one."""
    row = connection.execute(
        "select from app.linked_services where user_id = %s and service = %s and account = %s for share",
        (user_id, service.value, account),
    ).fetchone()
    return row is not None


def read_state(connection: Connection, *, user_id: int, service: Service) -> LinkState:
    with connection.cursor(row_factory=class_row(LinkState)) as cursor:
        values = {"user_id": user_id, "service": service.value}
        return cursor.execute(load_sql("polling/scrobbles/read_state"), values).fetchone() or LinkState()


def store_state(connection: Connection, state: LinkState, *, user_id: int, service: Service) -> None:
    values = {each.name: getattr(state, each.name) for each in fields(state)}
    connection.execute(
        load_sql("polling/scrobbles/store_state"), values | {"user_id": user_id, "service": service.value}
    )


def read_stretches(connection: Connection, *, user_id: int, service: Service) -> list[Stretch]:
    """The unfinished stretches, latest first."""
    rows = connection.execute(
        "select stretch_id, since, read_down_to, opened_at from ops.service_stretches"
        " where user_id = %s and service = %s order by opened_at desc, stretch_id desc",
        (user_id, service.value),
    )
    return [Stretch(*row) for row in rows]


def store_stretch(connection: Connection, stretch: Stretch, *, user_id: int, service: Service) -> int:
    """Records how far the stretch has been read; returns its id."""
    if stretch.stretch_id is not None:
        connection.execute(
            "update ops.service_stretches set read_down_to = %s where stretch_id = %s",
            (stretch.read_down_to, stretch.stretch_id),
        )
        return stretch.stretch_id
    row = connection.execute(
        "insert into ops.service_stretches (user_id, service, since, read_down_to, opened_at)"
        " values (%s, %s, %s, %s, %s) returning stretch_id",
        (user_id, service.value, stretch.since, stretch.read_down_to, stretch.opened_at),
    ).fetchone()
    assert row is not None
    return int(row[0])


def end_stretch(connection: Connection, stretch: Stretch) -> None:
    connection.execute("delete from ops.service_stretches where stretch_id = %s", (stretch.stretch_id,))


def known_scrobbles(
    connection: Connection, *, user_id: int, service: Service, oldest: datetime, newest: datetime
) -> list[NamedScrobble]:
    """The scrobbles of this service at these times that are in raw."""
    values = {"user_id": user_id, "source_id": int(POLLED_SOURCES[service]), "oldest": oldest, "newest": newest}
    rows = connection.execute(load_sql("polling/scrobbles/known"), values)
    return [
        NamedScrobble(played_at, frozenset(name.replace("-", "") for name in names if name is not None))
        for played_at, *names in rows
    ]


def insert_plays(
    connection: Connection,
    plays: Sequence[tuple[datetime, int | None]],
    *,
    user_id: int,
    service: Service,
    poll_id: int,
) -> int:
    """Returns how many were not there yet."""
    values = {
        "user_id": user_id,
        "source_id": int(POLLED_SOURCES[service]),
        "poll_id": poll_id,
        "played_at": [played_at for played_at, _ in plays],
        "content_id": [content_id for _, content_id in plays],
    }
    return connection.execute(load_sql("polling/scrobbles/insert_plays"), values).rowcount


def record_page(
    connection: Connection,
    entry: PageEntry,
    *,
    poll_id: int,
    user_id: int,
    service: Service,
    account: str,
    polled_at: datetime,
) -> None:
    values = {
        **{each.name: getattr(entry, each.name) for each in fields(entry)},
        "poll_id": poll_id,
        "user_id": user_id,
        "service": service.value,
        "account": account,
        "polled_at": polled_at,
        "refused": Jsonb(list(entry.refused)) if entry.refused else None,
    }
    connection.execute(load_sql("polling/scrobbles/record_page"), values)


def prune(connection: Connection, *, before: datetime) -> int:
    """Delete old lines of the log; nothing is computed from them."""
    return connection.execute("delete from ops.service_polls where polled_at < %s", (before,)).rowcount
