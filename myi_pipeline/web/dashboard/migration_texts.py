"""Texts about a moved playlist: reasons, outcomes and versions in words, and a track's page at a service.

Codes are stored, for programs; no page shows one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from myi_pipeline.catalogue.matching.titles import parse_title
from myi_pipeline.playlists.migration.store import PlaylistTaken
from myi_pipeline.web.shown.formats import in_spotify

_NUMBERED = re.compile(r"\bmigration \d+\b", re.ASCII)
# Outcomes of an entry.
OUTCOMES: Mapping[str, str] = {
    "matched": "found",
    "ambiguous": "in doubt",
    "missing": "not found",
    "unavailable": "left out",
}
# Why an entry was matched, or a candidate was not accepted; the codes are those of catalogue/matching.
REASONS: Mapping[str, str] = {
    "alone": "nothing to compare it with",
    "same_isrc": "the same recording code",
    "same_mbid": "the same recording at MusicBrainz",
    "names_and_length": "the same names and length",
    "names_and_album": "the same names and album",
    "names": "the same names",
    "another_label": "the same names and length, labelled otherwise",
    "subtitle": "the same length, with a subtitle",
    "typo": "nearly the same spelling",
    "sampler": "the same title and length, on a compilation",
    "kinds_differ": "one is a song, the other is something else",
    "titles_differ": "the titles differ",
    "artists_differ": "the artists differ",
    "versions_differ": "another version",
    "lengths_differ": "the lengths differ",
    "lengths_unknown": "its length is unknown",
    "common_title": "the title is a common one",
    "code_misused": "the same recording code, but different names",
    "no_names": "its names are unknown",
    "no_candidate": "nothing was found under its code or its names",
    "rivals": "two recordings fit equally well",
    "not_offered": "it is there, but cannot be played with this account",
    "explicit_differs": "one has explicit lyrics, the other is the clean version",
    "romanised": "the same name in another script",
    "other_name": "one title is the other's second name",
    "two_slips": "a slightly different spelling",
    "album_version": "one of the two albums is a live album or another version",
    "decided": "you decided so",
    "left_out": "you left it out this time",
    "taken_back": "you undid your decision; look up the tracks again to see the candidates",
}
# How a candidate relates to the wanted track.
KINSHIPS: Mapping[str, str] = {
    "same_recording": "the same recording",
    "clean_for_explicit": "the clean version",
    "explicit_for_clean": "the explicit version",
    "other_version": "another version",
    "unsure": "perhaps the same",
    "different": "another song",
}
_TIDAL_TRACK = re.compile(r"tidal:(track|video):([0-9A-Za-z-]{1,64})", re.ASCII)
_OPAQUE_ID = re.compile(r"[0-9A-Za-z-]{1,64}", re.ASCII)


def reason_text(code: str) -> str:
    """Never the code itself: a later version may have stored one that this version does not know."""
    return REASONS.get(code, "other reasons")


def versions_of(title: str) -> list[str]:
    """The version words of a title, such as live, remix and edit."""
    parsed = parse_title(title)
    words = [kind for kind, _ in parsed.versions if kind != "version"]
    return [*words, *([parsed.soft] if parsed.soft else [])]


def track_page(uri: str | None) -> str | None:
    """The track's page at the service; None if unknown."""
    found = _TIDAL_TRACK.fullmatch(uri or "")
    return f"https://tidal.com/{found[1]}/{found[2]}" if found else in_spotify(uri)


def playlist_page(provider: str, playlist: str | None) -> str | None:
    """The playlist's page at the service."""
    if provider == "tidal" and _OPAQUE_ID.fullmatch(playlist or ""):
        return f"https://tidal.com/playlist/{playlist}"
    return None


def plain_mistake(error: Exception) -> str:
    """A refusal for people, without ids of migrations."""
    if isinstance(error, PlaylistTaken):
        return "another move is writing to this playlist: wait until it is done, or stop it"
    return _NUMBERED.sub("this move", str(error))
