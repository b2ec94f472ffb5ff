"""The tables for sending plays on: which accounts want it, and the journal of plays sent.

A play is recorded as `unknown` before it is sent; only the service's answer, or what the service lists later, changes
that. The journal of an account is only changed under its lock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from myi_pipeline.catalogue.plays import normalise_name
from myi_pipeline.catalogue.sources import POLLED_SOURCES
from myi_pipeline.errors import BadInput
from myi_pipeline.onward.rules import IS_NEWS_FOR, Journalled, Planned, Play
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.postgres.user_scope import as_user
from myi_pipeline.providers.scrobbles import Outgoing, Service

# The first key of an advisory lock, "myio" in ASCII; the second one stands for user and service.
_LOCK_SPACE = 0x6D79696F


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A user's wish to send plays to an account. `polled_at`: when the account was last polled."""

    user_id: int
    user_key: str
    service: Service
    account: str
    wished_at: datetime
    since: datetime | None
    polled_at: datetime | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "service", Service(self.service))


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A play in the journal that is being sent, or that may have been."""

    onward_id: int
    listened_at: datetime
    title: str
    artist: str
    album: str | None
    duration_ms: int | None
    recording_uri: str | None
    isrc: str | None
    is_past: bool
    attempts: int

    def outgoing(self) -> Outgoing:
        return Outgoing(
            listened_at=self.listened_at,
            title=self.title,
            artist=self.artist,
            album=self.album,
            duration_ms=self.duration_ms,
            isrc=self.isrc,
            spotify_uri=self.recording_uri,
        )


@dataclass(frozen=True)
class Decision:
    """The new state of an entry."""

    onward_id: int
    state: str
    reason: str | None = None
    not_before: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class OnwardCounts:
    """The state of sending to one service, for its user. `wished_at` None: nothing is sent."""

    service: Service
    wished_at: datetime | None
    since: datetime | None
    last_at: datetime | None
    planned: int = 0
    sent: int = 0
    confirmed: int = 0
    unknown: int = 0
    refused: int = 0


def wish_for(connection: Connection, *, user_id: int, service: Service, with_past: bool, now: datetime) -> None:
    """Send plays on from now on; `with_past`: earlier ones too. Raises BadInput without a link."""
    with as_user(connection, user_id):
        if connection.execute(
            "select from app.linked_services where user_id = %s and service = %s", (user_id, service.value)
        ).fetchone() is None:  # fmt: skip
            raise BadInput(f"{service.label} is not linked", place="service")
        connection.execute(
            "insert into app.onward_wishes as wish (user_id, service, wished_at, since) values (%s, %s, %s, %s)"
            " on conflict (user_id, service) do update set since = least(wish.since, excluded.since)",
            (user_id, service.value, now, None if with_past else now),
        )
        if with_past:
            # least() ignores nulls.
            connection.execute(
                "update app.onward_wishes set since = null where user_id = %s and service = %s",
                (user_id, service.value),
            )


def end_wish(connection: Connection, *, user_id: int, service: Service) -> bool:
    """Stop sending plays; those sent stay at the service. False if none were being sent."""
    with as_user(connection, user_id):
        cursor = connection.execute(
            "delete from app.onward_wishes where user_id = %s and service = %s", (user_id, service.value)
        )
    return cursor.rowcount > 0


def list_wishes(
    connection: Connection, *, user_id: int | None = None, service: Service | None = None
) -> tuple[Wish, ...]:
    """Wishes, ordered by user; those for paused accounts are left out."""
    values = {"user_id": user_id, "service": service.value if service is not None else None}
    with connection.cursor(row_factory=class_row(Wish)) as cursor:
        return tuple(cursor.execute(load_sql("onward/list_wishes"), values).fetchall())


def onward_of(connection: Connection, *, user_id: int) -> tuple[OnwardCounts, ...]:
    """The state of sending for each linked account of a user."""
    rows = connection.execute(
        "select service, wished_at, since, state, plays, last_at from app.onward_of(%s)", (user_id,)
    ).fetchall()
    found: dict[str, dict[str, Any]] = {}
    for service, wished_at, since, state, plays, last_at in rows:
        one = found.setdefault(
            service, {"service": Service(service), "wished_at": wished_at, "since": since, "last_at": None}
        )
        if state is not None:
            one[state] = int(plays)
        if last_at is not None:
            one["last_at"] = last_at if one["last_at"] is None else max(one["last_at"], last_at)
    return tuple(OnwardCounts(**found[name]) for name in sorted(found))


@contextmanager
def onward_lock(connection: Connection, *, user_id: int, service: Service) -> Iterator[bool]:
    """Lock the journal of one account against other processes; False if one has locked it. Needs autocommit."""
    number = service.lock_number(user_id)
    row = connection.execute("select pg_try_advisory_lock(%s, %s)", (_LOCK_SPACE, number)).fetchone()
    is_held = bool(row and row[0])
    try:
        yield is_held
    finally:
        if is_held and not connection.closed and not connection.broken:
            connection.execute("select pg_advisory_unlock(%s, %s)", (_LOCK_SPACE, number))


def read_plays(
    marts: Connection, *, user_id: int, since: datetime, until: datetime
) -> tuple[list[Play], frozenset[int]]:
    """One user's counted plays of tracks, and the ids of all plays. For the role that reads marts."""
    values = {"user_id": user_id, "since": since, "until": until}
    # With a day more on either side, as the time of a play may have changed slightly.
    wide = values | {"since": since - timedelta(days=1), "until": until + timedelta(days=1)}
    with as_user(marts, user_id):
        rows = marts.execute(load_sql("onward/plays"), values).fetchall()
        numbers = marts.execute(load_sql("onward/existing"), wide).fetchall()
    plays = [
        Play(
            play_id=play_id,
            began_at=began_at,
            sources=frozenset([source, *(each.strip() for each in (confirmed_by or "").split(",") if each.strip())]),
            title=title,
            artist=artist,
            album=album,
            duration_ms=duration_ms,
            uri=uri,
            isrc=isrc,
        )
        for play_id, began_at, source, confirmed_by, title, artist, album, duration_ms, uri, isrc in rows
    ]
    return plays, frozenset(number for (number,) in numbers)


