"""Plays that Spotify dates ahead of now."""

from __future__ import annotations

from datetime import timedelta

import pytest

from myi_pipeline.operations.checks import polls_succeed
from myi_pipeline.operations.maintenance import maintain
from myi_pipeline.polling.due_plays import is_play_item
from tests.integration.polling.conftest import DAY, MINUTE, Polls


def test_a_play_that_spotify_dates_far_ahead_comes_in_when_its_time_has_come(polls: Polls) -> None:
    known = polls.play(2)
    early = polls.now
    polls.wait(40 * DAY)
    (ahead,) = polls.play(1)
    # The listener's clock is right and this machine's is far behind, or the other way round.
    result = polls.poll(clock=lambda: early)
    assert (result.outcome, result.new_plays, result.refused_items) == ("new", 2, 1)
    assert result.reason == "1 dated far in the future, kept until then"
    assert polls.poll(clock=lambda: early + 6 * MINUTE).outcome == "known"
    assert polls.gaps() == []  # nothing is missing
    assert polls.kept() == known

    def chores(moment: object) -> int:
        return maintain(polls.setup.warehouse, today=moment, quarantine_days=1).due_rows_brought_in  # type: ignore[arg-type]

    assert chores((ahead - 5 * DAY).date()) == 0
    assert chores((ahead + DAY).date()) == 1
    assert polls.kept() == [*known, ahead]
    assert polls.setup.sql("select count(*), count(content_id) from raw.listening_events") == [(3, 3)]
    assert polls.setup.sql("select count(*) from ops.postponed_plays") == [(0,)]
    assert chores((ahead + DAY).date()) == 0


@pytest.mark.parametrize("is_first", [True, False], ids=["first-page", "after-plays-were-known"])
@pytest.mark.parametrize("ahead", [40 * DAY, 3 * DAY], ids=["far", "within-a-week"])
def test_a_page_that_is_dated_ahead_from_first_to_last_is_understood_and_makes_no_gap(
    polls: Polls, ahead: timedelta, is_first: bool
) -> None:
    """It was a failure: three of them opened the circuit of all who share the client id."""
    control = polls.setup.simulator.control
    known = [] if is_first else polls.play(2)
    if known:
        assert polls.poll().outcome == "new"
    early = polls.now
    polls.wait(ahead)
    # So many that the plays before them have left the window.
    late = polls.play(50)
    for number in range(1, 4):
        result = polls.poll(clock=lambda number=number: early + number * 6 * MINUTE)
        # What is a few days ahead is a play all the same, of a clock that is wrong.
        is_kept = ahead < 7 * DAY and number == 1
        assert (result.outcome, result.items, result.gap_start) == ("new" if is_kept else "ahead", 50, None)
        assert result.polled
        assert "in the future" in result.reason or is_kept
    assert polls.gaps() == []
    assert polls.setup.sql("select failures, last_error from ops.poll_states") == [(0, None)]
    assert polls.setup.sql("select coalesce(sum(unknown_failures), 0) from ops.circuits") == [(0,)]
    assert polls_succeed(polls.setup.warehouse).text == "everybody's last polls succeeded"
    assert polls.kept() == ([*known, *late] if ahead < 7 * DAY else known)
    # What cannot be understood is a failure still.
    control.fail("bad_items", times=None)
    assert polls.poll(clock=lambda: early + 24 * MINUTE).outcome == "failed"


@pytest.mark.parametrize(
    ("row", "is_one"),
    [
        (b'{"item":{"track":{"name":"Song"},"played_at":"2026-01-01T00:00:00Z"}}', True),
        (b'{"item":{"track":1,"played_at":"2026-01-01T00:00:00Z"}}', False),
        (b'{"item":null}', False),
        (b"[]", False),
    ],
)
def test_an_export_brings_only_items_that_can_be_read_when_their_time_has_come(row: bytes, is_one: bool) -> None:
    assert is_play_item(row) == is_one
