"""The loading half of an import: staged rows into raw, over two connections at once.

Belongs here: sharing the chunks out. Not here: what one chunk's transaction does (warehouse/loading/chunks.py).
Invariant: each chunk is loaded once, and its accounting is in what is returned and in the file's row alike.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import psycopg

from myi_pipeline.warehouse import import_log
from myi_pipeline.warehouse.connections import Role, Warehouse
from myi_pipeline.warehouse.import_log import ImportRun
from myi_pipeline.warehouse.loading.accounting import Accounting, StagedRows
from myi_pipeline.warehouse.loading.chunks import join, load_chunk
from myi_pipeline.warehouse.loading.staging import StagingTables

# Two of the server's processes insert at once; a third only waits for the same pages on a small machine.
_LOADERS = 2

Connection = psycopg.Connection[Any]


def loading_connection(warehouse: Warehouse) -> Connection:
    """A connection for loading.

    Chunks need not wait for the disk one by one, since the closing transaction does and comes after them; and the
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

    `on_chunk` is called in this thread after each chunk's commit. Raises Transient when the warehouse stays too busy.
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
            # A chunk's joins are all with its own staging tables. Row numbers have gaps of 2^32 between files, so the
            # server expects one row of a chunk and loops 16,000 times over what it could hash: 4 s a chunk, not 0.3 s.
            connection.execute("set enable_nestloop = off")
            free.put(connection)
        yield free
