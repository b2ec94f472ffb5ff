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

import httpx
import psutil
import psycopg
import pytest
from psycopg import sql

from myi_pipeline.api.database import DatabaseGone, Pools
from myi_pipeline.api.exchange import Asked
from myi_pipeline.api.still_there import is_still_there
from myi_pipeline.services import manage_access, manage_users
from myi_pipeline.services.open_warehouse import open_warehouse
from myi_pipeline.settings import Settings
from myi_pipeline.warehouse.connections import Role, Warehouse
from myi_pipeline.warehouse.embedded import places
from myi_pipeline.warehouse.embedded.processes import survivors
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

    def is_refused_in_time(self) -> None:
        for path in ("/v1/me/sign-ins", "/readyz", "/v1/me/sign-ins"):
            began = time.monotonic()
            answer = self.client.get(path)
            took = time.monotonic() - began
            assert (answer.status_code, took < AT_MOST_S) == (503, True), (path, answer.text, took)
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.json()["type"] == "urn:myi:problem:unavailable"
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


def test_a_server_that_hangs_is_not_waited_for(site: RunningSite) -> None:
    asking = Asking(site.browser())
    assert asking.is_served()
    with frozen(site.warehouse):
        asking.is_refused_in_time()
    asking.comes_back()


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

    async def read(pools: Pools) -> int | None:
        async with pools.read_as(user_id) as snapshot:
            return snapshot.version

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
            deadline = time.monotonic() + BACK_WITHIN_S
            while isinstance((await asyncio.gather(read(pools), return_exceptions=True))[0], DatabaseGone):
                assert time.monotonic() < deadline
            assert await read(pools) == 7
        finally:
            await pools.close()
            site.sql("drop table marts.user_versions", role=Role.DBT)

    asyncio.run(story())


SLOW = Asked("select pg_sleep(%(seconds)s)::text as done", {"seconds": 2})


def test_a_long_statement_is_waited_for_while_the_server_lives_and_no_longer(site: RunningSite) -> None:
    user_id = site.user("ana")
    reader = site.warehouse.role_name(Role.API)
    site.sql("create table marts.user_versions (user_id int, version bigint, refreshed_at timestamptz)", role=Role.DBT)
    site.sql(f'grant select on marts.user_versions to "{reader}"', role=Role.DBT)

    async def whole(pools: Pools) -> str:
        return str((await pools.read(user_id, [SLOW])).rows[0][0]["done"])

    async def part(pools: Pools) -> str:
        async with pools.read_as(user_id) as snapshot:
            return str((await snapshot.fetch(SLOW.sql, SLOW.values))[0]["done"])

    async def story() -> None:
        pools = Pools(site.settings, site.warehouse)
        await pools.open()
        try:
            assert await asyncio.gather(whole(pools), part(pools)) == ["", ""]
            running = asyncio.gather(whole(pools), part(pools), return_exceptions=True)
            await asyncio.sleep(0.5)
            with frozen(site.warehouse):
                began = time.monotonic()
                assert {type(each) for each in await running} == {DatabaseGone}
                assert time.monotonic() - began < AT_MOST_S
            assert pools.is_gone
        finally:
            await pools.close()
            site.sql("drop table marts.user_versions", role=Role.DBT)

    asyncio.run(story())


@pytest.mark.parametrize("kind", ["embedded", "external"])
def test_a_server_is_there_when_it_answers_a_newcomer(kind: str, server_for: Callable[[str], TestServer]) -> None:
    with psycopg.connect(server_for(kind).admin_url) as connection:
        host, port = connection.info.host, connection.info.port
    assert asyncio.run(is_still_there(host, port))
    assert not asyncio.run(is_still_there("127.0.0.1", free_port()))
    with socket.create_server(("127.0.0.1", 0)) as mute:
        assert not asyncio.run(is_still_there("127.0.0.1", mute.getsockname()[1]))


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
                        asking.is_refused_in_time()
                        asking.comes_back()
                    started = survivors(places.prepare(home))
                    assert not {each.pid for each in killed} & {each.pid for each in started}
                finally:
                    running.send_signal(signal.SIGTERM)
                    assert running.wait(20) == 143
    finally:
        remove_outside(home)
