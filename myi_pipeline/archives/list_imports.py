"""Reads app.imports, app.import_files and ops.quarantine: what was uploaded, what became of it, what was refused."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from myi_pipeline.errors import BadInput
from myi_pipeline.postgres.connections import Connection, Role, Warehouse
from myi_pipeline.postgres.sql_files import load_sql


@dataclass(frozen=True, kw_only=True)
class ImportSummary:
    """One archive of one user; the counters are those of its latest attempt.

    `attempt` counts imports that began, `tries` the runs requested since the archive was seen or last retried by a
    person. `needs_confirmation`: another user has it, too.
    """

    import_id: int
    user_key: str
    archive_name: str
    sha256: str
    kind: str
    status: str
    attempt: int
    error: str | None
    warnings: list[str]
    covered_from: datetime | None
    covered_to: datetime | None
    bytes_total: int
    bytes_read: int
    rows_read: int
    rows_loaded: int
    rows_present: int
    rows_identical: int
    rows_quarantined: int
    unknown_keys: Mapping[str, int]
    correlation_id: str | None
    upload_name: str | None
    tries: int
    next_try_at: datetime | None
    run_id: str | None
    needs_confirmation: bool
    created_at: datetime
    started_at: datetime | None
    heartbeat_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class ImportedFile:
    """The accounting of one file. `error_offset`: the byte of the unpacked file at which it broke."""

    file_no: int
    file_name: str
    kind: str
    status: str
    error: str | None
    error_offset: int | None
    rows_read: int
    rows_loaded: int
    rows_present: int
    rows_identical: int
    rows_quarantined: int
    covered_from: datetime | None
    covered_to: datetime | None


@dataclass(frozen=True, kw_only=True)
class QuarantineReason:
    reason: str
    rows: int
    example: str


@dataclass(frozen=True, kw_only=True)
class ImportDetail:
    summary: ImportSummary
    files: tuple[ImportedFile, ...]
    quarantine: tuple[QuarantineReason, ...]


@dataclass(frozen=True, kw_only=True)
class QuarantinedPlay:
    """One row that could not be a play, without its personal fields."""

    quarantine_id: int
    user_key: str
    import_id: int
    archive_name: str
    file_name: str
    row_index: int
    reason: str
    detail: str
    row_content: object
    created_at: datetime


def list_imports(
    connection: Connection, *, user_key: str | None = None, limit: int = 50, before: int | None = None
) -> tuple[ImportSummary, ...]:
    """The newest imports first; with an import id, those before it."""
    values = {"user_key": user_key, "import_id": None, "limit": limit, "before": before}
    with connection.cursor(row_factory=class_row(ImportSummary)) as cursor:
        return tuple(cursor.execute(load_sql("archives/listing/list_imports"), values).fetchall())


def find_import(connection: Connection, *, import_id: int, user_key: str | None = None) -> ImportSummary | None:
    """One import, if it exists and belongs to this user (to anybody, without a key)."""
    values = {"user_key": user_key, "import_id": import_id, "limit": 1, "before": None}
    with connection.cursor(row_factory=class_row(ImportSummary)) as cursor:
        return cursor.execute(load_sql("archives/listing/list_imports"), values).fetchone()


def get_import(connection: Connection, *, import_id: int, user_key: str | None = None) -> ImportDetail:
    """One import with its files and the reasons of its quarantined rows. Raises BadInput if there is none."""
    summary = find_import(connection, import_id=import_id, user_key=user_key)
    if summary is None:
        raise BadInput(f"there is no import {import_id}; see: myi imports list", place="import")
    keys = {"import_id": import_id, "attempt": summary.attempt}
    with connection.cursor(row_factory=class_row(ImportedFile)) as cursor:
        files = tuple(cursor.execute(load_sql("archives/listing/list_import_files"), keys).fetchall())
    with connection.cursor(row_factory=class_row(QuarantineReason)) as cursor:
        reasons = tuple(cursor.execute(load_sql("archives/listing/count_quarantine_reasons"), keys).fetchall())
    return ImportDetail(summary=summary, files=files, quarantine=reasons)


def list_quarantine(
    connection: Connection,
    *,
    user_key: str | None = None,
    import_id: int | None = None,
    reason: str | None = None,
    limit: int = 50,
) -> tuple[QuarantinedPlay, ...]:
    """Rows that could not be plays: the newest import first, then in the order of its files."""
    values = {"user_key": user_key, "import_id": import_id, "reason": reason, "limit": limit}
    with connection.cursor(row_factory=class_row(QuarantinedPlay)) as cursor:
        return tuple(cursor.execute(load_sql("archives/listing/list_quarantine"), values).fetchall())


def quarantine_reasons(connection: Connection) -> tuple[str, ...]:
    """The reasons of all rows in quarantine, sorted."""
    return tuple(reason for (reason,) in connection.execute("select distinct reason from ops.quarantine order by 1"))


def read_import(warehouse: Warehouse, *, import_id: int) -> ImportDetail:
    """Raises BadInput if there is none."""
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi imports")) as connection:
        return get_import(connection, import_id=import_id)
