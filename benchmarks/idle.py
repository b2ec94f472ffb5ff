"""What `myi up` costs while nothing happens: CPU and memory of each of its processes.

    python -m benchmarks.idle [--minutes 10] [--settle-s 60] [--users 5]

A home of its own, in which users are signed in to a simulated Spotify, were polled, and listen to nothing; the default
settings. Counting begins when the site answers, the marts are up to date and `--settle-s` seconds have passed. Polls
that come meanwhile count, as every process below `myi up` does, also one that ended; so does the embedded Postgres, but
for the connection of this benchmark. The simulator does not. Memory is PSS: a page that several processes share
is divided among them. The benchmark ends with 1 when a limit is missed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psutil

from benchmarks.polling_setup import sign_in_listeners
from benchmarks.setups import Setup, console, open_setup, print_machine, print_table
from myi_pipeline.isolation import children_environment
from myi_pipeline.marts.dbt_runner import DbtProcess
from myi_pipeline.polling.poll_users import poll_users
from myi_pipeline.postgres.connections import Role
from myi_pipeline.simulator.live import (
    ListenerSpec,
    MovableClock,
    ScriptedPlay,
    Simulator,
    SimulatorSpec,
    apps_for,
    running_simulator,
)

MOST_OF_A_CORE, MOST_MB = 0.05, 500.0
_START_S = 300.0
_PLAYS = 12
# What is found in a name and command line, and the name that the table gives it; the first that fits.
_NAMES = (
    ("benchmarks.idle", ""),
    # Forks have names of their own and the arguments of `myi up`.
    ("dagster-daemon", "daemon"),
    ("code server", "code server"),
    ("defs.daemon", "daemon"),
    ("api grpc", "code server"),
    ("dagster_pages", "Dagster's pages"),
    ("myi api", "myi api"),
    ("multiprocessing", "runs"),
    ("postgres: ", "Postgres"),
    ("bin/postgres", "Postgres"),
    (" up", "myi up"),
)


@dataclass(frozen=True)
class Process:
    """`ended_s` are the CPU seconds of children that ended and were reaped."""

    name: str
    cpu_s: float
    ended_s: float
    pss_mb: float


def silent_listeners(count: int, *, now: datetime) -> tuple[ListenerSpec, ...]:
    """They played something two hours ago and nothing since."""
    began = now - timedelta(hours=2)
    plays = tuple(
        ScriptedPlay(started_at=began + timedelta(minutes=4 * number), track=number, ms_played=180_000)
        for number in range(_PLAYS)
    )
    return tuple(
        ListenerSpec(key=f"listener-{number + 1}", plays_per_day=0, stale_days=0, scripted=plays)
        for number in range(count)
    )


@contextmanager
def signed_in(setup: Setup, users: int) -> Iterator[tuple[Setup, Simulator]]:
    """The setup with its users signed in to a simulator that goes by this machine's clock."""
    now = datetime.now(UTC)
    listeners = silent_listeners(users, now=now)
    spec = SimulatorSpec(listeners=listeners, apps=apps_for(listeners))
    with running_simulator(spec, clock=MovableClock(now, speed=1.0), own_process=True) as simulator:
        settings = setup.settings.model_copy(
            update={
                "spotify_api_url": simulator.api_url,
                "spotify_accounts_url": simulator.accounts_url,
                "spotify_images_url": simulator.images_url,
                "dagster_port": _free_port(),
                "api_port": _free_port(),
            }
        )
        made = Setup(settings, setup.warehouse, setup.folder)
        sign_in_listeners(made, simulator, [listener.key for listener in listeners], now=now)
        yield made, simulator


@contextmanager
def running_up(setup: Setup) -> Iterator[psutil.Process]:
    """`myi up` once its pages answer."""
    log_file = setup.folder / "up.log"
    with log_file.open("wb") as log:
        child = subprocess.Popen(
            [str(Path(sys.executable).with_name("myi")), "up"],
            env=children_environment() | setup.settings.environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + _START_S
        while not _answers(f"{setup.settings.site_origin}/readyz"):
            if child.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(log_file.read_text(encoding="utf-8", errors="replace")[-3000:])
            time.sleep(0.5)
        yield psutil.Process(child.pid)
    finally:
        child.terminate()
        child.wait(120)


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, trust_env=False, timeout=5).status_code < 500
    except httpx.TransportError:
        return False


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def look(setup: Setup, up: psutil.Process) -> dict[tuple[int, float], Process]:
    """Every process of the installation, by its number and the time of its start."""
    found: dict[tuple[int, float], Process] = {}
    for process in (up, *up.children(recursive=True), *_postgres(setup)):
        try:
            key = (process.pid, process.create_time())
            times = process.cpu_times()
            found[key] = Process(
                _name(process),
                times.user + times.system,
                times.children_user + times.children_system,
                process.memory_full_info().pss / 1e6,
            )
        except psutil.Error:
            continue
    return found


