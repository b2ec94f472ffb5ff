"""The CSV of TuneMyMusic: Track name, Artist name, Album, Playlist name, Type, ISRC, and a column `SERVICE - id`.

One file can hold several playlists, told apart by the name in each row, and also a person's albums and artists: `Type`
says which (Playlist, Favorite, Album, Artist). Exports from Spotify, Apple Music and others differ only in the last
column.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final

from myi_pipeline.playlists.files.records import Playlist, Source, entry, isrc_of
from myi_pipeline.playlists.files.tables import Row, Table, guarded, write_table
from myi_pipeline.providers.playlists import ListedTrack, PlaylistEntry

_HEADER: Final = ("Track name", "Artist name", "Album", "Playlist name", "Type", "ISRC")
_ID: Final = " - id"
_OTHER_TYPES: Final = ("album", "artist")
# Services' names in the header, if they differ from those in URIs.
_SERVICES: Final = {"youtube": "youtube:video", "youtube music": "youtube:video", "apple": "applemusic:track"}
_TITLES: Final = {
    "spotify": "Spotify",
    "tidal": "Tidal",
    "deezer": "Deezer",
    "youtube": "YouTube",
    "applemusic": "Apple",
}


def fits(table: Table) -> bool:
    """Whether the header is TuneMyMusic's."""
    return all(table.column(name.casefold()) is not None for name in ("Track name", "Artist name", "Playlist name"))


def read(source: Source) -> tuple[Playlist, ...]:
    """The playlists in the order of their first rows. Raises BadInput for another table."""
    table = Table(source)
    if not fits(table):
        raise source.refusal("the header is not TuneMyMusic's", at="line 1", rule=", ".join(_HEADER))
    title, artist, album, name, kind, isrc = (table.column(each.casefold()) for each in _HEADER)
    ids = {place: text.removesuffix(_ID) for place, text in enumerate(table.names) if text.endswith(_ID)}
    found: dict[str, list[PlaylistEntry]] = {}
    for row in table.rows():
        if (what := row.get(kind).strip().casefold()) in _OTHER_TYPES:
            source.note(f"a row that is an {what}, not an entry of a playlist, is left out", at=row.at)
            continue
        code = isrc_of(row.get(isrc))
        if row.get(isrc) and code is None:
            source.note("an invalid ISRC is not kept", at=row.at)
        track = ListedTrack(
            uri=_uri(row, ids),
            title=row.get(title),
            artists=(row.get(artist),) if row.get(artist) else (),
            album=row.get(album) or None,
            isrc=code,
        )
        found.setdefault(row.get(name), []).append(entry(track))
        if len(found) > source.limits.max_playlists:
            raise source.refusal(f"more than {source.limits.max_playlists:,} playlists", rule="max_playlists")
    return tuple(Playlist(name=each or source.name, entries=tuple(entries)) for each, entries in found.items())


def _uri(row: Row, ids: dict[int, str]) -> str | None:
    for place, service in ids.items():
        if code := row.get(place).strip():
            # Other programs write whole URIs here.
            return code if ":" in code else f"{_SERVICES.get(service, f'{service}:track')}:{code}"
    return None


def write(playlists: Sequence[Playlist], out: BinaryIO, *, formula_guard: bool) -> None:
    """Writes all playlists into one file, with an id column for each service that occurs, and always Spotify's."""
    services = list(
        dict.fromkeys(
            ["Spotify", *(_service(each.track.uri)[0] for playlist in playlists for each in playlist.entries)]
        )
    )
    columns = [service for service in services if service]

    def rows() -> Iterator[list[str]]:
        for playlist in playlists:
            for each in playlist.entries:
                track = each.track
                service, code = _service(track.uri)
                cells = [
                    track.title,
                    ", ".join(track.artists),
                    track.album or "",
                    playlist.name,
                    "Playlist",
                    track.isrc or "",
                    *(code if service == column else "" for column in columns),
                ]
                yield [guarded(cell, formula_guard=formula_guard) for cell in cells]

    header = [*_HEADER, *(f"{column}{_ID}" for column in columns)]
    write_table(out, delimiter=",", header=header, rows=rows())


def _service(uri: str | None) -> tuple[str, str]:
    """A URI's column, and its cell: the id of a track, or the whole URI of anything else. Text that is not a URI, such
    as a relative path, has no column.
    """
    name, _, rest = (uri or "").partition(":")
    title = _TITLES.get(name)
    if title is None or uri is None:
        # Text without a colon would be read as an id.
        return ("Spotify", uri) if uri and ":" in uri else ("", "")
    kind, _, code = rest.partition(":")
    prefix = _SERVICES.get(title.lower(), f"{title.lower()}:track")
    return title, code if f"{name}:{kind}" == prefix and code and ":" not in code else uri
