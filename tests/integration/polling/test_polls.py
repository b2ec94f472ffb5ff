"""A poll brings the whole window into raw, once; who is asked, and who is not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from myi_pipeline.operations.maintenance import maintain
from myi_pipeline.people import logins
from myi_pipeline.polling import poll_store
from myi_pipeline.polling.poll_users import due_now
from myi_pipeline.postgres.connections import Role
from myi_pipeline.providers.accounts import pause_account
from myi_pipeline.providers.login_owners import LoginUse
from myi_pipeline.providers.sign_in_rules import AccessToken
from myi_pipeline.providers.spotify.client import SpotifyClient
from myi_pipeline.providers.spotify.models import RecentlyPlayedPage
from myi_pipeline.simulator.live import ListenerSpec
from tests.integration.credentials.conftest import SetupMaker
from tests.integration.polling.conftest import DAY, HOUR, MINUTE, Polls


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
    (event,) = polls.setup.sql(
        "select e.ms_played, e.occurrence, e.source_id, e.shuffle, e.offline, e.batch_id = p.poll_id, c.uri"
        " from raw.listening_events as e inner join raw.contents as c using (content_id) cross join ops.polls as p"
    )
    (play,) = polls.truth()
    assert event == (None, 0, 3, None, None, True, play.api_uri)


def test_the_same_window_again_changes_nothing_but_the_log(polls: Polls) -> None:
    polls.play(20)
    polls.poll()
    before = polls.setup.sql("select * from ops.changed_days"), polls.kept()
    polls.wait(HOUR)
    result = polls.poll()
    assert (result.outcome, result.new_plays, result.known_plays) == ("known", 0, 20)
    assert (polls.setup.sql("select * from ops.changed_days"), polls.kept()) == before
    assert polls.setup.sql("select outcome, items, new_plays, known_plays from ops.polls order by poll_id") == [
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
    polls.setup.clock.set(polls.now.replace(month=8))
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


def test_a_turn_comes_in_a_quarter_of_an_hour_sooner_while_somebody_listens_and_force_passes_over_it(
    polls: Polls,
) -> None:
    first = polls.poll(force=False, within=timedelta(0))
    assert first.retry_at is not None
    assert 3 * MINUTE <= first.retry_at - polls.now <= 18 * MINUTE
    polls.setup.clock.set(first.retry_at - MINUTE)
    assert polls.poll(force=False, within=timedelta(0)).reason == "the next poll is not due yet"
    assert due_now(polls.setup.warehouse, now=polls.now) == ()
    assert polls.poll(force=False, within=2 * MINUTE).polled
    assert polls.poll(force=True, within=timedelta(0)).polled

    polls.wait(HOUR)
    (due,) = due_now(polls.setup.warehouse, now=polls.now)
    assert (due.user_key, due.due_at <= polls.now) == ("ana", True)
    polls.play(12)
    for _ in range(3):
        listening = polls.poll(force=False, within=timedelta(0))
        assert listening.new_plays
        assert listening.retry_at is not None
        assert 3 * MINUTE <= listening.retry_at - polls.now <= 8 * MINUTE
        polls.play(1, every=listening.retry_at - polls.now)


def test_when_spotify_answers_429_that_client_id_is_asked_less_often_from_then_on(polls: Polls) -> None:
    def wait_after_poll() -> timedelta:
        result = polls.poll(force=False, within=timedelta(0))
        assert result.retry_at is not None
        wait = result.retry_at - polls.now
        polls.setup.clock.set(result.retry_at)
        return wait

    assert [wait_after_poll() for _ in range(3)] == [15 * MINUTE] * 3
    polls.setup.simulator.control.fail("status", status=429, path="/v1/me/player/*", retry_after=40_000)
    assert polls.poll().outcome == "skipped"
    polls.wait(12 * HOUR)
    waits = [wait_after_poll() for _ in range(4)]
    assert min(waits[1:]) >= 25 * MINUTE
    assert max(waits) <= 2 * HOUR
    # What was learnt is forgotten slowly.
    polls.wait(30 * DAY)
    assert [wait_after_poll() for _ in range(3)][1:] == [15 * MINUTE] * 2


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
    with polls.setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        with poll_store.poll_lock(connection, user_id=polls.user_id) as is_held:
            assert is_held
            assert polls.poll().reason == "another process is polling this user"
        assert polls.poll().polled


@pytest.mark.parametrize("state", ["nobody", "signed out", "paused", "no permission", "unknown"])
def test_whoever_cannot_be_polled_is_not_asked_not_even_by_force(make_setup: SetupMaker, state: str) -> None:
    setup = make_setup()
    spotify = setup.open()
    user = setup.user("ana")
    polls = Polls(setup, user)
    if state != "nobody":
        setup.sign_in(spotify, denied=("user-read-recently-played",) if state == "no permission" else ())
    with setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        if state == "signed out":
            logins.disconnect_user(connection, user_key="ana")
        if state == "paused":
            logins.pause_user(connection, user_key="ana", now=setup.clock())
    (result,) = polls.poll_all([user if state != "unknown" else 4711], force=True)
    assert result.outcome == ("failed" if state == "unknown" else "skipped")
    assert result.reason
    assert setup.simulator.control.calls(route="/me/player/recently-played") == 0
    if state != "unknown":
        assert due_now(setup.warehouse, now=setup.clock()) == ()


def test_the_log_can_be_pruned_and_the_next_poll_is_none_the_wiser(polls: Polls) -> None:
    polls.play(40)
    polls.poll()
    done = maintain(polls.setup.warehouse, today=(polls.now + 92 * DAY).date(), quarantine_days=1)
    assert done.polls_forgotten == 1
    assert polls.setup.sql("select * from ops.polls") == []
    polls.play(49)
    assert polls.poll().outcome == "new"
    assert polls.gaps() == []
    assert len(polls.kept()) == 89


def test_a_removed_user_takes_everything_along(polls: Polls) -> None:
    polls.play(50)
    polls.poll()
    polls.play(55)
    polls.poll()
    polls.setup.sql("delete from app.users")
    for table in ("raw.listening_events", "raw.polled_spans", "raw.poll_gaps", "ops.polls", "ops.poll_states"):
        assert polls.setup.sql(f"select count(*) from {table}") == [(0,)]


def test_a_batch_says_which_account_it_came_from_also_when_the_log_is_pruned(polls: Polls) -> None:
    setup = polls.setup
    accounts = [setup.simulator.control.account_id(f"listener-{number}") for number in (1, 2)]
    polls.play(3)
    polls.poll()
    polls.wait(HOUR)
    polls.poll()
    setup.sign_in(setup.open(), listener="listener-2", may_switch=lambda: True)
    setup.simulator.control.put_listener(ListenerSpec(key="listener-2", plays_per_day=200))
    polls.wait(DAY)
    polls.poll()

    logged = setup.sql("select account_key, new_plays from ops.polls order by poll_id")
    assert [account for account, _ in logged] == [f"account:{accounts[n]}" for n in (0, 0, 1)]
    assert logged[0][1] == 3
    assert logged[2][1] > 0
    with setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        poll_store.prune(connection, before=polls.now + DAY)
    assert setup.sql(
        "select distinct a.account_key from raw.listening_events as e"
        " inner join lateral ("
        " select account_key from app.polled_accounts where user_id = e.user_id and first_poll_id <= e.batch_id"
        " order by first_poll_id desc limit 1) as a on true"
        " where e.played_at <= %s", polls.now - DAY,
    ) == [(f"account:{accounts[0]}",)]  # fmt: skip


def test_a_page_that_was_asked_for_before_the_account_changed_is_not_stored(
    polls: Polls, monkeypatch: pytest.MonkeyPatch
) -> None:
    polls.play(3)
    ask = SpotifyClient.recently_played

    def ask_and_switch(client: SpotifyClient, token: AccessToken) -> RecentlyPlayedPage:
        page = ask(client, token)
        polls.wait(MINUTE)
        polls.setup.sign_in(polls.setup.open(), listener="listener-2", may_switch=lambda: True)
        return page

    monkeypatch.setattr(SpotifyClient, "recently_played", ask_and_switch)
    result = polls.poll()
    assert (result.outcome, "login changed" in result.reason) == ("skipped", True)
    assert polls.kept() == []
    assert polls.spans() == []


def further(polls: Polls) -> int:
    """Links listener-2 beside Ana's main account; the number of it."""
    setup = polls.setup
    spotify = setup.open()
    pending = logins.begin_login(spotify, setup.settings, user_id=polls.user_id, user_key="ana", use=LoginUse.FURTHER)
    redirected = setup.simulator.visit(pending.url, "listener-2")
    with setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        made = logins.finish_login(spotify, connection, pending, redirected=redirected, now=polls.now)
    assert not made.is_main
    return made.account_id


