"""Which track of another service is taken for a wanted one: ours and the rules of others, on made-up pairs.

    python -m benchmarks.matching [--pairs 3000] [--searches 1500] [--seeds 3]

Wrong is the share of what is taken that is not the recording (aim: at most 0.5 %), found the share of what is there
that is taken (aim: at least 95 %), swapped how many live, remixed, clean and other versions were taken for another.
"""

from __future__ import annotations

import argparse
import re
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from benchmarks.setups import print_machine, print_table
from myi_pipeline.catalogue.matching.choices import choose
from myi_pipeline.providers.playlists import ListedTrack
from tests.golden.pairs import Maker, Pair, Search

# Which candidate is taken: its place, or None.
Rule = Callable[[ListedTrack, Sequence[ListedTrack]], int | None]


@dataclass
class Score:
    taken: int = 0
    wrong: int = 0
    there: int = 0
    swapped: int = 0

    @property
    def share_wrong(self) -> float:
        return self.wrong / self.taken if self.taken else 0.0

    @property
    def share_found(self) -> float:
        return (self.taken - self.wrong) / self.there if self.there else 1.0


def score_pairs(rule: Rule, pairs: Sequence[Pair]) -> Score:
    score = Score()
    for pair in pairs:
        score.there += pair.truth == "same"
        if rule(pair.left, (pair.right,)) is not None:
            score.taken += 1
            score.wrong += pair.truth != "same"
            score.swapped += pair.truth in ("version", "clean")
    return score


def score_searches(rule: Rule, searches: Sequence[Search]) -> Score:
    score = Score()
    for search in searches:
        score.there += bool(search.right)
        taken = rule(search.wanted, search.candidates)
        if taken is not None:
            score.taken += 1
            score.wrong += taken not in search.right
    return score


def ours(wanted: ListedTrack, candidates: Sequence[ListedTrack]) -> int | None:
    chosen = choose(wanted, candidates).chosen
    return None if chosen is None else chosen.place


def first_that(matches: Callable[[ListedTrack, ListedTrack], bool]) -> Rule:
    def rule(wanted: ListedTrack, candidates: Sequence[ListedTrack]) -> int | None:
        return next((place for place, each in enumerate(candidates) if matches(wanted, each)), None)

    return rule


def best_by(likeness: Callable[[ListedTrack, ListedTrack], float], *, least: float) -> Rule:
    def rule(wanted: ListedTrack, candidates: Sequence[ListedTrack]) -> int | None:
        scores = [likeness(wanted, each) for each in candidates]
        best = max(range(len(scores)), key=scores.__getitem__, default=None)
        return best if best is not None and scores[best] >= least else None

    return rule


def plain(text: str) -> str:
    found = unicodedata.normalize("NFD", text.lower())
    return "".join(each for each in found if not unicodedata.combining(each))


def edits(a: str, b: str) -> int:
    """Levenshtein's distance."""
    row = list(range(len(b) + 1))
    for place, letter in enumerate(a, 1):
        before, row[0] = row[0], place
        for other, theirs in enumerate(b, 1):
            before, row[other] = row[other], min(row[other] + 1, row[other - 1] + 1, before + (letter != theirs))
    return row[-1]


def apart_s(a: ListedTrack, b: ListedTrack) -> float | None:
    return None if a.duration_ms is None or b.duration_ms is None else abs(a.duration_ms - b.duration_ms) / 1000


# spotify_to_tidal, src/spotify_to_tidal/sync.py: an equal ISRC, or less than 2 s apart, the bare title within the
# other, an artist in common; "instrumental", "acapella" and "remix" must be in both or in neither.


def spotify_to_tidal(wanted: ListedTrack, found: ListedTrack) -> bool:
    if wanted.isrc and wanted.isrc == found.isrc:
        return True
    apart = apart_s(wanted, found)
    if apart is None or apart >= 2:
        return False
    title, other = wanted.title.lower(), found.title.lower()
    if any((word in title) != (word in other) for word in ("instrumental", "acapella", "remix")):
        return False
    bare = _before_marks(title).split("feat.")[0].strip()
    return plain(bare) in plain(other) and bool(_split_artists(wanted) & _split_artists(found))


def _before_marks(text: str) -> str:
    return re.split(r"[-(\[]", text)[0].strip()


def _split_artists(track: ListedTrack) -> set[str]:
    return {_before_marks(plain(part.strip())) for name in track.artists for part in re.split("[&,]", name)}


# spotify_to_ytmusic, utils/match.py, get_best_fit_song_id: the mean of the likeness of titles, artists and albums and
# of five times that of lengths; the best result is taken whatever its score.


def spotify_to_ytmusic(wanted: ListedTrack, found: ListedTrack) -> float:
    scores = [_ratio(found.title, wanted.title), _ratio(" ".join(found.artists), " ".join(wanted.artists))]
    apart = apart_s(wanted, found)
    if apart is not None and wanted.duration_ms:
        scores.append((1 - apart * 2 / (wanted.duration_ms / 1000)) * 5)
    if found.album and wanted.album:
        scores.append(_ratio(found.album, wanted.album))
    return sum(scores) / len(scores)


def _ratio(a: str, b: str) -> float:
    return SequenceMatcher(a=a.lower(), b=b.lower()).ratio()


# beets, autotag/distance.py and config_default.yaml: edit distances in which brackets, "feat." and articles weigh less,
# title 3, artist 2, length 2 (10 s are free, 30 s the most); taken by itself up to a distance of 0.04.
_LIGHT = (
    (r"^the ", 0.1), (r"[\[\(]?(featuring|feat|ft)[\. :].+", 0.1), (r"\(.*?\)", 0.3), (r"\[.*?\]", 0.3),
    (r"(, )?(pt\.|part) .+", 0.2),
)  # fmt: skip


