"""Users in batches: everybody once an hour, evenly, in few runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myi_pipeline.core.poll_batches import (
    BATCHES_AN_HOUR,
    RUNS_AN_HOUR,
    SOONER_EVERY,
    USERS_A_BATCH,
    PollBatch,
    batches_at,
    cannot_wait,
    plan_batches,
    sooner_key,
)

HOUR = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def members(keys: list[str], wanted: set[str], batch: PollBatch) -> list[str]:
    return [key for key in keys[keys.index(batch.first) : keys.index(batch.last) + 1] if key in wanted]


@given(users=st.lists(st.booleans(), max_size=6_000))
def test_every_wanted_user_is_in_one_batch_and_the_hour_holds_few(users: list[bool]) -> None:
    keys = [f"user-{number}" for number in range(len(users))]
    wanted = {key for key, is_wanted in zip(keys, users, strict=True) if is_wanted}

    batches = plan_batches(keys, wanted=wanted, hour=HOUR)

    polled = [key for batch in batches for key in members(keys, wanted, batch)]
    assert polled == [key for key in keys if key in wanted]
    assert [batch.users for batch in batches] == [len(members(keys, wanted, batch)) for batch in batches]
    assert len({batch.run_key for batch in batches}) == len(batches) <= BATCHES_AN_HOUR
    # Each minute of the hour asks for the batches of that minute alone: together they are all, and never two at once.
    asked = [batches_at(batches, HOUR + minute * MINUTE + timedelta(seconds=3)) for minute in range(60)]
    assert [batch for of_minute in asked for batch in of_minute] == list(batches)
    assert max(map(len, asked)) <= 1


@pytest.mark.parametrize(
    ("users", "batches", "largest"),
    [(0, 0, 0), (1, 1, 1), (50, 1, 50), (51, 2, 26), (100, 2, 50), (1_000, 20, 50), (2_350, 47, 50), (10_000, 47, 213)],
)
def test_batches_hold_fifty_or_as_many_as_keep_the_hour_within_sixty_runs(
    users: int, batches: int, largest: int
) -> None:
    keys = [f"user-{number}" for number in range(users)]
    planned = plan_batches(keys, wanted=set(keys), hour=HOUR)
    assert len(planned) == batches
    assert max((batch.users for batch in planned), default=0) == largest
    assert len(planned) + timedelta(hours=1) // SOONER_EVERY < RUNS_AN_HOUR


def test_batches_are_spread_evenly_and_keep_their_minute_in_every_hour() -> None:
    keys = [f"user-{number}" for number in range(4 * USERS_A_BATCH)]
    this, following = (plan_batches(keys, wanted=set(keys), hour=HOUR + timedelta(hours=hour)) for hour in (0, 1))
    assert [batch.starts_at.minute for batch in this] == [7, 22, 37, 52]
    assert [batch.starts_at - HOUR for batch in this] == [
        batch.starts_at - HOUR - timedelta(hours=1) for batch in following
    ]
    assert not {batch.run_key for batch in this} & {batch.run_key for batch in following}


def test_who_cannot_wait_for_a_batch_is_polled_sooner_and_nobody_else() -> None:
    keys = [f"user-{number:03d}" for number in range(2 * USERS_A_BATCH)]
    first, second = plan_batches(keys, wanted=set(keys), hour=HOUR)
    assert (first.starts_at.minute, second.starts_at.minute) == (15, 45)
    now = HOUR + timedelta(minutes=38)
    due = {keys[0]: now - MINUTE, keys[1]: now, keys[2]: now + MINUTE, keys[60]: now - 12 * MINUTE, "gone": now}

    # The second batch starts in seven minutes: its users wait.
    assert cannot_wait(keys, due=due, batches=(first, second), now=now) == (keys[0], keys[1])
    # It started a moment ago, and its run may not have polled them yet.
    assert keys[60] not in cannot_wait(keys, due=due, batches=(first, second), now=now + 12 * MINUTE)
    # It did not poll them, whatever the reason.
    assert keys[60] in cannot_wait(keys, due=due, batches=(first, second), now=now + 13 * MINUTE)
    # Across the hour: at 10:08 the first batch of ten o'clock is near.
    assert cannot_wait(keys, due=due, batches=(first, second), now=now + 30 * MINUTE) == (keys[60],)


def test_one_sooner_run_every_five_minutes() -> None:
    seconds = range(0, 3600, 10)
    assert len({sooner_key(HOUR + timedelta(seconds=second)) for second in seconds}) == 12
    assert sooner_key(HOUR) == sooner_key(HOUR + timedelta(minutes=4, seconds=59)) == "sooner-20260302T09-01"
