"""Tracks, artists and albums of any answer as records of the catalogue.

Belongs here: which fields are believed, and in which form they are kept. Not here: plays, interning. Invariant: what
leaves this module fits Postgres, and a field that cannot be believed is None: it never costs the track its play.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from myi_pipeline.core.catalogue import NamedAlbum, NamedArtist, Picture, PolledTrack
from myi_pipeline.spotify.models import Album, Artist, Image, Track
from myi_pipeline.spotify.plays import clean_text, track_content

_ID: Final = re.compile(r"[0-9A-Za-z]{1,64}\Z")
# A recording code has twelve characters; some catalogues write it with hyphens.
_LONGEST_ISRC: Final = 32
_LARGEST_INT: Final = 2**31 - 1
_LONGEST_URL: Final = 1_000


def polled_track(track: Track, played_at: datetime) -> PolledTrack | None:
    """The track with all that the answer says about it; None for a removed one, which has no name and no URI."""
    content = track_content(track)
    if content is None:
        return None
    duration = track.duration_ms
    isrc = clean_text(track.isrc)
    is_track = content.artist_key is not None
    return PolledTrack(
        content=content,
        played_at=played_at,
        duration_ms=duration if duration is not None and 0 < duration <= _LARGEST_INT else None,
        isrc=isrc if isrc and len(isrc) <= _LONGEST_ISRC else None,
        artist=_primary(track.artists) if is_track else None,
        album=named_album(track.album) if is_track and track.album is not None else None,
    )


def named_artist(artist: Artist) -> NamedArtist | None:
    """None without a name or without a URI."""
    uri, name = _uri("artist", artist.uri, artist.id), clean_text(artist.name)
    return NamedArtist(uri, name, _pictures(artist.images)) if uri and name else None


def named_album(album: Album) -> NamedAlbum | None:
    """None without a name, a URI or an artist."""
    uri, name, artist = _uri("album", album.uri, album.id), clean_text(album.name), _primary(album.artists)
    return NamedAlbum(uri, name, artist, _pictures(album.images)) if uri and name and artist else None


def _primary(artists: tuple[Artist, ...]) -> NamedArtist | None:
    """The first that has a name, as in the content; None if that one has no URI."""
    return next((named_artist(artist) for artist in artists if artist.name), None)


def _uri(kind: str, uri: str | None, spotify_id: str | None) -> str | None:
    prefix = f"spotify:{kind}:"
    found = uri.removeprefix(prefix) if uri and uri.startswith(prefix) else spotify_id
    return prefix + found if found and _ID.match(found) else None


def _pictures(images: tuple[Image, ...]) -> tuple[Picture, ...]:
    return tuple(
        Picture(image.url, _size(image.width), _size(image.height))
        for image in images
        if image.url.startswith("https://") and len(image.url) <= _LONGEST_URL and clean_text(image.url) == image.url
    )


def _size(pixels: int | None) -> int | None:
    return pixels if pixels is not None and 0 < pixels <= _LARGEST_INT else None
