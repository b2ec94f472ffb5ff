"""Playlists in raw: a version whenever something differs, each distinct list of entries once, and no updates.

A playlist and its entries are stored in one transaction, so a killed process leaves the older version intact. The
contents of its entries are interned before that, and remain even if storing the playlist then fails.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final, Literal
from uuid import UUID

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from myi_pipeline.catalogue.catalogue_store import next_batch_id
from myi_pipeline.catalogue.plays import Content, ContentKind, content_if_known
from myi_pipeline.catalogue.row_rules import storable_text
from myi_pipeline.catalogue.scrobbles import intern_named
from myi_pipeline.errors import BadInput
from myi_pipeline.postgres.connections import Connection, retry_conflicts
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.providers.accounts import Provider
from myi_pipeline.providers.playlists import EntryKind, ListedTrack, PlaylistEntry, PlaylistHead

State = Literal["readable", "unreadable", "gone"]
FILE: Final = "file"
# The first key of an advisory lock, of which the second is the playlist; it spells "myip".
_LOCK_SPACE = 0x6D796970
_LONGEST_TEXT, _LONGEST_ID = 2_000, 400
_LONGEST_ORIGINAL = 10_000
_MOST_ARTISTS = 50
# No service allows more, and nobody makes a longer playlist by hand.
MOST_ENTRIES = 100_000
_LARGEST_INT = 2**31 - 1
_LONGEST_ISRC = 32


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A stored playlist: its current version, and whether that is new."""

    playlist_id: int
    version_id: int
    is_new: bool
    items: int | None


def store_playlist(
    connection: Connection,
    *,
    user_id: int,
    account_id: int | None,
    provider: Provider | Literal["file"],
    head: PlaylistHead,
    entries: Sequence[PlaylistEntry] | None,
    now: datetime,
    state: State = "readable",
    permission: str | None = None,
    skips_known: bool = False,
) -> Stored:
    """Store the current state of a playlist, from a linked account or (`account_id` None, provider "file") from a file.

    For a file, `head.playlist_id` is what identifies the playlist on the next import, such as the file's name. Without
    `entries`, those of the last version stay. A `permission` (what the service says about who may read the list) means
    that the list was read or refused just now. `skips_known`: entries that the list had in an earlier version are no
    change, because they may come from before the last one; a removed list comes back with its last ones. `connection`
    is in autocommit. Raises Transient if the warehouse stays too busy, BadInput if this is not a valid playlist.
    """
    if entries is not None and len(entries) > MOST_ENTRIES:
        raise BadInput(f"a playlist has at most {MOST_ENTRIES:,} entries, this has {len(entries):,}", place="playlist")
    identifier = storable_text(head.playlist_id)[:_LONGEST_ID]
    if not identifier:
        raise BadInput("the playlist has no id", place="playlist")
    rows = _rows(connection, entries, now) if entries is not None else None
    owner = {"user_id": user_id, "account_id": account_id, "provider": str(provider), "provider_playlist": identifier}

    def run() -> Stored:
        with connection.transaction():
            playlist_id = _playlist_id(connection, owner, now)
            # Two processes would both take the next version number; the lock ends with the transaction.
            connection.execute("select pg_advisory_xact_lock(%s, %s)", (_LOCK_SPACE, playlist_id))
            return _store_version(
                connection,
                playlist_id,
                head,
                rows,
                state=state,
                permission=permission,
                skips_known=skips_known,
                now=now,
            )

    return retry_conflicts(run)


def _playlist_id(connection: Connection, owner: dict[str, Any], now: datetime) -> int:
    found = connection.execute(load_sql("playlists/find_playlist"), owner).fetchone()
    if found is None:
        found = connection.execute(
            "insert into raw.playlists (user_id, account_id, provider, provider_playlist, first_seen_at)"
            " values (%(user_id)s, %(account_id)s, %(provider)s, %(provider_playlist)s, %(now)s)"
            " on conflict do nothing returning playlist_id",
            {**owner, "now": now},
        ).fetchone()
    if found is None:  # another process was first
        found = connection.execute(load_sql("playlists/find_playlist"), owner).fetchone()
    assert found is not None
    return int(found[0])


