"""Access tokens: refreshed in time, one at a time, and no login is lost on the way."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import psycopg
import pytest

from myi_pipeline.errors import AuthRevoked, CircuitOpen, Forbidden, LoginDoubted, RateLimited, Transient
from myi_pipeline.people import logins
from myi_pipeline.postgres.connections import Role
from myi_pipeline.providers import token_vault
from myi_pipeline.providers.sign_in_rules import AccessToken
from myi_pipeline.providers.spotify.client import SpotifyClient
from myi_pipeline.providers.spotify.models import RecentlyPlayedPage
from myi_pipeline.providers.spotify.open_spotify import Spotify
from myi_pipeline.providers.spotify.refresh_credentials import NotSignedIn
from tests.integration.credentials.conftest import CANARY, Setup, SetupMaker
from tests.integration.credentials.worker_process import Order, running_worker

NO_ACCESS_TOKENS = "update app.credentials set access_token = null, access_expires_at = null, access_granted_at = null"


def recent(client: SpotifyClient, token: AccessToken) -> RecentlyPlayedPage:
    return client.recently_played(token)


def poll(setup: Setup, spotify: Spotify, key: str = "ana") -> RecentlyPlayedPage:
    return spotify.call(setup.user(key), recent)


@pytest.fixture
def signed_in(setup: Setup) -> Setup:
    setup.sign_in(setup.open())
    setup.simulator.control.forget_calls()
    return setup


def test_a_token_is_refreshed_when_fewer_than_ten_minutes_are_left(signed_in: Setup) -> None:
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
def test_a_new_refresh_token_replaces_the_old_and_a_missing_one_keeps_it(make_setup: SetupMaker, habit: str) -> None:
    setup = make_setup(refresh_tokens=habit)
    spotify = setup.open()
    setup.sign_in(spotify)
    first = setup.refresh_token(spotify)
    for _ in range(3):
        poll(setup, setup.open())
        setup.clock.advance(timedelta(hours=1))
    assert (setup.refresh_token(spotify) == first) is (habit != "rotate")


def test_threads_of_one_process_share_one_refresh(signed_in: Setup) -> None:
    spotify = signed_in.open()
    with ThreadPoolExecutor(8) as threads:
        pages = list(threads.map(lambda _: poll(signed_in, spotify), range(16)))
    assert len(pages) == 16
    assert signed_in.token_calls() == 1


def test_an_access_token_serves_all_processes_until_it_ends_and_is_kept_sealed(signed_in: Setup) -> None:
    setup = signed_in
    for _ in range(3):
        setup.clock.advance(timedelta(minutes=10))
        assert poll(setup, setup.open()).count
    assert setup.token_calls() == 1
    assert setup.simulator.control.calls() == 4
    ((sealed,),) = setup.sql("select access_token from app.credentials")
    assert CANARY.encode() not in bytes(sealed)
    setup.clock.advance(timedelta(minutes=31))
    assert poll(setup, setup.open()).count
    assert setup.token_calls() == 2


def test_an_access_token_that_cannot_be_opened_costs_one_refresh_and_no_login(two_signed_in: Setup) -> None:
    setup = two_signed_in
    for key in ("ana", "ben"):
        poll(setup, setup.open(), key)
    damages = (
        "update app.credentials as a set access_token = b.access_token from app.credentials as b"
        " where a.user_id <> b.user_id",
        "update app.credentials set access_token = access_token || '\\x00'::bytea",
        "update app.credentials set access_token = set_byte(access_token, 2, get_byte(access_token, 2) # 1)",
    )
    for damage in damages:
        setup.sql(damage)
        calls = setup.token_calls()
        spotify = setup.open()
        assert all(poll(setup, spotify, key).count for key in ("ana", "ben"))
        assert setup.token_calls() == calls + 2
    assert setup.credential("ben").status == "active"


def test_a_rejected_token_is_used_by_nobody_again(signed_in: Setup) -> None:
    first, second = signed_in.open(), signed_in.open()
    for spotify in (first, second):
        poll(signed_in, spotify)
    signed_in.simulator.control.expire_access_tokens()
    with ThreadPoolExecutor(2) as threads:
        assert all(page.count for page in threads.map(lambda spotify: poll(signed_in, spotify), (first, second)))
    assert poll(signed_in, signed_in.open()).count
    # One refresh for the first token, and one for both processes that held it.
    assert signed_in.token_calls() == 2

    # Spotify rejects it and cannot be asked for another: it is gone all the same.
    signed_in.simulator.control.expire_access_tokens()
    signed_in.simulator.control.fail("status", status=503, path="/api/token", times=3)
    with pytest.raises(Transient):
        poll(signed_in, signed_in.open())
    assert signed_in.sql("select user_id from app.credentials where access_token is not null") == []


@pytest.mark.parametrize("end", ["disconnected", "signed in again", "marked", "removed"])
def test_an_access_token_goes_with_its_login(signed_in: Setup, end: str) -> None:
    setup = signed_in
    spotify = setup.open()
    poll(setup, spotify)
    assert len(setup.sql("select user_id from app.credentials where access_token is not null")) == 1
    with setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        if end == "disconnected":
            logins.disconnect_user(connection, user_key="ana")
        elif end == "marked":
            token_vault.note_refused(
                connection, setup.credential(), reason="no", is_final=True, most_refusals=3, now=setup.clock.now()
            )
        elif end == "removed":
            connection.execute("delete from app.users where user_key = 'ana'")
    if end == "signed in again":
        old = setup.credential()
        setup.clock.advance(60)
        setup.sign_in(setup.open())
        assert setup.sql("select user_id from app.credentials where access_token is not null") == []
        # The answer to a refresh of the old login comes late.
        with setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
            access = ("of the old login", setup.clock.now() + timedelta(hours=1))
            token_vault.note_refreshed(
                connection, spotify.keys, old, refresh_token=None, scopes=None, access=access, now=setup.clock.now()
            )
    assert setup.sql("select user_id from app.credentials where access_token is not null") == []
    if end == "signed in again":
        assert poll(setup, spotify).count


def test_whoever_serves_people_can_neither_read_nor_write_access_tokens(signed_in: Setup) -> None:
    with signed_in.warehouse.connect(Role.APP, autocommit=True) as connection:
        for statement in ("select access_token from app.credentials", "update app.credentials set access_token = null"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())


def test_processes_refresh_one_after_the_other_and_each_reads_the_latest_token(make_setup: SetupMaker) -> None:
    """Two at once would spend one refresh token twice; where it dies at once, the second would lose the login."""
    setup = make_setup(rotated_token_dies="at_once")
    setup.sign_in(setup.open())
    setups = [setup.open() for _ in range(6)]
    with ThreadPoolExecutor(6) as threads:
        assert all(page.count for page in threads.map(lambda spotify: poll(setup, spotify), setups))
    assert setup.token_calls(status=400) == 0
    # The first one's access token serves the others; the other call made the login.
    assert setup.token_calls() == 2
    assert setup.credential().status == "active"


def test_an_access_token_that_is_refused_is_refreshed_once(signed_in: Setup) -> None:
    spotify = signed_in.open()
    poll(signed_in, spotify)
    signed_in.simulator.control.expire_access_tokens()
    assert poll(signed_in, spotify).count
    assert signed_in.token_calls() == 2


def test_a_fresh_token_that_is_refused_too_is_not_tried_again(signed_in: Setup) -> None:
    spotify = signed_in.open()
    signed_in.simulator.control.fail("status", status=401, path="/v1/me/*", times=None)
    with pytest.raises(Forbidden, match="a freshly refreshed token was rejected too"):
        poll(signed_in, spotify)
    assert signed_in.simulator.control.calls(route="/me/player/recently-played") == 2
    assert signed_in.token_calls() == 2


def test_a_refused_login_is_looked_at_a_second_time_before_it_is_given_up(signed_in: Setup) -> None:
    spotify = signed_in.open()
    signed_in.simulator.control.revoke("listener-1")
    with pytest.raises(LoginDoubted, match="tried again at 2026-03-02 15:00 UTC") as doubted:
        poll(signed_in, spotify)
    assert doubted.value.retry_at == signed_in.clock.now() + timedelta(hours=6)
    calls = signed_in.token_calls()
    for hours in (0, 3, 2.9):
        signed_in.clock.advance(timedelta(hours=hours))
        with pytest.raises(LoginDoubted):
            poll(signed_in, signed_in.open())
    assert (signed_in.token_calls(), signed_in.credential().status) == (calls, "active")
    signed_in.clock.advance(timedelta(hours=0.1))
    with pytest.raises(AuthRevoked, match=r"nothing is lost\. Sign in again: myi user login ana"):
        poll(signed_in, spotify)
    for _ in range(3):
        with pytest.raises(NotSignedIn, match="myi user login ana"):
            poll(signed_in, signed_in.open())
    assert signed_in.token_calls() == calls + 1
    assert signed_in.credential().status == "reauth_required"


@pytest.mark.parametrize(("status", "code"), [(400, "invalid_grant"), (400, "unsupported"), (403, "blocked_for_now")])
def test_an_outage_that_refuses_good_logins_ends_none(signed_in: Setup, status: int, code: str) -> None:
    spotify = signed_in.open()
    signed_in.simulator.control.fail("status", path="/api/token", status=status, code=code, times=None)
    with pytest.raises(LoginDoubted):
        poll(signed_in, spotify)
    signed_in.simulator.control.clear_faults()
    signed_in.clock.advance(timedelta(hours=6))
    assert poll(signed_in, spotify).count
    credential = signed_in.credential()
    assert (credential.status, credential.refusals, credential.last_error) == ("active", 0, None)


def test_a_429_of_the_token_endpoint_silences_it_for_the_whole_client_id(make_setup: SetupMaker) -> None:
    setup = make_setup()
    setup.sign_in(setup.open())
    setup.sign_in(setup.open(), "ben", listener="listener-2")
    setup.simulator.control.forget_calls()
    setup.simulator.control.fail("status", path="/api/token", status=429, retry_after=7_200, times=None)
    until = setup.clock.now() + timedelta(seconds=7_201)
    for key in ("ana", "ben", "ana"):
        with pytest.raises(RateLimited) as limited:
            poll(setup, setup.open(), key)
        assert limited.value.retry_at == until
    assert setup.token_calls(status=429) == 1
    setup.simulator.control.clear_faults()
    setup.clock.set(until)
    assert poll(setup, setup.open(), "ben").count
    assert setup.sql("select bucket from ops.quota_blocks") == []


def test_signing_in_again_mends_everything(signed_in: Setup) -> None:
    spotify = signed_in.open()
    signed_in.simulator.control.revoke("listener-1")
    for _ in range(2):
        with pytest.raises((AuthRevoked, LoginDoubted)):
            poll(signed_in, spotify)
        signed_in.clock.advance(timedelta(hours=6))
    assert signed_in.credential().status == "reauth_required"
    signed_in.sign_in(spotify)
    assert poll(signed_in, spotify).count
    assert signed_in.credential().status == "active"
    assert signed_in.sql("select user_id from ops.circuits where state <> 'closed'") == []


def test_a_night_without_network_ends_no_login(signed_in: Setup) -> None:
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


def test_a_wrong_client_secret_ends_no_login_either(signed_in: Setup) -> None:
    spotify = signed_in.open()
    signed_in.simulator.control.fail("status", status=401, path="/api/token", times=3)
    for _ in range(3):
        with pytest.raises(Forbidden, match="MYI_SPOTIFY_CLIENT_SECRET"):
            poll(signed_in, spotify)
    assert signed_in.credential().status == "active"
    with pytest.raises(CircuitOpen):
        poll(signed_in, spotify)


def test_an_answer_that_got_lost_costs_no_login(signed_in: Setup) -> None:
    """Spotify rotated the token, but the connection broke before the answer came."""
    spotify = signed_in.open()
    signed_in.simulator.control.fail("lost", path="/api/token")
    assert poll(signed_in, spotify).count
    assert signed_in.credential().status == "active"


@pytest.mark.slow
def test_a_login_of_six_months_ends_and_was_warned_of(signed_in: Setup, caplog: pytest.LogCaptureFixture) -> None:
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


def test_an_answer_to_an_old_login_does_not_overwrite_a_new_one(signed_in: Setup) -> None:
    spotify = signed_in.open()
    old = signed_in.credential()
    signed_in.clock.advance(60)
    signed_in.sign_in(spotify)
    new = signed_in.refresh_token(spotify)
    with signed_in.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        values = {"refresh_token": "of the old login", "scopes": None, "now": signed_in.clock.now()}
        token_vault.note_refreshed(connection, spotify.keys, old, **values)
    assert signed_in.refresh_token(spotify) == new


def _kill_refreshes(setup: Setup, tmp_path: Path, *, kills: int, is_broken: bool = False) -> int:
    """Kills a polling process at random steps; returns how often the login survived a kill.

    The broken variant is killed at one step after the other, until a login is lost.
    """
    users = tuple(setup.user(key) for key in ("ana", "ben"))
    random, survived, killed = Random(7), 0, 0
    with running_worker(setup.settings, setup.warehouse, tmp_path / "worker.log") as worker:
        while killed < kills and (survived == killed or not is_broken):
            setup.clock.advance(timedelta(minutes=1))
            # A process that finds no access token, and one that finds a token which Spotify rejects.
            if is_broken or random.random() < 0.5:
                setup.sql(NO_ACCESS_TOKENS)
            else:
                setup.simulator.control.expire_access_tokens()
            step = killed + 1 if is_broken else random.randint(1, 80)
            order = Order(
                task="poll",
                now=setup.clock.now().isoformat(),
                user_ids=users,
                kill_at_step=step,
                is_broken=is_broken,
            )
            outcome = worker.carry_out(order)
            if not outcome.was_killed:
                assert outcome.code == 0, (tmp_path / "worker.log").read_text()
                continue
            killed += 1
            spotify = setup.open()
            try:
                # A killed process's half-open lock or session is gone at once: nothing waits here.
                survived += all(poll(setup, spotify, key).count for key in ("ana", "ben"))
            except (AuthRevoked, LoginDoubted):
                setup.sign_in(spotify, "ana", listener="listener-1")
                setup.sign_in(spotify, "ben", listener="listener-2")
            setup.stack.close()
    return survived


@pytest.fixture
def two_signed_in(setup: Setup) -> Setup:
    spotify = setup.open()
    setup.sign_in(spotify, "ana", listener="listener-1")
    setup.sign_in(spotify, "ben", listener="listener-2")
    return setup


def test_killed_anywhere_in_a_refresh_every_login_survives(
    two_signed_in: Setup, tmp_path: Path, login_kills: int
) -> None:
    assert _kill_refreshes(two_signed_in, tmp_path, kills=login_kills) == login_kills


@pytest.mark.long
@pytest.mark.timeout(7_200)
def test_killed_anywhere_in_many_refreshes_every_login_survives(
    two_signed_in: Setup, tmp_path: Path, login_kills: int
) -> None:
    assert _kill_refreshes(two_signed_in, tmp_path, kills=login_kills) == login_kills


@pytest.mark.long
def test_broken_a_token_used_before_its_successor_is_committed_loses_logins(
    two_signed_in: Setup, tmp_path: Path
) -> None:
    """The property can fail: this is what the order of commit and use is for."""
    assert _kill_refreshes(two_signed_in, tmp_path, kills=80, is_broken=True) < 80
