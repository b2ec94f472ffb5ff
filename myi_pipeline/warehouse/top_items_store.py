"""Top lists in raw, and when they were read.

Belongs here: replacing a day's snapshot, the state of refreshes. Not here: what lists hold (catalogue_store interns
it), when they are due (core/top_policy). Invariant: a list of a day is replaced whole or not at all, together with the
note that it was read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from myi_pipeline.core.top_policy import LONGEST_ABSENCE
from myi_pipeline.warehouse.sql_files import load_sql

Connection = psycopg.Connection[Any]

_LONGEST_ERROR = 300


@dataclass(frozen=True)
class TopList:
    """One list: `entity_kind` is track or artist; `entities` are (rank from 1, content_id or artist_id)."""

    entity_kind: str
    term: str
    entities: tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True)
class TopUser:
    """Somebody with a login in use, and how their lists stand. `seen_at`: the last play or sign-in."""

    user_id: int
    user_key: str
    scopes: Sequence[str]
    seen_at: datetime
    refreshed_at: datetime | None
    failures: int
    retry_at: datetime | None
    last_error: str | None


@dataclass(frozen=True, kw_only=True)
class RankedItem:
    rank: int
    taken_on: date
    name: str | None
    artist: str | None
    uri: str | None


def list_top_users(
    connection: Connection, *, now: datetime, user_ids: Sequence[int] | None = None
) -> tuple[TopUser, ...]:
    """Everyone with a login in use, or those of `user_ids` that have one; in the order of users."""
    with connection.cursor(row_factory=class_row(TopUser)) as cursor:
        parameters = {
            "now": now,
            "since": now - LONGEST_ABSENCE,
            "user_ids": None if user_ids is None else list(user_ids),
        }
        return tuple(cursor.execute(load_sql("top_items/list_users"), parameters).fetchall())


def user_keys(connection: Connection, *, user_ids: Sequence[int]) -> dict[int, str]:
    """The keys of those that exist, with a login or without."""
    query = "select user_id, user_key from app.users where user_id = any(%s)"
    return dict(connection.execute(query, (list(user_ids),)).fetchall())


def replace_lists(
    connection: Connection,
    *,
    user_id: int,
    lists: Sequence[TopList],
    now: datetime,
    error: str | None = None,
    retry_at: datetime | None = None,
) -> None:
    """Put these lists in place of today's (UTC), in one transaction with the state of the user's refreshes.

    `error` and `retry_at` when other lists could not be read: the refresh counts as failed, and these lists stay.
    """
    named = [{"entity_kind": each.entity_kind, "term": each.term} for each in lists]
    items = [
        {"entity_kind": each.entity_kind, "term": each.term, "rank": rank, "entity_id": entity_id}
        for each in lists
        for rank, entity_id in each.entities
    ]
    kept = error[:_LONGEST_ERROR] if error is not None else None
    with connection.transaction():
        # First the state: its row keeps two refreshes of one user apart.
        connection.execute(
            load_sql("top_items/note_refreshed"),
            {"user_id": user_id, "now": now, "error": kept, "retry_at": retry_at},
        )
        if lists:
            connection.execute(
                load_sql("top_items/delete_lists"), {"user_id": user_id, "now": now, "lists": Jsonb(named)}
            )
        if items:
            connection.execute(
                load_sql("top_items/insert_items"), {"user_id": user_id, "now": now, "items": Jsonb(items)}
            )


def latest_list(
    connection: Connection, *, user_id: int, entity_kind: str, term: str, limit: int
) -> tuple[RankedItem, ...]:
    """The newest snapshot of one list, first rank first."""
    with connection.cursor(row_factory=class_row(RankedItem)) as cursor:
        parameters = {"user_id": user_id, "entity_kind": entity_kind, "term": term, "limit": limit}
        return tuple(cursor.execute(load_sql("top_items/list_ranks"), parameters).fetchall())
