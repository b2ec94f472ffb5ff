"""The rows of app.imports, app.import_files and ops.quarantine that one import writes while it runs.

An archive of a user is imported by one process at a time (a session's advisory lock). The counters in a row are those
of the latest attempt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

import psycopg
from psycopg.types.json import Jsonb

from myi_pipeline.archives.accounting import Accounting, Span
from myi_pipeline.archives.owners import (
    ArchiveFingerprint,
    SampledRow,
    identifying_members,
    may_begin,
    other_owner_message,
)
from myi_pipeline.catalogue.plays import QuarantinedRow
from myi_pipeline.errors import Busy, MyiError, NotConfirmed, Permanent
from myi_pipeline.postgres.connections import Connection, Role, Warehouse
from myi_pipeline.postgres.sql_files import load_sql

_SUPERSEDED = "the import was superseded while running: its user was deleted, or another attempt has begun"
# Any constant will do; it spells "myi i". Held for moments, so that of two users who import one archive, one is first.
_WHOSE_LOCK = 0x6D79692069

_COPY_QUARANTINE = (
    "copy ops.quarantine"
    " (user_id, import_id, file_no, file_name, row_index, reason, detail, row_content, due_at, whole_row) from stdin"
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


@contextmanager
def archive_lock(connection: Connection, *, user_id: int, sha256: bytes, wait_s: float) -> Iterator[None]:
    """Hold one archive of one user. Raises Busy if another process still holds it after `wait_s` seconds."""
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
    contents: Sequence[tuple[int, int]],
    rows: Sequence[SampledRow] = (),
    archive_name: str,
    kind: str,
    bytes_total: int,
    correlation_id: str | None,
    run_id: str | None = None,
    is_confirmed: bool = False,
    time_zone: str | None = None,
    zoned_sources: Sequence[int] = (),
) -> ImportRun:
    """Start an attempt: the archive's row, with counters at zero, and no quarantine of an earlier attempt. The
    quarantine of a completed attempt is kept aside until `finish`.

    `contents` are the play files by size and CRC-32, `rows` a sample of their rows. `time_zone` is the zone in which
    the files of `zoned_sources` are read; plays that they brought in another zone are deleted. Raises NotConfirmed,
    with the archive's row waiting for it, if another user has imported this archive, one of its files or most of these
    rows and nobody has confirmed that it belongs to this user as well.
    """
    members = identifying_members(contents)
    values = {
        "user_id": user_id,
        "sha256": sha256,
        "archive_name": archive_name,
        "kind": kind,
        "bytes_total": bytes_total,
        "correlation_id": correlation_id,
        "run_id": run_id,
        "confirmation": "given" if is_confirmed else None,
        "time_zone": time_zone,
        "zoned_sources": list(zoned_sources),
    }
    refusal = NotConfirmed(other_owner_message(archive_name), place=archive_name, rule="an archive of one user")
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", (_WHOSE_LOCK,))
        begins = is_confirmed or may_begin(
            connection, ArchiveFingerprint(sha256=sha256, members=members, rows=rows), user_id=user_id
        )
        if begins and time_zone is not None:
            for name in ("drop_holders_of_other_zone", "drop_plays_of_other_zone"):
                connection.execute(load_sql(f"archives/imports/{name}"), values)
        statement = "archives/imports/begin_import" if begins else "archives/imports/wait_for_confirmation"
        row = connection.execute(load_sql(statement), values | {"error": str(refusal)}).fetchone()
        assert row is not None
        keep_members(connection, row[0], members)
        if begins:
            connection.execute(load_sql("archives/imports/clear_quarantine"), {"import_id": row[0]})
    if not begins:
        raise refusal
    return ImportRun(import_id=row[0], attempt=row[1], user_id=user_id)


def keep_members(connection: Connection, import_id: int, contents: Sequence[tuple[int, int]]) -> None:
    """Store the play files that an archive contains, by size and CRC-32."""
    connection.execute(
        "insert into app.import_members (import_id, size_bytes, crc32)"
        " select %s, size_bytes, crc32 from unnest(%s::bigint[], %s::bigint[]) as member (size_bytes, crc32)"
        " on conflict do nothing",
        (import_id, [size for size, _ in contents], [crc for _, crc in contents]),
    )


def members_of(connection: Connection, *, import_id: int) -> frozenset[tuple[int, int]]:
    """The play files of an archive by size and CRC-32; none for one imported before they were stored."""
    rows = connection.execute(
        "select size_bytes, crc32 from app.import_members where import_id = %s", (import_id,)
    ).fetchall()
    return frozenset((int(size), int(crc)) for size, crc in rows)


def forget_unbegun(connection: Connection, *, import_id: int) -> bool:
    """Forget an archive whose import has not begun; returns whether there was one."""
    gone = connection.execute("delete from app.imports where import_id = %s and attempt = 0", (import_id,))
    return gone.rowcount == 1


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
            whole = None if row.whole_row is None else Jsonb(row.whole_row)
            where = (run.user_id, run.import_id, file_no, file_name, row.row_index)
            copy.write_row((*where, row.reason, row.detail, Jsonb(row.row), row.due_at, whole))


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

    Raises Permanent, so that the chunk is rolled back, if the attempt is no longer the import's latest or the import is
    gone: raw has no foreign key to users, and the plays of a user deleted in the meantime would stay forever.
    """
    values = {"loaded": chunk.loaded, "present": chunk.present, "identical": chunk.identical, "file_no": file_no}
    if connection.execute(load_sql("archives/imports/account_chunk"), values | run.keys).rowcount != 1:
        raise Permanent(_SUPERSEDED)


