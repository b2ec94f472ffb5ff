"""What polling may have missed is recorded, and no more than that."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from myi_pipeline.people import logins
from myi_pipeline.polling import poll_one_user, windows
from myi_pipeline.polling.windows import Comparison
from myi_pipeline.postgres.connections import Connection, Role
from tests.integration.polling.conftest import DAY, HOUR, MINUTE, Polls


def in_no_gap(polls: Polls) -> list[str]:
    """Plays that the API could show, are in no row of raw, and in no gap."""
    kept, gaps = set(polls.kept()), polls.gaps()
    return [
        play.number
        for play in polls.truth()
        if play.reported_at is not None
        and play.reported_at not in kept
        and not any(start <= play.reported_at and (end is None or play.reported_at <= end) for start, end, _ in gaps)
    ]


def test_fifty_plays_between_two_polls_are_no_gap_when_one_is_known(polls: Polls) -> None:
    polls.play(50)
    polls.poll()
    polls.play(49)
    assert polls.poll().outcome == "new"
    assert polls.gaps() == []


def test_a_window_that_overflowed_is_a_gap_from_what_was_known_to_what_is_seen(polls: Polls) -> None:
    first = polls.play(50)
    polls.poll()
    second = polls.play(70, every=2 * MINUTE)
    result = polls.poll()
    assert result.outcome == "gap"
    assert polls.gaps() == [(first[-1], second[20], "window_overflow")]
    assert (result.gap_start, result.gap_end) == (first[-1], second[20])
    assert in_no_gap(polls) == []


def test_without_the_comparison_the_lost_plays_would_lie_in_no_gap(
    polls: Polls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poll_one_user, "compare", lambda *_, **__: Comparison())
    polls.play(50)
    polls.poll()
    polls.play(70, every=2 * MINUTE)
    polls.poll()
    assert len(in_no_gap(polls)) == 20


def test_an_outage_longer_than_the_window_says_so(polls: Polls) -> None:
    first = polls.play(10)
    polls.poll()
    polls.wait(DAY)
    second = polls.play(80)
    polls.poll()
    assert polls.gaps() == [(first[-1], second[30], "outage")]


def test_an_outage_in_which_the_window_did_not_overflow_is_none(polls: Polls) -> None:
    polls.play(50)
    polls.poll()
    polls.wait(3 * DAY)
    polls.play(30)
    assert polls.poll().outcome == "new"
    assert polls.gaps() == []


@pytest.mark.parametrize(("plays", "missing"), [(30, 0), (70, 20)])
@pytest.mark.parametrize("how", ["login_ended", "paused"])
def test_a_gap_opens_with_the_login_and_ends_with_the_next_poll(
    polls: Polls, how: str, plays: int, missing: int
) -> None:
    setup = polls.setup
    first = polls.play(50)
    polls.poll()
    if how == "paused":
        _logins(polls, lambda connection: logins.pause_user(connection, user_key="ana", now=polls.now))
    else:
        setup.simulator.control.revoke("listener-1")
        for _ in range(2):
            polls.wait(6 * HOUR)
            assert polls.poll().outcome == "failed"
    assert polls.gaps() == [(first[-1], None, how)]
    second = polls.play(plays)
    if how == "paused":
        _logins(polls, lambda connection: logins.resume_user(connection, user_key="ana"))
    else:
        setup.sign_in(setup.open())
    result = polls.poll()
    assert polls.gaps() == ([(first[-1], second[missing], how)] if missing else [])
    assert result.outcome == ("gap" if missing else "new")
    assert in_no_gap(polls) == []
    assert len(polls.spans()) == 1


def test_a_disconnected_login_ends_the_span_and_a_new_one_opens_another(polls: Polls) -> None:
    first = polls.play(50)
    polls.poll()
    ended_at = polls.now
    polls.wait(HOUR)
    _logins(polls, lambda connection: logins.disconnect_user(connection, user_key="ana"))
    assert polls.spans() == [(first[0], ended_at)]
    polls.wait(DAY)
    second = polls.play(60)
    polls.setup.sign_in(polls.setup.open())
    assert polls.poll().outcome == "new"
    assert polls.spans() == [(first[0], ended_at), (second[10], None)]


def test_plays_that_surface_late_and_out_of_order_are_taken_where_they_belong(polls: Polls) -> None:
    began = polls.now
    polls.play(20)
    synced = polls.now + 30 * MINUTE
    late = polls.play(5, start=began - 2 * HOUR, surfaces_at=synced)
    polls.poll()
    polls.wait(HOUR)
    result = polls.poll()
    assert (result.new_plays, result.late_plays) == (5, 5)
    assert set(late) <= set(polls.kept())
    assert polls.gaps() == []


def test_late_plays_that_the_window_has_cut_are_a_gap_down_to_what_was_known(polls: Polls) -> None:
    """50 plays are between; of ten that surface behind the 45th the API shows five."""
    older = polls.play(10)
    polls.poll()
    polls.wait(2 * HOUR)
    began = polls.now
    polls.wait(2 * HOUR)
    polls.play(45)
    polls.poll()
    late = polls.play(10, start=began, surfaces_at=polls.now + MINUTE)
    polls.wait(30 * MINUTE)
    result = polls.poll()
    assert result.late_plays == 5
    assert polls.gaps() == [(older[-1], late[5], "late_plays")]
    assert in_no_gap(polls) == []


def test_a_stale_window_is_no_gap_while_it_holds_what_is_known(polls: Polls) -> None:
    polls.play(50)
    polls.poll()
    shown_at = polls.now + 5 * HOUR
    polls.play(40, start=polls.now, surfaces_at=shown_at)
    for _ in range(4):
        polls.wait(HOUR)
        assert polls.poll().outcome == "known"
    polls.wait(HOUR + MINUTE)
    result = polls.poll()
    assert (result.new_plays, result.late_plays) == (40, 40)
    assert polls.gaps() == []
    assert result.retry_at is not None
    # The rest of a sync may follow.
    assert result.retry_at <= polls.now + 8 * MINUTE


def test_an_item_that_cannot_be_understood_is_a_gap_until_it_can(polls: Polls) -> None:
    times = polls.play(21)
    polls.setup.simulator.control.fail("bad_item", path="/v1/me/player/recently-played")
    result = polls.poll()
    assert (result.items, result.new_plays, result.refused_items) == (21, 20, 1)
    assert polls.gaps() == [(times[9], times[11], "refused_items")]
    assert in_no_gap(polls) == []
    ((refused,),) = polls.setup.sql("select refused from ops.polls")
    assert [row["reason"] for row in refused] == ["bad_item"]
    polls.wait(HOUR)
    assert polls.poll().new_plays == 1
    assert polls.gaps() == []
    assert polls.kept() == times


def test_an_item_that_never_could_be_understood_stays_a_gap(polls: Polls) -> None:
    times = polls.play(50)
    polls.setup.simulator.control.fail("bad_item", path="/v1/me/player/recently-played")
    polls.poll()
    polls.play(49)
    polls.poll()
    assert polls.gaps() == [(times[23], times[25], "refused_items")]
    assert in_no_gap(polls) == []


@pytest.mark.parametrize("hours", [-24, 24])
def test_a_clock_that_is_a_day_off_loses_nothing_and_stops_nobody(polls: Polls, hours: int) -> None:
    simulated = polls.setup.clock
    for _ in range(3):
        polls.play(20)
        wrong = polls.poll(clock=lambda: simulated.now() + hours * HOUR)
        assert wrong.polled, wrong
    polls.play(20)
    assert polls.poll(force=False, within=0 * HOUR).polled
    assert len(polls.kept()) == 80
    assert polls.gaps() == []


def test_what_counts_as_late_can_fail(polls: Polls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "_is_late", lambda *_: False)
    with pytest.raises(AssertionError):
        test_late_plays_that_the_window_has_cut_are_a_gap_down_to_what_was_known(polls)


def _logins(polls: Polls, change: Callable[[Connection], object]) -> None:
    with polls.setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        change(connection)
