"""What MusicBrainz is still to be asked about, and who asks.

An entry, a track or an artist, is leased by one worker at a time, and a worker whose lease has passed on changes
nothing. An answer stands for STALE_AFTER; that nothing was found is an answer too, until more is known of the track.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql

# Four requests, each tried three times, each with its wait at the door, end within this time.
LEASE = timedelta(minutes=15)
STALE_AFTER = timedelta(days=365)
_LONGEST_ERROR = 300


class EntryState(StrEnum):
    WAITING = "waiting"
    FOUND = "found"
    NOT_FOUND = "not_found"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One leased entry: a track (`content_id`, and what raw knows of it) or an artist (`artist_mbid`)."""

    entry_id: int
    content_id: int | None
    artist_mbid: UUID | None
    plays: int
    failures: int
    lease_id: UUID
    isrc: str | None
    recording_mbid: UUID | None
    title: str | None
    artist: str | None
    album: str | None
    length_ms: int | None
    asked_with: UUID | None


@dataclass(frozen=True, kw_only=True)
class QueueCount:
    """One kind's entries. `failing`: of those waiting, the ones that failed; `next_at`: when the next may be asked."""

    entity_kind: str
    waiting: int
    failing: int
    found: int
    not_found: int
    next_at: datetime | None


@dataclass(frozen=True)
class Idle:
    """Why nothing is asked before `until`; both None when nothing is held up."""

    until: datetime | None
    reason: str | None


def most_played(connection: Connection, *, most: int) -> list[tuple[int, int]]:
    """Up to `most` tracks (content_id) with their plays, as Role.ANALYST. Empty while there are no marts."""
    try:
        return connection.execute(load_sql("catalogue/musicbrainz/most_played"), {"most": most}).fetchall()
    except psycopg.errors.UndefinedTable:
        connection.rollback()
        return []


def fill(
    connection: Connection, tracks: Sequence[tuple[int, int]], *, now: datetime, mart_run_id: int | None = None
) -> None:
    """Queue tracks with their plays, which the mart run said are played most."""
    values = {"wanted": Jsonb([{"track_id": track, "plays": plays} for track, plays in tracks]), "now": now}
    with connection.transaction():
        connection.execute(load_sql("catalogue/musicbrainz/fill"), values)
        connection.execute("update ops.musicbrainz_state set mart_run_id = %s", (mart_run_id,))


def revive(connection: Connection, *, now: datetime) -> int:
    """Let what was answered too long ago, or without what is known now, be asked again; how many."""
    return connection.execute(load_sql("catalogue/musicbrainz/revive"), {"now": now}).rowcount


def newer_mart_run(connection: Connection) -> int | None:
    """The last complete mart run, if the queue was filled from another one."""
    query = (
        "select m.completed_run_id from ops.mart_state as m cross join ops.musicbrainz_state as s"
        " where m.completed_run_id is distinct from s.mart_run_id"
    )
    found = connection.execute(query).fetchone()
    return found[0] if found is not None else None


def has_work(connection: Connection, *, now: datetime) -> bool:
    """Whether a scheduled run is worth starting."""
    found = connection.execute(load_sql("catalogue/musicbrainz/has_work"), {"now": now}).fetchone()
    return bool(found and found[0])


def note_idle(connection: Connection, idle: Idle) -> None:
    query = "update ops.musicbrainz_state set idle_until = %s, idle_reason = %s"
    connection.execute(query, (idle.until, idle.reason[:_LONGEST_ERROR] if idle.reason is not None else None))


def read_idle(connection: Connection, *, now: datetime) -> Idle:
    """What holds the queue up now."""
    query = "select idle_until, idle_reason from ops.musicbrainz_state where idle_until > %s"
    found = connection.execute(query, (now,)).fetchone()
    return Idle(*found) if found is not None else Idle(None, None)


def lease(connection: Connection, *, now: datetime) -> Entry | None:
    """The most played entry that is due and free, for LEASE; None when there is none."""
    with connection.cursor(row_factory=class_row(Entry)) as cursor:
        values = {"now": now, "until": now + LEASE}
        return cursor.execute(load_sql("catalogue/musicbrainz/lease"), values).fetchone()


def finish(
    connection: Connection,
    entry: Entry,
    state: EntryState,
    *,
    now: datetime,
    due_at: datetime | None = None,
    failed: bool = False,
    error: str | None = None,
) -> bool:
    """Note what became of a leased entry and let it go; False when the lease had passed on."""
    values = {
        "entry_id": entry.entry_id,
        "lease_id": entry.lease_id,
        "state": state.value,
        "now": now,
        "due_at": due_at if state is EntryState.WAITING else now + STALE_AFTER,
        "failed": failed,
        "asked_with": entry.asked_with,
        "error": error[:_LONGEST_ERROR] if error is not None else None,
    }
    return connection.execute(load_sql("catalogue/musicbrainz/finish"), values).rowcount == 1


def queue_artists(
    connection: Connection, artists: Iterable[tuple[UUID, bool]], *, plays: int, now: datetime
) -> None:  # fmt: skip
    """The artists of a recording that was found, each with whether its genres came along."""
    rows: list[dict[str, Any]] = [
        {"artist_mbid": str(mbid), "is_told": is_told} for mbid, is_told in dict(artists).items()
    ]
    values = {"artists": Jsonb(rows), "plays": plays, "now": now, "stale_at": now + STALE_AFTER}
    connection.execute(load_sql("catalogue/musicbrainz/queue_artists"), values)


def count_queue(connection: Connection) -> tuple[QueueCount, ...]:
    """Tracks, then artists."""
    with connection.cursor(row_factory=class_row(QueueCount)) as cursor:
        return tuple(cursor.execute(load_sql("catalogue/musicbrainz/count")).fetchall())
