"""Stored answers to track look-ups, which many services limit per day.

Matching that was stopped by a quota, or killed, only asks for what is still missing, and moving the same list again
costs no look-ups. An answer is trusted for KEPT.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, Protocol
from uuid import UUID

from psycopg.types.json import Jsonb

from myi_pipeline.catalogue.row_rules import storable_text
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.providers.playlists import EntryKind, ListedTrack

KEPT = timedelta(days=30)
_MOST_KEPT = 10
_LONGEST_TEXT = 500
_KEY_FIELDS = ("title", "artists", "album", "isrc", "duration_ms")


class Lookups(Protocol):
    """Remembers one service's answers to one account."""

    def find(self, track: ListedTrack) -> Sequence[ListedTrack] | None:
        """The candidates of a track; None if it was not looked up recently."""
        ...

    def keep(self, track: ListedTrack, candidates: Sequence[ListedTrack]) -> None: ...

    def find_codes(self, codes: Collection[str]) -> dict[str, ListedTrack | None]:
        """Answers for the codes that were looked up in a batch recently; None: the service has no such track."""
        ...

    def keep_codes(self, answers: Mapping[str, ListedTrack | None]) -> None: ...


class StoredLookups:
    """Lookups in ops.track_lookups. `connection` is in autocommit, so every answer is stored at once."""

    def __init__(self, connection: Connection, *, account_id: int, clock: Callable[[], datetime]) -> None:
        self._connection = connection
        self._account_id = account_id
        self._clock = clock

    def find(self, track: ListedTrack) -> tuple[ListedTrack, ...] | None:
        row = self._connection.execute(
            "select candidates from ops.track_lookups where account_id = %s and track_key = %s and looked_up_at > %s",
            (self._account_id, _key(track), self._clock() - KEPT),
        ).fetchone()
        return None if row is None else tuple(_track(each) for each in row[0])

    def keep(self, track: ListedTrack, candidates: Sequence[ListedTrack]) -> None:
        documents = [_document(each) for each in candidates[:_MOST_KEPT]]
        values = {"account_id": self._account_id, "track_key": _key(track), "now": self._clock()}
        self._connection.execute(
            load_sql("playlists/migration_keep_lookup"), values | {"candidates": Jsonb(documents)}
        )  # fmt: skip

    def find_codes(self, codes: Collection[str]) -> dict[str, ListedTrack | None]:
        codes_by_key = {_key_of_code(code): code for code in codes}
        rows = self._connection.execute(
            "select track_key, candidates from ops.track_lookups"
            " where account_id = %s and track_key = any(%s) and looked_up_at > %s",
            (self._account_id, list(codes_by_key), self._clock() - KEPT),
        ).fetchall()
        return {codes_by_key[key]: _track(candidates[0]) if candidates else None for key, candidates in rows}

    def keep_codes(self, answers: Mapping[str, ListedTrack | None]) -> None:
        now = self._clock()
        with self._connection.cursor() as cursor:
            cursor.executemany(
                load_sql("playlists/migration_keep_lookup"),
                [
                    {
                        "account_id": self._account_id, "track_key": _key_of_code(code), "now": now,
                        "candidates": Jsonb([] if answer is None else [_document(answer)]),
                    }
                    for code, answer in answers.items()
                ],
            )  # fmt: skip

    def forget_old(self) -> None:
        self._connection.execute("delete from ops.track_lookups where looked_up_at <= %s", (self._clock() - KEPT,))


def _key(track: ListedTrack) -> UUID:
    fields = [getattr(track, name) for name in _KEY_FIELDS]
    digest = blake2b(json.dumps(fields).encode(), digest_size=16, person=b"myi lookup")
    return UUID(bytes=digest.digest())


def _key_of_code(code: str) -> UUID:
    return UUID(bytes=blake2b(code.encode(), digest_size=16, person=b"myi isrc").digest())


def _document(track: ListedTrack) -> dict[str, Any]:
    return {name: _storable(value) for name, value in asdict(track).items() if value not in (None, "", ())}


def _storable(value: object) -> object:
    if isinstance(value, str):
        return storable_text(value)[:_LONGEST_TEXT]
    return [_storable(each) for each in value[:_MOST_KEPT]] if isinstance(value, tuple) else value


def _track(document: dict[str, Any]) -> ListedTrack:
    return ListedTrack(
        kind=EntryKind(document["kind"]), uri=document.get("uri"), title=document.get("title", ""),
        artists=tuple(document.get("artists", ())), album=document.get("album"),
        album_artists=tuple(document.get("album_artists", ())), isrc=document.get("isrc"),
        recording_mbid=document.get("recording_mbid"), duration_ms=document.get("duration_ms"),
        disc_number=document.get("disc_number"), track_number=document.get("track_number"),
        is_explicit=document.get("is_explicit"), released_on=document.get("released_on"),
    )  # fmt: skip
