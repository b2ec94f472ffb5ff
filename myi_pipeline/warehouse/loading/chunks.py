"""Moving staged rows into raw.listening_events, a chunk a transaction.

Invariant: a chunk's events, its ledger rows (by trigger) and its accounting commit together or not at all, so a load
that is killed and repeated ends as if it had never been killed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import psycopg

from myi_pipeline.warehouse.loading.accounting import Accounting, StagedRows
from myi_pipeline.warehouse.loading.conflicts import retry_conflicts
from myi_pipeline.warehouse.loading.staging import StagingTables

# Large enough that the statement's fixed cost vanishes, small enough that a kill repeats under half a second of work.
ROWS_A_CHUNK = 25_000


def join(batches: Iterable[StagedRows]) -> Iterator[StagedRows]:
    """The chunks of one file's staged batches, which follow each other; a chunk never holds rows of two files."""
    chunk: StagedRows | None = None
    for batch in batches:
        chunk = StagedRows(chunk.first_row, batch.last_row, chunk.span + batch.span) if chunk else batch
        if chunk.count >= ROWS_A_CHUNK:
            yield chunk
            chunk = None
    if chunk:
        yield chunk


def load_chunk(
    connection: psycopg.Connection[Any],
    chunk: StagedRows,
    *,
    tables: StagingTables,
    user_id: int,
    batch_id: int,
    account: Callable[[Accounting], None],
) -> Accounting:
    """Insert one chunk and account for it in one transaction; returns where its rows went.

    `account` runs inside that transaction. Deadlocks and serialization failures are retried; raises Transient when
    they do not end. `read` of the result counts the staged rows.
    """

    def transaction() -> Accounting:
        with connection.transaction():
            result = _insert(connection, chunk, tables=tables, user_id=user_id, batch_id=batch_id)
            account(result)
        return result

    return retry_conflicts(transaction)


def _insert(
    connection: psycopg.Connection[Any], chunk: StagedRows, *, tables: StagingTables, user_id: int, batch_id: int
) -> Accounting:
    values = {
        "user_id": user_id,
        "batch_id": batch_id,
        "first_row": chunk.first_row,
        "last_row": chunk.last_row,
        "first_played_at": chunk.span.first,
        "last_played_at": chunk.span.last,
    }
    row = connection.execute(tables.sql("load/count_chunk_staged"), values).fetchone()
    assert row is not None
    staged, identical = row
    loaded = connection.execute(tables.sql("load/load_chunk"), values).rowcount
    present = 0
    if loaded < staged - identical:
        row = connection.execute(tables.sql("load/count_chunk_present"), values).fetchone()
        present = (row[0] if row else 0) - loaded
    return Accounting(read=staged, loaded=loaded, present=present, identical=identical)
