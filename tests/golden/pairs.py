"""Pairs of tracks, and searches with their candidates, of which it is known whether they are one recording.

    python -m tests.golden.pairs --seed 1 --pairs 3000 > pairs.jsonl

Shares no code and no list of words with the matcher: how services, tags and videos spell things is written down here
again, from their pages. `truth` of a pair: `same`, `version` (the same song, recorded or treated otherwise), `clean`
(explicit and clean), `other`. Everything but `same` must not be taken without a person.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import sys
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from myi_pipeline.providers.playlists import ListedTrack

_WORDS = (
    "river", "summer", "paper", "golden", "city", "heart", "stranger", "morning", "silver", "garden", "winter",
    "shadow", "fire", "ocean", "letter", "window", "dancer", "mirror", "thunder", "lonely", "highway", "velvet",
    "honey", "stone", "feather", "wild", "candle", "harbour", "neon", "mountain", "ghost", "sugar", "violet",
    "rain", "station", "empty", "kingdom", "broken", "bright", "crystal", "desert", "engine", "forest", "glass",
    "hollow", "island", "jungle", "lantern", "meadow", "north", "orchard", "pilot", "quiet", "rocket", "saffron",
    "temple", "under", "valley", "whisper", "yellow", "zero", "amour", "nuit", "corazón", "noche", "lluvia",
    "mañana", "Straße", "Mädchen", "Über", "fühlen", "coração", "saudade", "été", "étoile", "señor", "niño", "café",
    "naïve",
)  # fmt: skip
_FIRST = (
    "Ada", "Ben", "Carla", "Dmitri", "Elena", "Farid", "Greta", "Hugo", "Inés", "Jonas", "Kofi", "Lena", "Mara",
    "Nils", "Olga", "Pavel", "Quinn", "Rosa", "Sven", "Tomás", "Uma", "Viktor", "Wanda", "Ximena", "Yusuf", "Zoë",
    "André", "Björk", "Chloé", "Søren",
)  # fmt: skip
_LAST = (
    "Alvarez", "Berger", "Castro", "Dupont", "Eriksen", "Fischer", "Garcia", "Hansen", "Ibarra", "Jensen", "Keller",
    "Lindqvist", "Moreau", "Novak", "Okafor", "Petrov", "Quist", "Romano", "Sørensen", "Takeda", "Ueda", "Varga",
    "Weber", "Young", "Zimmer", "Müller", "Núñez",
)  # fmt: skip
_BANDS = (
    "Wolves", "Parrots", "Satellites", "Strangers", "Engines", "Sailors", "Machines", "Pines", "Tigers", "Monks",
    "Lovers", "Villains",
)  # fmt: skip
_CITIES = (
    "Berlin", "Paris", "Tokyo", "Glastonbury", "Wembley", "Montreux", "Austin", "Oslo", "Lisbon", "Chicago",
)  # fmt: skip
# A name as its owner writes it, and as a service for Latin letters does.
_NATIVE = (
    ("Группа крови", "Gruppa krovi"), ("Звезда по имени Солнце", "Zvezda po imeni Solntse"),
    ("Пачка сигарет", "Pachka sigaret"), ("Хочу перемен", "Khochu peremen"), ("Спокойная ночь", "Spokoynaya noch"),
    ("Весёлый дождь", "Vesyolyy dozhd"), ("Песня без слов", "Pesnya bez slov"),
    ("Последний герой", "Posledniy geroy"), ("Жёлтый цветок", "Zheltyi tsvetok"),
    ("Το τραγούδι της θάλασσας", "To tragoudi tis thalassas"), ("Μάτια μου", "Matia mou"),
    ("Καλημέρα ήλιε", "Kalimera ilie"), ("Σ'αγαπώ", "S'agapo"), ("Η νύχτα μυρίζει", "I nichta mirizi"),
    ("Χάρτινο το φεγγαράκι", "Hartino to fengaraki"), ("さくらのうた", "Sakura no uta"),
    ("ひこうきぐも", "Hikoukigumo"), ("なつのおわり", "Natsu no owari"), ("ありがとう", "Arigatou"),
    ("ハナミズキ", "Hanamizuki"), ("カブトムシ", "Kabutomushi"), ("サヨナラバス", "Sayonara basu"),
)  # fmt: skip
_NATIVE_ARTISTS = (
    ("Кино", "Kino"), ("Земфира", "Zemfira"), ("Наутилус Помпилиус", "Nautilus Pompilius"),
    ("Мумий Тролль", "Mumiy Troll"), ("Χάρις Αλεξίου", "Haris Alexiou"), ("Νάνα Μούσχουρη", "Nana Mouskouri"),
    ("Μάνος Χατζιδάκις", "Manos Hadjidakis"), ("あいみょん", "Aimyon"), ("スピッツ", "Spitz"), ("ゆず", "Yuzu"),
)  # fmt: skip
# What nobody can read aloud in Latin letters from the signs alone: the code must do.
_SIGNS = (
    ("残酷な天使のテーゼ", "A Cruel Angel's Thesis"), ("紅蓮華", "Gurenge"), ("青花瓷", "Blue and White Porcelain"),
)  # fmt: skip

# How the same song is sold a second time as something else, by services and in other people's libraries.
_VERSIONS = (
    "Live", "Live at {city}", "Live in {city} / {year}", "Live From {city}", "En Vivo", "Ao Vivo", "Unplugged",
    "MTV Unplugged", "{person} Remix", "{person} Club Mix", "Remix", "VIP Mix", "{person} Rework",
    "{person} Bootleg", "{person} Edit", "{person} Dub", "Extended Mix", "Dub Mix", "Acoustic", "Acoustic Version",
    "Acústico", "Stripped", "Piano Version", "Orchestral Version", "Instrumental", "Karaoke Version", "Karaoke",
    "Demo", "Original Demo", "Early Take", "Alternate Take", "Radio Edit", "Single Edit", "Short Edit", "Sped Up",
    "Sped Up Version", "Slowed", "Slowed + Reverb", "slowed down", "Nightcore", "Nightcore Version", "8D Audio",
    "Lo-Fi Version", "A Cappella", "Acapella", "Reprise", "Cover", "Tribute", "Spanish Version", "Re-Recorded",
    "{person}'s Version", "Bass Boosted", "Mashup", "Rehearsal", "Session", "Live Acoustic", "ライブ",
    "концертная запись", "ремикс", "Lullaby Version", "8-Bit Version", "Mono",
)  # fmt: skip
_REMASTERS = (
    "Remastered", "Remastered {year}", "{year} Remaster", "{year} Remastered Version", "Remaster",
    "Digitally Remastered",
    "{year} Digital Remaster", "Album Version", "Stereo",
)  # fmt: skip
_KARAOKE_ARTISTS = (
    "Karaoke Superstars",
    "The Tribute Band",
    "Sing Along Stars",
    "Lullaby Players",
    "Piano Cover Kings",
)


@dataclass(frozen=True)
class Pair:
    """Two tracks and the truth about them; `kind`: what makes the pair easy or hard."""

    left: ListedTrack
    right: ListedTrack
    truth: str
    kind: str


@dataclass(frozen=True)
class Search:
    """A track, what a service answers to a search for it, and which of the answers are it (none: it is not there)."""

    wanted: ListedTrack
    candidates: tuple[ListedTrack, ...]
    right: frozenset[int]


class Maker:
    """Made-up tracks; equal seeds make equal ones."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._codes = seed * 1_000_000
        self._same: tuple[Callable[[], Pair], ...] = (
            self._same_code, self._other_release, self._other_release, self._remaster, self._remaster, self._bare_file,
            self._guest, self._guest, self._spelling, self._spelling, self._script, self._romanised, self._typo,
            self._length, self._video, self._version_told_otherwise, self._version_told_otherwise, self._signs,
            self._second_artist,
        )  # fmt: skip
        self._not: tuple[Callable[[], Pair], ...] = (
            self._version, self._version, self._version, self._version, self._version_with_code, self._two_versions,
            self._unmarked_version, self._cover, self._karaoke_artist, self._clean, self._part, self._sibling,
            self._misprinted_code, self._other_guest, self._live_album,
        )  # fmt: skip

    def pairs(self, count: int) -> list[Pair]:
        """Half of them the same recording."""
        made = []
        for number in range(count):
            pair = self.random.choice(self._not if number % 2 else self._same)()
            if self.random.random() < 0.5:
                pair = replace(pair, left=pair.right, right=pair.left)
            made.append(pair)
        self.random.shuffle(made)
        return made

    def searches(self, count: int) -> Iterator[Search]:
        """Each wanted track among versions, covers and other songs; in one of eight it is not there."""
        for _ in range(count):
            good = self.random.choice(self._same)()
            wanted, answers = good.left, [(good.right, True)]
            if self.random.random() < 0.125:
                answers = []
            elif self.random.random() < 0.3:
                answers.append((replace(good.right, album=self.title(), isrc=self.code()), True))
            for _ in range(self.random.randint(1, 5)):
                answers.append((self._beside(good.right), False))
            # What a service finds first is mostly right.
            if self.random.random() < 0.4:
                self.random.shuffle(answers)
            right = frozenset(place for place, (_, is_right) in enumerate(answers) if is_right)
            yield Search(wanted, tuple(track for track, _ in answers), right)

    def _beside(self, track: ListedTrack) -> ListedTrack:
        """Something else that a search for the track finds."""
        way = self.random.randrange(4)
        length = self.near() if self.random.random() < 0.4 else self.far()
        plain = track.title.split(" (")[0].split(" - ")[0].split(" [")[0]
        if way == 0:
            return self.again(track, title=self.mark(plain, self.version()), length=length)
        if way == 1:
            return self.again(track, title=plain, artists=(self.artist(),), length=length)
        if way == 2:
            return self.again(track, title=self.title(), length=self.far())
        return self.again(
            track, title=self.mark(plain, "Karaoke Version"), artists=(self.pick(_KARAOKE_ARTISTS),), length=self.near()
        )

    # What tracks are made of.

    def pick(self, choices: tuple[str, ...] | list[str]) -> str:
        return self.random.choice(choices)

    def code(self) -> str:
        self._codes += 1
        return f"US{self._codes % 10**10:010}"

    def near(self) -> int:
        return self.random.randint(-1_900, 1_900)

    def far(self) -> int:
        return self.random.choice((-1, 1)) * self.random.randint(12_000, 50_000)

    def title(self) -> str:
        words = self.random.sample(_WORDS, self.random.choice((1, 2, 2, 3, 3, 4)))
        name = " ".join(word if not word.islower() else word.capitalize() for word in words)
        chance = self.random.random()
        if chance < 0.06:
            return f"{name} & {self.pick(_WORDS).capitalize()}"
        if chance < 0.10:
            return f"Don't {name}"
        if chance < 0.13:
            return f"({self.pick(_WORDS).capitalize()}) {name}"
        return f"The {name}" if chance < 0.18 else name

    def person(self) -> str:
        return f"{self.pick(_FIRST)} {self.pick(_LAST)}"

    def artist(self) -> str:
        chance = self.random.random()
        if chance < 0.35:
            return f"The {self.pick(_WORDS).capitalize()} {self.pick(_BANDS)}"
        if chance < 0.42:
            return f"{self.pick(_FIRST)} & the {self.pick(_BANDS)}"
        return self.person()

    def version(self) -> str:
        return self.pick(_VERSIONS).format(
            city=self.pick(_CITIES), year=self.random.randint(1971, 2024), person=self.person()
        )

    def mark(self, title: str, mark: str) -> str:
        return self.pick(("{} - {}", "{} ({})", "{} [{}]", "{} ({})")).format(title, mark)

    def track(self, **more: object) -> ListedTrack:
        made = ListedTrack(
            title=self.title(),
            artists=(self.artist(),),
            album=self.title(),
            isrc=self.code(),
            duration_ms=self.random.randint(120_000, 420_000),
            is_explicit=self.random.choice((None, False, False)),
        )
        return replace(made, **more)  # type: ignore[arg-type]

    def again(self, track: ListedTrack, *, length: int | None = None, **more: object) -> ListedTrack:
        """As another release says it: with a code of its own."""
        duration = track.duration_ms and track.duration_ms + (self.near() if length is None else length)
        made = replace(track, isrc=self.code(), album=self.title(), duration_ms=duration, uri=None)
        return replace(made, **more)  # type: ignore[arg-type]

    # The same recording.

    def _same_code(self) -> Pair:
        one = self.track()
        return Pair(one, self.again(one, isrc=one.isrc), "same", "same code")

    def _other_release(self) -> Pair:
        one = self.track()
        return Pair(one, self.again(one), "same", "other release")

    def _remaster(self) -> Pair:
        one = self.track()
        mark = self.pick(_REMASTERS).format(year=self.random.randint(1994, 2024))
        return Pair(one, self.again(one, title=self.mark(one.title, mark)), "same", "remaster")

    def _bare_file(self) -> Pair:
        one = self.track()
        album = one.album if self.random.random() < 0.7 else None
        return Pair(one, replace(one, isrc=None, duration_ms=None, album=album, is_explicit=None), "same", "bare file")

    def _guest(self) -> Pair:
        one, guest = self.track(), self.person()
        spelt = self.pick(("{} (feat. {})", "{} (ft. {})", "{} [feat. {}]", "{} (with {})", "{} feat. {}", "{} ft. {}"))
        other = self.again(one, title=spelt.format(one.title, guest))
        if self.random.random() < 0.6:
            one = replace(one, artists=(*one.artists, guest))
        return Pair(one, other, "same", "guest")

    def _spelling(self) -> Pair:
        one = self.track()
        changes: tuple[Callable[[str], str], ...] = (
            str.lower, str.upper, lambda name: name.replace("&", "and"), lambda name: name.replace("'", "’"),
            lambda name: name.replace("'", ""), _without_accents, lambda name: unicodedata.normalize("NFD", name),
            lambda name: f"{name}!", lambda name: name.replace(" ", "  "), lambda name: name.replace(" ", "-"),
            lambda name: "".join(chr(ord(each) + 0xFEE0) if "!" < each <= "~" else each for each in name),
        )  # fmt: skip
        title, artist = one.title, one.artists[0]
        for change in self.random.sample(changes, 2):
            title = change(title)
        artist = self.random.choice(changes[:7])(artist)
        return Pair(one, self.again(one, title=title, artists=(artist,)), "same", "spelling")

    def _script(self) -> Pair:
        native, artist = self.random.choice(_NATIVE)[0], self.random.choice(_NATIVE_ARTISTS)[0]
        one = self.track(title=native, artists=(artist,))
        other = self.again(one, title=unicodedata.normalize("NFD", self.random.choice((native, native.upper()))))
        return Pair(one, other, "same", "script")

    def _romanised(self) -> Pair:
        (native, latin), (artist, latin_artist) = self.random.choice(_NATIVE), self.random.choice(_NATIVE_ARTISTS)
        one = self.track(title=native, artists=(artist,))
        named = latin_artist if self.random.random() < 0.6 else artist
        return Pair(one, self.again(one, title=latin, artists=(named,)), "same", "romanised")

    def _signs(self) -> Pair:
        native, translated = self.random.choice(_SIGNS)
        one = self.track(title=native)
        return Pair(one, self.again(one, title=translated, isrc=one.isrc), "same", "signs with the code")

    def _typo(self) -> Pair:
        one = self.track()
        while len(one.title) < 8:
            one = self.track()
        place = self.random.randrange(2, len(one.title) - 2)
        before, letter, after = one.title[:place], one.title[place], one.title[place + 1 :]
        slip = self.random.choice((before + after, before + letter * 2 + after, before + after[0] + letter + after[1:]))
        return Pair(one, self.again(one, title=slip, length=self.random.randint(-900, 900)), "same", "typo")

    def _length(self) -> Pair:
        one = self.track()
        moved = self.random.choice((-1, 1)) * self.random.randint(2_000, 4_500)
        return Pair(one, self.again(one, length=moved), "same", "length")

    def _video(self) -> Pair:
        one = self.track()
        mark = self.pick(("Official Video", "Official Audio", "Official Music Video", "Lyric Video", "Lyrics"))
        title = self.pick(("{a} - {t} ({m})", "{t} ({m})", "{a} - {t}", "{t}")).format(
            a=one.artists[0], t=one.title, m=mark
        )
        artist = f"{one.artists[0]} - Topic" if self.random.random() < 0.5 else one.artists[0]
        other = self.again(one, title=title, artists=(artist,), isrc=None, album=None)
        return Pair(one, other, "same", "video")

    def _version_told_otherwise(self) -> Pair:
        title, mark = self.title(), self.version()
        one = self.track(title=f"{title} - {mark}")
        return Pair(one, self.again(one, title=f"{title} ({mark})"), "same", "version told otherwise")

    def _second_artist(self) -> Pair:
        one, second = self.track(), self.person()
        joint = self.pick((", ", " & ", " and ", " feat. ", " x "))
        one = replace(one, artists=(one.artists[0], second))
        credit = f"{one.artists[0]}{joint}{second}"
        return Pair(one, self.again(one, artists=(credit,)), "same", "second artist")

    # Something else.

    def _version(self) -> Pair:
        one = self.track()
        # Some versions are exactly as long.
        length = self.far() if self.random.random() < 0.5 else self.near()
        mark = self.version()
        return Pair(
            one, self.again(one, title=self.mark(one.title, mark), length=length), "version", f"version: {mark}"
        )

    def _version_with_code(self) -> Pair:
        one = self.track()
        other = self.again(one, title=self.mark(one.title, self.version()), isrc=one.isrc, length=self.near())
        return Pair(one, other, "version", "version with the same code")

    def _two_versions(self) -> Pair:
        title = self.title()
        kind = self.pick(("{} Remix", "Live at {}", "{} Edit", "{} Mix"))
        names = self.random.sample(_CITIES, 2) if "Live" in kind else [self.person(), self.person()]
        if names[0].split()[-1] == names[1].split()[-1] or names[0].split()[0] == names[1].split()[0]:
            names = ["Ada Berger", "Hugo Castro"]
        one = self.track(title=self.mark(title, kind.format(names[0])))
        other = self.again(one, title=self.mark(title, kind.format(names[1])))
        return Pair(one, other, "version", "two versions")

    def _unmarked_version(self) -> Pair:
        one = self.track()
        return Pair(one, self.again(one, length=self.far()), "version", "version without a mark")

    def _live_album(self) -> Pair:
        one = self.track()
        album = self.pick(("Live at {}", "Unplugged in {}", "{} Live")).format(self.pick(_CITIES))
        length = self.random.choice((-1, 1)) * self.random.randint(2_200, 30_000)
        return Pair(one, self.again(one, album=album, length=length), "version", "live album")

    def _cover(self) -> Pair:
        one = self.track()
        artist = self.artist()
        if set(artist.lower().split()) & set(one.artists[0].lower().split()):
            artist = "Cover Lane"
        return Pair(one, self.again(one, artists=(artist,)), "other", "cover")

    def _karaoke_artist(self) -> Pair:
        one = self.track()
        title = self.pick(
            (
                "{t}", "{t} (Originally Performed by {a})", "{t} (In the Style of {a}) [Karaoke Version]",
                "{t} (Made Famous by {a})", "{t} (Tribute to {a})", "{t} (Karaoke)",
            )
        ).format(t=one.title, a=one.artists[0])  # fmt: skip
        artist = self.pick(_KARAOKE_ARTISTS) if self.random.random() < 0.7 else one.artists[0]
        if title == one.title:
            artist = self.pick(_KARAOKE_ARTISTS)
        return Pair(one, self.again(one, title=title, artists=(artist,)), "other", "karaoke and tributes")

    def _clean(self) -> Pair:
        one = self.track(is_explicit=True)
        title = self.pick(("{}", "{} (Clean)", "{} - Clean Version", "{} [Clean]")).format(one.title)
        return Pair(one, self.again(one, title=title, is_explicit=False), "clean", "clean")

    def _part(self) -> Pair:
        one, spelt = self.track(), self.pick(("{}, Pt. {}", "{} (Part {})", "{} {}", "{} No. {}"))
        first, second = self.random.sample(range(1, 9), 2)
        left = replace(one, title=spelt.format(one.title, first))
        return Pair(left, self.again(one, title=spelt.format(one.title, second)), "other", "part")

    def _sibling(self) -> Pair:
        one = self.track()
        endings = (("Girl", "Girls"), ("Night", "Light"), ("Man", "Men"), ("Jane", "June"), ("Love", "Dove"))
        a, b = self.random.choice(endings)
        left = replace(one, title=f"{one.title} {a}")
        return Pair(left, self.again(one, title=f"{one.title} {b}"), "other", "sibling")

    def _misprinted_code(self) -> Pair:
        one = self.track()
        other = self.again(one, title=self.title(), isrc=one.isrc, length=self.far())
        if self.random.random() < 0.5:
            other = replace(other, artists=(self.artist(),), duration_ms=one.duration_ms)
        return Pair(one, other, "other", "misprinted code")

    def _other_guest(self) -> Pair:
        one = self.track()
        left = replace(one, title=f"{one.title} (feat. Ada Berger)")
        return Pair(left, self.again(one, title=f"{one.title} (feat. Hugo Castro)"), "version", "other guest")


def _without_accents(text: str) -> str:
    return "".join(each for each in unicodedata.normalize("NFD", text) if not unicodedata.combining(each))


def as_json(pair: Pair) -> dict[str, object]:
    """As `myi playlists match` reads it, with the truth beside it."""
    sides = {"left": pair.left, "right": pair.right}
    told = {
        side: {name: value for name, value in dataclasses.asdict(track).items() if value not in (None, "", ())}
        for side, track in sides.items()
    }
    return {**told, "truth": pair.truth, "kind": pair.kind}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=3_000)
    given = parser.parse_args()
    for pair in Maker(given.seed).pairs(given.pairs):
        sys.stdout.write(json.dumps(as_json(pair), ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
