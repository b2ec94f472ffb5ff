"""What a writer knows about the archive it has just written: counts, and the plays that it contains.

For every file, rows = distinct + identical + sum(quarantined). Distinct rows are those that a correct loader keeps when
it loads nothing but this archive.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from myi_pipeline.simulator.plays import TruePlay


@dataclass(frozen=True, kw_only=True)
class FileTruth:
    """One play file. `identical`: rows equal in every field to an earlier row of the same file."""

    name: str
    rows: int
    identical: int
    quarantined: Mapping[str, int]
    unpacked_bytes: int

    @property
    def distinct(self) -> int:
        return self.rows - self.identical - sum(self.quarantined.values())


@dataclass(frozen=True, kw_only=True)
class ArchiveTruth:
    """One archive. `quirks` counts rows by what is odd about them; `first_played_at` and `last_played_at` are UTC."""

    path: Path
    kind: str
    files: tuple[FileTruth, ...]
    other_files: tuple[str, ...]
    quirks: Mapping[str, int]
    first_played_at: datetime | None
    last_played_at: datetime | None
    replay: Callable[[], Iterator[TruePlay]] = field(repr=False, compare=False)

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.files)

    @property
    def identical(self) -> int:
        return sum(file.identical for file in self.files)

    @property
    def distinct(self) -> int:
        return sum(file.distinct for file in self.files)

    @property
    def quarantined(self) -> Counter[str]:
        total: Counter[str] = Counter()
        for file in self.files:
            total.update(file.quarantined)
        return total

    @property
    def unpacked_bytes(self) -> int:
        return sum(file.unpacked_bytes for file in self.files)

    def plays(self) -> Iterator[TruePlay]:
        """Every valid row as written in this archive, in time order, without repeats: `distinct` of them."""
        return self.replay()
