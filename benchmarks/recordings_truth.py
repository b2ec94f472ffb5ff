"""A made-up catalogue of which the truth is known: recordings, and the tracks under which sources tell of them.

Shares no code and no list of words with the rules: names are syllables, and what services and scrobblers write beside
them is written down here again, as they write it. Every artist has ordinary songs and what makes trouble: versions of a
song, an "Intro" on each album, numbered parts, movements, titles that differ by a letter on purpose, a song that
another artist covers. Spotify's tracks have lengths and mostly codes; those of scrobblers mostly neither, and slips.
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from myi_pipeline.catalogue.matching.verdicts import Track

# Put together, so that a name is made of two or three.
_SYLLABLES: Final = tuple(
    first + second
    for first in (
        "b",
        "br",
        "ch",
        "d",
        "dr",
        "f",
        "fl",
        "g",
        "h",
        "j",
        "k",
        "l",
        "m",
        "n",
        "p",
        "r",
        "s",
        "sh",
        "st",
        "t",
        "v",
    )
    for second in ("a", "e", "i", "o", "u", "el", "en")
)
_ENDS = ("", "n", "r", "s", "t", "l", "m", "nd", "st")
_ACCENTS = {"a": "á", "e": "é", "o": "ö", "u": "ü", "i": "í", "n": "ñ", "c": "ç"}
_CYRILLIC = "абвгдежзийклмнопрстуфхцчшщыэюя"
_KANA = "あいうえおかがきぎくぐけげこごさざしじすずせぜそぞただちつてでとどなにぬねのはばひびふぶ"


@dataclass(frozen=True)
class Told:
    """A track as a source tells it, and the recording that it is."""

    track: Track
    recording: int
    source: str


@dataclass(frozen=True)
class _Recording:
    number: int
    song: str
    artists: tuple[str, ...]
    album: str
    duration_ms: int
    isrc: str
    mbid: str
    # (behind a dash, in brackets): how services and how scrobblers and taggers say which version it is.
    version: tuple[str, str] = ("", "")
    featured: str = ""
    is_ordinary: bool = True


class Maker:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._last = 0
        self._codes = 0

    def catalogue(self, artists: int) -> list[Told]:
        made: list[Told] = []
        earlier: list[_Recording] = []
        for _ in range(artists):
            recordings = list(self._of_artist(earlier))
            earlier += [each for each in recordings if each.is_ordinary][:5]
            for each in recordings:
                made += self._told(each)
        self.random.shuffle(made)
        return made

    def word(self, *, least: int = 1, most: int = 3) -> str:
        pick = self.random.choice
        name = "".join(pick(_SYLLABLES) for _ in range(self.random.randint(least, most))) + pick(_ENDS)
        if self.random.random() < 0.06:
            letter = pick([each for each in name if each in _ACCENTS] or ["_"])
            name = name.replace(letter, _ACCENTS.get(letter, letter), 1)
        return name.capitalize()

    def title(self) -> str:
        if self.random.random() < 0.04:
            return "".join(self.random.choice(_CYRILLIC) for _ in range(self.random.randint(4, 9))).capitalize()
        if self.random.random() < 0.04:
            return "".join(self.random.choice(_KANA) for _ in range(self.random.randint(3, 6)))
        words = [self.word() for _ in range(self.random.choice((1, 2, 2, 3, 3, 4)))]
        if self.random.random() < 0.1 and len(words) > 1:
            words.insert(1, self.random.choice(("&", "and", "of the", "in the")))
        if self.random.random() < 0.05:
            return f"({words[0]}) {' '.join(words[1:]) or self.word()}"
        return " ".join(words)

    def artist(self) -> str:
        name = " ".join(self.word(least=2) for _ in range(self.random.choice((1, 2, 2))))
        if self.random.random() < 0.15:
            return f"The {name}"
        if self.random.random() < 0.05:
            return f"{name} & {self.word(least=2)}"
        return name

    def new(self, song: str, artist: str, album: str, **more: object) -> _Recording:
        self._last += 1
        self._codes += 1
        length = self.random.randint(95_000, 420_000)
        made = _Recording(self._last, song, (artist,), album, length, f"QZ{self._codes:010}", f"mbid-{self._last}")
        return replace(made, **more)  # type: ignore[arg-type]

    def _of_artist(self, earlier: list[_Recording]) -> Iterator[_Recording]:
        pick, chance = self.random.choice, self.random.random
        artist = self.artist()
        for _ in range(self.random.randint(1, 4)):
            album = self.title()
            for _ in range(self.random.randint(3, 9)):
                song = self.new(self.title(), artist, album)
                if chance() < 0.12:
                    song = replace(song, featured=self.artist())
                yield song
                if chance() < 0.35:
                    yield from self._versions(song)
            if chance() < 0.4:
                name = pick(("Intro", "Interlude", "Outro", "Untitled"))
                yield self.new(name, artist, album, duration_ms=self.random.randint(20_000, 110_000), is_ordinary=False)
        work = self.title()
        if chance() < 0.3:
            for part in range(1, self.random.randint(3, 5)):
                name = pick(("{}, Pt. {}", "{} (Part {})", "{} {}")).format(work, part)
                yield self.new(name, artist, work, is_ordinary=False)
        if chance() < 0.2:
            yield from self._movements(artist)
        if chance() < 0.3:
            # Two songs whose titles differ by a letter or a word on purpose.
            one, other = pick((("Man", "Men"), ("Girl", "Girls"), ("Jane", "June"), ("Night", "Light"), ("One", "Two")))
            yield self.new(f"{work} {one}", artist, work, is_ordinary=False)
            yield self.new(f"{work} {other}", artist, work, is_ordinary=False)
        if chance() < 0.2:
            first, second = self.title(), self.title()
            yield self.new(f"{first} / {second}", artist, work, is_ordinary=False)
            yield self.new(first, artist, work, is_ordinary=False)
        if chance() < 0.3:
            yield self.new(pick(("Home", "Stay", "Hello", "Sorry")), artist, work, is_ordinary=False)
        if earlier and chance() < 0.5:
            covered = pick(earlier)
            near = covered.duration_ms + self.random.randint(-30_000, 30_000)
            yield self.new(covered.song, artist, work, duration_ms=near, is_ordinary=False)

    def _versions(self, song: _Recording) -> Iterator[_Recording]:
        pick = self.random.choice
        place, year, other = self.word(least=2), self.random.randint(1968, 2023), self.artist()
        kinds: list[tuple[str, str]] = [
            (f"Live at {place}", f"Live at {place}"), ("Live", "Live"), (f"Live in {place} {year}", "Live"),
            (f"{other} Remix", f"{other} Remix"), ("Acoustic", "Acoustic Version"),
            ("Instrumental", "Instrumental"), ("Demo", "Demo"), ("Radio Edit", "Radio Edit"),
            ("Extended Mix", "Extended Mix"), (f"{place}'s Version", f"{place}'s Version"),
            ("Mono", "Mono Version"), ("Karaoke Version", "Karaoke Version"), ("Spanish Version", "Spanish Version"),
            ("Sped Up", "Sped Up"), ("", ""),
        ]  # fmt: skip
        for dash, bracket in self.random.sample(kinds, self.random.randint(1, 3)):
            # Most versions are shorter or longer; some are not.
            moved = pick((-1, 1)) * self.random.randint(15_000, 60_000) if dash in ("Radio Edit", "") else (
                self.random.randint(-40_000, 60_000)
            )  # fmt: skip
            length = max(60_000, song.duration_ms + moved)
            # No album has two songs of exactly one name; a single has.
            album = song.album if dash and pick((True, False)) else self.title()
            version = self.new(song.song, song.artists[0], album)
            yield replace(
                version, duration_ms=length, version=(dash, bracket),
                featured=song.featured, is_ordinary=False,
                # Now and then a label prints the code of the song on its version.
                isrc=song.isrc if self.random.random() < 0.03 else version.isrc,
            )  # fmt: skip

    def _movements(self, artist: str) -> Iterator[_Recording]:
        number, key = self.random.randint(1, 9), self.random.choice(("C Minor", "D Major", "E-Flat Major", "A Minor"))
        tempi = ["Allegro", "Andante", "Scherzo", "Finale", "Allegro"]
        for place, tempo in zip(("I", "II", "III", "IV", "V"), tempi, strict=True):
            name = f"Symphony No. {number} in {key}, Op. {number * 7}: {place}. {tempo}"
            yield self.new(name, artist, f"Symphony No. {number}", is_ordinary=False)
        yield self.new(
            f"Symphony No. {number % 9 + 1} in {key}, Op. {number * 7 + 1}: I. Allegro",
            artist,
            "Symphonies",
            is_ordinary=False,
        )

    def _told(self, recording: _Recording) -> Iterator[Told]:
        chance, pick = self.random.random, self.random.choice
        yield self._by_spotify(recording, recording.album)
        if chance() < 0.45:
            # The same on a sampler or a reissue, often with a code of its own.
            again = self._by_spotify(recording, self.title(), is_again=True)
            if chance() < 0.1:
                again = replace(again, track=replace(again.track, artists=("Various Artists",)))
            yield again
        if chance() < 0.3 and recording.version[0] != "Mono":
            year = self.random.randint(1994, 2024)
            mark = pick(
                (f"Remastered {year}", f"{year} Remaster", f"{year} - Remaster", "Remastered", "Remastered Version")
            )
            yield self._by_spotify(recording, f"{recording.album} (Deluxe Edition)", mark=mark, is_again=True)
        for source in ("scrobbler", "tagged", "listenbrainz"):
            if chance() < 0.4:
                yield self._by_scrobbler(recording, source)

    def _by_spotify(self, recording: _Recording, album: str, *, mark: str = "", is_again: bool = False) -> Told:
        marks = [each for each in (recording.version[0], mark) if each]
        title = recording.song
        if recording.featured:
            title += self.random.choice((f" (feat. {recording.featured})", f" (with {recording.featured})"))
        if marks:
            title += " - " + " / ".join(marks)
        length = recording.duration_ms + (self.random.randint(-1_900, 1_900) if is_again else 0)
        isrc: str | None = recording.isrc
        if is_again and self.random.random() < 0.5:
            self._codes += 1
            isrc = f"QZ{self._codes:010}"
        if self.random.random() < 0.3:
            isrc = None
        return Told(Track(title, recording.artists, album, length, isrc), recording.number, "spotify")

    def _by_scrobbler(self, recording: _Recording, source: str) -> Told:
        chance = self.random.random
        title = recording.song
        artists = recording.artists
        if recording.featured:
            if chance() < 0.5:
                title += f" (ft. {recording.featured})"
            elif chance() < 0.7:
                artists = (f"{recording.artists[0]} feat. {recording.featured}",)
        if recording.version[1]:
            title += f" ({recording.version[1]})" if chance() < 0.7 else f" - {recording.version[1]}"
        title, artist = self._spelt(title), self._spelt(artists[0])
        if chance() < 0.03:
            title = self._slip(title)
        length = recording.duration_ms // 1000 * 1000 if source != "scrobbler" or chance() < 0.2 else None
        mbids = frozenset({recording.mbid}) if source == "listenbrainz" else frozenset()
        album = recording.album if chance() < 0.8 else None
        return Told(Track(title, (artist,), album, length, None, mbids), recording.number, source)

    def _spelt(self, text: str) -> str:
        changes: tuple[tuple[float, Callable[[str], str]], ...] = (
            (0.1, str.lower),
            (0.03, str.upper),
            (0.2, lambda name: name.replace("&", "and")),
            (0.1, lambda name: name.replace("'", "’")),
            (0.1, lambda name: name.replace(",", "")),
            (0.3, _plain),
            (0.2, lambda name: name.removeprefix("The ")),
            (0.05, lambda name: unicodedata.normalize("NFD", name)),
        )
        for often, change in changes:
            if self.random.random() < often:
                text = change(text)
        return text

    def _slip(self, text: str) -> str:
        place = self.random.randrange(1, max(2, len(text) - 1))
        way = self.random.randrange(3)
        if way == 0:
            return text[:place] + text[place + 1 :]
        if way == 1:
            return text[:place] + text[place : place + 1] * 2 + text[place + 1 :]
        return text[:place] + text[place + 1 : place + 2] + text[place : place + 1] + text[place + 2 :]


def _plain(text: str) -> str:
    """Without accents, as old scrobblers sent names; other scripts stay."""
    if not text.isascii() and all(ord(each) < 0x250 for each in text):
        return "".join(each for each in unicodedata.normalize("NFD", text) if not unicodedata.combining(each))
    return text
