"""From records to raw.listening_events: a reader's records into the staging tables, then chunk by chunk into raw.

A chunk's events, the record of which of them this archive also contains, its ledger rows (by trigger) and its
accounting commit together or not at all, so a load that is killed and repeated ends as if it had never been killed.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from operator import attrgetter
from typing import Any, Final

import psycopg

from myi_pipeline.archives import import_log
from myi_pipeline.archives.accounting import Accounting, Span, StagedRows
from myi_pipeline.archives.import_log import ImportRun, archive_lock
from myi_pipeline.catalogue.plays import Content, Context, PlayRecord, Source
from myi_pipeline.catalogue.staging import StagingTables
from myi_pipeline.errors import BadInput, Busy
from myi_pipeline.postgres.connections import Connection, Role, Warehouse, retry_conflicts
from myi_pipeline.postgres.sql_files import load_sql

# Readers of one import; each numbers contents and circumstances from its own multiple of _NUMBERS_A_READER.
MAX_READERS: Final = 15
_NUMBERS_A_READER: Final = 2**27
_ROWS_A_FILE: Final = 2**32
# Distinct names held in memory before they are written: about 12 MB at 1 kB each.
_MAX_NAMES_HELD: Final = 12_000
# The columns of archives/load/copy_events. psycopg writes binary rows at a seventh of the cost of text.
_EVENT_TYPES: Final = ("int8", "timestamptz", "timestamptz", "int4", "int4", "int4")
# Large enough for the statement's fixed cost to vanish; a kill repeats less than half a second of work.
ROWS_A_CHUNK: Final = 25_000
# Two server processes insert at once; on a small machine, a third would only wait for the same pages.
_LOADERS: Final = 2


class StagingWriter:
    """Writes records into the staging tables. A context manager on a separate connection, in autocommit mode.

    The COPY of events stays open from batch to batch, so that the server takes in rows while the reader parses the next
    ones; `pause` ends it if the connection is needed for something else. Contents and circumstances (values with few
    combinations) are numbered, and rows contain their numbers: narrow rows account for half of an import's speed.
    `reader_no` (0 to MAX_READERS - 1) is unique among this import's writers.
    """

    def __init__(self, connection: Connection, tables: StagingTables, *, reader_no: int = 0) -> None:
        self._connection = connection
        self._tables = tables
        self._copying = ExitStack()
        self._copy: psycopg.Copy | None = None
        # By the object's identity, at a third of the cost of its hash; the object is held, so its id is not reused.
        # Maps each content to its number and the latest time at which it was played.
        self._contents: dict[int, tuple[int, Content, datetime]] = {}
        self._circumstances: dict[tuple[Any, ...], tuple[int, Context | None]] = {}
        self._next_content = self._next_circumstance = reader_no * _NUMBERS_A_READER
        self._last_number = (reader_no + 1) * _NUMBERS_A_READER - 1

    def __enter__(self) -> StagingWriter:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is None:
            self.flush()
        else:
            self._copying.__exit__(kind, error, trace)

    def stage(self, records: Sequence[PlayRecord], *, source: Source, file_no: int, first_row: int) -> StagedRows:
        """Write records of one file; `first_row` is the number of the first one among the file's plays (0, ...).

        They are in the tables once the writer has been closed without an error. Raises BadInput if one reader met more
        names than can be numbered.
        """
        first_id = file_no * _ROWS_A_FILE + first_row
        if not records:
            return StagedRows(first_id, first_id - 1)
        if self._copy is None:
            cursor = self._copying.enter_context(self._connection.cursor())
            self._copy = self._copying.enter_context(cursor.copy(self._tables.sql("archives/load/copy_events")))
            self._copy.set_types(_EVENT_TYPES)
        source_id, write_row = int(source), self._copy.write_row
        # By name, never by position: a field added to a record must not shift the columns after it.
        for row_id, record in enumerate(records, first_id):
            played_at, content, context = record.played_at, record.content, record.context
            content_no = None if content is None else self._number_content(content, played_at)
            words = (id(context), source_id, record.shuffle, record.skipped, record.offline, record.incognito)
            circumstance_no = self._number_circumstance(words, context)
            write_row((row_id, played_at, record.offline_at, content_no, circumstance_no, record.ms_played))
        if len(self._contents) > _MAX_NAMES_HELD or len(self._circumstances) > _MAX_NAMES_HELD:
            self.flush()
        times = [record.played_at for record in records]
        return StagedRows(first_id, first_id + len(records) - 1, Span(min(times), max(times)))

    def _number_content(self, content: Content, played_at: datetime) -> int:
        held = self._contents.get(id(content))
        if held is not None and played_at <= held[2]:
            return held[0]
        if held is not None:
            number = held[0]
        else:
            number = self._checked(self._next_content)
            self._next_content += 1
        self._contents[id(content)] = number, content, played_at
        return number

    def _number_circumstance(self, words: tuple[Any, ...], context: Context | None) -> int:
        held = self._circumstances.get(words)
        if held is not None:
            return held[0]
        number = self._checked(self._next_circumstance)
        self._next_circumstance += 1
        self._circumstances[words] = number, context
        return number

    def _checked(self, number: int) -> int:
        if number > self._last_number:
            raise BadInput(
                "the archive has more distinct titles than is plausible",
                rule=f"at most {_NUMBERS_A_READER:,} names",
            )
        return number

    def pause(self) -> None:
        """End the COPY of events, so that the connection can do something else; the next `stage` begins another."""
        if self._copy is not None:
            self._copying.close()
            self._copy = None

    def flush(self) -> None:
        """End the COPY and write the names met so far."""
        self.pause()
        with self._connection.cursor() as cursor:
            with cursor.copy(self._tables.sql("archives/load/copy_contents")) as copy:
                for number, content, played_at in self._contents.values():
                    copy.write_row((number, *_content_columns(content), played_at))
            with cursor.copy(self._tables.sql("archives/load/copy_circumstances")) as copy:
                for words, (number, context) in self._circumstances.items():
                    copy.write_row((number, words[1], *_context_columns(context), *words[2:]))
        self._contents.clear()
        self._circumstances.clear()


# The columns of archives/load/copy_contents and copy_circumstances.
_content_columns = attrgetter(
    "key",
    "kind",
    "uri",
    "title",
    "creator",
    "collection",
    "match_title",
    "match_key",
    "artist_key",
    "album_key",
    "isrc",
    "recording_mbid",
    "duration_ms",
)
_names_of_context = attrgetter("key", "platform", "conn_country", "reason_start", "reason_end")


def _context_columns(context: Context | None) -> tuple[str | None, ...]:
    return (None,) * 5 if context is None else _names_of_context(context)


def join(batches: Iterable[StagedRows]) -> Iterator[StagedRows]:
    """The chunks of one file's consecutive staged batches; a chunk never contains rows of two files."""
    chunk: StagedRows | None = None
    for batch in batches:
        chunk = StagedRows(chunk.first_row, batch.last_row, chunk.span + batch.span) if chunk else batch
        if chunk.count >= ROWS_A_CHUNK:
            yield chunk
            chunk = None
    if chunk:
        yield chunk


