"""Limits and failures by script, without a server."""

from __future__ import annotations

import pytest

from myi_pipeline.simulator.live import AppSpec, Fault
from myi_pipeline.simulator.live.faults import FaultBook
from myi_pipeline.simulator.live.quota import DAY_MS, QuotaBook, Refusal

NOW = 1_772_000_000_000


def test_the_window_rolls() -> None:
    app, book = AppSpec(per_30_s=3), QuotaBook()
    for second in (0, 10, 20):
        assert book.take(app, "polls", NOW + second * 1000) is None
    assert book.take(app, "polls", NOW + 20_500) == Refusal(10, is_day=False)
    assert book.take(app, "polls", NOW + 29_999) == Refusal(1, is_day=False)
    assert book.take(app, "polls", NOW + 30_000) is None
    assert book.take(app, "polls", NOW + 30_001) == Refusal(10, is_day=False)


def test_who_comes_back_when_told_gets_in() -> None:
    app, book, now = AppSpec(per_30_s=2), QuotaBook(), NOW
    for _ in range(20):
        refusal = book.take(app, "polls", now)
        if refusal is not None:
            now += (refusal.retry_after_s or 0) * 1000
            assert book.take(app, "polls", now) is None
        now += 700


def test_a_day_bucket_says_hours_and_blocks_no_other_bucket() -> None:
    app, book = AppSpec(per_30_s=None, per_day={"catalogue": 2}), QuotaBook()
    for _ in range(2):
        assert book.take(app, "catalogue", NOW) is None
    assert book.take(app, "catalogue", NOW + 629_000) == Refusal(85_771, is_day=True)
    assert book.take(app, "polls", NOW + 629_000) is None
    assert book.while_blocked == {(app.client_id, "catalogue"): 1}
    assert book.take(app, "catalogue", NOW + DAY_MS) is None


def test_a_used_up_day_may_say_no_time() -> None:
    app, book = AppSpec(per_day={"polls": 0}, quota_answer="quota_exceeded"), QuotaBook()
    assert book.take(app, "polls", NOW) == Refusal(None, is_day=True)


def test_client_ids_share_when_their_developer_is_named_and_not_otherwise() -> None:
    book = QuotaBook()
    alone = [AppSpec(client_id=name, per_30_s=1) for name in "ab"]
    shared = [AppSpec(client_id=name, per_30_s=1, developer="d") for name in "cd"]
    assert [book.take(app, "polls", NOW) is None for app in alone] == [True, True]
    assert [book.take(app, "polls", NOW) is None for app in shared] == [True, False]


def test_a_clock_that_goes_back_a_week_locks_nobody_out() -> None:
    app, book = AppSpec(per_30_s=1, per_day={"polls": 1}), QuotaBook()
    assert book.take(app, "polls", NOW) is None
    assert book.take(app, "polls", NOW - 7 * DAY_MS) is None


def test_a_fault_lets_some_pass_strikes_so_often_and_then_is_over() -> None:
    book = FaultBook()
    book.add(Fault(kind="status", path="/v1/me/*", listener="ana", times=2, after=1))
    asked = [("/v1/me/top/tracks", "ana")] * 5
    asked[1:1] = [("/v1/tracks/x", "ana"), ("/v1/me/top/tracks", "ben")]
    struck = [book.strike(path=path, listener=who, client_id="c") is not None for path, who in asked]
    assert struck == [False, False, False, True, True, False, False]
    assert [count for _, count in book.struck()] == [2]


def test_the_first_fault_that_matches_wins_and_a_fault_without_end_goes_on() -> None:
    book = FaultBook()
    book.add(Fault(kind="html", times=1))
    book.add(Fault(kind="status", status=500, times=None))
    kinds = [fault.kind for _ in range(4) if (fault := book.strike(path="/v1/me", listener=None, client_id=None))]
    assert kinds == ["html", "status", "status", "status"]


def test_a_fault_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="status"):
        Fault(kind="status", status=200)
