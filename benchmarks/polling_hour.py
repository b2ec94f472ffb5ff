"""(g) An hour's polling of many users with everything that Dagster does for it: processes, CPU seconds, event rows.

    python -m benchmarks.polling_hour [--users 100 1000]

Mixed listeners, five to a client id, were all polled before. An hour of a moved clock passes, in which everybody's turn
comes every quarter of an hour, and that of those who listen every five minutes: the sensor is evaluated as its daemon
would, and each run that it asks for is a process of its own, which loads everything, polls, reports and ends; they run
one after the other. The simulator takes its share of the cores and is not
counted. Not in it: what the daemon and the code server use while nothing is to be done.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import dagster as dg

from benchmarks.polling_setup import Spent, child_environment, event_rows, many_listeners, spent
from benchmarks.setups import Setup, console, open_setup, print_machine, print_table
from myi_pipeline.defs.commands import prepare_instance
from myi_pipeline.defs.polling import polls_sensor
from myi_pipeline.defs.resources import Installation, dagster_instance
from myi_pipeline.operations.dagster_home import prepare_dagster
from myi_pipeline.polling.pace import RUNS_AN_HOUR
from myi_pipeline.polling.poll_users import poll_users
from myi_pipeline.simulator.live import MovableClock, Simulator, mixed_listeners

_LOOK_EVERY = timedelta(seconds=30)


@dataclass
class Hour:
    """What an hour of so many users took."""

    users: int
    ticks: Spent
    runs: Spent
    runs_asked: int = 0
    polled: int = 0
    polls: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    calls: int = 0

    @property
    def cpu(self) -> float:
        return self.ticks.cpu + self.runs.cpu


@dataclass
class Daemon:
    """The sensor as Dagster's daemon evaluates it, and a process for each run that it asks for."""

    setup: Setup
    instance: dg.DagsterInstance
    simulator: Simulator
    clock: MovableClock
    hour: Hour
    cursor: str | None = None

    def live(self) -> None:
        """One hour, beginning with the clock's."""
        begins = _full_hour(self.clock.now()) + timedelta(hours=1)
        for look in range(int(timedelta(hours=1) / _LOOK_EVERY)):
            self.clock.set(begins + look * _LOOK_EVERY)
            before = spent(self.setup)
            wanted = self._sensor()
            between = spent(self.setup)
            for request in wanted:
                self._run(request)
            self.hour.ticks = _sum(self.hour.ticks, between - before)
            self.hour.runs = _sum(self.hour.runs, spent(self.setup) - between)

    def _resources(self) -> dict[str, Installation]:
        return {"installation": Installation(self.setup.settings, clock=self.clock)}

    def _sensor(self) -> list[dg.RunRequest]:
        context = dg.build_sensor_context(instance=self.instance, resources=self._resources(), cursor=self.cursor)
        found = polls_sensor(context)
        if not isinstance(found, dg.SensorResult):
            return []
        self.cursor = found.cursor
        wanted = list(found.run_requests or ())
        self.hour.runs_asked += len(wanted)
        return wanted

    def _run(self, request: dg.RunRequest) -> None:
        order = {
            "job": "poll_users",
            "now": self.clock.now().isoformat(),
            "run_config": request.run_config,
            "tags": dict(request.tags),
        }
        done = subprocess.run(
            [sys.executable, "-m", "myi_pipeline.defs.run_jobs"],
            input=json.dumps(order) + "\n",
            env=child_environment(self.setup, prepare_dagster(self.setup.settings, self.setup.warehouse)),
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        if done.returncode != 0:
            raise SystemExit(f"a run failed:\n{done.stderr[-3000:]}")


def _sum(one: Spent, other: Spent) -> Spent:
    return Spent(
        one.own + other.own, one.children + other.children, one.database + other.database, one.wall + other.wall
    )


@contextmanager
def _instance(setup: Setup) -> Iterator[dg.DagsterInstance]:
    with dagster_instance(setup.settings) as instance:
        prepare_instance(instance, setup.settings)
        yield instance


def _full_hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def measure(users: int, database_url: str | None) -> Hour:
    nothing = Spent(0, 0, 0, 0)
    # An evening's hour; shortly before it everybody is polled for the first time.
    clock = MovableClock(_full_hour(datetime.now(UTC)).replace(hour=17, minute=58))
    listeners = mixed_listeners(users)
    with (
        open_setup(database_url) as empty,
        many_listeners(empty, listeners=listeners, clock=clock) as (setup, simulator),
    ):
        ids = [int(str(row[0])) for row in setup.execute("select user_id from app.users order by user_id")]
        first = poll_users(setup.settings, setup.warehouse, user_ids=ids, clock=clock)
        refused = [result.reason for result in first if not result.polled]
        if refused:
            raise SystemExit(f"{len(refused)} of {users} could not be polled; the first: {refused[0]}")
        setup.execute("analyze")
        hour = Hour(users, nothing, nothing)
        with _instance(setup) as instance:
            rows = event_rows(setup)
            simulator.control.forget_calls()
            Daemon(setup, instance, simulator, clock, hour).live()
        hour.rows = {table: count - rows[table] for table, count in event_rows(setup).items()}
        hour.calls = sum(simulator.control.call_counts().values())
        ((polls, polled),) = setup.execute(
            f"select count(*), count(distinct user_id) from ops.polls where polled_at >= '{_full_hour(clock.now())}'"
        )
        hour.polls, hour.polled = int(str(polls)), int(str(polled))
    return hour


def report(hours: list[Hour]) -> None:
    print_table(
        "an hour's polling, with all that Dagster does for it",
        ("users", "runs", "polls", "users polled", "calls", "event rows", "rows a poll", "rows a user"),
        [
            (f"{hour.users:,}", hour.runs_asked, f"{hour.polls:,}", f"{hour.polled:,}",
             f"{hour.calls:,}", f"{sum(hour.rows.values()):,}", sum(hour.rows.values()) / max(1, hour.polls),
             sum(hour.rows.values()) / hour.users)
            for hour in hours
        ],
    )  # fmt: skip
    print_table(
        f"what it costs, in seconds (at most {RUNS_AN_HOUR} runs; an hour has 3,600 s of each core)",
        ("users", "wall", "CPU", "of runs", "of ticks", "of the database", "CPU a user"),
        [
            (f"{hour.users:,}", hour.runs.wall + hour.ticks.wall, hour.cpu, hour.runs.children, hour.ticks.own,
             hour.runs.database + hour.ticks.database, hour.cpu / hour.users)
            for hour in hours
        ],
    )  # fmt: skip
    most = max(hour.cpu for hour in hours)
    console.print("CPU seconds an hour")
    for hour in hours:
        console.print(f"{hour.users:>7,} {'#' * max(1, round(60 * hour.cpu / most))} {hour.cpu:,.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--database-url", default=None, help="an external server instead of the embedded one")
    parser.add_argument("--users", type=int, nargs="+", default=[100, 1_000], help="how many; several give a table")
    given = parser.parse_args()
    print_machine()
    hours = [measure(users, given.database_url) for users in given.users]
    report(hours)
    late = [hour.users for hour in hours if hour.runs_asked >= RUNS_AN_HOUR or hour.cpu > 7_200]
    if late:
        raise SystemExit(f"more than an hour of two cores, or too many runs: {late}")


if __name__ == "__main__":
    main()
