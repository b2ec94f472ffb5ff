"""PLS version 2, introduced by Winamp and written by GNOME's players: `File1=`, `Title1=`, `Length1=` below
`[playlist]`.

Everything after the first `=` is the value, which may contain `=`, `%`, `;` and `[`; there is no escaping. Entries are
ordered by their numbers, not by their lines. Totem stores the playlist's name as `X-GNOME-Title`.
"""

from __future__ import annotations

import re
from typing import BinaryIO, Final

from myi_pipeline.playlists.files.addresses import NOWHERE, location_of, named_by
from myi_pipeline.playlists.files.records import Playlist, Source, entry
from myi_pipeline.playlists.files.texts import decode, join_names, lines, one_line, split_names
from myi_pipeline.providers.playlists import ListedTrack, PlaylistEntry

HEADER: Final = "[playlist]"
_NUMBERED: Final = re.compile(r"(file|title|length)0*([1-9][0-9]{0,8}|0)", re.IGNORECASE)


def read(source: Source) -> Playlist:
    """Raises BadInput if the header is missing or a line has no `=`."""
    fields: dict[int, dict[str, str]] = {}
    name, declared, version = "", "", ""
    has_begun = False
    for number, raw in lines(decode(source, allow_latin1=True)):
        line, at = source.checked(raw, at=f"line {number:,}").strip(), f"line {number:,}"
        if not line or (line[0] in ";#" and "=" not in line):
            continue
        if not has_begun:
            if line.lower() != HEADER:
                raise source.refusal(f"a PLS file begins with {HEADER}", at=at, rule=HEADER)
            has_begun = True
            continue
        key, equals, value = line.partition("=")
        if not equals:
            raise source.refusal("a line without `=`", at=at, rule="KEY=VALUE")
        key = key.strip()
        if found := _NUMBERED.fullmatch(key):
            of_entry = fields.setdefault(int(found[2]), {})
            source.check_entries(len(fields))
            if found[1].lower() in of_entry:
                source.note("a repeated key is ignored", at=at)
            of_entry.setdefault(found[1].lower(), value)
        elif key.lower() == "x-gnome-title":
            name = value.strip()
        elif key.lower() == "numberofentries":
            declared = value.strip()
        elif key.lower() == "version":
            version = value.strip()
        else:
            source.note("an unknown key", at=at)
    if not has_begun:
        raise source.refusal(f"a PLS file begins with {HEADER}", rule=HEADER)
    if declared and declared != str(len(fields)):
        source.note(f"NumberOfEntries differs from the {len(fields):,} entries that are there")
    if version not in ("", "2"):
        source.note("a version of PLS other than 2")
    entries = tuple(_entry(source, number, fields[number]) for number in sorted(fields))
    return Playlist(name=name or source.name, entries=entries)


def _entry(source: Source, number: int, fields: dict[str, str]) -> PlaylistEntry:
    location = fields.get("file", "").strip()
    if not location:
        source.note("an entry without a location", at=f"File{number}")
    seconds = fields.get("length", "").strip()
    duration_ms = int(seconds) * 1000 if re.fullmatch(r"[0-9]{1,9}", seconds) and int(seconds) > 0 else None
    if seconds and not re.fullmatch(r"-?[0-9]{1,9}", seconds):
        source.note("a length that is not a number of seconds", at=f"Length{number}")
    artists, title = split_names(fields.get("title", ""))
    uri, recording_mbid = named_by(location)
    track = ListedTrack(uri=uri, recording_mbid=recording_mbid, title=title, artists=artists, duration_ms=duration_ms)
    return entry(track)


def write(playlist: Playlist, out: BinaryIO) -> None:
    """Every value is one line, whatever the names contain; an unknown length is -1."""
    _put(out, HEADER)
    if name := one_line(playlist.name):
        _put(out, f"X-GNOME-Title={name}")
    for number, each in enumerate(playlist.entries, 1):
        track = each.track
        location = one_line(location_of(track.uri, track.recording_mbid) or "")
        _put(out, f"File{number}={location or NOWHERE}")
        _put(out, f"Title{number}={join_names(track.artists, track.title)}")
        seconds = max(1, round(track.duration_ms / 1000)) if track.duration_ms else -1
        _put(out, f"Length{number}={seconds}")
    _put(out, f"NumberOfEntries={len(playlist.entries)}")
    _put(out, "Version=2")


def _put(out: BinaryIO, line: str) -> None:
    out.write(f"{line}\n".encode())
