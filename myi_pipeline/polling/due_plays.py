"""Polled plays dated in the future, loaded once their time has come.

An item is kept whole until then, and is deleted in the transaction that loads its play into raw.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from myi_pipeline.catalogue import catalogue_store
from myi_pipeline.catalogue.event_partitions import ensure_partitions
from myi_pipeline.catalogue.plays import PlayRecord
from myi_pipeline.catalogue.row_rules import latest_believed, storable_json
from myi_pipeline.catalogue.spotify_answers import clean_text, parse_played_at, play_records, polled_track
from myi_pipeline.errors import MyiError
from myi_pipeline.polling import poll_store
from myi_pipeline.postgres.connections import Connection, Role, Warehouse, retry_conflicts
from myi_pipeline.providers.spotify.models import Entry, PlayItem, RecentlyPlayedPage

log = logging.getLogger(__name__)

_PLAYS_AT_ONCE = 500
# Larger than any item that MYI reads; a larger one is kept only in the log of polls.
_LARGEST_ITEM_BYTES = 32_768


def postpone_plays(connection: Connection, items: Sequence[PlayItem], *, user_id: int, poll_id: int) -> None:
    """Keep items of a page until their time has come; one that is already kept stays unchanged."""
    for item in items:
        due_at = parse_played_at(item.played_at)
        document = storable_json(item.model_dump())
        if due_at is None or len(document) > _LARGEST_ITEM_BYTES:
            continue
        connection.execute(
            "insert into ops.postponed_plays (user_id, due_at, uri, poll_id, item) values (%s, %s, %s, %s, %s::jsonb)"
            " on conflict do nothing",
            (user_id, due_at, clean_text(item.track.uri) or "", poll_id, document),
        )


def bring_in_due_plays(warehouse: Warehouse, *, now: datetime) -> int:
    """Load the plays that a poll at `now` would accept; returns how many were new to raw.

    A failure with one user's plays does not stop other users'.
    """
    brought = 0
    left_out: list[int] = []
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi maintenance")) as connection:
        while rows := connection.execute(
            "select user_id, due_at, uri, poll_id, item from ops.postponed_plays where due_at < %s"
            " and user_id <> all(%s) order by due_at limit %s",
            (latest_believed(now), left_out, _PLAYS_AT_ONCE),
        ).fetchall():
            by_user: defaultdict[int, list[tuple[datetime, str, int, Any]]] = defaultdict(list)
            for user_id, *row in rows:
                by_user[user_id].append((row[0], row[1], row[2], row[3]))
            for user_id, kept in by_user.items():
                try:
                    brought += _bring_in(connection, user_id, kept, now=now)
                except Exception as error:
                    if connection.closed or connection.broken:
                        raise
                    left_out.append(user_id)
                    reason = str(error) if isinstance(error, MyiError) else type(error).__name__
                    log.warning(
                        "plays of user %s that are now due could not be loaded and wait for the next day: %s",
                        user_id,
                        reason,
                    )
    return brought


def is_play_item(line: bytes) -> bool:
    """Whether an export's row holds an item that can be loaded once its time has come."""
    try:
        PlayItem.model_validate(json.loads(line)["item"])
    except (ValueError, TypeError, KeyError):
        return False
    return True


def _bring_in(
    connection: Connection, user_id: int, kept: Sequence[tuple[datetime, str, int, Any]], *, now: datetime
) -> int:
    items: list[PlayItem] = []
    for *_, item in kept:
        try:
            items.append(PlayItem.model_validate(item))
        except ValidationError:
            # It is deleted with the others: it is not a play, and never will be.
            log.warning("a stored item of user %s cannot be read and is left out", user_id)
    page = RecentlyPlayedPage(tuple(Entry(index, item) for index, item in enumerate(items)))
    records = [record for record in play_records(page, now=now) if isinstance(record, PlayRecord)]
    ensure_partitions(connection, {record.played_at.date() for record in records})
    tracks = [polled_track(items[record.row_index].track, record.played_at) for record in records]
    poll_id = max(poll_id for _, _, poll_id, _ in kept)
    ids = catalogue_store.intern_tracks(connection, [track for track in tracks if track is not None], batch_id=poll_id)
    plays = [(record.played_at, ids[record.content.key] if record.content else None) for record in records]

    def transaction() -> int:
        with connection.transaction():
            inserted = poll_store.insert_plays(connection, plays, user_id=user_id, poll_id=poll_id) if plays else 0
            with connection.cursor() as cursor:
                cursor.executemany(
                    "delete from ops.postponed_plays where user_id = %s and due_at = %s and uri = %s",
                    [(user_id, due_at, uri) for due_at, uri, _, _ in kept],
                )
        return inserted

    return retry_conflicts(transaction)
