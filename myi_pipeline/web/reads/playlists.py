"""A person's playlists: as they are, what stands on one and how often it was heard, what changed and what was removed,
and which others share its tracks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from myi_pipeline.web.reads.cursors import MOST_INT, After, Order
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.sql_files import load_sql

# The latest that were met first.
PLAYLISTS = Order({"playlist_id": MOST_INT})
ITEMS = Order({"position": -1})
# The newest version first; in it, in the order of its changes.
CHANGES = Order({"version_no": MOST_INT, "place": -1})
# Of a list of thousands not every entry is looked at for its picture.
_POSITIONS_OF_COVERS = 40


@dataclass(frozen=True)
class PlaylistRow:
    """`items` is None if its entries were never read. `is_made`: it is a list that MYI made, not one from a file."""

    playlist_id: int
    name: str
    description: str | None
    provider: str
    account_id: int | None
    is_made: bool
    owner_id: str | None
    owner_name: str | None
    is_public: bool | None
    is_collaborative: bool | None
    is_liked_songs: bool
    state: str
    items: int | None
    versions: int
    first_seen_at: datetime
    last_changed_at: datetime
    deleted_at: datetime | None
    url: str | None


@dataclass(frozen=True)
class PlaylistItemRow:
    position: int
    kind: str
    content_id: int | None
    uri: str | None
    title: str | None
    creator: str | None
    collection: str | None
    added_at: datetime | None
    added_by: str | None
    plays: int
    counted_plays: int
    last_played_at: datetime | None


@dataclass(frozen=True)
class PlaylistChangeRow:
    version_no: int
    place: int
    change: str
    previous_seen_at: datetime | None
    seen_at: datetime
    kind: str | None
    content_id: int | None
    title: str | None
    creator: str | None
    position_before: int | None
    position_after: int | None
    value_before: str | None
    value_after: str | None


@dataclass(frozen=True)
class RemovedRow:
    """An entry that went; it was there until `previous_seen_at` at least."""

    version_no: int
    place: int
    previous_seen_at: datetime | None
    seen_at: datetime
    kind: str
    content_id: int | None
    title: str | None
    creator: str | None
    is_there_again: bool


@dataclass(frozen=True)
class OverlapRow:
    """Another list, and how many different songs and episodes of the one are on it too."""

    playlist_id: int
    name: str
    provider: str
    account_id: int | None
    is_made: bool
    items: int | None
    songs: int


@dataclass(frozen=True)
class CoverRow:
    """An album of a list; `picture` is the SHA-256 of its cover in hex."""

    playlist_id: int
    album_id: int
    picture: str


@dataclass(frozen=True)
class TrackFactsRow:
    content_id: int
    album: str | None
    duration_ms: int | None


@dataclass(frozen=True)
class UriNamesRow:
    uri: str
    title: str | None
    creator: str | None


@dataclass(frozen=True)
class PlaylistMonthRow:
    month_start: date
    contents: int
    plays: int
    counted_plays: int
    ms_played: int


async def playlists(marts: Marts, *, after: After, limit: int) -> list[PlaylistRow]:
    return await marts.fetch(PlaylistRow, load_sql("playlists"), limit=limit, **PLAYLISTS.values(after))


async def playlist(marts: Marts, playlist_id: int) -> PlaylistRow | None:
    """None for one that is not this person's."""
    after = After([min(playlist_id + 1, MOST_INT)])
    rows = await playlists(marts, after=after, limit=1)
    return rows[0] if rows and rows[0].playlist_id == playlist_id else None


async def playlist_items(marts: Marts, playlist_id: int, *, after: After, limit: int) -> list[PlaylistItemRow]:
    return await marts.fetch(
        PlaylistItemRow, load_sql("playlist_items"), playlist_id=playlist_id, limit=limit, **ITEMS.values(after)
    )


async def playlist_changes(marts: Marts, playlist_id: int, *, after: After, limit: int) -> list[PlaylistChangeRow]:
    return await marts.fetch(
        PlaylistChangeRow, load_sql("playlist_changes"), playlist_id=playlist_id, limit=limit, **CHANGES.values(after)
    )


async def playlist_plays(marts: Marts, playlist_id: int) -> list[PlaylistMonthRow]:
    """Months with any play of what stands on the list now, oldest first."""
    return await marts.fetch(PlaylistMonthRow, load_sql("playlist_plays"), playlist_id=playlist_id)


async def playlist_removed(marts: Marts, playlist_id: int, *, after: After, limit: int) -> list[RemovedRow]:
    return await marts.fetch(
        RemovedRow, load_sql("playlist_removed"), playlist_id=playlist_id, limit=limit, **CHANGES.values(after)
    )


async def playlist_overlap(marts: Marts, playlist_id: int, *, limit: int) -> list[OverlapRow]:
    """Lists that are in the library and share most with this one."""
    return await marts.fetch(OverlapRow, load_sql("playlist_overlap"), playlist_id=playlist_id, limit=limit)


async def playlist_covers(marts: Marts, playlist_ids: Sequence[int]) -> dict[int, list[CoverRow]]:
    """Up to four covers of the first albums of each list; lists without any are left out."""
    rows = await marts.fetch(
        CoverRow, load_sql("playlist_covers"), playlist_ids=list(playlist_ids), positions=_POSITIONS_OF_COVERS
    )
    found: dict[int, list[CoverRow]] = {}
    for row in rows:
        found.setdefault(row.playlist_id, []).append(row)
    return found


async def track_facts(marts: Marts, content_ids: Sequence[int]) -> dict[int, TrackFactsRow]:
    """Album and length of what stands on a list, by content."""
    rows = await marts.fetch(TrackFactsRow, load_sql("playlist_track_facts"), content_ids=list(content_ids))
    return {row.content_id: row for row in rows}


async def names_of_uris(marts: Marts, *, account_id: int, provider_playlist: str) -> dict[str, UriNamesRow]:
    """What is on a list of this person's, as it was gathered last, by URI; empty for a list that never was."""
    rows = await marts.fetch(
        UriNamesRow, load_sql("playlist_uri_names"), account_id=account_id, provider_playlist=provider_playlist
    )
    return {row.uri: row for row in rows}
