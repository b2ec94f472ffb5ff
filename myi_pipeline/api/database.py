"""The API's connections: which role reads what, and how long anybody waits for a database that is gone.

Belongs here: the pools, and borrowing from them. Not here: statements of routes. Invariants: a mart is read only
through `read_as`, in one read-only snapshot with the user set; whoever cannot be served is told so within two seconds,
whether the server refuses, hangs or has forgotten our connections; once it is back, the next request is served.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.pq.abc import PGresult
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from starlette.concurrency import run_in_threadpool

from myi_pipeline.api.exchange import LOST, Asked, Connection, Row, exchange, rows_of, tuples_of
from myi_pipeline.api.sql_files import load_sql
from myi_pipeline.core.errors import Transient
from myi_pipeline.settings import Settings
from myi_pipeline.warehouse.connections import Role, Warehouse

# For a connection. With what a silent server costs after that (still_there.py) it stays below the two seconds that a
# person waits.
PATIENCE_S = 0.9
_CONNECT_TIMEOUT_S = 2
# The pool's own attempts; after that the next request makes it try again. Its pauses double, so this bounds them.
_RECONNECT_S = 3.0
_BEGIN, _END = Asked("begin isolation level repeatable read read only"), Asked("commit")
# The same for statements that come in one message, which is a transaction of its own. And every read goes by an index,
# whatever its values: planning half of them again each time took as long as they do.
_READERS_SESSION = """
set default_transaction_isolation = 'repeatable read';
set default_transaction_read_only = on;
set plan_cache_mode = force_generic_plan
"""

Pool = AsyncConnectionPool[Connection]
P = ParamSpec("P")
T = TypeVar("T")


class DatabaseGone(Transient):
    """The database does not answer now."""


@dataclass(frozen=True)
class Snapshot:
    """One user's marts at one moment. `version` is None before the first refresh for that user."""

    connection: Connection
    user_id: int
    version: int | None
    refreshed_at: datetime | None = None

    async def fetch(self, sql: str, values: Mapping[str, Any]) -> list[Row]:
        """Rows of the user's marts; `user_id` is always among the values."""
        (result,) = await exchange(self.connection, [Asked(sql, {"user_id": self.user_id, **values})])
        return rows_of(self.connection, result)


@dataclass(frozen=True)
class Answered:
    """What statements found in one snapshot: the rows of each."""

    version: int | None
    refreshed_at: datetime | None
    rows: Sequence[list[Row]]


