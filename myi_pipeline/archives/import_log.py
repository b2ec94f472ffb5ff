"""The rows of app.imports, app.import_files and ops.quarantine: one archive's story, kept while it happens.

Belongs here: their statements. Not here: deciding what happened. Invariant: an archive of a user is imported by one
process at a time (an advisory lock of the session), and a row's counters are those of its latest attempt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from myi_pipeline.core.errors import Busy, Permanent, UnknownUser
from myi_pipeline.core.plays import QuarantinedRow
from myi_pipeline.warehouse.loading.accounting import Accounting, Span
from myi_pipeline.warehouse.sql_files import load_sql

Connection = psycopg.Connection[Any]

_COPY_QUARANTINE = (
    "copy ops.quarantine (user_id, import_id, file_no, file_name, row_index, reason, detail, row_content) from stdin"
)


@dataclass(frozen=True)
class ImportRun:
    """One attempt at one archive of one user."""

    import_id: int
    attempt: int
    user_id: int

    @property
    def keys(self) -> dict[str, int]:
        return {"import_id": self.import_id, "attempt": self.attempt}


def find_user(connection: Connection, user_key: str) -> int:
    """The user's number. Raises BadInput when there is no such user."""
    row = connection.execute("select user_id from app.users where user_key = %s", (user_key,)).fetchone()
    if row is None:
        raise UnknownUser(f"there is no user {user_key!r}; add one with: myi user add {user_key}", place="--user")
    return int(row[0])


@contextmanager
def archive_lock(connection: Connection, *, user_id: int, sha256: bytes, wait_s: float) -> Iterator[None]:
    """Hold one archive of one user. Raises Busy when another process still holds it after `wait_s` seconds."""
    number = int.from_bytes(sha256[:8], "big", signed=True) ^ user_id
    try:
        with connection.transaction():
            connection.execute("select set_config('lock_timeout', %s, true)", (f"{max(1, int(wait_s * 1000))}ms",))
            connection.execute("select pg_advisory_lock(%s)", (number,))
    except psycopg.errors.LockNotAvailable as error:
        raise Busy("this archive is being imported for this user by another process") from error
    try:
        yield
    finally:
        if not connection.closed and not connection.broken:
            connection.execute("select pg_advisory_unlock(%s)", (number,))


def begin(
    connection: Connection,
    *,
    user_id: int,
    sha256: bytes,
    archive_name: str,
    kind: str,
    bytes_total: int,
    correlation_id: str | None,
) -> ImportRun:
    """Start an attempt: the archive's row, with counters at nought, and no quarantine of an earlier attempt."""
    values = {
        "user_id": user_id,
        "sha256": sha256,
        "archive_name": archive_name,
        "kind": kind,
        "bytes_total": bytes_total,
        "correlation_id": correlation_id,
    }
    with connection.transaction():
        row = connection.execute(load_sql("imports/begin_import"), values).fetchone()
        assert row is not None
        connection.execute("delete from ops.quarantine where import_id = %s", (row[0],))
    return ImportRun(import_id=row[0], attempt=row[1], user_id=user_id)


def begin_file(connection: Connection, run: ImportRun, *, file_no: int, name: str, kind: str) -> None:
    connection.execute(
        "insert into app.import_files (import_id, attempt, file_no, file_name, kind, status)"
        " values (%s, %s, %s, %s, %s, 'running')",
        (run.import_id, run.attempt, file_no, name, kind),
    )


def report_progress(connection: Connection, run: ImportRun, *, bytes_read: int, rows_read: int) -> None:
    """The heartbeat: counters that a person watches while the archive is read."""
    connection.execute(
        "update app.imports set bytes_read = %s, rows_read = %s, heartbeat_at = now()"
        " where import_id = %s and attempt = %s",
        (bytes_read, rows_read, run.import_id, run.attempt),
    )


def quarantine(
    connection: Connection, run: ImportRun, *, file_no: int, file_name: str, rows: Sequence[QuarantinedRow]
) -> None:
    with connection.cursor() as cursor, cursor.copy(_COPY_QUARANTINE) as copy:
        for row in rows:
            copy.write_row(
                (run.user_id, run.import_id, file_no, file_name, row.row_index, row.reason, row.detail, Jsonb(row.row))
            )


