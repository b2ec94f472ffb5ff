"""The data of a simulated MusicBrainz about the world's tracks, for its web service and for comparison in tests.

Everything is a function of the world. Some tracks are unknown, and some have no ISRC; two recordings may share an ISRC;
some recordings were merged and are also found by an older MBID; dates are missing or incomplete; genres have few or
many votes, on recordings or only on their artists.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from random import Random
from uuid import UUID

from myi_pipeline.simulator.live.world import World

GENRES = (
    "rock", "pop", "electronic", "hip hop", "jazz", "folk", "ambient", "metal", "classical", "r&b", "house", "techno",
    "indie rock", "art pop", "drum and bass", "singer-songwriter",
)  # fmt: skip
# Tags that are not genres.
TAGS = ("seen live", "2010s", "british", "under 2000 listeners")


@dataclass(frozen=True)
class MadeVote:
    name: str
    count: int
    is_genre: bool


@dataclass(frozen=True)
class MadeArtist:
    mbid: UUID
    name: str
    votes: tuple[MadeVote, ...]


@dataclass(frozen=True)
class MadeRecording:
    """`thing`: the track's number in the world; `merged`: MBIDs merged into it; `date` may be partial or empty."""

    mbid: UUID
    thing: int
    title: str
    length_ms: int | None
    isrc: str | None
    credits: tuple[tuple[MadeArtist, str], ...]
    date: str
    release: str
    release_mbid: UUID
    votes: tuple[MadeVote, ...]
    merged: tuple[UUID, ...] = ()
    is_other: bool = False


class MusicBrainz:
    """Built once per world (see `musicbrainz_of`)."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.artists: dict[str, MadeArtist] = {}
        self.recordings: list[MadeRecording] = []
        self.by_thing: dict[int, MadeRecording] = {}
        for index in sorted(world.tracks):
            self._add_track(index)
        self.by_isrc: dict[str, list[MadeRecording]] = {}
        self.by_mbid: dict[UUID, MadeRecording] = {}
        for each in self.recordings:
            if each.isrc is not None:
                self.by_isrc.setdefault(each.isrc, []).append(each)
            for mbid in (each.mbid, *each.merged):
                self.by_mbid[mbid] = each
        self.artist_by_mbid = {each.mbid: each for each in self.artists.values()}

    def _add_track(self, index: int) -> None:
        world, thing, track = self._world, self._world.thing(index), self._world.tracks[index]
        rng = Random(f"musicbrainz {world.seed} {index}")
        draw = rng.random()
        if thing.title is None or draw < 0.08:
            return
        album = world.albums[track.album]
        credits = [(self._artist(thing.artist or "Somebody"), "")]
        if track.featured is not None:
            credits = [(credits[0][0], " feat. "), (self._artist(track.featured), "")]
        year, _, rest = album.released.partition("-")
        date = rng.choices(
            (album.released, year, f"{year}-{rest[:2]}" if rest else year, ""), weights=(6, 2, 1, 1)
        )[0]  # fmt: skip
        made = MadeRecording(
            mbid=_mbid(world, "recording", index),
            thing=index,
            title=thing.title,
            length_ms=None if rng.random() < 0.05 else thing.duration_ms + rng.randrange(-1_500, 1_500),
            isrc=None if draw < 0.2 else track.isrc,
            credits=tuple(credits),
            date=date,
            release=album.name,
            release_mbid=_mbid(world, "release", track.album),
            votes=_votes(rng, most=4) if rng.random() < 0.4 else (),
            merged=(_mbid(world, "merged", index),) if rng.random() < 0.1 else (),
        )
        self.recordings.append(made)
        self.by_thing[index] = made
        if rng.random() < 0.1:
            # A live recording with the same ISRC.
            other = MadeRecording(
                mbid=_mbid(world, "other", index),
                thing=index,
                title=f"{thing.title} (live)",
                length_ms=thing.duration_ms + 47_000,
                isrc=made.isrc,
                credits=made.credits,
                date="",
                release=f"{album.name} (live)",
                release_mbid=_mbid(world, "live", track.album),
                votes=(),
                is_other=True,
            )
            self.recordings.append(other)

    def _artist(self, name: str) -> MadeArtist:
        if name not in self.artists:
            rng = Random(f"musicbrainz artist {self._world.seed} {name}")
            votes = _votes(rng, most=12) if rng.random() < 0.85 else ()
            self.artists[name] = MadeArtist(_mbid(self._world, "artist", name), name, votes)
        return self.artists[name]

    def search(self, title: str, artist: str) -> list[tuple[MadeRecording, int]]:
        """Recordings that contain all words of both names in any case, with scores, which extra words lower."""
        wanted, by = _words(title), _words(artist)
        found = []
        for each in self.recordings:
            has, credit = _words(each.title), _words("".join(one.name + phrase for one, phrase in each.credits))
            if wanted and by and wanted <= has and by <= credit:
                score = 100 - min(60, 8 * len(has - wanted) + 4 * len(credit - by))
                found.append((each, score))
        return sorted(found, key=lambda hit: (-hit[1], hit[0].mbid))


@lru_cache(maxsize=8)
def musicbrainz_of(world: World) -> MusicBrainz:
    """The data of the simulated MusicBrainz about a world; one object per world and process."""
    return MusicBrainz(world)


def _votes(rng: Random, *, most: int) -> tuple[MadeVote, ...]:
    genres = rng.sample(GENRES, rng.randrange(1, 5))
    votes = [MadeVote(name, rng.randrange(1, most + 1), True) for name in genres]
    if rng.random() < 0.5:
        votes.append(MadeVote(rng.choice(TAGS), rng.randrange(1, most + 1), False))
    return tuple(votes)


def _mbid(world: World, kind: str, of: object) -> UUID:
    return UUID(bytes=sha256(f"{world.seed} {kind} {of}".encode()).digest()[:16], version=4)


def _words(text: str) -> set[str]:
    return set("".join(char if char.isalnum() else " " for char in text.casefold()).split())
