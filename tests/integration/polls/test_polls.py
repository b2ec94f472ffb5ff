"""A poll brings the whole window into raw, once; who is asked, and who is not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from myi_pipeline.services import manage_logins
from myi_pipeline.services.maintain import maintain
from myi_pipeline.services.plan_polls import due_now
from myi_pipeline.warehouse import poll_store
from myi_pipeline.warehouse.connections import Role
from tests.integration.credentials.conftest import HouseMaker
from tests.integration.polls.conftest import DAY, HOUR, MINUTE, Polls


def test_a_first_poll_brings_the_whole_window_and_opens_a_span_at_its_oldest_play(polls: Polls) -> None:
    times = polls.play(60)
    result = polls.poll()
    assert (result.outcome, result.items, result.new_plays, result.known_plays) == ("new", 50, 50, 0)
    assert polls.kept() == times[10:]
    assert polls.spans() == [(times[10], None)]
    assert polls.gaps() == []


def test_an_event_says_what_spotify_says_and_nothing_more(polls: Polls) -> None:
    polls.play(1)
    polls.poll()
    (event,) = polls.house.sql(
        "select e.ms_played, e.occurrence, e.source_id, e.shuffle, e.offline, e.batch_id = p.poll_id, c.uri"
        " from raw.listening_events as e inner join raw.contents as c using (content_id) cross join ops.polls as p"
    )
    (play,) = polls.truth()
    assert event == (None, 0, 3, None, None, True, play.api_uri)


def test_the_same_window_again_changes_nothing_but_the_log(polls: Polls) -> None:
    polls.play(20)
    polls.poll()
    before = polls.house.sql("select * from ops.changed_days"), polls.kept()
    polls.wait(HOUR)
    result = polls.poll()
    assert (result.outcome, result.new_plays, result.known_plays) == ("known", 0, 20)
    assert (polls.house.sql("select * from ops.changed_days"), polls.kept()) == before
    assert polls.house.sql("select outcome, items, new_plays, known_plays from ops.polls order by poll_id") == [
        ("new", 20, 20, 0),
        ("known", 20, 0, 20),
    ]


def test_a_silent_listener_has_an_empty_page_and_a_span_from_now_on(polls: Polls) -> None:
    assert polls.poll().outcome == "none"
    assert polls.spans() == [(polls.now, None)]
    times = polls.play(50)
    assert polls.poll().outcome == "gap"
    # The page is full: whether there was a play before its oldest one, nobody can say.
    assert polls.gaps()[0][1] == times[0]


def test_the_first_play_of_a_day_that_nobody_has_a_partition_for_is_no_trouble(polls: Polls) -> None:
    polls.house.clock.set(polls.now.replace(month=8))
    polls.play(3)
    assert polls.poll().new_plays == 3


def test_whoever_was_polled_within_five_minutes_is_left_out_but_by_force(polls: Polls) -> None:
    assert polls.poll(force=False).polled
    polls.wait(4 * MINUTE)
    result = polls.poll(force=False)
    assert (result.outcome, result.reason) == ("skipped", "polled within the last five minutes")
    assert polls.poll(force=True).polled
    polls.wait(5 * MINUTE)
    assert polls.poll(force=False).polled


def test_a_turn_comes_after_an_hour_or_earlier_and_force_passes_over_it(polls: Polls) -> None:
    first = polls.poll(force=False, within=timedelta(0))
    assert first.retry_at is not None
    assert polls.now + 54 * MINUTE <= first.retry_at <= polls.now + HOUR
    polls.wait(50 * MINUTE)
    assert polls.poll(force=False, within=timedelta(0)).reason == "the turn has not come"
    assert due_now(polls.house.settings, polls.house.warehouse, now=polls.now) == ()
    assert polls.poll(force=False, within=10 * MINUTE).polled
    assert polls.poll(force=True, within=timedelta(0)).polled
    polls.wait(HOUR)
    (due,) = due_now(polls.house.settings, polls.house.warehouse, now=polls.now)
    assert (due.user_key, due.due_at <= polls.now) == ("ana", True)


def test_two_pollers_of_one_user_at_once_bring_each_play_once(polls: Polls) -> None:
    for _ in range(4):
        polls.play(15)
        with ThreadPoolExecutor(4) as threads:
            results = list(threads.map(lambda _: polls.poll(force=False), range(4)))
        assert sum(result.polled for result in results) == 1
        assert {result.outcome for result in results if not result.polled} <= {"skipped"}
    assert polls.kept() == [play.reported_at for play in polls.truth() if play.reported_at is not None]


def test_two_forced_pollers_come_one_after_the_other(polls: Polls) -> None:
    times = polls.play(30)
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda _: polls.poll(), range(4)))
    assert sum(result.new_plays for result in results) == 30
    assert polls.kept() == times
    assert polls.gaps() == []


def test_without_the_users_lock_two_pollers_would_not_wait_for_each_other(polls: Polls) -> None:
    """The lock is what the two tests before rest on."""
    with polls.house.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        with poll_store.poll_lock(connection, user_id=polls.user_id) as is_held:
            assert is_held
            assert polls.poll().reason == "another process is polling this user"
        assert polls.poll().polled


@pytest.mark.parametrize("state", ["nobody", "signed out", "paused", "no permission", "unknown"])
def test_whoever_cannot_be_polled_is_not_asked_not_even_by_force(make_house: HouseMaker, state: str) -> None:
    house = make_house()
    spotify = house.open()
    user = house.user("ana")
    polls = Polls(house, user)
    if state != "nobody":
        house.sign_in(spotify, denied=("user-read-recently-played",) if state == "no permission" else ())
    with house.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        if state == "signed out":
            manage_logins.disconnect_user(connection, user_key="ana")
        if state == "paused":
            manage_logins.pause_user(connection, user_key="ana", now=house.clock())
    (result,) = polls.poll_all([user if state != "unknown" else 4711], force=True)
    assert result.outcome == ("failed" if state == "unknown" else "skipped")
    assert result.reason
    assert house.simulator.control.calls(route="/me/player/recently-played") == 0
    if state != "unknown":
        assert due_now(house.settings, house.warehouse, now=house.clock()) == ()


def test_the_log_can_be_pruned_and_the_next_poll_is_none_the_wiser(polls: Polls) -> None:
    polls.play(40)
    polls.poll()
    done = maintain(polls.house.warehouse, today=(polls.now + 92 * DAY).date(), quarantine_days=1)
    assert done.polls_forgotten == 1
    assert polls.house.sql("select * from ops.polls") == []
    polls.play(49)
    assert polls.poll().outcome == "new"
    assert polls.gaps() == []
    assert len(polls.kept()) == 89


def test_a_removed_user_takes_everything_along(polls: Polls) -> None:
    polls.play(50)
    polls.poll()
    polls.play(55)
    polls.poll()
    polls.house.sql("delete from app.users")
    for table in ("raw.listening_events", "raw.polled_spans", "raw.poll_gaps", "ops.polls", "ops.poll_states"):
        assert polls.house.sql(f"select count(*) from {table}") == [(0,)]
