"""What the site does while Postgres is gone or hangs: 503 within two seconds, and back by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import SimpleNamespace

import httpx
import psutil
import psycopg
import pytest
from psycopg import sql

from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.people import manage_access, manage_users
from myi_pipeline.postgres.connections import Role, Warehouse, compose_url, parse_url
from myi_pipeline.postgres.embedded import places
from myi_pipeline.postgres.embedded.processes import survivors
from myi_pipeline.settings import Settings
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.pools import Pools
from myi_pipeline.web.reads.servers import DatabaseGone
from tests.conftest import TestServer, free_port, remove_outside
from tests.integration.api.conftest import RunningSite

AT_MOST_S = 2.0
BACK_WITHIN_S = 30.0


@dataclass(frozen=True)
class Asking:
    """A browser that is signed in, and what it is told."""

    client: httpx.Client

    def is_served(self) -> bool:
        return all(self.client.get(path).status_code == 200 for path in ("/v1/me/sign-ins", "/readyz"))

    def asks_and_is_refused_in_time(self, path: str) -> None:
        began = time.monotonic()
        answer = self.client.get(path)
        took = time.monotonic() - began
        assert (answer.status_code, took < AT_MOST_S) == (503, True), (path, answer.text, took)
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.json()["type"] == "urn:myi:problem:unavailable"

    def is_refused_in_time(self) -> None:
        for path in ("/v1/me/sign-ins", "/readyz", "/v1/me/sign-ins"):
            self.asks_and_is_refused_in_time(path)
        assert self.client.get("/healthz").status_code == 200
        assert "myi_database_up 0.0" in self.client.get("/metrics").text

    def comes_back(self) -> None:
        wait_until(self.is_served)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + BACK_WITHIN_S
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError("it does not come up")


@contextmanager
def frozen(warehouse: Warehouse) -> Iterator[None]:
    """The whole server stands still: it takes connections into its queue and says nothing."""
    with psycopg.connect(warehouse.url(Role.OWNER)) as connection:
        backend = connection.execute("select pg_backend_pid()").fetchone()
        assert backend is not None
        server = psutil.Process(backend[0]).parent()
    assert server is not None
    server.suspend()  # first: it starts nothing any more
    children = server.children()
    signal_all(children, signal.SIGSTOP)
    try:
        yield
    finally:
        signal_all([server, *children], signal.SIGCONT)


def signal_all(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        # A backend may just have ended.
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


@pytest.mark.slow
def test_a_server_that_hangs_is_not_waited_for(site: RunningSite) -> None:
    asking = Asking(site.browser())
    assert asking.is_served()
    with frozen(site.warehouse):
        asking.is_refused_in_time()
    asking.comes_back()


@pytest.mark.slow
def test_a_server_that_refuses_is_told_in_time(site: RunningSite, server_for: Callable[[str], TestServer]) -> None:
    asking = Asking(site.browser())
    assert asking.is_served()
    name = sql.Identifier(site.warehouse.database)
    with psycopg.connect(server_for("embedded").admin_url, autocommit=True) as admin:
        admin.execute(sql.SQL("alter database {} allow_connections false").format(name))
        try:
            end_connections(admin, site.warehouse)
            asking.is_refused_in_time()
        finally:
            admin.execute(sql.SQL("alter database {} allow_connections true").format(name))
    asking.comes_back()


def end_connections(admin: psycopg.Connection[object], warehouse: Warehouse) -> None:
    query = "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s and pid <> pg_backend_pid()"
    admin.execute(query, (warehouse.database,))


def test_connections_that_were_cut_off_cost_no_request_and_a_crowd_is_refused_in_time(
    site: RunningSite, server_for: Callable[[str], TestServer]
) -> None:
    user_id = site.user("ana")
    reader = site.warehouse.role_name(Role.API)
    site.sql("create table marts.user_versions (user_id int, version bigint, refreshed_at timestamptz)", role=Role.DBT)
    site.sql(f'grant select on marts.user_versions to "{reader}"', role=Role.DBT)
    site.sql("insert into marts.user_versions values (%s, 7)", user_id, role=Role.DBT)

    async def version(marts: Marts) -> int | None:
        return (await marts.version()).number

    async def read(pools: Pools) -> int | None:
        return await pools.read(user_id, version)

    async def story() -> None:
        pools = Pools(site.settings, site.warehouse)
        await pools.open()
        try:
            assert await asyncio.gather(*(read(pools) for _ in range(5))) == [7] * 5
            with psycopg.connect(server_for("embedded").admin_url, autocommit=True) as admin:
                end_connections(admin, site.warehouse)
            assert await asyncio.gather(*(read(pools) for _ in range(5))) == [7] * 5

            with frozen(site.warehouse):
                began = time.monotonic()
                refusals = await asyncio.gather(*(read(pools) for _ in range(20)), return_exceptions=True)
                assert {type(each) for each in refusals} == {DatabaseGone}
                assert time.monotonic() - began < AT_MOST_S
            assert pools.outage.is_known
            deadline = time.monotonic() + BACK_WITHIN_S
            while isinstance((await asyncio.gather(read(pools), return_exceptions=True))[0], DatabaseGone):
                assert time.monotonic() < deadline
            assert await read(pools) == 7
            # A request that finds all connections in use is waited for as before.
            assert not pools.outage.is_known
        finally:
            await pools.close()
            site.sql("drop table marts.user_versions", role=Role.DBT)

    asyncio.run(story())


async def slow(marts: Marts) -> str:
    (row,) = await marts.fetch(SimpleNamespace, b"select pg_sleep(%(seconds)s)::text as done", seconds=2)
    return str(row.done)


@pytest.mark.slow
def test_a_long_statement_is_waited_for_while_the_server_lives_and_no_longer(site: RunningSite) -> None:
    user_id = site.user("ana")
    reader = site.warehouse.role_name(Role.API)
    site.sql("create table marts.user_versions (user_id int, version bigint, refreshed_at timestamptz)", role=Role.DBT)
    site.sql(f'grant select on marts.user_versions to "{reader}"', role=Role.DBT)

    async def story() -> None:
        pools = Pools(site.settings, site.warehouse)
        await pools.open()
        try:
            assert await pools.read(user_id, slow) == ""
            running = asyncio.gather(pools.read(user_id, slow), pools.read(user_id, slow), return_exceptions=True)
            await asyncio.sleep(0.5)
            with frozen(site.warehouse):
                began = time.monotonic()
                assert {type(each) for each in await running} == {DatabaseGone}
                assert time.monotonic() - began < AT_MOST_S
            assert pools.outage.is_known
        finally:
            await pools.close()
            site.sql("drop table marts.user_versions", role=Role.DBT)

    asyncio.run(story())


class Relay:
    """Stands between the site and Postgres, so that a test can cut the way between them."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._target = warehouse.parts(Role.API)
        # Of each connection: how much the site has sent.
        self.sent_bytes: list[int] = []
        self._pairs: list[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = []
        self._pumps: list[asyncio.Task[None]] = []

    async def open(self, warehouse: Warehouse) -> Warehouse:
        """The same warehouse by way of the relay."""
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        _, port = self._server.sockets[0].getsockname()
        urls = {
            role: compose_url(parse_url(warehouse.url(role)) | {"host": "127.0.0.1", "port": str(port)})
            for role in Role
        }
        return Warehouse(urls=urls, dagster_url="")

    async def vanish(self) -> None:
        """New connections are refused, and those that are open hear nothing any more."""
        self._server.close()
        for pump in self._pumps:
            pump.cancel()

    async def close(self) -> None:
        await self.vanish()
        for writer in (each for pair in self._pairs for each in pair):
            writer.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(self.sent_bytes)
        self.sent_bytes.append(0)
        host, port = self._target.host, self._target.port
        if host.startswith("/"):
            answers, requests = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        else:
            answers, requests = await asyncio.open_connection(host, port)
        self._pairs.append((writer, requests))

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_counted: bool) -> None:
            with suppress(OSError):
                while data := await source.read(65_536):
                    if is_counted:
                        self.sent_bytes[number] += len(data)
                    sink.write(data)
            sink.close()

        self._pumps += [
            asyncio.create_task(pump(reader, requests, is_counted=True)),
            asyncio.create_task(pump(answers, writer, is_counted=False)),
        ]


