"""Plays are sent on once each, and never back to where they came from."""

from __future__ import annotations

from datetime import timedelta

import pytest

from myi_pipeline.onward.journal import end_wish, onward_of
from myi_pipeline.onward.send import send_onward
from myi_pipeline.postgres.connections import Role
from myi_pipeline.providers.scrobbles import Service
from myi_pipeline.simulator.services import ServiceFault
from tests.integration.services.conftest import DAY, HOUR, MINUTE, OnwardLinks, listen

BOTH = pytest.mark.parametrize("service", list(Service))
# Of what each service does alike, every run tests one.
ALIKE = pytest.mark.parametrize("service", [Service.LASTFM, pytest.param(Service.LISTENBRAINZ, marks=pytest.mark.long)])
_WRITES = {Service.LASTFM: "track.scrobble", Service.LISTENBRAINZ: "submit-listens"}


def _played(onward: OnwardLinks, count: int) -> None:
    for number in range(count):
        onward.play(onward.now, number)
        onward.wait(4 * MINUTE)


@pytest.mark.slow
@BOTH
def test_plays_from_the_wish_on_are_sent_once_each(onward: OnwardLinks, service: Service) -> None:
    onward.play(onward.now - HOUR, 90)
    onward.wait(MINUTE)
    onward.wish(service)
    first_at = onward.now
    _played(onward, 5)
    onward.settle()
    result = onward.send()
    assert (result.outcome, result.sent) == ("sent", 5), result
    sent = onward.account(service).sent()
    assert [(each.title, each.started_at) for each in sent] == [
        (f"Song {n}", first_at + n * 4 * MINUTE) for n in range(5)
    ]
    assert onward.send().sent == 0
    # What the service now shows to polls confirms it, and is no play to send.
    onward.settle()
    assert onward.send().sent == 0
    assert onward.states() == {"confirmed": 5}
    assert len(onward.account(service).sent()) == 5


@pytest.mark.slow
@ALIKE
def test_what_a_person_listened_to_just_now_waits_until_the_service_was_asked(
    onward: OnwardLinks, service: Service
) -> None:
    onward.wish(service)
    onward.wait(MINUTE)
    onward.play(onward.now, 1)
    onward.play(onward.now + 4 * MINUTE, 2)
    # A player of hers scrobbles one of them by itself, a little later.
    onward.account(service).listen(listen(onward.now + timedelta(seconds=40), title="Song 1", artist="Artist 1"))
    onward.refresh()
    assert onward.send().sent == 0
    onward.settle()
    onward.send()
    assert [each.title for each in onward.account(service).sent()] == ["Song 2"]


@BOTH
def test_an_answer_that_is_lost_after_the_write_doubles_nothing(onward: OnwardLinks, service: Service) -> None:
    onward.wish(service)
    onward.wait(MINUTE)
    _played(onward, 3)
    onward.settle()
    onward.state(service).fail(ServiceFault(is_lost=True, on=_WRITES[service]))
    assert onward.send().outcome == "failed"
    assert onward.states() == {"unknown": 3}
    # Too early: the service may not show it yet.
    assert onward.send().sent == 0
    onward.wait(6 * MINUTE)
    result = onward.send()
    assert (result.confirmed, result.sent) == (3, 0)
    assert len(onward.account(service).sent()) == 3


@BOTH
def test_a_request_that_never_arrived_is_made_again(onward: OnwardLinks, service: Service) -> None:
    onward.wish(service)
    onward.wait(MINUTE)
    _played(onward, 3)
    onward.settle()
    onward.state(service).fail(ServiceFault(is_reset=True, on=_WRITES[service]))
    assert onward.send().outcome == "failed"
    onward.wait(6 * MINUTE)
    assert onward.send().sent == 3
    assert len(onward.account(service).sent()) == 3


@ALIKE
def test_names_that_are_put_right_there_are_found_again_after_a_lost_answer(
    onward: OnwardLinks, service: Service
) -> None:
    onward.wish(service)
    onward.wait(MINUTE)
    _played(onward, 2)
    onward.settle()
    onward.state(service).corrections = {"Artist 0": "The Artist Zero"}
    onward.state(service).fail(ServiceFault(is_lost=True, on=_WRITES[service]))
    onward.send()
    onward.wait(6 * MINUTE)
    assert onward.send().sent == 0
    assert onward.states() == {"confirmed": 2}


