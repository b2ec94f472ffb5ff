"""Which process does a run, and whether it still lives: the same on one machine, on many, and under Kubernetes.

The process that begins a run first writes its row in ops.run_heartbeats; a second one, which a broker that delivers
twice has started, is refused by the row that is there. From then on a thread says every five seconds that the process
lives. A run whose process has been silent is given up by somebody else, which is final (`give_up_silent`), then failed
and tried again by Dagster. A process that was only cut off ends itself: when it has reached nobody for so long that it
might be given up any moment, or when it learns that it was. So two processes never execute the same run at once. The
one exception is a process that was frozen, as a container may be: when it wakes up it asks first whether it was given
up, and until it knows, the fences and locks of imports and refreshes keep it out.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg

from myi_pipeline.errors import MyiError
from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.operations.processes import process_mark
from myi_pipeline.postgres.connections import Connection, Role, Warehouse, parse_url
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.settings import Settings

log = logging.getLogger(__name__)

BEAT_EVERY_S = 5.0
# Silent for so long, a process is doubted; silent for so much longer, its run is given up. With looks five seconds
# apart that is done within 40, and within a minute if they are a quarter of a minute apart.
SILENT_AFTER = timedelta(seconds=20)
DOUBTED_FOR = timedelta(seconds=10)
# Before the earliest moment at which its run can be given up, a process that reaches nobody has ended itself.
ENDS_ITSELF_AFTER_S = 25.0
# How long one report may take: a network that swallows everything must not make the thread wait for ever.
_REPORT_TIMEOUT_S = 5
_WATCH_EVERY_S = 1.0
# A watch that comes so much too late slept with its whole container or machine, and the report beside it as well.
_OVERSLEPT_S = 3.0
# Awake again, a report needs at most: its own time limit, the pause after it, and a connection made anew.
_REPORTS_AGAIN_WITHIN_S = BEAT_EVERY_S + 2 * _REPORT_TIMEOUT_S
# What others want of the run is in Dagster's own database.
_ASKS_EVERY_S = 10.0
_EXIT_CODE = 75
_STOPS_WITHIN_S = 10.0
# Far longer than a broker keeps a task.
_KEPT = timedelta(days=30)


class AlreadyBegun(Exception):
    """Another process does this run or did it, or it was given up."""


@dataclass(frozen=True)
class RunProcess:
    """The process that does a run. `mark` is that of operations/processes, on that host; "" when none ever began."""

    run_id: str
    host: str
    mark: str
    silent_for: timedelta
    is_given_up: bool

    @property
    def is_silent(self) -> bool:
        """Whether it is likely dead. That is not enough to act on: the next look has to confirm it."""
        return self.is_given_up or self.silent_for > SILENT_AFTER + DOUBTED_FOR


def begin(connection: Connection, run_id: str) -> bool:
    """Make this process the one that does the run; false when there was another."""
    values = {"run_id": run_id, "host": socket.gethostname(), "process": process_mark(os.getpid()) or ""}
    return connection.execute(load_sql("operations/runs/begin"), values).rowcount == 1


def beat(connection: Connection, run_id: str) -> bool:
    """Say that this process lives; false when its run was given up."""
    query = "update ops.run_heartbeats set seen_at = now() where run_id = %s and given_up_at is null"
    return connection.execute(query, (run_id,)).rowcount == 1


def refuse_to_begin(connection: Connection, run_id: str) -> bool:
    """Keep every process from beginning a run that none has begun; false when one has."""
    query = (
        "insert into ops.run_heartbeats (run_id, host, process, given_up_at) values (%s, '', '', now())"
        " on conflict (run_id) do nothing"
    )
    return connection.execute(query, (run_id,)).rowcount == 1


def give_up_silent(connection: Connection, run_ids: Collection[str]) -> int:
    """Doubt whoever is silent, and give up those who have stayed silent since a look before this one; how many."""
    values: dict[str, Any] = {"run_ids": list(run_ids), "silent": SILENT_AFTER, "doubted": DOUBTED_FOR}
    given_up = connection.execute(load_sql("operations/runs/give_up"), values).rowcount
    connection.execute(load_sql("operations/runs/doubt"), values)
    return given_up


def processes_of(connection: Connection, run_ids: Collection[str]) -> dict[str, RunProcess]:
    """By run; those that no process has begun are missing."""
    rows = connection.execute(load_sql("operations/runs/heartbeats"), {"run_ids": list(run_ids)}).fetchall()
    return {row[0]: RunProcess(row[0], row[1], row[2], timedelta(seconds=row[3]), row[4]) for row in rows}


def forget_old(connection: Connection) -> None:
    """Delete rows of runs that ended long ago."""
    connection.execute("delete from ops.run_heartbeats where seen_at < now() - %s::interval", (_KEPT,))


def end_process(reason: str) -> None:
    """At once, whatever the process is doing: another one may do it meanwhile."""
    log.critical("this process ends: %s", reason)
    logging.shutdown()
    os._exit(_EXIT_CODE)


@contextmanager
def beating(
    settings: Settings,
    run_id: str,
    *,
    look: Callable[[threading.Event], None] = lambda _: None,
    end: Callable[[str], None] = end_process,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[None]:
    """This process as the one that does the run, for as long as the context lasts.

    `look` is called now and then, to see what others want of the run; once the event that it is given is set, this
    process does the run no more, perhaps another one, and is not to be touched. Raises AlreadyBegun, MyiError and
    psycopg.Error.
    """
    with open_warehouse(settings, migrate=False) as warehouse:
        began = clock()
        with closing(_connect(warehouse)) as connection:
            if not begin(connection, run_id):
                raise AlreadyBegun(run_id)
        heart = _Heart(warehouse, run_id, look, end, clock, heard_at=began)
        loops = (heart.report, heart.watch, heart.ask)
        threads = [threading.Thread(target=loop, name="heartbeat", daemon=True) for loop in loops]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            heart.stop.set()
            for thread in threads:
                thread.join(_STOPS_WITHIN_S)


@dataclass
class _Heart:
    warehouse: Warehouse
    run_id: str
    look: Callable[[threading.Event], None]
    end: Callable[[str], None]
    clock: Callable[[], float]
    heard_at: float

    def __post_init__(self) -> None:
        self.stop = threading.Event()

    def report(self) -> None:
        connection: Connection | None = None
        try:
            while not self.stop.wait(BEAT_EVERY_S):
                began = self.clock()
                try:
                    connection = connection or _connect_for_reports(self.warehouse)
                    if not beat(connection, self.run_id):
                        self._end(f"run {self.run_id} was given up, because nothing was heard of it")
                        return
                    self.heard_at = began
                except (psycopg.Error, MyiError) as error:
                    log.warning("run %s could not report that it lives: %s", self.run_id, type(error).__name__)
                    if connection is not None:
                        connection.close()
                    connection = None
        finally:
            if connection is not None:
                connection.close()

    def _end(self, reason: str) -> None:
        """A thread that waited for longer than the run took is in a process that may do the next one already."""
        if not self.stop.is_set():
            self.end(reason)

    def watch(self) -> None:
        """Beside the other thread, which may be waiting for an answer that never comes."""
        looked_at, spared_until = self.clock(), self.heard_at
        while not self.stop.wait(_WATCH_EVERY_S):
            now = self.clock()
            if now - looked_at > _WATCH_EVERY_S + _OVERSLEPT_S:
                spared_until = now + _REPORTS_AGAIN_WITHIN_S
            looked_at, silent_s = now, now - self.heard_at
            if silent_s > ENDS_ITSELF_AFTER_S and now > spared_until:
                self._end(f"run {self.run_id} has reached no database for {silent_s:.0f} s")
                return

    def ask(self) -> None:
        """Beside the reports, which must not wait for Dagster's storage."""
        while not self.stop.wait(_ASKS_EVERY_S):
            try:
                self.look(self.stop)
            except Exception as error:
                log.warning("what is wanted of run %s could not be asked: %s", self.run_id, type(error).__name__)


def _connect_for_reports(warehouse: Warehouse) -> Connection:
    """A report is worth nothing after a crash of the server, and must not wait for a disk that a load keeps busy."""
    connection = _connect(warehouse)
    connection.execute("set synchronous_commit = off")
    return connection


def _connect(warehouse: Warehouse) -> Connection:
    given = parse_url(warehouse.url(Role.INGEST)) | {
        "connect_timeout": str(_REPORT_TIMEOUT_S),
        "tcp_user_timeout": str(_REPORT_TIMEOUT_S * 1000),
        "application_name": "myi heartbeat",
    }
    connection: Connection = psycopg.connect(**given, autocommit=True)  # type: ignore[arg-type]
    connection.execute(f"set statement_timeout = '{_REPORT_TIMEOUT_S}s'".encode())
    return connection
