"""The web's connections: which role reads what, and how long anybody waits for a database that does not answer.

Marts are read through `Pools.read` alone: as the role `api`, with the user set for row security, in one read-only
snapshot. That snapshot is a psycopg pipeline on a connection in autocommit: everything up to the pipeline's end is one
transaction, and what a read begins with travels with its first statement in one round trip. A request that cannot be
served is refused within two seconds, whether the server refuses, hangs or has forgotten our connections.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import jinja2
import psycopg
import structlog
from psycopg.rows import RowMaker, dict_row, tuple_row
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from starlette.concurrency import run_in_threadpool

from myi_pipeline.errors import Transient
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.settings import Settings

log = structlog.get_logger(__name__)

# For a connection. With the silence and the probe below it stays under the two seconds that a person waits.
PATIENCE_S = 0.9
# A long statement and a frozen server look the same: after this long without a result, the server is probed.
SILENCE_S, PROBE_S = 0.4, 0.6
# For one result, beside the server's own limit on a statement (5 s): for a single server process that is stuck.
_LONGEST_SILENCE_S = 8.0
# Asks whether TLS is spoken. Any server answers with one byte before the sign-in, also when its connections are all
# taken. https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_CONNECT_TIMEOUT_S = 2
# How long the pool tries to reconnect by itself; after that the next request makes it try again. Its pauses double, so
# this bounds them.
_RECONNECT_S = 3.0
# A pipeline without `begin` is a transaction of these kinds. Every read goes by an index, whatever its values: planning
# half of them again each time took as long as running them.
_READERS_SESSION = """
set default_transaction_isolation = 'repeatable read';
set default_transaction_read_only = on;
set plan_cache_mode = force_generic_plan;
set tcp_keepalives_idle = 10;
set tcp_keepalives_interval = 5;
set tcp_keepalives_count = 3
"""
# The limit on idle transactions does not count inside a pipeline, so a site that is suspended during a read would keep
# its snapshot and its locks, and a rebuild of a mart would wait for them. Postgres 17 and newer have a limit that does.
_TRANSACTION_TIMEOUT = "set transaction_timeout = '15s'"
_HAS_TRANSACTION_TIMEOUT = 170_000
# A mart was rebuilt with other columns, or a pooler in between gave us another session.
_OUTDATED = (psycopg.errors.FeatureNotSupported, psycopg.errors.InvalidSqlStatementName)
# What a read names is not there, or is of another type: nothing is built yet, or another version built it.
_UNREADABLE = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.UndefinedObject,
    psycopg.errors.DatatypeMismatch,
    psycopg.errors.InvalidSchemaName,
)
# The last mart that a refresh builds.
_IS_BUILT = b"select to_regclass('marts.user_versions') is not null as is_built"
_CUT_OFF = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.TransactionTimeout)
_SQL = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "sql"),
    # These are statements and parts of statements; nothing of a request is ever rendered into them.
    autoescape=False,
    undefined=jinja2.StrictUndefined,
)

_OUTDATED_MARTS = (
    "The figures are being rebuilt after an upgrade. That takes some seconds, with a big history some minutes;"
    " what was imported is all there."
)

Connection = psycopg.AsyncConnection[Any]
Pool = AsyncConnectionPool[Connection]
P = ParamSpec("P")
T = TypeVar("T")


class DatabaseGone(Transient):
    """The database does not answer now."""


class MartsMissing(Transient):
    """No refresh has built the marts yet."""


class MartsOutdated(Transient):
    """The marts are those of another version of MYI, which this read does not understand; a refresh rebuilds them."""


@cache
def load_sql(name: str, **parts: str) -> bytes:
    """The text of `sql/<name>.sql`; `name` may hold one folder, as in `access/find_token`. `parts` choose among what a
    file is written for, such as `entity="track"`."""
    return _SQL.get_template(f"{name}.sql").render(parts).encode()


@dataclass(frozen=True)
class Version:
    """The version of one user's marts; `number` is None before the first refresh for that user."""

    number: int | None = None
    refreshed_at: datetime | None = None


