"""`myi poll`, as a person types it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from myi_pipeline.cli.app import run
from tests.integration.credentials.conftest import Setup
from tests.integration.credentials.test_commands import Ran, myi, now_setup

__all__ = ["myi", "now_setup"]

Command = Callable[..., Ran]
RECENT = "/v1/me/player/recently-played"


@pytest.fixture
def ana(now_setup: Setup) -> Setup:
    now_setup.sign_in(now_setup.open())
    return now_setup


def test_a_poll_shows_what_was_new_and_when_the_next_turn_comes(ana: Setup, myi: Command) -> None:
    first = myi("poll", "--json")
    assert first.code == 0
    (poll,) = first.document["polls"]
    assert (poll["user_key"], poll["outcome"], poll["new_plays"]) == ("ana", "new", 50)
    again = myi("poll")
    assert again.code == 0
    assert "polled within the last three minutes" in again.out
    forced = myi("poll", "--user", "ana", "--force")
    assert (forced.code, "known" in forced.out) == (0, True)
    assert ana.simulator.control.calls(route="/me/player/recently-played") == 2


def test_codes_say_whether_polls_failed_or_the_command_made_no_sense(ana: Setup, myi: Command) -> None:
    ana.simulator.control.fail("status", path=RECENT, status=403, times=None)
    failed = myi("poll", "--json")
    assert (failed.code, failed.document["polls"][0]["outcome"]) == (1, "failed")
    assert myi("poll", "--user", "nobody").code == 2
    assert run(["poll", "--nonsense"]) == 2
    ana.user("ben")
    ana.simulator.control.clear_faults()
    # Ben is not signed in: nobody's trouble, unless he is asked for by name.
    assert myi("poll", "--force").code == 0
    by_name = myi("poll", "--user", "ben")
    assert (by_name.code, "myi user login ben" in by_name.out) == (1, True)


def test_without_users_there_is_nothing_to_poll(now_setup: Setup, myi: Command) -> None:
    ran = myi("poll")
    assert (ran.code, "No users yet" in ran.out) == (0, True)