def poll_instead(polls: Polls, account_id: int) -> None:
    with polls.setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        logins.poll_account(connection, user_id=polls.user_id, account_id=account_id, now=polls.now)


def test_a_further_account_is_not_polled_before_it_is_the_main_one_and_each_has_its_spans(polls: Polls) -> None:
    setup = polls.setup
    setup.simulator.control.put_listener(ListenerSpec(key="listener-2", plays_per_day=200))
    number = further(polls)
    times = polls.play(3)
    polls.poll()
    assert polls.kept() == times
    assert setup.sql("select count(*) from ops.poll_obstacles where obstacle = 'not_signed_in'") == [(0,)]
    # Pausing or losing the further login neither opens a gap nor stops a poll.
    with setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        pause_account(connection, user_id=polls.user_id, account_id=number, now=polls.now)
        pause_account(connection, user_id=polls.user_id, account_id=number, now=None)
    assert polls.gaps() == []
    last = polls.now
    poll_instead(polls, number)
    ((began, ended),) = polls.spans()
    assert (began is not None, ended) == (True, last)
    polls.wait(HOUR)
    result = polls.poll()
    assert result.outcome != "skipped"
    # The one account's span ended with it, and that of the other began with what its own first page told.
    assert {to for _, to in polls.spans()} == {last, None}
    of_two = setup.sql("select account_key, new_plays from ops.polls order by poll_id desc limit 1")
    assert of_two[0][0] == f"account:{setup.simulator.control.account_id('listener-2')}"
    # Asked twice, and back at the first account: nothing is counted twice.
    kept = polls.kept()
    polls.wait(5 * MINUTE)
    polls.setup.simulator.control.put_listener(ListenerSpec(key="listener-2", plays_per_day=0))
    poll_instead(polls, setup.sql("select min(account_id) from app.provider_accounts")[0][0])
    polls.poll()
    assert [each for each in polls.kept() if each in times] == times
    assert len(polls.kept()) == len(set(polls.kept())) == len(kept)


