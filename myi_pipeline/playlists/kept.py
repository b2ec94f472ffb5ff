"""Reads a user's stored playlists from raw, so that they are available before the marts are refreshed.

Versions and entries come from database functions that the web interface may call too (0011_80_own_lists.sql).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from myi_pipeline.errors import BadInput
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.postgres.user_scope import as_user
from myi_pipeline.providers.playlists import EntryKind, ListedTrack, PlaylistEntry

_HEADS = "select playlist_id, name, items, state, version_no, seen_at from ops.playlists_of(%s)"
_VERSIONS = (
    "select version_no, seen_at, state, name, items, description, owner_name, url from ops.playlist_versions_of(%s, %s)"
)
_ENTRIES = (
    "select place as position, kind, uri, title, artist, album, isrc, duration_ms, added_at, added_by, item_id"
    " from ops.playlist_entries_of(%s, %s, %s)"
)


@dataclass(frozen=True, kw_only=True)
class KeptPlaylist:
    """A playlist as it was last seen. `items` is None if its entries were never read.

    `is_made`: it is a list that MYI made, not one from a file.
    """

    playlist_id: int
    provider: str
    account_id: int | None
    is_made: bool
    account_name: str | None
    name: str
    owner_name: str | None
    state: str
    items: int | None
    versions: int
    first_seen_at: datetime
    changed_at: datetime


@dataclass(frozen=True, kw_only=True)
class KeptEntry:
    position: int
    kind: str
    uri: str | None
    title: str | None
    artist: str | None
    album: str | None
    isrc: str | None
    duration_ms: int | None
    added_at: datetime | None
    added_by: str | None
    item_id: str | None

    def as_entry(self) -> PlaylistEntry:
        """The entry in the form that all services and files share."""
        track = ListedTrack(
            kind=EntryKind(self.kind),
            uri=self.uri,
            title=self.title or "",
            artists=(self.artist,) if self.artist else (),
            album=self.album,
            isrc=self.isrc,
            duration_ms=self.duration_ms,
        )
        return PlaylistEntry(track=track, added_at=self.added_at, added_by=self.added_by, item_id=self.item_id)


@dataclass(frozen=True, kw_only=True)
class KeptVersion:
    version_no: int
    seen_at: datetime
    state: str
    name: str
    items: int | None
    description: str | None
    owner_name: str | None
    url: str | None


@dataclass(frozen=True, kw_only=True)
class KeptHead:
    """A playlist's last version, without its entries."""

    playlist_id: int
    name: str
    items: int | None
    state: str
    version_no: int
    seen_at: datetime


def list_heads(connection: Connection, *, user_id: int) -> tuple[KeptHead, ...]:
    """All of a user's playlists, in the order in which they were first seen."""
    with as_user(connection, user_id), connection.cursor(row_factory=class_row(KeptHead)) as cursor:
        return tuple(cursor.execute(_HEADS, (user_id,)).fetchall())


def list_playlists(connection: Connection, *, user_id: int) -> tuple[KeptPlaylist, ...]:
    """All of a user's playlists with their accounts, in the order in which they were first seen."""
    with connection.cursor(row_factory=class_row(KeptPlaylist)) as cursor:
        return tuple(cursor.execute(load_sql("playlists/list_playlists"), {"user_id": user_id}).fetchall())


def owner_of(connection: Connection, *, playlist_id: int) -> int:
    """The id of the user who has this playlist. For the role `ingest`. Raises BadInput."""
    row = connection.execute("select user_id from raw.playlists where playlist_id = %s", (playlist_id,)).fetchone()
    if row is None:
        raise no_playlist(playlist_id)
    return int(row[0])


def no_playlist(playlist_id: int) -> BadInput:
    return BadInput(f"there is no playlist {playlist_id}: see `myi playlists list`", place="playlist")


def list_versions(connection: Connection, *, user_id: int, playlist_id: int) -> tuple[KeptVersion, ...]:
    """Newest first. Raises BadInput for a playlist that is not this user's."""
    with as_user(connection, user_id), connection.cursor(row_factory=class_row(KeptVersion)) as cursor:
        found = tuple(cursor.execute(_VERSIONS, (user_id, playlist_id)).fetchall())
    if not found:
        raise no_playlist(playlist_id)
    return found


def list_entries(
    connection: Connection, *, user_id: int, playlist_id: int, version_no: int | None = None
) -> tuple[KeptEntry, ...]:
    """The entries of the latest version, or of another, in order; empty if they were never read. Raises BadInput."""
    versions = list_versions(connection, user_id=user_id, playlist_id=playlist_id)
    wanted = versions[0].version_no if version_no is None else version_no
    if all(each.version_no != wanted for each in versions):
        raise BadInput(f"the playlist has no version {wanted}: see `myi playlists history`", place="version")
    with as_user(connection, user_id), connection.cursor(row_factory=class_row(KeptEntry)) as cursor:
        return tuple(cursor.execute(_ENTRIES, (user_id, playlist_id, wanted)).fetchall())
