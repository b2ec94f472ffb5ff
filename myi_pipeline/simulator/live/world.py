"""The catalogue that all listeners share, as the Web API knows it: ids and relations, what is gone and what has moved.

Everything is a function of the seed. `api_id` of a relinked track differs from the id in its archive URI; the API
returns the same object for both.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from hashlib import sha256
from random import Random

from myi_pipeline.simulator.catalogue import Shelf, Thing, build_shelf
from myi_pipeline.simulator.listener import popularity
from myi_pipeline.simulator.live.spec import SimulatorSpec
from myi_pipeline.simulator.spec import ArchiveSpec

_BASE62 = string.digits + string.ascii_letters
_SOME_DAY = date(2020, 1, 1)


@dataclass(frozen=True)
class TrackEntry:
    """One track as the API knows it. `archive_id` is None for a local file."""

    thing: int
    api_id: str
    archive_id: str | None
    album: int
    number: int
    isrc: str
    is_gone: bool
    is_local: bool
    featured: str | None
    # Sometimes used in the list of recent plays.
    other_id: str


@dataclass(frozen=True)
class AlbumEntry:
    """One album. `creator` is the album artist, whom archives name."""

    id: str
    name: str
    creator: str
    tracks: tuple[int, ...]
    released: str
    upc: str


@dataclass(frozen=True)
class ArtistEntry:
    id: str
    name: str


class World:
    """Built once per spec (see `world_of`); takes a few MB."""

    def __init__(self, *, seed: int, artists: int, removed: float, relinked: float) -> None:
        self.seed = seed
        self.shelf: Shelf = build_shelf(_catalogue_spec(seed=seed, artists=artists, removed=removed))
        rng = Random(f"world {seed}")
        self.artists: dict[str, ArtistEntry] = {}
        self.albums: list[AlbumEntry] = []
        self.tracks: dict[int, TrackEntry] = {}
        for group in self.shelf.albums:
            self._add_album(group, rng, relinked)
        self.by_track_id: dict[str, TrackEntry] = {}
        for track in self.tracks.values():
            self.by_track_id[track.api_id] = self.by_track_id[track.other_id] = track
            if track.archive_id:
                self.by_track_id[track.archive_id] = track
        self.by_isrc: dict[str, list[TrackEntry]] = {}
        for track in self.tracks.values():
            self.by_isrc.setdefault(track.isrc, []).append(track)
        self.by_album_id = {album.id: number for number, album in enumerate(self.albums)}
        self.by_artist_id = {artist.id: artist for artist in self.artists.values()}
        self.wheel = popularity(len(self.shelf.albums), exponent=0.9)
        # What the API can list as played: tracks with an id.
        self.listable = frozenset(i for i, track in self.tracks.items() if not track.is_local)
        self.short_tracks = tuple(i for i in self.shelf.short_tracks if i in self.listable) or (min(self.listable),)

    def _add_album(self, group: range, rng: Random, relinked: float) -> None:
        things = self.shelf.things
        first = things[group.start]
        name, creator = first.collection or "Untitled", first.creator or "Somebody"
        number = len(self.albums)
        for place, index in enumerate(group):
            thing = things[index]
            archive_id = None if thing.defect == "local" or not thing.uri else thing.uri.rsplit(":", 1)[1]
            moved = archive_id is not None and rng.random() < relinked and not thing.defect
            featured = rng.choice(sorted(self.artists)) if self.artists and rng.random() < 0.1 else None
            self.tracks[index] = TrackEntry(
                thing=index,
                api_id=self._id("relinked", archive_id) if moved else archive_id or self._id("local", str(index)),
                archive_id=archive_id,
                album=number,
                number=place + 1,
                isrc=f"QM{self._digits('isrc', index, 10)}",
                is_gone=thing.defect == "removed",
                is_local=archive_id is None,
                featured=featured if featured != thing.artist else None,
                other_id=self._id("other", str(index)),
            )
            self._artist(thing.artist or "Somebody")
        self._artist(creator)
        year = rng.randrange(1965, 2025)
        released = str(year) if rng.random() < 0.1 else f"{year}-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}"
        self.albums.append(
            AlbumEntry(
                id=self._id("album", str(number)),
                name=name,
                creator=creator,
                tracks=tuple(group),
                released=released,
                upc=self._digits("upc", number, 12),
            )
        )

    def _artist(self, name: str) -> None:
        if name not in self.artists:
            self.artists[name] = ArtistEntry(id=self._id("artist", name), name=name)

    def _id(self, kind: str, of: str | None) -> str:
        number = int.from_bytes(sha256(f"{self.seed} {kind} {of}".encode()).digest()[:15], "big")
        letters = []
        for _ in range(21):
            number, letter = divmod(number, 62)
            letters.append(_BASE62[letter])
        return "0" + "".join(letters)

    def _digits(self, kind: str, of: int, count: int) -> str:
        number = int.from_bytes(sha256(f"{self.seed} {kind} {of}".encode()).digest()[:8], "big")
        return f"{number % 10**count:0{count}}"

    def thing(self, index: int) -> Thing:
        return self.shelf.things[index]


def _catalogue_spec(*, seed: int, artists: int, removed: float) -> ArchiveSpec:
    """The spec of the shelf, without the defects that only occur in archives (no URI, no names, unknown)."""
    return ArchiveSpec(
        seed=seed,
        listener="everybody",
        first_day=_SOME_DAY,
        last_day=_SOME_DAY,
        plays=0,
        artists=artists,
        unknown_tracks=0.0,
        unnamed_tracks=0.0,
        uriless_tracks=0.0,
        removed_tracks=removed,
    )


@lru_cache(maxsize=8)
def _world(seed: int, artists: int, removed: float, relinked: float) -> World:
    return World(seed=seed, artists=artists, removed=removed, relinked=relinked)


def world_of(spec: SimulatorSpec) -> World:
    """The catalogue of a spec; equal catalogues in a process share one object."""
    return _world(spec.seed, spec.artists, spec.removed_tracks, spec.relinked_tracks)
