"""A process that imports in children of its own and kills them where it is told to.

Run as `python -m tests.integration.archives.importer_process LABEL`. The first line of standard input holds the
database's URLs; each further one is an Order. Each order is carried out by a fork of this process, which has imported
all modules already, so that a kill costs milliseconds and not a second of start-up; one Outcome a line comes back.

A step is the moment before or after a statement, a batch of staged rows, the end of a COPY, or a commit, in any process
of the import.
"""

from __future__ import annotations

import json
import mmap
import os
import signal
import struct
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

import psycopg

from myi_pipeline.archives import loading, read_files
from myi_pipeline.archives.accounting import Accounting, StagedRows
from myi_pipeline.archives.files import Limits
from myi_pipeline.archives.import_history import import_history
from myi_pipeline.postgres.connections import Role, Warehouse
from tests.integration.archives.setups import hash_account

STEPS = (
    (psycopg.Connection, "execute"),
    (loading.StagingWriter, "stage"),
    (psycopg.Copy, "__exit__"),
    (psycopg.Transaction, "__exit__"),
)


@dataclass(frozen=True, kw_only=True)
class Order:
    """One import; killed at a step (from 1), or after a time, or (both None) not at all."""

    path: str
    user: str = "ana"
    readers: int = 1
    kill_at_step: int | None = None
    kill_after_s: float | None = None
    is_broken: bool = False


@dataclass(frozen=True, kw_only=True)
class Outcome:
    was_killed: bool
    code: int
    steps: int
    seconds: float


class StepCounter:
    """Counts steps in memory that all forks share; without a lock, since a killed process would never give it back."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8)

    @property
    def count(self) -> int:
        return int(struct.unpack("q", self._memory[:8])[0])

    def step(self) -> int:
        count = self.count + 1
        self._memory[:8] = struct.pack("q", count)
        return count


def kill_at(step: int | None, counter: StepCounter) -> None:
    importer = os.getpid()

    def pass_by() -> None:
        if counter.step() == step:
            os.kill(importer, signal.SIGKILL)
            time.sleep(5)

    def watched(method: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            pass_by()
            result = method(*args, **options)
            pass_by()
            return result

        return call

    for owner, name in STEPS:
        setattr(owner, name, watched(getattr(owner, name)))


def mark_before_loading(connection: psycopg.Connection[Any], chunk: StagedRows, **options: Any) -> Accounting:
    """The broken variant: a cursor that is committed before its rows, and a repetition that trusts it."""
    key = (options["batch_id"], chunk.first_row)
    if connection.execute("select 1 from load.cursor where (batch_id, first_row) = (%s, %s)", key).fetchone():
        skipped = Accounting(read=chunk.count, present=chunk.count)
        options["account"](skipped)
        return skipped
    connection.execute("insert into load.cursor values (%s, %s)", key)
    return loading.load_chunk(connection, chunk, **options)


def carry_out(warehouse: Warehouse, order: Order, counter: StepCounter) -> None:
    read_files._ROWS_A_BATCH = 50
    read_files._BYTES_WORTH_A_FORK = 0
    loading.ROWS_A_CHUNK = 100
    if order.is_broken:
        loading.load_chunk = mark_before_loading  # type: ignore[assignment]
    kill_at(order.kill_at_step, counter)
    import_history(
        warehouse,
        paths=Path(order.path),
        user_key=order.user,
        limits=Limits(),
        hash_account=hash_account,
        is_confirmed=True,
        readers=order.readers,
    )


def supervise(warehouse: Warehouse, order: Order) -> Outcome:
    counter, started = StepCounter(), time.monotonic()
    child = os.fork()
    if child == 0:
        try:
            carry_out(warehouse, order, counter)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    if order.kill_after_s is not None:
        time.sleep(order.kill_after_s)
        # Not reaped yet, so the number is still the child's, dead or alive.
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return Outcome(
        was_killed=code == -signal.SIGKILL, code=code, steps=counter.count, seconds=time.monotonic() - started
    )


def main(orders: TextIO, answers: TextIO) -> None:
    urls = json.loads(orders.readline())
    warehouse = Warehouse(urls={Role(role): url for role, url in urls.items()}, dagster_url=urls["owner"])
    for line in orders:
        outcome = supervise(warehouse, Order(**json.loads(line)))
        answers.write(json.dumps(asdict(outcome)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(sys.stdin, sys.stdout)
