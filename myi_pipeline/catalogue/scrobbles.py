"""Scrobbles from other services as records that are ready to be stored, and their contents in the catalogue.

Each scrobble becomes one record or one quarantined row. `ms_played` is None, because no service says how long somebody
listened. A content has its Spotify URI if the service gives it, and otherwise is identified by its names.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from psycopg.types.json import Jsonb

from myi_pipeline.catalogue.plays import Content, ContentKind, PlayRecord, QuarantinedRow, Source, content_if_known
from myi_pipeline.catalogue.row_rules import BadRow, check_played_at, latest_believed, quarantined, storable_text
from myi_pipeline.catalogue.sources import TRAITS, SourceTraits
from myi_pipeline.catalogue.staging import INTERN_CONTENTS
from myi_pipeline.postgres.connections import Connection, retry_conflicts
from myi_pipeline.postgres.sql_files import load_sql, load_statements
from myi_pipeline.providers.scrobbles import Scrobble, ScrobblePage

_LONGEST_NAME: Final = 2_000


def scrobble_records(page: ScrobblePage, *, source: Source, now: datetime) -> list[PlayRecord | QuarantinedRow]:
    """One result for each item of a page that `source` reported, in the page's order."""
    results: list[PlayRecord | QuarantinedRow] = [_record(scrobble, TRAITS[source], now) for scrobble in page.scrobbles]
    results.extend(quarantined(bad.index, bad.item, BadRow(bad.reason, bad.detail)) for bad in page.bad)
    return sorted(results, key=lambda result: result.row_index)


def _record(scrobble: Scrobble, traits: SourceTraits, now: datetime) -> PlayRecord | QuarantinedRow:
    try:
        check_played_at(
            scrobble.listened_at,
            latest=latest_believed(now),
            key="the time of the scrobble",
            traits=traits,
        )
        names = (scrobble.title, scrobble.artist, scrobble.album)
        if any(name is not None and len(name) > _LONGEST_NAME for name in names):
            raise BadRow("text_too_long", f"A name has more than {_LONGEST_NAME:,} characters.")
        title, artist, album = (storable_text(name).strip() if name is not None else None for name in names)
        content = content_if_known(
            kind=ContentKind.TRACK,
            uri=scrobble.spotify_uri,
            title=title or None,
            creator=artist or None,
            collection=album or None,
        )
        if content is None or not (title or scrobble.spotify_uri):
            raise BadRow("bad_item", "The scrobble does not say what was played.")
    except BadRow as bad:
        row = {
            "listened_at": scrobble.listened_at.isoformat(),
            "title": scrobble.title,
            "artist": scrobble.artist,
            "album": scrobble.album,
        }
        return quarantined(scrobble.index, row, bad)
    return PlayRecord(
        row_index=scrobble.index,
        played_at=scrobble.listened_at,
        content=content._replace(
            isrc=scrobble.isrc, recording_mbid=scrobble.recording_mbid, duration_ms=scrobble.duration_ms
        ),
        ms_played=None,
        context=None,
        offline_at=None,
        shuffle=None,
        skipped=None,
        offline=None,
        incognito=None,
    )


def intern_scrobbled(connection: Connection, records: Iterable[PlayRecord], *, batch_id: int) -> dict[str, int]:
    """Content key -> content_id, for the content of each record: see `intern_named`."""
    named = ((record.content, record.played_at) for record in records if record.content is not None)
    return intern_named(connection, named, batch_id=batch_id)


def intern_named(connection: Connection, named: Iterable[tuple[Content, datetime]], *, batch_id: int) -> dict[str, int]:
    """Intern contents as they were named at a given time. Returns content key -> content_id. Contents with a Spotify
    URI keep the names that Spotify gave them.

    `connection` is in autocommit: this makes one short transaction, or none if everything is known. What it stored
    remains even if storing the plays fails afterwards, and is found again later. Raises Transient if the warehouse
    stays too busy.
    """
    latest: dict[str, tuple[Content, datetime]] = {}
    for content, at in named:
        known = latest.get(content.key)
        if known is None or at > known[1]:
            latest[content.key] = (content, at)
    if not latest:
        return {}
    rows = Jsonb([_row(content, played_at) for content, played_at in latest.values()])
    found = connection.execute(load_sql("catalogue/scrobbles/known"), {"contents": rows}).fetchall()
    ids = {key.hex: int(content_id) for key, content_id, _ in found if content_id is not None}
    news = [latest[key.hex] for key, _, is_news in found if is_news]
    if not news:
        return ids
    staged = {"contents": Jsonb([_row(content, played_at) for content, played_at in news])}

    def run() -> dict[str, int]:
        with connection.transaction():
            _run(connection, "catalogue/scrobbles/stage", staged)
            for name in INTERN_CONTENTS:
                _run(connection, name, {"batch_id": batch_id})
            made = connection.execute(load_sql("catalogue/scrobbles/interned")).fetchall()
        return {key.hex: int(content_id) for key, content_id in made}

    return ids | retry_conflicts(run)


def _run(connection: Connection, name: str, parameters: dict[str, Any]) -> None:
    for statement in load_statements(name):
        connection.execute(statement.replace("{load}", "pg_temp.scrobbled"), parameters if "%(" in statement else None)


def _row(content: Content, played_at: datetime) -> dict[str, Any]:
    return {
        "content_key": content.key,
        "kind_id": content.kind,
        "uri": content.uri,
        "title": content.title,
        "creator": content.creator,
        "collection": content.collection,
        "match_title": content.match_title,
        "match_key": content.match_key,
        "artist_key": content.artist_key,
        "album_key": content.album_key,
        "isrc": content.isrc,
        "recording_mbid": content.recording_mbid,
        "duration_ms": content.duration_ms,
        "played_at": played_at.isoformat(),
    }
