"""The pictures that MYI keeps: which are missing, who is fetching one, and what became of it.

An address is leased by one worker at a time, and a worker whose lease has passed on changes nothing; what is kept, gone
or unfit is never leased again; equal bytes are kept once.
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

# One request of at most half a minute, and the storing of its answer, many times over.
LEASE = timedelta(minutes=5)
_LONGEST_ERROR = 300


class FetchState(StrEnum):
    WAITING = "waiting"
    GONE = "gone"
    UNFIT = "unfit"


@dataclass(frozen=True, kw_only=True)
class Fetch:
    """One leased address; `failures` so far."""

    url: str
    failures: int
    lease_id: UUID


def lacking(connection: Connection, entities: Sequence[Entity], *, now: datetime, most: int) -> list[list[Picture]]:
    """All addresses of the first `most` of these that have pictures at Spotify and none here, in the same order."""
    wanted = [
        {"entity_kind": kind, "entity_id": entity_id, "place": place}
        for place, (kind, entity_id) in enumerate(entities)
    ]
    values = {"wanted": Jsonb(wanted), "now": now, "most": most}
    rows = connection.execute(load_sql("catalogue/pictures/lacking"), values).fetchall()
    return [[Picture(*picture) for _, *picture in group] for _, group in groupby(rows, key=lambda row: row[0])]


def lease(connection: Connection, url: str, *, now: datetime) -> Fetch | None:
    """The address for LEASE; None when it is not due, or somebody has it, or had it and is done."""
    values = {"url": url, "now": now, "until": now + LEASE}
    with connection.cursor(row_factory=class_row(Fetch)) as cursor:
        return cursor.execute(load_sql("catalogue/pictures/lease"), values).fetchone()


def keep(connection: Connection, fetch: Fetch, *, media_type: str, content: bytes, now: datetime) -> bool:
    """Store what was fetched, at once or not at all; False when the lease had passed on."""
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
    """Note a failure and let the address go; False when the lease had passed on."""
    values = {
        "url": fetch.url,
        "lease_id": fetch.lease_id,
        "state": state.value,
        "due_at": due_at,
        "error": error[:_LONGEST_ERROR],
    }
    return connection.execute(load_sql("catalogue/pictures/fail"), values).rowcount == 1


def somebody_is_signed_in(connection: Connection) -> bool:
    """Whether any login could ask Spotify: without a login nothing is asked."""
    query = "select exists (select from app.credentials where status = 'active' and paused_at is null)"
    found = connection.execute(query).fetchone()
    return bool(found and found[0])