def count_quarantined(connection: Connection, run: ImportRun) -> dict[int, dict[str, int]]:
    """Rows in quarantine, by file number and reason: counted in the table, not remembered."""
    rows = connection.execute(
        "select file_no, reason, count(*) from ops.quarantine where import_id = %s group by 1, 2 order by 3 desc, 2",
        (run.import_id,),
    ).fetchall()
    counts: dict[int, dict[str, int]] = {}
    for file_no, reason, count in rows:
        counts.setdefault(file_no, {})[reason] = count
    return counts


def account_chunk(connection: Connection, run: ImportRun, *, file_no: int, chunk: Accounting) -> None:
    """Add one chunk's counts; runs inside the chunk's own transaction.

    Raises Permanent, so that the chunk is undone, when the attempt is no longer the import's latest or the import is
    gone: raw has no foreign key to users, and the plays of one who is deleted meanwhile would stay for ever.
    """
    values = {"loaded": chunk.loaded, "present": chunk.present, "identical": chunk.identical, "file_no": file_no}
    if connection.execute(load_sql("imports/account_chunk"), values | run.keys).rowcount != 1:
        raise Permanent("the import was taken away while it ran: its user was deleted, or another attempt has begun")


def finish_file(
    connection: Connection,
    run: ImportRun,
    *,
    file_no: int,
    accounting: Accounting,
    span: Span,
    error: str | None,
    error_offset: int | None,
) -> None:
    connection.execute(
        load_sql("imports/finish_file"),
        {
            "file_no": file_no,
            "status": "failed" if error else "completed",
            "error": error,
            "error_offset": error_offset,
            "read": accounting.read,
            "quarantined": accounting.quarantined,
            "covered_from": span.first,
            "covered_to": span.last,
        }
        | run.keys,
    )


def finish(
    connection: Connection,
    run: ImportRun,
    *,
    status: str,
    accounting: Accounting,
    span: Span,
    bytes_read: int,
    unknown_keys: Mapping[str, int],
    warnings: Sequence[str],
    account_hash: bytes | None,
    error: str | None,
) -> None:
    connection.execute(
        load_sql("imports/finish_import"),
        {
            "status": status,
            "error": error,
            "warnings": list(warnings),
            "account_hash": account_hash,
            "covered_from": span.first,
            "covered_to": span.last,
            "bytes_read": bytes_read,
            "read": accounting.read,
            "loaded": accounting.loaded,
            "present": accounting.present,
            "identical": accounting.identical,
            "quarantined": accounting.quarantined,
            "unknown_keys": Jsonb(dict(unknown_keys)),
        }
        | run.keys,
    )


def mark_failed(connection: Connection, run: ImportRun, *, error: str) -> None:
    """End an attempt that stopped in the middle: its counters stay as they are."""
    connection.execute(
        "update app.imports set status = 'failed', error = %s, finished_at = now()"
        " where import_id = %s and attempt = %s and status = 'running'",
        (error, run.import_id, run.attempt),
    )


def replace_covered_spans(
    connection: Connection, run: ImportRun, spans: Sequence[tuple[int, datetime, datetime]]
) -> None:
    """Say which time this import covers, as (source_id, first, last), instead of what it said before."""
    old = connection.execute(
        "select source_id, covered_from, covered_to from raw.covered_spans where import_id = %s order by 1, 2, 3",
        (run.import_id,),
    ).fetchall()
    if [tuple(row) for row in old] == sorted(spans):
        return
    connection.execute("delete from raw.covered_spans where import_id = %s", (run.import_id,))
    for source_id, first, last in sorted(spans):
        connection.execute(
            "insert into raw.covered_spans (user_id, import_id, source_id, covered_from, covered_to)"
            " values (%s, %s, %s, %s, %s)",
            (run.user_id, run.import_id, source_id, first, last),
        )


def other_accounts(connection: Connection, run: ImportRun, *, account_hash: bytes) -> list[str]:
    """Names of this user's other archives that carry a different account's user name."""
    rows = connection.execute(
        "select archive_name from app.imports where user_id = %s and import_id <> %s and account_hash <> %s"
        " order by import_id limit 3",
        (run.user_id, run.import_id, account_hash),
    ).fetchall()
    return [row[0] for row in rows]
