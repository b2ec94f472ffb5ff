"""Reading marts: one snapshot of one user, statements prepared once, connections that outlive failures."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, TypeVar

import psycopg
import pytest

from myi_pipeline.postgres.connections import Role
from myi_pipeline.web.reads.marts import Marts, MartsOutdated
from myi_pipeline.web.reads.pools import Pools
from tests.integration.reads.conftest import Filled

Row = dict[str, Any]
T = TypeVar("T")


def with_pools(filled: Filled, story: Callable[[Pools], Awaitable[T]], *, connections: int = 2) -> T:
    async def run() -> T:
        settings = filled.settings.model_copy(update={"api_connections": connections})
        pools = Pools(settings, filled.warehouse)
        await pools.open()
        try:
            return await story(pools)
        finally:
            await pools.close()

    return asyncio.run(run())


async def rows(pools: Pools, sql: str, *, user_id: int = 1, **values: Any) -> list[Row]:
    async def read(marts: Marts) -> list[Row]:
        return [vars(row) for row in await marts.fetch(SimpleNamespace, sql.encode(), **values)]

    return await pools.read(user_id, read)


def test_a_text_that_postgres_cannot_hold_is_refused_and_the_next_read_is_served(filled: Filled) -> None:
    async def story(pools: Pools) -> None:
        with pytest.raises(psycopg.DataError):
            await rows(pools, "select %(value)s::text as value", value="a\0b")
        assert await rows(pools, "select %(value)s::text as value", value='a "b" \\ {c}, %s é') == [
            {"value": 'a "b" \\ {c}, %s é'}
        ]

    with_pools(filled, story)


def test_a_statement_is_planned_once_on_a_connection(filled: Filled) -> None:
    prepared = "select count(*)::int as n from pg_prepared_statements where statement like '%%planned once%%'"

    async def story(pools: Pools) -> None:
        for number in range(3):
            await rows(pools, "select 'planned once' as text, %(number)s as number", number=number)
        # That one, and the one that looks for it.
        assert await rows(pools, prepared) == [{"n": 2}]

    with_pools(filled, story, connections=1)


def test_a_statement_that_fails_leaves_the_connection_good(filled: Filled) -> None:
    async def story(pools: Pools) -> None:
        both = await asyncio.gather(
            *(rows(pools, "select pg_backend_pid() as pid, pg_sleep(0.1)::text as done") for _ in range(2))
        )
        before = {row["pid"] for (row,) in both}
        for _ in range(2):
            with pytest.raises(psycopg.errors.DivisionByZero):
                await rows(pools, "select 1 / %(value)s as value", value=0)
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                await rows(pools, "create temporary table notes (n int)")
            with pytest.raises(MartsOutdated):
                await rows(pools, "select nothing")
        (after,) = await rows(pools, "select pg_backend_pid() as pid")
        assert after["pid"] in before

    with_pools(filled, story)


def test_a_mart_that_was_rebuilt_with_other_columns_is_read_anew(filled: Filled) -> None:
    reader = filled.warehouse.role_name(Role.API)

    def change(statement: str) -> None:
        with filled.warehouse.connect(Role.DBT) as connection:
            connection.execute(statement.encode())

    async def story(pools: Pools) -> None:
        change(f'create table marts.changing (a int); grant select on marts.changing to "{reader}"')
        try:
            for _ in range(2):
                assert await rows(pools, "select * from marts.changing") == []
            change("alter table marts.changing add column b int; insert into marts.changing values (1, 2)")
            assert await rows(pools, "select * from marts.changing") == [{"a": 1, "b": 2}]
        finally:
            change("drop table marts.changing")

    with_pools(filled, story)


@pytest.mark.slow
def test_a_read_may_take_longer_than_a_server_may_be_silent(filled: Filled) -> None:
    async def story(pools: Pools) -> None:
        assert await rows(pools, "select pg_sleep(2)::text as done") == [{"done": ""}]
        # The connection that is left serves the others meanwhile, and one that was given up is replaced.
        reading = asyncio.ensure_future(rows(pools, "select pg_sleep(3)::text as done"))
        await asyncio.sleep(0.05)
        reading.cancel()
        assert await asyncio.gather(*(rows(pools, "select 1 as one") for _ in range(4))) == [[{"one": 1}]] * 4

    with_pools(filled, story)


def test_a_read_is_one_snapshot_and_changes_nothing(filled: Filled) -> None:
    user_id = filled.users["bob"]
    version = b"select version from marts.user_versions where user_id = %(user_id)s"
    kind = b"select current_setting('transaction_isolation') as level, current_setting('transaction_read_only') as r"

    async def look(marts: Marts) -> list[Row]:
        statements = (version, b"select pg_sleep(1)::text as done", version, kind)
        before, _, after, said = [await marts.fetch(SimpleNamespace, sql) for sql in statements]
        return [vars(row) for row in (*before, *after, *said)]

    async def number(marts: Marts) -> int | None:
        return (await marts.version()).number

    async def story(pools: Pools) -> None:
        earlier = await pools.read(user_id, number)
        reading = asyncio.ensure_future(pools.read(user_id, look))
        await asyncio.sleep(0.3)
        move(1)
        before, after, said = await reading
        assert before == after == {"version": earlier}
        assert said == {"level": "repeatable read", "r": "on"}
        assert await pools.read(user_id, number) == (earlier or 0) + 1
        # Who read last is forgotten with the read.
        connection = await pools._marts.pool.getconn()
        assert await (await connection.execute("select count(*) from marts.user_versions")).fetchone() == (0,)
        await pools._marts.pool.putconn(connection)

    def move(by: int) -> None:
        with filled.warehouse.connect(Role.DBT, autocommit=True) as connection:
            query = "update marts.user_versions set version = version + %s where user_id = %s"
            connection.execute(query, (by, user_id))

    try:
        with_pools(filled, story, connections=1)
    finally:
        move(-1)


def test_rows_of_another_user_are_never_read(filled: Filled) -> None:
    async def story(pools: Pools) -> None:
        for key, user_id in filled.users.items():
            found = await rows(pools, "select distinct user_id from marts.fct_plays", user_id=user_id)
            assert found == [{"user_id": user_id}], key

    with_pools(filled, story, connections=2)
