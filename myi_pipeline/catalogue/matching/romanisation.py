"""Names in two scripts: whether one may be the other in Latin letters.

Each script has several romanisations (Хочу: Khochu, Hochu, Chočú), so names are compared by what these have in common.
This is only ever one piece of evidence among several, because two names can have the same romanisation.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from functools import lru_cache

from anyascii import anyascii

from myi_pipeline.catalogue.matching.titles import REMEMBERED

# What romanisations spell differently, as replacements to apply in this order.
_ALIKE = tuple(
    (re.compile(pattern), letters)
    for pattern, letters in (
        (r"[^a-z0-9]", ""),
        # Greek ου, γγ, μπ and ντ; Japanese long vowels.
        ("o[yu]", "u"), ("gg", "ng"), ("mp", "b"), ("nt", "d"), ("dz|ds|tz|ts", "z"), ("oo", "o"), ("uu", "u"),
        ("shch|sch|sh|ch|kh|x", "h"), ("ph", "f"), ("zh|dj", "j"), ("th", "t"), ("[cq]", "k"), ("w", "v"),
        ("ei|oi|y", "i"), ("j", "i"), ("i+(?=[aeou])", ""), (r"(.)\1+", r"\1"),
    )
)  # fmt: skip
_VOWELS = re.compile("[aeiou]")
_FEWEST_CONSONANTS = 3


def are_two_scripts(one: str, other: str) -> bool:
    """Whether one of two folded names has non-Latin letters and the other has not."""
    return bool(one and other) and _is_foreign(one) != _is_foreign(other)


def _is_foreign(folded: str) -> bool:
    return any(letter > "\u02ff" and letter.isalpha() for letter in folded)


@lru_cache(REMEMBERED)
def _sounds(folded: str) -> str:
    found = anyascii(folded).lower()
    for pattern, letters in _ALIKE:
        found = pattern.sub(letters, found)
    return found


def likeness(one: str, other: str) -> float:
    """How similar two folded names are when romanised, from 0 to 1."""
    a, b = _sounds(one), _sounds(other)
    if not (a and b):
        return 0.0
    ratio = SequenceMatcher(None, a, b, autojunk=False).ratio()
    bare_a, bare_b = _VOWELS.sub("", a), _VOWELS.sub("", b)
    if bare_a == bare_b and len(bare_a) >= _FEWEST_CONSONANTS:
        return max(ratio, 0.9)
    return ratio
