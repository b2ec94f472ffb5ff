"""The arithmetic of the quota."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myi_pipeline.providers.quota_rules import (
    FEWEST_POLLS_A_DAY,
    LONGEST_BLOCK,
    LONGEST_WINDOW,
    SHARES,
    Block,
    Bucket,
    DayUsage,
    Learnt,
    QuotaLimits,
    Slot,
    affordable_polls,
    allowance,
    decide,
    is_blocked,
    learn_from_429,
    next_block,
    planned_polls,
)

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@given(
    limit=st.integers(1, 40),
    gaps=st.lists(st.integers(0, 20_000), min_size=1, max_size=150),
    bucket=st.sampled_from(Bucket),
)
def test_no_minute_holds_more_than_the_limit_and_no_half_more_than_half(
    limit: int, gaps: list[int], bucket: Bucket
) -> None:
    limits, now = QuotaLimits(requests_per_minute=limit), NOW
    calls: list[datetime] = []
    for gap in gaps:
        now += timedelta(milliseconds=gap)
        recent = [Slot(call, 1) for call in calls if call > now - LONGEST_WINDOW]
        decision = decide(bucket=bucket, limits=limits, recent=recent, block=None, day=None, now=now)
        if decision.retry_at is None:
            calls.append(now)
        else:
            assert now < decision.retry_at <= now + LONGEST_WINDOW
    for start in calls:
        assert sum(start <= call < start + 60 * SECOND for call in calls) <= limit
        assert sum(start <= call < start + 30 * SECOND for call in calls) <= -(-limit // 2)


def test_at_the_time_that_is_told_there_is_room() -> None:
    limits = QuotaLimits(requests_per_minute=4)
    calls = [NOW, NOW + SECOND]
    told = decide(
        bucket=Bucket.POLLS,
        limits=limits,
        recent=[Slot(call, 1) for call in calls],
        block=None,
        day=None,
        now=NOW + 2 * SECOND,
    ).retry_at
    assert told == NOW + 30 * SECOND


def test_others_leave_room_for_polls() -> None:
    limits = QuotaLimits()
    assert [allowance(limits, bucket) for bucket in Bucket] == [150, 150, 120, 120, 75]
    assert list(SHARES.values()) == sorted(SHARES.values(), reverse=True)


@pytest.mark.parametrize(
    ("total", "catalogue", "why"),
    [(0, 0, ""), (1_999, 399, ""), (400, 400, "used up"), (2_000, 10, "polls need")],
)
def test_the_catalogue_gets_what_is_left_of_the_day(total: int, catalogue: int, why: str) -> None:
    day = DayUsage(
        total=total,
        catalogue=catalogue,
        first_leaves_at=NOW + timedelta(hours=3),
        first_of_catalogue_leaves_at=NOW + timedelta(hours=5),
    )
    decision = decide(bucket=Bucket.CATALOGUE, limits=QuotaLimits(), recent=[], block=None, day=day, now=NOW)
    assert why in decision.reason
    assert (decision.retry_at is None) is (why == "")
    if why:
        assert decision.retry_at == NOW + timedelta(hours=5 if why == "used up" else 3)
    assert decide(bucket=Bucket.POLLS, limits=QuotaLimits(), recent=[], block=None, day=day, now=NOW).retry_at is None


def test_without_any_call_allowed_the_catalogue_is_told_tomorrow() -> None:
    none = DayUsage(total=0, catalogue=0, first_leaves_at=None, first_of_catalogue_leaves_at=None)
    limits = QuotaLimits(catalogue_calls_per_day=0)
    decision = decide(bucket=Bucket.CATALOGUE, limits=limits, recent=[], block=None, day=none, now=NOW)
    assert decision.retry_at == NOW + timedelta(hours=24)


def test_retry_after_is_kept_to_the_second_and_one_more() -> None:
    block = next_block(None, retry_after=timedelta(seconds=85_771), quota_exceeded=False, now=NOW)
    assert block.blocked_until == NOW + timedelta(seconds=85_772)
    assert is_blocked(block, block.blocked_until - SECOND)
    assert not is_blocked(block, block.blocked_until)


@pytest.mark.parametrize(
    ("quota_exceeded", "waits"),
    [(False, [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]), (True, [3600, 7200, 14400, 28800, 57600, 86400, 86400])],
)
def test_without_retry_after_the_wait_doubles(quota_exceeded: bool, waits: list[int]) -> None:
    block: Block | None = None
    now, found = NOW, []
    for _ in waits:
        block = next_block(block, retry_after=None, quota_exceeded=quota_exceeded, now=now)
        found.append((block.blocked_until - now).total_seconds())
        now = block.blocked_until
    assert found == waits


@pytest.mark.parametrize("seconds", [-5, 0, 10**9])
def test_a_strange_retry_after_is_bounded(seconds: int) -> None:
    block = next_block(None, retry_after=timedelta(seconds=seconds), quota_exceeded=False, now=NOW)
    assert SECOND <= block.blocked_until - NOW <= LONGEST_BLOCK


def test_a_late_answer_does_not_shorten_a_block() -> None:
    long = next_block(None, retry_after=timedelta(hours=5), quota_exceeded=False, now=NOW)
    after = next_block(long, retry_after=timedelta(seconds=1), quota_exceeded=False, now=NOW + SECOND)
    assert after.blocked_until == long.blocked_until


def test_the_plan_gives_five_users_800_polls_and_leaves_the_catalogue_its_share() -> None:
    limits = QuotaLimits()
    assert [planned_polls(limits, users=users) for users in (1, 5)] == [160, 800]
    for users in (1, 5, 8, 9, 30):
        spare = limits.calls_per_day - planned_polls(limits, users=users)
        assert spare >= limits.catalogue_calls_per_day
    # Spotify gives more users only to an app with an extended quota; the sliding window bounds that.
    assert [planned_polls(limits, users=users) for users in (50, 500)] == [1_600, 16_000]
    assert planned_polls(limits, users=10_000) == limits.requests_per_minute * 1_440 * 2 / 3
    assert planned_polls(QuotaLimits(calls_per_day=100_000), users=500) == 80_000


def test_a_429_teaches_less_and_some_of_it_comes_back_each_day() -> None:
    day = timedelta(days=1)
    learnt = learn_from_429(
        None, planned=800, spent=790, retry_after=timedelta(hours=9), quota_exceeded=False, now=NOW
    )  # fmt: skip
    assert learnt.polls_a_day == pytest.approx(0.8 * 790)
    rates = [affordable_polls(800, learnt, NOW + number * day) for number in range(40)]
    assert rates == sorted(rates)
    assert rates[1] - rates[0] == pytest.approx(20)
    assert rates[-1] == 800
    # A full sliding window says little about the day, far fewer polls than planned that others use it up too.
    window = learn_from_429(None, planned=800, spent=20, retry_after=30 * SECOND, quota_exceeded=False, now=NOW)
    assert window.polls_a_day == pytest.approx(0.8 * 800)
    shared = learn_from_429(None, planned=800, spent=20, retry_after=None, quota_exceeded=True, now=NOW)
    assert shared.polls_a_day == pytest.approx(0.4 * 800)


@given(
    planned=st.floats(12, 200_000),
    answers=st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 90_000), st.booleans()), max_size=30),
)
def test_however_often_a_429_comes_some_polls_remain_and_never_more_than_planned(
    planned: float, answers: list[tuple[int, int, bool]]
) -> None:
    learnt: Learnt | None = None
    now = NOW
    for spent, retry_after_s, quota_exceeded in answers:
        before = affordable_polls(planned, learnt, now)
        learnt = learn_from_429(
            learnt,
            planned=planned,
            spent=spent,
            retry_after=timedelta(seconds=retry_after_s),
            quota_exceeded=quota_exceeded,
            now=now,
        )
        assert min(planned, FEWEST_POLLS_A_DAY) <= learnt.polls_a_day <= max(before, FEWEST_POLLS_A_DAY)
        now += timedelta(hours=5)
        assert affordable_polls(planned, learnt, now) <= planned
    # A clock that went back gives nothing back.
    if learnt is not None:
        assert affordable_polls(planned, learnt, NOW - timedelta(days=9)) <= max(learnt.polls_a_day, planned)
