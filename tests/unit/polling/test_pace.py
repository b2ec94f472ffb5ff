"""The turn follows what the client id can afford, never a listener's habits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.polling_rules import START, Rule, Timeline, every, poll_client
from myi_pipeline.errors import AuthRevoked, Gone, RateLimited, Transient
from myi_pipeline.polling.pace import (
    GROUP,
    LATEST,
    LATEST_AFTER_FAILURE,
    LEAST,
    LONGEST,
    SLOT,
    after_failure,
    after_poll,
    next_turn,
    silent_period,
    spare,
)
from myi_pipeline.polling.windows import Comparison, Page, PollState, compare
from myi_pipeline.providers.quota_rules import Means, QuotaLimits, planned_polls

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
# Fixed polls, and the longest that a play has to stay on the page so that they find it whatever their phase.
FIXED = 20 * MINUTE


def means(users: int = 5, *, spent: Sequence[int] = (), polls_a_day: float | None = None) -> Means:
    planned = planned_polls(QuotaLimits(), users=users)
    return Means(users=users, polls_a_day=polls_a_day or planned, spent=spent)


def played(count: int, *, every: timedelta, ago: timedelta = MINUTE) -> list[datetime]:
    return [NOON - ago - number * every for number in range(count)]


def wait_after(
    times: Sequence[datetime],
    *,
    before: PollState | None = None,
    new: int = 0,
    late: int = 0,
    with_means: Means | None = None,
    place: int = 1,
) -> timedelta:
    before = before or PollState(polled_at=NOON - HOUR, new_seen_at=NOON - HOUR)
    page = Page(polled_at=NOON, is_full=len(times) == 50, new=times[:new], known=times[new:])
    after = after_poll(before, page, Comparison(late=late), means=with_means or means(), place=place)
    assert after.due_at is not None
    return after.due_at - NOON


@pytest.mark.parametrize("users", [1, 2, 5])
def test_up_to_five_users_are_polled_every_quarter_of_an_hour_and_every_five_minutes_while_they_listen(
    users: int,
) -> None:
    assert wait_after([], with_means=means(users)) == 15 * MINUTE
    assert wait_after(played(50, every=3 * MINUTE, ago=HOUR), with_means=means(users)) == 15 * MINUTE
    assert wait_after(played(50, every=3 * MINUTE), with_means=means(users)) == 5 * MINUTE
    assert wait_after(played(1, every=3 * MINUTE, ago=9 * MINUTE), with_means=means(users)) == 5 * MINUTE


def test_nobody_is_polled_less_often_because_they_were_silent_for_long() -> None:
    for days in (0, 1, 7, 28, 400):
        before = PollState(polled_at=NOON - HOUR, new_seen_at=NOON - days * DAY, fill=2 * HOUR)
        assert wait_after(played(50, every=4 * MINUTE, ago=(days + 1) * DAY), before=before) == 15 * MINUTE


def test_plays_that_surface_late_and_bursts_are_followed_closely() -> None:
    times = played(50, every=6 * MINUTE, ago=2 * HOUR)
    assert wait_after(times, new=3, late=3) == 5 * MINUTE
    assert wait_after(times, new=25) == 5 * MINUTE
    assert wait_after(times, new=24) == 15 * MINUTE
    assert wait_after(times, new=50, before=PollState()) == 15 * MINUTE


def test_a_play_dated_ahead_of_now_triggers_nothing_and_delays_nothing() -> None:
    ahead = [NOON + 3 * DAY]
    assert wait_after([*ahead, *played(30, every=3 * MINUTE, ago=HOUR)]) == 15 * MINUTE
    assert wait_after([*ahead, *played(30, every=3 * MINUTE)]) == 5 * MINUTE


@given(users=st.integers(1, 20_000), calls=st.integers(1, 200_000), spent=st.lists(st.integers(0, 900), max_size=30))
def test_without_a_429_nobody_waits_longer_than_two_hours(users: int, calls: int, spent: list[int]) -> None:
    planned = planned_polls(QuotaLimits(calls_per_day=calls), users=users)
    given_means = Means(users=users, polls_a_day=planned, spent=spent)
    for ago in (MINUTE, 5 * HOUR):
        wait = wait_after(played(50, every=MINUTE, ago=ago), with_means=given_means, place=users)
        # More than 12,000 users of one client id are more than the minute's limit lets through.
        assert LEAST <= wait <= LONGEST or users > 12_000


def test_more_users_of_a_client_id_wait_longer_the_fastest_last() -> None:
    album, skipper, quiet = (
        played(50, every=4 * MINUTE), played(50, every=40 * timedelta(seconds=1)), played(9, every=HOUR, ago=HOUR),
    )  # fmt: skip
    waits = {}
    for users in (5, 50, 500, 10_000):
        have = means(users)
        # Over the whole period: turns lie on common points.
        state = replace(PollState(), polled_at=NOON - HOUR)
        assert wait_after(quiet, before=state, with_means=have) <= silent_period(have)
        waits[users] = [silent_period(have), *(wait_after(times, with_means=have) for times in (album, skipper))]
    assert [waits[users][0] for users in waits] == sorted(waits[users][0] for users in waits)
    assert waits[5] == [15 * MINUTE, 5 * MINUTE, 5 * MINUTE]
    assert waits[10_000][0] == LONGEST
    assert waits[10_000][2] <= 15 * MINUTE < waits[10_000][1]


def test_when_the_day_is_nearly_spent_the_slow_wait_first_then_the_fast_and_the_silent_never() -> None:
    album, skipper = played(50, every=4 * MINUTE), played(50, every=40 * timedelta(seconds=1))
    found = []
    for an_hour in (0, 25, 28, 30, 31, 32, 33, 34, 60):
        have = means(5, spent=[an_hour] * 24)
        found.append((round(spare(have), 2), wait_after(album, with_means=have), wait_after(skipper, with_means=have)))
        assert wait_after([], with_means=have) == 15 * MINUTE
    assert [each[0] for each in found] == sorted((each[0] for each in found), reverse=True)
    assert [each[1] for each in found] == sorted(each[1] for each in found)
    assert found[0][1:] == (5 * MINUTE, 5 * MINUTE)
    assert found[-1][1:] == (15 * MINUTE, 15 * MINUTE)
    assert all(fast <= slow for _, slow, fast in found)


def test_five_users_who_listen_day_and_night_spend_at_most_800_polls_in_any_24_hours() -> None:
    days = 4
    ends = range(int(START.timestamp()) * 1000, int((START + days * DAY).timestamp()) * 1000, 180_000)
    household = [Timeline.of("day and night", ((end, end) for end in ends)) for _ in range(5)]
    polled = poll_client(household, days=days)
    assert 700 < polled.spent.most_in_24_hours() <= 800
    # It is spent, not saved: more than the silent period's 480 a day.
    assert polled.polls > days * 700


@given(
    polled_s=st.integers(0, 90_000),
    slots=st.integers(1, 24),
    place=st.integers(0, 20_000),
    jitter_s=st.integers(0, 100),
)
def test_turns_lie_on_common_points_and_neighbours_share_them(
    polled_s: int, slots: int, place: int, jitter_s: int
) -> None:
    polled_at, period = NOON + timedelta(seconds=polled_s), slots * SLOT
    turn = next_turn(polled_at, period, place=place)
    assert LEAST <= turn - polled_at <= min(period + LEAST, max(period, LONGEST))
    assert (turn - NOON) % SLOT == timedelta(0) or turn - polled_at == LONGEST
    neighbour = place // GROUP * GROUP
    if (later := polled_at + timedelta(seconds=jitter_s)) + LEAST <= turn:
        assert next_turn(later, period, place=neighbour) == turn or turn - polled_at == LONGEST


def test_a_poll_that_ran_up_to_two_minutes_late_leaves_no_slot_out() -> None:
    for late_s in range(0, 121, 10):
        assert next_turn(NOON + timedelta(seconds=late_s), SLOT, place=1) == NOON + SLOT


def _household(seed: int) -> list[Timeline]:
    """Five listeners with days of silence, and sittings of whatever pace and length; the page shows a play at its end,
    now and then an hour of plays at once, as after a stale spell.
    """
    dice = Random(seed)
    people = []
    for number in range(5):
        now, plays = dice.uniform(0, 6 * 3600), []
        while now < 9 * 86_400:
            pace = dice.choice((24.0, 31.0, 45.0, 120.0, 210.0, 400.0))
            stale_until = now + dice.choice((0.0, 0.0, 0.0, 3600.0))
            for _ in range(dice.randrange(5, 260)):
                now += pace * dice.uniform(0.9, 1.1) + 1.0
                plays.append((int(now * 1000), int(max(now, stale_until) * 1000)))
            now += dice.choice((600.0, 4000.0, 30_000.0, 90_000.0, 7 * 86_400.0))
        began = int(START.timestamp() * 1000)
        people.append(Timeline.of(f"{number}", ((began + told, began + shown) for told, shown in plays)))
    return people


def _visible(timeline: Timeline, place: int) -> timedelta:
    """How long this play is on the page, from when it surfaces until 50 younger ones have."""
    younger = sorted(
        surfaces
        for surfaces, reported in zip(timeline.surfaces, timeline.reported, strict=True)
        if reported > timeline.reported[place]
    )
    if len(younger) < 50:
        return LATEST
    return timedelta(milliseconds=younger[49] - timeline.surfaces[place])


def _lost_but_kept_by_fixed_polls(seeds: Iterable[int], rule: Rule | None = None) -> int:
    """Plays that polls every 20 minutes find whatever their phase, and this rule does not."""
    lost = 0
    for seed in seeds:
        polled = poll_client(_household(seed), days=9, rule=rule, seed=seed)
        for reader in polled.readers:
            lost += sum(_visible(reader.timeline, place) >= FIXED for place in reader.lost_plays())
    return lost


def _by_habits(state: PollState, page: Page, now: datetime) -> datetime:
    """A pace that follows the listener: rarer for who has been silent, at most an hour for who listens slowly."""
    quiet = state.polled_at - state.new_seen_at if state.polled_at and state.new_seen_at else timedelta(0)
    if quiet >= 7 * DAY:
        return now + min(quiet / 28, DAY)
    fill = state.fill or 2 * HOUR
    return now + max(min(fill * 0.4, HOUR) if quiet < HOUR else min(fill * 0.8, 2 * HOUR), SLOT)


@pytest.mark.slow
def test_nobody_loses_a_play_that_fixed_polls_every_20_minutes_keep() -> None:
    assert _lost_but_kept_by_fixed_polls(range(6)) == 0


@pytest.mark.slow
def test_a_pace_that_follows_habits_loses_plays_that_fixed_polls_keep() -> None:
    """The property can fail: so it does for a pace that saves calls where nobody needs them."""
    assert _lost_but_kept_by_fixed_polls(range(2), _by_habits) > 0
    assert _lost_but_kept_by_fixed_polls(range(2), every(25)) > 0


@pytest.mark.parametrize("error", [Transient("net"), AuthRevoked("no"), Gone("gone"), RuntimeError("bug")])
def test_what_failed_is_tried_within_the_hour_and_circuits_do_the_rest(error: Exception) -> None:
    state = PollState(polled_at=NOON - HOUR, newest_played_at=NOON - HOUR)
    for failures in range(1, 12):
        state = after_failure(state, error, now=NOON, jitter=1.0)
        assert state.failures == failures
        assert state.due_at is not None
        assert NOON + MINUTE <= state.due_at <= NOON + LATEST_AFTER_FAILURE
    assert (state.polled_at, state.newest_played_at) == (NOON - HOUR, NOON - HOUR)


def test_a_quota_that_knows_its_time_decides() -> None:
    error = RateLimited("wait", retry_at=NOON + 20 * HOUR)
    assert after_failure(PollState(), error, now=NOON, jitter=0.0).due_at == NOON + 20 * HOUR


@pytest.mark.parametrize("ahead", [10 * MINUTE, HOUR, 3 * DAY])
@pytest.mark.parametrize("is_known", [True, False])
def test_a_play_dated_ahead_of_now_changes_no_turn(ahead: timedelta, is_known: bool) -> None:
    silent = played(30, every=4 * MINUTE, ago=5 * HOUR)
    before = PollState(polled_at=NOON - HOUR, new_seen_at=NOON - 9 * DAY, newest_played_at=NOON - 5 * HOUR)

    def state_after(times: list[datetime]) -> PollState:
        new = [] if is_known else [each for each in times if each > NOON]
        page = Page(polled_at=NOON, is_full=False, new=new, known=[each for each in times if each not in new])
        return after_poll(before, page, compare(before, page), means=means(), place=1)

    assert state_after([NOON + ahead, *silent]) == state_after(silent)


def test_a_state_that_names_a_play_ahead_of_now_is_put_right() -> None:
    wrong = PollState(polled_at=NOON - HOUR, newest_played_at=NOON + 3 * DAY)
    page = Page(polled_at=NOON, is_full=False, new=[NOON - 5 * MINUTE], known=[NOON - 2 * HOUR])
    found = compare(wrong, page)
    assert (found.late, found.gaps) == (0, ())
    after = after_poll(wrong, page, found, means=means(), place=1)
    assert after.newest_played_at == NOON
