"""One message to the server: values, plans, failures."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from typing import Any, TypeVar

import psycopg
import pytest

from myi_pipeline.api.database import Pools
from myi_pipeline.api.exchange import Asked, Row, exchange, tuples_of
from myi_pipeline.warehouse.connections import Role
from tests.integration.reads.conftest import Filled

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


async def rows(pools: Pools, sql: str, **values: Any) -> list[Row]:
    (found,) = (await pools.read(1, [Asked(sql, values)])).rows
    return found


VALUES: list[tuple[str, Any]] = [
    ("int", -5), ("bigint", 2**63 - 1), ("bool", False), ("date", date(1, 1, 2)), ("text", 'a "b" \\ {c}, %s é'),
    ("timestamptz", datetime(2024, 3, 9, 21, 14, 7, 123456, tzinfo=UTC)), ("text", None), ("bytea", b"\x00\xff"),
    ("text[]", ["a,b", 'c"d\\', "", "{}", "null", None]), ("date[]", [date(2024, 2, 29)]), ("int[]", [1, 2, None]),
    ("bigint[]", [1, 2**40]), ("text[]", []),
]  # fmt: skip


def test_values_come_back_as_they_went(filled: Filled) -> None:
    async def story(pools: Pools) -> None:
        for kind, value in VALUES:
            assert await rows(pools, f"select %(value)s::{kind} as value", value=value) == [{"value": value}]
        # A date is one without a word of it, and 100%% is one per cent sign.
        found = await rows(pools, "select %(day)s + interval '1 day' as next, 7 %% 4 as rest", day=date(2024, 2, 28))
        assert found == [{"next": datetime(2024, 2, 29), "rest": 3}]  # noqa: DTZ001
        with pytest.raises(psycopg.DataError):
            await rows(pools, "select %(value)s::text as value", value="a\0b")
        with pytest.raises(TypeError):
            await rows(pools, "select %(value)s as value", value=1.5)
        assert await rows(pools, "select 1 as value") == [{"value": 1}]

    with_pools(filled, story)


def test_a_statement_is_planned_once_on_a_connection(filled: Filled) -> None:
    prepared = "select count(*)::int as n from pg_prepared_statements where statement like '%%planned once%%'"

    async def story(pools: Pools) -> None:
        for number in range(3):
            await rows(pools, "select 'planned once' as text, %(number)s as number", number=number)
        # That one, and the one that looks for it.
        assert await rows(pools, prepared) == [{"n": 2}]

    with_pools(filled, story)


def test_a_statement_that_fails_leaves_the_connection_good(filled: Filled) -> None:
    async def story(pools: Pools) -> None:
        both = await asyncio.gather(*(rows(pools, "select pg_backend_pid() as pid, pg_sleep(0.1)") for _ in range(2)))
        before = {row["pid"] for (row,) in both}
        for _ in range(2):
            with pytest.raises(psycopg.errors.DivisionByZero):
                await rows(pools, "select 1 / %(value)s as value", value=0)
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                await rows(pools, "create temporary table notes (n int)")
            async with pools.read_as(1) as marts:
                with pytest.raises(psycopg.errors.UndefinedColumn):
                    await marts.fetch("select nothing", {})
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


def test_a_read_may_take_longer_than_a_server_may_be_silent(filled: Filled) -> None:
    async def story(pools: Pools) -> None:
        assert (await pools.read(1, [Asked("select pg_sleep(2)")])).rows
        # The connection that is left serves the others meanwhile, and one that was given up is replaced.
        reading = asyncio.ensure_future(rows(pools, "select pg_sleep(3)"))
        await asyncio.sleep(0.05)
        reading.cancel()
        assert await asyncio.gather(*(rows(pools, "select 1 as one") for _ in range(4))) == [[{"one": 1}]] * 4

    with_pools(filled, story)


def test_a_read_is_one_snapshot_and_changes_nothing(filled: Filled) -> None:
    user_id = filled.users["bob"]
    version = Asked("select version from marts.user_versions where user_id = %(user_id)s")
    what = Asked(
        "select current_setting('transaction_isolation') as level, current_setting('transaction_read_only') as r"
    )

    async def story(pools: Pools) -> None:
        reading = asyncio.ensure_future(pools.read(user_id, [version, Asked("select pg_sleep(1)"), version, what]))
        await asyncio.sleep(0.3)
        move(1)
        answered = await reading
        (before,), _, (after,), (said,) = answered.rows
        assert before == after == {"version": answered.version}
        assert said == {"level": "repeatable read", "r": "on"}
        later = await pools.read(user_id, [])
        assert later.version == answered.version + 1
        # Who read last is forgotten with the read.
        connection = await pools._marts.getconn()
        (nobody,) = await exchange(connection, [Asked("select count(*) from marts.user_versions")])
        assert tuples_of(connection, nobody) == [(0,)]
        await pools._marts.putconn(connection)

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
            (found,) = (await pools.read(user_id, [Asked("select distinct user_id from marts.fct_plays")])).rows
            assert found == [{"user_id": user_id}], key
        async with pools.read_as(filled.users["bob"]) as marts:
            assert await marts.fetch("select distinct user_id from marts.fct_plays", {}) == [
                {"user_id": filled.users["bob"]}
            ]

    with_pools(filled, story, connections=2)
