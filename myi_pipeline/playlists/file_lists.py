"""Playlists imported from files: stored with their history, and written out again.

A playlist is recognised on the next import by the name of the file and its own name in that file, one of Spotify's
account data by its own name alone; any difference is then stored as another version.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from myi_pipeline.errors import BadInput
from myi_pipeline.playlists.files import Playlist, Reading
from myi_pipeline.playlists.files.addresses import is_of_service
from myi_pipeline.playlists.kept import list_entries, list_versions
from myi_pipeline.playlists.store import FILE, store_playlist
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.providers.playlists import EntryKind, PlaylistEntry, PlaylistHead


@dataclass(frozen=True, kw_only=True)
class StoredList:
    """The result for one playlist of a file. `is_new`: whether a new version was stored; False if nothing differs."""

    playlist_id: int
    name: str
    entries: int
    is_new: bool


def check_names(readings: Sequence[tuple[Path, Reading]]) -> None:
    """Raises BadInput if two files have the same name: the second would become another version of the first."""
    named: dict[str, Path] = {}
    for path, reading in readings:
        if reading.place in named:
            raise BadInput(
                f"{named[reading.place]} and {path} would be kept as one playlist, because both are called"
                f" {reading.place}: rename one of them",
                place=reading.place,
                rule="a different name for each file",
            )
        named[reading.place] = path


def store_readings(
    connection: Connection,
    *,
    user_id: int,
    readings: Sequence[Reading],
    now: datetime,
    seen: Counter[str] | None = None,
    skips_known: bool = False,
) -> tuple[StoredList, ...]:
    """Store the playlists of files for a user, each in its own transaction. `connection` is in autocommit.

    `seen` counts equal names in one archive whose files are stored by several calls. `skips_known`: what a list had in
    an earlier version is no change. Raises BadInput for a playlist
    with too many entries, Transient if the warehouse stays too busy.
    """
    done = []
    seen = Counter() if seen is None else seen
    for reading in readings:
        for playlist in reading.playlists:
            name = _name_of(reading, playlist)
            seen[name] += 1
            stored = store_playlist(
                connection,
                user_id=user_id,
                account_id=None,
                provider=FILE,
                head=_head(playlist, name, seen[name]),
                entries=[_entry(each) for each in playlist.entries],
                now=now,
                skips_known=skips_known,
            )
            done.append(
                StoredList(
                    playlist_id=stored.playlist_id,
                    name=playlist.name,
                    entries=len(playlist.entries),
                    is_new=stored.is_new,
                )
            )
    return tuple(done)


def _name_of(reading: Reading, playlist: Playlist) -> str:
    # Playlists in one file are told apart by name.
    return f"{reading.series}#{playlist.name}" if reading.format.holds_many else reading.series


def _head(playlist: Playlist, name: str, number: int) -> PlaylistHead:
    return PlaylistHead(
        # Those with equal names are told apart by their order.
        playlist_id=f"{name}#{number}" if number > 1 else name,
        name=playlist.name,
        description=playlist.description,
        owner_name=playlist.creator,
        items=len(playlist.entries),
        image_url=playlist.image_url,
        url=playlist.url,
    )


def _entry(each: PlaylistEntry) -> PlaylistEntry:
    """All users share the catalogue, so no path on somebody's disk or server may enter it. An entry with names is
    identified by them; one without is kept as its owner's local file.
    """
    track = each.track
    if track.uri is None or is_of_service(track.uri) or track.kind in (EntryKind.LOCAL, EntryKind.REMOVED):
        return each
    if track.title and track.artists:
        return replace(each, track=replace(track, uri=None))
    return replace(each, track=replace(track, kind=EntryKind.LOCAL))


def kept_as_file(connection: Connection, *, user_id: int, playlist_id: int, version_no: int | None = None) -> Playlist:
    """A stored playlist, ready to be written to a file: its latest version unless another is given. Raises BadInput."""
    versions = list_versions(connection, user_id=user_id, playlist_id=playlist_id)
    entries = list_entries(connection, user_id=user_id, playlist_id=playlist_id, version_no=version_no)
    found = next((each for each in versions if each.version_no == version_no), versions[0])
    return Playlist(
        name=found.name,
        description=found.description,
        creator=found.owner_name,
        url=found.url,
        entries=tuple(each.as_entry() for each in entries),
    )
