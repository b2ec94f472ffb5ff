"""Which of many tracks are one recording: choosing pairs to compare, and forming groups without contradictions.

The result depends only on the set of tracks, not on the order in which they arrived: pairs are processed by confidence,
then by the tracks' own keys. Two tracks that were found to be different, or different versions, are never in one group;
a track that fits two groups which exclude each other is left alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from myi_pipeline.catalogue.matching.titles import without_article
from myi_pipeline.catalogue.matching.verdicts import Class, Parsed, Reason, Verdict, decide

# Tracks in a block larger than this are not compared: its key is a title such as "Intro", or an ISRC that a label used
# for everything. Those that also share a narrower block are still compared.
MOST_IN_BLOCK = 100
# A single typo leaves either the first or the last letters of a name intact.
_SHORTEST_WITH_TYPO = 6
_TYPO_LETTERS = 3
_MOST_ARTISTS = 3
_CLASHES = frozenset({Class.DIFFERENT, Class.SAME_SONG_OTHER_VERSION})


@dataclass(frozen=True, slots=True)
class Member:
    """A track's place in its group: how certain it is, and why."""

    confidence: float
    reason: Reason


def blocks_of(track: Parsed) -> tuple[int, ...]:
    """The blocks of a track, as signed 32-bit numbers. Only tracks that share a block are compared; two tracks of one
    recording always do.
    """
    if track.kind != "track" or not track.title.name:
        return ()
    name = track.letters
    keys = [f"artist/{artist}/{name}" for artist in track.artists[:_MOST_ARTISTS]]
    if len(name) >= 4:
        keys.append(f"title/{name}")
    whole = f"{track.title.name}{track.title.subtitle}".replace(" ", "")
    if whole != name:
        keys.append(f"title/{whole}")
        keys += [f"artist/{artist}/{whole}" for artist in track.artists[:1]]
    if track.isrc:
        keys.append(f"isrc/{track.isrc}")
    keys += [f"mbid/{mbid}" for mbid in sorted(track.mbids)]
    if len(name) >= _SHORTEST_WITH_TYPO and track.artists:
        artist = without_article(track.artists[0])
        keys += [f"start/{artist}/{name[:_TYPO_LETTERS]}", f"end/{artist}/{name[-_TYPO_LETTERS:]}"]
    return tuple(sorted({_number(key) for key in keys}))


def _number(key: str) -> int:
    return int.from_bytes(blake2b(key.encode(), digest_size=4).digest(), "big", signed=True)


def _is_clash(verdict: Verdict) -> bool:
    # If two tracks are in doubt because of their lengths, a third of medium length must not join them.
    return verdict.verdict in _CLASHES or (not verdict.is_same and verdict.reason is Reason.LENGTHS_DIFFER)


class Decisions:
    """Verdicts on pairs, each computed once."""

    def __init__(self, tracks: Mapping[int, Parsed]) -> None:
        self._tracks = tracks
        self._known: dict[tuple[int, int], Verdict] = {}

    def of(self, a: int, b: int) -> Verdict:
        pair = (a, b) if a < b else (b, a)
        found = self._known.get(pair)
        if found is None:
            found = self._known[pair] = decide(self._tracks[pair[0]], self._tracks[pair[1]])
        return found


def group(
    ids: Iterable[int], pairs: Iterable[tuple[int, int]], *, decisions: Decisions, order: Callable[[int], str]
) -> list[dict[int, Member]]:
    """The groups in a connected set of tracks. `pairs` are those found to be the same recording; `order` returns a key
    that does not depend on when a track arrived."""
    cluster: dict[int, int] = {id: id for id in ids}
    members: dict[int, list[int]] = {id: [id] for id in cluster}
    strength: dict[int, Member] = {}
    by_confidence: dict[float, list[tuple[int, int]]] = defaultdict(list)
    for a, b in pairs:
        by_confidence[decisions.of(a, b).confidence].append((a, b))

    def clash(one: int, other: int) -> bool:
        return any(_is_clash(decisions.of(a, b)) for a in members[one] for b in members[other])

    def pair_key(pair: tuple[int, int]) -> list[str]:
        return sorted((order(pair[0]), order(pair[1])))

    for confidence in sorted(by_confidence, reverse=True):
        found = sorted(by_confidence[confidence], key=pair_key)
        doubtful = _between_two(found, cluster, clash)
        for a, b in found:
            one, other = cluster[a], cluster[b]
            if one == other or one in doubtful or other in doubtful or clash(one, other):
                continue
            reason = decisions.of(a, b).reason
            for id in (a, b):
                strength.setdefault(id, Member(confidence, reason))
            for id in members[other]:
                cluster[id] = one
            members[one] += members.pop(other)
            # `other` is no longer a cluster.
            doubtful.discard(other)
    return [{id: strength.get(id, Member(1.0, Reason.ALONE)) for id in each} for each in members.values()]


def _between_two(
    pairs: Iterable[tuple[int, int]], cluster: Mapping[int, int], clash: Callable[[int, int], bool]
) -> set[int]:
    """Clusters that could join either of two others which exclude each other."""
    compatible: dict[int, set[int]] = defaultdict(set)
    for a, b in pairs:
        one, other = cluster[a], cluster[b]
        if one != other and not clash(one, other):
            compatible[one].add(other)
            compatible[other].add(one)
    doubtful = set()
    for each, others in compatible.items():
        rest = sorted(others)
        if any(clash(x, y) for n, x in enumerate(rest) for y in rest[n + 1 :]):
            doubtful.add(each)
    return doubtful
