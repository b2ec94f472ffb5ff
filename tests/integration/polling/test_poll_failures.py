"""What goes wrong in one poll is that user's, costs no play that can still be had, and waits its time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from myi_pipeline.errors import Transient
from myi_pipeline.operations.checks import polls_succeed
from myi_pipeline.polling import poll_one_user
from myi_pipeline.polling.poll_users import due_now
from myi_pipeline.simulator.live import ListenerSpec
from tests.integration.polling.conftest import HOUR, MINUTE, Polls

RECENT = "/v1/me/player/recently-played"


def _keys_due(polls: Polls) -> list[str]:
    setup = polls.setup
    return [user.user_key for user in due_now(setup.warehouse, now=polls.now)]


def test_every_fault_that_stays_costs_a_turn_and_no_play(polls: Polls) -> None:
    control = polls.setup.simulator.control
    faults: list[tuple[str, dict[str, object]]] = [
        ("status", {"status": 500}),
        ("status", {"status": 503}),
        ("status", {"status": 403}),
        ("html", {}),
        ("truncated", {}),
        ("empty", {}),
        ("wrong_shape", {}),
        ("cut", {}),
        ("reset", {}),
        ("lost", {}),
        ("status", {"status": 401}),
    ]
    for kind, fields in faults:
        polls.play(2)
        control.fail(kind, path=RECENT, times=None, **fields)  # type: ignore[arg-type]
        result = polls.poll()
        assert result.outcome == "failed", (kind, result)
        assert result.reason
        assert result.retry_at is not None
        assert result.retry_at > polls.now
        control.clear_faults()
        polls.setup.sql("delete from ops.circuits")
    assert polls.kept() == []
    result = polls.poll()
    assert (result.outcome, result.new_plays) == ("new", 2 * len(faults))
    assert polls.gaps() == []


def test_slow_bytes_are_waited_for(polls: Polls) -> None:
    polls.play(3)
    polls.setup.simulator.control.fail("slow", path=RECENT, chunk=2_000, pause_s=0.01)
    assert polls.poll().new_plays == 3


@pytest.mark.parametrize("seconds", [40_000, None])
def test_a_429_puts_the_polls_of_its_client_id_off_and_force_does_not_pass_over_it(
    polls: Polls, seconds: int | None
) -> None:
    control = polls.setup.simulator.control
    control.fail("status", path=RECENT, status=429, retry_after=seconds, message="QUOTA_EXCEEDED", times=None)
    first = polls.poll()
    assert first.outcome == "skipped"
    assert first.retry_at is not None
    calls = control.calls(route="/me/player/recently-played")
    second = polls.poll(force=True)
    assert (second.outcome, second.retry_at) == ("skipped", first.retry_at)
    assert control.calls(route="/me/player/recently-played") == calls
    assert _keys_due(polls) == []
    control.clear_faults()
    polls.setup.clock.set(first.retry_at)
    assert _keys_due(polls) == ["ana"]
    assert polls.poll(force=False, within=timedelta(0)).polled


def test_an_open_circuit_is_left_alone_even_by_force(polls: Polls) -> None:
    control = polls.setup.simulator.control
    control.fail("status", path=RECENT, status=403, times=None)
    for _ in range(3):
        assert polls.poll().outcome == "failed"
    calls = control.calls(route="/me/player/recently-played")
    result = polls.poll(force=True)
    assert (result.outcome, result.retry_at) == ("skipped", polls.now + 24 * HOUR)
    assert control.calls(route="/me/player/recently-played") == calls
    polls.wait(12 * HOUR)
    assert _keys_due(polls) == []
    control.clear_faults()
    polls.wait(12 * HOUR)
    assert _keys_due(polls) == ["ana"]
    assert polls.poll().polled


def test_one_users_failure_stops_nobody(polls: Polls, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures of any kind: Spotify's, and a bug of ours, whose text is never shown."""
    setup = polls.setup
    spotify = setup.open()
    users = [polls.user_id]
    for key, listener in (("ben", "listener-2"), ("cleo", "listener-3")):
        setup.simulator.control.put_listener(ListenerSpec(key=listener, plays_per_day=30))
        setup.sign_in(spotify, key, listener=listener)
        users.append(setup.user(key))
    polls.play(5)
    setup.simulator.control.fail("status", path=RECENT, status=403, listener="listener-2")
    whole = poll_one_user.compare

    def broken(before: object, page: poll_one_user.Page, **options: object) -> object:
        if len(page.times) == 5:
            raise RuntimeError("canary")
        return whole(before, page, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(poll_one_user, "compare", broken)
        ana, ben, cleo = polls.poll_all(users)
    assert (ana.outcome, ana.reason) == ("failed", "unexpected: RuntimeError")
    assert ben.outcome == "failed"
    assert (cleo.outcome, cleo.items) == ("new", 50)
    assert polls.kept() == []
    polls.wait(6 * MINUTE)
    assert [result.outcome for result in polls.poll_all(users, force=True)] == ["new", "new", "known"]


def test_a_bug_is_retried_later_and_not_at_every_tick(polls: Polls, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> object:
        raise Transient("busy")

    monkeypatch.setattr(poll_one_user, "compare", broken)
    assert polls.poll().outcome == "failed"
    assert _keys_due(polls) == []


def test_a_page_of_nothing_that_can_be_understood_is_a_failure_and_says_why(polls: Polls) -> None:
    """Never "0 plays, exit 0": the circuit counts it, the person reads why, and nothing is lost when it passes."""
    control = polls.setup.simulator.control
    times = polls.play(3)
    control.fail("bad_items", path=RECENT, times=None)
    result = polls.poll()
    assert (result.outcome, result.items) == ("failed", 0)
    assert "could be understood" in result.reason
    assert polls.setup.sql("select unknown_failures from ops.circuits") == [(1,)]
    ((failures, last_error),) = polls.setup.sql("select failures, last_error from ops.poll_states")
    assert (failures, last_error) == (1, result.reason)
    assert polls_succeed(polls.setup.warehouse).passed
    for _ in range(2):
        polls.poll()
    found = polls_succeed(polls.setup.warehouse)
    assert not found.passed
    assert "of ana failed: GET /v1/me/player/recently-played: none of its 3 items" in found.text
    control.clear_faults()
    assert polls.poll().new_plays == 3
    assert polls.kept() == times
    assert polls.setup.sql("select failures, last_error from ops.poll_states") == [(0, None)]


def test_an_empty_page_after_plays_were_known_is_told_apart_and_closes_nothing(polls: Polls) -> None:
    control = polls.setup.simulator.control
    assert polls.poll().outcome == "none"
    polls.play(10)
    polls.poll()
    polls.wait(HOUR)
    control.fail("no_items", path=RECENT)
    result = polls.poll()
    assert (result.outcome, result.gap_start) == ("empty", None)
    assert "shows no plays" in result.reason
    assert polls.gaps() == []
    assert polls_succeed(polls.setup.warehouse).text == "Spotify shows no plays, although some were known, to ana"
    late = polls.play(60)
    assert polls.poll().outcome == "gap"
    assert polls.gaps()[0][1] == late[10]


def test_fields_of_another_type_cost_no_play_and_are_reported(polls: Polls) -> None:
    polls.play(4)
    polls.setup.simulator.control.fail("other_types", path=RECENT)
    result = polls.poll()
    assert (result.new_plays, result.refused_items) == (4, 0)
    assert set(result.unread_fields) >= {"track.duration_ms", "track.explicit", "album.total_tracks"}
    assert "track.duration_ms" in result.reason
    ((kept,),) = polls.setup.sql("select unread_fields from ops.polls")
    assert kept == dict(result.unread_fields)


def test_a_page_that_was_filtered_after_it_was_cut_loses_nothing_silently(polls: Polls) -> None:
    """Seven of 50 entries are episodes: 43 are shown, and nothing says that the window was full."""
    first = polls.play(50)
    polls.poll()
    second = polls.play(60)
    polls.setup.simulator.control.fail("filtered", path=RECENT)
    result = polls.poll()
    assert (result.outcome, result.items) == ("gap", 43)
    assert polls.gaps() == [(first[-1], second[17], "window_overflow")]
