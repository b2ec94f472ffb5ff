"""Why plays may be missing, in plain words, and what helps.

Belongs here: one entry for each reason of fct_coverage_gaps. Invariant: a reason that is not known here is shown by its
name, never left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from myi_pipeline.api.listing import Row

_ARCHIVE = "An extended archive that reaches over this time closes it."


@dataclass(frozen=True)
class GapWords:
    """`title` for a heading, `why` and `mend` as sentences."""

    title: str
    why: str
    mend: str


WORDS = {
    "between_archives": GapWords(
        "Between archives", "No archive covers this time, and Spotify was not polled then.", _ARCHIVE
    ),
    "after_last_archive": GapWords(
        "Since the last archive",
        "Nothing has come in since the newest archive.",
        "Hand in a newer archive, and connect Spotify so that new plays come by themselves.",
    ),
    "not_polled": GapWords(
        "Before or between polling", "No archive covers this time, and polling had not begun or had stopped.", _ARCHIVE
    ),
    "after_polling": GapWords(
        "Since Spotify was disconnected",
        "The login was disconnected, and no archive has come since.",
        "Connect Spotify again; an extended archive fills in what happened meanwhile.",
    ),
    "window_overflow": GapWords(
        "More than Spotify shows",
        "Spotify shows the last 50 plays. More than that were played between two polls.",
        _ARCHIVE,
    ),
    "outage": GapWords(
        "Polls failed", "Spotify could not be polled for longer than its list of plays reaches back.", _ARCHIVE
    ),
    "login_ended": GapWords(
        "The login had ended",
        "Spotify ends every login after six months, or when it is taken back.",
        "Connect Spotify again; " + _ARCHIVE[0].lower() + _ARCHIVE[1:],
    ),
    "paused": GapWords(
        "Polling was paused", "Somebody paused it here.", "Resume polling; " + _ARCHIVE[0].lower() + _ARCHIVE[1:]
    ),
    "late_plays": GapWords(
        "Plays that came late",
        "What was heard offline came to light hours later; others of that time may have left Spotify’s list unseen.",
        _ARCHIVE,
    ),
    "refused_items": GapWords(
        "An entry that could not be read", "Spotify’s list held something here that could not be read as a play.",
        _ARCHIVE,
    ),
    "polled_only": GapWords(
        "Known from polling alone",
        "Every poll went well. What was heard offline and came to light late may still be missing.",
        "Nothing needs to be done; the next extended archive confirms this time.",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class GapGroup:
    """All spans of one reason. `is_evident`: something is known to be missing there or not covered."""

    reason: str
    words: GapWords
    is_evident: bool
    spans: Sequence[tuple[datetime, datetime | None]]


def is_evident(gap: Row) -> bool:
    return bool(gap.get("is_evident", True))


def groups_of(gaps: Sequence[Row]) -> list[GapGroup]:
    """By reason, those that are evident first, the one with the latest span before the others."""
    found: dict[tuple[bool, str], list[Row]] = {}
    for gap in gaps:
        found.setdefault((is_evident(gap), gap["reason"]), []).append(gap)
    groups = [
        GapGroup(reason, _words(reason), evident, [(row["gap_start"], row["gap_end"]) for row in reversed(rows)])
        for (evident, reason), rows in found.items()
    ]
    return sorted(groups, key=lambda group: (group.is_evident, group.spans[0][0]), reverse=True)


def _words(reason: str) -> GapWords:
    return WORDS.get(reason) or GapWords(reason.replace("_", " ").capitalize(), "Plays may be missing here.", _ARCHIVE)
