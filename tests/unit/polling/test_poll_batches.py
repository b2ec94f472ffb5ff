"""Users in batches: a household in one run, thousands in few."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myi_pipeline.polling.pace import RUNS_A_SLOT, RUNS_AN_HOUR, SLOT, USERS_A_RUN, PollBatch, plan_batches, slot_of

HOUR = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def members(keys: list[str], due: dict[str, datetime], batch: PollBatch) -> list[str]:
    return [key for key in keys[keys.index(batch.first) : keys.index(batch.last) + 1] if due.get(key, HOUR) < HOUR]


@given(users=st.lists(st.sampled_from([None, -1, 1]), max_size=3_000))
def test_every_due_user_is_in_one_batch_and_an_hour_holds_few(users: list[int | None]) -> None:
    keys = [f"user-{number}" for number in range(len(users))]
    due = {key: HOUR + ahead * MINUTE for key, ahead in zip(keys, users, strict=True) if ahead is not None}

    batches = plan_batches(keys, due=due, now=HOUR)

    polled = [key for batch in batches for key in members(keys, due, batch)]
    assert polled == [key for key in keys if key in due and due[key] <= HOUR]
    assert [batch.users for batch in batches] == [len(members(keys, due, batch)) for batch in batches]
    assert len({batch.name for batch in batches}) == len(batches) <= RUNS_A_SLOT


def test_an_hour_of_slots_and_the_run_that_checks_them_stay_within_sixty_runs() -> None:
    assert RUNS_A_SLOT * (timedelta(hours=1) // SLOT) + 1 <= RUNS_AN_HOUR


@pytest.mark.parametrize(
    ("users", "batches", "largest"), [(0, 0, 0), (1, 1, 1), (5, 1, 5), (200, 1, 200), (201, 2, 101), (10_000, 4, 2_500)]
)
def test_a_household_takes_one_run_and_thousands_take_four(users: int, batches: int, largest: int) -> None:
    keys = [f"user-{number}" for number in range(users)]
    planned = plan_batches(keys, due=dict.fromkeys(keys, HOUR), now=HOUR + 2 * MINUTE)
    assert len(planned) == batches
    assert max((batch.users for batch in planned), default=0) == largest
    assert users <= USERS_A_RUN or batches > 1


def test_who_is_not_due_or_has_no_partition_yet_waits() -> None:
    due = {"ana": HOUR, "ben": HOUR + MINUTE, "new": HOUR}
    (batch,) = plan_batches(["ana", "ben", "cem"], due=due, now=HOUR)
    assert (batch.first, batch.last, batch.users) == ("ana", "ana", 1)


def test_a_slot_begins_every_five_minutes() -> None:
    slots = {slot_of(HOUR + timedelta(seconds=second)) for second in range(0, 3600, 10)}
    assert sorted(slots) == [HOUR + number * SLOT for number in range(12)]
