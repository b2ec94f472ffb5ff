"""One reader's way into the staging tables: records in, binary COPY rows out.

Belongs here: numbering the contents and circumstances that a reader meets, and the form of a row. Not here: what
becomes of staged rows. Invariant: what `stage` accepted is in the staging table exactly once when the writer has been
closed without an error, under a row_id of its own, and so are the names that its numbers stand for.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from struct import Struct
from typing import Any, Final

import psycopg

from myi_pipeline.core.errors import BadInput
from myi_pipeline.core.plays import PlayRecord, Source
from myi_pipeline.warehouse.loading.accounting import Span, StagedRows
from myi_pipeline.warehouse.loading.staging import StagingTables

# Readers of one import; each numbers contents and circumstances from its own multiple of _NUMBERS_A_READER on.
MAX_READERS: Final = 15
_NUMBERS_A_READER: Final = 2**27
_ROWS_A_FILE: Final = 2**32
# Distinct names held in memory before they are written out: about 12 MB at 1 kB each.
_MAX_NAMES_HELD: Final = 12_000
# PostgreSQL counts time in microseconds from 2000 on.
_EPOCH_S: Final = 946_684_800

# PostgreSQL's binary COPY: a signature, then in each row the number of fields and each field with its length, -1 for
# NULL. https://www.postgresql.org/docs/current/sql-copy.html
_SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER: Final = b"\xff\xff"
_ROW: Final = Struct(">hiqiqiiiiiii").pack  # row_id, played_at, no offline_timestamp, two numbers, ms_played
_OFFLINE_ROW: Final = Struct(">hiqiqiqiiiiii").pack
_BEGINNING: Final = Struct(">hiqiq").pack
_INT8: Final = Struct(">iq").pack
_INT4: Final = Struct(">ii").pack
_NULL: Final = b"\xff\xff\xff\xff"


class StagingWriter:
    """A context manager on a connection of its own, which is in autocommit mode.

    The COPY of events stays open from batch to batch, so that the server takes rows in while the reader parses the
    next ones; `pause` ends it when the connection is wanted for something else. `reader_no` (0 to MAX_READERS - 1)
    is no other writer's of this import.
    """

    def __init__(self, connection: psycopg.Connection[Any], tables: StagingTables, *, reader_no: int = 0) -> None:
        self._connection = connection
        self._tables = tables
        self._copying = ExitStack()
        self._copy: psycopg.Copy | None = None
        # By the identity of the object, which costs a third of its hash; the object is held, so nothing else gets it.
        # To each content its number and the latest time at which it was played.
        self._contents: dict[int, list[Any]] = {}
        self._circumstances: dict[tuple[Any, ...], tuple[int, Any]] = {}
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
        """Write records of one file; `first_row` is the number of the first among the file's plays (0, ...).

        Raises BadInput when one reader met more names than can be numbered.
        """
        first_id = file_no * _ROWS_A_FILE + first_row
        if not records:
            return StagedRows(first_id, first_id - 1)
        if self._copy is None:
            cursor = self._copying.enter_context(self._connection.cursor())
            self._copy = self._copying.enter_context(cursor.copy(self._tables.sql("load/copy_events")))
            self._copy.write(_SIGNATURE)
        self._copy.write(b"".join(self._rows(records, int(source), first_id)))
        if len(self._contents) > _MAX_NAMES_HELD or len(self._circumstances) > _MAX_NAMES_HELD:
            self.flush()
        times = [record[1] for record in records]
        return StagedRows(first_id, first_id + len(records) - 1, Span(min(times), max(times)))

    def _rows(self, records: Sequence[PlayRecord], source_id: int, row_id: int) -> list[bytes]:
        # The hot path: two lookups and one packing a row.
        contents, circumstances = self._contents, self._circumstances
        rows: list[bytes] = []
        append = rows.append
        for _, played_at, content, ms_played, context, offline_at, shuffle, skipped, offline, incognito in records:
            if content is None:
                content_no = None
            else:
                held = contents.get(id(content))
                if held is None:
                    content_no = self._number_content(content, played_at)
                else:
                    content_no = held[0]
                    if played_at > held[2]:
                        held[2] = played_at
            words = (id(context), source_id, shuffle, skipped, offline, incognito)
            known = circumstances.get(words)
            circumstance_no = known[0] if known is not None else self._number_circumstance(words, context)
            moment = (int(played_at.timestamp()) - _EPOCH_S) * 1_000_000 + played_at.microsecond
            if content_no is None or ms_played is None:
                began = None if offline_at is None else _microseconds(offline_at)
                append(_BEGINNING(6, 8, row_id, 8, moment) + (_NULL if began is None else _INT8(8, began)))
                append(_NULL if content_no is None else _INT4(4, content_no))
                append(_INT4(4, circumstance_no) + (_NULL if ms_played is None else _INT4(4, ms_played)))
            elif offline_at is None:
                append(_ROW(6, 8, row_id, 8, moment, -1, 4, content_no, 4, circumstance_no, 4, ms_played))
            else:
                began = (int(offline_at.timestamp()) - _EPOCH_S) * 1_000_000 + offline_at.microsecond
                append(_OFFLINE_ROW(6, 8, row_id, 8, moment, 8, began, 4, content_no, 4, circumstance_no, 4, ms_played))
            row_id += 1
        return rows

    def _number_content(self, content: Any, played_at: Any) -> int:
        number = self._next_content
        self._check(number)
        self._next_content += 1
        self._contents[id(content)] = [number, content, played_at]
        return number

    def _number_circumstance(self, words: tuple[Any, ...], context: Any) -> int:
        number = self._next_circumstance
        self._check(number)
        self._next_circumstance += 1
        self._circumstances[words] = (number, context)
        return number

    def _check(self, number: int) -> None:
        if number > self._last_number:
            raise BadInput(
                "the archive names more things than anybody could listen to",
                rule=f"at most {_NUMBERS_A_READER:,} names",
            )

    def pause(self) -> None:
        """End the COPY of events, so that the connection can do something else; the next `stage` begins another."""
        if self._copy is not None:
            self._copy.write(_TRAILER)
            self._copying.close()
            self._copy = None

    def flush(self) -> None:
        """End the COPY and write the names met so far."""
        self.pause()
        with self._connection.cursor() as cursor:
            with cursor.copy(self._tables.sql("load/copy_contents")) as copy:
                for number, content, played_at in self._contents.values():
                    copy.write_row((number, *content, played_at))
            with cursor.copy(self._tables.sql("load/copy_circumstances")) as copy:
                for words, (number, context) in self._circumstances.items():
                    copy.write_row((number, words[1], *(context or (None,) * 5), *words[2:]))
        self._contents.clear()
        self._circumstances.clear()


def _microseconds(moment: Any) -> int:
    return (int(moment.timestamp()) - _EPOCH_S) * 1_000_000 + int(moment.microsecond)
