"""An installation on several hosts goes on when it loses one, or its broker, or its network: no play is lost, none is
stored twice, every run ends, and what was lost is noticed within a minute.

The hosts are namespaces of the kernel where those can be made. Twenty users have archives, a thousand are polled for
an hour, whose clock the simulated Spotify has: it moves on by a quarter of an hour for each round of polls. All tests
share one installation, which is hurt by each of them; the last ones look at the whole.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from benchmarks.polling_setup import sign_in_listeners
from myi_pipeline.postgres.connections import Connection, Role
from myi_pipeline.simulator import ArchiveTruth
from myi_pipeline.simulator.live import (
    ListenerSpec,
    MovableClock,
    SimulatorSpec,
    apps_for,
    mixed_listeners,
    world_of,
)
from tests.scale.accounting import account_for_archives, account_for_polls, truth_of_archives, write_archives
from tests.scale.hosts import Host, machines, wait_until
from tests.scale.installation import Installation, Run, installed
from tests.scale.servers import RabbitMq, Redis

IMPORTS, POLLS, REFRESHES = "import_uploads", "poll_users", "refresh_marts"
FOUND_WITHIN_S = 60.0
PARTITION_S = 60.0
ROUND = timedelta(minutes=15)
# A busy machine of two cores does all of it at a few hundred polls and a few ten thousand rows a second.
PATIENCE_S = 1_200.0
# Run on a host: how many bytes a link leads to, and the first damaged file in that ZIP.
_DOWNLOAD = """
import io, json, sys, urllib.request, zipfile
content = urllib.request.urlopen(sys.argv[1], timeout=60).read()
print(json.dumps([len(content), zipfile.ZipFile(io.BytesIO(content)).testzip()]))
"""
_LOCK_PLAYS = "lock table raw.listening_events in share mode"
_LOCK_POLLS = (
    "select from ops.poll_states as polled join app.users using (user_id) where user_key = any(%s) for update of polled"
)
_FORCED = {"ops": {"recently_played": {"config": {"force": True}}}}

pytestmark = [pytest.mark.long, pytest.mark.timeout(3_600)]


@dataclass
class Held:
    """What a transaction has locked."""

    connection: Connection

    def is_waited_for(self) -> bool:
        blocked = "select exists (select from pg_locks where not granted and %s = any(pg_blocking_pids(pid)))"
        row = self.connection.execute(blocked.encode(), [self.connection.info.backend_pid]).fetchone()
        return bool(row and row[0])

    def let_go(self) -> None:
        self.connection.rollback()


@dataclass
class Story:
    """One installation and all that it was given. `told` has a line for whoever reads the test's output."""

    made: Installation
    clock: MovableClock
    spec: SimulatorSpec
    truths: dict[str, ArchiveTruth]
    users_a_run: int
    first_poll: datetime | None = None
    told: list[str] = field(default_factory=list)

    @property
    def listeners(self) -> tuple[ListenerSpec, ...]:
        return self.spec.listeners

    def poll_everybody(self) -> list[str]:
        """The runs of one round, which follows the last one by a quarter of an hour."""
        if self.first_poll is None:
            self.first_poll = self.clock.now()
        else:
            self.clock.advance(ROUND)
        keys = [each.key for each in self.listeners]
        with self.made.launcher() as launcher:
            return [
                launcher.launch(POLLS, first=keys[start], last=keys[min(start + self.users_a_run, len(keys)) - 1],
                                config=_FORCED)
                for start in range(0, len(keys), self.users_a_run)
            ]  # fmt: skip

    @contextmanager
    def held(self, lock: str, *values: object) -> Iterator[Held]:
        """Runs come as far as what is locked, and no further until it is let go."""
        with closing(self.made.setup.warehouse.connect(Role.OWNER)) as connection:
            connection.execute(lock.encode(), values)
            yield Held(connection)

    def held_polls(self) -> AbstractContextManager[Held]:
        """Of every second user, so that no run of a round can end before they are let go."""
        return self.held(_LOCK_POLLS, [each.key for each in self.listeners[::2]])

    def busy(self, job: str, is_at_it: Callable[[Run], bool]) -> tuple[Host, Run]:
        """A worker in the middle of a run of this job, and the run."""

        def look() -> tuple[Host, Run] | None:
            for run in self.made.runs(job):
                if run.status == "STARTED" and run.host in self.made.workers and is_at_it(run):
                    return self.made.workers[run.host], run
            return None

        found = wait_until(f"a worker in the middle of {job}", look, within_s=PATIENCE_S, told=self.made.told)
        assert found is not None
        return found

    def is_importing(self, run: Run) -> bool:
        return bool(self.one("select true from app.imports where run_id = %s and status = 'running'", run.run_id))

    def lose(self, what: str, run: Run, take: Callable[[], object], *, held: Held) -> None:
        """Do that, let go what was held, and wait until the run's loss is noticed, which may take a minute."""
        began = time.time()
        take()
        held.let_go()
        lost = wait_until(
            f"the loss of {run.job} {run.run_id[:8]} is noticed",
            lambda: next((each for each in self.made.runs() if each.run_id == run.run_id and each.has_ended), None),
            within_s=4 * FOUND_WITHIN_S,
            told=self.made.told,
        )
        assert lost is not None
        assert lost.status == "FAILURE"
        assert lost.ended_at is not None
        found_s = lost.ended_at.timestamp() - began
        self.told.append(f"{what} in the middle of {run.job}: noticed after {found_s:.0f} s")
        assert found_s <= FOUND_WITHIN_S

    def again(self, run: Run) -> Run:
        """The run that does again what the lost one did, once it has ended."""
        wait_until(
            f"{run.job} {run.run_id[:8]} is done again",
            lambda: any(each.parent_id == run.run_id for each in self.made.runs()),
            within_s=PATIENCE_S,
            told=self.made.told,
        )
        retry = next(each for each in self.made.wait_until_quiet(within_s=PATIENCE_S) if each.parent_id == run.run_id)
        assert retry.status == "SUCCESS"
        return retry

    def one(self, query: str, *values: object) -> Any:
        with closing(self.made.setup.warehouse.connect(Role.OWNER, autocommit=True)) as connection:
            row = connection.execute(query.encode(), values).fetchone()
        return row[0] if row is not None else None


