"""The CSV of Exportify (watsonbox/exportify): one Spotify playlist per file, named like the file.

The header is in the language of the web page, so columns with unknown names are read by position: their order is the
same in all languages (TracksBaseData.ts). Several artists share a cell, separated by `, `; a comma inside a name is
written as `\\,`. A fork (pavelkomarov/exportify) has fewer columns in another order, English names, and `;` between
artists.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import BinaryIO, Final, NamedTuple

from myi_pipeline.playlists.files.records import Playlist, Source, entry, isrc_of, moment_of, whole, written
from myi_pipeline.playlists.files.tables import Row, Table, guarded, write_table
from myi_pipeline.providers.playlists import ListedTrack, PlaylistEntry

COLUMNS: Final = (
    "Track URI", "Track Name", "Artist URI(s)", "Artist Name(s)", "Album URI", "Album Name", "Album Artist URI(s)",
    "Album Artist Name(s)", "Album Release Date", "Album Image URL", "Disc Number", "Track Number",
    "Track Duration (ms)", "Track Preview URL", "Explicit", "Popularity", "ISRC", "Added By", "Added At",
)  # fmt: skip
_URI: Final = re.compile(r"spotify:(?:track|episode|local):.*", re.DOTALL)
_USER: Final = "spotify:user:"
_SNIFFED_ROWS: Final = 20


class _Places(NamedTuple):
    """The column of each field; None if the table does not have it."""

    uri: int | None
    title: int | None
    artists: int | None
    artist_uris: int | None
    album: int | None
    album_artists: int | None
    released_on: int | None
    disc_number: int | None
    track_number: int | None
    duration: int | None
    explicit: int | None
    isrc: int | None
    added_by: int | None
    added_at: int | None
    has_semicolons: bool


def fits(table: Table, rows: Sequence[Row]) -> bool:
    """Whether the header is Exportify's, or the rows look like those of a translated table."""
    return _by_name(table) is not None or _by_place(table, rows) is not None


def _by_name(table: Table) -> _Places | None:
    column = table.column
    uri = column("track uri", "spotify uri")
    title, artists = column("track name"), column("artist name(s)", "artist name")
    if uri is None or title is None or artists is None:
        return None
    return _Places(
        uri=uri,
        title=title,
        artists=artists,
        artist_uris=column("artist uri(s)", "artist uri"),
        album=column("album name"),
        album_artists=column("album artist name(s)"),
        released_on=column("album release date", "release date"),
        disc_number=column("disc number"),
        track_number=column("track number"),
        duration=column("track duration (ms)", "duration (ms)"),
        explicit=column("explicit", "explicit?"),
        isrc=column("isrc"),
        added_by=column("added by"),
        added_at=column("added at"),
        has_semicolons=column("artist uri(s)", "artist uri") is None,
    )


def _by_place(table: Table, rows: Sequence[Row]) -> _Places | None:
    """The same by position, if the first column holds URIs, or the second one, after the playlist's name."""
    for first in (0, 1):
        has_all = len(table.header) >= first + len(COLUMNS)
        if has_all and rows and all(_URI.fullmatch(row.get(first)) for row in rows):
            at = {name: first + place for place, name in enumerate(COLUMNS)}
            return _Places(
                uri=at["Track URI"],
                title=at["Track Name"],
                artists=at["Artist Name(s)"],
                artist_uris=at["Artist URI(s)"],
                album=at["Album Name"],
                album_artists=at["Album Artist Name(s)"],
                released_on=at["Album Release Date"],
                disc_number=at["Disc Number"],
                track_number=at["Track Number"],
                duration=at["Track Duration (ms)"],
                explicit=at["Explicit"],
                isrc=at["ISRC"],
                added_by=at["Added By"],
                added_at=at["Added At"],
                has_semicolons=False,
            )
    return None


