"""Which MusicBrainz recording a track is. A wrong one is worse than none, so only reliable matches are accepted.

By its recording code, a recording is accepted if the lengths are at most MOST_APART_MS apart, where both are known, and
no version word differs: codes are entered by hand, and sometimes one code stands for two recordings.

By names, it is accepted if the search gives it LEAST_SCORE or more, title and artist are equal once folded, and the
lengths are at most MOST_APART_MS apart. If the track's length is unknown, its album must be one of the recording's
releases instead. To MusicBrainz a remaster is the same recording, so remaster notes in titles are ignored; other
version notes are not.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from myi_pipeline.catalogue.plays import normalise_name
from myi_pipeline.providers.musicbrainz.answers import Recording

MOST_APART_MS: Final = 5_000
LEAST_SCORE: Final = 90

_WORDS: Final = re.compile(r"\w+")
_FEATURED: Final = re.compile(r"\b(?:feat|ft|featuring)\b\.?.*", re.IGNORECASE)
# "2011 Remaster", "Remastered 2011", "Remastered Version", "2009 Digital Remaster"
_REMASTER: Final = re.compile(
    r"\b(?:(?:19|20)\d\d\s+)?(?:digital(?:ly)?\s+)?remaster(?:ed)?(?:\s+version)?(?:\s+(?:19|20)\d\d)?\b", re.IGNORECASE
)
_BRACKETED: Final = re.compile(r"[(\[]([^()\[\]]*)[)\]]")
_VERSION_WORDS: Final = frozenset(
    (
        "live", "remix", "mix", "instrumental", "acoustic", "karaoke", "edit", "demo", "sped", "slowed", "reverb",
        "unplugged", "orchestral", "cover", "rehearsal", "session", "acapella", "acappella", "extended", "dub", "mono",
        "stereo", "radio", "reprise", "alternate", "alternative", "take", "rework", "bootleg", "mashup",
    )
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A track as stored in raw; `artist` and `album` as the source names them, `length_ms` in milliseconds."""

    title: str | None
    artist: str | None
    album: str | None
    length_ms: int | None


def choose_by_code(wanted: Wanted, found: Iterable[Recording]) -> Recording | None:
    """The best of the recordings with the track's own code that nothing contradicts."""
    return _best(wanted, [each for each in found if _is_near(wanted, each) is not False and _is_version(wanted, each)])


def choose_by_names(wanted: Wanted, found: Iterable[Recording]) -> Recording | None:
    """The best reliable match among the results of a search."""
    return _best(wanted, [each for each in found if _is_safe(wanted, each)])


def fold_title(title: str) -> str:
    """A title without featured artists, remaster notes, accents and punctuation, to compare spellings."""
    bare = _BRACKETED.sub(lambda inside: "" if _FEATURED.match(inside[1].strip()) else inside[0], title)
    # A song may be called "Feat".
    bare = _FEATURED.sub("", bare).strip() or title
    return fold(_REMASTER.sub(" ", bare)) or fold(title)


def fold(name: str) -> str:
    """A name without accents, punctuation and case; one that consists of symbols only is kept."""
    plain = unicodedata.normalize("NFKD", name).casefold().replace("&", " and ")
    letters = "".join(char for char in plain if not unicodedata.combining(char))
    return " ".join(_WORDS.findall(letters)) or normalise_name(name)


def search_title(title: str) -> str:
    """The title to search for: as written, without what MusicBrainz stores elsewhere."""
    bare = _BRACKETED.sub(lambda inside: "" if _FEATURED.match(inside[1].strip()) else inside[0], title)
    bare = _REMASTER.sub(" ", _FEATURED.sub("", bare))
    return " ".join(re.sub(r"[(\[]\s*[)\]]", " ", bare).rstrip(" -").split()) or title


def _is_safe(wanted: Wanted, found: Recording) -> bool:
    if wanted.title is None or wanted.artist is None or (found.score or 0) < LEAST_SCORE:
        return False
    if fold_title(wanted.title) != fold_title(found.title) or not _is_by(wanted.artist, found):
        return False
    if wanted.length_ms is not None:
        return _is_near(wanted, found) is True
    albums = {fold_title(each.name) for each in found.releases}
    return wanted.album is not None and fold_title(wanted.album) in albums


def _is_by(artist: str, found: Recording) -> bool:
    """Whether the artist is the whole credit or its first artist: sources may only name the primary artist."""
    names = {fold(found.credit)}
    for first in found.credits[:1]:
        names |= {fold(first.credited_as), fold(first.name)}
    return fold(artist) in names - {""}


def _is_near(wanted: Wanted, found: Recording) -> bool | None:
    """Whether the lengths are close; None if either is unknown."""
    if wanted.length_ms is None or found.length_ms is None:
        return None
    return abs(wanted.length_ms - found.length_ms) <= MOST_APART_MS


def _is_version(wanted: Wanted, found: Recording) -> bool:
    if wanted.title is None:
        return True
    return _versions(wanted.title) == _versions(found.title)


def _versions(title: str) -> frozenset[str]:
    """The words that mark a version, only in brackets or after a dash: "Live and Let Die" is not a live version."""
    notes = " ".join(_BRACKETED.findall(title) + re.split(r"\s[-\u2013\u2014]\s", title)[1:])
    return frozenset(fold(notes).split()) & _VERSION_WORDS


def _best(wanted: Wanted, found: list[Recording]) -> Recording | None:
    """The best one, independent of their order: by equal title and artist, closest length, most releases, earliest
    first release, lowest MBID.
    """

    def rank(each: Recording) -> tuple[object, ...]:
        is_titled = wanted.title is not None and fold_title(wanted.title) == fold_title(each.title)
        is_by = wanted.artist is not None and _is_by(wanted.artist, each)
        apart = MOST_APART_MS + 1
        if wanted.length_ms is not None and each.length_ms is not None:
            apart = abs(wanted.length_ms - each.length_ms)
        return (
            not is_titled,
            not is_by,
            apart,
            -len(each.releases),
            each.first_release_date or "9999",
            each.recording_mbid,
        )

    return min(found, key=rank, default=None)