def last_evening() -> datetime:
    """Six in the evening of UTC, a day ago at most and an hour at least: even of twenty listeners some hear something
    in each round, which at night they may not."""
    latest = datetime.now(UTC) - 5 * ROUND
    evening = latest.replace(hour=18, minute=0, second=0, microsecond=0)
    return evening if evening <= latest else evening - timedelta(days=1)


@pytest.fixture(scope="module")
def disks() -> Iterator[Path]:
    """A folder through which accounts pass that serve for one program; pytest closes its own at any moment."""
    with TemporaryDirectory(prefix="myi-scale-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="module")
def story(disks: Path, told: list[str], sizes: dict[str, int], broker: type[RabbitMq] | type[Redis]) -> Iterator[Story]:
    archives, plays, listeners = sizes["archives"], sizes["plays"], sizes["listeners"]
    people = mixed_listeners(listeners)
    spec = SimulatorSpec(artists=200, listeners=people, apps=apps_for(people))
    clock = MovableClock(last_evening())
    users = [f"archive-{number + 1:02}" for number in range(archives)]
    truths = write_archives(disks / "archives", users, plays=plays)
    with machines(disks) as hosts, installed(hosts, broker=broker, store=True, spec=spec, clock=clock) as made:
        assert made.spotify is not None
        # Neighbours share a run: of those with archives there are none, so that each import is one.
        keys, between = [each.key for each in people], max(1, listeners // archives)
        for number, user in enumerate(users):
            made.add_users([user])
            some = (
                keys[number * between : (number + 1) * between] if number + 1 < archives else keys[number * between :]
            )
            sign_in_listeners(made.setup, made.spotify.simulator, some, now=datetime.now(UTC))
        wait_until(
            "Dagster knows all users", lambda: made.partitions() == archives + listeners, within_s=300, told=made.told
        )
        found = Story(made, clock, spec, truths, users_a_run=max(1, (archives + listeners) // 5))
        found.told.append(
            f"{archives} archives of {plays:,} plays, {listeners:,} listeners, {broker.__name__},"
            " uploads and exports in an object store,"
            f" hosts are {'namespaces' if hosts.has_namespaces else 'processes'}"
        )
        yield found
    told.extend(found.told)


def test_imports_survive_the_power_cut_of_a_worker(story: Story) -> None:
    half = len(story.truths) // 2
    with story.held(_LOCK_PLAYS) as plays:
        for user, truth in list(story.truths.items())[:half]:
            story.made.upload(user, truth.path)
        host, run = story.busy(IMPORTS, lambda run: plays.is_waited_for() and story.is_importing(run))
        story.lose(f"power cut of {host.name}", run, partial(host.kill, silently=True), held=plays)
    retry = story.again(run)
    assert retry.host != host.name
    host.boot()
    story.made.start_worker(host.name)


def test_imports_survive_a_worker_without_its_network(story: Story) -> None:
    half = len(story.truths) // 2
    with story.held(_LOCK_PLAYS) as plays:
        for user, truth in list(story.truths.items())[half:]:
            story.made.upload(user, truth.path)
        host, run = story.busy(IMPORTS, lambda run: plays.is_waited_for() and story.is_importing(run))
        began = time.monotonic()
        story.lose(f"{host.name} without its network", run, host.cut_off, held=plays)
    time.sleep(max(0.0, PARTITION_S - (time.monotonic() - began)))
    host.reconnect()
    story.again(run)


def test_polls_survive_the_loss_of_a_worker(story: Story) -> None:
    story.poll_everybody()
    story.made.wait_until_quiet(within_s=PATIENCE_S, jobs=[POLLS])
    before = story.one("select count(*) from ops.polls")
    with story.held_polls() as half:
        runs = story.poll_everybody()
        host, run = story.busy(
            POLLS,
            lambda run: (
                run.run_id in runs and half.is_waited_for() and story.one("select count(*) from ops.polls") > before
            ),
        )
        story.lose(f"SIGKILL of {host.name}", run, host.kill, held=half)
    story.again(run)
    host.boot()
    story.made.start_worker(host.name)


def test_a_refresh_survives_the_loss_of_its_worker(story: Story) -> None:
    with story.held("lock table marts.fct_plays in share mode") as marts:
        story.poll_everybody()
        host, run = story.busy(REFRESHES, lambda _: marts.is_waited_for())
        story.lose(f"SIGKILL of {host.name}", run, host.kill, held=marts)
    story.again(run)
    host.boot()
    story.made.start_worker(host.name)


def test_runs_survive_their_broker(story: Story) -> None:
    runs = story.poll_everybody()
    broker = story.made.broker
    broker.host.kill()
    time.sleep(10)
    broker.host.boot()
    broker.start()
    ended = {run.run_id: run for run in story.made.wait_until_quiet(within_s=PATIENCE_S)}
    assert [ended[run_id].status for run_id in runs] == ["SUCCESS"] * len(runs)
    story.told.append(f"SIGKILL of the broker ({type(broker).__name__}) with {len(runs)} polls in it: all succeeded")


def test_runs_survive_the_control_host(story: Story) -> None:
    with story.held_polls() as half:
        runs = story.poll_everybody()
        story.busy(POLLS, lambda run: run.run_id in runs and half.is_waited_for())
        story.made.control.kill()
    time.sleep(10)
    story.made.control.boot()
    story.made.start_control()
    story.made.wait_until_quiet(within_s=PATIENCE_S)
    done = [run for run in story.made.runs(POLLS) if run.run_id in runs or run.parent_id in runs]
    assert sum(run.status == "SUCCESS" for run in done) == len(runs)
    story.told.append(f"SIGKILL of the control host with {len(runs)} polls under way: all succeeded")


def test_nothing_is_lost_and_nothing_is_there_twice(story: Story) -> None:
    made = story.made
    with made.launcher() as launcher:
        launcher.launch(REFRESHES)
    runs = made.wait_until_quiet(within_s=PATIENCE_S)
    assert [run for run in runs if not run.has_ended] == []
    accounts = account_for_archives(made.setup, story.truths)
    assert accounts == truth_of_archives(story.truths)
    assert accounts.add_up
    assert (accounts.lost, accounts.doubled) == (0, 0)
    assert story.first_poll is not None
    polled = account_for_polls(
        made.setup, world_of(story.spec), story.listeners, since=story.first_poll, until=story.clock.now()
    )
    assert (polled.silent, polled.doubled) == (0, 0)
    assert polled.kept > 0
    assert polled.kept + polled.in_gaps + polled.between + polled.never == polled.plays
    story.told += [
        f"archives: {accounts.read:,} rows read, {accounts.stored:,} stored, {accounts.identical:,} identical,"
        f" {sum(accounts.reasons.values()):,} refused; {accounts.lost} lost, {accounts.doubled} doubled",
        f"polls: {polled.plays:,} plays, {polled.kept:,} stored, {polled.in_gaps:,} in gaps that are told;"
        f" {polled.silent} lost, {polled.doubled} doubled",
        f"runs: {len(runs)} ended, {sum(run.status == 'FAILURE' for run in runs)} of them lost and done again",
        made.myi("verify", timeout_s=PATIENCE_S).strip().splitlines()[-1],
    ]


def test_an_export_that_a_worker_made_is_downloaded_on_the_control_host(story: Story) -> None:
    made, user = story.made, next(iter(story.truths))
    ordered = made.ask(user, "POST", "/v1/me/exports", json={"with_marts": False})
    assert ordered.status_code == 202, ordered.text

    def ended() -> dict[str, Any] | None:
        found: dict[str, Any] = made.ask(user, "GET", ordered.headers["location"]).json()
        return found if found["state"] in ("done", "failed") else None

    export = wait_until("the export is made", ended, within_s=PATIENCE_S, told=made.told)
    assert export is not None
    assert export["state"] == "done", made.told()
    assert {run.host for run in made.runs("make_export")} <= made.workers.keys()
    stored = "select count(*) from raw.listening_events join app.users using (user_id) where user_key = %s"
    assert export["events"] == story.one(stored, user)
    told = made.control.run([sys.executable, "-S", "-c", _DOWNLOAD, export["link"]])
    assert json.loads(told) == [export["bytes"], None]
    story.told.append(f"an export of {export['events']:,} plays, made by a worker, was downloaded on the control host")
