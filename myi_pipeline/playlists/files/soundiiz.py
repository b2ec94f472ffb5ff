"""The CSV of Soundiiz: title, artist, album, isrc, and in its exports addedDate, addedBy, duration (`225s`) and url.

The delimiter varies and is usually `;`; the playlist is named like the file. Any table with columns of titles and
artists is read this way, because other programs (Roon, FreeYourMusic) write the same first four.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, Final

from myi_pipeline.playlists.files.addresses import location_of, named_by
from myi_pipeline.playlists.files.records import Playlist, Source, entry, isrc_of, moment_of, written
from myi_pipeline.playlists.files.tables import Row, Table, guarded, write_table
from myi_pipeline.providers.playlists import ListedTrack, PlaylistEntry

_HEADER: Final = ("title", "artist", "album", "isrc", "addedDate", "addedBy", "duration", "url")
_TITLES: Final = ("title", "track", "track name", "song", "name")
_ARTISTS: Final = ("artist", "artists", "artist name", "artist name(s)", "track artist(s)")
_ALBUMS: Final = ("album", "album name")
_SECONDS: Final = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,9}))?\s*s?")


def fits(table: Table) -> bool:
    """Whether there are columns of titles and artists."""
    return table.column(*_TITLES) is not None and table.column(*_ARTISTS) is not None


def read(source: Source) -> Playlist:
    """Raises BadInput for a table without columns of titles and artists."""
    table = Table(source)
    if not fits(table):
        raise source.refusal("the header has no titles and artists", at="line 1", rule=", ".join(_HEADER))
    return Playlist(name=source.name, entries=tuple(_entry(source, table, row) for row in table.rows()))


def _entry(source: Source, table: Table, row: Row) -> PlaylistEntry:
    def cell(*names: str) -> str:
        return row.get(table.column(*names))

    code, artist = isrc_of(cell("isrc")), cell(*_ARTISTS)
    uri, recording_mbid = named_by(cell("url").strip())
    if cell("isrc") and code is None:
        source.note("an invalid ISRC is not kept", at=row.at)
    length = _SECONDS.fullmatch(cell("duration").strip())
    if cell("duration") and length is None:
        source.note("a duration that is not a number of seconds is not kept", at=row.at)
    track = ListedTrack(
        uri=uri,
        recording_mbid=recording_mbid,
        title=cell(*_TITLES),
        artists=(artist,) if artist else (),
        album=cell(*_ALBUMS) or None,
        isrc=code,
        duration_ms=round(float(f"{length[1]}.{length[2] or 0}") * 1000) if length else None,
    )
    return entry(track, added_at=moment_of(cell("addeddate")), added_by=cell("addedby") or None)


def write(playlist: Playlist, out: BinaryIO, *, formula_guard: bool) -> None:
    """Writes the columns of Soundiiz' own exports, with `;`."""

    def rows() -> Iterator[list[str]]:
        for each in playlist.entries:
            track = each.track
            cells = (
                track.title,
                ", ".join(track.artists),
                track.album,
                track.isrc,
                written(each.added_at) if each.added_at else None,
                each.added_by,
                None if track.duration_ms is None else f"{track.duration_ms / 1000:.3f}".rstrip("0").rstrip(".") + "s",
                location_of(track.uri, track.recording_mbid),
            )
            yield [guarded(cell or "", formula_guard=formula_guard) for cell in cells]

    write_table(out, delimiter=";", header=_HEADER, rows=rows())
