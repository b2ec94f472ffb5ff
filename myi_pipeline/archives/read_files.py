"""The reading half of an import: every play file of an archive into the staging tables, with one process or several.

Parsing JSON and building rows is two thirds of an import and holds Python's GIL, so a second core helps only a second
process. Readers are forked, which takes milliseconds and shares the parent's memory and its open archive. Every row
that a reader yields is staged or quarantined, including those before the point where a file breaks.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from typing import Any

import psycopg

from myi_pipeline.archives import import_log
from myi_pipeline.archives.accounting import Span, StagedRows
from myi_pipeline.archives.files import HistoryArchive, HistoryFile
from myi_pipeline.archives.import_log import ImportRun
from myi_pipeline.archives.loading import MAX_READERS, StagingWriter
from myi_pipeline.catalogue.plays import PlayRecord, QuarantinedRow
from myi_pipeline.catalogue.staging import StagingTables
from myi_pipeline.errors import BrokenFile

# One write to the COPY per batch: about 1 MB, so that memory stays flat and the server works while we parse.
_ROWS_A_BATCH = 5_000
# Below this, a second reader costs more than it saves.
_BYTES_WORTH_A_FORK = 8 * 1024 * 1024
_PROGRESS_EVERY_S = 0.5
_PR_SET_PDEATHSIG = 1

Connect = Callable[[], psycopg.Connection[Any]]
# Called with the unpacked bytes and rows read so far, over all files.
ReadingListener = Callable[[int, int], None]


@dataclass(frozen=True)
class FileReading:
    """The result of reading one file; `batches` are its staged plays, `months` the (year, month) of each."""

    file: HistoryFile
    read: int
    batches: tuple[StagedRows, ...]
    months: frozenset[tuple[int, int]]
    unknown_keys: Counter[str] = field(default_factory=Counter)
    account_hashes: frozenset[bytes] = frozenset()
    error: str | None = None
    error_offset: int | None = None

    @property
    def span(self) -> Span:
        return sum((batch.span for batch in self.batches), Span())


def read_files(
    archive: HistoryArchive,
    *,
    run: ImportRun,
    tables: StagingTables,
    connect: Connect,
    readers: int,
    on_progress: ReadingListener,
) -> list[FileReading]:
    """Read and stage every file; results are in the archive's order. `readers` is the maximum number of processes."""
    total = sum(file.size for file in archive.files)
    may_fork = sys.platform == "linux" and threading.active_count() == 1
    readers = min(readers, len(archive.files), MAX_READERS)
    work = _Work(archive, run, tables, connect, _Counters([0] * len(archive.files), [0] * len(archive.files)))
    if readers < 2 or not may_fork or total < _BYTES_WORTH_A_FORK:
        return _read_each(work, archive.files, reader_no=0, on_progress=on_progress)
    return _read_in_processes(work, readers=readers, on_progress=on_progress)


@dataclass(frozen=True)
class _Counters:
    """Bytes and rows so far, by file number; lists, or arrays in memory shared between processes."""

    bytes_read: Any
    rows_read: Any

    def tell(self, listener: ReadingListener) -> None:
        listener(sum(self.bytes_read), sum(self.rows_read))


@dataclass(frozen=True)
class _Work:
    """Everything a reader needs; forked readers inherit it with the memory, since it cannot be pickled."""

    archive: HistoryArchive
    run: ImportRun
    tables: StagingTables
    connect: Connect
    counters: _Counters


def _read_each(
    work: _Work, files: Iterable[HistoryFile], *, reader_no: int, on_progress: ReadingListener | None
) -> list[FileReading]:
    with (
        closing(work.connect()) as connection,
        StagingWriter(connection, work.tables, reader_no=reader_no) as writer,
    ):
        return [_read_file(work, file, connection, writer, on_progress) for file in files]


