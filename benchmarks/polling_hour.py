"""(g) An hour's polling of many users with everything that Dagster does for it: processes, CPU seconds, event rows.

    python -m benchmarks.polling_hour [--users 100 1000]

The worst hour: mixed listeners, five to a client id, were all polled before, and now it is everybody's turn, at the
latest with their batch; the fast ones' turn comes sooner. The hour of a moved clock passes minute by minute: schedule
and sensor are evaluated as their daemon would, and each run that they ask for is a process of its own, which loads
everything, polls, reports and ends; they run one after the other. The simulator takes its share of the cores and is not
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

from benchmarks.house import House, console, open_house, print_machine, print_table
from benchmarks.polling_house import Spent, child_environment, event_rows, many_listeners, spent
from myi_pipeline.core.poll_batches import RUNS_AN_HOUR, hour_of, plan_batches
from myi_pipeline.defs.partitions import USERS
from myi_pipeline.defs.poll_schedules import hourly_polls, polls_sooner
from myi_pipeline.defs.prepare_instance import prepare_instance
from myi_pipeline.defs.resources import Installation, dagster_instance
from myi_pipeline.services.poll_users import poll_users
from myi_pipeline.services.prepare_dagster import prepare_dagster
from myi_pipeline.simulator.live import MovableClock, Simulator
from myi_pipeline.warehouse.connections import Role

_LOOK_EVERY = timedelta(seconds=30)
_MINUTE = timedelta(minutes=1)


@dataclass
class Hour:
    """What an hour of so many users took."""

    users: int
    ticks: Spent
    runs: Spent
    batches: int = 0
    sooner: int = 0
    polled: int = 0
    polls: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    calls: int = 0

    @property
    def cpu(self) -> float:
        return self.ticks.cpu + self.runs.cpu


@dataclass
class Daemon:
    """The schedule and the sensor as Dagster's daemon evaluates them, and a process for each run that they ask for."""

    house: House
    instance: dg.DagsterInstance
    simulator: Simulator
    clock: MovableClock
    hour: Hour
    asked: set[str] = field(default_factory=set)

    def live(self) -> None:
        """One hour, beginning with the clock's."""
        begins = hour_of(self.clock.now()) + timedelta(hours=1)
        for look in range(int(timedelta(hours=1) / _LOOK_EVERY)):
            now = self.clock.set(begins + look * _LOOK_EVERY)
            before = spent(self.house)
            wanted = [*(self._schedule(now) if now.second == 0 else ()), *self._sensor()]
            between = spent(self.house)
            for request in wanted:
                self._run(request)
            self.hour.ticks = _sum(self.hour.ticks, between - before)
            self.hour.runs = _sum(self.hour.runs, spent(self.house) - between)

    def _resources(self) -> dict[str, Installation]:
        return {"installation": Installation(self.house.settings, clock=self.clock)}

    def _schedule(self, now: datetime) -> list[dg.RunRequest]:
        context = dg.build_schedule_context(
            instance=self.instance, resources=self._resources(), scheduled_execution_time=now
        )
        found = list(hourly_polls.evaluate_tick(context).run_requests or ())
        self.hour.batches += len(found)
        return found

    def _sensor(self) -> list[dg.RunRequest]:
        found = polls_sooner(dg.build_sensor_context(instance=self.instance, resources=self._resources()))
        if not isinstance(found, dg.RunRequest) or found.run_key in self.asked:
            return []
        self.asked.add(str(found.run_key))
        self.hour.sooner += 1
        return [found]

    def _run(self, request: dg.RunRequest) -> None:
        order = {
            "job": "poll_users",
            "now": self.clock.now().isoformat(),
            "run_config": request.run_config,
            "tags": {**request.tags, "dagster/run_key": request.run_key},
        }
        done = subprocess.run(
            [sys.executable, "-m", "myi_pipeline.defs.run_jobs"],
            input=json.dumps(order) + "\n",
            env=child_environment(self.house, prepare_dagster(self.house.settings, self.house.warehouse)),
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
def _instance(house: House) -> Iterator[dg.DagsterInstance]:
    with dagster_instance(house.settings) as instance:
        prepare_instance(instance, house.settings)
        yield instance


def _everybodys_turn(house: House, instance: dg.DagsterInstance, begins: datetime) -> None:
    """As if all had been polled by their batch an hour before, and nobody were so silent as to be asked less often."""
    keys = instance.get_dynamic_partitions(USERS)
    for batch in plan_batches(keys, wanted=set(keys), hour=begins):
        some = keys[keys.index(batch.first) : keys.index(batch.last) + 1]
        with house.warehouse.connect(Role.OWNER, autocommit=True) as connection:
            connection.execute(
                "update ops.poll_states set due_at = least(due_at, %s) from app.users as u"
                " where u.user_id = poll_states.user_id and u.user_key = any (%s)",
                (batch.starts_at - 3 * _MINUTE, some),
            )


def measure(users: int, database_url: str | None) -> Hour:
    nothing = Spent(0, 0, 0, 0)
    # Half past: the hour before the one that is measured has polled everybody.
    clock = MovableClock(hour_of(datetime.now(UTC)) + timedelta(minutes=30))
    with open_house(database_url) as empty, many_listeners(empty, users=users, clock=clock) as (house, simulator):
        ids = [int(str(row[0])) for row in house.execute("select user_id from app.users order by user_id")]
        first = poll_users(house.settings, house.warehouse, user_ids=ids, clock=clock)
        refused = [result.reason for result in first if not result.polled]
        if refused:
            raise SystemExit(f"{len(refused)} of {users} could not be polled; the first: {refused[0]}")
        house.execute("analyze")
        hour = Hour(users, nothing, nothing)
        with _instance(house) as instance:
            _everybodys_turn(house, instance, hour_of(clock.now()) + timedelta(hours=1))
            rows = event_rows(house)
            simulator.control.forget_calls()
            Daemon(house, instance, simulator, clock, hour).live()
        hour.rows = {table: count - rows[table] for table, count in event_rows(house).items()}
        hour.calls = sum(simulator.control.call_counts().values())
        ((polls, polled),) = house.execute(
            f"select count(*), count(distinct user_id) from ops.polls where polled_at >= '{hour_of(clock.now())}'"
        )
        hour.polls, hour.polled = int(str(polls)), int(str(polled))
    return hour


def report(hours: list[Hour]) -> None:
    print_table(
        "an hour's polling, with all that Dagster does for it",
        ("users", "runs", "sooner", "polls", "users polled", "calls", "event rows", "rows a poll", "rows a user"),
        [
            (f"{hour.users:,}", hour.batches + hour.sooner, hour.sooner, f"{hour.polls:,}", f"{hour.polled:,}",
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
    late = [hour.users for hour in hours if hour.batches + hour.sooner > RUNS_AN_HOUR or hour.cpu > 7_200]
    if late:
        raise SystemExit(f"more than an hour of two cores, or too many runs: {late}")


if __name__ == "__main__":
    main()
