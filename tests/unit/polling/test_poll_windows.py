"""A page held against the poll before: new, late, overflowed, refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from myi_pipeline.polling.pace import after_poll
from myi_pipeline.polling.windows import Comparison, Gap, GapReason, Page, PollState, compare, span_start
from myi_pipeline.providers.quota_rules import Means

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
MEANS = Means(users=5, polls_a_day=800.0, spent=())


def page(known: list[int], new: list[int], *, full: bool = True, at: int = 0) -> Page:
    """Times in minutes before (negative) or after noon."""
    return Page(
        polled_at=NOON + at * MINUTE,
        is_full=full,
        known=[NOON + minute * MINUTE for minute in known],
        new=[NOON + minute * MINUTE for minute in new],
    )


BEFORE = PollState(
    polled_at=NOON - 60 * MINUTE, oldest_played_at=NOON - 240 * MINUTE, newest_played_at=NOON - 70 * MINUTE
)


def test_a_first_page_has_nothing_to_be_held_against() -> None:
    first = page([], [-90, -80])
    assert compare(PollState(), first) == Comparison()
    assert span_start(first) == NOON - 90 * MINUTE
    assert span_start(page([], [])) == NOON


def test_a_page_that_is_not_full_and_connects_holds_all_that_there_is() -> None:
    assert compare(BEFORE, page([-70], [-50, -40], full=False)).gaps == ()


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
    found = compare(BEFORE, page([*range(-347, -300), -70], [-200, -190, -10]))
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
        state = after_poll(state, shown, found, means=MEANS, place=1)
        last, now = now, now + wait * MINUTE
    missing = [each for each in times if began <= each <= last and each not in seen]
    assert all(any(gap.start <= each <= gap.end for gap in gaps) for each in missing)
    # One more than the 50 are nobody's loss, but whether they are 50 or 70 a page cannot tell.
    assert all(sum(gap.start < each < gap.end for each in times) == 0 or missing for gap in gaps)


def test_a_gap_beside_a_play_that_is_dated_ahead_ends_now() -> None:
    older, ahead = NOON - 20 * MINUTE, NOON + 300 * MINUTE
    shown = Page(polled_at=NOON, is_full=True, known=[older, ahead], refused=[(older, ahead)])
    assert compare(BEFORE, shown).gaps == (Gap(older, NOON, GapReason.REFUSED_ITEMS),)


def test_a_short_page_of_nothing_known_is_a_gap_once_plays_were_known() -> None:
    """Spotify filters entries out after it cut the window: pages of 43 to 45 are as full as others."""
    for count in (1, 20, 43, 49):
        shown = page([], [minute - 50 for minute in range(count)], full=False)
        found = compare(BEFORE, shown)
        gap = Gap(NOON - 70 * MINUTE, NOON - 50 * MINUTE, GapReason.WINDOW_OVERFLOW)
        assert (found.connects, found.gaps) == (False, (gap,)), count


def test_the_first_plays_of_an_account_are_no_gap_unless_they_fill_the_window() -> None:
    nothing_yet = PollState(polled_at=NOON - 60 * MINUTE)
    assert compare(nothing_yet, page([], [-50, -40], full=False)).gaps == ()
    # 43 entries are what is left of a full window when seven were episodes.
    found = compare(nothing_yet, page([], [minute - 50 for minute in range(43)], full=False))
    assert [(gap.start, gap.end) for gap in found.gaps] == [(NOON - 60 * MINUTE, NOON - 50 * MINUTE)]


def test_an_empty_page_after_plays_is_no_gap_and_connects_nothing() -> None:
    empty = page([], [], full=False)
    found = compare(BEFORE, empty)
    assert (found.is_empty, found.connects, found.gaps) == (True, False, ())
    assert not compare(PollState(polled_at=NOON - 60 * MINUTE), empty).is_empty
    # What the next page shows was not late: the empty page could not show it.
    after = after_poll(BEFORE, empty, found, means=MEANS, place=1)
    found = compare(after, page([-70], [-40, -30], at=5))
    assert (found.late, found.connects, found.gaps) == (0, True, ())
    assert compare(after, page([], [-40, -30], full=False, at=5)).gaps != ()


def test_a_late_play_anywhere_among_the_oldest_may_be_the_rest_of_more() -> None:
    """A phone that was offline while another device played: its plays lie between known ones."""
    for place in range(1, 10):
        known = [minute - 200 for minute in range(0, 4 * 49, 4)]
        late = known[place] - 2
        found = compare(BEFORE, page(known, [late]), known_before=lambda moment: moment - 4 * MINUTE)
        (gap,) = found.gaps
        assert (gap.reason, gap.end) == (GapReason.LATE_PLAYS, NOON - 200 * MINUTE), place
        # Known plays of the other device say nothing about when the offline session began.
        assert gap.start <= NOON - (200 + 10 * 60) * MINUTE
    both = compare(BEFORE, page(known, [-202, -198]), known_before=lambda moment: moment - 4 * MINUTE)
    assert both.gaps[0].start <= NOON - (202 + 10 * 60) * MINUTE
    newer = compare(BEFORE, page(known, [known[30] - 2]), known_before=lambda moment: moment - 4 * MINUTE)
    assert newer.gaps == ()


def test_late_plays_behind_the_end_of_a_short_page_that_was_cut() -> None:
    known = [minute - 200 for minute in range(0, 4 * 42, 4)]
    shown = page(known, [-202], full=False)
    assert compare(BEFORE, shown, known_before=lambda moment: moment - 9 * MINUTE).gaps != ()
    # Nothing ever left the page: it shows all that there is.
    assert compare(BEFORE, shown).gaps == ()


def test_a_play_dated_ahead_of_the_clock_makes_nothing_late_and_no_gap() -> None:
    shown = page([-70], [-50, 60 * 24 * 3], full=False)
    after = after_poll(BEFORE, shown, compare(BEFORE, shown), means=MEANS, place=1)
    found = compare(after, page([-70, -50, 60 * 24 * 3], [10, 20], at=30))
    assert (found.late, found.gaps) == (0, ())
    overflow = compare(after, page([], [100, 110], at=120)).gaps[0]
    assert (overflow.start, overflow.end) == (NOON - 50 * MINUTE, NOON + 100 * MINUTE)
    # It is the only one that is known: what lies between is missing all the same.
    hidden = compare(after, page([60 * 24 * 3], [100, 110], at=120)).gaps[0]
    assert (hidden.start, hidden.end) == (NOON - 50 * MINUTE, NOON + 100 * MINUTE)