def test_a_page_of_the_account_that_was_polled_is_not_stored_once_another_is(
    polls: Polls, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = further(polls)
    polls.play(3)
    ask = SpotifyClient.recently_played

    def ask_and_switch(client: SpotifyClient, token: AccessToken) -> RecentlyPlayedPage:
        page = ask(client, token)
        poll_instead(polls, number)
        return page

    monkeypatch.setattr(SpotifyClient, "recently_played", ask_and_switch)
    result = polls.poll()
    assert (result.outcome, "login changed" in result.reason) == ("skipped", True)
    assert polls.kept() == []
    assert polls.spans() == []


def test_a_play_dated_ahead_of_now_is_kept_and_changes_nothing_else(polls: Polls) -> None:
    times = polls.play(3)
    ahead = polls.now + 3 * DAY
    polls.play(1, reported_at=ahead)
    assert (polls.poll().outcome, polls.kept()) == ("new", [*times, ahead])
    (state,) = polls.setup.sql("select newest_played_at from ops.poll_states")
    assert state == (times[-1],)
    assert polls.setup.sql("select count(*) from raw.contents where names_played_at > %s", polls.now) == [(0,)]

    later = polls.play(4)
    result = polls.poll()
    assert (result.outcome, result.new_plays, result.late_plays, polls.gaps()) == ("new", 4, 0, [])
    polls.play(60)
    # Only the play ahead is known on this page, and what lies between is missing.
    assert polls.poll().outcome == "gap"
    assert polls.gaps()[0][0] == later[-1]
