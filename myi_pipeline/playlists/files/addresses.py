"""Converts between services' own URIs (spotify:track:...) and the web addresses of the same things, which other
programs can open.

The addresses are those of the services' own share links. Anything else is left unchanged, in both directions.
"""

from __future__ import annotations

import re
from typing import Final

from myi_pipeline.providers.playlists import EntryKind

# A document that by definition does not exist (CSS Values 4), for formats that need an address when there is none.
NOWHERE: Final = "about:invalid"

_MUSICBRAINZ: Final = re.compile(
    r"https?://(?:beta\.)?musicbrainz\.org/recording/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/?", re.IGNORECASE
)
_SERVICE: Final = re.compile(
    r"(?:spotify|tidal|deezer|youtube|applemusic):(?:track|episode|video|chapter):[0-9A-Za-z_-]{1,100}"
)
# URI and address, each with `{}` for the id; the pattern of ids; the pattern of addresses to recognise.
_PAIRS: Final = (
    (
        "spotify:track:{}",
        "https://open.spotify.com/track/{}",
        r"[0-9A-Za-z]{22}",
        r"https?://open\.spotify\.com/(?:intl-[a-z-]+/)?track/({})(?:\?\S*)?",
    ),
    (
        "spotify:episode:{}",
        "https://open.spotify.com/episode/{}",
        r"[0-9A-Za-z]{22}",
        r"https?://open\.spotify\.com/(?:intl-[a-z-]+/)?episode/({})(?:\?\S*)?",
    ),
    (
        "tidal:track:{}",
        "https://tidal.com/track/{}",
        r"[0-9]{1,20}",
        r"https?://(?:www\.|listen\.)?tidal\.com/(?:browse/)?track/({})(?:[/?]\S*)?",
    ),
    (
        "tidal:video:{}",
        "https://tidal.com/video/{}",
        r"[0-9]{1,20}",
        r"https?://(?:www\.|listen\.)?tidal\.com/(?:browse/)?video/({})(?:[/?]\S*)?",
    ),
    (
        "deezer:track:{}",
        "https://www.deezer.com/track/{}",
        r"[0-9]{1,20}",
        r"https?://(?:www\.)?deezer\.com/(?:[a-z]{{2}}/)?track/({})(?:\?\S*)?",
    ),
    (
        "youtube:video:{}",
        "https://music.youtube.com/watch?v={}",
        r"[0-9A-Za-z_-]{11}",
        r"https?://(?:(?:(?:www|music|m)\.)?youtube\.com/watch\?v=|youtu\.be/)({})(?:[?&]\S*)?",
    ),
)
_URIS: Final = tuple((re.compile(uri.format(f"({ids})")), address) for uri, address, ids, _ in _PAIRS)
_ADDRESSES: Final = tuple((re.compile(known.format(ids)), uri) for uri, _, ids, known in _PAIRS)


def address_of(uri: str) -> str:
    """The web address of a service's URI; any other text unchanged."""
    for pattern, address in _URIS:
        if found := pattern.fullmatch(uri):
            return address.format(found[1])
    return uri


def uri_of(address: str) -> str:
    """The service's URI for a web address; any other text unchanged."""
    for pattern, uri in _ADDRESSES:
        if found := pattern.fullmatch(address):
            return uri.format(found[1])
    return address


def recording_of(address: str) -> str | None:
    """The MusicBrainz id in the address of a recording; None for any other address."""
    found = _MUSICBRAINZ.fullmatch(address)
    return found[1].lower() if found else None


def address_of_recording(mbid: str) -> str:
    """A recording's address, which is also its identifier in ListenBrainz playlists."""
    return f"https://musicbrainz.org/recording/{mbid}"


def location_of(uri: str | None, recording_mbid: str | None) -> str | None:
    """An entry's address, for formats with a single one: its own, else that of the MusicBrainz recording."""
    if uri:
        return address_of(uri)
    return address_of_recording(recording_mbid) if recording_mbid else None


def named_by(location: str | None) -> tuple[str | None, str | None]:
    """The URI and the MusicBrainz id in a location. The address of a recording gives only the latter."""
    if not location or location == NOWHERE:
        return None, None
    mbid = recording_of(location)
    return (None, mbid) if mbid else (uri_of(location), None)


def is_of_service(uri: str) -> bool:
    """Whether this is a service's own URI, which means the same to everybody, unlike a path or a private address."""
    return _SERVICE.fullmatch(uri) is not None


def kind_of(uri: str | None) -> EntryKind:
    """An entry's kind according to its URI, for formats that do not state it."""
    text = uri or ""
    if text.startswith("spotify:episode:"):
        return EntryKind.EPISODE
    if text.startswith("spotify:local:"):
        return EntryKind.LOCAL
    # YouTube only has videos, which stand for tracks.
    if text.startswith("tidal:video:"):
        return EntryKind.VIDEO
    return EntryKind.TRACK