@contextmanager
def versions(site: RunningSite) -> Iterator[int]:
    """A user whose marts have a version."""
    user_id = site.user("ana")
    reader = site.warehouse.role_name(Role.API)
    site.sql("create table marts.user_versions (user_id int, version bigint, refreshed_at timestamptz)", role=Role.DBT)
    try:
        site.sql(f'grant select on marts.user_versions to "{reader}"', role=Role.DBT)
        yield user_id
    finally:
        site.sql("drop table marts.user_versions", role=Role.DBT)


@pytest.mark.slow
def test_a_server_that_refuses_newcomers_and_has_gone_silent_is_not_waited_for(site: RunningSite) -> None:
    async def story(user_id: int) -> None:
        relay = Relay(site.warehouse)
        pools = Pools(site.settings, await relay.open(site.warehouse))
        await pools.open()
        try:
            reading = asyncio.ensure_future(pools.read(user_id, slow))
            await asyncio.sleep(0.2)
            await relay.vanish()
            began = time.monotonic()
            with pytest.raises(DatabaseGone):
                await reading
            assert time.monotonic() - began < AT_MOST_S
        finally:
            await pools.close()
            await relay.close()

    with versions(site) as user_id:
        asyncio.run(story(user_id))


@pytest.mark.slow
def test_asking_whether_the_server_lives_takes_none_of_its_connections(site: RunningSite) -> None:
    async def story(user_id: int) -> None:
        relay = Relay(site.warehouse)
        pools = Pools(site.settings, await relay.open(site.warehouse))
        await pools.open()
        try:
            reading = asyncio.ensure_future(pools.read(user_id, slow))
            await asyncio.sleep(0.3)
            before = len(relay.sent_bytes)
            assert await reading == ""
            probes = relay.sent_bytes[before:]
            # No sign-in, only the question for TLS.
            assert probes
            assert set(probes) == {8}
        finally:
            await pools.close()
            await relay.close()

    with versions(site) as user_id:
        asyncio.run(story(user_id))


