"""SIGKILL anywhere, then run again: raw is what an undisturbed import makes of it, and nothing is left lying about."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from myi_pipeline.postgres.connections import Role
from myi_pipeline.simulator import ArchiveTruth
from tests.integration.archives.conftest import Archives
from tests.integration.archives.importer_process import Order, Outcome
from tests.integration.archives.setups import CONTENTS, EVENTS, SPANS, STAGING, Setup

pytestmark = pytest.mark.property

REPOSITORY = Path(__file__).parents[3]
UNHEARD = """
select user_id, (played_at at time zone 'UTC')::date from raw.listening_events
except
select user_id, utc_day from ops.changed_days
"""
ATTEMPT = """
select i.status, i.rows_read, i.rows_loaded + i.rows_present, i.rows_identical, i.rows_quarantined,
    (select count(*) from ops.quarantine as q where q.import_id = i.import_id),
    (select count(*) from app.import_files as f where (f.import_id, f.attempt) = (i.import_id, i.attempt)
        and f.status = 'completed'
        and f.rows_read = f.rows_loaded + f.rows_present + f.rows_identical + f.rows_quarantined)
from app.imports as i
order by i.import_id desc
limit 1
"""


@dataclass
class Importer:
    """The other process. `label` is on its command line and on that of every process that it forks."""

    setup: Setup
    label: str
    process: subprocess.Popen[str] = field(init=False)

    def __post_init__(self) -> None:
        command = [sys.executable, "-m", "tests.integration.archives.importer_process", self.label]
        self.process = subprocess.Popen(
            command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._write({role.value: self.setup.warehouse.url(role) for role in Role})

    def _write(self, document: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(document) + "\n")
        self.process.stdin.flush()

    def run(self, order: Order) -> Outcome:
        assert self.process.stdout is not None
        self._write(asdict(order))
        answer = self.process.stdout.readline()
        assert answer, self.process.communicate()[1]
        return Outcome(**json.loads(answer))

    def orphans(self) -> list[psutil.Process]:
        """Processes of killed imports that are still there, after two seconds to go."""
        left: list[psutil.Process] = []
        for _ in range(40):
            left = [p for p in psutil.process_iter() if p.pid != self.process.pid and self._is_ours(p)]
            if not left:
                break
            time.sleep(0.05)
        return left

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.status() != psutil.STATUS_ZOMBIE and self.label in process.cmdline()
        except psutil.Error:
            return False

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        finally:
            for orphan in self.orphans():
                orphan.kill()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


@pytest.fixture
def importer(shared_setup: Setup) -> Iterator[Importer]:
    importer = Importer(shared_setup, f"importer-of-{os.getpid()}-{shared_setup.warehouse.database}")
    try:
        yield importer
    finally:
        importer.close()


@dataclass
class Bench:
    """Imports `truth`, on top of `before`, over and over from nothing; knows what must come of it."""

    setup: Setup
    importer: Importer
    truth: ArchiveTruth
    before: tuple[ArchiveTruth, ...] = ()
    expected: list[Any] = field(default_factory=list)
    undisturbed: Outcome = field(init=False)

    def __post_init__(self) -> None:
        self.reset()
        self.undisturbed = self.importer.run(Order(path=str(self.truth.path)))
        assert self.undisturbed.code == 0
        self.expected = self.found()
        assert self.trouble() == []

    def reset(self) -> None:
        self.setup.empty()
        self.setup.add_user()
        for truth in self.before:
            assert self.importer.run(Order(path=str(truth.path))).code == 0

    def found(self) -> list[Any]:
        with self.setup.warehouse.connect(Role.OWNER) as connection:
            return [self._ask(connection, query) for query in (EVENTS, CONTENTS, SPANS)]

    def _ask(self, connection: psycopg.Connection[Any], query: str) -> list[Any]:
        return connection.execute(query.encode()).fetchall()

    def trouble(self) -> list[str]:
        """Everything that is not as if nothing had happened."""
        trouble = [
            f"{what} differ"
            for what, found, expected in zip(("events", "contents", "spans"), self.found(), self.expected, strict=True)
            if found != expected
        ]
        with self.setup.warehouse.connect(Role.OWNER) as connection:
            (attempt,) = self._ask(connection, ATTEMPT)
            refused = self.truth.quarantined.total()
            counts = (self.truth.rows, self.truth.distinct, self.truth.identical, refused, refused)
            if attempt != ("completed", *counts, len(self.truth.files)):
                trouble.append(f"accounting {attempt}")
            if self._ask(connection, "select from app.imports where status = 'running'"):
                trouble.append("an import is still running")
            if tables := self._ask(connection, STAGING):
                trouble.append(f"staging tables {tables}")
            if days := self._ask(connection, UNHEARD):
                trouble.append(f"the ledger lacks {days}")
        if orphans := self.importer.orphans():
            trouble.append(f"orphans {orphans}")
        return trouble

    def kill_and_repeat(self, *orders: Order) -> tuple[int, list[str]]:
        """How many of the orders ended by a kill, and what is wrong after an undisturbed repetition."""
        self.reset()
        killed = 0
        for order in orders:
            outcome = self.importer.run(order)
            assert outcome.code in (0, -9), order
            killed += outcome.was_killed
        assert self.importer.orphans() == []
        again = self.importer.run(Order(path=str(self.truth.path), is_broken=orders[0].is_broken))
        assert again.code == 0, orders
        return killed, self.trouble()


def random_order(dice: random.Random, bench: Bench) -> Order:
    readers = dice.choice([1, 2])
    path, undisturbed = str(bench.truth.path), bench.undisturbed
    if dice.random() < 0.7:
        return Order(path=path, readers=readers, kill_at_step=dice.randint(1, undisturbed.steps))
    return Order(path=path, readers=readers, kill_after_s=dice.uniform(0, undisturbed.seconds))


def kill_at_random(make_bench: Callable[..., Bench], archives: Archives, *, kills: int, seed: int) -> None:
    dice = random.Random(seed)
    benches = [make_bench(archives.whole), make_bench(archives.whole, (archives.older,))]
    killed = 0
    while killed < kills:
        bench = benches[dice.random() < 0.25]
        orders = [random_order(dice, bench) for _ in range(dice.choice([1, 1, 2]))]
        ended, trouble = bench.kill_and_repeat(*orders)
        assert trouble == [], (orders, f"seed {seed}, after {killed} kills")
        killed += ended


@pytest.fixture
def make_bench(shared_setup: Setup, importer: Importer) -> Callable[..., Bench]:
    def make(truth: ArchiveTruth, before: tuple[ArchiveTruth, ...] = ()) -> Bench:
        return Bench(shared_setup, importer, truth, before)

    return make


def test_an_import_that_is_killed_and_repeated_ends_as_if_nothing_had_happened(
    make_bench: Callable[..., Bench], archives: Archives, importer_kills: int
) -> None:
    kill_at_random(make_bench, archives, kills=importer_kills, seed=2026)


@pytest.mark.long
@pytest.mark.timeout(7_200)
def test_an_import_survives_thousands_of_kills(
    make_bench: Callable[..., Bench], archives: Archives, importer_kills: int
) -> None:
    kill_at_random(make_bench, archives, kills=importer_kills, seed=1)


def test_a_cursor_that_is_committed_before_its_rows_is_noticed(
    make_bench: Callable[..., Bench], archives: Archives
) -> None:
    bench = make_bench(archives.whole)
    path = str(bench.truth.path)
    bench.setup.sql("create table load.cursor (batch_id int, first_row bigint)")
    bench.setup.sql("grant all on load.cursor to public")
    try:
        bench.reset()
        steps = bench.importer.run(Order(path=path, is_broken=True)).steps
        found: set[str] = set()
        # Loading lies in the last part; within a few steps of it a cursor is ahead of its rows.
        for step in range(steps * 3 // 4, steps * 3 // 4 + 12):
            _, trouble = bench.kill_and_repeat(Order(path=path, is_broken=True, kill_at_step=step))
            found.update(trouble)
            if "events differ" in found:
                break
        assert "events differ" in found
    finally:
        bench.setup.sql("drop table load.cursor")
