"""Dagster's active runs and its queue, and the rule by which a run has lost its process.

A run that is STARTED holds a place among the runs that may go on at once until its end is reported. Its process reports
it, and Dagster's code server does so for a child that dies first; nothing does when a whole host goes. By its
heartbeats (operations/heartbeats) every run is judged alike, wherever it runs.

doctor, the checks and the notices show what is found here. The sensor `lost_runs` (defs/runs), which has Dagster in
memory, acts on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg

from myi_pipeline.operations.heartbeats import RunProcess, processes_of
from myi_pipeline.postgres.connections import CONNECT_TIMEOUT_S, Role, Warehouse, compose_url, parse_url
from myi_pipeline.postgres.sql_files import load_sql

# Between the moment at which Dagster calls a run started and its first heartbeat lie milliseconds.
_HELD_WITHIN = timedelta(seconds=30)
# The same if that moment was taken by the clock of another host, which may be behind.
_HELD_ELSEWHERE_WITHIN = timedelta(minutes=3)
# A child of the code server imports Dagster before it begins: 7 CPU seconds, more on a small machine.
_LOADED_WITHIN = timedelta(minutes=3)
# With a free place and a daemon, a run is taken from the queue within seconds; with a free worker, from the broker too.
WAITING_TOO_LONG = timedelta(minutes=10)
_NAMED = 5


@dataclass(frozen=True)
class ActiveRun:
    """A run that is STARTING, STARTED or CANCELING, and its process; None while none has begun it."""

    run_id: str
    job: str
    status: str
    since: datetime
    now: datetime
    process: RunProcess | None = None

    @property
    def looks_lost(self) -> bool:
        """Whether its process seems gone, wherever it was. The sensor `lost_runs` makes sure and acts."""
        return self.process.is_silent if self.process is not None else self.is_overdue()

    def is_overdue(self, *, serves_since: datetime | None = None) -> bool:
        """Whether a process should have begun it by now, and none has.

        `serves_since`: the start of the code server whose child its process is, on this host; None if another host may
        run it. A run that was launched before that start is no child of this code server: most likely its process ended
        with the one before. On another host a launched run may wait for a free place as long as it must.
        """
        if self.process is not None:
            return False
        if serves_since is None:
            return not self.is_waiting and self.waited > _HELD_ELSEWHERE_WITHIN
        may_be_loading = self.is_waiting and self.since > serves_since
        return self.waited > (_LOADED_WITHIN if may_be_loading else _HELD_WITHIN)

    @property
    def is_waiting(self) -> bool:
        """Whether it was launched and no process has begun it."""
        return self.process is None and self.status == "STARTING"

    @property
    def waited(self) -> timedelta:
        return self.now - self.since

    def describe(self) -> str:
        """One line for people."""
        where = f" on {self.process.host}" if self.process is not None and self.process.host else ""
        return f"{self.job} {self.run_id[:8]} ({self.status}{where}) since {self.since.astimezone():%Y-%m-%d %H:%M}"


@dataclass(frozen=True)
class RunsSeen:
    """All active runs, and what waits for a place behind them."""

    active: tuple[ActiveRun, ...]
    queued: int = 0
    oldest_wait: timedelta = timedelta(0)

    @property
    def lost(self) -> tuple[ActiveRun, ...]:
        return tuple(run for run in self.active if run.looks_lost)

    @property
    def waiting_long(self) -> tuple[ActiveRun, ...]:
        """Runs that were launched long ago, and no process has begun them: no worker is free, or none is there."""
        return tuple(run for run in self.active if run.is_waiting and run.waited > WAITING_TOO_LONG)

    @property
    def is_queue_idle(self) -> bool:
        """Runs wait, although no place is taken."""
        return bool(self.queued) and not self.active and self.oldest_wait > WAITING_TOO_LONG

    def describe(self) -> str:
        """The stuck runs by name, and the queue behind them."""
        parts = []
        if self.lost:
            parts.append(f"{counted(len(self.lost), 'run')} without a process: {_names(self.lost)}")
        if self.waiting_long:
            parts.append(
                f"{counted(len(self.waiting_long), 'run')} that no worker has begun: {_names(self.waiting_long)}"
            )
        active = len(self.active) - len(self.lost) - len(self.waiting_long)
        if active or not parts:
            parts.append(f"{counted(active, 'run')} active")
        if self.queued:
            minutes = int(self.oldest_wait.total_seconds() // 60)
            parts.append(f"{self.queued} waiting in the queue, the oldest for {minutes} min")
        return "; ".join(parts)


def counted(count: int, one: str) -> str:
    return f"{count} {one}" if count == 1 else f"{count} {one}s"


def _names(runs: Iterable[ActiveRun]) -> str:
    return ", ".join(run.describe() for run in tuple(runs)[:_NAMED])


def look_at_runs(warehouse: Warehouse, *, now: datetime | None = None) -> RunsSeen:
    """Every active run with its process; small statements in both databases. Raises psycopg.Error."""
    now = now or datetime.now(UTC)
    url = compose_url(parse_url(warehouse.dagster_url()))
    with closing(
        psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, application_name="myi runs")
    ) as connection:
        there = connection.execute("select to_regclass('runs') is not null").fetchone()
        if not (there and there[0]):
            return RunsSeen(())
        rows = connection.execute(load_sql("operations/dagster/active_runs")).fetchall()
        waiting = connection.execute(load_sql("operations/dagster/queued_runs")).fetchone()
    processes: dict[str, RunProcess] = {}
    if rows:
        with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi runs")) as connection:
            processes = processes_of(connection, [row[0] for row in rows])
    queued, oldest_s = waiting if waiting is not None else (0, 0.0)
    runs = tuple(
        ActiveRun(run_id, job, status, since, now, processes.get(run_id)) for run_id, job, status, since in rows
    )
    return RunsSeen(runs, queued, timedelta(seconds=max(0.0, oldest_s)))
