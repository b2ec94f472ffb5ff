"""A site that reads marts from a streaming replica: what it shows while that is behind, gone, or back."""

from __future__ import annotations

import asyncio
import random
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import httpx
import psycopg
import pytest
from pydantic import SecretStr

from myi_pipeline.operations.database_routes import RouteFinding, look_at_routes
from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.people import manage_access
from myi_pipeline.postgres.connections import Role, Warehouse, parse_url, with_parameters
from myi_pipeline.settings import ROLES_WITH_A_URL, Settings
from myi_pipeline.web.app import create_app
from myi_pipeline.web.reads import cursors as cursors_module
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.pools import Pools
from tests.conftest import free_port
from tests.integration.api.conftest import serving
from tests.integration.api.test_health import figures_of
from tests.integration.reads.conftest import Filled
from tests.postgres_servers import Server, running_replica, running_server

pytestmark = pytest.mark.timeout(300)

T = TypeVar("T")
WAIT_S = 120
# What a person waits for at most, and what a busy machine may add to that.
AT_MOST_S = 2.0 + 1.0


def until(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@dataclass
class Twins:
    """A primary with the warehouse of two listeners, and its replica."""

    primary: Server
    replica: Server
    database: str
    warehouse: Warehouse
    settings: Settings
    users: dict[str, int]
    tokens: dict[str, str]
    stack: ExitStack = field(default_factory=ExitStack)

    def sql(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        return self.primary.sql(query, *arguments, database=self.database)

    def pause(self) -> None:
        """What has been streamed is replayed before; nothing after."""
        if self.replica.sql("select pg_get_wal_replay_pause_state()") != [("not paused",)]:
            return
        self.catch_up()
        self.replica.sql("select pg_wal_replay_pause()")

    def resume(self) -> None:
        self.replica.sql("select pg_wal_replay_resume()")

    def catch_up(self) -> None:
        ((position,),) = self.primary.sql("select pg_current_wal_insert_lsn()::text")
        until(lambda: self.replica.sql("select pg_last_wal_replay_lsn() >= %s::pg_lsn", position) == [(True,)])

    def site(self, *, with_replica: bool = True, **changes: Any) -> Site:
        changes |= {} if with_replica else {f"database_url_{role}": None for role in ("api", "monitor", "analyst")}
        settings = self.settings.model_copy(update={"api_port": free_port(), **changes})
        plain = Warehouse(urls={role: self.warehouse.url(role) for role in Role}, dagster_url="postgresql://none/none")
        app = create_app(settings, self.warehouse if with_replica else plain)
        self.stack.enter_context(serving(app, settings.api_port))
        client = httpx.Client(
            base_url=f"http://127.0.0.1:{settings.api_port}", verify=False, trust_env=False, timeout=20
        )
        made = Site(self.stack.enter_context(client), app.state.site.pools, self.tokens)
        if with_replica:
            until(lambda: made.replica.is_up)
        return made

    def session(self, key: str) -> str:
        with self.warehouse.connect(Role.APP, autocommit=True) as connection:
            return manage_access.begin_session(connection, user_id=self.users[key], method="link", device="test")

    def change(self, chance: random.Random) -> None:
        """What a refresh might do to Ada's marts: some plays move, the version grows."""
        seed, user = str(chance.random()), self.users["ada"]
        self.sql(
            "with moved as (select play_id, hashtext(play_id::text || %s) %% 900000 as seconds"
            " from marts.fct_plays_stored where user_id = %s order by md5(play_id::text || %s) limit 40)"
            " update marts.fct_plays_stored as p set played_at = p.played_at + moved.seconds * interval '1 second'"
            " from moved where p.play_id = moved.play_id and p.user_id = %s",
            seed, user, seed, user,
        )  # fmt: skip
        self.sql(
            "update marts.user_versions set version = version + 1, refreshed_at = clock_timestamp() where user_id = %s",
            self.users["ada"],
        )

    def truth(self) -> list[str]:
        query = "select play_id from marts.fct_plays where user_id = %s order by played_at desc, play_id desc"
        return [str(row[0]) for row in self.sql(query, self.users["ada"])]


@dataclass
class Site:
    client: httpx.Client
    pools: Pools
    tokens: dict[str, str]

    @property
    def replica(self) -> Any:
        assert self.pools.replica is not None
        return self.pools.replica

    def get(self, path: str, *, as_: str = "ada", **headers: str) -> httpx.Response:
        return self.client.get(path, headers={"authorization": f"Bearer {self.tokens[as_]}", **headers})

    def counting(self) -> Counted:
        return Counted(self)


class Counted:
    """How reads were served since this was made."""

    def __init__(self, site: Site) -> None:
        self._site, self._before = site, dict(site.replica.reads)

    def __call__(self) -> dict[str, int]:
        now = self._site.replica.reads
        return {name: now[name] - self._before.get(name, 0) for name in now if now[name] != self._before.get(name, 0)}


def _copy(filled: Filled, primary: Server) -> str:
    """The filled warehouse on a server of its own, roles and passwords included."""
    owner = parse_url(filled.warehouse.url(Role.OWNER))
    database = owner["dbname"]
    admin = with_parameters(filled.warehouse.url(Role.OWNER), dbname=database)
    programs = primary.programs
    for role in Role:
        login = parse_url(filled.warehouse.url(role))
        primary.sql(f"create role \"{login['user']}\" login password '{login['password']}'")
    # Migrations made the owner a member.
    primary.sql(f'grant "{filled.warehouse.role_name(Role.DBT)}" to "{owner["user"]}"')
    primary.sql(
        f'create database "{database}" owner "{owner["user"]}" template template0 encoding \'UTF8\''
        " locale_provider builtin builtin_locale 'C.UTF-8' lc_collate 'C' lc_ctype 'C'"
    )
    with subprocess.Popen(
        [programs / "pg_dump", "-Fc", "-Z0", "--no-tablespaces", "-d", admin], stdout=subprocess.PIPE
    ) as dumping:
        done = subprocess.run(
            [programs / "pg_restore", "-d", primary.url(database)],
            stdin=dumping.stdout, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return database


@pytest.fixture(scope="module")
def servers(filled: Filled, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    with ExitStack() as stack:
        primary = stack.enter_context(running_server())
        database = _copy(filled, primary)
        replica = stack.enter_context(running_replica(primary, max_standby_streaming_delay="1s"))
        urls = {
            role: with_parameters(filled.warehouse.url(role), host="127.0.0.1", port=str(primary.port)) for role in Role
        }
        given = {f"database_url_{role}": urls[Role(role)] for role in ROLES_WITH_A_URL}
        for role in ("api", "monitor", "analyst"):
            given[f"database_url_{role}"] = with_parameters(urls[Role(role)], port=str(replica.port))
        settings = Settings.model_validate(
            {
                "home": tmp_path_factory.mktemp("twins"), "database_url": urls[Role.OWNER], "time_zone": "UTC",
                "dagster_database_url": with_parameters(filled.warehouse.dagster_url(), port=str(primary.port)),
                "api_requests_per_minute": 1_000_000, "api_sensitive_requests_per_minute": 1_000_000, **given,
            }
        )  # fmt: skip
        warehouse = stack.enter_context(open_warehouse(settings))
        yield Twins(primary, replica, database, warehouse, settings, filled.users, filled.tokens)


@pytest.fixture
def twins(servers: Twins) -> Iterator[Twins]:
    with ExitStack() as stack:
        servers.stack = stack
        stack.callback(servers.resume)
        yield servers


def test_reads_go_to_the_replica_and_decisions_to_the_primary(twins: Twins) -> None:
    assert {parse_url(twins.warehouse.url(role))["port"] for role in Role} == {str(twins.primary.port)}
    site = twins.site()
    counted = site.counting()
    for path in ("/v1/me", "/v1/me/summary", "/v1/me/plays", "/v1/me/top/tracks", "/v1/me/clock", "/v1/me/coverage"):
        assert site.get(path).status_code == 200, path
    assert counted() == {"replica": 6}
    plain = twins.site(with_replica=False)
    for path in ("/v1/me/plays", "/v1/me/summary"):
        ours, theirs = site.get(path), plain.get(path)
        assert ours.json() | {"next": None} == theirs.json() | {"next": None}
        assert ours.headers["etag"] == theirs.headers["etag"]
    assert site.client.get("/readyz").status_code == 200
    figures = figures_of(site.client.get("/metrics").text)
    assert figures["myi_replica_up"] == 1
    assert "myi_replica_up" not in plain.client.get("/metrics").text


def test_row_security_holds_on_the_replica(twins: Twins) -> None:
    ada, bob = twins.users["ada"], twins.users["bob"]
    url = twins.warehouse.replica_url(Role.API)
    assert url is not None
    count = b"select count(*), count(*) filter (where user_id <> %s) from marts.fct_plays"
    with psycopg.connect(url, autocommit=True) as connection:
        assert connection.execute("select pg_is_in_recovery()").fetchone() == (True,)
        assert connection.execute(count, (ada,)).fetchone() == (0, 0)
        seen = []
        for user in (ada, bob):
            with connection.transaction():
                connection.execute("select set_config('app.user_id', %s, true)", (str(user),))
                seen.append(connection.execute(count, (user,)).fetchone())
        assert all(row is not None and row[0] > 0 and row[1] == 0 for row in seen)
        assert connection.execute(count, (ada,)).fetchone() == (0, 0)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select count(*) from app.users")


def _wander(twins: Twins, site: Site, plain: Site, *, seed: int, rounds: int) -> None:
    """A client that is served by one site, then by the other, while the replica is behind or is not."""
    chance = random.Random(seed)
    bodies: dict[int, bytes] = {}
    tag, version, path = "", 0, "/v1/me/plays?limit=500"
    plain.client.headers["accept-encoding"] = site.client.headers["accept-encoding"] = "identity"
    for _ in range(rounds):
        if chance.random() < 0.5:
            twins.pause()
        twins.change(chance)
        if chance.random() < 0.5:
            twins.resume()
        for _ in range(2):
            served = chance.choice((site, plain))
            answer = served.get(path, **({"if-none-match": tag} if tag else {}))
            if answer.status_code == 304:
                # What is said to be unchanged is what the client has, and nothing newer was ever shown to it.
                assert answer.headers["etag"] == tag
            else:
                found = answer.json()
                assert found["version"] >= version, "an older answer took the place of a newer one"
                assert bodies.setdefault(found["version"], answer.content) == answer.content
                tag, version = answer.headers["etag"], found["version"]
        listed: list[str] = []
        seen = 0
        address: str | None = "/v1/me/plays?limit=150"
        # Nothing changes while the client pages, save how far the replica is.
        truth = twins.truth()
        is_whole = True
        while address is not None:
            served = chance.choice((site, plain))
            page = served.get(address)
            found = page.json()
            assert found["version"] >= seen, "a page is older than the one before"
            is_whole = is_whole and (seen in (0, found["version"]))
            seen = found["version"]
            listed += [row["play_id"] for row in found["data"]]
            address = page.links["next"]["url"] if "next" in page.links else None
            if len(listed) > 900:
                break
        # From one version, whichever server it came from, the list is that version's: without a hole, nothing twice.
        if is_whole and seen == _version(twins):
            assert listed == truth[: len(listed)], "a play is missing or told twice"
    twins.resume()


def _version(twins: Twins) -> int:
    ((version,),) = twins.sql("select version from marts.user_versions where user_id = %s", twins.users["ada"])
    return int(version)


def test_tags_and_pages_never_go_back_in_time_while_the_replica_is_behind(twins: Twins) -> None:
    _wander(twins, twins.site(), twins.site(with_replica=False), seed=1, rounds=6)


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_tags_and_pages_never_go_back_in_time_in_many_wanderings(twins: Twins) -> None:
    site, plain = twins.site(), twins.site(with_replica=False)
    for seed in range(20):
        _wander(twins, site, plain, seed=seed, rounds=8)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["tags", "cursors"])
def test_broken_without_versions_in_tags_or_cursors_a_client_goes_back_in_time(
    twins: Twins, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    if what == "cursors":
        monkeypatch.setattr(cursors_module, "need_version", lambda *_: None)
    else:
        monkeypatch.setattr("myi_pipeline.web.api.routes.reading.newest_version", lambda _: 0)
    site, plain = twins.site(), twins.site(with_replica=False)
    said = "older answer took" if what == "tags" else "older than the one before|told twice"

    def wander() -> None:
        for seed in range(20):
            _wander(twins, site, plain, seed=seed, rounds=4)

    with pytest.raises(AssertionError, match=said):
        wander()


def test_a_persons_own_change_is_read_from_the_primary_until_the_replica_has_it(twins: Twins) -> None:
    site, other = twins.site(), twins.site()
    browser = {"cookie": f"myi_session={twins.session('ada')}", "sec-fetch-site": "same-origin"}
    twins.pause()
    counted = site.counting()
    made = site.client.post("/v1/me/tokens", headers=browser, json={"name": "of a change"})
    assert made.status_code == 201, made.text
    cookie = made.headers["set-cookie"].partition(";")[0]
    assert cookie.startswith("myi_position=")
    assert "HttpOnly" in made.headers["set-cookie"]
    site.client.cookies.clear()
    assert site.client.get("/v1/me/summary", headers=browser).status_code == 200
    assert counted() == {"own_change": 1}
    # Bob has changed nothing.
    assert site.get("/v1/me/summary", as_="bob").status_code == 200
    assert counted() == {"own_change": 1, "replica": 1}
    # Another process knows it by the cookie alone.
    elsewhere = other.counting()
    browser["cookie"] += f"; {cookie}"
    assert other.client.get("/v1/me/summary", headers=browser).status_code == 200
    assert elsewhere() == {"own_change": 1}
    twins.resume()
    twins.catch_up()

    def is_served_by_the_replica() -> bool:
        now = other.counting()
        assert other.client.get("/v1/me/summary", headers=browser).status_code == 200
        return now() == {"replica": 1}

    until(is_served_by_the_replica)
    # Whatever is made up in the cookie costs whoever made it up a read of the primary.
    for position in ("9" * 19, "9" * 30, "x", "-1", ""):
        forged = browser["cookie"].rpartition(";")[0] + f"; myi_position={position}"
        assert other.client.get("/v1/me/summary", headers={**browser, "cookie": forged}).status_code == 200


@pytest.mark.slow
def test_pages_say_as_of_when_their_figures_are_once_the_lag_is_over_the_limit(twins: Twins) -> None:
    site = twins.site(replica_lag_s=1)
    browser = {"cookie": f"myi_session={twins.session('ada')}", "accept": "text/html"}

    def is_said() -> bool:
        return "Figures as of" in site.client.get("/history", headers=browser).text

    # Looks are a second apart: on a busy machine one may come late, and find it behind by more than the limit.
    until(lambda: not is_said())
    twins.pause()
    twins.change(random.Random(3))
    until(is_said)
    figures = figures_of(site.client.get("/metrics").text)
    assert figures["myi_replica_lag_seconds"] > 1
    assert figures["myi_replica_lag_bytes"] > 0
    assert figures["myi_replica_lag_limit_seconds"] == 1
    found = _replica(twins.warehouse, lag_limit_s=1)
    assert (found.name, found.is_fine) == ("replica of api and monitor and analyst", False)
    assert "MB behind" in found.found
    twins.resume()
    until(lambda: not is_said())
    assert _looked(twins).is_fine


def _replica(warehouse: Warehouse, *, lag_limit_s: float) -> RouteFinding:
    (found,) = [each for each in look_at_routes(warehouse, lag_limit_s=lag_limit_s) if "replica" in each.name]
    return found


def _looked(twins: Twins) -> RouteFinding:
    return _replica(twins.warehouse, lag_limit_s=30)


async def _where(marts: Marts) -> bool:
    (row,) = await marts.fetch(SimpleNamespace, b"select pg_is_in_recovery() as is_replica")
    return bool(row.is_replica)


def with_pools(twins: Twins, story: Callable[[Pools], Awaitable[None]]) -> None:
    async def run() -> None:
        pools = Pools(twins.settings, twins.warehouse)
        await pools.open()
        try:
            await _until_up(pools)
            await story(pools)
        finally:
            await pools.close()

    asyncio.run(run())


async def _until_up(pools: Pools) -> None:
    deadline = time.monotonic() + WAIT_S
    while pools.replica is None or not pools.replica.is_up:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def test_a_replica_that_hangs_or_ends_costs_a_moment_and_comes_back(twins: Twins) -> None:
    user = twins.users["ada"]

    async def story(pools: Pools) -> None:
        assert await pools.read(user, _where)
        with twins.replica.frozen():
            began = time.monotonic()
            found = await asyncio.gather(*(pools.read(user, _where) for _ in range(10)))
            assert found == [False] * 10
            assert time.monotonic() - began < AT_MOST_S
            began = time.monotonic()
            assert await pools.read(user, _where) is False
            assert time.monotonic() - began < 0.5 + 1.0
        await _until_up(pools)
        assert await pools.read(user, _where)
        assert not pools.outage.is_known
        twins.replica.stop()
        try:
            began = time.monotonic()
            assert await pools.read(user, _where) is False
            assert time.monotonic() - began < AT_MOST_S
            assert await pools.ask_monitor(b"select count(*) from ops.figures")
            assert not pools.outage.is_known
            assert _looked(twins).is_broken
        finally:
            twins.replica.start()
        await _until_up(pools)
        assert await pools.read(user, _where)

    with_pools(twins, story)


@pytest.mark.slow
def test_a_read_that_replaying_keeps_waiting_is_made_again_on_the_primary(twins: Twins) -> None:
    """As while a refresh replaces a table: the primary is done, the replica is in the middle of it."""
    user = twins.users["ada"]

    async def read(marts: Marts) -> bool:
        await marts.fetch(SimpleNamespace, b"select count(*) as n from marts.fct_sessions")
        return await _where(marts)

    def begin_a_replacement() -> None:
        with psycopg.connect(twins.primary.url(twins.database)) as refreshing:
            refreshing.execute("lock table marts.fct_sessions in access exclusive mode")
            twins.pause()

    async def story(pools: Pools) -> None:
        assert pools.replica is not None
        assert await pools.read(user, read)
        await asyncio.to_thread(begin_a_replacement)
        await _until_up(pools)
        began = time.monotonic()
        assert await pools.read(user, read) is False
        assert time.monotonic() - began < AT_MOST_S
        assert pools.replica.reads["overtaken"] == 1, pools.replica.reads
        # What does not need that table is served as before.
        assert await pools.read(user, _where)
        await asyncio.to_thread(twins.resume)
        await asyncio.to_thread(twins.catch_up)
        await _until_up(pools)
        assert await pools.read(user, read)

    with_pools(twins, story)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_replica_that_was_promoted_is_used_no_more(servers: Twins, tmp_path: Path) -> None:
    """Last: it is a server of its own then."""
    with running_replica(servers.primary) as replica:
        changes = {
            f"database_url_{role}": SecretStr(with_parameters(servers.warehouse.url(role), port=str(replica.port)))
            for role in (Role.API, Role.MONITOR, Role.ANALYST)
        }
        settings = servers.settings.model_copy(update={"home": tmp_path, **changes})
        with open_warehouse(settings) as warehouse:
            user = servers.users["ada"]

            async def story() -> None:
                pools = Pools(settings, warehouse)
                await pools.open()
                try:
                    await _until_up(pools)
                    replica.sql("select pg_promote()")
                    assert pools.replica is not None
                    deadline = time.monotonic() + WAIT_S
                    while pools.replica.is_up:
                        assert time.monotonic() < deadline
                        await asyncio.sleep(0.05)
                    await pools.read(user, _where)
                    assert pools.replica.reads["lost"] == 1
                finally:
                    await pools.close()

            asyncio.run(story())
            found = _replica(warehouse, lag_limit_s=30)
            assert "promoted" in found.found
