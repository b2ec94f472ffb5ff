"""Everything the synthetic listener may play: albums of tracks, shows of episodes, books of chapters, with defects
(removed, renamed, unnamed, without URI, local).

Names are made up: pronounceable ones, and some that break careless software. None belongs to a real artist, album,
show, book or person. The URI and names of a thing depend only on the spec, and no two things share a URI.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from random import Random
from typing import NamedTuple
from urllib.parse import quote_plus

from myi_pipeline.simulator.spec import ArchiveSpec, Catalogue

_BASE62 = string.digits + string.ascii_letters
VARIOUS = "Various Wanderers"

# Legal names that have broken real programs. They are used for artists, albums and titles alike.
AWKWARD_NAMES = (
    "<img src=x onerror=alert(1)>",
    "'; drop table plays; --",
    'The "Quoted" \\ Backslash',
    "long " * 180 + "name",
    "{{ config(materialized='table') }}",
    "%s %(name)s {0} ${HOME}",
    "שירים מתחת למים",
    "\u202eright to left\u202c",
    "أغاني الرمل",
    "雨の後の電車",
    "🛰️👩🏽‍🚀🎻",
    "Zoe\u0308 Mela\u0301n",  # decomposed
    "Zoë Melán",  # composed: the same name once normalised
    "LUMEN HARBOUR",
    "Lumen Harbour",
    "lumen harbour",
    "ﬁne ﬂour",  # ligatures fold under NFKC
    "Straße der Öfen",
    "İstanbulin Işık",  # folds differently in Turkish
    "=1+cmd|' /C calc'!A0",
    "../../../etc/somewhere",
    "tab\tand\nnewline",
    "zero\u200bwidth\u00a0space",
    "null",
    "None",
    "NaN",
    "0",
    " leading and trailing ",
    "Ṱ̺̺o̞̰ ̷i̲n̝̗v̟o͙ke",
)

_STARTS = tuple(
    "Va Mo Ke Lu Tri Sa No Bel Or Fen Qui Ya Hro Eli Dun Pas Zem Wyn Ora Jul Kas Rho Tam Ves Ix".split()  # noqa: SIM905 - a line, not a page
)
_MIDDLES = tuple(
    "ra lo mi den sto vi na che lun ba ris te mar gol fi".split()  # noqa: SIM905 - a line, not a page
)
_ENDS = tuple(
    "n s ta rel mo lia x dane ver kis thos la nd ria m".split()  # noqa: SIM905 - a line, not a page
)
_NOUNS = tuple(
    "Harbour Lantern Gravel Orchard Static Meridian Kite Thaw Velvet Ledger Cinder Tide Attic Moth Signal".split()  # noqa: SIM905 - a line, not a page
)
_ADJECTIVES = tuple(
    "Quiet Paper Second Hollow Amber Northern Borrowed Late Salt Glass Slow Unsent Minor Copper".split()  # noqa: SIM905 - a line, not a page
)


class Thing(NamedTuple):
    """A track, an episode or a chapter. `artist` is the track's artist, `creator` the one that extended archives name.

    `defect`: '' or one of unknown, removed, renamed, unnamed, uriless, local, relinked. `new_title` is the title in the
    new catalogue, `new_uri` the URI there if it differs. The collection of an episode is its show. For a chapter, the
    artist is the author and the collection is the book (URI in `collection_uri`); extended archives name no author.
    """

    kind: str
    uri: str | None
    title: str | None
    artist: str | None
    creator: str | None
    collection: str | None
    duration_ms: int
    defect: str
    new_title: str | None
    collection_uri: str | None = None
    new_uri: str | None = None

    def is_unknown(self, catalogue: Catalogue) -> bool:
        return self.defect == "unknown" or (self.defect == "removed" and catalogue == "new")

    def title_in(self, catalogue: Catalogue) -> str | None:
        return self.new_title if catalogue == "new" else self.title

    def uri_in(self, catalogue: Catalogue) -> str | None:
        return self.new_uri if catalogue == "new" and self.new_uri else self.uri


@dataclass(frozen=True)
class Shelf:
    """All things, with albums, shows and books as ranges of indexes into `things`."""

    things: tuple[Thing, ...]
    albums: tuple[range, ...]
    shows: tuple[range, ...]
    books: tuple[range, ...]
    short_tracks: tuple[int, ...]  # under 75 s, for looping sessions
    by_defect: dict[str, tuple[int, ...]]

    def names(self) -> frozenset[tuple[str, str]]:
        """Title and artist of every thing, in lower case, in every spelling that an archive may use."""
        return frozenset(
            (title.casefold(), artist.casefold())
            for thing in self.things
            for title in (thing.title, thing.new_title)
            for artist in (thing.artist, thing.creator)
            if title and artist
        )


class _Builder:
    def __init__(self, spec: ArchiveSpec) -> None:
        self.spec = spec
        self.rng = Random(f"catalogue {spec.seed} {spec.listener}")
        self.things: list[Thing] = []
        self.awkward = list(AWKWARD_NAMES)

    def spotify_id(self) -> str:
        # 21 random characters after a digit stay below 2**128 in base 62, as real ids do.
        return self.rng.choice("01234567") + "".join(self.rng.choices(_BASE62, k=21))

    def name(self, ordinary: str, *, odds: float) -> str:
        return self.rng.choice(self.awkward) if self.rng.random() < odds else ordinary

    def track(self, *, titled: str, artist: str, creator: str, album: str) -> Thing:
        spec, rng = self.spec, self.rng
        draw, defect = rng.random(), ""
        for name, share in (
            ("unknown", spec.unknown_tracks),
            ("removed", spec.removed_tracks),
            ("renamed", spec.renamed_tracks),
            ("unnamed", spec.unnamed_tracks),
            ("uriless", spec.uriless_tracks),
            ("local", spec.local_tracks),
            ("relinked", spec.relinked_tracks),
        ):
            if draw < share:
                defect = name
                break
            draw -= share
        return self.defective(defect, titled=titled, artist=artist, creator=creator, album=album)

    def defective(self, defect: str, *, titled: str, artist: str, creator: str, album: str) -> Thing:
        rng = self.rng
        duration_ms = int(min(max(rng.gauss(212_000, 62_000), 31_000), 900_000))
        if rng.random() < 0.03:
            duration_ms = rng.randrange(20_000, 75_000)
        uri: str | None = f"spotify:track:{self.spotify_id()}"
        if defect == "local":
            parts = ":".join(quote_plus(part) for part in (artist, album, titled))
            uri = f"spotify:local:{parts}:{duration_ms // 1000}-{len(self.things)}"
        elif defect == "uriless":
            uri = None
            titled = f"{titled} [{len(self.things)}]"  # it is identified by its names alone, so they must be unique
        new_title = f"{titled} (Remastered)" if defect == "renamed" else titled
        if defect == "unnamed":
            return Thing("track", uri, None, None, None, None, duration_ms, defect, None)
        made = Thing("track", uri, titled, artist, creator, album, duration_ms, defect, new_title)
        return made._replace(new_uri=f"spotify:track:{self.spotify_id()}") if defect == "relinked" else made

    def album(self, artist: str, reissued: range | None) -> range:
        rng, spec = self.rng, self.spec
        name = self.name(_title(rng), odds=0.03)
        start = len(self.things)
        if reissued is not None:
            for old in self.things[reissued.start : reissued.stop]:
                again = old.title or _title(rng)
                self.things.append(
                    self.track(
                        titled=again,
                        artist=artist,
                        creator=artist,
                        album=f"{name} (Deluxe)",
                    )
                )
            return range(start, len(self.things))
        compilation = rng.random() < spec.compilations
        for _ in range(rng.randrange(4, 15)):
            own = _artist_name(rng) if compilation else artist
            creator = VARIOUS if compilation else artist
            titled = self.name(_title(rng), odds=0.03)
            self.things.append(self.track(titled=titled, artist=own, creator=creator, album=name))
        return range(start, len(self.things))

    def group(self, kind: str, count: int, name: str, author: str | None) -> range:
        start, rng = len(self.things), self.rng
        collection_uri = f"spotify:show:{self.spotify_id()}"
        for number in range(1, count + 1):
            # In an audiobook row both the book and the chapter are spotify:show and spotify:episode URIs.
            uri = f"spotify:episode:{self.spotify_id()}"
            titled = self.name(f"{number}: {_title(rng)}", odds=0.03) if kind == "episode" else f"Chapter {number}"
            duration_ms = rng.randrange(600_000, 4_800_000) if kind == "episode" else rng.randrange(300_000, 1_800_000)
            self.things.append(
                Thing(
                    kind,
                    uri,
                    titled,
                    author,
                    None,
                    name,
                    duration_ms,
                    "",
                    titled,
                    collection_uri,
                )
            )
        return range(start, len(self.things))


def build_shelf(spec: ArchiveSpec) -> Shelf:
    """The catalogue of one listener; a pure function of the spec, a few MB at most."""
    maker = _Builder(spec)
    rng = maker.rng
    artists = spec.artists or min(800, max(12, int(spec.plays**0.5 * 0.8)))
    albums: list[range] = []
    for number in range(artists):
        # Awkward names are given to popular artists, so that small archives contain them too.
        place = (number - spec.awkward_artists_from) // 2
        awkward = (number - spec.awkward_artists_from) % 2 == 1 and 0 <= place < len(AWKWARD_NAMES)
        artist = AWKWARD_NAMES[place] if awkward else _artist_name(rng)
        own: list[range] = []
        for _ in range(1 + int(rng.random() ** 2 * 5)):
            again = own[-1] if own and rng.random() < spec.reissues else None
            own.append(maker.album(artist, again))
        albums.extend(own)
    # At least one thing with each requested defect, so that small archives have them too.
    start = len(maker.things)
    for defect in ("unknown", "removed", "renamed", "unnamed", "uriless", "local", "relinked"):
        if getattr(spec, f"{defect}_tracks") > 0:
            artist = _artist_name(rng)
            maker.things.append(
                maker.defective(
                    defect,
                    titled=_title(rng),
                    artist=artist,
                    creator=artist,
                    album=_title(rng),
                )
            )
    if len(maker.things) > start:
        albums.insert(20, range(start, len(maker.things)))
    shows = [maker.group("episode", rng.randrange(20, 60), f"{_word(rng)} Talks", None) for _ in range(6)]
    books = [maker.group("chapter", rng.randrange(8, 40), _title(rng), _artist_name(rng)) for _ in range(4)]
    things = tuple(maker.things)
    by_defect: dict[str, list[int]] = {}
    for index, thing in enumerate(things):
        if thing.defect:
            by_defect.setdefault(thing.defect, []).append(index)
    short = [i for i, thing in enumerate(things) if thing.kind == "track" and thing.duration_ms < 75_000]
    return Shelf(
        things=things,
        albums=tuple(albums),
        shows=tuple(shows),
        books=tuple(books),
        short_tracks=tuple(short or [0]),
        by_defect={defect: tuple(indexes) for defect, indexes in by_defect.items()},
    )


def _word(rng: Random) -> str:
    middle = rng.choice(_MIDDLES) if rng.random() < 0.6 else ""
    return rng.choice(_STARTS) + middle + rng.choice(_ENDS)


def _artist_name(rng: Random) -> str:
    form = rng.random()
    if form < 0.4:
        return f"{_word(rng)} {_word(rng)}"
    if form < 0.7:
        return f"The {rng.choice(_ADJECTIVES)} {rng.choice(_NOUNS)}s"
    return f"{_word(rng)} & the {rng.choice(_NOUNS)}"


def _title(rng: Random) -> str:
    form = rng.random()
    if form < 0.3:
        return f"{rng.choice(_ADJECTIVES)} {rng.choice(_NOUNS)}"
    if form < 0.6:
        return f"{_word(rng)} {rng.choice(_NOUNS)}"
    if form < 0.85:
        return f"{rng.choice(_NOUNS)} for {_word(rng)}"
    return f"{_word(rng)} (feat. {_word(rng)})"
