"""The queue of ids to ask Spotify about.

An entry is leased by one worker at a time, and a worker that has lost its lease changes nothing. An entry that was
answered or is gone is never leased again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from myi_pipeline.catalogue.most_played import Played
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql

# Long enough for three tries of a request, with the waits for the quota and a slow connection.
LEASE = timedelta(minutes=5)
_LONGEST_ERROR = 300


class EntryState(StrEnum):
    WAITING = "waiting"
    ANSWERED = "answered"
    RELINKED = "relinked"
    GONE = "gone"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One leased entry. `entity_kind`: track, artist or album; `entity_id`: content_id, artist_id or album_id."""

    entity_kind: str
    entity_id: int
    uri: str
    failures: int
    lease_id: UUID

    @property
    def spotify_id(self) -> str:
        return self.uri.rpartition(":")[2]


@dataclass(frozen=True, kw_only=True)
class QueueCount:
    """Entries of one kind. `failing`: how many of those waiting have failed; `next_at`: when the next is due."""

    entity_kind: str
    waiting: int
    failing: int
    answered: int
    relinked: int
    gone: int
    next_at: datetime | None


def fill(connection: Connection, wanted: Sequence[Played], *, now: datetime, mart_run_id: int | None = None) -> None:
    """Queue what raw still lacks of `wanted`, which a mart run found to be played most."""
    values = {"wanted": Jsonb([each._asdict() for each in wanted]), "now": now}
    with connection.transaction():
        connection.execute(load_sql("catalogue/catalogue_queue/fill"), values)
        connection.execute("update ops.catalogue_state set mart_run_id = %s", (mart_run_id,))


def drop_known(connection: Connection) -> None:
    """Remove what polls and top lists have reported meanwhile."""
    connection.execute(load_sql("catalogue/catalogue_queue/drop_known"))


def has_work(connection: Connection, *, now: datetime) -> bool:
    """Whether a scheduled run is worth starting: somebody's login could ask, and there may be something to ask."""
    found = connection.execute(load_sql("catalogue/catalogue_queue/has_work"), {"now": now}).fetchone()
    return bool(found and found[0])


def note_idle(connection: Connection, *, until: datetime | None) -> None:
    connection.execute("update ops.catalogue_state set idle_until = %s", (until,))


def lease(connection: Connection, *, now: datetime) -> Entry | None:
    """The most played entry that is due and free, for LEASE; None if there is none."""
    with connection.cursor(row_factory=class_row(Entry)) as cursor:
        return cursor.execute(
            load_sql("catalogue/catalogue_queue/lease"), {"now": now, "until": now + LEASE}
        ).fetchone()


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
        "entity_kind": entry.entity_kind,
        "entity_id": entry.entity_id,
        "lease_id": entry.lease_id,
        "state": state.value,
        "now": now,
        "due_at": due_at,
        "failed": failed,
        "error": error[:_LONGEST_ERROR] if error is not None else None,
    }
    return connection.execute(load_sql("catalogue/catalogue_queue/finish"), values).rowcount == 1


def count_queue(connection: Connection) -> tuple[QueueCount, ...]:
    with connection.cursor(row_factory=class_row(QueueCount)) as cursor:
        return tuple(cursor.execute(load_sql("catalogue/catalogue_queue/count")).fetchall())
