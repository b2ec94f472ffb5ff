"""The turn follows the listener's own pace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myi_pipeline.core.errors import AuthRevoked, Gone, RateLimited, Transient
from myi_pipeline.core.poll_windows import Comparison, Page, PollState
from myi_pipeline.core.polling_policy import (
    COOL_DOWN,
    LATEST,
    SOON,
    USUAL,
    after_failure,
    after_poll,
    is_cooling_down,
    turn_has_come,
)

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def played(count: int, *, every: timedelta, ago: timedelta = MINUTE) -> list[datetime]:
    return [NOON - ago - number * every for number in range(count)]


def wait_after(
    times: Sequence[datetime],
    *,
    before: PollState | None = None,
    new: int = 0,
    late: int = 0,
    jitter: float = 0.0,
) -> timedelta:
    before = before or PollState(polled_at=NOON - HOUR, new_seen_at=NOON - HOUR)
    page = Page(polled_at=NOON, is_full=len(times) == 50, new=times[:new], known=times[new:])
    after = after_poll(before, page, Comparison(late=late), jitter=jitter)
    assert after.due_at is not None
    return after.due_at - NOON


def test_an_hour_while_nothing_is_known_of_a_pace() -> None:
    assert wait_after([]) == USUAL
    assert wait_after(played(19, every=MINUTE)) == USUAL
    assert wait_after([], before=PollState()) == USUAL


def test_an_album_leaves_an_hour_and_a_skipper_minutes() -> None:
    assert wait_after(played(50, every=4 * MINUTE)) == USUAL
    skipping = wait_after(played(50, every=MINUTE / 2))
    # 25 minutes fill the window at this pace.
    assert skipping == pytest.approx(10 * MINUTE, rel=0.01)


def test_the_next_turn_comes_before_the_window_is_full_at_the_pace_of_the_page() -> None:
    for seconds in range(10, 400, 7):
        every = timedelta(seconds=seconds)
        assert wait_after(played(50, every=every)) <= max(every * 50 * 0.4, COOL_DOWN)


def test_a_silent_listener_gets_four_fifths_of_their_fastest_time_to_start_again() -> None:
    fast = PollState(polled_at=NOON - HOUR, new_seen_at=NOON - 3 * HOUR, fill=timedelta(minutes=50))
    quiet = played(50, every=30 * MINUTE, ago=3 * HOUR)
    assert wait_after(quiet, before=fast) == pytest.approx(40 * MINUTE, rel=0.01)
    assert wait_after(quiet, before=replace(fast, fill=5 * HOUR)) == 2 * HOUR


def test_a_burst_of_long_ago_is_forgotten() -> None:
    quiet = played(50, every=3 * HOUR, ago=3 * HOUR)
    burst = PollState(polled_at=NOON - DAY, new_seen_at=NOON - DAY, fill=timedelta(minutes=25))
    waits = []
    for _ in range(30):
        page = Page(polled_at=NOON, is_full=True, known=quiet)
        after = after_poll(burst, page, Comparison(), jitter=0.0)
        assert after.due_at is not None
        waits.append(after.due_at - NOON)
        burst = replace(after, polled_at=NOON - DAY, new_seen_at=NOON - DAY)
    assert waits == sorted(waits)
    assert waits[0] < 25 * MINUTE
    assert waits[-1] > HOUR


def test_a_full_page_of_mostly_new_plays_means_soon() -> None:
    times = played(50, every=6 * MINUTE)
    assert wait_after(times, new=24) == USUAL
    assert wait_after(times, new=25) == SOON
    assert wait_after(times, new=50, before=PollState()) == USUAL


def test_late_plays_mean_soon_because_the_rest_follows() -> None:
    assert wait_after(played(50, every=6 * MINUTE), new=3, late=3) == SOON


def test_who_is_silent_for_weeks_is_polled_less_often_but_daily() -> None:
    waits = []
    for days in (6, 7, 14, 28, 400):
        before = PollState(polled_at=NOON - HOUR, new_seen_at=NOON - days * DAY, fill=2 * HOUR)
        waits.append(wait_after(played(50, every=4 * MINUTE, ago=days * DAY), before=before))
    assert waits[0] < 2 * HOUR
    assert waits[1:] == [6 * HOUR, 12 * HOUR, DAY, DAY]


def test_a_stale_window_that_shows_hours_at_once_is_not_taken_for_a_burst() -> None:
    """20 plays came at once, but were played over an hour: that is the pace."""
    before = PollState(polled_at=NOON - 5 * HOUR, new_seen_at=NOON - 5 * HOUR, fill=3 * HOUR)
    times = played(50, every=4 * MINUTE, ago=HOUR)
    after = after_poll(
        before, Page(polled_at=NOON, is_full=True, new=times[:20], known=times[20:]), Comparison(), jitter=0
    )
    assert after.fill is not None
    assert after.fill > 2.9 * HOUR


@given(
    gaps=st.lists(st.integers(0, 10_000_000), max_size=49),
    new=st.integers(0, 50),
    silent_s=st.integers(0, 40_000_000),
    fill_s=st.none() | st.integers(1, 10_000_000),
    polled_ago_s=st.integers(-100_000, 40_000_000),
    jitter=st.floats(0, 1),
)
def test_nobody_waits_longer_than_a_day_or_less_than_the_cool_down(
    gaps: list[int], new: int, silent_s: int, fill_s: int | None, polled_ago_s: int, jitter: float
) -> None:
    times = [NOON]
    for gap in gaps:
        times.append(times[-1] - timedelta(seconds=gap))
    before = PollState(
        polled_at=NOON - timedelta(seconds=polled_ago_s),
        new_seen_at=NOON - timedelta(seconds=silent_s),
        fill=timedelta(seconds=fill_s) if fill_s is not None else None,
    )
    assert COOL_DOWN <= wait_after(times, before=before, new=min(new, len(times)), jitter=jitter) <= LATEST


def test_jitter_takes_up_to_a_tenth() -> None:
    times = played(50, every=6 * MINUTE)
    assert wait_after(times, jitter=1.0) == USUAL * 0.9


def test_the_cool_down_is_five_minutes_and_a_poll_in_the_future_is_none() -> None:
    assert not is_cooling_down(None, NOON)
    assert is_cooling_down(NOON - 4 * MINUTE, NOON)
    assert not is_cooling_down(NOON - 5 * MINUTE, NOON)
    assert not is_cooling_down(NOON + DAY, NOON)


def test_a_turn_that_a_wrong_clock_wrote_has_come() -> None:
    assert turn_has_come(due_at=None, polled_at=None, now=NOON)
    assert turn_has_come(due_at=NOON, polled_at=NOON - HOUR, now=NOON)
    assert not turn_has_come(due_at=NOON + MINUTE, polled_at=NOON - HOUR, now=NOON)
    assert turn_has_come(due_at=NOON + 26 * HOUR, polled_at=NOON - HOUR, now=NOON)
    assert turn_has_come(due_at=NOON + 2 * HOUR, polled_at=NOON + HOUR, now=NOON)


@pytest.mark.parametrize("error", [Transient("net"), AuthRevoked("no"), Gone("gone"), RuntimeError("bug")])
def test_what_failed_is_tried_within_the_hour_and_circuits_do_the_rest(error: Exception) -> None:
    state = PollState(polled_at=NOON - HOUR, newest_played_at=NOON - HOUR)
    for failures in range(1, 12):
        state = after_failure(state, error, now=NOON, jitter=1.0)
        assert state.failures == failures
        assert state.due_at is not None
        assert NOON + MINUTE <= state.due_at <= NOON + USUAL
    assert (state.polled_at, state.newest_played_at) == (NOON - HOUR, NOON - HOUR)


def test_a_quota_that_knows_its_time_decides() -> None:
    error = RateLimited("wait", retry_at=NOON + 20 * HOUR)
    assert after_failure(PollState(), error, now=NOON, jitter=0.0).due_at == NOON + 20 * HOUR
