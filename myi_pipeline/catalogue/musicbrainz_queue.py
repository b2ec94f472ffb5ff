"""The queue of tracks and artists to ask MusicBrainz about.

An entry is leased by one worker at a time, and a worker that has lost its lease changes nothing. An answer is valid for
STALE_AFTER; so is "not found", unless more becomes known about the track.
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

# Long enough for four requests, each tried three times, with waits for the rate limit.
LEASE = timedelta(minutes=15)
STALE_AFTER = timedelta(days=365)
_LONGEST_ERROR = 300


class EntryState(StrEnum):
    WAITING = "waiting"
    FOUND = "found"
    NOT_FOUND = "not_found"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One leased entry: a track (`content_id`, with what raw knows about it) or an artist (`artist_mbid`)."""

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
    """Entries of one kind. `failing`: how many of those waiting have failed; `next_at`: when the next is due."""

    entity_kind: str
    waiting: int
    failing: int
    found: int
    not_found: int
    next_at: datetime | None


@dataclass(frozen=True)
class Idle:
    """Why nothing is asked before `until`; both None if nothing holds the queue up."""

    until: datetime | None
    reason: str | None


def most_played(connection: Connection, *, most: int) -> list[tuple[int, int]]:
    """Up to `most` pairs of content_id and plays, most played first. To be called as Role.ANALYST. Empty as long as
    there are no marts.
    """
    try:
        return connection.execute(load_sql("catalogue/musicbrainz/most_played"), {"most": most}).fetchall()
    except psycopg.errors.UndefinedTable:
        connection.rollback()
        return []


def fill(
    connection: Connection, tracks: Sequence[tuple[int, int]], *, now: datetime, mart_run_id: int | None = None
) -> None:
    """Queue the tracks that a mart run found to be played most, with their plays."""
    values = {"wanted": Jsonb([{"track_id": track, "plays": plays} for track, plays in tracks]), "now": now}
    with connection.transaction():
        connection.execute(load_sql("catalogue/musicbrainz/fill"), values)
        connection.execute("update ops.musicbrainz_state set mart_run_id = %s", (mart_run_id,))


def revive(connection: Connection, *, now: datetime) -> int:
    """Queue entries again whose answer is out of date, or was given with less information. Returns how many."""
    return connection.execute(load_sql("catalogue/musicbrainz/revive"), {"now": now}).rowcount


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
    """The most played entry that is due and free, for LEASE; None if there is none."""
    return next(iter(_lease(connection, "catalogue/musicbrainz/next_due", {"now": now}, now=now)), None)


def lease_many(connection: Connection, *, after: int, most: int, now: datetime) -> list[Entry]:
    """Up to `most` waiting entries that are free, in the order of entry_id after `after`, for LEASE."""
    return _lease(connection, "catalogue/musicbrainz_dump/next", {"after": after, "most": most, "now": now}, now=now)


def _lease(connection: Connection, free: str, values: dict[str, Any], *, now: datetime) -> list[Entry]:
    """Lease the entries that the statement `free` finds and locks."""
    with connection.transaction(), connection.cursor(row_factory=class_row(Entry)) as cursor:
        entries = [entry_id for (entry_id,) in connection.execute(load_sql(free), values)]
        leased = {"entries": entries, "until": now + LEASE}
        return cursor.execute(load_sql("catalogue/musicbrainz/lease"), leased).fetchall()


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
    """Record the result for a leased entry and release it; False if the lease was lost."""
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
    """Queue the artists of a recording that was found, each with whether its genres came along."""
    rows: list[dict[str, Any]] = [
        {"artist_mbid": str(mbid), "is_told": is_told} for mbid, is_told in dict(artists).items()
    ]
    values = {"artists": Jsonb(rows), "plays": plays, "now": now, "stale_at": now + STALE_AFTER}
    connection.execute(load_sql("catalogue/musicbrainz/queue_artists"), values)


def count_queue(connection: Connection) -> tuple[QueueCount, ...]:
    """The counts for tracks, then for artists."""
    with connection.cursor(row_factory=class_row(QueueCount)) as cursor:
        return tuple(cursor.execute(load_sql("catalogue/musicbrainz/count")).fetchall())
