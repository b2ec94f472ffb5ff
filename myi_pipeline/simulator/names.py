"""Made-up names: pronounceable ones, and those that break careless software. None is that of a real artist, album,
show, book or person.
"""

from __future__ import annotations

from random import Random

# Each of these once tripped some program; all are legal names. They are given to artists, albums and titles alike.
AWKWARD_NAMES = (
    "<img src=x onerror=alert(1)>",
    "'; drop table plays; --",
    'The "Quoted" \\ Backslash',
    "long " * 180 + "name",
    "{{ config(materialized='table') }}",
    "%s %(name)s {0} ${HOME}",
    "שירים מתחת למים",
    "\u202eright to left\u202c",
    "أغاني الرمل",
    "雨の後の電車",
    "🛰️👩🏽‍🚀🎻",
    "Zoe\u0308 Mela\u0301n",  # decomposed
    "Zoë Melán",  # composed: the same name once normalised
    "LUMEN HARBOUR",
    "Lumen Harbour",
    "lumen harbour",
    "ﬁne ﬂour",  # ligatures fold under NFKC
    "Straße der Öfen",
    "İstanbulin Işık",  # folds differently in Turkish
    "=1+cmd|' /C calc'!A0",
    "../../../etc/somewhere",
    "tab\tand\nnewline",
    "zero\u200bwidth\u00a0space",
    "null",
    "None",
    "NaN",
    "0",
    " leading and trailing ",
    "Ṱ̺̺o̞̰ ̷i̲n̝̗v̟o͙ke",
)

_STARTS = tuple(
    "Va Mo Ke Lu Tri Sa No Bel Or Fen Qui Ya Hro Eli Dun Pas Zem Wyn Ora Jul Kas Rho Tam Ves Ix".split()  # noqa: SIM905 - a line, not a page
)
_MIDDLES = tuple(
    "ra lo mi den sto vi na che lun ba ris te mar gol fi".split()  # noqa: SIM905 - a line, not a page
)
_ENDS = tuple(
    "n s ta rel mo lia x dane ver kis thos la nd ria m".split()  # noqa: SIM905 - a line, not a page
)
_NOUNS = tuple(
    "Harbour Lantern Gravel Orchard Static Meridian Kite Thaw Velvet Ledger Cinder Tide Attic Moth Signal".split()  # noqa: SIM905 - a line, not a page
)
_ADJECTIVES = tuple(
    "Quiet Paper Second Hollow Amber Northern Borrowed Late Salt Glass Slow Unsent Minor Copper".split()  # noqa: SIM905 - a line, not a page
)


def word(rng: Random) -> str:
    middle = rng.choice(_MIDDLES) if rng.random() < 0.6 else ""
    return rng.choice(_STARTS) + middle + rng.choice(_ENDS)


def artist_name(rng: Random) -> str:
    form = rng.random()
    if form < 0.4:
        return f"{word(rng)} {word(rng)}"
    if form < 0.7:
        return f"The {rng.choice(_ADJECTIVES)} {rng.choice(_NOUNS)}s"
    return f"{word(rng)} & the {rng.choice(_NOUNS)}"


def title(rng: Random) -> str:
    form = rng.random()
    if form < 0.3:
        return f"{rng.choice(_ADJECTIVES)} {rng.choice(_NOUNS)}"
    if form < 0.6:
        return f"{word(rng)} {rng.choice(_NOUNS)}"
    if form < 0.85:
        return f"{rng.choice(_NOUNS)} for {word(rng)}"
    return f"{word(rng)} (feat. {word(rng)})"