@pytest.mark.slow
@BOTH
def test_what_the_service_reports_is_never_sent_back_to_it(onward: OnwardLinks, service: Service) -> None:
    onward.wish(service)
    onward.wait(MINUTE)
    for number in range(4):
        onward.account(service).listen(listen(onward.now, number))
        onward.wait(4 * MINUTE)
    onward.settle()
    assert onward.send().planned == 0
    assert onward.account(service).sent() == []


@BOTH
def test_what_a_service_does_not_take_is_kept_with_the_reason(onward: OnwardLinks, service: Service) -> None:
    onward.state(service).ignored_artists = {"Artist 1"}
    onward.wish(service)
    onward.wait(MINUTE)
    _played(onward, 3)
    onward.settle()
    result = onward.send()
    assert (result.sent, result.refused) == (2, 1)
    ((title, reason),) = onward.sql("select title, reason from app.onward_plays where state = 'refused'")
    assert title == "Song 1"
    assert ("code 1" in reason) if service is Service.LASTFM else ("not acceptable" in reason)


@pytest.mark.slow
@ALIKE
def test_an_archive_that_tells_a_sent_play_again_sends_nothing_more(onward: OnwardLinks, service: Service) -> None:
    onward.wish(service)
    onward.wait(MINUTE)
    began = onward.now
    _played(onward, 3)
    onward.settle()
    assert onward.send().sent == 3
    # The archive tells the end of each play, and stands for it from now on.
    assert onward.marts is not None
    for number in range(3):
        ended = began + number * 4 * MINUTE + timedelta(seconds=200)
        onward.marts.add_play(onward.user(), ended, onward.content(number), 199_000, source=1)
    onward.settle(DAY)
    assert onward.send().sent == 0
    assert len(onward.account(service).sent()) == 3


def test_the_past_is_sent_when_it_is_asked_for_as_far_as_a_service_takes_it(onward: OnwardLinks) -> None:
    for days in (40, 20, 10, 1):
        onward.play(onward.now - days * DAY, days)
    onward.refresh()
    onward.wish(Service.LISTENBRAINZ, with_past=True)
    onward.wish(Service.LASTFM, with_past=True)
    onward.wait(HOUR)
    onward.poll_all(force=True)
    for _ in range(2):
        send_onward(onward.settings, onward.warehouse, clock=onward.clock, sleep=onward.sleep)
    assert [each.title for each in onward.account(Service.LISTENBRAINZ).sent()] == [
        "Song 40", "Song 20", "Song 10", "Song 1"
    ]  # fmt: skip
    assert [each.title for each in onward.account(Service.LASTFM).sent()] == ["Song 10", "Song 1"]


@pytest.mark.slow
def test_over_the_daily_limit_of_lastfm_plays_wait(onward: OnwardLinks) -> None:
    onward.services.lastfm.most_a_day = 2
    onward.wish(Service.LASTFM)
    onward.wait(MINUTE)
    _played(onward, 4)
    onward.settle()
    assert onward.send().sent == 2
    assert onward.states() == {"sent": 2, "planned": 2}
    onward.account(Service.LASTFM).sent_today = 0
    onward.settle(7 * HOUR)
    assert onward.send().sent == 2
    assert len(onward.account(Service.LASTFM).sent()) == 4


@pytest.mark.slow
@ALIKE
def test_a_secret_that_ended_stops_sending_and_says_what_to_do(onward: OnwardLinks, service: Service) -> None:
    onward.wish(service)
    onward.wait(MINUTE)
    _played(onward, 1)
    onward.settle()
    onward.account(service).secret_is_good = False
    first, second = onward.send(), onward.send()
    assert (first.outcome, second.outcome) == ("failed", "skipped")
    assert "myi service" in second.reason
    assert onward.states() == {"planned": 1}
    # Reading goes on without it.
    onward.wait(HOUR)
    assert onward.poll().polled


@pytest.mark.slow
@ALIKE
def test_a_wish_that_ended_sends_nothing_and_the_journal_stays(onward: OnwardLinks, service: Service) -> None:
    onward.wish(service)
    onward.wait(MINUTE)
    _played(onward, 1)
    onward.settle()
    onward.send()
    with onward.warehouse.connect(Role.APP, autocommit=True) as connection:
        assert end_wish(connection, user_id=onward.user(), service=service)
        (counts,) = onward_of(connection, user_id=onward.user())
    assert (counts.wished_at, counts.sent) == (None, 1)
    # Wished again, with the past: what was sent is not sent again.
    onward.wish(service, with_past=True)
    onward.settle()
    onward.send()
    assert len(onward.account(service).sent()) == 1
