"""Which of Dagster's runs have lost their process, and which processes a run left behind.

A run that is STARTED holds a place among the runs that may go on at once until its end is reported. Dagster's code
server does so for a worker that dies before it; nothing does when both die, as in a power cut. What is needed to
recognise a dead worker is recorded with the run: the installation that launched it, this boot of the machine, and
process ids together with the start of each process, because ids are used again (in a restarted container within
seconds) and because wall clocks are set while processes run.

Only Dagster's storage is read here; reporting the end of a run is left to defs/, which has Dagster in memory. A run
that another installation launched is never judged.
"""

from __future__ import annotations

import json
import os
import socket
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

import psutil
import psycopg

from myi_pipeline.postgres.connections import CONNECT_TIMEOUT_S, Warehouse, compose_url, parse_url
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.settings import Settings

LAUNCH_TAG, WORKER_TAG = "myi/launch", "myi/worker"
# Dagster's own words: "Started process for run (pid: 1)." of a worker, and "Executing steps in process (pid: 1)" also
# of a run that somebody executes with `dagster job execute`.
_PID = r"\(pid: ([0-9]+)\)"
# A worker that was just launched imports Dagster before it can be seen: 7 CPU seconds, more on a small machine.
LAUNCHING_MAY_TAKE = timedelta(seconds=30)
# Wall clocks are compared only where the start of a process was not recorded.
_CLOCK_TOLERANCE_S = 5.0
# With a free place and a daemon, a run is taken from the queue within seconds.
WAITING_TOO_LONG = timedelta(minutes=10)
# Polls take minutes, imports and refreshes seldom an hour.
LONG_ELSEWHERE = timedelta(hours=1)
_NAMED = 5
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MACHINE_ID = Path("/etc/machine-id")


class Fate(StrEnum):
    """What is known of an active run's process."""

    ALIVE = "alive"
    LOST = "lost"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True)
class Launch:
    """Who launched a run: written into its tags before its process starts."""

    run_id: str
    installation: str
    boot: str
    launcher: str

    def as_tag(self) -> str:
        return json.dumps([self.run_id, self.installation, self.boot, self.launcher])

    @classmethod
    def from_tag(cls, text: str | None, *, run_id: str) -> Launch | None:
        """None when there is none, or when it is another run's: a retry begins with the tags of what it repeats."""
        fields = _fields(text, run_id=run_id, count=4)
        return cls(*fields) if fields else None


@dataclass(frozen=True)
class ActiveRun:
    """A run that is STARTING, STARTED or CANCELING. `worker` is a process mark, `pids` are (id, seen at) pairs."""

    run_id: str
    job: str
    status: str
    since: datetime
    launch: Launch | None = None
    worker: str | None = None
    pids: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class JudgedRun:
    run: ActiveRun
    fate: Fate

    def describe(self) -> str:
        """One line for people."""
        since = f"{self.run.since.astimezone():%Y-%m-%d %H:%M}"
        text = f"{self.run.job} {self.run.run_id[:8]} ({self.run.status}) since {since}"
        if self.fate is Fate.ELSEWHERE and self.run.launch is not None:
            return f"{text}, launched by {self.run.launch.installation}"
        return text


