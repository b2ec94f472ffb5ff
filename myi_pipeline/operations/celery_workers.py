"""Celery workers, as they report themselves: which queues are served, by whom, and which worker went silent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql

REPORT_EVERY_S = 10.0
SILENT_AFTER = timedelta(minutes=1)
# Then it is nobody's concern any more.
_FORGOTTEN_AFTER = timedelta(hours=1)


class Queue(StrEnum):
    """Kinds of work that want different machines. Which job is in which: defs/queues.py."""

    POLLS = "polls"
    LOADS = "loads"
    DBT = "dbt"
    HOUSE = "house"


@dataclass(frozen=True)
class CeleryWorker:
    """`name` is unique; `slots` is how many runs it does at once."""

    name: str
    host: str
    queues: tuple[str, ...]
    slots: int
    silent_for: timedelta = timedelta(0)

    @property
    def is_silent(self) -> bool:
        return self.silent_for > SILENT_AFTER

    def describe(self) -> str:
        return f"{self.host} ({', '.join(self.queues)}; {self.slots} at once)"


@dataclass(frozen=True)
class WorkersSeen:
    workers: tuple[CeleryWorker, ...]

    @property
    def living(self) -> tuple[CeleryWorker, ...]:
        return tuple(worker for worker in self.workers if not worker.is_silent)

    @property
    def silent(self) -> tuple[CeleryWorker, ...]:
        """Those that went without a word."""
        return tuple(worker for worker in self.workers if worker.is_silent)

    @property
    def queues_without(self) -> tuple[str, ...]:
        served = {queue for worker in self.living for queue in worker.queues}
        return tuple(queue.value for queue in Queue if queue.value not in served)

    def describe(self) -> str:
        parts = [f"{len(self.living)} seen" + (f": {_named(self.living)}" if self.living else "")]
        if self.silent:
            parts.append(f"silent for over a minute: {_named(self.silent)}")
        if self.queues_without:
            parts.append(f"no worker for {', '.join(self.queues_without)}")
        return "; ".join(parts)


def _named(workers: Sequence[CeleryWorker]) -> str:
    return ", ".join(worker.describe() for worker in workers)


def report(connection: Connection, worker: CeleryWorker) -> None:
    """Say that the worker lives, and forget who has been silent for an hour."""
    values = {"worker": worker.name, "host": worker.host, "queues": list(worker.queues), "slots": worker.slots}
    connection.execute(load_sql("operations/runs/report_worker"), values)
    connection.execute("delete from ops.celery_workers where seen_at < now() - %s::interval", (_FORGOTTEN_AFTER,))


def forget(connection: Connection, worker: CeleryWorker) -> None:
    """It ends, and is not missed."""
    connection.execute("delete from ops.celery_workers where worker = %s", (worker.name,))


def workers_seen(connection: Connection) -> WorkersSeen:
    rows = connection.execute(load_sql("operations/runs/workers")).fetchall()
    return WorkersSeen(tuple(CeleryWorker(row[0], row[1], tuple(row[2]), row[3], row[4]) for row in rows))