class Pools:
    """All of the API's connections; `open` begins in the background, so that a start needs no database."""

    def __init__(self, settings: Settings, warehouse: Warehouse) -> None:
        # Set when a request could not be served, cleared by whoever brought the database back.
        self.is_gone = False
        self._marts = _async_pool(warehouse, Role.API, largest=settings.api_connections)
        self._access = _async_pool(warehouse, Role.APP, largest=4)
        self._monitor = _async_pool(warehouse, Role.MONITOR, largest=1)
        self._threads: ConnectionPool[psycopg.Connection[Any]] = ConnectionPool(
            warehouse.url(Role.APP),
            min_size=0,
            max_size=4,
            open=False,
            timeout=PATIENCE_S,
            reconnect_timeout=_RECONNECT_S,
            check=ConnectionPool.check_connection,
            kwargs=_connection_arguments(Role.APP),
        )

    async def open(self) -> None:
        for pool in self._all():
            await pool.open(wait=False)
        await run_in_threadpool(self._threads.open)

    async def close(self) -> None:
        for pool in self._all():
            await pool.close(timeout=2)
        await run_in_threadpool(self._threads.close, 2)

    def _all(self) -> tuple[Pool, ...]:
        return (self._marts, self._access, self._monitor)

    def figures(self) -> dict[str, dict[str, int]]:
        """Of every pool: connections, idle ones, and who waits."""
        named = {"marts": self._marts, "access": self._access, "monitor": self._monitor, "threads": self._threads}
        return {name: pool.get_stats() for name, pool in named.items()}

    @asynccontextmanager
    async def read_as(self, user_id: int) -> AsyncIterator[Snapshot]:
        """The user's marts in one snapshot, so that rows and version agree. Raises DatabaseGone."""
        connection, results = await self._first(self._marts, [_BEGIN, *_opening(user_id)])
        try:
            yield Snapshot(connection, user_id, *_version(connection, results[-1]))
        except TimeoutError as error:
            raise self._gone() from error
        finally:
            await _give_back(self._marts, connection)

    async def read(self, user_id: int, asked: Sequence[Asked]) -> Answered:
        """The same for statements that are known beforehand, in one message. Raises DatabaseGone."""
        opening = _opening(user_id)
        of_user = [Asked(each.sql, {"user_id": user_id, **each.values}) for each in asked]
        connection, results = await self._first(self._marts, [*opening, *of_user])
        try:
            rows = [rows_of(connection, result) for result in results[len(opening) :]]
            return Answered(*_version(connection, results[len(opening) - 1]), rows)
        finally:
            await _give_back(self._marts, connection)

    async def ask_access(self, query: str, parameters: dict[str, object]) -> tuple[Any, ...] | None:
        """One row of what the role `app` may see. Raises DatabaseGone."""
        return next(iter(await self._ask(self._access, Asked(query, parameters))), None)

    async def ask_monitor(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of the views for metrics. Raises DatabaseGone."""
        return await self._ask(self._monitor, Asked(query))

    async def in_thread(
        self, work: Callable[Concatenate[psycopg.Connection[Any], P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """A service that takes a connection of the role `app`, in a thread. Raises DatabaseGone."""

        try:
            connection = await self._thread_connection()
            try:
                return await run_in_threadpool(work, connection, *args, **kwargs)
            finally:
                await run_in_threadpool(self._threads.putconn, connection)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            self.is_gone = True
            raise DatabaseGone("the database does not answer") from error

    async def _thread_connection(self) -> psycopg.Connection[Any]:
        taking = asyncio.ensure_future(run_in_threadpool(self._threads.getconn))
        done, _ = await asyncio.wait({taking}, timeout=PATIENCE_S)
        if not done:
            # A server that hangs holds the thread; what it gives in the end goes back unused.
            taking.add_done_callback(self._put_back_late)
            raise psycopg.OperationalError("the server hangs")
        return taking.result()

    def _put_back_late(self, taken: asyncio.Future[psycopg.Connection[Any]]) -> None:
        if not taken.cancelled() and taken.exception() is None:
            self._threads.putconn(taken.result())

    async def _ask(self, pool: Pool, asked: Asked) -> list[tuple[Any, ...]]:
        connection, (result,) = await self._first(pool, [asked])
        try:
            return tuples_of(connection, result)
        finally:
            await _give_back(pool, connection)

    async def _first(self, pool: Pool, asked: Sequence[Asked]) -> tuple[Connection, list[PGresult]]:
        """A connection on which these have just succeeded."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                connection = await pool.getconn(timeout=max(0.01, deadline - time.monotonic()))
            except psycopg.OperationalError as error:
                raise self._gone() from error
            try:
                return connection, await exchange(connection, asked)
            except BaseException as error:
                is_lost = connection.closed
                await _give_back(pool, connection)
                if isinstance(error, TimeoutError):
                    raise self._gone() from error
                # A restart of the server leaves connections that are dead and do not know it: nothing was lost yet.
                if not (is_lost and isinstance(error, LOST)):
                    raise

    def _gone(self) -> DatabaseGone:
        self.is_gone = True
        return DatabaseGone("the database does not answer")


def _opening(user_id: int) -> list[Asked]:
    """What every read of marts begins with; the version comes first, and may be all that is wanted."""
    who = Asked("select set_config('app.user_id', %(user)s, true)", {"user": str(user_id)})
    return [who, Asked(load_sql("marts/version"), {"user_id": user_id})]


def _version(connection: Connection, result: PGresult) -> tuple[int | None, datetime | None]:
    found = tuples_of(connection, result)
    return found[0] if found else (None, None)


async def _give_back(pool: Pool, connection: Connection) -> None:
    try:
        if not connection.closed and connection.info.transaction_status is not TransactionStatus.IDLE:
            await exchange(connection, [_END])
    except (psycopg.Error, TimeoutError):
        await connection.close()
    finally:
        await pool.putconn(connection)


def _connection_arguments(role: Role) -> dict[str, Any]:
    return {"autocommit": True, "connect_timeout": _CONNECT_TIMEOUT_S, "application_name": f"myi api {role.value}"}


def _async_pool(warehouse: Warehouse, role: Role, *, largest: int) -> Pool:
    return AsyncConnectionPool(
        warehouse.url(role),
        connection_class=Connection,
        min_size=min(1, largest - 1),
        max_size=largest,
        open=False,
        timeout=PATIENCE_S,
        reconnect_timeout=_RECONNECT_S,
        configure=_prepare_to_read if role is Role.API else None,
        kwargs=_connection_arguments(role),
    )


async def _prepare_to_read(connection: Connection) -> None:
    await connection.execute(_READERS_SESSION)
