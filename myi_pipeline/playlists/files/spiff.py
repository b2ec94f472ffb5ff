"""What XSPF and JSPF have in common: an entry's fields, and the extension that ListenBrainz adds to them.

ListenBrainz identifies a recording by its MusicBrainz address in `identifier`, and puts the rest into the extension
EXTENSION: `added_at`, `added_by`, and `additional_metadata`, whose content is free (ListenBrainz' documentation, "JSPF
extensions"). Everything that the formats have no field for goes there, so files written by MYI lose nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import quote

from myi_pipeline.playlists.files.addresses import (
    NOWHERE,
    address_of,
    address_of_recording,
    recording_of,
    uri_of,
)
from myi_pipeline.playlists.files.records import Source, entry, isrc_of, moment_of, whole, written
from myi_pipeline.playlists.files.xspf_rules import number_of
from myi_pipeline.providers.playlists import EntryKind, ListedTrack, PlaylistEntry

EXTENSION: Final = "https://musicbrainz.org/doc/jspf#track"
_ISRC: Final = re.compile(r"(?:urn:)?isrc:(.*)", re.IGNORECASE)
_MAX_MS: Final = 10**12
# What a URI may contain unescaped; `%` is handled separately.
_SAFE: Final = "%/:=&?~#+!$,;'@()*[]-._"


@dataclass
class Facts:
    """The facts in the extension, by name; `artist` and `album_artist` may have several values."""

    values: dict[str, list[str]] = field(default_factory=dict)

    def add(self, path: Sequence[str], text: str) -> None:
        """Add the text at a path below the extension, if it is one of the paths that are read."""
        if list(path[:-1]) in ([], ["additional_metadata"]):
            self.values.setdefault(path[-1], []).append(text)

    def first(self, name: str) -> str | None:
        return next(iter(self.values.get(name, ())), None)

    def every(self, name: str) -> tuple[str, ...]:
        return tuple(self.values.get(name, ()))


def as_uri(address: str) -> str:
    """The address, escaped where a URI requires it."""
    text = quote(address.encode("utf-8", "replace").decode(), safe=_SAFE)
    return re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", text)


def parts_of(each: PlaylistEntry) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """An entry's fields by their names in XSPF, and the facts for the extension, in order."""
    track = each.track
    location = as_uri(address_of(track.uri)) if track.uri else None
    fields = {
        "location": location,
        "identifier": address_of_recording(track.recording_mbid) if track.recording_mbid else None,
        "title": track.title,
        "creator": ", ".join(track.artists),
        "album": track.album,
        "trackNum": None if track.track_number is None else str(track.track_number),
        "duration": None if track.duration_ms is None else str(track.duration_ms),
    }
    facts: list[tuple[str, str | None]] = [
        ("added_at", written(each.added_at) if each.added_at else None),
        ("added_by", each.added_by),
        *(("artist", name) for name in track.artists if len(track.artists) > 1),
        *(("album_artist", name) for name in track.album_artists),
        ("isrc", track.isrc),
        ("disc_number", None if track.disc_number is None else str(track.disc_number)),
        ("explicit", None if track.is_explicit is None else str(track.is_explicit).lower()),
        ("released_on", track.released_on),
        ("kind", track.kind.value if entry(replace(track, kind=EntryKind.TRACK)).track.kind != track.kind else None),
        ("uri", track.uri if location and uri_of(location) != track.uri else None),
    ]
    return {name: text for name, text in fields.items() if text}, [(name, text) for name, text in facts if text]


def playlist_entry(source: Source, fields: Mapping[str, Sequence[str]], facts: Facts, *, at: str) -> PlaylistEntry:
    """The entry made from a track's fields as they are in the file, and the facts from its extension."""
    identifiers = fields.get("identifier", ())
    locations = [text for text in fields.get("location", ()) if text]
    if len(locations) > 1:
        source.note("only the first of several locations is kept", at=at)
    recording_mbid = next(filter(None, map(recording_of, identifiers)), None)
    codes = [found[1] for text in identifiers if (found := _ISRC.fullmatch(text))]
    others = [text for text in identifiers if text and not recording_of(text) and not _ISRC.fullmatch(text)]
    if locations and others:
        source.note(
            "an identifier next to a location is not kept unless it is a MusicBrainz recording or an ISRC", at=at
        )
    address = next(iter(locations or others), None)
    uri = facts.first("uri") or (uri_of(address) if address and address != NOWHERE else None)
    creator = _first(fields, "creator")
    track = ListedTrack(
        uri=uri,
        title=_first(fields, "title") or "",
        artists=facts.every("artist") or ((creator,) if creator else ()),
        album=_first(fields, "album") or None,
        album_artists=facts.every("album_artist"),
        isrc=_isrc(source, facts.first("isrc") or next(iter(codes), None), at=at),
        recording_mbid=recording_mbid,
        duration_ms=_number(source, fields, "duration", most=_MAX_MS, at=at),
        disc_number=whole(facts.first("disc_number")),
        track_number=_number(source, fields, "trackNum", most=2**31 - 1, at=at),
        is_explicit={"true": True, "false": False}.get(facts.first("explicit") or ""),
        released_on=facts.first("released_on"),
    )
    kind = facts.first("kind")
    if kind is not None and kind not in list(EntryKind):
        source.note("an entry of an unknown kind", at=at)
        kind = None
    return entry(
        track,
        kind=EntryKind(kind) if kind else None,
        added_at=moment_of(facts.first("added_at")),
        added_by=facts.first("added_by"),
    )


def _first(fields: Mapping[str, Sequence[str]], name: str) -> str | None:
    return next(iter(fields.get(name, ())), None)


def _isrc(source: Source, text: str | None, *, at: str) -> str | None:
    code = isrc_of(text)
    if text and code is None:
        source.note("an invalid ISRC is not kept", at=at)
    return code


def _number(source: Source, fields: Mapping[str, Sequence[str]], name: str, *, most: int, at: str) -> int | None:
    text = _first(fields, name)
    number = number_of(text) if text else None
    if number is not None and number > most:
        source.note(f"`{name}` is too large and is not kept", at=at)
        return None
    return number