def check_not_superseded(connection: Connection, run: ImportRun) -> None:
    """Called before names are stored: no row would ever refer to those of a superseded attempt. Raises Permanent."""
    row = connection.execute(
        "select from app.imports where import_id = %s and attempt = %s", (run.import_id, run.attempt)
    ).fetchone()
    if row is None:
        raise Permanent(_SUPERSEDED)


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
        load_sql("archives/imports/finish_file"),
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
        load_sql("archives/imports/finish_import"),
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
    connection.execute("delete from ops.quarantine_before where import_id = %s", (run.import_id,))


def mark_failed(connection: Connection, run: ImportRun, *, error: str) -> None:
    """End an attempt that stopped in the middle: its counters stay as they are, unless it repeated a complete import,
    which is restored (see 0007_62_repeated_imports.sql)."""
    connection.execute(
        "update app.imports set status = 'failed', error = %s, finished_at = now()"
        " where import_id = %s and attempt = %s and status = 'running'",
        (error, run.import_id, run.attempt),
    )


def give_up(warehouse: Warehouse, connection: Connection, run: ImportRun, error: BaseException) -> None:
    """Record in the archive's row why the attempt ended, on a new connection if the old one is lost."""
    reason = str(error) if isinstance(error, MyiError) else f"{type(error).__name__}: {error}"
    try:
        if connection.closed or connection.broken:
            with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi import")) as fresh:
                mark_failed(fresh, run, error=reason[:2000])
        else:
            mark_failed(connection, run, error=reason[:2000])
    except psycopg.Error:
        # The database is gone: the row stays "running" and its heartbeat stops; maintenance marks it as failed.
        error.add_note("the import's row could not be marked as failed: the database does not answer")


def cover(connection: Connection, run: ImportRun) -> None:
    """Recompute the time covered by the user's archives, including the finished files of this one."""
    connection.execute("select ops.cover_user(%s)", (run.user_id,))


def other_accounts(connection: Connection, run: ImportRun, *, account_hash: bytes) -> list[str]:
    """Names of this user's other archives that contain the user name of a different account."""
    rows = connection.execute(
        "select archive_name from app.imports where user_id = %s and import_id <> %s and account_hash <> %s"
        " order by import_id limit 3",
        (run.user_id, run.import_id, account_hash),
    ).fetchall()
    return [row[0] for row in rows]