def _store_version(
    connection: Connection,
    playlist_id: int,
    head: PlaylistHead,
    rows: list[dict[str, Any]] | None,
    *,
    state: State,
    permission: str | None,
    skips_known: bool,
    now: datetime,
) -> Stored:
    with connection.cursor(row_factory=dict_row) as cursor:
        last = cursor.execute(load_sql("playlists/last_version"), {"playlist_id": playlist_id}).fetchone()
    items_key: UUID | None = last["items_key"] if last is not None else None
    items: int | None = last["items"] if last is not None else None
    if rows is not None:
        digest = _digest(rows)
        is_known = skips_known and last is not None and _had(connection, playlist_id, digest)
        if is_known and last is not None and last["state"] != "gone":
            return Stored(playlist_id=playlist_id, version_id=last["version_id"], is_new=False, items=items)
        if not is_known:
            items_key, items = digest, len(rows)
            named = [{name: value for name, value in row.items() if name != "key"} for row in rows]
            connection.execute(
                load_sql("playlists/insert_items"),
                {"playlist_id": playlist_id, "items_key": items_key, "items": Jsonb(named)},
            )
    # Once read or refused, the list is not requested again before the service reports a change.
    if rows is not None or permission is not None:
        values = {
            "playlist_id": playlist_id, "provider_version": head.version, "permission": permission, "now": now
        }  # fmt: skip
        connection.execute(load_sql("playlists/note_read"), values)
    described = {
        "state": state,
        "name": _text(head.name) or "",
        "description": _text(head.description),
        "owner_id": _text(head.owner_id),
        "owner_name": _text(head.owner_name),
        "is_public": head.is_public,
        "is_collaborative": head.is_collaborative,
        "items_key": items_key,
        "items": items,
    }
    if last is not None and all(last[name] == value for name, value in described.items()):
        return Stored(playlist_id=playlist_id, version_id=last["version_id"], is_new=False, items=items)
    more = {
        "playlist_id": playlist_id,
        "version_no": last["version_no"] + 1 if last is not None else 1,
        "seen_at": now,
        "provider_version": _text(head.version),
        # These change on their own (Spotify's image URLs expire within a day), so they do not make a version.
        "image_url": _text(head.image_url),
        "url": _text(head.url),
    }
    made = connection.execute(load_sql("playlists/insert_version"), described | more).fetchone()
    assert made is not None
    return Stored(playlist_id=playlist_id, version_id=int(made[0]), is_new=True, items=items)


def _had(connection: Connection, playlist_id: int, items_key: UUID) -> bool:
    row = connection.execute(
        "select exists (select from raw.playlist_versions where playlist_id = %s and items_key = %s)",
        (playlist_id, items_key),
    ).fetchone()
    return row is not None and bool(row[0])


def _rows(connection: Connection, entries: Sequence[PlaylistEntry], now: datetime) -> list[dict[str, Any]]:
    contents = [_content(entry.track) for entry in entries]
    known = [content for content in contents if content is not None]
    ids: dict[str, int] = {}
    if known:
        batch_id = next_batch_id(connection)
        ids = intern_named(connection, ((content, now) for content in known), batch_id=batch_id)
    return [
        {
            "key": content.key if content is not None else None,
            "position": position,
            "kind": entry.track.kind.value,
            "content_id": ids[content.key] if content is not None else None,
            "added_at": entry.added_at.astimezone(UTC).isoformat() if entry.added_at is not None else None,
            "added_by": _text(entry.added_by),
            "item_id": _text(entry.item_id),
            "original": _original(entry) if content is None else None,
            "artists": _artists(entry.track) or None if content is not None else None,
        }
        for position, (entry, content) in enumerate(zip(entries, contents, strict=True))
    ]


def _content(track: ListedTrack) -> Content | None:
    """The catalogue's content for a track; None for a local file, and for a track that is gone."""
    if track.kind in (EntryKind.LOCAL, EntryKind.REMOVED):
        return None
    is_episode = track.kind is EntryKind.EPISODE
    content = content_if_known(
        kind=ContentKind.EPISODE if is_episode else ContentKind.TRACK,
        uri=_text(track.uri, _LONGEST_ID),
        title=_text(track.title),
        creator=None if is_episode else next(filter(None, map(_text, track.artists)), None),
        collection=_text(track.album),
    )
    if content is None:
        return None
    duration, isrc = track.duration_ms, _text(track.isrc)
    return content._replace(
        isrc=isrc if isrc and len(isrc) <= _LONGEST_ISRC else None,
        recording_mbid=_mbid(track.recording_mbid),
        duration_ms=duration if duration is not None and 0 < duration <= _LARGEST_INT else None,
    )


def _original(entry: PlaylistEntry) -> dict[str, Any]:
    """An entry without a content, as its service or file describes it."""
    track = entry.track
    fields: dict[str, Any] = {
        "uri": _text(track.uri),
        "title": _text(track.title),
        "artists": _artists(track),
        "album": _text(track.album),
        "duration_ms": track.duration_ms,
    }
    kept = {name: value for name, value in fields.items() if value}
    try:
        whole = storable_text(json.dumps(entry.original, ensure_ascii=False, sort_keys=True))
        # Postgres refuses NUL in JSON strings too, where it is spelt \u0000.
        if entry.original is not None and len(whole) <= _LONGEST_ORIGINAL and "\\u0000" not in whole:
            kept["told"] = json.loads(whole)
    except (TypeError, ValueError):
        pass
    return kept


def _artists(track: ListedTrack) -> list[str]:
    return [text for artist in track.artists[:_MOST_ARTISTS] if (text := _text(artist))]


def _digest(rows: list[dict[str, Any]]) -> UUID:
    """A digest that is the same for equal lists in every process."""
    hasher = blake2b(digest_size=16, person=b"myi playlist")
    for row in rows:
        # The content's key, because its id differs between databases.
        fields = [row[name] for name in ("kind", "key", "added_at", "added_by", "item_id", "original")]
        text = json.dumps(fields, ensure_ascii=True, sort_keys=True).encode()
        hasher.update(b"%d:%s" % (len(text), text))
    return UUID(bytes=hasher.digest())


def _text(value: str | None, longest: int = _LONGEST_TEXT) -> str | None:
    return storable_text(value)[:longest].strip() or None if value else None


def _mbid(value: str | None) -> str | None:
    try:
        return str(UUID(value)) if value else None
    except ValueError:
        return None
