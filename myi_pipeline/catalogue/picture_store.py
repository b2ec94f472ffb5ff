"""The pictures that MYI keeps: which are missing, leasing them for fetching, and the results.

An address is leased by one worker at a time, and a worker that has lost its lease changes nothing. What is kept, gone
or unfit is never leased again. Equal bytes are stored once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from itertools import groupby
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from myi_pipeline.catalogue.records import Picture
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql

Entity = tuple[str, int]

# Many times as long as one request, of at most half a minute, and storing its answer.
LEASE = timedelta(minutes=5)
_LONGEST_ERROR = 300


class FetchState(StrEnum):
    WAITING = "waiting"
    GONE = "gone"
    UNFIT = "unfit"


@dataclass(frozen=True, kw_only=True)
class Fetch:
    """One leased address. `failures`: how often it has failed so far."""

    url: str
    failures: int
    lease_id: UUID


def lacking(connection: Connection, entities: Sequence[Entity], *, now: datetime, most: int) -> list[list[Picture]]:
    """For the first `most` of these entities that have pictures at Spotify but none here: all their pictures, in the
    same order.
    """
    wanted = [
        {"entity_kind": kind, "entity_id": entity_id, "place": place}
        for place, (kind, entity_id) in enumerate(entities)
    ]
    values = {"wanted": Jsonb(wanted), "now": now, "most": most}
    rows = connection.execute(load_sql("catalogue/pictures/lacking"), values).fetchall()
    return [[Picture(*picture) for _, *picture in group] for _, group in groupby(rows, key=lambda row: row[0])]


def lacking_of_lists(connection: Connection, *, now: datetime, most: int) -> list[str]:
    """Addresses of playlists' pictures that MYI does not have, the most recently changed playlists first."""
    values = {"now": now, "most": most}
    return [url for (url,) in connection.execute(load_sql("catalogue/pictures/lacking_of_lists"), values)]


def lease(connection: Connection, url: str, *, now: datetime) -> Fetch | None:
    """Lease an address for LEASE; None if it is not due, leased by another worker, or finished."""
    values = {"url": url, "now": now, "until": now + LEASE}
    with connection.cursor(row_factory=class_row(Fetch)) as cursor:
        return cursor.execute(load_sql("catalogue/pictures/lease"), values).fetchone()


def keep(connection: Connection, fetch: Fetch, *, media_type: str, content: bytes, now: datetime) -> bool:
    """Store what was fetched, in one statement; False if the lease was lost."""
    values = {
        "url": fetch.url,
        "lease_id": fetch.lease_id,
        "digest": sha256(content).digest(),
        "media_type": media_type,
        "content": content,
        "now": now,
    }
    return connection.execute(load_sql("catalogue/pictures/keep"), values).rowcount == 1


def fail(connection: Connection, fetch: Fetch, state: FetchState, *, due_at: datetime | None, error: str) -> bool:
    """Record a failure and release the address; False if the lease was lost."""
    values = {
        "url": fetch.url,
        "lease_id": fetch.lease_id,
        "state": state.value,
        "due_at": due_at,
        "error": error[:_LONGEST_ERROR],
    }
    return connection.execute(load_sql("catalogue/pictures/fail"), values).rowcount == 1


def somebody_is_signed_in(connection: Connection) -> bool:
    """Whether any user has a usable Spotify login: without one, nothing is requested."""
    query = "select exists (select from app.credentials where is_main and status = 'active' and paused_at is null)"
    found = connection.execute(query).fetchone()
    return bool(found and found[0])