def read_journal(connection: Connection, wish: Wish, *, since: datetime) -> list[Journalled]:
    """The journal of this account from `since` on."""
    rows = connection.execute(
        "select onward_id, play_id, listened_at, title from app.onward_plays"
        " where user_id = %s and service = %s and account = %s and listened_at >= %s",
        (wish.user_id, wish.service.value, wish.account, since),
    )
    return [
        Journalled(onward_id, play_id, listened_at, normalise_name(title))
        for onward_id, play_id, listened_at, title in rows
    ]


def store_plan(connection: Connection, wish: Wish, planned: Planned, *, now: datetime) -> int:
    """Add new plays to the journal, and update the ids of known ones; returns how many are new."""
    rows = [
        {
            "play_id": play.play_id,
            "listened_at": play.began_at.replace(microsecond=0).isoformat(),
            "title": play.title,
            "artist": play.artist,
            "album": play.album,
            "duration_ms": play.duration_ms,
            "recording_uri": play.uri,
            "isrc": play.isrc,
            "is_past": play.began_at < now - IS_NEWS_FOR,
        }
        for play in planned.new
    ]
    with connection.transaction():
        with connection.cursor() as cursor:
            cursor.executemany(
                "update app.onward_plays as entry set play_id = %(play_id)s where onward_id = %(onward_id)s"
                " and not exists (select from app.onward_plays as other where other.user_id = entry.user_id"
                " and other.service = entry.service and other.account = entry.account"
                " and other.play_id = %(play_id)s)",
                [{"onward_id": onward_id, "play_id": play_id} for onward_id, play_id in planned.known],
            )
        if not rows:
            return 0
        return connection.execute(load_sql("onward/plan"), _keys(wish) | {"plays": Jsonb(rows)}).rowcount


def confirm(connection: Connection, wish: Wish, *, now: datetime) -> int:
    """Confirm plays that polls have found at the service; returns how many."""
    values = _keys(wish) | {"now": now, "source_id": int(POLLED_SOURCES[wish.service])}
    with connection.transaction():
        shown = connection.execute(load_sql("onward/confirm_shown"), values).rowcount
        return shown + connection.execute(load_sql("onward/confirm_known"), values).rowcount


def take_planned(connection: Connection, wish: Wish, *, limit: int, now: datetime) -> list[Entry]:
    """The next plays, oldest first, now with the state `unknown`. Committed on return."""
    with connection.cursor(row_factory=class_row(Entry)) as cursor:
        found = cursor.execute(load_sql("onward/take_planned"), _keys(wish) | {"limit": limit, "now": now}).fetchall()
    return sorted(found, key=lambda entry: (entry.listened_at, entry.onward_id))


def list_unknown(connection: Connection, wish: Wish, *, tried_before: datetime) -> list[Entry]:
    """Plays with the state `unknown` that were last tried before that time, latest first."""
    with connection.cursor(row_factory=class_row(Entry)) as cursor:
        values = _keys(wish) | {"tried_before": tried_before}
        return cursor.execute(load_sql("onward/list_unknown"), values).fetchall()


def decide(connection: Connection, decisions: Sequence[Decision], *, now: datetime) -> None:
    """Committed on return."""
    rows = [
        {
            "onward_id": each.onward_id,
            "state": each.state,
            "reason": each.reason,
            "not_before": each.not_before.isoformat() if each.not_before is not None else None,
        }
        for each in decisions
    ]
    if rows:
        connection.execute(load_sql("onward/decide"), {"decisions": Jsonb(rows), "now": now})


def _keys(wish: Wish) -> dict[str, Any]:
    return {"user_id": wish.user_id, "service": wish.service.value, "account": wish.account}
