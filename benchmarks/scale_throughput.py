"""Imports and polls through Celery with one worker host and with two, each held to a part of a core.

    python -m benchmarks.scale_throughput [--cores 0.3] [--archives 12] [--plays 40000] [--listeners 1000]

The installation of tests/scale: hosts are namespaces of the kernel, the database and the rest use what the workers
leave. A worker does one run at a time. Seconds are those from the first run's begin to the last one's end, after each
worker has done a run of the same job. "of a core" is what each worker really used meanwhile: at most its share, and
less where it waited for others. Ends with 1 when two workers do not do 1.7 times as much as one.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.polling_setup import sign_in_listeners
from benchmarks.setups import console, print_machine, print_table
from myi_pipeline.simulator.live import MovableClock, SimulatorSpec, apps_for, mixed_listeners
from tests.scale.accounting import account_for_archives, truth_of_archives, write_archives
from tests.scale.hosts import machines, wait_until
from tests.scale.installation import Installation, Run, installed

LEAST_GAIN = 1.7
# So many that it does not matter much which worker gets the last one.
_POLL_RUNS = 30
_PATIENCE_S = 1_800.0
_QUEUES = ("polls", "loads")
# The database and the rest.
_OTHERS = 2.0
_FORCED = {"ops": {"recently_played": {"config": {"force": True}}}}


@dataclass(frozen=True)
class Pace:
    """So much was done in so many seconds; `cores` is what each worker used on average."""

    done: int
    seconds: float
    cores: tuple[float, ...]

    @property
    def a_second(self) -> float:
        return self.done / self.seconds


def measure(made: Installation, job: str, *, runs: int, begin: Callable[[], Sequence[str]], done: int) -> Pace:
    """What `begin` starts, as soon as `runs` runs of the job have ended: those that it names, or all new ones."""
    before = {run.run_id for run in made.runs(job)}
    used = {name: _used(made, name) for name in made.workers}
    began = time.monotonic()
    named = begin()

    def new() -> list[Run]:
        return [run for run in made.runs(job) if run.run_id in named or (not named and run.run_id not in before)]

    wait_until(
        f"{runs} runs of {job} have ended",
        lambda: sum(run.has_ended for run in new()) >= runs,
        within_s=_PATIENCE_S,
        every_s=0.5,
        told=made.told,
    )
    wall = time.monotonic() - began
    failed = [run for run in new() if run.status != "SUCCESS"]
    if failed:
        raise SystemExit(f"{len(failed)} runs failed:\n{made.told()}")
    first = made.began_at([run.run_id for run in new()])
    last = max(run.ended_at for run in new() if run.ended_at is not None)
    cores = tuple((_used(made, name) - used[name]) / wall for name in made.workers)
    return Pace(done, (last - first).total_seconds(), cores)


def _used(made: Installation, worker: str) -> float:
    share = made.workers[worker].share
    assert share is not None
    return share.used_s()


def import_archives(made: Installation, users: Sequence[str], archives: dict[str, Path], plays: int) -> Pace:
    def begin() -> Sequence[str]:
        for user in users:
            made.upload(user, archives[user])
        return ()

    return measure(made, "import_uploads", runs=len(users), begin=begin, done=len(users) * plays)


def poll(made: Installation, keys: Sequence[str], clock: MovableClock, *, runs: int = _POLL_RUNS) -> Pace:
    clock.advance(timedelta(minutes=15))
    size = -(-len(keys) // runs)
    ranges = [keys[start : start + size] for start in range(0, len(keys), size)]

    def begin() -> Sequence[str]:
        with made.launcher() as launcher:
            return [launcher.launch("poll_users", first=some[0], last=some[-1], config=_FORCED) for some in ranges]

    return measure(made, "poll_users", runs=len(ranges), begin=begin, done=len(keys))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cores", type=float, default=0.3, help="of each worker")
    parser.add_argument("--archives", type=int, default=12)
    parser.add_argument("--plays", type=int, default=40_000, help="in each archive")
    parser.add_argument("--listeners", type=int, default=1_000)
    given = parser.parse_args()
    print_machine()
    folder = Path(tempfile.mkdtemp(prefix="myi-bench-"))
    folder.chmod(0o755)
    people = mixed_listeners(given.listeners)
    clock = MovableClock(datetime.now(UTC) - timedelta(hours=3))
    spec = SimulatorSpec(artists=200, listeners=people, apps=apps_for(people))
    found: dict[tuple[str, int], Pace] = {}
    try:
        # Each has to be a run of its own, so no two are neighbours.
        users = [f"archive-{number}" for number in range(2 * given.archives + 3)]
        truths = write_archives(folder / "archives", users, plays=given.plays)
        archives = {user: truth.path for user, truth in truths.items()}
        with (
            machines(folder, cores=_OTHERS) as hosts,
            installed(hosts, spec=spec, clock=clock, workers=0, cores_of_worker=given.cores) as made,
        ):
            assert made.spotify is not None
            for user in users:
                made.add_users([user, f"beside-{user}"])
            sign_in_listeners(made.setup, made.spotify.simulator, [each.key for each in people], now=datetime.now(UTC))
            wait_until(
                "Dagster knows all users",
                lambda: made.partitions() == 2 * len(users) + given.listeners,
                within_s=300,
                told=made.told,
            )
            left = list(users)
            keys = [each.key for each in people]
            for workers in (1, 2):
                made.add_worker(f"worker-{workers}", queues=_QUEUES, concurrency=1)
                warm, left = left[:workers], left[workers:]
                import_archives(made, warm, archives, given.plays)
                poll(made, keys[:20], clock, runs=2 * workers)
                some, left = left[: given.archives], left[given.archives :]
                found["import", workers] = import_archives(made, some, archives, given.plays)
                found["poll", workers] = poll(made, keys, clock)
            accounts = account_for_archives(made.setup, truths)
            if accounts != truth_of_archives(truths):
                raise SystemExit(f"what is stored is not what was played: {accounts}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    rows, gains = [], []
    for job, what in (("import", "plays imported"), ("poll", "users polled")):
        one, two = found[job, 1], found[job, 2]
        gains.append(two.a_second / one.a_second)
        for count, pace in ((1, one), (2, two)):
            used = ", ".join(f"{core:.2f}" for core in pace.cores)
            gain = "" if count == 1 else f"{gains[-1]:.2f}"
            rows.append((what, count, f"{pace.done:,}", f"{pace.seconds:.1f}", f"{pace.a_second:,.1f}", used, gain))
    print_table(
        f"worker hosts, each held to {given.cores} of a core",
        ("", "hosts", "done", "seconds", "a second", "of a core", "gain"),
        rows,
    )
    console.print(f"every play of the archives is there once: {accounts.stored:,}")
    if min(gains) < LEAST_GAIN:
        raise SystemExit(f"two workers should do {LEAST_GAIN} times as much as one")


if __name__ == "__main__":
    main()
