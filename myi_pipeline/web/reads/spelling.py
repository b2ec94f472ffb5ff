"""How what was typed is compared with names: its words, the trigrams that find them, and what a slip may change.

Pure. Names and what was typed are folded before, by one function of the database (`marts.folded`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache

# More words than these narrow nothing that these do not.
MOST_WORDS = 8
# Words of one or two letters are found at the beginning of words alone, but for scripts that write without spaces.
_SHORT = 3
_WITHOUT_SPACES = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]")
_ESCAPED = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_"})
# A word of so many letters may have one slip, and a long one two: a letter too many, too few, another one, or two
# letters in the wrong order.
_ONE_SLIP_FROM, _TWO_SLIPS_FROM = 4, 8
# Of so many letters, the end alone says little.
_LONGEST_SHORT = 5
_MOST_PAIRS = 9


@dataclass(frozen=True)
class Words:
    """What was typed, folded: words parted by single spaces."""

    folded: str

    @cached_property
    def each(self) -> list[str]:
        """The words that names must hold; the article, with and without which names are known, only where it is all."""
        words = list(dict.fromkeys(self.folded.split()))
        return [word for word in words if word != "the"][:MOST_WORDS] or words

    @cached_property
    def whole(self) -> str:
        """All of it without spaces and without an article in front."""
        return self.folded.removeprefix("the ").replace(" ", "")

    def values(self) -> dict[str, object]:
        """Parameters of the statements that import search_match.sql."""
        joined = self.folded.replace(" ", "")
        return {
            "grams": sorted({gram for word in self.each for gram in grams_within(word)}),
            "joined_grams": sorted(set(grams_within(joined))),
            "whole": self.whole,
            "beginning": f"{_literal(self.folded.removeprefix('the '))}%",
            "starts": [f"% {_literal(word)}%" for word in self.each],
            "anywhere": [f"%{' ' if _is_short(word) else ''}{_literal(word)}%" for word in self.each],
            "joined": f"%/{_literal(joined)}%",
        }

    def parts(self) -> dict[str, list[str]]:
        """Parameters of search_similar.sql: each part of the longest word with each of the next."""
        longest = sorted(self.each, key=len, reverse=True)[:2]
        pairs = parts_of(longest[0])
        if len(longest) > 1:
            pairs = [sorted({*one, *other}) for one in pairs for other in parts_of(longest[1])]
        pairs += [grams for word in longest for grams in swapped_grams(word)]
        assert len(pairs) <= _MOST_PAIRS
        return {f"parts_{number}": pairs[number % len(pairs)] for number in range(_MOST_PAIRS)}

    def slips_in(self, names: str) -> int | None:
        """How many slips are between these words and folded names, None for more than may be; the last word may be the
        beginning of one."""
        spelt = set(names.replace(" / ", " ").split())
        spelt.update(name.replace(" ", "") for name in names.split(" / "))
        total = 0
        for word in self.each:
            allowed = slips_allowed(word)
            fewest = allowed + 1
            for other in spelt:
                fewest = min(fewest, slips(word, other, most=allowed))
                if fewest == 0:
                    break
            if fewest > allowed:
                return None
            total += fewest
        return total


def grams_within(word: str) -> list[str]:
    """Trigrams that every text with this word in it has, as ops.search_grams() makes them."""
    if _is_short(word):
        return [f"  {word}"[:3], f" {word}"] if len(word) == _SHORT - 1 else [f"  {word}"]
    size = 2 if len(word) < _SHORT else 3
    return _windows(word, size)


def slips_allowed(word: str) -> int:
    if len(word) < _ONE_SLIP_FROM or word.isdigit():
        return 0
    return 1 if len(word) < _TWO_SLIPS_FROM else 2


def parts_of(word: str) -> list[list[str]]:
    """Trigrams of the beginning, the end and, of a long word, the middle: the allowed slips leave one of them whole. Of
    a short word the end says little: there the first letter must be right too."""
    if slips_allowed(word) == 0:
        return [grams_within(word)]
    # Between the two is a letter at least, or a swap could touch both.
    size = max(2, min(3, len(word) // 2))
    behind = max(2, min(3, len(word) - size - 1))
    start = _windows(f"  {word[:size]}", 3)
    end = _windows(f"{word[-behind:]} ", 3)
    if behind < 3:
        return [start, [f"  {word[0]}", *end]]
    parts = [start, end]
    if len(word) >= _TWO_SLIPS_FROM:
        parts.append(_windows(word[size : len(word) - size + 1][:4], 3))
    return parts


def swapped_grams(word: str) -> list[list[str]]:
    """Trigrams of a short word with two letters swapped back, where the swap leaves none of its parts whole."""
    if slips_allowed(word) == 0 or len(word) > _LONGEST_SHORT:
        return []
    # The first two letters, and of four letters the middle two; the last two leave the beginning whole.
    places = (0, 1) if len(word) == _ONE_SLIP_FROM else (0,)
    swapped = {word[:place] + word[place + 1] + word[place] + word[place + 2 :] for place in places}
    return [_windows(f"  {each}", 3) for each in sorted(swapped - {word})]


# Names have many words in common.
@lru_cache(maxsize=20_000)
def slips(word: str, other: str, *, most: int) -> int:
    """The fewest letters to add, drop, replace or swap with the next that make `word` the beginning of `other`, or more
    than `most`. https://en.wikipedia.org/wiki/Damerau%E2%80%93Levenshtein_distance (optimal string alignment)"""
    if other.startswith(word) or (len(word) >= _SHORT and word in other):
        return 0
    # Each letter that the other has not at all is a slip: of most pairs this says it all.
    if most == 0 or len(other) < len(word) - most or len(set(word).difference(other)) > most:
        return most + 1
    # Whoever typed a word to its end does not mean the beginning of a much longer one.
    other = other[: len(word) + most]
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(word, start=1):
        before, last, row = row, before, [i]
        for j, wanted in enumerate(other, start=1):
            cost = min(row[j - 1] + 1, before[j] + 1, before[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and word[i - 2] == wanted:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return min(row[max(0, len(word) - most) :])


def _is_short(word: str) -> bool:
    return len(word) < _SHORT and not (len(word) == _SHORT - 1 and _WITHOUT_SPACES.search(word))


def _windows(text: str, size: int) -> list[str]:
    return [text[place : place + size] for place in range(len(text) - size + 1)]


def _literal(word: str) -> str:
    """For a `like` pattern, in which it stands for itself."""
    return word.translate(_ESCAPED)
