"""Where every row that was read ended up. Results add up: a file's from its chunks, an archive's from its files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


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
        """Rows that were read and not accounted for; the accounting closes when this is 0."""
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
    """Consecutive staged rows of one file: `first_row` to `last_row` (inclusive; empty if last < first)."""

    first_row: int
    last_row: int
    span: Span = field(default_factory=Span)

    @property
    def count(self) -> int:
        return self.last_row - self.first_row + 1


@dataclass(frozen=True)
class ImportProgress:
    """The progress of an import. `stage` is reading or loading; bytes are unpacked; rows count within the stage."""

    stage: str
    bytes_read: int
    bytes_total: int
    rows: int
    rows_total: int | None


ProgressListener = Callable[[ImportProgress], None]


@dataclass(frozen=True)
class FileResult:
    """One file of the archive; `error` is set if it broke at `error_offset` (in bytes); rows before that are kept."""

    file_no: int
    name: str
    kind: str
    accounting: Accounting
    span: Span
    reasons: Mapping[str, int] = field(default_factory=dict)
    error: str | None = None
    error_offset: int | None = None


@dataclass(frozen=True)
class ImportResult:
    """One attempt at one archive. `status`: completed, completed_with_errors or dry_run; `import_id` is None in a dry
    run.

    `seconds` holds the time of each stage: reading (with staging), interning, loading.
    """

    import_id: int | None
    user_key: str
    archive_name: str
    sha256: str
    kind: str
    status: str
    attempt: int
    files: tuple[FileResult, ...]
    skipped_members: tuple[str, ...]
    unknown_keys: Mapping[str, int]
    warnings: tuple[str, ...]
    seconds: Mapping[str, float]

    @property
    def accounting(self) -> Accounting:
        return sum((file.accounting for file in self.files), Accounting())

    @property
    def span(self) -> Span:
        return sum((file.span for file in self.files), Span())

    @property
    def reasons(self) -> dict[str, int]:
        """Quarantined rows by reason, most first."""
        totals: dict[str, int] = {}
        for file in self.files:
            for reason, count in file.reasons.items():
                totals[reason] = totals.get(reason, 0) + count
        return dict(sorted(totals.items(), key=lambda item: (-item[1], item[0])))

    @property
    def rows_per_second(self) -> float:
        total = sum(self.seconds.values())
        return self.accounting.read / total if total > 0 else 0.0

    def as_dict(self) -> dict[str, Any]:
        """For --json and for Dagster's metadata."""

        def moment(value: datetime | None) -> str | None:
            return value.isoformat() if value else None

        def counts(accounting: Accounting) -> dict[str, int]:
            return {
                "rows_read": accounting.read,
                "rows_loaded": accounting.loaded,
                "rows_present": accounting.present,
                "rows_identical": accounting.identical,
                "rows_quarantined": accounting.quarantined,
            }

        return {
            "import_id": self.import_id,
            "user": self.user_key,
            "archive": self.archive_name,
            "sha256": self.sha256,
            "kind": self.kind,
            "status": self.status,
            "attempt": self.attempt,
            **counts(self.accounting),
            "quarantine_reasons": self.reasons,
            "first_played_at": moment(self.span.first),
            "last_played_at": moment(self.span.last),
            "unknown_keys": dict(self.unknown_keys),
            "skipped_members": list(self.skipped_members),
            "warnings": list(self.warnings),
            "seconds": {stage: round(value, 3) for stage, value in self.seconds.items()},
            "rows_per_second": round(self.rows_per_second),
            "files": [
                {
                    "name": file.name,
                    "kind": file.kind,
                    **counts(file.accounting),
                    "quarantine_reasons": dict(file.reasons),
                    "error": file.error,
                    "error_offset": file.error_offset,
                }
                for file in self.files
            ],
        }