def read(source: Source) -> Playlist:
    """Raises BadInput for a table that is not Exportify's."""
    table = Table(source)
    rows = table.rows()
    first = list(islice(rows, _SNIFFED_ROWS))
    places = _by_name(table)
    if places is None:
        places = _by_place(table, first)
        if places is None:
            raise source.refusal("the header is not Exportify's", at="line 1", rule=", ".join(COLUMNS))
        source.note("the header is in an unknown language: columns are read by position", at="line 1")
    return Playlist(name=source.name, entries=tuple(_entry(source, row, places) for row in chain(first, rows)))


def _entry(source: Source, row: Row, at: _Places) -> PlaylistEntry:
    get = row.get
    artists = _names(get(at.artists), has_semicolons=at.has_semicolons)
    uris = get(at.artist_uris)
    if uris and uris.count("spotify:artist:") not in (0, len(artists)):
        # Older versions did not escape commas, so it is unclear where a name ends.
        source.note("the artist names do not match their URIs and are kept as one name", at=row.at)
        artists = (get(at.artists),)
    code = isrc_of(get(at.isrc))
    if get(at.isrc) and code is None:
        source.note("an invalid ISRC is not kept", at=row.at)
    added_at = moment_of(get(at.added_at))
    if get(at.added_at) and added_at is None:
        source.note("an invalid date added is not kept", at=row.at)
    track = ListedTrack(
        uri=get(at.uri).strip() or None,
        title=get(at.title),
        artists=artists,
        album=get(at.album) or None,
        album_artists=_names(get(at.album_artists), has_semicolons=False),
        isrc=code,
        duration_ms=whole(get(at.duration), most=10**12),
        disc_number=whole(get(at.disc_number)),
        track_number=whole(get(at.track_number)),
        is_explicit={"true": True, "false": False}.get(get(at.explicit).strip().lower()),
        released_on=get(at.released_on) or None,
    )
    return entry(track, added_at=added_at, added_by=get(at.added_by).removeprefix(_USER) or None)


def _names(cell: str, *, has_semicolons: bool) -> tuple[str, ...]:
    if has_semicolons and ";" in cell:
        return tuple(name for part in cell.split(";") if (name := part.strip()))
    parts, start = [""], True
    for piece in re.findall(r"\\[\\,]|,|[^\\,]+|\\", cell, re.DOTALL):
        if piece == ",":
            parts.append("")
            start = True
            continue
        # One space after a comma belongs to the separator; any other to the name.
        parts[-1] += (
            piece[1:] if piece in ("\\\\", "\\,") else piece.removeprefix(" ") if start and parts[1:] else piece
        )
        start = False
    return tuple(name for name in parts if name)


def _joined(names: Sequence[str]) -> str:
    return ", ".join(name.replace("\\", "\\\\").replace(",", "\\,") for name in names)


def write(playlist: Playlist, out: BinaryIO, *, formula_guard: bool) -> None:
    """Writes all columns, leaving those empty that MYI does not know: URIs of artists and albums, pictures, previews,
    popularity.
    """

    def rows() -> Iterator[list[str]]:
        for each in playlist.entries:
            track = each.track
            is_spotify = (track.uri or "").startswith("spotify:")
            cells = {
                "Track URI": track.uri,
                "Track Name": track.title,
                "Artist Name(s)": _joined(track.artists),
                "Album Name": track.album,
                "Album Artist Name(s)": _joined(track.album_artists),
                "Album Release Date": track.released_on,
                "Disc Number": track.disc_number,
                "Track Number": track.track_number,
                "Track Duration (ms)": track.duration_ms,
                "Explicit": None if track.is_explicit is None else str(track.is_explicit).lower(),
                "ISRC": track.isrc,
                "Added By": f"{_USER if is_spotify else ''}{each.added_by}" if each.added_by else None,
                "Added At": written(each.added_at) if each.added_at else None,
            }
            values = (cells.get(name) for name in COLUMNS)
            yield ["" if value is None else guarded(str(value), formula_guard=formula_guard) for value in values]

    write_table(out, delimiter=",", header=COLUMNS, rows=rows())