class Marts:
    """One user's marts at one moment."""

    def __init__(self, connection: Connection, user_id: int, *, heard: Callable[[], None]) -> None:
        """`heard` is called after each result from the server."""
        self._connection = connection
        self._user_id = user_id
        self._heard = heard
        self._version: psycopg.AsyncCursor[Version] | Version | None = None

    async def open(self) -> None:
        """Sets the user and asks for the version. Sent now, received with the first rows."""
        await self._execute(dict_row, b"select set_config('app.user_id', %(user)s, true)", {"user": str(self._user_id)})
        self._version = await self._execute(_rows_as(Version), load_sql("version"), {"user_id": self._user_id})

    async def version(self) -> Version:
        if isinstance(self._version, psycopg.AsyncCursor):
            self._version = await self._version.fetchone()
            self._heard()
        return self._version or Version()

    async def fetch(self, row: type[T], sql: bytes, **values: object) -> list[T]:
        """The rows of a statement, each as a `row`, whose fields are the statement's columns. `user_id` is always
        among the values. Raises psycopg.Error."""
        cursor = await self._execute(_rows_as(row), sql, {"user_id": self._user_id, **values})
        found = await cursor.fetchall()
        self._heard()
        return found

    async def _execute(self, rows: Any, sql: bytes, values: dict[str, object]) -> psycopg.AsyncCursor[Any]:
        cursor = self._connection.cursor(row_factory=rows, binary=True)
        return await cursor.execute(sql, values)


