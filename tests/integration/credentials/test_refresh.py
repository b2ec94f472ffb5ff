"""Access tokens: refreshed in time, one at a time, and no login is lost on the way."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from myi_pipeline.core.errors import AuthRevoked, CircuitOpen, Forbidden, Transient
from myi_pipeline.services.open_spotify import Spotify
from myi_pipeline.services.refresh_credentials import NotSignedIn
from myi_pipeline.spotify.client import SpotifyClient
from myi_pipeline.spotify.models import RecentlyPlayedPage
from myi_pipeline.spotify.oauth import AccessToken
from myi_pipeline.warehouse import token_vault
from myi_pipeline.warehouse.connections import Role
from tests.integration.credentials.conftest import House, HouseMaker
from tests.integration.credentials.worker_process import Order, running_worker


def recent(client: SpotifyClient, token: AccessToken) -> RecentlyPlayedPage:
    return client.recently_played(token)


def poll(house: House, spotify: Spotify, key: str = "ana") -> RecentlyPlayedPage:
    return spotify.call(house.user(key), recent)


@pytest.fixture
def signed_in(house: House) -> House:
    house.sign_in(house.open())
    house.simulator.control.forget_calls()
    return house


def test_a_token_is_refreshed_when_fewer_than_ten_minutes_are_left(signed_in: House) -> None:
    spotify = signed_in.open()
    poll(signed_in, spotify)
    assert signed_in.token_calls() == 1
    signed_in.clock.advance(timedelta(minutes=50))
    poll(signed_in, spotify)
    assert signed_in.token_calls() == 1
    signed_in.clock.advance(timedelta(seconds=1))
    poll(signed_in, spotify)
    assert signed_in.token_calls() == 2


@pytest.mark.parametrize("habit", ["rotate", "omit", "repeat"])
def test_a_new_refresh_token_replaces_the_old_and_a_missing_one_keeps_it(make_house: HouseMaker, habit: str) -> None:
    house = make_house(refresh_tokens=habit)
    spotify = house.open()
    house.sign_in(spotify)
    first = house.refresh_token(spotify)
    for _ in range(3):
        poll(house, house.open())
    assert (house.refresh_token(spotify) == first) is (habit != "rotate")


def test_threads_of_one_process_share_one_refresh(signed_in: House) -> None:
    spotify = signed_in.open()
    with ThreadPoolExecutor(8) as threads:
        pages = list(threads.map(lambda _: poll(signed_in, spotify), range(16)))
    assert len(pages) == 16
    assert signed_in.token_calls() == 1


def test_processes_refresh_one_after_the_other_and_each_reads_the_latest_token(make_house: HouseMaker) -> None:
    """Two at once would spend one refresh token twice; where it dies at once, the second would lose the login."""
    house = make_house(rotated_token_dies="at_once")
    house.sign_in(house.open())
    houses = [house.open() for _ in range(6)]
    with ThreadPoolExecutor(6) as threads:
        assert all(page.count for page in threads.map(lambda spotify: poll(house, spotify), houses))
    assert house.token_calls(status=400) == 0
    assert house.credential().status == "active"


def test_an_access_token_that_is_refused_is_refreshed_once(signed_in: House) -> None:
    spotify = signed_in.open()
    poll(signed_in, spotify)
    signed_in.simulator.control.expire_access_tokens()
    assert poll(signed_in, spotify).count
    assert signed_in.token_calls() == 2


def test_a_fresh_token_that_is_refused_too_is_not_tried_again(signed_in: House) -> None:
    spotify = signed_in.open()
    signed_in.simulator.control.fail("status", status=401, path="/v1/me/*", times=None)
    with pytest.raises(Forbidden, match="nor a fresh one"):
        poll(signed_in, spotify)
    assert signed_in.simulator.control.calls(route="/me/player/recently-played") == 2
    assert signed_in.token_calls() == 2


def test_a_revoked_login_is_marked_and_nothing_retries(signed_in: House) -> None:
    spotify = signed_in.open()
    signed_in.simulator.control.revoke("listener-1")
    with pytest.raises(AuthRevoked, match=r"nothing is lost\. Sign in again: myi user login ana"):
        poll(signed_in, spotify)
    calls = signed_in.token_calls()
    for _ in range(3):
        with pytest.raises(NotSignedIn, match="myi user login ana"):
            poll(signed_in, signed_in.open())
    assert signed_in.token_calls() == calls
    assert signed_in.credential().status == "reauth_required"


def test_signing_in_again_mends_everything(signed_in: House) -> None:
    spotify = signed_in.open()
    signed_in.simulator.control.revoke("listener-1")
    with pytest.raises(AuthRevoked):
        poll(signed_in, spotify)
    signed_in.sign_in(spotify)
    assert poll(signed_in, spotify).count
    assert signed_in.credential().status == "active"
    assert signed_in.sql("select from ops.circuits where state <> 'closed'") == []


def test_a_night_without_network_ends_no_login(signed_in: House) -> None:
    """Counted as failures, a dead line would sign everybody out."""
    spotify = signed_in.open()
    for kind in ("reset", "html", "truncated", "empty"):
        signed_in.simulator.control.fail(kind, path="/api/token", times=3)
        with pytest.raises(Transient):
            poll(signed_in, spotify)
    signed_in.simulator.control.fail("status", status=503, path="/api/token", times=3)
    with pytest.raises(Transient):
        poll(signed_in, spotify)
    assert signed_in.credential().refusals == 0
    assert signed_in.credential().status == "active"
    signed_in.clock.advance(timedelta(hours=3))
    assert poll(signed_in, spotify).count


def test_a_wrong_client_secret_ends_no_login_either(signed_in: House) -> None:
    spotify = signed_in.open()
    signed_in.simulator.control.fail("status", status=401, path="/api/token", times=3)
    for _ in range(3):
        with pytest.raises(Forbidden, match="MYI_SPOTIFY_CLIENT_SECRET"):
            poll(signed_in, spotify)
    assert signed_in.credential().status == "active"
    with pytest.raises(CircuitOpen):
        poll(signed_in, spotify)


def test_three_refusals_in_a_row_ask_for_a_new_login(signed_in: House) -> None:
    credential = signed_in.credential()
    with signed_in.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        over = [
            token_vault.note_refused(
                connection, credential, reason="no", is_final=False, most_refusals=3, now=signed_in.clock.now()
            )
            for _ in range(3)
        ]
    assert over == [False, False, True]


def test_an_answer_that_got_lost_costs_no_login(signed_in: House) -> None:
    """Spotify rotated the token, but the connection broke before the answer came."""
    spotify = signed_in.open()
    signed_in.simulator.control.fail("lost", path="/api/token")
    assert poll(signed_in, spotify).count
    assert signed_in.credential().status == "active"


def test_a_login_of_six_months_ends_and_was_warned_of(signed_in: House, caplog: pytest.LogCaptureFixture) -> None:
    spotify = signed_in.open()
    caplog.set_level(logging.WARNING)
    warnings: list[tuple[int, int]] = []
    began = signed_in.clock.now()
    for day in range(186):
        signed_in.clock.set(began + timedelta(days=day))
        before = signed_in.credential().warned_days
        try:
            poll(signed_in, spotify)
        except AuthRevoked:
            break
        if signed_in.credential().warned_days != before:
            warnings.append((day, signed_in.credential().warned_days or 0))
    ended = (datetime(2026, 9, 2, 9, tzinfo=began.tzinfo) - began).days
    assert day == ended
    assert warnings == [(ended - 30, 30), (ended - 7, 7), (ended - 1, 1)]
    assert signed_in.credential().status == "reauth_required"


def test_an_answer_to_an_old_login_does_not_overwrite_a_new_one(signed_in: House) -> None:
    spotify = signed_in.open()
    old = signed_in.credential()
    signed_in.clock.advance(60)
    signed_in.sign_in(spotify)
    new = signed_in.refresh_token(spotify)
    with signed_in.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        values = {"refresh_token": "of the old login", "scopes": None, "now": signed_in.clock.now()}
        token_vault.note_refreshed(connection, spotify.keys, old, **values)
    assert signed_in.refresh_token(spotify) == new


def _kill_refreshes(house: House, tmp_path: Path, *, kills: int, is_broken: bool = False) -> int:
    """Kills a polling process at random steps; returns how often the login survived a kill."""
    users = tuple(house.user(key) for key in ("ana", "ben"))
    random, survived, killed = Random(7), 0, 0
    with running_worker(house.settings, house.warehouse, tmp_path / "worker.log") as worker:
        while killed < kills:
            house.clock.advance(timedelta(minutes=1))
            step = random.randint(1, 80)
            order = Order(
                task="poll",
                now=house.clock.now().isoformat(),
                user_ids=users,
                kill_at_step=step,
                is_broken=is_broken,
            )
            outcome = worker.carry_out(order)
            if not outcome.was_killed:
                assert outcome.code == 0, (tmp_path / "worker.log").read_text()
                continue
            killed += 1
            spotify = house.open()
            try:
                # A killed process's half-open lock or session is gone at once: nothing waits here.
                survived += all(poll(house, spotify, key).count for key in ("ana", "ben"))
            except AuthRevoked:
                house.sign_in(spotify, "ana", listener="listener-1")
                house.sign_in(spotify, "ben", listener="listener-2")
            house.stack.close()
    return survived


@pytest.fixture
def two_signed_in(house: House) -> House:
    spotify = house.open()
    house.sign_in(spotify, "ana", listener="listener-1")
    house.sign_in(spotify, "ben", listener="listener-2")
    return house


def test_killed_anywhere_in_a_refresh_every_login_survives(
    two_signed_in: House, tmp_path: Path, login_kills: int
) -> None:
    assert _kill_refreshes(two_signed_in, tmp_path, kills=login_kills) == login_kills


@pytest.mark.long
@pytest.mark.timeout(7_200)
def test_killed_anywhere_in_many_refreshes_every_login_survives(
    two_signed_in: House, tmp_path: Path, login_kills: int
) -> None:
    assert _kill_refreshes(two_signed_in, tmp_path, kills=login_kills) == login_kills


def test_a_token_used_before_its_successor_is_committed_loses_logins(two_signed_in: House, tmp_path: Path) -> None:
    """The property can fail: this is what the order of commit and use is for."""
    assert _kill_refreshes(two_signed_in, tmp_path, kills=15, is_broken=True) < 15
