"""One quota for all processes: never exceeded, polls first; a block survives a restart and blocks nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest

from myi_pipeline.errors import RateLimited
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.providers import quota_ledger, token_vault
from myi_pipeline.providers.governor import Governor, show_quota
from myi_pipeline.providers.quota_rules import Bucket, QuotaLimits
from myi_pipeline.providers.spotify.client import TopTerm
from myi_pipeline.providers.spotify.open_spotify import Spotify
from myi_pipeline.simulator.live import AppSpec
from tests.integration.credentials.conftest import CLIENT, Setup, SetupMaker

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class Time:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = NOW
        self.slept: list[float] = []

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)


class Desk:
    """Makes governors on one clock, each with connections of its own, as processes have them."""

    def __init__(self, warehouse: Warehouse, stack: ExitStack) -> None:
        self.warehouse = warehouse
        self.time = Time()
        self._stack = stack

    def governor(self, *, client: str = "a", **limits: int) -> Governor:
        pool = self.warehouse.pool(Role.INGEST, application_name="test")
        self._stack.enter_context(pool)
        return Governor(pool, client_id=client, limits=QuotaLimits(**limits), clock=self.time, sleep=self.time.sleep)


@pytest.fixture
def desk(warehouse: Warehouse) -> Iterator[Desk]:
    with ExitStack() as stack:
        yield Desk(warehouse, stack)


def test_nobody_gets_more_than_the_limit_in_any_minute_and_nobody_sleeps_over_30_s(desk: Desk) -> None:
    time = desk.time
    gates = [desk.governor(requests_per_minute=20) for _ in range(2)]
    granted: list[datetime] = []
    for number in range(70):
        try:
            gates[number % 2].before(Bucket.POLLS)
            granted.append(time.now)
        except RateLimited as error:
            time.now = error.retry_at
        time.now += timedelta(milliseconds=137)
    assert max(time.slept) <= 30
    for start in granted:
        assert sum(start <= moment < start + timedelta(seconds=60) for moment in granted) <= 20
        assert sum(start <= moment < start + timedelta(seconds=30) for moment in granted) <= 10
    assert time.now - NOW < timedelta(minutes=6), "the quota is used, not only kept"


def test_processes_never_take_the_same_last_request(warehouse: Warehouse) -> None:
    def take(_: int) -> bool:
        with warehouse.connect(Role.INGEST, autocommit=True) as connection:
            taken = quota_ledger.take(
                connection, "a", Bucket.POLLS, limits=QuotaLimits(requests_per_minute=20), now=NOW
            )
        return taken.decision.retry_at is None

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(take, range(40))) == 10


def test_polls_find_room_where_the_catalogue_finds_none(desk: Desk) -> None:
    limits = QuotaLimits(requests_per_minute=40)
    taken: dict[Bucket, int] = {}
    with desk.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        for bucket in (Bucket.CATALOGUE, Bucket.PERSONAL, Bucket.POLLS):
            for _ in range(40):
                answer = quota_ledger.take(connection, "a", bucket, limits=limits, now=NOW)
                taken[bucket] = taken.get(bucket, 0) + (answer.decision.retry_at is None)
    assert taken == {Bucket.CATALOGUE: 10, Bucket.PERSONAL: 6, Bucket.POLLS: 4}


def test_the_catalogue_spends_400_a_day_and_the_window_rolls(desk: Desk) -> None:
    time = desk.time
    gate = desk.governor(catalogue_calls_per_day=5)
    for _ in range(5):
        gate.before(Bucket.CATALOGUE)
        time.now += timedelta(hours=1)
    with pytest.raises(RateLimited, match="this day are used up") as caught:
        gate.before(Bucket.CATALOGUE)
    assert caught.value.retry_at == NOW + timedelta(hours=24)
    gate.before(Bucket.POLLS)
    gate.before(Bucket.PERSONAL)
    time.now = caught.value.retry_at
    gate.before(Bucket.CATALOGUE)
    with pytest.raises(RateLimited):
        gate.before(Bucket.CATALOGUE)


def test_the_catalogue_gets_only_what_polls_leave(desk: Desk) -> None:
    gate = desk.governor(calls_per_day=6)
    for _ in range(6):
        gate.before(Bucket.POLLS)
    with pytest.raises(RateLimited, match="polls need"):
        gate.before(Bucket.CATALOGUE)
    gate.before(Bucket.POLLS)


def test_a_block_survives_a_restart_and_blocks_one_bucket_of_one_client(desk: Desk) -> None:
    time = desk.time
    until = desk.governor().blocked(Bucket.CATALOGUE, retry_after=timedelta(seconds=85_771), quota_exceeded=False)
    assert until == NOW + timedelta(seconds=85_772)
    later = desk.governor()
    with pytest.raises(RateLimited, match="Spotify asked to wait") as caught:
        later.before(Bucket.CATALOGUE)
    assert caught.value.retry_at == until
    assert time.slept == []
    later.before(Bucket.POLLS)
    desk.governor(client="b").before(Bucket.CATALOGUE)
    time.now = until
    later.before(Bucket.CATALOGUE)


def test_a_short_block_is_waited_for(desk: Desk) -> None:
    time = desk.time
    gate = desk.governor()
    gate.blocked(Bucket.POLLS, retry_after=timedelta(seconds=4), quota_exceeded=False)
    gate.before(Bucket.POLLS)
    assert sum(time.slept) == 5


def test_a_success_after_a_block_lets_the_next_wait_begin_small_again(desk: Desk) -> None:
    time = desk.time
    gate = desk.governor()
    waits = []
    for _ in range(3):
        waits.append(gate.blocked(Bucket.POLLS, retry_after=None, quota_exceeded=False) - time.now)
        time.now += waits[-1]
    gate.before(Bucket.POLLS)
    gate.passed(Bucket.POLLS)
    waits.append(gate.blocked(Bucket.POLLS, retry_after=None, quota_exceeded=False) - time.now)
    assert [wait.total_seconds() for wait in waits] == [30, 60, 120, 30]


def test_a_clock_that_went_back_a_day_stops_nothing(desk: Desk) -> None:
    time = desk.time
    gate = desk.governor(requests_per_minute=6, catalogue_calls_per_day=1)
    gate.before(Bucket.CATALOGUE)
    gate.before(Bucket.POLLS)
    gate.before(Bucket.POLLS)
    gate.blocked(Bucket.POLLS, retry_after=timedelta(hours=1), quota_exceeded=False)
    time.now -= timedelta(days=1)
    slept = sum(time.slept)
    gate.before(Bucket.POLLS)
    gate.before(Bucket.CATALOGUE)
    assert sum(time.slept) == slept


def test_old_calls_are_forgotten(desk: Desk) -> None:
    time = desk.time
    gate = desk.governor()
    gate.before(Bucket.POLLS)
    time.now += timedelta(days=3)
    gate.before(Bucket.POLLS)
    with desk.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        assert quota_ledger.prune(connection, now=time.now) == 1
        (polls, *others) = show_quota(connection, limits=QuotaLimits(), now=time.now)
    assert (polls.calls_of_day, polls.calls_of_minute) == (1, 1)
    assert {use.calls_of_day for use in others} == {0}


# On the simulator


def recent(setup: Setup, spotify: Spotify, key: str = "ana") -> int:
    return spotify.call(setup.user(key), lambda client, token: client.recently_played(token)).count


def test_what_spotify_says_is_kept_and_nobody_asks_again_meanwhile(setup: Setup) -> None:
    setup.sign_in(setup.open())
    setup.simulator.control.fail("status", status=429, path="/v1/me/player/*", retry_after=7_200)
    with pytest.raises(RateLimited) as caught:
        recent(setup, setup.open())
    assert caught.value.retry_at == setup.clock.now() + timedelta(seconds=7_201)
    calls = setup.simulator.control.calls(route="/me/player/recently-played")
    for _ in range(3):
        with pytest.raises(RateLimited):
            recent(setup, setup.open())
    assert setup.simulator.control.calls(route="/me/player/recently-played") == calls
    setup.open().call(setup.user("ana"), lambda client, token: client.top_items(token, "tracks", TopTerm.SHORT))
    setup.clock.advance(7_202)
    assert recent(setup, setup.open())
    assert setup.sql("select 1 from ops.quota_blocks") == []
    assert setup.sql("select 1 from ops.circuits where state <> 'closed'") == [], "a quota says nothing about a user"


@pytest.mark.parametrize(("answer", "least"), [("retry_after", 1), ("quota_exceeded", 3_600)])
def test_a_used_up_day_is_understood_however_it_is_said(make_setup: SetupMaker, answer: str, least: int) -> None:
    setup = make_setup(per_day={"polls": 2, "personal": 100, "catalogue": 1}, quota_answer=answer)
    setup.sign_in(setup.open())
    spotify = setup.open()
    recent(setup, spotify)
    recent(setup, spotify)
    with pytest.raises(RateLimited) as caught:
        recent(setup, spotify)
    assert caught.value.retry_at - setup.clock.now() >= timedelta(seconds=least)
    setup.sign_in(spotify, "ben", listener="listener-2")


def test_what_a_429_teaches_slows_the_polls_of_that_client_id_down_and_survives_a_restart(desk: Desk) -> None:
    time, limits = desk.time, QuotaLimits()

    def polls_a_day() -> dict[str, float]:
        with desk.warehouse.connect(Role.INGEST, autocommit=True) as connection:
            return {
                client_id: means.polls_a_day
                for client_id, means in quota_ledger.read_means(
                    connection, ["a", "b"], limits=limits, now=time.now
                ).items()
            }

    assert polls_a_day() == {"a": 160, "b": 160}
    desk.governor().before(Bucket.CATALOGUE)
    desk.governor().blocked(Bucket.CATALOGUE, retry_after=timedelta(hours=9), quota_exceeded=False)
    assert polls_a_day()["a"] == 160, "the catalogue's quota is its own"
    gate = desk.governor()
    gate.before(Bucket.POLLS)
    # Threads of one run are all told the same.
    for _ in range(3):
        gate.blocked(Bucket.POLLS, retry_after=timedelta(hours=1), quota_exceeded=False)
    assert polls_a_day() == {"a": pytest.approx(64), "b": 160}
    with desk.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        (polls, *_) = show_quota(connection, limits=limits, now=time.now)
    assert polls.limit_of_day == 64
    time.now += timedelta(days=8)
    assert polls_a_day() == {"a": pytest.approx(64 + 8 * 4), "b": 160}


def test_means_count_the_last_24_hours_by_the_hour_and_the_users_who_can_be_polled(make_setup: SetupMaker) -> None:
    setup = make_setup()
    spotify = setup.open()
    for key, listener in (("ana", "listener-1"), ("ben", "listener-2"), ("cem", "listener-3")):
        setup.sign_in(spotify, key, listener=listener)
    with setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        token_vault.pause(connection, user_id=setup.user("cem"), now=setup.clock.now())
    for _ in range(3):
        recent(setup, spotify)
        setup.clock.advance(timedelta(minutes=50))
    means = spotify.means([CLIENT, "another"])
    assert (means[CLIENT].users, means[CLIENT].polls_a_day) == (2, 320)
    assert means[CLIENT].spent == (1, 1, 1, *[0] * 21)
    assert (means["another"].users, sum(means["another"].spent)) == (0, 0)


def test_another_client_id_goes_on(make_setup: SetupMaker) -> None:
    redirect = "http://127.0.0.1:8898/callback"
    setup = make_setup(apps=tuple(AppSpec(client_id=name, redirect_uris=(redirect,)) for name in ("one", "two")))
    spotify = setup.open()
    setup.sign_in(spotify, "ana", listener="listener-1", client_id="one")
    setup.sign_in(spotify, "ben", listener="listener-2", client_id="two")
    setup.simulator.control.fail("status", status=429, client_id="one", retry_after=60_000, times=None)
    with pytest.raises(RateLimited):
        recent(setup, spotify, "ana")
    assert recent(setup, spotify, "ben")


@pytest.mark.slow
def test_the_simulators_own_limit_is_never_met(make_setup: SetupMaker) -> None:
    setup = make_setup(per_30_s=75)
    setup.sign_in(setup.open())
    spotify = setup.open()
    for _ in range(200):
        recent(setup, spotify)
    assert setup.simulator.control.calls(status=429) == 0
    assert max(setup.slept) <= 30
