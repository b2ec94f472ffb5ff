"""What Spotify says about a track itself: its length, its recording code, its artist and album.

An artist or album with a URI is identified by that alone; the name is a key only as long as nothing else is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from myi_pipeline.catalogue.plays import Content, digest


@dataclass(frozen=True)
class Picture:
    """`width` and `height` in pixels, None if Spotify does not say."""

    url: str
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True)
class NamedArtist:
    """An artist with a URI."""

    uri: str
    name: str
    pictures: tuple[Picture, ...] = ()

    @property
    def name_key(self) -> str:
        """The key of the artist with this name in archives."""
        return digest("artist", self.name)

    @property
    def uri_key(self) -> str:
        """The key of this artist if another one with the same name exists."""
        return digest("artist by uri", self.uri)


@dataclass(frozen=True)
class NamedAlbum:
    """An album with a URI, and its artist."""

    uri: str
    name: str
    artist: NamedArtist
    pictures: tuple[Picture, ...] = ()
    total_tracks: int | None = None
    release_year: int | None = None

    @property
    def name_key(self) -> str:
        """The key of the album with these names in archives."""
        return digest("album", self.artist.name, self.name)

    @property
    def uri_key(self) -> str:
        """The key of this album if another one with the same names exists."""
        return digest("album by uri", self.uri)


@dataclass(frozen=True)
class PolledTrack:
    """A content as Spotify named it at `played_at` (aware, UTC; if it was not played, the time of the answer).

    `duration_ms` is in milliseconds, more than 0; `artist` is the primary artist; `track_number` counts from 1 on each
    disc. None stands for anything that was not given.
    """

    content: Content
    played_at: datetime
    duration_ms: int | None = None
    isrc: str | None = None
    artist: NamedArtist | None = None
    album: NamedAlbum | None = None
    disc_number: int | None = None
    track_number: int | None = None
