"""A play as a source reported it, before it is stored.

The same content always gets the same `key`, in every process and every version.

These are named tuples, not dataclasses: reading an archive creates 200,000 of them, and a frozen dataclass of this size
takes five times as long to create.
"""

from __future__ import annotations

import unicodedata
from datetime import datetime
from enum import IntEnum
from hashlib import blake2b
from typing import Final, NamedTuple


class Source(IntEnum):
    """Who reported a play. raw.sources has the same numbers, which are never reused, and the traits of each source."""

    EXTENDED_HISTORY = 1
    ACCOUNT_HISTORY = 2
    SPOTIFY_API = 3
    LASTFM_EXPORT = 4
    LISTENBRAINZ_EXPORT = 5
    MALOJA_EXPORT = 6
    KOITO_EXPORT = 7
    SCROBBLER_LOG = 8
    LASTFM_API = 9
    LISTENBRAINZ_API = 10
    SUBMITTED_LISTENS = 11
    LASTFM_EXPORT_MINUTES = 12


class ContentKind(IntEnum):
    """What was played; the numbers are stored in raw.contents and never reused."""

    TRACK = 1
    EPISODE = 2
    CHAPTER = 3


class Content(NamedTuple):
    """One track, episode or chapter as one row of a source names it.

    `key` (32 hex digits) identifies it: by URI when there is one, else by kind and names. `match_key` (32 hex digits)
    is equal for contents of one kind whose normalised title and creator are equal; `match_title` is the normalised
    title. For a track `creator` is the (album) artist and `collection` the album; for an episode the show is the
    collection; for a chapter the author is the creator and the book the collection. `artist_key` and `album_key`
    identify a track's artist and album by their names, exactly as spelt (None for anything but a track).

    The last three are what some sources know about the recording beyond its names, and are not part of `key`: `isrc`,
    its International Standard Recording Code; `recording_mbid`, its MusicBrainz id (a UUID as text); `duration_ms`, its
    length in milliseconds, more than 0.
    """

    key: str
    kind: int
    uri: str | None
    title: str | None
    creator: str | None
    collection: str | None
    match_title: str
    match_key: str
    artist_key: str | None
    album_key: str | None
    isrc: str | None = None
    recording_mbid: str | None = None
    duration_ms: int | None = None


class Context(NamedTuple):
    """The free-text circumstances of a play, interned together because few combinations occur. `key`: 32 hex digits."""

    key: str
    platform: str | None
    conn_country: str | None
    reason_start: str | None
    reason_end: str | None


class PlayRecord(NamedTuple):
    """One row of a source that is a play.

    `row_index` counts from 0 within its file; `played_at` and `offline_at` are aware, in UTC; `ms_played` is in
    milliseconds and None if the source does not say. `content` is None for a removed track: a play of unknown
    content.
    """

    row_index: int
    played_at: datetime
    content: Content | None
    ms_played: int | None
    context: Context | None
    offline_at: datetime | None
    shuffle: bool | None
    skipped: bool | None
    offline: bool | None
    incognito: bool | None


class QuarantinedRow(NamedTuple):
    """One row that cannot be a play: why, and the row itself without its personal fields.

    `reason` is a short stable code such as `bad_timestamp`; `detail` a sentence; `row` JSON-ready. A row dated in the
    future has its time in `due_at`, and in `whole_row` everything needed to read it again then.
    """

    row_index: int
    reason: str
    detail: str
    row: object
    due_at: datetime | None = None
    whole_row: dict[str, object] | None = None


def normalise_name(name: str | None) -> str:
    """The form in which two spellings of one name are equal: compatibility-composed, case-folded, single-spaced."""
    if not name:
        return ""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def digest(*parts: str | None) -> str:
    """A digest of these parts, in this order: 32 hex digits."""
    # Length-prefixed, so that ("ab", "c") and ("a", "bc") differ; None differs from "".
    hasher = blake2b(digest_size=16)
    for part in parts:
        if part is None:
            hasher.update(b"-")
        else:
            data = part.encode("utf-8")
            hasher.update(b"%d:" % len(data))
            hasher.update(data)
    return hasher.hexdigest()


# What Spotify's archives say instead of a name that is no longer known; compared without case and brackets.
_NO_CREATORS: Final = frozenset({"unknown artist", "unknown artists", "unknown author"})
_NO_COLLECTIONS: Final = frozenset({"unknown album", "unknown show", "unknown podcast", "unknown audiobook"})
_NO_TITLES: Final = frozenset(
    {"unknown track", "unknown song", "unknown title", "unknown episode", "unknown chapter", "unknown"}
)


def known_names(
    kind: ContentKind, title: str | None, creator: str | None, collection: str | None
) -> tuple[str | None, str | None, str | None]:
    """Title, creator and collection, with None for placeholders that say that a name is unknown.

    A title such as "Unknown Track" is a placeholder only if the artist (for an episode or chapter, the show or book) is
    unknown too: there are songs with that name.
    """
    if _is_one_of(creator, _NO_CREATORS):
        creator = None
    if _is_one_of(collection, _NO_COLLECTIONS):
        collection = None
    whose = creator if kind == ContentKind.TRACK else creator or collection
    if whose is None and _is_one_of(title, _NO_TITLES):
        title = None
    return title, creator, collection


def _is_one_of(name: str | None, words: frozenset[str]) -> bool:
    return name is not None and normalise_name(name).strip("<>[]() ") in words


def make_content(
    *, kind: ContentKind, uri: str | None, title: str | None, creator: str | None, collection: str | None
) -> Content:
    """A content with its keys. Raises UnicodeEncodeError for lone surrogates: clean the text first."""
    # From the original names: the key must not change when the rules for placeholders do.
    key = digest("uri", uri) if uri else digest("names", str(int(kind)), title, creator, collection)
    title, creator, collection = known_names(kind, title, creator, collection)
    match_title = normalise_name(title)
    match_key = digest(str(int(kind)), match_title, normalise_name(creator))
    is_track = kind == ContentKind.TRACK and creator is not None
    artist_key = digest("artist", creator) if is_track else None
    album_key = digest("album", creator, collection) if is_track and collection is not None else None
    return Content(key, int(kind), uri, title, creator, collection, match_title, match_key, artist_key, album_key)


def content_if_known(
    *, kind: ContentKind, uri: str | None, title: str | None, creator: str | None, collection: str | None
) -> Content | None:
    """Like make_content, or None if neither a URI nor a name says what was played."""
    if uri is None and not any(known_names(kind, title, creator, collection)):
        return None
    return make_content(kind=kind, uri=uri, title=title, creator=creator, collection=collection)


def make_context(
    *, platform: str | None, conn_country: str | None, reason_start: str | None, reason_end: str | None
) -> Context | None:
    """A context with its key, or None if the source says nothing at all."""
    if platform is None and conn_country is None and reason_start is None and reason_end is None:
        return None
    key = digest(platform, conn_country, reason_start, reason_end)
    return Context(key, platform, conn_country, reason_start, reason_end)
