"""Two listeners' marts in a few known states, and a refresher to be killed on the way from one to another.

The picture of a state was verified against a rebuild before anything is compared with it.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from myi_pipeline.marts.runs import mart_lock
from myi_pipeline.postgres.connections import Role
from tests.dbt.properties.refresher_process import Order, Outcome, World
from tests.integration.archives.setups import Setup

REPOSITORY = Path(__file__).parents[3]

# Every way in which marts are changed: plays that go and come, a zone, durations, aliases, artists, a whole user.
STATES: dict[str, tuple[str, ...]] = {
    "whole": (),
    "thinned": (
        "delete from raw.listening_events where hashint4(ms_played) % 5 = 0",
        "update raw.contents set duration_ms = 40000 where content_id % 3 = 0",
        "update app.users set time_zone = 'Pacific/Kiritimati' where user_key = 'ana'",
    ),
    "other": (
        "delete from raw.listening_events where user_id = (select user_id from app.users where user_key = 'ben')"
        " and played_at > '2021-12-01Z'",
        "delete from raw.listening_events where extract(isodow from played_at) = 3",
        "update raw.contents set artist_id = (select min(artist_id) from raw.artists) where content_id % 7 = 0",
        "insert into raw.content_aliases select content_id, (select min(content_id) from raw.contents), 'relinked'"
        " from raw.contents where content_id % 11 = 0 and content_id not in (select canonical_id"
        " from raw.content_aliases) and content_id <> (select min(content_id) from raw.contents)"
        " and (select min(content_id) from raw.contents) not in (select content_id from raw.content_aliases)"
        " on conflict do nothing",
    ),
}
KEEP = (
    "create schema kept",
    "create table kept.events as select * from raw.listening_events",
    "create table kept.contents as select content_id, artist_id, duration_ms from raw.contents",
    "create table kept.aliases as select * from raw.content_aliases",
)
BRING_BACK = (
    "insert into raw.listening_events select * from kept.events on conflict do nothing",
    "update raw.contents as c set artist_id = k.artist_id, duration_ms = k.duration_ms from kept.contents as k"
    " where k.content_id = c.content_id and (k.artist_id, k.duration_ms) is distinct from (c.artist_id, c.duration_ms)",
    "delete from raw.content_aliases where content_id not in (select content_id from kept.aliases)",
    "update app.users set time_zone = 'Europe/Berlin' where time_zone <> 'Europe/Berlin'",
)
LEDGER = (
    "select 'days', change_id from ops.changed_days union all select 'contents', change_id from ops.changed_contents"
    " union all select 'users', change_id from ops.changed_users"
)
LAST_RUN = "select run_id, status from ops.mart_runs order by run_id desc limit 1"
Picture = dict[str, tuple[Any, ...]]


@dataclass
class Refresher:
    """The other process (refresher_process), which carries out one order at a time."""

    world: World
    process: subprocess.Popen[str] = field(init=False)

    def __post_init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.dbt.properties.refresher_process"],
            cwd=REPOSITORY,
            # Whoever is killed returns no semaphores, and Python would complain of it.
            env=os.environ | {"PYTHONWARNINGS": "ignore::UserWarning:multiprocessing.resource_tracker"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        self._write(asdict(self.world))

    def _write(self, document: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(document) + "\n")
        self.process.stdin.flush()

    def run(self, order: Order) -> Outcome:
        assert self.process.stdout is not None
        self._write(asdict(order))
        answer = self.process.stdout.readline()
        assert answer, f"the refresher ended: {self.process.wait()}"
        return Outcome(**json.loads(answer))

    def refresh(self, **options: Any) -> Outcome:
        return self.run(Order(do="refresh", **options))

    def close(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()
        self.process.wait(timeout=30)


@dataclass
class Bench:
    setup: Setup
    refresher: Refresher
    # Moments of an undisturbed refresh, to be killed at.
    labels: list[str] = field(default_factory=list)
    seconds: float = 0.0
    pictures: dict[str, Picture] = field(default_factory=dict)

    def sql(self, *queries: str) -> None:
        with self.setup.warehouse.connect(Role.OWNER) as connection:
            for query in queries:
                connection.execute(query.encode())

    def prepare(self, *archives: tuple[str, Path]) -> None:
        """`archives`: whose, and which."""
        for user in dict.fromkeys(user for user, _ in archives):
            self.setup.add_user(user)
        self.sql("update app.users set time_zone = 'Europe/Berlin'")
        for user, path in archives:
            self.setup.bring(path, user)
        self.sql(*KEEP)
        for name in STATES:
            self.go_to(name)
            outcome = self.refresh()
            # The first one builds everything and passes by no slices.
            self.labels, self.seconds = outcome.labels, outcome.seconds
            self.verify()
            self.pictures[name] = self.picture()

    def go_to(self, name: str) -> None:
        self.sql(*BRING_BACK, *STATES[name])

    def refresh(self) -> Outcome:
        """Undisturbed."""
        outcome = self.refresher.refresh()
        assert outcome.code == 0
        assert outcome.result is not None
        assert outcome.result["status"] in ("completed", "nothing"), outcome.result
        return outcome

    def verify(self) -> None:
        outcome = self.refresher.run(Order(do="verify"))
        assert outcome.result is not None
        assert outcome.result["is_good"], outcome.result

    def picture(self, *, with_places: bool = False) -> Picture:
        """Every table that dbt makes, as a digest; with places: also where each row lies and who wrote it."""
        row = "t::text || t.ctid::text || t.xmin::text" if with_places else "t::text"
        with self.setup.warehouse.connect(Role.DBT) as connection:
            tables = connection.execute(
                "select schemaname || '.' || tablename from pg_tables where schemaname in ('intermediate', 'marts')"
                " and tablename <> 'user_versions' order by 1"
            ).fetchall()
            return {
                table: connection.execute(
                    f"select count(*), sum(hashtextextended({row}, 0)) from {table} as t".encode()
                ).fetchall()[0]
                for (table,) in tables
            }

    def ledger(self) -> set[tuple[Any, ...]]:
        return set(self.setup.sql(LEDGER))

    def last_run(self) -> tuple[Any, ...]:
        return self.setup.sql(LAST_RUN)[0]

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Nobody refreshes; the server has noticed that whoever was killed is gone."""
        with mart_lock(self.setup.warehouse):
            yield

    def kill_and_repeat(self, state: str, *orders: Order) -> tuple[int, list[str]]:
        """How many of the orders hit someone, and everything that is wrong then or after a repetition."""
        self.go_to(state)
        trouble: list[str] = []
        hits = 0
        for order in orders:
            before, ledger = self.last_run(), self.ledger()
            outcome = self.refresher.run(order)
            hits += outcome.was_hit
            if not outcome.was_killed and outcome.code != 0:
                trouble.append(f"{order} ended with {outcome.code}")
            with self.quiet():
                trouble += self._after(order, state, before, ledger)
        repeated = self.refresher.refresh(closes_first=orders[0].closes_first)
        if repeated.code != 0 or (repeated.result or {}).get("status") not in ("completed", "nothing"):
            trouble.append(f"the repetition: {repeated}")
        trouble += self._rows(state)
        if left := self.ledger():
            trouble.append(f"the ledger still has {len(left)} rows")
        return hits, trouble

    def _after(self, order: Order, state: str, before: tuple[Any, ...], ledger: set[tuple[Any, ...]]) -> list[str]:
        run = self.last_run()
        if run != before and run[1] == "completed":
            # It closed before it was killed, or was too fast: then all must be as after an undisturbed run.
            return [f"closed by {order}: {trouble}" for trouble in self._rows(state)]
        lost = ledger - self.ledger()
        return [f"{order} lost {len(lost)} rows of the ledger"] if lost else []

    def _rows(self, state: str) -> list[str]:
        picture, expected = self.picture(), self.pictures[state]
        return [f"{state}: {table} differs" for table in expected if picture[table] != expected[table]]


def random_order(dice: random.Random, bench: Bench, **options: Any) -> Order:
    """At one of the moments that an undisturbed refresh passes by, or at any time."""
    victims: list[Literal["parent", "dbt"]] = ["parent", "parent", "dbt"]
    victim = dice.choice(victims)
    if dice.random() < 0.5:
        return Order(do="refresh", victim=victim, kill_after_s=dice.uniform(0, bench.seconds), **options)
    during = [label for label in bench.labels if victim == "parent" or label.startswith(("started", "success"))]
    return Order(do="refresh", victim=victim, kill_at=dice.choice(during), **options)


def any_state(dice: random.Random, *, but: str) -> str:
    return dice.choice([name for name in STATES if name != but])