def beets(wanted: ListedTrack, found: ListedTrack) -> float:
    parts = [
        (3.0, _weighed(wanted.title, found.title)),
        (2.0, _weighed(", ".join(wanted.artists), ", ".join(found.artists))),
    ]
    apart = apart_s(wanted, found)
    if apart is not None:
        parts.append((2.0, min(max(apart - 10, 0), 30) / 30))
    return 1 - sum(weight * distance for weight, distance in parts) / sum(weight for weight, _ in parts)


def _weighed(a: str, b: str) -> float:
    a, b = a.lower().replace("&", "and"), b.lower().replace("&", "and")
    base, penalty = _bare_distance(a, b), 0.0
    for pattern, weight in _LIGHT:
        less_a, less_b = re.sub(pattern, "", a), re.sub(pattern, "", b)
        if (less_a, less_b) != (a, b):
            distance = _bare_distance(less_a, less_b)
            if distance < base:
                a, b, penalty = less_a, less_b, penalty + weight * (base - distance)
                base = distance
    return base + penalty


def _bare_distance(a: str, b: str) -> float:
    a, b = re.sub(r"[\W_]", "", plain(a)), re.sub(r"[\W_]", "", plain(b))
    return edits(a, b) / max(len(a), len(b)) if a or b else 0.0


# Picard, similarity.py, and the weights in file.py: title 13, length 10, album 5, artist 4; the floor is 0.7.


def picard(wanted: ListedTrack, found: ListedTrack) -> float:
    parts = [
        (13.0, _words(wanted.title, found.title)),
        (4.0, _words(", ".join(wanted.artists), ", ".join(found.artists))),
    ]
    if wanted.album and found.album:
        parts.append((5.0, _words(wanted.album, found.album)))
    apart = apart_s(wanted, found)
    if apart is not None:
        parts.append((10.0, 1 - min(apart, 30) / 30))
    return sum(weight * likeness for weight, likeness in parts) / sum(weight for weight, _ in parts)


def _words(a: str, b: str) -> float:
    """Each word with the word that is most like it."""
    if a == b:
        return 1.0
    short, long = sorted(([w for w in re.split(r"\W+", x.lower()) if w] for x in (a, b)), key=len)
    if not short:
        return 0.0
    score = 0.0
    for word in short:
        likeness, place = max(
            ((1 - edits(word, w) / max(len(word), len(w)), n) for n, w in enumerate(long)), default=(0, 0)
        )
        score += likeness
        if likeness > 0.6:
            del long[place]
    return score / (len(short) + len(long) * 0.4)


# ListenBrainz, mbid_mapping_writer/mbid_mapper.py: at most 2 edits (high quality) or 5 (medium) in artist and in title
# without punctuation; else the same without what stands in brackets or behind a dash (low quality).


def listenbrainz(most: int, *, is_bare: bool) -> Callable[[ListedTrack, ListedTrack], bool]:
    def near(a: ListedTrack, b: ListedTrack, cut: Callable[[str], str]) -> bool:
        return all(
            edits(_clean(cut(x)), _clean(cut(y))) <= most
            for x, y in ((a.title, b.title), (" ".join(a.artists), " ".join(b.artists)))
        )

    def rule(wanted: ListedTrack, found: ListedTrack) -> bool:
        return near(wanted, found, str) or (is_bare and near(wanted, found, _detuned))

    return rule


def _clean(text: str) -> str:
    return re.sub(" +", " ", re.sub(r"[^\w ]+", "", plain(text))).strip()


def _detuned(text: str) -> str:
    return re.split(r"(?i)\(|\[| ft\.? | feat\.? | featuring | - ", text)[0].strip()


RULES: Mapping[str, Rule] = {
    "spotify_to_tidal: ISRC, or 2 s and names": first_that(spotify_to_tidal),
    "spotify_to_ytmusic: the best, however bad": best_by(spotify_to_ytmusic, least=float("-inf")),
    "beets: a distance of 0.04": best_by(beets, least=0.96),
    "Picard: a likeness of 0.7": best_by(picard, least=0.7),
    "ListenBrainz: high quality": first_that(listenbrainz(2, is_bare=False)),
    "ListenBrainz: any quality": first_that(listenbrainz(5, is_bare=True)),
    "equal ISRC alone": first_that(lambda wanted, found: bool(wanted.isrc) and wanted.isrc == found.isrc),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3_000)
    parser.add_argument("--searches", type=int, default=1_500)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    pairs = [pair for seed in range(1, given.seeds + 1) for pair in Maker(seed).pairs(given.pairs)]
    searches = [each for seed in range(1, given.seeds + 1) for each in Maker(seed + 100).searches(given.searches)]
    print_machine()
    print(f"{len(pairs):,} pairs and {len(searches):,} searches of {given.seeds} seeds")
    rows = []
    for name, rule in (("ours", ours), *RULES.items()):
        began = time.perf_counter()
        of_pairs, of_searches = score_pairs(rule, pairs), score_searches(rule, searches)
        seconds = time.perf_counter() - began
        rows.append(
            (
                name, f"{of_pairs.share_wrong:.2%}", f"{of_pairs.share_found:.2%}", f"{of_pairs.swapped:,}",
                f"{of_searches.share_wrong:.2%}", f"{of_searches.share_found:.2%}", f"{seconds:.1f}",
            )
        )  # fmt: skip
    columns = ("rule", "pairs: wrong", "found", "swapped", "searches: wrong", "found", "s")
    print_table("Which track is taken", columns, rows)


if __name__ == "__main__":
    main()
