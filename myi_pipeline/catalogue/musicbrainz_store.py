"""Stores MusicBrainz' answers in raw. To be called in the transaction that marks the entry as answered: a process that
is killed has then stored nothing, and asks again.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from psycopg.types.json import Jsonb

from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql, load_statements
from myi_pipeline.providers.musicbrainz.answers import Recording, Vote

FoundBy = Literal["isrc", "mbid", "names"]


def store_recording(
    connection: Connection, recording: Recording, *, content_id: int, found_by: FoundBy, now: datetime
) -> None:
    """Store the recording of a track, with its artists, first release and genres, and any genres of the artists."""
    release = recording.first_release
    credits = [
        {
            "place": place,
            "artist_mbid": str(each.artist_mbid),
            "name": each.name,
            "credited_as": each.credited_as,
            "join_phrase": each.join_phrase,
        }
        for place, each in enumerate(recording.credits, start=1)
    ]
    values = {
        "recording_mbid": recording.recording_mbid,
        "title": recording.title,
        "length_ms": recording.length_ms,
        "first_release_date": recording.first_release_date,
        "release_mbid": release.release_mbid if release is not None else None,
        "release_name": release.name if release is not None else None,
        "credits": Jsonb(credits),
        "now": now,
    }
    _run(connection, "catalogue/musicbrainz/store_recording", values)
    votes_of: dict[tuple[str, UUID], tuple[Vote, ...]] = {("recording", recording.recording_mbid): recording.votes}
    votes_of |= {("artist", each.artist_mbid): each.votes for each in recording.credits if each.votes is not None}
    _store_votes(connection, votes_of.items())
    found = {"content_id": content_id, "recording_mbid": recording.recording_mbid, "found_by": found_by, "now": now}
    connection.execute(load_sql("catalogue/musicbrainz/store_found"), found)


def store_artist(connection: Connection, votes: tuple[Vote, ...], *, artist_mbid: UUID) -> None:
    """Store an artist's genres and tags, under the MBID in the credits, which may be the old one of a merged artist."""
    _store_votes(connection, [(("artist", artist_mbid), votes)])


def _store_votes(connection: Connection, votes_of: Iterable[tuple[tuple[str, UUID], tuple[Vote, ...]]]) -> None:
    entities: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    for (kind, mbid), votes in votes_of:
        entities.append({"entity_kind": kind, "entity_mbid": str(mbid)})
        rows += [
            {
                "entity_kind": kind,
                "entity_mbid": str(mbid),
                "tag": each.tag,
                "votes": each.votes,
                "is_genre": each.is_genre,
            }
            for each in votes
        ]
    connection.execute(load_sql("catalogue/musicbrainz/store_tags"), {"votes": Jsonb(rows)})
    values = {"entities": Jsonb(entities), "votes": Jsonb(rows)}
    _run(connection, "catalogue/musicbrainz/store_votes", values)


def _run(connection: Connection, name: str, values: dict[str, Any]) -> None:
    for statement in load_statements(name):
        connection.execute(statement, values)