async def sleep_thrice(marts: Marts) -> int:
    found = [await marts.fetch(SimpleNamespace, b"select pg_sleep(0.8)::text as done") for _ in range(3)]
    return len(found)


@pytest.mark.slow
def test_the_limit_counts_from_one_result_to_the_next(site: RunningSite) -> None:
    async def story(user_id: int) -> None:
        pools = Pools(site.settings, site.warehouse, longest_silence_s=1.6)
        await pools.open()
        try:
            assert await pools.read(user_id, sleep_thrice) == 3
        finally:
            await pools.close()

    with versions(site) as user_id:
        asyncio.run(story(user_id))


@pytest.mark.slow
def test_who_finds_all_connections_in_use_waits_while_the_server_answers(site: RunningSite) -> None:
    async def story(user_id: int) -> None:
        pools = Pools(site.settings.model_copy(update={"api_connections": 1}), site.warehouse)
        await pools.open()
        try:
            assert await asyncio.gather(*(pools.read(user_id, sleep_thrice) for _ in range(2))) == [3, 3]
            assert not pools.outage.is_known
        finally:
            await pools.close()

    with versions(site) as user_id:
        asyncio.run(story(user_id))


@pytest.mark.slow
def test_a_statement_that_is_stuck_on_a_living_server_took_too_long(site: RunningSite) -> None:
    """504, not 503: the database is there for all others."""

    async def story(user_id: int) -> None:
        pools = Pools(site.settings, site.warehouse, longest_silence_s=1.0)
        await pools.open()
        try:
            began = time.monotonic()
            with pytest.raises(psycopg.errors.QueryCanceled):
                await pools.read(user_id, slow)
            assert time.monotonic() - began < AT_MOST_S
            assert not pools.outage.is_known
        finally:
            await pools.close()

    with versions(site) as user_id:
        asyncio.run(story(user_id))


