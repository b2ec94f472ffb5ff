"""A poller that is killed at any step: nothing lost, nothing doubled, no login lost, and the log tells no lies."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.integration.credentials.worker_process import POINTS, Order, running_worker
from tests.integration.polling.conftest import MINUTE, Polls

# Those of a poll with new plays and a fresh login are about so many; what lies beyond ends unharmed.
STEPS = 75
POINTS_OF_A_POLL = tuple(f"{when} {name}" for name in POINTS for when in ("before", "after"))


def _at_odds(polls: Polls) -> list[str]:
    """What plays, log and state say of each other that cannot be."""
    ((events,), *_) = polls.setup.sql("select count(*) from raw.listening_events")
    ((logged,), *_) = polls.setup.sql("select coalesce(sum(new_plays), 0) from ops.polls")
    found: list[tuple[Any, ...]] = polls.setup.sql("select newest_played_at from ops.poll_states")
    newest: datetime | None = found[0][0] if found else None
    latest = max(polls.kept(), default=None)
    trouble = []
    if events != logged:
        trouble.append(f"{events} plays in raw, {logged} in the log")
    if newest != latest:
        trouble.append(f"the state knows {newest}, raw {latest}")
    if bool(polls.spans()) != bool(found):
        trouble.append("state without span")
    return trouble


def _kill(
    polls: Polls, tmp_path: Path, *, kills: int, points: Sequence[str] = (), is_broken: bool = False
) -> list[str]:
    """Kill polls at the named points in turn and at random steps, and look at everything after each."""
    dice, trouble, killed = Random(11), [], 0
    setup = polls.setup
    # What lay before the first poll's window was nobody's to keep.
    polls.play(1)
    polls.poll()
    with running_worker(setup.settings, setup.warehouse, tmp_path / "worker.log") as worker:
        for number in range(20 * kills):
            # Most of them find new plays, some an overflow, all a token that has to be refreshed.
            polls.play(dice.choice((0, 3, 8, 12, 60)), every=2 * MINUTE)
            polls.wait(MINUTE)
            point = points[number % len(points)] if is_broken or number % 2 else None
            order = Order(
                task="poll_users",
                now=polls.now.isoformat(),
                user_ids=(polls.user_id,),
                kill_at_step=None if point else dice.randint(1, STEPS),
                kill_at_point=point,
                is_broken=is_broken,
            )
            outcome = worker.carry_out(order)
            assert outcome.was_killed or outcome.code == 0, (tmp_path / "worker.log").read_text()
            killed += outcome.was_killed
            trouble += _at_odds(polls)
            if killed == kills:
                break
    result = polls.poll()
    trouble += [] if result.polled else [result.reason]
    trouble += _at_odds(polls)
    shown = {play.reported_at for play in polls.truth() if play.reported_at is not None}
    kept, gaps = polls.kept(), polls.gaps()
    trouble += [f"doubled: {len(kept) - len(set(kept))}"] if len(kept) != len(set(kept)) else []
    trouble += [f"made up: {moment}" for moment in set(kept) - shown]
    missing = [
        moment for moment in shown - set(kept) if not any(start <= moment <= (end or moment) for start, end, _ in gaps)
    ]
    return [*trouble, *(f"lost: {moment}" for moment in missing)]


@pytest.mark.slow
def test_killed_anywhere_in_a_poll_nothing_is_lost_and_nothing_doubled(
    polls: Polls, tmp_path: Path, poll_kills: int
) -> None:
    assert _kill(polls, tmp_path, kills=poll_kills, points=POINTS_OF_A_POLL) == []
    assert polls.setup.credential().status == "active"


@pytest.mark.long
@pytest.mark.timeout(7_200)
def test_killed_anywhere_in_many_polls_nothing_is_lost_and_nothing_doubled(
    polls: Polls, tmp_path: Path, poll_kills: int
) -> None:
    assert _kill(polls, tmp_path, kills=poll_kills, points=POINTS_OF_A_POLL) == []
    assert polls.setup.credential().status == "active"


def test_a_poll_that_commits_in_pieces_is_found_out(polls: Polls, tmp_path: Path) -> None:
    """The property can fail: this is what the one transaction is for."""
    assert _kill(polls, tmp_path, kills=2, points=("after plays", "after new state"), is_broken=True) != []
