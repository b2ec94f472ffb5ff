"""The catalogue in raw: contents, artists and albums as named by Spotify.

An artist or album with a URI has one row, even if its name changes. Whatever changes a mart enters the change ledger in
the same transaction. Tracks that are already known take no lock that others wait for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from myi_pipeline.catalogue.records import NamedAlbum, NamedArtist, PolledTrack
from myi_pipeline.catalogue.staging import INTERN_CONTENTS
from myi_pipeline.postgres.connections import Connection, retry_conflicts
from myi_pipeline.postgres.sql_files import load_sql, load_statements


def next_batch_id(connection: Connection) -> int:
    """The number of a poll, or of another answer from a service. Imports take theirs from the same sequence."""
    row = connection.execute("select nextval('raw.batch_id_seq')").fetchone()
    assert row is not None
    return int(row[0])


def intern_tracks(connection: Connection, tracks: Iterable[PolledTrack], *, batch_id: int) -> dict[str, int]:
    """Store tracks with their names, facts, artists, albums and pictures. Returns content key -> content_id.

    `connection` is in autocommit: this makes short transactions of its own. What they stored remains even if storing
    the plays fails afterwards, and is found again by the next answer. Raises Transient if the warehouse stays too busy.
    """
    latest: dict[str, PolledTrack] = {}
    for track in tracks:
        known = latest.get(track.content.key)
        if known is None or _precedence(track) > _precedence(known):
            latest[track.content.key] = track
    if not latest:
        return {}
    ids, news, later = _compare(connection, latest.values(), batch_id)
    if later:
        touch = {"tracks": Jsonb([_names(latest[key]) for key in later]), "batch_id": batch_id}
        retry_conflicts(lambda: connection.execute(load_sql("catalogue/catalogue/touch_names"), touch))
    if news:
        wanted = [latest[key] for key in news]
        ids |= retry_conflicts(partial(_intern, connection, wanted, batch_id))
    return ids


def intern_artists(connection: Connection, artists: Iterable[NamedArtist]) -> dict[str, int]:
    """Store artists that came without a track; their pictures replace older ones. Returns URI -> artist_id."""
    wanted = {artist.uri: artist for artist in artists}
    if not wanted:
        return {}

    def run() -> dict[str, int]:
        with connection.transaction():
            _resolve_artists(connection, wanted.values())
            store_pictures(connection, wanted.values(), is_replacing=True)
            found = connection.execute("select uri, artist_id from raw.artists where uri = any(%s)", (list(wanted),))
            return {uri: int(artist_id) for uri, artist_id in found}

    return retry_conflicts(run)


def relink(connection: Connection, *, content_id: int, answering_id: int) -> None:
    """Record that Spotify answers for one content with another: an alias, so that plays of the first count as plays of
    the second.

    There are no chains of aliases: aliases of the first are redirected to the last. Raises Transient.
    """
    parameters = {"content_id": content_id, "answering_id": answering_id}

    def run() -> None:
        with connection.transaction():
            _run(connection, "catalogue/catalogue/relink", parameters)
            _run(connection, "catalogue/load/alias_names", {})

    retry_conflicts(run)


def store_pictures(connection: Connection, entities: Iterable[NamedArtist | NamedAlbum], *, is_replacing: bool) -> None:
    """Store pictures of known artists and albums; unless `is_replacing`, only for those that have none."""
    rows = [
        {
            "entity_kind": "artist" if isinstance(entity, NamedArtist) else "album",
            "uri": entity.uri,
            "place": place,
            "url": picture.url,
            "width": picture.width,
            "height": picture.height,
        }
        for entity in {each.uri: each for each in entities}.values()
        for place, picture in enumerate(entity.pictures)
    ]
    if rows:
        connection.execute(
            load_sql("catalogue/catalogue/store_pictures"), {"pictures": Jsonb(rows), "is_replacing": is_replacing}
        )


def _precedence(track: PolledTrack) -> tuple[bool, Any]:
    # As in raw: a content has the names of the latest play that has any.
    return track.content.title is not None, track.played_at


def _compare(
    connection: Connection, tracks: Iterable[PolledTrack], batch_id: int
) -> tuple[dict[str, int], list[str], list[str]]:
    """Ids of known tracks; keys of those with new facts; keys of those whose names are confirmed by a later play."""
    given = {track.content.key: _facts(track) for track in tracks}
    ids: dict[str, int] = {}
    news, later = [], []
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            load_sql("catalogue/catalogue/known_tracks"), {"tracks": Jsonb(list(given.values())), "batch_id": batch_id}
        )
        for row in rows:
            key = row["content_key"].replace("-", "")
            if row["content_id"] is not None:
                ids[key] = row["content_id"]
            if row["is_news"]:
                news.append(key)
            elif row["is_later"]:
                later.append(key)
    return ids, news, later


def _intern(connection: Connection, tracks: Sequence[PolledTrack], batch_id: int) -> dict[str, int]:
    albums = {track.album.uri: track.album for track in tracks if track.album is not None}
    artists = {album.artist.uri: album.artist for album in albums.values()}
    artists |= {track.artist.uri: track.artist for track in tracks if track.artist is not None}
    with connection.transaction():
        _resolve_artists(connection, artists.values())
        staged = {
            "contents": Jsonb([_content(track) for track in tracks]),
            "albums": Jsonb([_album(album) for album in albums.values()]),
        }
        _run(connection, "catalogue/catalogue/stage_tracks", staged)
        _run(connection, "catalogue/catalogue/resolve_albums", {})
        for name in INTERN_CONTENTS:
            _run(connection, name, {"batch_id": batch_id})
        connection.execute(load_sql("catalogue/catalogue/fill_facts"))
        store_pictures(connection, albums.values(), is_replacing=False)
        found = connection.execute(
            "select c.content_key, c.content_id from raw.contents as c"
            " inner join pg_temp.polled_contents as p on p.content_key = c.content_key"
        ).fetchall()
    return {key.hex: int(content_id) for key, content_id in found}


def _resolve_artists(connection: Connection, artists: Iterable[NamedArtist]) -> None:
    rows = [
        {"uri": artist.uri, "name": artist.name, "name_key": artist.name_key, "uri_key": artist.uri_key}
        for artist in artists
    ]
    _run(connection, "catalogue/catalogue/stage_artists", {"artists": Jsonb(rows)})
    _run(connection, "catalogue/catalogue/resolve_artists", {})


def _run(connection: Connection, name: str, parameters: dict[str, Any]) -> None:
    for statement in load_statements(name):
        connection.execute(statement.replace("{load}", "pg_temp.polled"), parameters if "%(" in statement else None)


def _names(track: PolledTrack) -> dict[str, Any]:
    content = track.content
    return {
        "content_key": content.key,
        "title": content.title,
        "creator": content.creator,
        "collection": content.collection,
        "played_at": track.played_at.isoformat(),
    }


def _facts(track: PolledTrack) -> dict[str, Any]:
    return _names(track) | {
        "duration_ms": track.duration_ms,
        "isrc": track.isrc,
        "artist_uri": track.artist.uri if track.artist is not None else None,
        "album_uri": track.album.uri if track.album is not None else None,
        "has_pictures": track.album is not None and bool(track.album.pictures),
        "disc_number": track.disc_number,
        "track_number": track.track_number,
        "total_tracks": track.album.total_tracks if track.album is not None else None,
        "release_year": track.album.release_year if track.album is not None else None,
    }


def _content(track: PolledTrack) -> dict[str, Any]:
    content = track.content
    return _facts(track) | {
        "kind_id": content.kind,
        "uri": content.uri,
        "match_title": content.match_title,
        "match_key": content.match_key,
        "artist_key": content.artist_key,
        "album_key": content.album_key,
    }


def _album(album: NamedAlbum) -> dict[str, Any]:
    return {
        "uri": album.uri,
        "name": album.name,
        "name_key": album.name_key,
        "uri_key": album.uri_key,
        "artist_uri": album.artist.uri,
        "artist_name_key": album.artist.name_key,
        "total_tracks": album.total_tracks,
        "release_year": album.release_year,
    }
