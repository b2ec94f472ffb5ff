"""Playlists of any service in a common form: entries, a service's capabilities, and the interfaces of clients.

No entry of a playlist is left out: episodes, local files and entries whose track no longer exists are entries, too.
Times are aware, in UTC; None if unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

from myi_pipeline.errors import Permanent, Transient

# The id of an account's liked songs, if the service separates them from playlists.
LIKED = "liked"


class WriteUnderWay(Transient):
    """The service is still processing a write with this key; the same one may be sent again after a while."""


class KeyUsed(Permanent):
    """This key belongs to another write; the service did nothing."""


class ListChanged(Permanent):
    """The list has changed since the caller read it; nothing was written."""


class EntryKind(StrEnum):
    """The kind of an entry.

    `LOCAL`: a file on the owner's device; `REMOVED`: the service no longer knows what it was.
    """

    TRACK = "track"
    EPISODE = "episode"
    VIDEO = "video"
    LOCAL = "local"
    REMOVED = "removed"


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedTrack:
    """The track of an entry.

    `uri` is the service's URI (spotify:track:..., tidal:track:...), or an address in a file; `title` and `artists` are
    empty if unknown.
    """

    kind: EntryKind = EntryKind.TRACK
    uri: str | None = None
    title: str = ""
    artists: tuple[str, ...] = ()
    album: str | None = None
    album_artists: tuple[str, ...] = ()
    isrc: str | None = None
    recording_mbid: str | None = None
    duration_ms: int | None = None
    disc_number: int | None = None
    track_number: int | None = None
    is_explicit: bool | None = None
    released_on: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PlaylistEntry:
    """One position on a playlist.

    `item_id` is the service's id of this entry, which it keeps when it moves. `original` is the service's JSON for an
    entry that is not a track.
    """

    track: ListedTrack
    added_at: datetime | None = None
    added_by: str | None = None
    item_id: str | None = None
    original: object = field(default=None, hash=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class PlaylistHead:
    """A playlist without its entries.

    `version` changes whenever the service reports a change; `items` may be approximate; `is_readable` is False if the
    service lists it but does not show its entries to this account.
    """

    playlist_id: str
    name: str
    description: str | None = None
    owner_id: str | None = None
    owner_name: str | None = None
    is_public: bool | None = None
    is_collaborative: bool | None = None
    version: str | None = None
    items: int | None = None
    image_url: str | None = None
    url: str | None = None
    is_readable: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Capabilities:
    """What a service can do with the playlists of a linked account.

    Numbers are maxima per request, None if no limit is known; `most_entries` is per playlist. `idempotent_for_s`: how
    long a write with the same key is not repeated. `renames`: a track may be listed under a different URI from the one
    it was added by. `shows_writes_after_s`: until then, a list may be shown as it was before a confirmed write.
    """

    reads: bool = True
    creates: bool = False
    moves: bool = False
    removes: bool = False
    removes_one_of_equal: bool = False
    finds_isrc: bool = False
    searches: bool = False
    keeps_added_at: bool = False
    most_per_add: int = 1
    most_per_move: int = 1
    most_per_removal: int = 1
    most_isrcs_at_once: int = 1
    most_entries: int | None = None
    idempotent_for_s: int | None = None
    renames: bool = False
    shows_writes_after_s: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Added:
    """The result of adding: an id for each added entry, in order (None if the service gives none), and the positions in
    the request, from 0, that the service dropped.
    """

    item_ids: tuple[str | None, ...]
    skipped: tuple[int, ...] = ()


class PlaylistReader(Protocol):
    """Reads the playlists of one account. Raises Gone, Forbidden, RateLimited, TokenRejected, Transient."""

    def playlists(self) -> Iterator[PlaylistHead]:
        """Every playlist of the account, including liked songs if the service has them as a playlist."""
        ...

    def head(self, playlist_id: str) -> PlaylistHead: ...

    def entries(self, playlist_id: str) -> Iterator[PlaylistEntry]:
        """In order.

        The caller compares the head's `version` before and after, as a list may change while it is read.
        """
        ...


class PlaylistWriter(Protocol):
    """Changes playlists of one account.

    Nothing is ever retried here: after Transient, it is unknown whether the service has done it; after RateLimited,
    TokenRejected and Permanent, it has not. `key` is the same for the same write, if the service supports keys.
    """

    capabilities: Capabilities

    def kept_name(self, name: str) -> str:
        """A playlist's name as the service stores it: truncated, and without characters it refuses."""
        ...

    def create(self, name: str, *, description: str | None, is_public: bool, key: str) -> PlaylistHead: ...

    def add(
        self,
        playlist_id: str,
        uris: Sequence[str],
        *,
        position: int | None,
        added_at: Sequence[datetime | None],
        key: str,
    ) -> Added:
        """Adds at `position` from 0, or at the end if None."""
        ...

    def move(
        self, playlist_id: str, *, start: int, length: int, before: int, item_ids: Sequence[str], key: str
    ) -> None:
        """Moves the block of `length` entries at `start` to before the entry now at `before`."""
        ...

    def remove(
        self, playlist_id: str, *, positions: Sequence[int], uris: Sequence[str], item_ids: Sequence[str], key: str
    ) -> None: ...

    def replace(self, playlist_id: str, uris: Sequence[str], *, key: str) -> None:
        """Replaces the whole list with these, at most `most_per_add`.

        Only for services that cannot remove one of two equal entries.
        """
        ...


class TrackFinder(Protocol):
    """Looks tracks up in a service's catalogue: candidates for one recording, best first by the service's ranking."""

    def by_isrc(self, isrc: str) -> tuple[ListedTrack, ...]: ...

    def search(self, *, title: str, artist: str) -> tuple[ListedTrack, ...]: ...


@runtime_checkable
class BatchFinder(TrackFinder, Protocol):
    """A finder whose service accepts several codes at once (Capabilities.most_isrcs_at_once)."""

    def by_isrcs(self, isrcs: Sequence[str]) -> dict[str, ListedTrack]:
        """One track for each known code. Others may have the same code: `by_isrc` returns them all."""
        ...
