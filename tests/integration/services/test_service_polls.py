"""Listening that Last.fm and ListenBrainz collect is read whole, once each, and then followed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from myi_pipeline.operations import checks
from myi_pipeline.providers.scrobbles import Service
from myi_pipeline.simulator.services import ServiceFault
from tests.integration.services.conftest import DAY, HOUR, MINUTE, Links, listen, truth

BOTH = pytest.mark.parametrize("service", list(Service))


def _history(links: Links, service: Service, count: int, *, step: timedelta = 10 * MINUTE) -> None:
    start = links.now - count * step
    links.account(service).listen(*(listen(start + number * step, number) for number in range(count)))


@BOTH
def test_a_first_poll_reads_the_whole_history_and_accounts_for_every_page(links: Links, service: Service) -> None:
    _history(links, service, 1_500)
    links.link(service)
    results = links.poll_to_the_end()
    assert links.kept(service) == truth(links.account(service))
    assert sum(result.new_plays for result in results) == 1_500
    assert results[-1].is_complete
    ((items, new, known, refused),) = links.sql(
        "select sum(items), sum(new_plays), sum(known_plays), sum(refused_items) from ops.service_polls"
    )
    assert (items, new, refused) == (new + known, 1_500, 0)
    assert links.sql("select count(*) from ops.service_stretches") == [(0,)]


@BOTH
def test_what_is_scrobbled_later_is_new_once(links: Links, service: Service) -> None:
    _history(links, service, 30)
    links.link(service)
    links.poll()
    links.account(service).listen(listen(links.now, 77))
    links.wait(5 * MINUTE)
    first, second = links.poll(), links.poll()
    assert (first.outcome, first.new_plays, second.outcome, second.new_plays) == ("new", 1, "known", 0)
    assert links.kept(service) == truth(links.account(service))


@pytest.mark.slow
@BOTH
def test_a_scrobble_that_arrives_two_days_late_is_found_within_a_day(links: Links, service: Service) -> None:
    _history(links, service, 400)
    links.link(service)
    links.poll_to_the_end()
    links.account(service).listen(listen(links.now - 2 * DAY + timedelta(seconds=7), 5, title="Under way"))
    found = 0
    for _ in range(25):
        links.account(service).listen(listen(links.now, 1))
        links.wait(HOUR)
        found += links.poll().late_plays
    assert found == 1
    assert links.kept(service) == truth(links.account(service))


@BOTH
def test_an_old_history_that_is_imported_there_is_found_within_a_month(links: Links, service: Service) -> None:
    _history(links, service, 30)
    links.link(service)
    links.poll_to_the_end()
    links.account(service).listen(*(listen(links.now - 900 * DAY + n * HOUR, n) for n in range(500)))
    links.wait(31 * DAY)
    links.poll_to_the_end()
    assert links.kept(service) == truth(links.account(service))


@BOTH
def test_a_border_of_pages_that_moves_while_scrobbles_arrive_costs_and_doubles_nothing(
    links: Links, service: Service
) -> None:
    _history(links, service, 2_300)
    links.link(service)
    account = links.account(service)

    def arrive(_: str) -> None:
        account.listen(*(listen(links.now + timedelta(seconds=n), n) for n in range(3)))
        links.wait(timedelta(seconds=4))

    links.state(service).on_request = arrive
    links.poll_to_the_end()
    links.state(service).on_request = lambda _: None
    links.wait(MINUTE)
    links.poll()
    assert links.kept(service) == truth(account)


@BOTH
def test_a_border_of_pages_inside_of_one_second_costs_nothing(links: Links, service: Service) -> None:
    start = links.now - 10 * DAY
    account = links.account(service)
    account.listen(*(listen(start + n // 3 * MINUTE, n, title=f"Song {n}") for n in range(1_101)))
    links.link(service)
    links.poll_to_the_end()
    assert links.kept(service) == truth(account)


@BOTH
def test_names_that_a_service_puts_right_afterwards_are_no_second_play(links: Links, service: Service) -> None:
    _history(links, service, 10)
    links.link(service)
    links.poll()
    account = links.account(service)
    account.rename(account.shown()[0].second, artist="The Artist", title="Song (Remastered)")
    links.wait(10 * MINUTE)
    assert links.poll().new_plays == 0
    assert len(links.kept(service)) == 10


@BOTH
def test_two_tracks_of_one_second_are_two_plays(links: Links, service: Service) -> None:
    links.account(service).listen(listen(links.now, 1), listen(links.now, 2), listen(links.now, 2))
    links.link(service)
    result = links.poll()
    assert (result.items, result.new_plays, result.known_plays) == (3, 2, 1)


@BOTH
def test_what_is_deleted_there_stays_here(links: Links, service: Service) -> None:
    _history(links, service, 10)
    links.link(service)
    links.poll()
    account = links.account(service)
    account.forget(account.shown()[3].second)
    links.wait(31 * DAY)
    links.poll_to_the_end()
    assert len(links.kept(service)) == 10


@BOTH
def test_a_failure_for_a_moment_is_waited_out(links: Links, service: Service) -> None:
    _history(links, service, 300)
    links.link(service)
    links.state(service).fail(ServiceFault(status=502))
    links.state(service).fail(ServiceFault(is_reset=True))
    assert links.poll().new_plays > 0
    assert len(links.slept) == 2


@BOTH
def test_a_walk_that_fails_on_the_way_goes_on_where_it_was(links: Links, service: Service) -> None:
    _history(links, service, 2_300)
    links.link(service)
    seen: list[str] = []

    def break_down(name: str) -> None:
        seen.append(name)
        if len(seen) == 2:
            links.state(service).fail(ServiceFault(times=10, status=500))

    links.state(service).on_request = break_down
    failed = links.poll()
    assert (failed.outcome, failed.pages) == ("failed", 1)
    assert failed.retry_at is not None
    assert failed.retry_at > links.now
    links.wait(10 * MINUTE)
    links.poll_to_the_end()
    results = links.poll_to_the_end()
    assert links.kept(service) == truth(links.account(service))
    assert results[-1].is_complete


@BOTH
def test_a_limit_of_requests_is_waited_for_without_a_failure(links: Links, service: Service) -> None:
    _history(links, service, 2_300)
    links.link(service)
    links.state(service).requests_a_minute = 2
    results = [links.poll()]
    while not results[-1].is_complete:
        links.wait(5 * MINUTE)
        results.append(links.poll())
        assert len(results) < 30
    assert {result.outcome for result in results} <= {"new", "known", "skipped"}
    assert links.sql("select failures from ops.service_states") == [(0,)]
    assert links.kept(service) == truth(links.account(service))


@BOTH
def test_two_polls_at_once_ask_once(links: Links, service: Service) -> None:
    _history(links, service, 1_200)
    links.link(service)
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda _: links.poll(), range(4)))
    assert {result.outcome for result in results} <= {"new", "known", "skipped"}
    links.poll_to_the_end()
    assert links.kept(service) == truth(links.account(service))
    ((logged,),) = links.sql("select sum(new_plays) from ops.service_polls")
    assert logged == len(links.kept(service))


def test_an_account_that_stops_being_read_is_seen(links: Links) -> None:
    def found() -> tuple[bool, bool]:
        fresh = checks.service_polls_are_fresh(links.warehouse, now=links.now)
        return fresh.passed, checks.service_polls_succeed(links.warehouse).passed

    assert found() == (True, True)
    _history(links, Service.LASTFM, 30)
    links.link(Service.LASTFM)
    links.poll_to_the_end()
    assert found() == (True, True)
    links.wait(4 * HOUR)
    late = checks.service_polls_are_fresh(links.warehouse, now=links.now)
    assert (late.passed, "ana at Last.fm" in late.text, late.figures["turns_late"]) == (False, True, 1)
    # It is tried, and fails each time: then it is not late.
    for _ in range(3):
        links.services.lastfm.fail(ServiceFault(times=20, status=500))
        assert links.poll().outcome == "failed"
        links.services.lastfm._faults.clear()
    failing = checks.service_polls_succeed(links.warehouse)
    assert (failing.passed, "the last 3 polls of ana at Last.fm failed" in failing.text) == (False, True)
    links.wait(DAY)
    links.poll()
    assert found() == (True, True)
    # A span that is being read, and is not for days.
    links.sql(
        "insert into ops.service_stretches (user_id, service, read_down_to, opened_at) values (%s, 'lastfm', %s, %s)",
        links.user(), links.now, links.now - 3 * DAY,
    )  # fmt: skip
    unread = checks.service_polls_are_fresh(links.warehouse, now=links.now)
    assert (unread.passed, "not read to the end for 3 days: ana at Last.fm" in unread.text) == (False, True)
    links.sql("update app.linked_services set paused_at = now()")
    assert found() == (True, True)
