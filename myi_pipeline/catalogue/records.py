"""What Spotify says about a track beyond a play of it: its length, its recording code, who made it.

An artist or album that has a URI is known by it alone; the name is a key only while nothing else is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from myi_pipeline.catalogue.plays import Content, digest


@dataclass(frozen=True)
class Picture:
    """`width` and `height` in pixels, None where Spotify does not say."""

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
        """The key of the artist that archives know by this name."""
        return digest("artist", self.name)

    @property
    def uri_key(self) -> str:
        """The key of this artist beside another one of the same name."""
        return digest("artist by uri", self.uri)


@dataclass(frozen=True)
class NamedAlbum:
    """An album with a URI, and the artist whose it is."""

    uri: str
    name: str
    artist: NamedArtist
    pictures: tuple[Picture, ...] = ()
    total_tracks: int | None = None
    release_year: int | None = None

    @property
    def name_key(self) -> str:
        """The key of the album that archives know by these names."""
        return digest("album", self.artist.name, self.name)

    @property
    def uri_key(self) -> str:
        """The key of this album beside another one of the same names."""
        return digest("album by uri", self.uri)


@dataclass(frozen=True)
class PolledTrack:
    """A content as Spotify named it at `played_at` (aware, UTC; for what is no play the time of the answer).

    `duration_ms` in milliseconds, more than 0; `artist` is the primary one; `track_number` counts from 1 on each disc.
    None stands for what was not given.
    """

    content: Content
    played_at: datetime
    duration_ms: int | None = None
    isrc: str | None = None
    artist: NamedArtist | None = None
    album: NamedAlbum | None = None
    disc_number: int | None = None
    track_number: int | None = None