def load_chunk(
    connection: Connection,
    chunk: StagedRows,
    *,
    tables: StagingTables,
    user_id: int,
    batch_id: int,
    account: Callable[[Accounting], None],
) -> Accounting:
    """Insert one chunk and account for it in one transaction; returns where its rows went.

    `account` runs inside that transaction. Deadlocks and serialization failures are retried; raises Transient if they
    do not end. `read` of the result counts the staged rows.
    """

    def transaction() -> Accounting:
        with connection.transaction():
            result = _insert(connection, chunk, tables=tables, user_id=user_id, batch_id=batch_id)
            account(result)
        return result

    return retry_conflicts(transaction)


def _insert(
    connection: Connection, chunk: StagedRows, *, tables: StagingTables, user_id: int, batch_id: int
) -> Accounting:
    values = {
        "user_id": user_id,
        "batch_id": batch_id,
        "first_row": chunk.first_row,
        "last_row": chunk.last_row,
        "first_played_at": chunk.span.first,
        "last_played_at": chunk.span.last,
    }
    row = connection.execute(tables.sql("archives/load/count_chunk_staged"), values).fetchone()
    assert row is not None
    staged, identical, shared, shared_by_exports = row
    loaded = connection.execute(tables.sql("archives/load/load_chunk"), values).rowcount
    present = 0
    if loaded < staged - identical:
        row = connection.execute(tables.sql("archives/load/count_chunk_present"), values).fetchone()
        present = (row[0] if row else 0) - loaded + count_deleted_by_corrections(connection)
    if shared_by_exports or (shared and present):
        for statement in tables.statements("archives/load/hold_present"):
            connection.execute(statement, values if "%(" in statement else None)
    return Accounting(read=staged, loaded=loaded, present=present, identical=identical)


