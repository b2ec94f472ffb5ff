"""How long a play takes from Spotify's list to the page, under `myi up`.

    python -m benchmarks.freshness [--rounds 3]

The setup of the benchmark `idle`: five users who are signed in to a simulated Spotify and were polled, marts current.
In each round one user hears something, whose turn then comes (as the pace would have it, which is not waited for), and
another one does and asks for a poll on a page. Seconds from that moment until the play is in raw, and in the marts from
which pages read; and how long a page waits for what is playing. The benchmark ends with 1 when a limit is missed: 120 s
for a turn, 15 s for a poll that was asked for, until it is in raw.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx

from benchmarks.idle import running_up, signed_in
from benchmarks.setups import Setup, console, median, open_setup, print_machine, print_table
from myi_pipeline.marts.dbt_runner import DbtProcess
from myi_pipeline.people.manage_access import make_token
from myi_pipeline.polling.obstacles import ask_for_poll
from myi_pipeline.polling.poll_users import poll_users
from myi_pipeline.postgres.connections import Role
from myi_pipeline.simulator.live import ScriptedPlay, Simulator

MOST_TURN_S, MOST_ASKED_S = 120.0, 15.0
_PATIENCE_S = 300.0
_RAW = "select count(*) from raw.listening_events where user_id = {} and source_id = 3"
_MARTS = "select count(*) from marts.fct_plays where user_id = {}"


def hear(setup: Setup, simulator: Simulator, user_id: int) -> tuple[int, int]:
    """The user has just heard something; how many plays raw and the marts have before it is polled."""
    played = ScriptedPlay(started_at=datetime.now(UTC) - timedelta(minutes=5), track=50 + user_id, ms_played=170_000)
    simulator.control.add_plays(f"listener-{user_id}", played)
    # Nobody was polled in the last minutes, as far as the pace can tell.
    setup.execute(f"update ops.poll_states set polled_at = now() - interval '10 minutes' where user_id = {user_id}")
    return _count(setup, _RAW, user_id), _count(setup, _MARTS, user_id)


def take(setup: Setup, user_id: int, before: tuple[int, int], begin: Callable[[], object]) -> tuple[float, float]:
    """Seconds from `begin` until the play is in raw, and in the marts."""
    began = time.perf_counter()
    begin()
    found = []
    for query, known in zip((_RAW, _MARTS), before, strict=True):
        while _count(setup, query, user_id) <= known:
            if time.perf_counter() - began > _PATIENCE_S:
                raise SystemExit("it did not come:\n" + "\n".join(_said(setup)))
            time.sleep(0.1)
        found.append(time.perf_counter() - began)
    return found[0], found[1]


def _said(setup: Setup) -> list[str]:
    """What `myi up` logged of polls, wishes and refreshes."""
    lines = (setup.folder / "up.log").read_text(encoding="utf-8", errors="replace").splitlines()
    told = ("polled", "wish", "wake_ups", "spotify", "mart run", "Creating new run", "Error")
    return [line for line in lines if any(word in line for word in told)][-60:]


def _count(setup: Setup, query: str, user_id: int) -> int:
    ((count,),) = setup.execute(query.format(user_id))
    return int(str(count))


def ask(setup: Setup, user_id: int) -> None:
    """As the page's button does."""
    with setup.warehouse.connect(Role.APP, autocommit=True) as connection:
        held_up = ask_for_poll(connection, user_id=user_id, now=datetime.now(UTC))
        assert held_up is None, held_up


def now_playing_s(setup: Setup, user_id: int) -> float:
    """How long a page waits for it when nothing is known."""
    with setup.warehouse.connect(Role.APP, autocommit=True) as connection:
        token = make_token(connection, user_id=user_id, name="benchmark").token
    headers = {"authorization": f"Bearer {token}"}
    began = time.perf_counter()
    answer = httpx.get(f"{setup.settings.site_origin}/v1/me/now-playing", headers=headers, trust_env=False, timeout=30)
    assert answer.json()["state"] != "unknown", answer.text
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    print_machine()
    with open_setup() as empty, signed_in(empty, 5) as (setup, simulator):
        ids = [int(str(row[0])) for row in setup.execute("select user_id from app.users order by user_id")]
        assert all(result.polled for result in poll_users(setup.settings, setup.warehouse, user_ids=ids))
        with DbtProcess() as dbt:
            setup.refresh(dbt=dbt)
        turns, asked, seen = [], [], []
        with running_up(setup):
            time.sleep(60)
            for number in range(given.rounds):
                seen.append(now_playing_s(setup, ids[2]))
                setup.execute("delete from ops.now_playing")
                user_id = ids[0]
                before = hear(setup, simulator, user_id)
                due = f"update ops.poll_states set due_at = now() where user_id = {user_id}"
                turns.append(take(setup, user_id, before, lambda due=due: setup.execute(due)))  # type: ignore[misc]
                console.print(f"turn {number + 1}: {turns[-1][0]:.1f} s, {turns[-1][1]:.1f} s")
                time.sleep(20)
                user_id = ids[1]
                before = hear(setup, simulator, user_id)
                asked.append(take(setup, user_id, before, lambda user_id=user_id: ask(setup, user_id)))  # type: ignore[misc]
                console.print(f"asked {number + 1}: {asked[-1][0]:.1f} s, {asked[-1][1]:.1f} s")
                time.sleep(30)
    rows = [
        (name, f"{median([each[0] for each in found]):.1f}", f"{median([each[1] for each in found]):.1f}")
        for name, found in (("a turn that has come", turns), ("a poll that was asked for", asked))
    ]
    print_table(f"Seconds until a play is there, median of {given.rounds}", ("", "in raw", "in the marts"), rows)
    console.print(f"what is playing, when nothing is known: {median(seen):.2f} s")
    is_good = all(each[1] <= MOST_TURN_S for each in turns) and all(each[0] <= MOST_ASKED_S for each in asked)
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
