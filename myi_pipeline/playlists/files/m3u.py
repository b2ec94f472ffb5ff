"""M3U and M3U8: one location per line, and comments with names that most players understand.

There is no formal specification. Players (VLC, Kodi, foobar2000) read and write `#EXTINF:seconds[ attributes],Artist -
Title` and `#PLAYLIST:`; `#EXTALB:` and `#EXTART:` (album and album artist) are less common; every other line with `#`
is a comment. MYI writes UTF-8 without a byte order mark, which some players take for part of the first path.
"""

from __future__ import annotations

import re
from typing import BinaryIO, Final

from myi_pipeline.playlists.files.addresses import NOWHERE, location_of, named_by
from myi_pipeline.playlists.files.records import Playlist, Source, entry
from myi_pipeline.playlists.files.texts import decode, join_names, lines, one_line, split_names
from myi_pipeline.providers.playlists import ListedTrack, PlaylistEntry

_INFO: Final = re.compile(r"\s*([+-]?[0-9]{1,9})(?:\.([0-9]{1,9}))?((?:\s+[\w-]+=(?:\"[^\"]*\"|[^\s,\"]*))*)\s*,(.*)")
_STREAM: Final = re.compile(r"#EXT-X-(?:TARGETDURATION|STREAM-INF|MEDIA-SEQUENCE|MEDIA):?")
_LISTS: Final = re.compile(r"[^?#]*\.(?:m3u8?|pls|xspf|jspf|asx|wpl|cue)", re.IGNORECASE)
# A location that begins with `#` would be a comment; with `./` in front it names the same file.
_HIDDEN: Final = re.compile(r"(?:\./)*#")


class _Reader:
    """Collects what comments say about the location that comes after them."""

    _title: str
    _artists: tuple[str, ...]
    _duration_ms: int | None
    _album: str | None
    _album_artists: tuple[str, ...]
    _waits_since: int

    def __init__(self, source: Source) -> None:
        self._source = source
        self._entries: list[PlaylistEntry] = []
        self._name = ""
        self._start()

    def _start(self) -> None:
        self._title, self._artists, self._duration_ms = "", (), None
        self._album, self._album_artists = None, ()
        self._waits_since = 0

    def read(self, text: str) -> Playlist:
        for number, line in lines(text):
            at = f"line {number:,}"
            self._source.checked(line, at=at)
            if line.startswith("#"):
                self._comment(line, at=at, number=number)
            elif location := line.strip():
                self._location(location, at=at)
        if self._waits_since:
            self._source.note("#EXTINF without a location after it", at=f"line {self._waits_since:,}")
        return Playlist(name=self._name or self._source.name, entries=tuple(self._entries))

    def _comment(self, line: str, *, at: str, number: int) -> None:
        if _STREAM.match(line):
            raise self._source.refusal(
                "this is an HLS stream's playlist, whose lines are parts of one recording", at=at, rule="tracks"
            )
        tag, colon, value = line.partition(":")
        match tag if colon else "":
            case "#EXTINF":
                if self._waits_since:
                    self._source.note("#EXTINF without a location after it", at=f"line {self._waits_since:,}")
                self._info(value, at=at)
                self._waits_since = number
            case "#PLAYLIST":
                self._name = value.strip()
            case "#EXTALB":
                self._album = value.strip() or None
            case "#EXTART":
                self._album_artists = (value.strip(),) if value.strip() else ()
            case _:
                pass

    def _info(self, value: str, *, at: str) -> None:
        if found := _INFO.fullmatch(value):
            seconds, fraction, attributes, names = found.groups()
            duration_ms = round(float(f"{seconds}.{fraction or 0}") * 1000)
            self._duration_ms = duration_ms if duration_ms > 0 else None
            if attributes:
                self._source.note("attributes of #EXTINF are not kept", at=at)
        else:
            self._source.note("#EXTINF without a number of seconds", at=at)
            self._duration_ms, names = None, value.partition(",")[2] or value
        self._artists, self._title = split_names(names)

    def _location(self, location: str, *, at: str) -> None:
        if _LISTS.fullmatch(location):
            raise self._source.refusal(
                "this is a list of playlists; import those instead", at=at, rule="tracks, not playlists"
            )
        uri, recording_mbid = named_by(location[2:] if _hides(location) else location)
        track = ListedTrack(
            uri=uri,
            recording_mbid=recording_mbid,
            title=self._title,
            artists=self._artists,
            album=self._album,
            album_artists=self._album_artists,
            duration_ms=self._duration_ms,
        )
        self._entries.append(entry(track))
        self._source.check_entries(len(self._entries))
        self._start()


def _hides(location: str) -> bool:
    return location.startswith("./") and _HIDDEN.match(location) is not None


def read(source: Source, *, allow_latin1: bool = False) -> Playlist:
    """Raises BadInput for a list of playlists, a stream, and anything that is not text."""
    return _Reader(source).read(decode(source, allow_latin1=allow_latin1))


def write(playlist: Playlist, out: BinaryIO) -> None:
    """Every entry has its own location line, whatever its names contain."""
    _put(out, "#EXTM3U")
    if name := one_line(playlist.name):
        _put(out, f"#PLAYLIST:{name}")
    for each in playlist.entries:
        track = each.track
        seconds = max(1, round(track.duration_ms / 1000)) if track.duration_ms else -1
        _put(out, f"#EXTINF:{seconds},{join_names(track.artists, track.title)}")
        if album := one_line(track.album or ""):
            _put(out, f"#EXTALB:{album}")
        if credit := one_line(", ".join(track.album_artists)):
            _put(out, f"#EXTART:{credit}")
        location = one_line(location_of(track.uri, track.recording_mbid) or "") or NOWHERE
        _put(out, f"./{location}" if _HIDDEN.match(location) else location)


def _put(out: BinaryIO, line: str) -> None:
    out.write(f"{line}\n".encode())
