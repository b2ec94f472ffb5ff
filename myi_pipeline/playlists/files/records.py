"""A playlist as a file holds it, and what all readers share: the source, its limits and warnings, and conversions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from myi_pipeline.errors import BadInput
from myi_pipeline.playlists.files.addresses import kind_of
from myi_pipeline.providers.playlists import EntryKind, ListedTrack, PlaylistEntry

# Excel's longest cell, and longer than any name that a service accepts.
_MAX_TEXT_CHARS: Final = 32_767
_MAX_WARNINGS: Final = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Playlist:
    """One playlist of a file. `url`: where it came from; `name` is empty if the file does not say."""

    name: str = ""
    description: str | None = None
    creator: str | None = None
    url: str | None = None
    image_url: str | None = None
    created_at: datetime | None = None
    entries: tuple[PlaylistEntry, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one file may hold; all limits are far above what services produce. `max_members` applies to a ZIP,
    `max_values` to JSON, `max_lines` to all other text.
    """

    max_bytes: int = 64 * 2**20
    max_unpacked_bytes: int = 256 * 2**20
    max_entries: int = 200_000
    max_playlists: int = 20_000
    max_text_chars: int = _MAX_TEXT_CHARS
    max_lines: int = 3_000_000
    max_values: int = 5_000_000
    max_depth: int = 50
    max_members: int = 20_000


class Notes:
    """What could not be understood or is not kept: each kind once, with its first place and how often it occurred."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}
        self._count: dict[str, int] = {}

    def add(self, what: str, *, place: str) -> None:
        """`what` is the same text for the same kind of problem; it ends without a full stop."""
        if what in self._first:
            self._count[what] += 1
        elif len(self._first) < _MAX_WARNINGS:
            self._first[what], self._count[what] = place, 1

    def sentences(self) -> tuple[str, ...]:
        """One sentence per kind, in the order of first occurrence."""
        return tuple(
            f"{place}: {what}." if self._count[what] == 1 else f"{place}: {what} ({self._count[what]:,} times)."
            for what, place in self._first.items()
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """The bytes of one file, and what else readers need. `place` names the file in messages; `name` is the playlist's
    name if the file has none.
    """

    place: str
    data: bytes
    name: str = ""
    limits: Limits = field(default_factory=Limits)
    notes: Notes = field(default_factory=Notes)

    def refusal(self, what: str, *, at: str = "", rule: str) -> BadInput:
        """The error for a file that cannot be read; `at` is the place in it, such as `line 3`."""
        place = f"{self.place}, {at}" if at else self.place
        return BadInput(f"{place}: {what}.", place=place, rule=rule)

    def note(self, what: str, *, at: str = "") -> None:
        """Record that something was not understood, or is not kept."""
        self.notes.add(what, place=f"{self.place}, {at}" if at else self.place)

    def checked(self, text: str, *, at: str) -> str:
        """The text, if it is not too long. Raises BadInput."""
        if len(text) > self.limits.max_text_chars:
            raise self.refusal(
                f"a text of {len(text):,} characters; at most {self.limits.max_text_chars:,} are read",
                at=at,
                rule="max_text_chars",
            )
        return text

    def check_entries(self, count: int) -> None:
        """Raises BadInput if there are too many entries."""
        if count > self.limits.max_entries:
            raise self.refusal(
                f"more than {self.limits.max_entries:,} entries; at most that many are read", rule="max_entries"
            )


def entry(
    track: ListedTrack,
    *,
    kind: EntryKind | None = None,
    added_at: datetime | None = None,
    added_by: str | None = None,
    original: object = None,
) -> PlaylistEntry:
    """An entry, whose kind follows from its URI if the file does not state it. An entry without any information is one
    that was removed.
    """
    if kind is None:
        has_facts = track.uri or track.title or track.artists or track.isrc or track.recording_mbid
        kind = kind_of(track.uri) if has_facts else EntryKind.REMOVED
    if kind is not track.kind:
        track = replace(track, kind=kind)
    return PlaylistEntry(track=track, added_at=added_at, added_by=added_by, original=original)


_ISRC: Final = re.compile(r"[A-Z]{2}[A-Z0-9]{3}[0-9]{7}")
_MBID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def isrc_of(text: str | None) -> str | None:
    """An ISRC in capitals without hyphens; None if the text is not one."""
    code = (text or "").strip().replace("-", "").upper()
    return code if _ISRC.fullmatch(code) else None


def mbid_of(text: str | None) -> str | None:
    """A MusicBrainz id in lower case; None if the text is not one."""
    code = (text or "").strip().lower()
    return code if _MBID.fullmatch(code) else None


def moment_of(text: str | None) -> datetime | None:
    """An ISO 8601 time or date, in UTC if it has no offset; None if the text is neither."""
    try:
        found = datetime.fromisoformat((text or "").strip())
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def written(moment: datetime) -> str:
    """A time as all formats here write it: ISO 8601, UTC, with `Z`."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def whole(text: str | None, *, most: int = 2**31 - 1) -> int | None:
    """A whole number from 0 to `most`; None if the text is not one."""
    digits = (text or "").strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 12):
        return None
    return int(digits) if int(digits) <= most else None
