"""Compares two tracks: one recording, one song in two versions, two songs, or unsure.

The rule is MusicBrainz': a remaster is the same recording; live, remix, edit, acoustic, instrumental, mono and
re-recorded are recordings of their own (https://musicbrainz.org/doc/Style/Recording). Codes help but never decide
alone: one recording may have several ISRCs (regions, reissues), so different ones refute nothing; and one ISRC is
sometimes printed on two recordings, so an equal one counts only if names and lengths agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from myi_pipeline.catalogue.matching.titles import Title, album_name, fold, is_sampler, names_of, parse_title


class Class(StrEnum):
    SAME_RECORDING = "same_recording"
    SAME_SONG_OTHER_VERSION = "same_song_other_version"
    DIFFERENT = "different"
    UNSURE = "unsure"


class Reason(StrEnum):
    """Why. Stored: never change the meaning of one."""

    ALONE = "alone"
    SAME_ISRC = "same_isrc"
    SAME_MBID = "same_mbid"
    NAMES_AND_LENGTH = "names_and_length"
    NAMES_AND_ALBUM = "names_and_album"
    NAMES = "names"
    ANOTHER_LABEL = "another_label"
    SUBTITLE = "subtitle"
    TYPO = "typo"
    SAMPLER = "sampler"
    KINDS_DIFFER = "kinds_differ"
    TITLES_DIFFER = "titles_differ"
    ARTISTS_DIFFER = "artists_differ"
    VERSIONS_DIFFER = "versions_differ"
    LENGTHS_DIFFER = "lengths_differ"
    LENGTHS_UNKNOWN = "lengths_unknown"
    COMMON_TITLE = "common_title"
    CODE_MISUSED = "code_misused"
    NO_NAMES = "no_names"


@dataclass(frozen=True)
class Track:
    """What a source says about a track. `artists` are in the order of the credit, or one credit such as "A, B & C";
    `duration_ms` is in milliseconds; `mbids` are MusicBrainz recordings. None or empty if the source says nothing."""

    title: str | None
    artists: Sequence[str]
    album: str | None = None
    duration_ms: int | None = None
    isrc: str | None = None
    mbids: frozenset[str] = frozenset()
    kind: str = "track"


@dataclass(frozen=True, slots=True)
class Parsed:
    """A track prepared for comparison; see parse()."""

    kind: str
    title: Title
    artists: tuple[str, ...]
    credit: str
    is_sampler: bool
    album: str
    duration_ms: int | None
    isrc: str | None
    mbids: frozenset[str]
    is_common: bool
    letters: str = field(compare=False, default="")


@dataclass(frozen=True, slots=True)
class Verdict:
    """`confidence` that the class is right, from 0 to 1."""

    verdict: Class
    confidence: float
    reason: Reason

    @property
    def is_same(self) -> bool:
        return self.verdict is Class.SAME_RECORDING


# Titles that one artist may give to several recordings.
_COMMON = frozenset({
    "intro", "outro", "interlude", "skit", "untitled", "prelude", "overture", "theme", "reprise",
    "introduction", "finale", "epilogue", "prologue", "opening", "ending", "instrumental", "hidden", "silence",
})  # fmt: skip
_COMMON_START = (
    "track ",
    "part ",
    "pt ",
    "chapter ",
    "kapitel ",
    "teil ",
    "bonus ",
    "untitled ",
    "interlude ",
    "skit ",
)
# Lengths of one recording differ by the pauses and fades of its releases, and many sources cut them to whole seconds:
# equal lengths may differ by up to _EQUAL_MS.
_SAME_MS, _EQUAL_MS, _LIVE_MS, _CLOSE_MS, _FAR_MS, _CODE_MS = 1_000, 2_000, 3_000, 5_000, 10_000, 10_000
_SHORT_MS = 60_000
# The shortest names in which a typo can be told from a different name: with further evidence such as the album, and
# without it.
_SHORTEST_WITH_TYPO, _SHORTEST_WITHOUT_EVIDENCE = 6, 8
_LONG_WORD = 7


def parse(track: Track) -> Parsed:
    credit = ", ".join(track.artists)
    title = parse_title(track.title or "")
    artists = names_of(credit) if credit else ()
    is_common = (
        title.name in _COMMON
        or title.name.startswith(_COMMON_START)
        or (title.name + " ").isdigit()
        or title.name.isdigit()
    )
    return Parsed(
        track.kind, title, artists, fold(credit) if credit else "", is_sampler(credit),
        album_name(track.album) if track.album else "", track.duration_ms, _code(track.isrc),
        track.mbids, is_common, title.name.replace(" ", ""),
    )  # fmt: skip


def _code(isrc: str | None) -> str | None:
    """An ISRC in capitals, without hyphens."""
    letters = "".join(letter for letter in (isrc or "").upper() if letter.isalnum())
    return letters or None


def compare(one: Track, other: Track) -> Verdict:
    """Whether two tracks are one recording. Symmetric."""
    return decide(parse(one), parse(other))


def decide(one: Parsed, other: Parsed) -> Verdict:
    """Like `compare`, for tracks that are parsed already."""
    if one.kind != other.kind or one.kind != "track":
        return Verdict(Class.DIFFERENT, 1.0, Reason.KINDS_DIFFER)
    if not (one.title.name and other.title.name):
        return Verdict(Class.UNSURE, 0.0, Reason.NO_NAMES)
    has_code = bool(one.isrc and one.isrc == other.isrc), bool(one.mbids & other.mbids)
    title = _titles(one, other)
    artists = _artists(one, other)
    apart = None
    if one.duration_ms is not None and other.duration_ms is not None:
        apart = abs(one.duration_ms - other.duration_ms)
    if title == "no" or artists == "no" or (title in ("typo", "short typo") and artists == "typo"):
        reason = Reason.TITLES_DIFFER if title == "no" else Reason.ARTISTS_DIFFER
        if any(has_code):
            return Verdict(Class.UNSURE, 0.5, Reason.CODE_MISUSED)
        return Verdict(Class.DIFFERENT, 0.95, reason)
    versions = _versions(one, other, apart)
    if versions == "no":
        return Verdict(Class.SAME_SONG_OTHER_VERSION, 0.95, Reason.VERSIONS_DIFFER)
    if any(has_code):
        if apart is not None and apart > _CODE_MS:
            return Verdict(Class.UNSURE, 0.5, Reason.CODE_MISUSED)
        if versions == "perhaps" and apart is None and not has_code[1]:
            return Verdict(Class.UNSURE, 0.5, Reason.VERSIONS_DIFFER)
        return Verdict(Class.SAME_RECORDING, 0.99, Reason.SAME_MBID if has_code[1] else Reason.SAME_ISRC)
    return _by_names(one, other, apart=apart, title=title, artists=artists, versions=versions)


def _by_names(one: Parsed, other: Parsed, *, apart: int | None, title: str, artists: str, versions: str) -> Verdict:
    if artists == "partly":
        return Verdict(Class.UNSURE, 0.4, Reason.ARTISTS_DIFFER)
    is_one_album = bool(one.album) and one.album == other.album
    if apart is not None:
        shortest = min(one.duration_ms or 0, other.duration_ms or 0)
        # "Live" may be any concert.
        is_live = any(kind == "live" for kind, _ in one.title.versions)
        close = _EQUAL_MS if shortest < _SHORT_MS else _LIVE_MS if is_live else _CLOSE_MS
        if apart > _FAR_MS:
            return Verdict(Class.SAME_SONG_OTHER_VERSION, 0.9, Reason.LENGTHS_DIFFER)
        if apart > close:
            return Verdict(Class.UNSURE, 0.5, Reason.LENGTHS_DIFFER)
    is_equal = apart is not None and apart <= _EQUAL_MS
    is_the_same = apart is not None and apart <= _SAME_MS
    if artists == "sampler":
        if is_equal and title == "yes" and versions == "yes" and _is_telling(one):
            return Verdict(Class.SAME_RECORDING, 0.8, Reason.SAMPLER)
        return Verdict(Class.UNSURE, 0.4, Reason.ARTISTS_DIFFER)
    if one.is_common and not (is_one_album or is_the_same):
        return Verdict(Class.UNSURE, 0.5, Reason.COMMON_TITLE)
    if versions == "perhaps" and not (is_equal or (is_one_album and apart is None)):
        return Verdict(Class.SAME_SONG_OTHER_VERSION, 0.6, Reason.VERSIONS_DIFFER)
    if title in ("typo", "short typo") or artists == "typo":
        if _is_probable_typo(one, other, apart, title=title, is_one_album=is_one_album):
            return Verdict(Class.SAME_RECORDING, 0.85 if is_equal else 0.8, Reason.TYPO)
        # Names that differ by one letter, with different lengths, are more often two songs.
        return Verdict(Class.UNSURE if apart is None else Class.DIFFERENT, 0.5, Reason.TYPO)
    if title == "subtitle":
        if is_equal:
            return Verdict(Class.SAME_RECORDING, 0.85, Reason.SUBTITLE)
        return Verdict(Class.UNSURE, 0.5, Reason.SUBTITLE)
    if versions == "perhaps":
        return Verdict(Class.SAME_RECORDING, 0.85 if is_the_same else 0.75, Reason.ANOTHER_LABEL)
    if apart is not None:
        return Verdict(Class.SAME_RECORDING, 0.97 if is_equal else 0.9, Reason.NAMES_AND_LENGTH)
    if is_one_album:
        return Verdict(Class.SAME_RECORDING, 0.9, Reason.NAMES_AND_ALBUM)
    return Verdict(Class.SAME_RECORDING, 0.8, Reason.NAMES)


def _is_probable_typo(one: Parsed, other: Parsed, apart: int | None, *, title: str, is_one_album: bool) -> bool:
    """Whether a difference in a title or an artist is a typo: judged by length and album, or without a length by its
    place in the word.
    """
    is_long = min(len(one.letters), len(other.letters)) >= _SHORTEST_WITHOUT_EVIDENCE
    if apart is None:
        return title == "typo" and is_long and _is_surely_typo(one.title.name, other.title.name)
    if apart <= _SAME_MS and (is_one_album or title == "short typo"):
        return True
    return apart <= _EQUAL_MS and title != "short typo" and (is_long or title == "yes")


def _titles(one: Parsed, other: Parsed) -> str:
    """Whether the titles are equal: yes, subtitle (one has more in brackets), typo, short typo, or no."""
    a, b = one.title, other.title
    if a.name == b.name or one.letters == other.letters:
        if a.subtitle == b.subtitle:
            return "yes"
        if a.numbers != b.numbers:
            return "no"
        return "no" if a.subtitle and b.subtitle and _typo_kind(a.subtitle, b.subtitle) == "no" else "subtitle"
    if a.numbers != b.numbers:
        return "no"
    whole_a, whole_b = f"{a.name} {a.subtitle}".strip(), f"{b.name} {b.subtitle}".strip()
    # "Song (Of Us)" and "Song of us".
    if whole_a.replace(" ", "") == whole_b.replace(" ", ""):
        return "yes"
    return _typo_kind(a.name, b.name) if a.subtitle == b.subtitle else "no"


def _artists(one: Parsed, other: Parsed) -> str:
    """Whether the artists are equal: yes, typo, partly, sampler (one is "Various Artists"), or no."""
    if one.credit == other.credit:
        return "yes" if one.credit and not one.is_sampler else "sampler" if one.is_sampler else "no"
    if one.is_sampler or other.is_sampler:
        return "sampler"
    first, second = frozenset(one.artists), frozenset(other.artists)
    if not (first and second):
        return "no"
    # An artist featured in one title may be in the credit of the other.
    if first <= second | other.title.featured and second <= first | one.title.featured:
        return "yes"
    if first <= second or second <= first:
        return "yes" if one.artists[0] in second or other.artists[0] in first else "partly"
    if first & second:
        return "partly"
    a, b = one.artists[0], other.artists[0]
    if min(len(a), len(b)) >= 6 and a.split()[-1][:1] == b.split()[-1][:1] and within(a, b, 1):
        return "typo"
    return "no"


def _versions(one: Parsed, other: Parsed, apart: int | None) -> str:
    """Whether the versions are equal: yes, perhaps (one says less than the other), or no."""
    a, b = dict(one.title.versions), dict(other.title.versions)
    if a.keys() != b.keys():
        return "no"
    answer = "yes"
    for kind, detail in a.items():
        mine, theirs = set(detail.split()), set(b[kind].split())
        if mine != theirs:
            if not (mine <= theirs or theirs <= mine or _is_typo(detail, b[kind])):
                return "no"
            answer = "perhaps"
    if one.title.soft != other.title.soft:
        mine, theirs = set(one.title.soft.split()), set(other.title.soft.split())
        # Edits by two people.
        if mine and theirs and not (mine <= theirs or theirs <= mine):
            return "no"
        answer = "perhaps"
    guests, others = one.title.featured, other.title.featured
    if guests and others and not (guests & others or any(_is_typo(x, y) for x in guests for y in others)):
        return "no"
    return answer


def _is_telling(one: Parsed) -> bool:
    """Whether it is unlikely that two songs have this name."""
    return not one.is_common and len(one.letters) >= _SHORTEST_WITHOUT_EVIDENCE


def _typo_kind(a: str, b: str) -> str:
    """typo: one letter inserted, missing, replaced or swapped, in one word of at least four letters, in a name of at
    least six; short typo: the same in a shorter word; no."""
    if min(len(a), len(b)) < _SHORTEST_WITH_TYPO or abs(len(a) - len(b)) > 1:
        return "no"
    words_a, words_b = a.split(), b.split()
    if len(words_a) != len(words_b):
        return "no"
    differing = [(x, y) for x, y in zip(words_a, words_b, strict=True) if x != y]
    if len(differing) != 1:
        return "no"
    x, y = differing[0]
    # Girl and Girls, Jane and June, Night and Light are more often different words than typos.
    if f"{x}s" == y or f"{y}s" == x or (len(x) == len(y) and sorted(x) != sorted(y) and (len(x) < 5 or x[0] != y[0])):
        return "no"
    if not (x.isalpha() and y.isalpha() and within(x, y, 1)):
        return "no"
    return (
        "typo"
        if min(len(x), len(y)) >= 4
        else "short typo"
        if min(len(a), len(b)) >= _SHORTEST_WITHOUT_EVIDENCE
        else "no"
    )


def _is_typo(a: str, b: str) -> bool:
    """Whether the names of two places or remixers differ by a typo."""
    return min(len(a), len(b)) >= 5 and within(a, b, 1)


def _is_surely_typo(a: str, b: str) -> bool:
    """Whether it is a typo even without lengths: inside a long word, not at its end, where words are inflected."""
    x, y = next((x, y) for x, y in zip(a.split(), b.split(), strict=False) if x != y)
    return min(len(x), len(y)) >= _LONG_WORD and x[0] == y[0] and x[-2:] == y[-2:]


def within(a: str, b: str, most: int) -> bool:
    """Whether `a` becomes `b` with at most `most` letters inserted, deleted, replaced or swapped with the next."""
    if a == b:
        return True
    if abs(len(a) - len(b)) > most or most == 0:
        return False
    start = next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    a, b = a[start:], b[start:]
    tries = [(a[1:], b), (a, b[1:]), (a[1:], b[1:])]
    if len(a) > 1 and len(b) > 1 and a[0] == b[1] and a[1] == b[0]:
        tries.append((a[2:], b[2:]))
    return any(within(x, y, most - 1) for x, y in tries)
