"""What goes wrong in one poll is that user's, costs no play that can still be had, and waits its time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from myi_pipeline.core.errors import Transient
from myi_pipeline.services import poll_one_user
from myi_pipeline.services.plan_polls import due_now
from myi_pipeline.simulator.live import ListenerSpec
from tests.integration.polls.conftest import HOUR, MINUTE, Polls

RECENT = "/v1/me/player/recently-played"


def _keys_due(polls: Polls) -> list[str]:
    house = polls.house
    return [user.user_key for user in due_now(house.settings, house.warehouse, now=polls.now)]


def test_every_fault_that_stays_costs_a_turn_and_no_play(polls: Polls) -> None:
    control = polls.house.simulator.control
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
        polls.house.sql("delete from ops.circuits")
    assert polls.kept() == []
    result = polls.poll()
    assert (result.outcome, result.new_plays) == ("new", 2 * len(faults))
    assert polls.gaps() == []


def test_slow_bytes_are_waited_for(polls: Polls) -> None:
    polls.play(3)
    polls.house.simulator.control.fail("slow", path=RECENT, chunk=2_000, pause_s=0.01)
    assert polls.poll().new_plays == 3


@pytest.mark.parametrize("seconds", [40_000, None])
def test_a_429_puts_the_polls_of_its_client_id_off_and_force_does_not_pass_over_it(
    polls: Polls, seconds: int | None
) -> None:
    control = polls.house.simulator.control
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
    polls.house.clock.set(first.retry_at)
    assert _keys_due(polls) == ["ana"]
    assert polls.poll(force=False, within=timedelta(0)).polled


def test_an_open_circuit_is_left_alone_even_by_force(polls: Polls) -> None:
    control = polls.house.simulator.control
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
    """Of any kind: Spotify's, and a bug of ours, whose words are shown to nobody."""
    house = polls.house
    spotify = house.open()
    users = [polls.user_id]
    for key, listener in (("ben", "listener-2"), ("cleo", "listener-3")):
        house.simulator.control.put_listener(ListenerSpec(key=listener, plays_per_day=30))
        house.sign_in(spotify, key, listener=listener)
        users.append(house.user(key))
    polls.play(5)
    house.simulator.control.fail("status", path=RECENT, status=403, listener="listener-2")
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