def _read_file(
    work: _Work,
    file: HistoryFile,
    connection: psycopg.Connection[Any],
    writer: StagingWriter,
    on_progress: ReadingListener | None,
) -> FileReading:
    writer.pause()
    import_log.begin_file(connection, work.run, file_no=file.file_no, name=file.name, kind=str(file.kind))
    reader = work.archive.read(file)
    plays: list[PlayRecord] = []
    refused: list[QuarantinedRow] = []
    staged: list[StagedRows] = []
    months: set[tuple[int, int]] = set()
    count = 0
    error: BrokenFile | None = None

    def write() -> None:
        nonlocal count
        rows = writer.stage(plays, source=file.source, file_no=file.file_no, first_row=count)
        if rows.count:
            staged.append(rows)
            months.update(_months_of(plays, rows.span))
            count += rows.count
        if refused:
            writer.pause()
            import_log.quarantine(connection, work.run, file_no=file.file_no, file_name=file.name, rows=refused)
        plays.clear()
        refused.clear()
        work.counters.bytes_read[file.file_no] = reader.bytes_read
        work.counters.rows_read[file.file_no] = reader.rows_read
        if on_progress:
            work.counters.tell(on_progress)

    try:
        for item in reader:
            if isinstance(item, PlayRecord):
                plays.append(item)
            else:
                refused.append(item)
            if len(plays) >= _ROWS_A_BATCH or len(refused) >= _ROWS_A_BATCH:
                write()
    except BrokenFile as broken:
        error = broken
    write()
    return FileReading(
        file=file,
        read=reader.rows_read,
        batches=tuple(staged),
        months=frozenset(months),
        unknown_keys=reader.unknown_keys,
        account_hashes=frozenset(reader.account_hashes),
        error=str(error) if error else None,
        error_offset=error.offset if error else None,
    )


def _months_of(plays: Sequence[PlayRecord], span: Span) -> set[tuple[int, int]]:
    """The months that have plays, not those in between: one play of 2006 would create partitions for 15 years."""
    assert span.first is not None
    assert span.last is not None
    ends = {(span.first.year, span.first.month), (span.last.year, span.last.month)}
    if len(ends) == 1:
        return ends
    return {(play.played_at.year, play.played_at.month) for play in plays}


# Set in the parent just before it forks, read in its readers: the work, and the files in reading order with the
# position of the next one.
_inherited: tuple[_Work, list[HistoryFile], Any] | None = None


def _read_in_processes(work: _Work, *, readers: int, on_progress: ReadingListener) -> list[FileReading]:
    global _inherited
    context = get_context("fork")
    files = work.archive.files
    counters = _Counters(context.Array("q", len(files), lock=False), context.Array("q", len(files), lock=False))
    # The largest first, so that the last one to end is short.
    order = sorted(files, key=lambda file: -file.size)
    place = context.Value("q", 0)
    _inherited = replace(work, counters=counters), order, place
    try:
        with ProcessPoolExecutor(readers, mp_context=context, initializer=_prepare, initargs=(os.getpid(),)) as pool:
            futures = [pool.submit(_read_inherited, reader_no) for reader_no in range(readers)]
            try:
                _watch(futures, counters, on_progress)
            finally:
                # If one reader has failed, or the import was stopped, the others need not begin another file.
                place.value = len(order)
            readings = [reading for future in futures for reading in future.result()]
    finally:
        _inherited = None
    return sorted(readings, key=lambda reading: reading.file.file_no)


def _watch(futures: list[Future[list[FileReading]]], counters: _Counters, on_progress: ReadingListener) -> None:
    pending = set(futures)
    while pending:
        done, pending = wait(pending, timeout=_PROGRESS_EVERY_S, return_when="FIRST_EXCEPTION")
        for future in done:
            future.result()
        counters.tell(on_progress)


def _prepare(parent: int) -> None:
    """A reader must not outlive an importer that was killed; and the importer handles Ctrl-C."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if os.getppid() != parent:
        os._exit(1)
    # Existing objects will not become garbage here, and rows contain no cycles: this saves a fifth of the reading time.
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def _read_inherited(reader_no: int) -> list[FileReading]:
    assert _inherited is not None
    work, order, place = _inherited

    def next_files() -> Iterator[HistoryFile]:
        while True:
            with place.get_lock():
                number, place.value = place.value, place.value + 1
            if number >= len(order):
                return
            yield order[number]

    return _read_each(work, next_files(), reader_no=reader_no, on_progress=None)