async def quick(marts: Marts) -> str:
    (row,) = await marts.fetch(SimpleNamespace, b"select 'done' as done")
    return str(row.done)


async def hold_for_too_long(marts: Marts) -> None:
    """As a site that is suspended during a read, with a shorter limit."""
    (found,) = await marts.fetch(SimpleNamespace, b"select current_setting('transaction_timeout') as limit")
    assert found.limit == "15s"
    for limit in ("0", "300ms"):  # a limit that is counting must be taken off first
        await marts.fetch(
            SimpleNamespace, b"select set_config('transaction_timeout', %(limit)s, true) as done", limit=limit
        )
    await asyncio.sleep(1)
    await marts.fetch(SimpleNamespace, b"select 1 as one")


def test_a_read_that_is_left_open_is_ended_by_the_server(site: RunningSite) -> None:
    async def story(user_id: int) -> None:
        pools = Pools(site.settings, site.warehouse, longest_silence_s=0.9)
        await pools.open()
        try:
            with pytest.raises(psycopg.errors.QueryCanceled):
                await pools.read(user_id, hold_for_too_long)
            assert await pools.read(user_id, quick) == "done"
        finally:
            await pools.close()

    with versions(site) as user_id:
        asyncio.run(story(user_id))


@pytest.mark.slow
def test_a_server_that_takes_connections_and_says_nothing_is_not_waited_for(site: RunningSite) -> None:
    """As a frozen server does, but from the first connection on."""

    async def story(port: int) -> None:
        nowhere = Warehouse(urls=dict.fromkeys(Role, f"postgresql://nobody@127.0.0.1:{port}/nothing"), dagster_url="")
        pools = Pools(site.settings, nowhere)
        await pools.open()
        began = time.monotonic()
        with pytest.raises(DatabaseGone):
            await pools.read(1, slow)
        assert time.monotonic() - began < AT_MOST_S
        await pools.close()

    with socket.create_server(("127.0.0.1", 0)) as mute:
        asyncio.run(story(mute.getsockname()[1]))


@pytest.mark.long
def test_an_embedded_server_that_died_under_myi_api_is_started_again(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("embedded") / "home"
    settings = Settings(home=home, api_port=free_port(), time_zone="UTC")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MYI_")}
    try:
        with open_warehouse(settings) as warehouse:
            with warehouse.connect(Role.INGEST, autocommit=True) as connection:
                user_id = manage_users.add_user(connection, user_key="ana", time_zone="UTC").user_id
            with warehouse.connect(Role.APP, autocommit=True) as connection:
                reference = manage_access.begin_session(connection, user_id=user_id, method="link", device="test")
            command = [sys.executable, "-c", "from myi_pipeline.cli import main; main(['api'])"]
            with subprocess.Popen(command, env=environment | settings.environment()) as running:
                try:
                    cookies = {"myi_session": reference}
                    client = httpx.Client(base_url=settings.site_origin, cookies=cookies, trust_env=False, timeout=20)
                    with client:
                        asking = Asking(client)
                        asking.comes_back()
                        killed = survivors(places.prepare(home))
                        for process in killed:
                            process.kill()
                        # The next one may find it started again.
                        asking.asks_and_is_refused_in_time("/v1/me/sign-ins")
                        asking.comes_back()
                    started = survivors(places.prepare(home))
                    assert not {each.pid for each in killed} & {each.pid for each in started}
                finally:
                    running.send_signal(signal.SIGTERM)
                    assert running.wait(20) == 143
    finally:
        remove_outside(home)
