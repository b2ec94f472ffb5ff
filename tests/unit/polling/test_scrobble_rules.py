"""What a poll of a linked account reads, and which of its scrobbles are new."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from myi_pipeline.polling.scrobble_rules import (
    A_LONG_LOOK,
    EACH_POLL,
    LinkState,
    NamedScrobble,
    Stretch,
    find_new,
    is_long_look,
    next_due,
    next_stretch,
)

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FOLLOWED = LinkState(newest_at=NOW - HOUR, read_whole_at=NOW - DAY, looked_back_at=NOW - HOUR)


def told(second: int, *names: str) -> NamedScrobble:
    return NamedScrobble(NOW + timedelta(seconds=second), frozenset(names))


def test_an_account_that_is_new_is_read_from_its_beginning() -> None:
    assert next_stretch(LinkState(), [], now=NOW) == Stretch(None, None, None, NOW)


def test_while_the_past_is_read_a_poll_begins_with_what_is_new() -> None:
    walking = Stretch(1, None, NOW - 400 * DAY, NOW - HOUR)
    state = LinkState(newest_at=NOW - HOUR)
    assert next_stretch(state, [walking], now=NOW).since == NOW - HOUR - EACH_POLL


def test_a_poll_looks_back_a_day_and_once_a_day_over_two_weeks() -> None:
    assert next_stretch(FOLLOWED, [], now=NOW).since == NOW - HOUR - EACH_POLL
    later = NOW + DAY
    far = next_stretch(FOLLOWED, [], now=later)
    assert far.since == later - A_LONG_LOOK
    assert is_long_look(far)


def test_after_a_long_silence_nothing_between_is_left_out() -> None:
    state = LinkState(newest_at=NOW - 29 * DAY, read_whole_at=NOW - 29 * DAY, looked_back_at=NOW - 29 * DAY)
    assert next_stretch(state, [], now=NOW).since == NOW - 30 * DAY


def test_once_in_thirty_days_everything_is_read_again() -> None:
    assert next_stretch(FOLLOWED, [], now=NOW + 30 * DAY).since is None


def test_a_clock_that_was_ahead_keeps_nothing_from_being_read() -> None:
    ahead = LinkState(newest_at=NOW + 90 * DAY, read_whole_at=NOW + 90 * DAY, looked_back_at=NOW + 90 * DAY)
    assert next_stretch(ahead, [], now=NOW).since is None


def test_who_listens_is_asked_sooner_and_who_is_silent_later() -> None:
    def wait(newest_at: datetime | None, *, is_playing: bool = False, is_unfinished: bool = False) -> timedelta:
        return next_due(newest_at=newest_at, is_playing=is_playing, is_unfinished=is_unfinished, now=NOW) - NOW

    minute = timedelta(minutes=1)
    assert wait(NOW - 10 * minute) == wait(NOW - 2 * DAY, is_playing=True) == 5 * minute
    assert wait(NOW - 2 * HOUR) == 15 * minute
    assert wait(NOW - 8 * DAY) == wait(None) == HOUR
    assert wait(NOW, is_unfinished=True) == minute


def test_the_same_scrobble_is_known_by_any_of_its_names() -> None:
    assert find_new([told(0, "a", "b")], [told(0, "b", "c")]) == ()
    assert find_new([told(0, "a")], [told(1, "a")]) == (0,)


def test_new_names_in_a_second_are_new_only_beyond_what_is_known_of_it() -> None:
    assert find_new([told(0, "renamed")], [told(0, "a")]) == ()
    assert find_new([told(0, "a"), told(0, "b")], [told(0, "a")]) == (1,)
    assert len(find_new([told(0, "x"), told(0, "b")], [told(0, "a")])) == 1


def test_twice_in_one_page_is_once() -> None:
    assert find_new([told(0, "a"), told(0, "a"), told(0, "a", "b")], []) == (0,)


_SCROBBLES = st.lists(st.builds(told, st.integers(0, 3), st.sampled_from("abcd")), max_size=12)


@given(_SCROBBLES)
def test_pages_that_overlap_anyhow_bring_every_scrobble_once(scrobbles: list[NamedScrobble]) -> None:
    unique = list(dict.fromkeys(scrobbles))
    stored: list[NamedScrobble] = []
    for start in range(0, len(unique), 2):
        page = unique[max(start - 1, 0) : start + 3]
        stored += [page[place] for place in find_new(page, stored)]
    # What is left of a second after a page cut it is shown whole by the next, as pages by time do.
    for second in {each.listened_at for each in unique}:
        page = [each for each in unique if each.listened_at == second]
        stored += [page[place] for place in find_new(page, stored)]
    assert len(stored) == len(unique)
    assert find_new(unique, stored) == ()
