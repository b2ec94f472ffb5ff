"""An hour of many users on Celery: everybody is polled five times, and what that brings is in raw and in the marts.

    python -m benchmarks.scale_hour [--listeners 10000] [--workers 2]

The installation of tests/scale, none of whose hosts is held to a part of a core. The first round of polls brings the
last 50 plays of everybody, so that 10,000 users are 500,000 plays to store and to count; four more follow, each a
quarter of an hour later by the clock of the simulated Spotify. A refresh follows each round. Wall seconds are those of
this machine, on which everything runs, the database and the simulator too. Ends with 1 when all of it took more than an
hour, or a play is missing.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.polling_setup import sign_in_listeners
from benchmarks.setups import console, print_machine, print_table
from myi_pipeline.simulator.live import MovableClock, SimulatorSpec, apps_for, mixed_listeners, world_of
from tests.scale.accounting import account_for_polls
from tests.scale.hosts import Host, machines, wait_until
from tests.scale.installation import Installation, installed

ROUNDS = 5
HOUR_S = 3_600.0
_USERS_A_RUN = 250
_FORCED = {"ops": {"recently_played": {"config": {"force": True}}}}
# More than any machine has: the group only counts.
_UNHELD = 256.0


@dataclass
class Round:
    """What one round took. `cores` are CPU seconds by host."""

    polls_s: float
    refresh_s: float
    plays: int
    cores: dict[str, float] = field(default_factory=dict)


def _hosts(made: Installation) -> dict[str, Host]:
    assert made.spotify is not None
    parts = {"control": made.control, "database": made.postgres.host, "simulator": made.spotify.host}
    return parts | made.workers


def _spent(made: Installation) -> dict[str, float]:
    return {name: host.share.used_s() for name, host in _hosts(made).items() if host.share is not None}


def _plays(made: Installation, table: str) -> int:
    ((count,),) = made.setup.execute(f"select count(*) from {table}")
    return int(str(count))


def one_round(made: Installation, keys: list[str]) -> Round:
    """Everybody is polled, and the marts are brought up to date."""
    before, spent = _plays(made, "raw.listening_events"), _spent(made)
    began = time.monotonic()
    with made.launcher() as launcher:
        asked = [
            launcher.launch("poll_users", first=some[0], last=some[-1], config=_FORCED)
            for some in (keys[start : start + _USERS_A_RUN] for start in range(0, len(keys), _USERS_A_RUN))
        ]

    def polled() -> bool:
        ended = {run.run_id: run.status for run in made.runs("poll_users") if run.has_ended}
        if failed := [run_id for run_id in asked if ended.get(run_id, "SUCCESS") != "SUCCESS"]:
            raise SystemExit(f"{len(failed)} runs failed:\n{made.told()}")
        return set(asked) <= set(ended)

    wait_until("everybody is polled", polled, within_s=2 * HOUR_S, every_s=1, told=made.told)
    polls_s = time.monotonic() - began
    # The sensor asks for refreshes by itself.
    wait_until(
        "the marts hold what raw holds",
        lambda: not _plays(made, "ops.changed_days") and all(run.has_ended for run in made.runs("refresh_marts")),
        within_s=2 * HOUR_S,
        every_s=2,
        told=made.told,
    )
    cores = {name: used - spent[name] for name, used in _spent(made).items()}
    return Round(polls_s, time.monotonic() - began - polls_s, _plays(made, "raw.listening_events") - before, cores)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--listeners", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    print_machine()
    folder = Path(tempfile.mkdtemp(prefix="myi-bench-"))
    folder.chmod(0o755)
    people = mixed_listeners(given.listeners)
    spec = SimulatorSpec(artists=200, listeners=people, apps=apps_for(people))
    clock = MovableClock(datetime.now(UTC) - timedelta(minutes=15) * ROUNDS)
    keys, rounds = [each.key for each in people], []
    try:
        with (
            machines(folder, cores=_UNHELD) as hosts,
            installed(hosts, spec=spec, clock=clock, workers=given.workers) as made,
        ):
            assert made.spotify is not None
            sign_in_listeners(made.setup, made.spotify.simulator, keys, now=datetime.now(UTC))
            wait_until("Dagster knows all users", lambda: made.partitions() == len(keys), within_s=600, told=made.told)
            first = clock.now()
            for number in range(ROUNDS):
                if number:
                    clock.advance(timedelta(minutes=15))
                rounds.append(one_round(made, keys))
                console.print(f"round {number + 1}: {rounds[-1]}")
            found = account_for_polls(made.setup, world_of(spec), people, since=first, until=clock.now())
            stored, counted = _plays(made, "raw.listening_events"), _plays(made, "marts.fct_plays")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print_table(
        f"{given.listeners:,} users polled {ROUNDS} times through {given.workers} Celery worker hosts, seconds",
        ("round", "new plays", "polls", "refresh", *(f"CPU {name}" for name in rounds[0].cores)),
        [
            (
                number + 1, f"{each.plays:,}", f"{each.polls_s:.0f}", f"{each.refresh_s:.0f}",
                *(f"{used:.0f}" for used in each.cores.values()),
            )
            for number, each in enumerate(rounds)
        ],
    )  # fmt: skip
    took = sum(each.polls_s + each.refresh_s for each in rounds)
    console.print(
        f"{stored:,} plays in raw, {counted:,} in the marts, in {took:,.0f} s; in the hour {found.plays:,} were played:"
        f" {found.kept:,} stored, {found.in_gaps:,} in gaps that are told, {found.silent} lost, {found.doubled} doubled"
    )
    if took > HOUR_S or found.silent or found.doubled:
        raise SystemExit("more than an hour, or not every play once")


if __name__ == "__main__":
    main()
