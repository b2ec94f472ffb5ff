"""Imports one archive of one user: read and stage, intern, number, insert in chunks, account, close.

Killed anywhere and run again, raw is the same as if nothing had happened. Every row read is loaded, present, identical
or quarantined, or the import fails.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path

from myi_pipeline.archives import import_log, owners
from myi_pipeline.archives.accounting import (
    Accounting,
    FileResult,
    ImportProgress,
    ImportResult,
    ProgressListener,
    Span,
)
from myi_pipeline.archives.files import HistoryArchive, Limits, open_history
from myi_pipeline.archives.import_log import ImportRun
from myi_pipeline.archives.loading import load_staged, loading_connection
from myi_pipeline.archives.read_files import FileReading, read_files
from myi_pipeline.catalogue.event_partitions import ensure_partitions
from myi_pipeline.catalogue.plays import QuarantinedRow
from myi_pipeline.catalogue.staging import StagingTables
from myi_pipeline.errors import BrokenFile, Permanent
from myi_pipeline.people.manage_users import check_time_zone, find_user_id
from myi_pipeline.postgres.connections import Connection, Warehouse
from myi_pipeline.postgres.sql_files import load_sql

_HEARTBEAT_EVERY_S = 1.0
# Longer than any import: a second import of the same archive waits for the first one instead of failing.
_LOCK_WAIT_S = 600.0


def import_history(
    warehouse: Warehouse,
    *,
    paths: Path | Sequence[Path],
    user_key: str,
    limits: Limits,
    hash_account: Callable[[str], bytes],
    on_progress: ProgressListener | None = None,
    correlation_id: str | None = None,
    run_id: str | None = None,
    is_confirmed: bool = False,
    time_zone: str | None = None,
    check_disk: Callable[[], None] = lambda: None,
    dry_run: bool = False,
    readers: int = 1,
) -> ImportResult:
    """Import one archive (a ZIP, a folder, or single files that belong together) for one user.

    `readers` is the maximum number of processes that read it at once; more than one needs a caller without threads.
    `time_zone` is the player's, for logs that do not state it; defaults to the user's. `is_confirmed`: the archive
    belongs to this user although another one has it. `check_disk` is called before the import and during it; it raises
    DiskFull if there is too little room, and what is loaded by then stays. With `dry_run`, every row is read and
    checked, and nothing is written; that needs no database.

    Raises BadInput (UnsafeArchive, WrongPackage, NotConfirmed) before anything is loaded, Busy if another process is
    importing this archive, Permanent if the accounting does not close. A file that breaks in the middle does not raise:
    it is in the result, and the status is completed_with_errors.
    """
    with open_history(paths, limits=limits, hash_account=hash_account) as archive:
        if dry_run:
            if time_zone is not None:
                archive.time_zone = check_time_zone(time_zone)
            return _dry_run(archive, user_key=user_key, on_progress=on_progress)
        check_disk()
        with closing(loading_connection(warehouse)) as connection:
            user_id = find_user_id(connection, user_key=user_key)
            with import_log.archive_lock(connection, user_id=user_id, sha256=archive.sha256, wait_s=_LOCK_WAIT_S):
                zone = _choose_zone(connection, archive, user_id=user_id, time_zone=time_zone)
                is_asked = not is_confirmed and owners.is_asked_about(
                    connection, user_id=user_id, sha256=archive.sha256
                )
                run = import_log.begin(
                    connection,
                    user_id=user_id,
                    sha256=archive.sha256,
                    contents=[(content.size, content.crc32) for content in archive.contents],
                    rows=owners.sample_rows(archive) if is_asked else (),
                    archive_name=archive.name,
                    kind=archive.kind,
                    bytes_total=sum(file.size for file in archive.files),
                    correlation_id=correlation_id,
                    run_id=run_id,
                    is_confirmed=is_confirmed,
                    time_zone=zone,
                    zoned_sources=[int(file.source) for file in archive.files_without_zone],
                )
                try:
                    steps = _ImportSteps(warehouse, connection, archive, run, on_progress, readers, check_disk)
                    return steps.execute(user_key)
                except BaseException as error:
                    import_log.give_up(warehouse, connection, run, error)
                    raise


def _dry_run(archive: HistoryArchive, *, user_key: str, on_progress: ProgressListener | None = None) -> ImportResult:
    listener = on_progress or (lambda _: None)
    started = time.perf_counter()
    results: list[FileResult] = []
    unknown_keys: Counter[str] = Counter()
    bytes_total, bytes_done = sum(file.size for file in archive.files), 0
    for file in archive.files:
        reader = archive.read(file)
        reasons: Counter[str] = Counter()
        span, error = Span(), None
        try:
            for item in reader:
                if isinstance(item, QuarantinedRow):
                    reasons[item.reason] += 1
                else:
                    span += Span(item.played_at, item.played_at)
        except BrokenFile as broken:
            error = broken
        bytes_done += file.size
        listener(ImportProgress("reading", bytes_done, bytes_total, reader.rows_read, None))
        unknown_keys.update(reader.unknown_keys)
        results.append(
            FileResult(
                file_no=file.file_no,
                name=file.name,
                kind=str(file.kind),
                accounting=Accounting(read=reader.rows_read, quarantined=sum(reasons.values())),
                span=span,
                reasons=dict(reasons),
                error=str(error) if error else None,
                error_offset=error.offset if error else None,
            )
        )
    return ImportResult(
        import_id=None,
        user_key=user_key,
        archive_name=archive.name,
        sha256=archive.sha256.hex(),
        kind=archive.kind,
        status="dry_run",
        attempt=0,
        files=tuple(results),
        skipped_members=tuple(archive.skipped),
        unknown_keys=dict(unknown_keys),
        warnings=tuple(note for note in (_zone_note(archive),) if note),
        seconds={"reading": time.perf_counter() - started},
    )


class _ImportSteps:
    """One attempt, step by step; nothing it holds outlives it."""

    def __init__(
        self,
        warehouse: Warehouse,
        connection: Connection,
        archive: HistoryArchive,
        run: ImportRun,
        listener: ProgressListener | None,
        readers: int,
        check_disk: Callable[[], None],
    ) -> None:
        self._check_disk = check_disk
        self._warehouse = warehouse
        self._connection = connection
        self._archive = archive
        self._run = run
        self._listener = listener or (lambda _: None)
        self._readers = readers
        self._tables = StagingTables(run.import_id)
        self._bytes_total = sum(file.size for file in archive.files)
        self._beat_at = 0.0

    def execute(self, user_key: str) -> ImportResult:
        moments = [time.perf_counter()]
        self._tables.create(self._connection)
        try:
            readings = read_files(
                self._archive,
                run=self._run,
                tables=self._tables,
                connect=lambda: loading_connection(self._warehouse),
                readers=self._readers,
                on_progress=self._on_reading,
            )
            moments.append(time.perf_counter())
            import_log.check_not_superseded(self._connection, self._run)
            self._tables.intern(self._connection, batch_id=self._run.import_id)
            self._tables.number_repeats(self._connection, export_nos=[file.export_no for file in self._archive.files])
            months = {month for reading in readings for month in reading.months}
            ensure_partitions(self._connection, (date(year, month, 1) for year, month in months))
            moments.append(time.perf_counter())
            loaded = self._load(readings)
            moments.append(time.perf_counter())
            result = self._close(readings, loaded, user_key)
        finally:
            if not self._connection.broken:
                self._tables.drop(self._connection)
        moments.append(time.perf_counter())
        stages = ("reading", "interning", "loading", "closing")
        return replace(result, seconds={stage: moments[i + 1] - moments[i] for i, stage in enumerate(stages)})

    def _on_reading(self, bytes_read: int, rows: int) -> None:
        now = time.monotonic()
        if now - self._beat_at < _HEARTBEAT_EVERY_S:
            return
        self._beat_at = now
        self._check_disk()
        import_log.report_progress(self._connection, self._run, bytes_read=bytes_read, rows_read=rows)
        self._listener(ImportProgress("reading", bytes_read, self._bytes_total, rows, None))

    def _load(self, readings: Sequence[FileReading]) -> dict[int, Accounting]:
        total = sum(batch.count for reading in readings for batch in reading.batches)
        rows = 0

        def on_chunk(chunk: Accounting) -> None:
            nonlocal rows
            rows += chunk.read
            if total and rows < total:
                self._check_disk()
            self._listener(ImportProgress("loading", self._bytes_total, self._bytes_total, rows, total))

        return load_staged(
            self._warehouse,
            run=self._run,
            tables=self._tables,
            batches={reading.file.file_no: reading.batches for reading in readings},
            on_chunk=on_chunk,
        )

    def _close(self, readings: Sequence[FileReading], loaded: dict[int, Accounting], user_key: str) -> ImportResult:
        reasons = import_log.count_quarantined(self._connection, self._run)
        results = tuple(
            _file_result(reading, loaded.get(reading.file.file_no, Accounting()), reasons.get(reading.file.file_no, {}))
            for reading in readings
        )
        for file in results:
            if file.accounting.unaccounted:
                raise Permanent(
                    f"the accounting of {file.name} does not add up: {file.accounting.unaccounted} of"
                    f" {file.accounting.read} rows are unaccounted for; import the archive again"
                )
        broken = [file for file in results if file.error]
        unknown_keys = sum((reading.unknown_keys for reading in readings), Counter[str]())
        hashes = frozenset[bytes]().union(*(reading.account_hashes for reading in readings))
        result = ImportResult(
            import_id=self._run.import_id,
            user_key=user_key,
            archive_name=self._archive.name,
            sha256=self._archive.sha256.hex(),
            kind=self._archive.kind,
            status="completed_with_errors" if broken else "completed",
            attempt=self._run.attempt,
            files=results,
            skipped_members=tuple(self._archive.skipped),
            unknown_keys=dict(unknown_keys),
            warnings=self._warnings(hashes),
            seconds={},
        )
        with self._connection.transaction():
            # Waits for the disk, and with it for every earlier chunk.
            self._connection.execute("set local synchronous_commit = on")
            for file in results:
                import_log.finish_file(
                    self._connection,
                    self._run,
                    file_no=file.file_no,
                    accounting=file.accounting,
                    span=file.span,
                    error=file.error,
                    error_offset=file.error_offset,
                )
            import_log.cover(self._connection, self._run)
            import_log.finish(
                self._connection,
                self._run,
                status=result.status,
                accounting=result.accounting,
                span=result.span,
                bytes_read=self._bytes_total,
                unknown_keys=result.unknown_keys,
                warnings=result.warnings,
                account_hash=min(hashes, default=None),
                error="; ".join(f"{file.name}: {file.error}" for file in broken)[:2000] or None,
            )
        return result

    def _warnings(self, hashes: frozenset[bytes]) -> tuple[str, ...]:
        warnings = [note for note in (_zone_note(self._archive),) if note]
        if len(hashes) > 1:
            warnings.append(f"the archive contains rows of {len(hashes)} different Spotify user names")
        if hashes:
            others = import_log.other_accounts(self._connection, self._run, account_hash=min(hashes))
            if others:
                warnings.append(
                    "the Spotify user name in this archive differs from the one in "
                    + ", ".join(others)
                    + ". Is this the right person's archive?"
                )
        return tuple(warnings)


def _file_result(reading: FileReading, loaded: Accounting, reasons: dict[str, int]) -> FileResult:
    # `read` comes from the reader; the rest was counted in the database: two independent counts that must agree.
    return FileResult(
        file_no=reading.file.file_no,
        name=reading.file.name,
        kind=str(reading.file.kind),
        accounting=replace(loaded, read=reading.read, quarantined=sum(reasons.values())),
        span=reading.span,
        reasons=reasons,
        error=reading.error,
        error_offset=reading.error_offset,
    )


def _choose_zone(connection: Connection, archive: HistoryArchive, *, user_id: int, time_zone: str | None) -> str | None:
    """Set `archive.time_zone`, and return it if a file of the archive needs one. `time_zone` is the requested one.

    A `.scrobbler.log` with #TZ/UNKNOWN contains what the player's clock showed. Without a request, the zone is the one
    in which the user's days are counted. The zone that a log was read with is stored with its import: reading it again
    in another zone loads other plays, and deletes the previous ones.

    Raises BadInput if it is not a zone.
    """
    if time_zone is not None:
        check_time_zone(time_zone)
    if not archive.files_without_zone:
        return None
    row = connection.execute(
        load_sql("archives/imports/zone_of_import"), {"user_id": user_id, "sha256": archive.sha256}
    ).fetchone()
    assert row is not None
    own, chosen = row
    archive.time_zone = time_zone or chosen or own
    return archive.time_zone


def _zone_note(archive: HistoryArchive) -> str | None:
    """What a person should know about the zone that was used; None if no file needs one."""
    names = [file.name for file in archive.files_without_zone]
    if not names:
        return None
    which = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
    return (
        f"{which} does not state the player's time zone: its times were read as {archive.time_zone}. If that is"
        " wrong, import the file again with the right zone: its plays are moved."
    )
