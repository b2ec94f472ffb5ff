"""Which tracks are one recording: ours and the rules of others, on a made-up catalogue with the truth.

    python -m benchmarks.recordings [--artists 1500] [--seeds 3]

Wrong is the share of merged pairs that are not one recording (aim: at most 0.2 %), found the share of true pairs that
are merged (aim: at least 97 %).
"""

from __future__ import annotations

import argparse
import time
from collections import Counter

from benchmarks.recordings_rules import RULES, Rule, Score, ours, score, true_pairs
from benchmarks.recordings_truth import Maker, Told
from benchmarks.setups import print_machine, print_table
from myi_pipeline.catalogue.matching.verdicts import compare

OURS = "ours"


def measure(rule: Rule, catalogues: list[list[Told]]) -> tuple[Score, float]:
    began = time.perf_counter()
    scores = [score(rule, told) for told in catalogues]
    seconds = time.perf_counter() - began
    return Score(*(sum(getattr(each, name) for each in scores) for name in ("true", "merged", "right"))), seconds


def mistakes(told: list[Told], *, most: int) -> None:
    """Examples of each kind, for whoever changes the rules."""
    pairs = {pair for each in ours([one.track for one in told]) for pair in _pairs(sorted(each))}
    true = true_pairs(told)
    for name, found in (("wrong", pairs - true), ("missed", true - pairs)):
        reasons: Counter[str] = Counter()
        shown: Counter[str] = Counter()
        for a, b in sorted(found):
            verdict = compare(told[a].track, told[b].track)
            reason = f"{verdict.verdict}, {verdict.reason}"
            reasons[reason] += 1
            shown[reason] += 1
            if shown[reason] <= most:
                print(name, reason, told[a].track, told[b].track, sep="\n  ")
        print(name, dict(reasons))


def _pairs(members: list[int]) -> list[tuple[int, int]]:
    return [(a, b) for n, a in enumerate(members) for b in members[n + 1 :]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artists", type=int, default=1_500)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--mistakes", type=int, default=0, help="print so many examples of each kind")
    given = parser.parse_args()
    catalogues = [Maker(seed).catalogue(given.artists) for seed in range(given.seeds)]
    print_machine()
    print(f"{sum(map(len, catalogues)):,} tracks of {given.seeds} catalogues")
    rows = []
    for name, rule in ((OURS, ours), *RULES.items()):
        found, seconds = measure(rule, catalogues)
        rows.append((name, f"{found.wrong:.2%}", f"{found.found:.2%}", f"{seconds:.1f}"))
    print_table("Which tracks are one recording", ("rule", "wrong", "found", "s"), rows)
    if given.mistakes:
        mistakes(catalogues[0], most=given.mistakes)


if __name__ == "__main__":
    main()