@dataclass(frozen=True)
class RunsSeen:
    """All active runs, and what waits for a place behind them."""

    active: tuple[JudgedRun, ...]
    queued: int
    oldest_wait: timedelta
    now: datetime

    @property
    def lost(self) -> tuple[JudgedRun, ...]:
        return tuple(each for each in self.active if each.fate is Fate.LOST)

    @property
    def overdue_elsewhere(self) -> tuple[JudgedRun, ...]:
        """Runs of other installations that have been active for so long that their host may be gone."""
        latest = self.now - LONG_ELSEWHERE
        return tuple(each for each in self.active if each.fate is Fate.ELSEWHERE and each.run.since < latest)

    @property
    def is_queue_idle(self) -> bool:
        """Runs wait, although no place is taken."""
        return bool(self.queued) and not self.active and self.oldest_wait > WAITING_TOO_LONG

    def describe(self) -> str:
        """The stuck runs by name, and the queue behind them."""
        parts = []
        if self.lost:
            named = ", ".join(each.describe() for each in self.lost[:_NAMED])
            parts.append(f"{counted(len(self.lost), 'run')} without a process: {named}")
        if self.overdue_elsewhere:
            named = ", ".join(each.describe() for each in self.overdue_elsewhere[:_NAMED])
            parts.append(f"{counted(len(self.overdue_elsewhere), 'run')} of another host, which may be gone: {named}")
        active = len(self.active) - len(self.lost) - len(self.overdue_elsewhere)
        if active or not parts:
            parts.append(f"{counted(active, 'run')} active")
        if self.queued:
            minutes = int(self.oldest_wait.total_seconds() // 60)
            parts.append(f"{self.queued} waiting in the queue, the oldest for {minutes} min")
        return "; ".join(parts)


def counted(count: int, one: str) -> str:
    return f"{count} {one}" if count == 1 else f"{count} {one}s"


def installation_name(settings: Settings) -> str:
    """This host and home as one name. A copy of a home has another, on the same host or elsewhere."""
    host = socket.gethostname()
    with suppress(OSError):
        machine = _MACHINE_ID.read_text(encoding="ascii").strip()
        inode = settings.home.stat().st_ino
        digest = sha256(f"{machine}\0{host}\0{settings.home}\0{inode}".encode()).hexdigest()
        return f"{host}-{digest[:12]}"
    return f"{host}-{sha256(f'{host}{settings.home}'.encode()).hexdigest()[:12]}"


def this_boot() -> str:
    """Changes when the machine is restarted; empty where the system does not say."""
    with suppress(OSError):
        return _BOOT_ID.read_text(encoding="ascii").strip()
    return ""


def process_mark(pid: int) -> str | None:
    """A process as "id:start"; the start does not move when the clock is set. None when it has ended."""
    if _BOOT_ID.exists():
        with suppress(OSError, IndexError):
            # The name in parentheses may hold spaces; the state is the first field after it, the start the 20th.
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
            return None if fields[0] in "ZX" else f"{pid}:{fields[19]}"
        return None
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{pid}:{process.create_time()}"
    return None


def is_alive(mark: str) -> bool:
    return process_mark(int(mark.partition(":")[0])) == mark


def new_launch(settings: Settings, *, run_id: str) -> Launch:
    """This process as the launcher of a run."""
    return Launch(run_id, installation_name(settings), this_boot(), process_mark(os.getpid()) or "")


def worker_tag(mark: str, *, run_id: str) -> str:
    return json.dumps([run_id, mark])


def worker_of(text: str | None, *, run_id: str) -> str | None:
    """The mark in a worker tag, unless it is another run's."""
    fields = _fields(text, run_id=run_id, count=2)
    return fields[1] if fields else None


def is_own(launch: Launch | None, settings: Settings) -> bool:
    """Whether this installation launched it. Into an embedded server only its own home gets."""
    return settings.database_url is None or (launch is not None and launch.installation == installation_name(settings))


def fate_of(run: ActiveRun, settings: Settings, *, now: datetime) -> Fate:
    """What became of the run's process."""
    if not is_own(run.launch, settings):
        return Fate.ELSEWHERE
    if run.launch is not None and run.launch.boot != this_boot():
        return Fate.LOST
    home = settings.dagster_home
    if run.worker is not None and is_alive(run.worker) and _belongs_to(int(run.worker.partition(":")[0]), home):
        return Fate.ALIVE
    # A launch that was tried twice may have started two workers, of which the first went on.
    unmarked = [(pid, at) for pid, at in run.pids if run.worker is None or pid != int(run.worker.partition(":")[0])]
    if any(_was_there(pid, at, home) for pid, at in unmarked):
        return Fate.ALIVE
    if run.worker is not None or run.pids:
        return Fate.LOST
    if run.launch is not None and is_alive(run.launch.launcher):
        return Fate.ALIVE
    return Fate.LOST if now - run.since > LAUNCHING_MAY_TAKE else Fate.ALIVE


def look_at_runs(settings: Settings, warehouse: Warehouse, *, now: datetime | None = None) -> RunsSeen:
    """Every active run with its fate; three small statements in Dagster's storage. Raises psycopg.Error."""
    now = now or datetime.now(UTC)
    arguments = {"launch": LAUNCH_TAG, "worker": WORKER_TAG, "pid": _PID}
    url = compose_url(parse_url(warehouse.dagster_url()))
    with closing(
        psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, application_name="myi runs")
    ) as connection:
        there = connection.execute("select to_regclass('runs') is not null").fetchone()
        if not (there and there[0]):
            return RunsSeen((), 0, timedelta(0), now)
        rows = connection.execute(load_sql("operations/dagster/active_runs"), arguments).fetchall()
        waiting = connection.execute(load_sql("operations/dagster/queued_runs")).fetchone()
    runs = [
        ActiveRun(
            run_id, job, status, since,
            Launch.from_tag(launch, run_id=run_id), worker_of(worker, run_id=run_id),
            tuple(zip(pids, seen_at, strict=True)),
        )
        for run_id, job, status, since, launch, worker, pids, seen_at in rows
    ]  # fmt: skip
    queued, oldest_s = waiting if waiting is not None else (0, 0.0)
    judged = tuple(JudgedRun(run, fate_of(run, settings, now=now)) for run in runs)
    return RunsSeen(judged, queued, timedelta(seconds=max(0.0, oldest_s)), now)


def _belongs_to(pid: int, dagster_home: Path) -> bool:
    """Whether a process works for this home; true when it cannot be known."""
    try:
        variables = psutil.Process(pid).environ()
    except psutil.NoSuchProcess:
        return False
    except (psutil.Error, OSError):
        return True
    return variables.get("DAGSTER_HOME", "") == str(dagster_home)


def _was_there(pid: int, at: float, dagster_home: Path) -> bool:
    """Whether the process with this id is the one that said so at a moment."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        is_old_enough = process.create_time() <= at + _CLOCK_TOLERANCE_S
        return process.status() != psutil.STATUS_ZOMBIE and is_old_enough and _belongs_to(pid, dagster_home)
    return False


def _fields(text: str | None, *, run_id: str, count: int) -> list[str] | None:
    with suppress(ValueError):
        found = json.loads(text or "")
        if isinstance(found, list) and len(found) == count and all(isinstance(each, str) for each in found):
            return found if found[0] == run_id else None
    return None