def _postgres(setup: Setup) -> list[psutil.Process]:
    with setup.warehouse.connect(Role.OWNER, autocommit=True) as connection:
        own = connection.info.backend_pid
        first = psutil.Process(own).parent()
        if first is None or not first.name().startswith("postgres"):
            return []
        return [first, *(each for each in first.children() if each.pid != own)]


def _name(process: psutil.Process) -> str:
    words = " ".join([process.name(), *process.cmdline()])
    return next((name for part, name in _NAMES if part in words), words[:40])


def _total(processes: dict[tuple[int, float], Process]) -> float:
    return sum(each.cpu_s + each.ended_s for each in processes.values())


def report(
    before: dict[tuple[int, float], Process], after: dict[tuple[int, float], Process], *, wall_s: float, peak_mb: float
) -> bool:
    """Prints the table; whether the limits are kept."""
    cpu: dict[str, float] = {}
    ended: dict[str, float] = {}
    memory: dict[str, float] = {}
    count: dict[str, int] = {}
    for key, now in after.items():
        then = before.get(key, Process(now.name, 0.0, 0.0, 0.0))
        cpu[now.name] = cpu.get(now.name, 0.0) + now.cpu_s - then.cpu_s
        ended[now.name] = ended.get(now.name, 0.0) + now.ended_s - then.ended_s
        memory[now.name] = memory.get(now.name, 0.0) + now.pss_mb
        count[now.name] = count.get(now.name, 0) + 1
    rows = [
        (
            name,
            count[name],
            f"{cpu[name]:.2f}",
            f"{ended[name]:.2f}",
            f"{(cpu[name] + ended[name]) / wall_s:.2%}",
            f"{memory[name]:.0f}",
        )
        for name in sorted(cpu, key=lambda name: -cpu[name] - ended[name])
    ]
    # What ended and was reaped by another process that ended too is in neither look; so the sum is that of the looks.
    share, mb = (_total(after) - _total(before)) / wall_s, sum(memory.values())
    rows.append(
        (
            "all",
            sum(count.values()),
            f"{sum(cpu.values()):.2f}",
            f"{sum(ended.values()):.2f}",
            f"{share:.2%}",
            f"{mb:.0f}",
        )
    )
    columns = ("", "processes", "own CPU s", "of ended children", "of a core", "MB (PSS)")
    print_table(f"`myi up` with nothing to do, {wall_s / 60:.1f} minutes; most at once {peak_mb:.0f} MB", columns, rows)
    return share <= MOST_OF_A_CORE and mb <= MOST_MB


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--settle-s", type=float, default=60.0)
    parser.add_argument("--users", type=int, default=5)
    parser.add_argument(
        "--wait", action="store_true", help="print the processes and wait before counting, for profilers"
    )
    given = parser.parse_args()
    print_machine()
    with open_setup() as empty, signed_in(empty, given.users) as (setup, _):
        ids = [int(str(row[0])) for row in setup.execute("select user_id from app.users order by user_id")]
        results = poll_users(setup.settings, setup.warehouse, user_ids=ids)
        assert all(result.polled for result in results), results
        with DbtProcess() as dbt:
            setup.refresh(dbt=dbt)
        with running_up(setup) as up:
            time.sleep(given.settle_s)
            if given.wait:
                for (pid, _started), process in look(setup, up).items():
                    console.print(f"{pid} {process.name} {process.cpu_s:.1f} s {process.pss_mb:.0f} MB")
            before, began = look(setup, up), time.monotonic()
            peak_mb = sum(each.pss_mb for each in before.values())
            while (left_s := began + given.minutes * 60 - time.monotonic()) > 0:
                time.sleep(min(left_s, 15.0))
                peak_mb = max(peak_mb, sum(each.pss_mb for each in look(setup, up).values()))
            after, wall_s = look(setup, up), time.monotonic() - began
            is_good = report(before, after, wall_s=wall_s, peak_mb=peak_mb)
    return 0 if is_good else 1


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
