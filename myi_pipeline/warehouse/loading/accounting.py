"""Where every row that was read ended up. Results add up: a file is the sum of its chunks, an archive of its files."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Accounting:
    """Counts of rows: read, newly loaded, already present in raw, identical within the archive, quarantined."""

    read: int = 0
    loaded: int = 0
    present: int = 0
    identical: int = 0
    quarantined: int = 0

    def __add__(self, other: Accounting) -> Accounting:
        return Accounting(
            read=self.read + other.read,
            loaded=self.loaded + other.loaded,
            present=self.present + other.present,
            identical=self.identical + other.identical,
            quarantined=self.quarantined + other.quarantined,
        )

    @property
    def unaccounted(self) -> int:
        """Rows that were read and are nowhere; the accounting closes when this is 0."""
        return self.read - self.loaded - self.present - self.identical - self.quarantined


@dataclass(frozen=True)
class Span:
    """The time from the earliest to the latest play (both aware, UTC), or nothing yet."""

    first: datetime | None = None
    last: datetime | None = None

    def __add__(self, other: Span) -> Span:
        firsts = [s for s in (self.first, other.first) if s is not None]
        lasts = [s for s in (self.last, other.last) if s is not None]
        return Span(min(firsts, default=None), max(lasts, default=None))


@dataclass(frozen=True)
class StagedRows:
    """A run of staged rows of one file: `first_row` to `last_row` (inclusive; empty when last < first)."""

    first_row: int
    last_row: int
    span: Span = field(default_factory=Span)

    @property
    def count(self) -> int:
        return self.last_row - self.first_row + 1
