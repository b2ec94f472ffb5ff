"""The API's connections: which role reads what, and how long anybody waits for a database that is gone.

Belongs here: the pools, and borrowing from them. Not here: statements of routes. Invariants: a mart is read only
through `read_as`, in one read-only snapshot with the user set; whoever cannot be served is told so within PATIENCE_S,
whether the server refuses, hangs or has forgotten our connections; once it is back, the next request is served.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from starlette.concurrency import run_in_threadpool

from myi_pipeline.core.errors import Transient
from myi_pipeline.settings import Settings
from myi_pipeline.warehouse.connections import Role, Warehouse

# A request looks for its user and then reads: both together stay below the two seconds that a person waits.
PATIENCE_S = 0.9
_CONNECT_TIMEOUT_S = 2
# The pool's own attempts; after that the next request makes it try again. Its pauses double, so this bounds them.
_RECONNECT_S = 3.0

AsyncConnection = psycopg.AsyncConnection[Any]
AsyncPool = AsyncConnectionPool[AsyncConnection]
P = ParamSpec("P")
T = TypeVar("T")


class DatabaseGone(Transient):
    """The database does not answer now."""


@dataclass(frozen=True)
class Snapshot:
    """One user's marts at one moment. `version` is None before the first refresh for that user."""

    connection: AsyncConnection
    user_id: int
    version: int | None


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

    def _all(self) -> tuple[AsyncPool, ...]:
        return (self._marts, self._access, self._monitor)

    def figures(self) -> dict[str, dict[str, int]]:
        """Of every pool: connections, idle ones, and who waits."""
        named = {"marts": self._marts, "access": self._access, "monitor": self._monitor, "threads": self._threads}
        return {name: pool.get_stats() for name, pool in named.items()}

    @asynccontextmanager
    async def read_as(self, user_id: int) -> AsyncIterator[Snapshot]:
        """The user's marts in one snapshot, so that rows and version agree. Raises DatabaseGone."""
        # One message to the server instead of three; the number is no text from outside.
        begin = (
            "begin isolation level repeatable read read only;"
            f" select set_config('app.user_id', '{int(user_id)}', true);"
            f" select version from marts.user_versions where user_id = {int(user_id)}"
        )
        async with self._borrowed(self._marts, begin) as (connection, cursor):
            found = None
            while cursor.nextset():
                found = await cursor.fetchone()
            yield Snapshot(connection, user_id, int(found[0]) if found else None)

    async def ask_access(self, query: str, parameters: dict[str, object]) -> tuple[Any, ...] | None:
        """One row of what the role `app` may see. Raises DatabaseGone."""
        async with self._borrowed(self._access, query, parameters) as (_, cursor):
            row: tuple[Any, ...] | None = await cursor.fetchone()
            return row

    async def ask_monitor(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of the views for metrics. Raises DatabaseGone."""
        async with self._borrowed(self._monitor, query) as (_, cursor):
            return await cursor.fetchall()

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

    @asynccontextmanager
    async def _borrowed(
        self, pool: AsyncPool, first: str, parameters: dict[str, object] | None = None
    ) -> AsyncIterator[tuple[AsyncConnection, psycopg.AsyncCursor[Any]]]:
        """A connection on which the first statement has just succeeded, and that statement's cursor."""
        try:
            connection, cursor = await _within_patience(pool, first, parameters)
        except DatabaseGone:
            self.is_gone = True
            raise
        try:
            yield connection, cursor
        finally:
            await _give_back(pool, connection)


async def _within_patience(
    pool: AsyncPool, first: str, parameters: dict[str, object] | None
) -> tuple[AsyncConnection, psycopg.AsyncCursor[Any]]:
    beginning = asyncio.ensure_future(_begin(pool, first, parameters, time.monotonic() + PATIENCE_S))
    try:
        done, _ = await asyncio.wait({beginning}, timeout=PATIENCE_S)
    except asyncio.CancelledError:
        _abandon(pool, beginning)
        raise
    if not done:
        _abandon(pool, beginning)
        raise DatabaseGone("the database does not answer")
    return beginning.result()


async def _begin(
    pool: AsyncPool, first: str, parameters: dict[str, object] | None, deadline: float
) -> tuple[AsyncConnection, psycopg.AsyncCursor[Any]]:
    while True:
        try:
            connection = await pool.getconn(timeout=max(0.01, deadline - time.monotonic()))
        except psycopg.OperationalError as error:
            raise DatabaseGone("the database does not answer") from error
        try:
            return connection, await connection.execute(first.encode(), parameters)
        except BaseException as error:
            is_gone = connection.closed
            await pool.putconn(connection)
            # A restart of the server leaves connections that are dead and do not know it: nothing was lost yet.
            if not (is_gone and isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))):
                raise


def _abandon(pool: AsyncPool, beginning: asyncio.Future[tuple[AsyncConnection, psycopg.AsyncCursor[Any]]]) -> None:
    """Cancelling a statement of a server that hangs takes seconds: nobody waits for that."""

    def give_back(done: asyncio.Future[tuple[AsyncConnection, psycopg.AsyncCursor[Any]]]) -> None:
        if not done.cancelled() and done.exception() is None:
            task = asyncio.ensure_future(_give_back(pool, done.result()[0]))
            _giving_back.add(task)
            task.add_done_callback(_giving_back.discard)

    beginning.add_done_callback(give_back)
    beginning.cancel()


# The loop itself holds tasks weakly.
_giving_back: set[asyncio.Future[None]] = set()


async def _give_back(pool: AsyncPool, connection: AsyncConnection) -> None:
    try:
        if not connection.closed and connection.info.transaction_status is not TransactionStatus.IDLE:
            await connection.rollback()
    except psycopg.Error:
        await connection.close()
    finally:
        await pool.putconn(connection)


def _connection_arguments(role: Role) -> dict[str, Any]:
    return {"autocommit": True, "connect_timeout": _CONNECT_TIMEOUT_S, "application_name": f"myi api {role.value}"}


def _async_pool(warehouse: Warehouse, role: Role, *, largest: int) -> AsyncPool:
    return AsyncConnectionPool(
        warehouse.url(role),
        min_size=min(1, largest - 1),
        max_size=largest,
        open=False,
        timeout=PATIENCE_S,
        reconnect_timeout=_RECONNECT_S,
        kwargs=_connection_arguments(role),
    )
