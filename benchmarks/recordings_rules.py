"""How others decide that two tracks are one: ours beside rules that are in use.

Each is what the program's public code or documentation says, on the same tracks: a key that equal tracks share, or
several. Sources: Maloja, maloja/database/sqldb.py (title and set of artists, normalised); Koito, queries/track.sql
(MusicBrainz' recording, else title, release and all artists); ListenBrainz, the readme of lb-matching-tools (names
without "feat." and "remaster", lower case, without what is no word); multi-scrobbler, its string utilities (featured
names dropped, then strings that are nearly alike, here of one artist); spotify_to_tidal (an equal ISRC, or equal names
within 2 s).
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import combinations

from benchmarks.recordings_truth import Told
from myi_pipeline.catalogue.matching.grouping import MOST_IN_BLOCK, Decisions, blocks_of, group
from myi_pipeline.catalogue.matching.verdicts import Track, parse

Pair = tuple[int, int]
Rule = Callable[[Sequence[Track]], Iterable[Sequence[int]]]


@dataclass(frozen=True)
class Score:
    """Pairs of tracks: `true` that are one recording, `merged` that a rule puts together, `right` that are both."""

    true: int
    merged: int
    right: int

    @property
    def wrong(self) -> float:
        return (self.merged - self.right) / self.merged if self.merged else 0.0

    @property
    def found(self) -> float:
        return self.right / self.true if self.true else 1.0


def score(rule: Rule, told: Sequence[Told]) -> Score:
    merged = right = 0
    for tracks in rule([each.track for each in told]):
        for a, b in combinations(tracks, 2):
            merged += 1
            right += told[a].recording == told[b].recording
    return Score(len(true_pairs(told)), merged, right)


def true_pairs(told: Sequence[Told]) -> set[Pair]:
    of: dict[int, list[int]] = defaultdict(list)
    for number, each in enumerate(told):
        of[each.recording].append(number)
    return {pair for tracks in of.values() for pair in combinations(sorted(tracks), 2)}


def ours(tracks: Sequence[Track]) -> list[list[int]]:
    """The rules as they are used, in memory."""
    parsed = {number: parse(track) for number, track in enumerate(tracks)}
    blocks: dict[int, list[int]] = defaultdict(list)
    for number, each in parsed.items():
        for block in blocks_of(each):
            blocks[block].append(number)
    decisions = Decisions(parsed)
    same = {
        pair
        for members in blocks.values()
        if len(members) <= MOST_IN_BLOCK
        for pair in combinations(sorted(members), 2)
        if decisions.of(*pair).is_same
    }
    joined = _joined(range(len(tracks)), same)
    found: list[list[int]] = []
    for members in joined:
        inside = set(members)
        pairs = _of(same, inside)
        # Numbers are drawn at random here, so they are an order that follows from nothing.
        found += [sorted(each) for each in group(members, pairs, decisions=decisions, order=str)]
    return found


def _of(same: set[Pair], inside: set[int]) -> list[Pair]:
    if len(inside) == 1:
        return []
    return [pair for pair in combinations(sorted(inside), 2) if pair in same]


def _joined(all_: Iterable[int], pairs: Iterable[Pair]) -> list[list[int]]:
    beside: dict[int, set[int]] = {each: set() for each in all_}
    for a, b in pairs:
        beside[a].add(b)
        beside[b].add(a)
    seen: set[int] = set()
    found = []
    for start in beside:
        if start in seen:
            continue
        waiting, members = [start], []
        seen.add(start)
        while waiting:
            members.append(each := waiting.pop())
            fresh = beside[each] - seen
            seen |= fresh
            waiting += fresh
        found.append(members)
    return found


def by_keys(*keys: Callable[[Track], Hashable | None]) -> Rule:
    """Tracks that share any of these keys are one, and whatever is one with them."""

    def rule(tracks: Sequence[Track]) -> list[list[int]]:
        pairs = []
        for key in keys:
            first: dict[Hashable, int] = {}
            for number, track in enumerate(tracks):
                found = key(track)
                if found is not None:
                    pairs.append((first.setdefault(found, number), number))
        return _joined(range(len(tracks)), [pair for pair in pairs if pair[0] != pair[1]])

    return rule


def _artists(track: Track) -> tuple[str, ...]:
    credit = ", ".join(track.artists)
    return tuple(part.strip() for part in re.split(r",|&| feat\. | ft\. ", credit) if part.strip())


def exact(track: Track) -> Hashable:
    return track.title, tuple(track.artists)


def maloja(track: Track) -> Hashable:
    return _bare(track.title), frozenset(_bare(each) for each in _artists(track))


def koito(track: Track) -> Hashable:
    return track.title, track.album, frozenset(_artists(track))


def mbid(track: Track) -> Hashable | None:
    return next(iter(sorted(track.mbids)), None)


def isrc(track: Track) -> Hashable | None:
    return track.isrc


def listenbrainz(track: Track) -> Hashable:
    title = re.sub(
        r"(?i)\s*[(\[]?(feat|ft)\. .*$| - .*remaster.*$|\s*[(\[][^)\]]*remaster[^)\]]*[)\]]", "", track.title or ""
    )
    artist = re.split(r"(?i) feat\. | ft\. |, ", track.artists[0])[0]
    return re.sub(r"\W", "", _bare(title)), re.sub(r"\W", "", _bare(artist))


def _bare(name: str | None) -> str:
    plain = unicodedata.normalize("NFKD", (name or "").lower())
    plain = "".join(each for each in plain if not unicodedata.combining(each))
    return " ".join(re.sub(r"[^\w\s]", "", plain).split())


def alike(least: float) -> Rule:
    """Titles of one artist that are so much alike, after featured names are dropped."""

    def rule(tracks: Sequence[Track]) -> list[list[int]]:
        of: dict[str, list[int]] = defaultdict(list)
        titles = [
            _bare(re.sub(r"(?i)\s*[(\[](feat|ft|with)\.? [^)\]]*[)\]]", "", track.title or "")) for track in tracks
        ]
        for number, track in enumerate(tracks):
            of[_bare(_artists(track)[0])].append(number)
        pairs = []
        for members in of.values():
            for a, b in combinations(members, 2):
                x, y = titles[a], titles[b]
                if abs(len(x) - len(y)) <= (1 - least) * 2 * max(len(x), len(y)):
                    matcher = SequenceMatcher(None, x, y, autojunk=False)
                    if matcher.quick_ratio() >= least and matcher.ratio() >= least:
                        pairs.append((a, b))
        return _joined(range(len(tracks)), pairs)

    return rule


def isrc_or_close(tracks: Sequence[Track]) -> list[list[int]]:
    """An equal ISRC skips every check; else equal names of which the lengths are less than 2 s apart."""
    of: dict[Hashable, list[int]] = defaultdict(list)
    for number, track in enumerate(tracks):
        of[listenbrainz(track)].append(number)
        if track.isrc:
            of[track.isrc].append(number)
    pairs = []
    for key, members in of.items():
        for a, b in combinations(members, 2):
            x, y = tracks[a].duration_ms, tracks[b].duration_ms
            if isinstance(key, str) or (x is not None and y is not None and abs(x - y) < 2_000):
                pairs.append((a, b))
    return _joined(range(len(tracks)), pairs)


RULES: Mapping[str, Rule] = {
    "exact names": by_keys(exact),
    "Maloja: normalised title, artists": by_keys(maloja),
    "Koito: MBID, or title, release, artists": by_keys(mbid, koito),
    "ListenBrainz: cleaned names": by_keys(listenbrainz),
    "multi-scrobbler: titles 90 % alike": alike(0.9),
    "spotify_to_tidal: ISRC, or names within 2 s": isrc_or_close,
    "equal ISRC alone": by_keys(isrc),
}