class Pools:
    """All of the web's connections; `open` begins in the background, so that a start needs no database."""

    def __init__(
        self, settings: Settings, warehouse: Warehouse, *, longest_silence_s: float = _LONGEST_SILENCE_S
    ) -> None:
        # Set when a request could not be served, cleared by the request that reached the database again.
        self.is_gone = False
        self._longest_silence_s = longest_silence_s
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
        """For each pool: connections, idle ones, and requests that wait."""
        named = {"marts": self._marts, "access": self._access, "monitor": self._monitor, "threads": self._threads}
        return {name: pool.get_stats() for name, pool in named.items()}

    async def read(self, user_id: int, work: Callable[[Marts], Awaitable[T]]) -> T:
        """What `work` makes of the user's marts, all in one snapshot, so that rows and version agree.

        `work` only reads: it is run again where the connection turns out to be dead. Raises DatabaseGone, MartsMissing,
        MartsOutdated, psycopg.errors.QueryCanceled when it takes too long, and what `work` raises.
        """

        async def in_snapshot(connection: Connection, heard: Callable[[], None]) -> T:
            async with connection.pipeline():
                marts = Marts(connection, user_id, heard=heard)
                await marts.open()
                return await work(marts)

        try:
            return await self._run(self._marts, in_snapshot)
        except _UNREADABLE as error:
            ((is_built,),) = await self._ask(self._marts, _IS_BUILT, {})
            if not is_built:
                raise MartsMissing("The marts are not built yet; the first refresh builds them.") from error
            log.warning("marts_of_another_version", lacking=str(error.diag.message_primary))
            raise MartsOutdated(_OUTDATED_MARTS) from error

    async def ask_access(self, sql: bytes, parameters: dict[str, object]) -> tuple[Any, ...] | None:
        """One row of what the role `app` may see. Raises DatabaseGone."""
        return next(iter(await self._ask(self._access, sql, parameters)), None)

    async def ask_access_for_rows(self, sql: bytes, parameters: dict[str, object]) -> list[tuple[Any, ...]]:
        """All rows of what the role `app` may see. Raises DatabaseGone."""
        return await self._ask(self._access, sql, parameters)

    async def ask_monitor(self, sql: bytes) -> list[tuple[Any, ...]]:
        """Rows of the views for metrics. Raises DatabaseGone."""
        return await self._ask(self._monitor, sql, {})

    async def in_thread(
        self, work: Callable[Concatenate[psycopg.Connection[Any], P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call `work` in a thread with a connection of the role `app`. Raises DatabaseGone."""

        try:
            connection = await self._thread_connection()
            try:
                return await run_in_threadpool(work, connection, *args, **kwargs)
            finally:
                await run_in_threadpool(self._threads.putconn, connection)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise self._gone() from error

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

    async def _ask(self, pool: Pool, sql: bytes, parameters: dict[str, object]) -> list[tuple[Any, ...]]:
        async def ask(connection: Connection, _: Callable[[], None]) -> list[tuple[Any, ...]]:
            cursor = connection.cursor(row_factory=tuple_row, binary=True)
            await cursor.execute(sql, parameters)
            return await cursor.fetchall()

        return await self._run(pool, ask)

    async def _run(self, pool: Pool, work: Callable[[Connection, Callable[[], None]], Awaitable[T]]) -> T:
        began = time.monotonic()
        deadline = began + PATIENCE_S
        while True:
            try:
                connection = await pool.getconn(timeout=max(0.01, deadline - time.monotonic()))
            except psycopg.OperationalError as error:
                raise self._gone() from error
            watch = _Watch(connection, self._longest_silence_s)
            try:
                return await work(connection, watch.restart)
            except (*_CUT_OFF, *_OUTDATED) as error:
                if isinstance(error, _OUTDATED):
                    await connection.close()
                if watch.is_gone:
                    raise self._gone() from error
                if watch.is_stuck:
                    raise psycopg.errors.QueryCanceled("the statement took too long") from error
                # A restart of the server leaves connections that are dead and do not know it: nothing was lost yet.
                if not connection.closed:
                    raise
                # The server's limit on a transaction ended this one: it would end the next one too.
                if time.monotonic() > began + self._longest_silence_s:
                    raise psycopg.errors.QueryCanceled("the read took too long") from error
            finally:
                watch.end()
                await pool.putconn(connection)

    def _gone(self) -> DatabaseGone:
        self.is_gone = True
        return DatabaseGone("the database does not answer")


class _Watch:
    """Cuts a connection whose server has stopped answering anybody, or that waits too long for one result. Costs a
    timer while results come fast."""

    def __init__(self, connection: Connection, longest_silence_s: float) -> None:
        # Why the connection was cut.
        self.is_gone = False
        self.is_stuck = False
        self._connection = connection
        self._longest_silence_s = longest_silence_s
        self._watching: asyncio.Task[None] | None = None
        self._begin()

    def restart(self) -> None:
        """The server has answered: silence is counted from now."""
        self.end()
        self._begin()

    def end(self) -> None:
        self._timer.cancel()
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None

    def _begin(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(SILENCE_S, self._start_watching)

    def _start_watching(self) -> None:
        self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        until = time.monotonic() + self._longest_silence_s - SILENCE_S
        info = self._connection.info
        while await _is_answering(info.hostaddr or info.host, info.port):
            if time.monotonic() >= until:
                self.is_stuck = True
                break
            await asyncio.sleep(SILENCE_S)
        else:
            self.is_gone = True
        # The read then finds the end of its connection. Cancelling it instead would make psycopg ask the server to
        # cancel the statement, and wait for that.
        with socket.socket(fileno=os.dup(self._connection.fileno())) as connected:
            connected.shutdown(socket.SHUT_RDWR)


async def _is_answering(host: str, port: int) -> bool:
    """Whether the server at this address, or in this folder's socket, answers a newcomer. Takes none of its connections
    and needs no password."""
    try:
        async with asyncio.timeout(PROBE_S):
            if host.startswith("/"):
                reader, writer = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
            else:
                reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(_SSL_REQUEST)
                return len(await reader.read(1)) == 1
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


def _rows_as(row: type[T]) -> Callable[[psycopg.AsyncCursor[Any]], RowMaker[T]]:
    """psycopg's class_row without __init__, through which a frozen dataclass sets field by field: 51 plays take 30 µs
    instead of 118."""

    def of_cursor(cursor: psycopg.AsyncCursor[Any]) -> RowMaker[T]:
        names = [column.name for column in cursor.description or ()]

        def make(values: Sequence[Any]) -> T:
            made = row.__new__(row)
            made.__dict__.update(zip(names, values, strict=True))
            return made

        return make

    return of_cursor


def _connection_arguments(role: Role) -> dict[str, Any]:
    return {"autocommit": True, "connect_timeout": _CONNECT_TIMEOUT_S, "application_name": f"myi api {role.value}"}


def _async_pool(warehouse: Warehouse, role: Role, *, largest: int) -> Pool:
    return AsyncConnectionPool(
        warehouse.url(role),
        min_size=min(1, largest - 1),
        max_size=largest,
        open=False,
        timeout=PATIENCE_S,
        reconnect_timeout=_RECONNECT_S,
        configure=_prepare_to_read if role is Role.API else None,
        # Every statement is prepared the first time it is used on a connection.
        kwargs={**_connection_arguments(role), "prepare_threshold": 0},
    )


async def _prepare_to_read(connection: Connection) -> None:
    # There are about sixty statements, some with values of more than one type.
    connection.prepared_max = 300
    await connection.execute(_READERS_SESSION, prepare=False)
    if connection.info.server_version >= _HAS_TRANSACTION_TIMEOUT:
        await connection.execute(_TRANSACTION_TIMEOUT, prepare=False)
