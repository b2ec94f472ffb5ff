"""Rows of archives dated in the future when they were read, loaded once their time has come.

Such a row is read again as an import of today would read it. It leaves quarantine, enters raw and moves in its import's
accounting in one transaction, so that the accounting always closes.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from psycopg.types.json import Jsonb

from myi_pipeline.archives.accounting import Accounting
from myi_pipeline.archives.files import FileKind, Limits, export_numbers, read_rows
from myi_pipeline.archives.import_log import ImportRun, archive_lock
from myi_pipeline.archives.loading import StagingWriter, load_chunk, loading_connection
from myi_pipeline.catalogue.event_partitions import ensure_partitions
from myi_pipeline.catalogue.plays import PlayRecord, QuarantinedRow, Source
from myi_pipeline.catalogue.row_rules import latest_believed
from myi_pipeline.catalogue.staging import StagingTables
from myi_pipeline.errors import Busy, MyiError, Permanent
from myi_pipeline.postgres.connections import Connection, Warehouse
from myi_pipeline.postgres.sql_files import load_sql

log = logging.getLogger(__name__)

# How many are in memory at a time, at most 16 kB each.
_ROWS_AT_ONCE = 5_000


@dataclass(frozen=True)
class _DueRow:
    quarantine_id: int
    file_no: int
    kind: str
    row: dict[str, object]


def bring_in_due_rows(warehouse: Warehouse, *, now: datetime, limits: Limits) -> int:
    """Read every row again that an import would accept at `now`; returns how many left quarantine.

    An import that is being repeated is skipped, since it reads all of its rows anyway. A failure with one import does
    not stop the others.
    """
    brought = 0
    with closing(loading_connection(warehouse)) as connection:
        values = {"until": latest_believed(now)}
        for import_id, attempt, user_id, sha256 in connection.execute(
            load_sql("archives/maintain/imports_with_due_rows"), values
        ).fetchall():
            try:
                with archive_lock(connection, user_id=user_id, sha256=sha256, wait_s=0):
                    run = ImportRun(import_id, attempt, user_id)
                    while rows := _due_rows(connection, run, until=latest_believed(now)):
                        brought += _bring_in(warehouse, connection, run, rows, now=now, limits=limits)
            except Busy:
                continue
            except Exception as error:
                if connection.closed or connection.broken:
                    raise
                # Rows may contain anything: only MYI's own messages are repeated.
                reason = str(error) if isinstance(error, MyiError) else type(error).__name__
                log.warning(
                    "rows of import %s that are now due could not be loaded and wait for the next day: %s",
                    import_id,
                    reason,
                )
    return brought


def _due_rows(connection: Connection, run: ImportRun, *, until: datetime) -> list[_DueRow]:
    values = {"import_id": run.import_id, "attempt": run.attempt, "until": until, "most": _ROWS_AT_ONCE}
    return [_DueRow(*row) for row in connection.execute(load_sql("archives/maintain/due_rows"), values).fetchall()]


def _bring_in(
    warehouse: Warehouse,
    connection: Connection,
    run: ImportRun,
    rows: Sequence[_DueRow],
    *,
    now: datetime,
    limits: Limits,
) -> int:
    by_file: defaultdict[int, list[_DueRow]] = defaultdict(list)
    for row in rows:
        by_file[row.file_no].append(row)
    good: dict[int, tuple[Source, list[int], list[PlayRecord]]] = {}
    for file_no, of_file in sorted(by_file.items()):
        if of_file[0].kind not in set(FileKind):
            # From an export that was edited.
            connection.execute(
                "update ops.quarantine set reason = 'bad_type', detail = 'Unknown kind of file.', due_at = null,"
                " whole_row = null where quarantine_id = any(%s)",
                ([row.quarantine_id for row in of_file],),
            )
            continue
        outcome = read_rows([row.row for row in of_file], kind=of_file[0].kind, now=now, limits=limits)
        pairs = list(zip(of_file, outcome.results, strict=True))
        for row, result in pairs:
            if isinstance(result, QuarantinedRow):
                _keep(connection, row, result)
        plays = [(row.quarantine_id, result) for row, result in pairs if isinstance(result, PlayRecord)]
        if plays:
            good[file_no] = outcome.source, [number for number, _ in plays], [play for _, play in plays]
    return _load(warehouse, connection, run, good) if good else 0


def _keep(connection: Connection, row: _DueRow, refused: QuarantinedRow) -> None:
    """The row's time has come, but it is not a play for another reason."""
    connection.execute(
        "update ops.quarantine set reason = %s, detail = %s, row_content = %s, due_at = null, whole_row = null"
        " where quarantine_id = %s",
        (refused.reason, refused.detail, Jsonb(refused.row), row.quarantine_id),
    )


def _load(
    warehouse: Warehouse,
    connection: Connection,
    run: ImportRun,
    files: Mapping[int, tuple[Source, list[int], list[PlayRecord]]],
) -> int:
    tables = StagingTables(run.import_id)
    tables.create(connection)
    try:
        with closing(loading_connection(warehouse)) as writing, StagingWriter(writing, tables) as writer:
            staged = {
                file_no: writer.stage(plays, source=source, file_no=file_no, first_row=0)
                for file_no, (source, _, plays) in files.items()
            }
        ensure_partitions(connection, {play.played_at.date() for _, _, plays in files.values() for play in plays})
        tables.intern(connection, batch_id=run.import_id)
        tables.number_repeats(connection, export_nos=_export_nos(connection, run))
        for file_no, (_, quarantine_ids, _) in files.items():
            load_chunk(
                connection,
                staged[file_no],
                tables=tables,
                user_id=run.user_id,
                batch_id=run.import_id,
                account=partial(_account, connection, run, file_no, quarantine_ids),
            )
    finally:
        if not connection.closed and not connection.broken:
            tables.drop(connection)
    return sum(len(quarantine_ids) for _, quarantine_ids, _ in files.values())


def _export_nos(connection: Connection, run: ImportRun) -> list[int]:
    """As when the archive was read; rows are numbered export by export."""
    query = "select file_name, kind from app.import_files where import_id = %s and attempt = %s order by file_no"
    files = connection.execute(query, (run.import_id, run.attempt)).fetchall()
    return export_numbers([(name, FileKind(kind)) for name, kind in files])


def _account(
    connection: Connection, run: ImportRun, file_no: int, quarantine_ids: Sequence[int], chunk: Accounting
) -> None:
    if chunk.unaccounted or chunk.read != len(quarantine_ids):
        raise Permanent(f"the accounting of due rows of import {run.import_id} does not add up")
    values = {
        "import_id": run.import_id,
        "attempt": run.attempt,
        "file_no": file_no,
        "quarantine_ids": list(quarantine_ids),
        "read": chunk.read,
        "loaded": chunk.loaded,
        "present": chunk.present,
        "identical": chunk.identical,
    }
    if connection.execute(load_sql("archives/maintain/account_due_rows"), values).rowcount != 1:
        raise Permanent("the import was superseded in the meantime: its user was deleted, or another attempt has begun")
