"""What an export contains of archives: their accounting, the rows in quarantine, and every event of raw, one file per
year.

Events that came from polls or players are in the same files. `bring_imports` gives each batch of the export its id here
(the temporary table `batch_here`); an archive that is already here keeps its row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from myi_pipeline.archives.accounting import Accounting, Span
from myi_pipeline.archives.files.export_package import EVENTS_FOLDER
from myi_pipeline.archives.loading import count_deleted_by_corrections
from myi_pipeline.catalogue.event_partitions import ensure_partitions
from myi_pipeline.errors import BadInput, Permanent
from myi_pipeline.postgres.connections import Connection, retry_conflicts
from myi_pipeline.postgres.parts import Part, read_rows, run_statements, stage
from myi_pipeline.postgres.sql_files import load_sql

IMPORTS: Final = (
    Part(name="archives/batches", tables=(), read="archives/parts/batches"),
    Part(name="archives/imports", tables=("app.imports", "app.import_members"), read="archives/parts/imports"),
    Part(name="archives/import_files", tables=("app.import_files",), read="archives/parts/import_files"),
    Part(name="archives/quarantine", tables=("ops.quarantine",), read="archives/parts/quarantine"),
)
AFTER_EVENTS: Final = (
    Part(
        name="archives/covered_spans",
        tables=("raw.covered_spans",),
        read="archives/parts/covered_spans",
        bring="archives/parts/bring_covered_spans",
    ),
    Part(
        name="archives/holders",
        tables=("raw.event_holders",),
        read="archives/parts/holders",
        bring="archives/parts/bring_holders",
    ),
)
# The error of an imported archive, until its plays are here.
NOT_IN: Final = "the export it belongs to has not been imported completely"
EVENTS_TABLE: Final = "raw.listening_events"


@dataclass(frozen=True)
class EventYear:
    """The events of one year (UTC), in one file."""

    year: int

    @property
    def name(self) -> str:
        return f"{EVENTS_FOLDER}/{self.year}"


def event_years(connection: Connection, *, user_id: int) -> list[EventYear]:
    rows = connection.execute(load_sql("archives/parts/event_years"), {"user_id": user_id}).fetchall()
    return [EventYear(int(row[0])) for row in rows]


def read_events(connection: Connection, year: EventYear, *, user_id: int) -> Iterator[bytes]:
    values = {
        "user_id": user_id,
        "begins_at": datetime(year.year, 1, 1, tzinfo=UTC),
        "ends_at": datetime(year.year + 1, 1, 1, tzinfo=UTC),
    }
    return read_rows(connection, load_sql("archives/parts/events"), values)


def bring_imports(connection: Connection, *, user_id: int) -> None:
    with connection.transaction():
        run_statements(connection, "archives/parts/bring_imports", {"user_id": user_id, "not_in": NOT_IN})


def settle_imports(connection: Connection) -> None:
    """Marks the export's archives whose plays are all here as imported; in the transaction that closes the import."""
    connection.execute(load_sql("archives/parts/settle_imports"), {"not_in": NOT_IN})


def bring_events(
    connection: Connection,
    lines: Iterable[bytes],
    *,
    user_id: int,
    place: str,
    account: Callable[[Accounting], None],
) -> tuple[Accounting, Span]:
    """Load one file of events into raw, in one transaction; `account` runs inside it.

    Raises BadInput for a row that refers to something the export lacks, Permanent if the accounting does not close.
    """
    with connection.transaction():
        stage(connection, "told_events", lines)
        run_statements(connection, "archives/parts/stage_events", {})
    row = connection.execute(load_sql("archives/parts/count_staged")).fetchone()
    assert row is not None
    staged, unknown, first, last = row
    if unknown:
        raise BadInput(
            f"{place}: {unknown:,} rows refer to a source, an archive or a content that the export does not describe.",
            place=place,
            rule="an export of MYI, unchanged",
        )
    if not staged:
        return Accounting(), Span()
    ensure_partitions(connection, _months(first, last))
    values = {"user_id": user_id, "first_played_at": first, "last_played_at": last}

    def load() -> Accounting:
        with connection.transaction():
            loaded = connection.execute(load_sql("archives/parts/load_events"), values).rowcount
            # Rows that a permanent deletion removed as they were inserted count as loaded but are not found: they are
            # added back.
            present = _count_present(connection, values) - loaded + count_deleted_by_corrections(connection)
            if loaded < staged:
                connection.execute(load_sql("archives/parts/hold_present"), values)
            accounting = Accounting(read=staged, loaded=loaded, present=present)
            if accounting.unaccounted:
                raise Permanent(
                    f"the accounting of {place} does not add up: {accounting.unaccounted} of {staged} rows are"
                    " unaccounted for"
                )
            account(accounting)
        return accounting

    return retry_conflicts(load), Span(first, last)


def _count_present(connection: Connection, values: Mapping[str, object]) -> int:
    row = connection.execute(load_sql("archives/parts/count_present"), values).fetchone()
    return int(row[0]) if row else 0


def _months(first: datetime, last: datetime) -> Iterator[date]:
    month = date(first.astimezone(UTC).year, first.astimezone(UTC).month, 1)
    while month <= last.astimezone(UTC).date():
        yield month
        month = date(month.year + month.month // 12, month.month % 12 + 1, 1)
