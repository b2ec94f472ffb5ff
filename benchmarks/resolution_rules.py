"""How others match a polled event with an archive row; each accepts whatever lies near enough, and merges all of it.

Belongs here: the peers' rules, as their sources state them. Invariant: a rule sees what it would see in earnest: times,
track, time heard and duration, and never the truth.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.resolution_truth import Archived, ListenerYear, Polled

Rule = Callable[[float, Archived], bool]
# No rule looks further.
_REACH_S = 3 * 3600


def within(seconds: float) -> Rule:
    return lambda at_s, row: abs(at_s - row.at_s) <= seconds


def same_second(at_s: float, row: Archived) -> bool:
    return int(at_s) == row.at_s


def same_minute(at_s: float, row: Archived) -> bool:
    return int(at_s // 60) == row.at_s // 60


def interval_or_length(at_s: float, row: Archived) -> bool:
    """The best public rule: near, or inside the play, or off by the time heard or by the duration."""
    off = abs(at_s - row.at_s)
    return (
        off <= 10
        or row.at_s - row.ms_played / 1000 <= at_s <= row.at_s
        or abs(off - row.ms_played / 1000) <= 10
        or abs(off - row.duration_ms / 1000) <= 10
    )


RULES: dict[str, Rule] = {
    "same second": same_second,
    "same minute": same_minute,
    "within 30 s": within(30),
    "within 60 s": within(60),
    "within 90 s": within(90),
    "within 450 s": within(450),
    "interval or length": interval_or_length,
}


@dataclass(frozen=True)
class Score:
    """`merges`: polled events said to be an archive row; `right` of them; `pairs`: how many there truly are. `lost`:
    plays of one source that vanish because one play took two of its events."""

    pairs: int = 0
    merges: int = 0
    right: int = 0
    lost: int = 0

    def __add__(self, other: Score) -> Score:
        return Score(
            self.pairs + other.pairs, self.merges + other.merges, self.right + other.right, self.lost + other.lost
        )

    @property
    def precision(self) -> float:
        return self.right / self.merges if self.merges else 1.0

    @property
    def recall(self) -> float:
        return self.right / self.pairs if self.pairs else 1.0


def score_rule(rule: Rule, year: ListenerYear) -> Score:
    """The rule as its users run it: a polled event that it accepts for any row is dropped as known. Which row is meant
    is the nearest that it accepts; two events of one row are one play less."""
    by_song: dict[int, list[Archived]] = defaultdict(list)
    for row in sorted(year.archived):
        if not row.is_removed:
            by_song[row.song].append(row)
    taken: set[Archived] = set()
    merges = right = lost = 0
    for event in year.polled:
        accepted = [row for row in _near(by_song[event.song], event) if rule(event.at_ms / 1000, row)]
        if accepted:
            row = min(accepted, key=lambda each: abs(event.at_ms / 1000 - each.at_s))
            merges += 1
            right += year.truth.get(event) == row
            lost += row in taken
            taken.add(row)
    return Score(len(year.truth), merges, right, lost)


def _near(rows: list[Archived], event: Polled) -> Iterator[Archived]:
    at_s = event.at_ms / 1000
    first = bisect_left(rows, at_s - _REACH_S, key=lambda row: row.at_s)
    last = bisect_right(rows, at_s + _REACH_S, key=lambda row: row.at_s)
    yield from rows[first:last]
