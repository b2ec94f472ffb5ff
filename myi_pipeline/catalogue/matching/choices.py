"""Picks a service's track for a wanted one: matched, ambiguous, missing, or unavailable there.

An equal ISRC decides if lengths differ by at most 5 s and no version word differs. Otherwise names, artists, length and
album make up a score: the chosen track has at least `FLOOR`, and leads every candidate that is a different recording by
`MARGIN`. Doubtful cases are left to a person, and so is every change of version: a wrong track on a playlist is worse
than a missing one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from myi_pipeline.catalogue.matching.romanisation import are_two_scripts, likeness
from myi_pipeline.catalogue.matching.titles import fold, parse_title
from myi_pipeline.catalogue.matching.verdicts import Class, Parsed, Reason, Track, Verdict, decide, parse, within

FLOOR, ASK, MARGIN = 0.75, 0.45, 0.05
CODE_APART_MS = 5_000
_SAME_MS, _EQUAL_MS, _CLOSE_MS = 1_000, 2_000, 5_000
_LIKE_TITLE, _LIKE_ARTIST = 0.8, 0.7
# Scores of a romanised name without lengths, and of a name with two typos.
_TELLING_LETTERS, _LONG_NAME = 6, 10
_TELLING_WORDS = 3
# A translated title looks as unrelated as a different song.
_RELATED = 0.5


class Outcome(StrEnum):
    MATCHED = "matched"
    AMBIGUOUS = "ambiguous"
    MISSING = "missing"
    UNAVAILABLE = "unavailable"


class Kinship(StrEnum):
    """How a candidate relates to the wanted track. Stored: never change the meaning of one."""

    SAME_RECORDING = "same_recording"
    CLEAN_FOR_EXPLICIT = "clean_for_explicit"
    EXPLICIT_FOR_CLEAN = "explicit_for_clean"
    OTHER_VERSION = "other_version"
    UNSURE = "unsure"
    DIFFERENT = "different"


class Listed(Protocol):
    """The fields that a track must have, as in `ListedTrack` of providers/playlists.py."""

    @property
    def kind(self) -> StrEnum: ...
    @property
    def uri(self) -> str | None: ...
    @property
    def title(self) -> str: ...
    @property
    def artists(self) -> tuple[str, ...]: ...
    @property
    def album(self) -> str | None: ...
    @property
    def isrc(self) -> str | None: ...
    @property
    def recording_mbid(self) -> str | None: ...
    @property
    def duration_ms(self) -> int | None: ...
    @property
    def is_explicit(self) -> bool | None: ...


@dataclass(frozen=True, slots=True)
class Candidate:
    """A candidate with its verdict. `place`: position among the candidates, from 0; `score` from 0 to 1."""

    place: int
    uri: str | None
    score: float
    kinship: Kinship
    reason: str


@dataclass(frozen=True, slots=True)
class Choice:
    """`chosen` is set only if matched.

    `margin` is the lead of its score over the best candidate that is a different recording, None if there is none.
    `candidates`: best first.
    """

    outcome: Outcome
    chosen: Candidate | None
    score: float
    margin: float | None
    reason: str
    candidates: tuple[Candidate, ...]

    @property
    def kinship(self) -> Kinship:
        return self.candidates[0].kinship if self.candidates else Kinship.DIFFERENT


NO_CANDIDATE, RIVALS, NOT_OFFERED, EXPLICIT_DIFFERS, ROMANISED, OTHER_NAME, TWO_SLIPS, ALBUM_VERSION = (
    "no_candidate", "rivals", "not_offered", "explicit_differs", "romanised", "other_name", "two_slips",
    "album_version",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Known:
    """A track prepared for comparison. `is_titled_clean`: the title says "clean", whatever the explicit flag says."""

    parsed: Parsed
    is_explicit: bool | None
    is_titled_clean: bool
    album_versions: frozenset[str]
    is_live_album: bool
    whole_title: str


_TOPIC = re.compile(r"\s+-\s+Topic$", re.IGNORECASE)
_SIGNS = re.compile("[\u3400-\u9fff]")
_PREFIX = re.compile(r"\s+[-–—:]\s+")
_FILM = re.compile(r"(?i)\s*[(\[][^()\[\]]*\b(?:official|video|audio|lyrics?|visuali[sz]er)\b[^()\[\]]*[)\]]")
_LIVE_ALBUM = re.compile(r"\b(?:live (?:at|in|from|on)|unplugged|en vivo|ao vivo|in concert)\b|\blive$|^live$")
_ALBUM_KINDS = frozenset(
    {"live", "acoustic", "karaoke", "instrumental", "remix", "demo", "cover", "sped up", "slowed", "orchestral"}
)


def _known(track: Listed) -> _Known:
    artists = tuple(_TOPIC.sub("", name) for name in track.artists if name.strip())
    title = _without_artist(track.title, artists)
    kind = str(track.kind)
    mbids = frozenset({track.recording_mbid}) if track.recording_mbid else frozenset[str]()
    parsed = parse(
        Track(
            title, artists, track.album, track.duration_ms, track.isrc, mbids,
            kind="track" if kind in ("local", "removed") else kind,
        )
    )  # fmt: skip
    versions = dict(parsed.title.versions)
    is_clean = versions.pop("clean", None) is not None
    parsed = replace(parsed, title=replace(parsed.title, versions=tuple(sorted(versions.items()))))
    album = parse_title(track.album or "")
    is_live_album = bool(_LIVE_ALBUM.search(fold(track.album or "")))
    return _Known(
        parsed,
        False if is_clean else track.is_explicit,
        is_clean,
        frozenset(kind for kind, _ in album.versions if kind in _ALBUM_KINDS) | ({"live"} if is_live_album else set()),
        is_live_album,
        fold(_FILM.sub("", title)).replace(" ", ""),
    )


def _without_artist(title: str, artists: tuple[str, ...]) -> str:
    """The title without a leading artist, as in titles of videos."""
    before, dash, behind = (*_PREFIX.split(title, maxsplit=1), "")[0], _PREFIX.search(title), ""
    if dash is not None:
        behind = title[dash.end() :]
    if behind and artists and fold(before) in {fold(artists[0]), fold(", ".join(artists))}:
        return behind
    return title


def judge(wanted: Listed, candidate: Listed) -> tuple[float, Kinship, str]:
    """Score, kinship and reason of one candidate.

    A score of at least `FLOOR` is a match unless another candidate rivals it.
    """
    return _judge(_known(wanted), _known(candidate))


def _judge(one: _Known, other: _Known) -> tuple[float, Kinship, str]:
    a, b = one.parsed, other.parsed
    verdict = decide(a, b)
    if verdict.reason in (Reason.KINDS_DIFFER, Reason.NO_NAMES):
        return 0.0, Kinship.DIFFERENT, verdict.reason
    apart = None if a.duration_ms is None or b.duration_ms is None else abs(a.duration_ms - b.duration_ms)
    has_code = bool(a.isrc and a.isrc == b.isrc)
    if clean := _explicit(one, other, has_code=has_code):
        # Only relevant if it would otherwise be a match.
        score, kinship, reason = _by_evidence(one, other, verdict, apart, has_code=has_code)
        if kinship is Kinship.SAME_RECORDING or kinship is Kinship.UNSURE:
            return min(score, 0.6), clean, EXPLICIT_DIFFERS
        return score, kinship, reason
    return _by_evidence(one, other, verdict, apart, has_code=has_code)


def _explicit(one: _Known, other: _Known, *, has_code: bool) -> Kinship | None:
    is_swap = one.is_titled_clean != other.is_titled_clean and (one.is_titled_clean or other.is_titled_clean)
    if not is_swap and (has_code or one.is_explicit is None or other.is_explicit is None):
        return None
    if not is_swap and one.is_explicit == other.is_explicit:
        return None
    is_clean = other.is_titled_clean if is_swap else not other.is_explicit
    return Kinship.CLEAN_FOR_EXPLICIT if is_clean else Kinship.EXPLICIT_FOR_CLEAN


def _by_evidence(
    one: _Known, other: _Known, verdict: Verdict, apart: int | None, *, has_code: bool
) -> tuple[float, Kinship, str]:
    a, b = one.parsed, other.parsed
    clash = _version_clash(a, b)
    if clash:
        # With an equal length, and an equal code or only a label as an edit, it may be one recording: a person decides.
        is_likely = apart is not None and apart <= _EQUAL_MS and (has_code or clash == "label")
        is_named = verdict.reason not in (Reason.TITLES_DIFFER, Reason.ARTISTS_DIFFER, Reason.TYPO)
        if is_named or has_code:
            score = 0.5 if is_likely else 0.3
            return score, Kinship.UNSURE if is_likely else Kinship.OTHER_VERSION, Reason.VERSIONS_DIFFER
        return 0.1, Kinship.DIFFERENT, verdict.reason
    if has_code and (apart is None or apart <= CODE_APART_MS):
        if _are_related(one, other) or _only_credit_differs(a, b, apart):
            return 0.99, Kinship.SAME_RECORDING, Reason.SAME_ISRC
        return 0.5, Kinship.UNSURE, Reason.CODE_MISUSED
    if a.mbids & b.mbids and verdict.is_same:
        return 0.99, Kinship.SAME_RECORDING, Reason.SAME_MBID
    if has_code:
        # Lengths contradict the code.
        return 0.5, Kinship.UNSURE, Reason.LENGTHS_DIFFER
    if verdict.reason is Reason.SUBTITLE and verdict.is_same and not _is_telling_subtitle(a, b):
        # "(Techno)" or "(Music Box)" may be as long as the song, and no list has every word for a version.
        return 0.55, Kinship.UNSURE, Reason.SUBTITLE
    if not verdict.is_same:
        verdict = _second_look(one, other, verdict, apart)
    return _scored(one, other, verdict, apart)


def _is_telling_subtitle(a: Parsed, b: Parsed) -> bool:
    words = max(len(a.title.subtitle.split()), len(b.title.subtitle.split()))
    return words >= _TELLING_WORDS or (bool(a.album) and a.album == b.album)


def _scored(one: _Known, other: _Known, verdict: Verdict, apart: int | None) -> tuple[float, Kinship, str]:
    a, b = one.parsed, other.parsed
    reason = _reason_of(verdict)
    if verdict.verdict is Class.DIFFERENT:
        return 0.2 * likeness(a.title.name, b.title.name), Kinship.DIFFERENT, reason
    if verdict.verdict is Class.SAME_SONG_OTHER_VERSION:
        return 0.3, Kinship.OTHER_VERSION, reason
    if verdict.verdict is Class.UNSURE:
        return max(0.45, min(verdict.confidence, 0.6)), Kinship.UNSURE, reason
    if _albums_clash(one, other, apart):
        return 0.55, Kinship.UNSURE, ALBUM_VERSION
    score = verdict.confidence - (0.07 * min(apart, _CLOSE_MS) / _CLOSE_MS if apart is not None else 0)
    is_one_album = bool(a.album) and a.album == b.album
    return min(0.98, max(score, FLOOR) + (0.02 if is_one_album else 0)), Kinship.SAME_RECORDING, reason


def _version_clash(a: Parsed, b: Parsed) -> str:
    """words: two different versions; label: they differ only in being labelled as an edit; empty: no clash."""
    mine, theirs = dict(a.title.versions), dict(b.title.versions)
    if mine.keys() != theirs.keys():
        return "words"
    for kind, detail in mine.items():
        left, right = set(detail.split()), set(theirs[kind].split())
        if left and right and not (left <= right or right <= left or within(detail, theirs[kind], 1)):
            return "words"
    if a.title.soft == b.title.soft:
        return ""
    return "label"


def _albums_clash(one: _Known, other: _Known, apart: int | None) -> bool:
    """Whether the albums show two recordings: only one is a live album and no title says so, or both are live albums
    of different concerts.
    """
    titled = {kind for kind, _ in (*one.parsed.title.versions, *other.parsed.title.versions)}
    if (one.album_versions ^ other.album_versions) - titled:
        return True
    is_two_evenings = one.is_live_album and other.is_live_album and one.parsed.album != other.parsed.album
    return is_two_evenings and (apart is None or apart > _SAME_MS)


def _are_related(one: _Known, other: _Known) -> bool:
    """Whether a shared ISRC is plausible: ISRCs are sometimes assigned to the wrong song."""
    a, b = one.parsed, other.parsed
    artists = _artists_likeness(a, b)
    if artists < _LIKE_ARTIST:
        return False
    if a.title.numbers != b.title.numbers and not are_two_scripts(a.title.name, b.title.name):
        return False
    whole_a, whole_b = f"{a.title.name} {a.title.subtitle}", f"{b.title.name} {b.title.subtitle}"
    if are_two_scripts(whole_a.strip(), whole_b.strip()):
        return True
    words_a, words_b = set(whole_a.split()), set(whole_b.split())
    shared = len(words_a & words_b) / max(1, min(len(words_a), len(words_b)))
    return max(shared, likeness(a.title.name, b.title.name)) > _RELATED


def _only_credit_differs(a: Parsed, b: Parsed, apart: int | None) -> bool:
    """Whether title and length are equal, so that tracks with the same code differ only in the credit: archives credit
    the tracks of a compilation to the album's artist.
    """
    is_title = bool(a.letters) and a.letters == b.letters and a.title.subtitle == b.title.subtitle
    return is_title and not a.is_common and apart is not None and apart <= _EQUAL_MS


def _artists_likeness(a: Parsed, b: Parsed) -> float:
    if not (a.artists and b.artists) or a.is_sampler or b.is_sampler:
        return _LIKE_ARTIST
    if set(a.artists) & set(b.artists) or a.credit.replace(" ", "") == b.credit.replace(" ", ""):
        return 1.0
    alike = max(likeness(x, y) for x in a.artists for y in b.artists)
    if are_two_scripts(a.credit, b.credit) and (_SIGNS.search(a.credit) or _SIGNS.search(b.credit)):
        # Han characters have several readings, so a poor match proves nothing.
        return max(_LIKE_ARTIST, alike)
    return alike


def _second_look(one: _Known, other: _Known, verdict: Verdict, apart: int | None) -> Verdict:
    """A second look at names in two scripts, with different spacing or two typos, or with a subtitle as the title."""
    a, b = one.parsed, other.parsed
    if verdict.reason not in (Reason.TITLES_DIFFER, Reason.ARTISTS_DIFFER, Reason.TYPO):
        return verdict
    is_equal = apart is not None and apart <= _EQUAL_MS
    if are_two_scripts(a.title.name, b.title.name) or are_two_scripts(a.credit, b.credit):
        return _romanised(one, other, verdict, apart)
    squeezed = a.credit.replace(" ", "") == b.credit.replace(" ", "")
    has_artist = squeezed or bool(set(a.artists) & set(b.artists))
    is_title = one.whole_title == other.whole_title or (a.letters == b.letters and a.title.numbers == b.title.numbers)
    if squeezed and is_title and (apart is None or apart <= _CLOSE_MS):
        return Verdict(Class.SAME_RECORDING, 0.95 if is_equal else 0.85 if apart else 0.78, Reason.NAMES_AND_LENGTH)
    if not has_artist or apart is None:
        return verdict
    if is_equal and a.title.name == b.title.name and "" in (a.title.subtitle, b.title.subtitle):
        # A long subtitle may have a word that looks like a number: "(I Think It's Going to Be a Long, Long Time)".
        subtitle = (a.title.subtitle or b.title.subtitle).split()
        if len(subtitle) > 2 * _TELLING_WORDS and not any(word.isdigit() for word in subtitle):
            return Verdict(Class.SAME_RECORDING, 0.85, Reason.SUBTITLE)
    if a.title.numbers != b.title.numbers:
        return verdict
    # "Song (Chanson)" and "Chanson".
    subtitles = {a.title.subtitle, b.title.subtitle} - {""}
    if is_equal and (a.title.name in subtitles or b.title.name in subtitles):
        return _ChoiceVerdict(Class.SAME_RECORDING, 0.85, Reason.SUBTITLE, OTHER_NAME)
    letters = min(len(a.letters), len(b.letters))
    if apart <= _SAME_MS and letters >= _LONG_NAME and within(a.letters, b.letters, 2):
        sure = verdict.reason is not Reason.ARTISTS_DIFFER and _one_word_differs(a.title.name, b.title.name)
        return _ChoiceVerdict(
            Class.SAME_RECORDING if sure else Class.UNSURE, 0.8 if sure else 0.5, Reason.TYPO, TWO_SLIPS
        )
    return verdict


def _one_word_differs(a: str, b: str) -> bool:
    """Whether the typos are inside a single long word, not at its ends: Love and Dove are different words."""
    words_a, words_b = a.split(), b.split()
    if len(words_a) != len(words_b):
        return False
    differing = [(x, y) for x, y in zip(words_a, words_b, strict=True) if x != y]
    return len(differing) == 1 and all(
        min(len(x), len(y)) >= _TELLING_LETTERS and x[0] == y[0] and x[-1] == y[-1] for x, y in differing
    )


@dataclass(frozen=True, slots=True)
class _ChoiceVerdict(Verdict):
    """A verdict with a reason that only choices have."""

    own_reason: str = ""


def _reason_of(verdict: Verdict) -> str:
    return verdict.own_reason if isinstance(verdict, _ChoiceVerdict) else str(verdict.reason)


def _romanised(one: _Known, other: _Known, verdict: Verdict, apart: int | None) -> Verdict:
    a, b = one.parsed, other.parsed
    title = 1.0 if a.letters == b.letters else likeness(a.title.name, b.title.name)
    artists = _artists_likeness(a, b)
    # Too far apart in length, or the artists differ even when romanised.
    if (apart is not None and apart > _CLOSE_MS) or artists < _LIKE_ARTIST:
        return verdict
    if title < _LIKE_TITLE:
        # Possibly a translation.
        is_likely = apart is not None and apart <= _SAME_MS and are_two_scripts(a.title.name, b.title.name)
        is_likely = is_likely and bool(set(a.artists) & set(b.artists))
        return _ChoiceVerdict(Class.UNSURE, 0.45, Reason.TITLES_DIFFER, ROMANISED) if is_likely else verdict
    is_telling = min(len(a.letters), len(b.letters)) >= _TELLING_LETTERS and title > 0.95
    is_artist = bool(set(a.artists) & set(b.artists)) or artists > _LIKE_ARTIST
    if apart is None:
        is_sure = is_telling and is_artist and artists > 0.9
        return _ChoiceVerdict(
            Class.SAME_RECORDING if is_sure else Class.UNSURE, 0.78 if is_sure else 0.5, Reason.NAMES, ROMANISED
        )
    is_sure = is_artist and (apart <= _EQUAL_MS or is_telling)
    return _ChoiceVerdict(
        Class.SAME_RECORDING if is_sure else Class.UNSURE, 0.88 if is_sure else 0.5, Reason.NAMES_AND_LENGTH, ROMANISED
    )


def choose(wanted: Listed, candidates: Iterable[Listed], *, unavailable: Collection[str] = frozenset()) -> Choice:
    """Choose among the candidates. `unavailable`: URIs that the service does not play for this account."""
    listed = list(candidates)
    one = _known(wanted)
    known = [_known(each) for each in listed]
    judged = [Candidate(place, each.uri, *_judge(one, known[place])) for place, each in enumerate(listed)]
    ranked = tuple(sorted(judged, key=lambda each: _order(one, known[each.place], each)))
    if not ranked:
        return Choice(Outcome.MISSING, None, 0.0, None, NO_CANDIDATE, ())
    best = ranked[0]
    if best.kinship is not Kinship.SAME_RECORDING or best.score < FLOOR:
        is_doubtful = best.score >= ASK
        return Choice(
            Outcome.AMBIGUOUS if is_doubtful else Outcome.MISSING, None, best.score, None, best.reason, ranked
        )
    same = [each for each in ranked if each is best or _are_same(known[best.place], known[each.place])]
    others = [each for each in ranked if each not in same]
    margin = best.score - others[0].score if others else None
    # A code outweighs any difference of names and lengths.
    has_code = best.reason == Reason.SAME_ISRC
    rivals = [
        each for each in others
        if each.kinship is Kinship.SAME_RECORDING and each.score >= FLOOR and best.score - each.score < MARGIN
        and (each.reason == Reason.SAME_ISRC or not has_code)
    ]  # fmt: skip
    if rivals:
        return Choice(Outcome.AMBIGUOUS, None, best.score, margin, RIVALS, ranked)
    offered = [
        each for each in same
        if each.uri not in unavailable and each.kinship is Kinship.SAME_RECORDING and each.score >= FLOOR
    ]  # fmt: skip
    if not offered:
        return Choice(Outcome.UNAVAILABLE, None, best.score, margin, NOT_OFFERED, ranked)
    return Choice(Outcome.MATCHED, offered[0], offered[0].score, margin, offered[0].reason, ranked)


def _are_same(one: _Known, other: _Known) -> bool:
    score, kinship, _ = _judge(one, other)
    return kinship is Kinship.SAME_RECORDING and score >= FLOOR


def _order(wanted: _Known, known: _Known, judged: Candidate) -> tuple[object, ...]:
    """Sort key: best first; at equal scores, those with the wanted explicit flag, then in the service's order."""
    is_as_explicit = wanted.is_explicit is None or known.is_explicit == wanted.is_explicit
    return (
        judged.kinship is not Kinship.SAME_RECORDING or judged.score < FLOOR,
        -judged.score,
        not is_as_explicit,
        judged.place,
    )