def count_deleted_by_corrections(connection: Connection) -> int:
    """How many rows of this transaction's last insert were deleted at once by one of the user's rules for permanent
    deletion: they were loaded, but cannot be found."""
    row = connection.execute("select nullif(current_setting('myi.deleted_again', true), '')::int").fetchone()
    return int(row[0] or 0) if row is not None else 0


def loading_connection(warehouse: Warehouse) -> Connection:
    """A connection for loading.

    Chunks need not wait for the disk one by one, because the closing transaction does and comes after them; and the
    staging tables are so regular that a small sample describes them.
    """
    connection = warehouse.connect(Role.INGEST, autocommit=True, application_name="myi import")
    connection.execute("set synchronous_commit = off")
    connection.execute("set default_statistics_target = 10")
    return connection


def load_staged(
    warehouse: Warehouse,
    *,
    run: ImportRun,
    tables: StagingTables,
    batches: Mapping[int, Sequence[StagedRows]],
    on_chunk: Callable[[Accounting], None],
) -> dict[int, Accounting]:
    """Insert all staged batches, given by file number; returns where the rows of each file went, by file number.

    `on_chunk` is called in this thread after each chunk's commit. Raises Transient if the warehouse stays too busy.
    """
    work = [(file_no, chunk) for file_no, staged in batches.items() for chunk in join(staged)]
    done: dict[int, Accounting] = {}
    if not work:
        return done
    loaders = min(_LOADERS, len(work))
    with _connections(warehouse, loaders) as free:

        def load(item: tuple[int, StagedRows]) -> tuple[int, Accounting]:
            file_no, chunk = item
            connection = free.get()
            try:
                return file_no, load_chunk(
                    connection,
                    chunk,
                    tables=tables,
                    user_id=run.user_id,
                    batch_id=run.import_id,
                    account=lambda part: import_log.account_chunk(connection, run, file_no=file_no, chunk=part),
                )
            finally:
                free.put(connection)

        with ThreadPoolExecutor(loaders) as pool:
            try:
                for file_no, accounting in pool.map(load, work):
                    done[file_no] = done.get(file_no, Accounting()) + accounting
                    on_chunk(accounting)
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
    return done


@contextmanager
def _connections(warehouse: Warehouse, count: int) -> Iterator[queue.SimpleQueue[Connection]]:
    with ExitStack() as opened:
        free: queue.SimpleQueue[Connection] = queue.SimpleQueue()
        for _ in range(count):
            connection = opened.enter_context(closing(loading_connection(warehouse)))
            # A chunk is joined only with its own staging tables. Row numbers have gaps of 2^32 between files, so the
            # server expects one row per chunk and loops 16,000 times instead of hashing: 4 s instead of 0.3 s.
            connection.execute("set enable_nestloop = off")
            free.put(connection)
        yield free


def drop_abandoned_staging(connection: Connection) -> int:
    """Drop the staging tables of imports that died and were never repeated; returns how many imports had any.

    A live import holds its archive's lock, however long it has been silent (a suspended machine), and its tables are
    left alone. The connection is in autocommit mode, with the ingest role.
    """
    dropped = 0
    for import_id, user_id, sha256 in connection.execute(load_sql("archives/maintain/staged_imports")).fetchall():
        try:
            with archive_lock(connection, user_id=user_id or 0, sha256=sha256 or bytes(32), wait_s=0):
                StagingTables(import_id).drop(connection)
        except Busy:
            continue
        dropped += 1
    return dropped
