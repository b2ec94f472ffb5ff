"""A page held against the poll before: new, late, overflowed, refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from myi_pipeline.core.poll_windows import Comparison, Gap, GapReason, Page, PollState, compare, span_start
from myi_pipeline.core.polling_policy import after_poll

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def page(known: list[int], new: list[int], *, full: bool = True, at: int = 0) -> Page:
    """Times in minutes before (negative) or after noon."""
    return Page(
        polled_at=NOON + at * MINUTE,
        is_full=full,
        known=[NOON + minute * MINUTE for minute in known],
        new=[NOON + minute * MINUTE for minute in new],
    )


BEFORE = PollState(polled_at=NOON - 60 * MINUTE, newest_played_at=NOON - 70 * MINUTE)


def test_a_first_page_has_nothing_to_be_held_against() -> None:
    first = page([], [-90, -80])
    assert compare(PollState(), first) == Comparison()
    assert span_start(first) == NOON - 90 * MINUTE
    assert span_start(page([], [])) == NOON


def test_a_page_that_is_not_full_holds_all_that_there_is() -> None:
    assert compare(BEFORE, page([], [-50, -40], full=False)).gaps == ()


def test_one_known_play_connects_a_full_page() -> None:
    assert compare(BEFORE, page([-70], [-50, -40])) == Comparison()


def test_a_full_page_of_nothing_known_overflowed() -> None:
    found = compare(BEFORE, page([], [-30, -20]))
    gap = Gap(NOON - 70 * MINUTE, NOON - 30 * MINUTE, GapReason.WINDOW_OVERFLOW)
    assert (found.connects, found.gaps) == (False, (gap,))


def test_after_three_hours_without_a_poll_it_was_an_outage() -> None:
    away = PollState(polled_at=NOON - 181 * MINUTE, newest_played_at=NOON - 190 * MINUTE)
    assert compare(away, page([], [-30])).gaps[0].reason is GapReason.OUTAGE


def test_a_window_in_the_order_of_surfacing_overflows_over_all_that_it_shows() -> None:
    found = compare(BEFORE, page([], [-300, -20]))
    assert (found.gaps[0].start, found.gaps[0].end) == (NOON - 300 * MINUTE, NOON - 20 * MINUTE)


def test_late_plays_inside_the_window_are_whole() -> None:
    found = compare(BEFORE, page([-300, -70], [-200, -190, -10]))
    assert (found.late, found.late_from, found.gaps) == (2, NOON - 200 * MINUTE, ())


def test_late_plays_at_the_old_end_may_be_the_rest_of_more() -> None:
    def known_before(moment: datetime) -> datetime:
        return moment - 33 * MINUTE

    found = compare(BEFORE, page([-180, -70], [-200, -10]), known_before=known_before)
    assert found.gaps == (Gap(NOON - 233 * MINUTE, NOON - 200 * MINUTE, GapReason.LATE_PLAYS),)
    # The page before saw the beginning of the sync, and its plays have left the window since.
    earlier = PollState(**{**BEFORE.__dict__, "late_from": NOON - 210 * MINUTE})
    found = compare(earlier, page([-180, -70], [-10]), known_before=known_before)
    assert found.gaps == (Gap(NOON - 243 * MINUTE, NOON - 180 * MINUTE, GapReason.LATE_PLAYS),)


def test_a_refused_item_is_a_gap_between_its_neighbours() -> None:
    older, newer = NOON - 20 * MINUTE, NOON - 10 * MINUTE
    shown = Page(polled_at=NOON, is_full=True, known=[older, newer], refused=[(older, newer), (newer, None)])
    assert [(gap.start, gap.end) for gap in compare(BEFORE, shown).gaps] == [(older, newer), (newer, NOON)]


@given(
    plays=st.lists(st.integers(1, 40), min_size=60, max_size=300),
    polls=st.lists(st.integers(5, 600), min_size=2, max_size=12),
)
def test_whatever_is_played_in_order_is_seen_or_lies_in_a_gap(plays: list[int], polls: list[int]) -> None:
    times = [NOON]
    for minutes in plays:
        times.append(times[-1] + minutes * MINUTE)
    state, seen, gaps, now = PollState(), set[datetime](), list[Gap](), times[55]
    for wait in polls:
        window = [played_at for played_at in times if played_at <= now][-50:]
        shown = Page(
            polled_at=now,
            is_full=len(window) == 50,
            known=[each for each in window if each in seen],
            new=[each for each in window if each not in seen],
        )
        found = compare(state, shown, known_before=lambda moment: max((t for t in seen if t < moment), default=None))
        gaps += found.gaps
        if state.polled_at is None:
            began = span_start(shown)
        seen.update(window)
        state = after_poll(state, shown, found, jitter=0.5)
        last, now = now, now + wait * MINUTE
    missing = [each for each in times if began <= each <= last and each not in seen]
    assert all(any(gap.start <= each <= gap.end for gap in gaps) for each in missing)
    # One more than the 50 are nobody's loss, but whether they are 50 or 70 a page cannot tell.
    assert all(sum(gap.start < each < gap.end for each in times) == 0 or missing for gap in gaps)
