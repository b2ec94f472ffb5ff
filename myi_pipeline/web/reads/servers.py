"""Connections to one server, and how long a read waits for one that does not answer.

A request that cannot be served is refused within two seconds, whether the server refuses, hangs or has forgotten our
connections. A server that answers, whose machine is busy or whose connections others use, is waited for longer.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolTimeout

from myi_pipeline.errors import Transient
from myi_pipeline.postgres.connections import Role, url_parts

# For one result, beside the server's own limit on a statement (5 s): for a single server process that is stuck.
LONGEST_SILENCE_S = 8.0
# Asks whether TLS is spoken. Any server answers with one byte before the sign-in, also when its connections are all
# taken. https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_CONNECT_TIMEOUT_S = 2
# Replaying a refresh locks marts for moments, or for as long as another read lets it wait.
_REPLICAS_SESSION = "set lock_timeout = '200ms'"
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
_CUT_OFF = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.TransactionTimeout)

Connection = psycopg.AsyncConnection[Any]
Pool = AsyncConnectionPool[Connection]
ThreadsPool = ConnectionPool[psycopg.Connection[Any]]
T = TypeVar("T")


class DatabaseGone(Transient):
    """The database does not answer now. `is_busy`: a replica that does answer, but had no connection in time; a primary
    without one counts as gone.
    """

    def __init__(self, message: str, *, is_busy: bool = False) -> None:
        super().__init__(message)
        self.is_busy = is_busy


@dataclass(frozen=True)
class Patience:
    """How long a read waits for a server, in seconds.

    `connection_s`: for a connection, and `busy_s` where the server answers. `silence_s`: a long statement and a frozen
    server look the same, so after this long without a result the server is probed, and has `probe_s` to answer.
    """

    connection_s: float
    busy_s: float
    silence_s: float
    probe_s: float


# Without `busy_s` these stay under the two seconds that a person waits.
PRIMARYS_PATIENCE = Patience(connection_s=0.9, busy_s=5.0, silence_s=0.4, probe_s=0.6)


@dataclass
class Outage:
    """Whether the primary failed to serve a request and has served none since. Whoever starts it again ends it, too."""

    is_known: bool = False


@dataclass(frozen=True)
class Server:
    """Connections to one server. `outage` is None for one that fails no request: another serves what it cannot."""

    pool: Pool
    address: tuple[str, int]
    patience: Patience
    longest_silence_s: float
    outage: Outage | None = None

    async def ask(self, sql: bytes, parameters: dict[str, object]) -> list[tuple[Any, ...]]:
        """The rows of one statement. Raises DatabaseGone and psycopg.Error."""

        async def fetch(connection: Connection, _: Callable[[], None]) -> list[tuple[Any, ...]]:
            cursor = connection.cursor(row_factory=tuple_row, binary=True)
            await cursor.execute(sql, parameters)
            return await cursor.fetchall()

        return await self.run(fetch)

    async def run(self, work: Callable[[Connection, Callable[[], None]], Awaitable[T]]) -> T:
        """What `work` makes of a connection; it calls its second argument after each result. It is run again where the
        connection turns out to be dead. Raises DatabaseGone, psycopg.errors.QueryCanceled when it takes too long, and
        what `work` raises."""
        began = time.monotonic()
        while True:
            connection = await self.take(self.pool, self.pool.getconn, began=began)
            watch = _Watch(connection, self.patience, longest_silence_s=self.longest_silence_s)
            try:
                result = await work(connection, watch.restart)
                if self.outage is not None:
                    self.outage.is_known = False
                return result
            except (*_CUT_OFF, *_OUTDATED) as error:
                if isinstance(error, _OUTDATED):
                    await connection.close()
                if watch.is_gone:
                    raise self.gone() from error
                if watch.is_stuck:
                    raise psycopg.errors.QueryCanceled("the statement took too long") from error
                # A restart of the server leaves connections that are dead and do not know it: nothing was lost yet.
                if not connection.closed:
                    raise
                # The server's limit on a transaction ended this one: it would end the next one too.
                if time.monotonic() > began + self.longest_silence_s:
                    raise psycopg.errors.QueryCanceled("the read took too long") from error
            finally:
                watch.end()
                await self.pool.putconn(connection)

    async def take(
        self, pool: Pool | ThreadsPool, connect: Callable[[float], Awaitable[T]], *, began: float | None = None
    ) -> T:
        """What `connect` takes from one of the server's pools. It is called with the seconds that it may wait, and
        again while the server answers and refuses nobody. `began`: when the request did, in monotonic seconds; None:
        now. Raises DatabaseGone."""
        deadline = (time.monotonic() if began is None else began) + self.patience.busy_s
        refused = pool.get_stats().get("connections_errors", 0)
        while True:
            try:
                return await connect(max(0.01, min(self.patience.connection_s, deadline - time.monotonic())))
            except PoolTimeout as error:
                is_refused = pool.get_stats().get("connections_errors", 0) > refused
                is_late = time.monotonic() >= deadline
                if self.outage is not None:
                    is_refused = is_refused or self.outage.is_known or is_late
                if is_refused or not await _is_answering(*self.address, probe_s=self.patience.probe_s):
                    raise self.gone() from error
                if is_late:
                    raise self.gone(is_busy=True) from error
            except psycopg.OperationalError as error:
                raise self.gone() from error

    def gone(self, *, is_busy: bool = False) -> DatabaseGone:
        """What to raise for a request that the server does not serve."""
        if self.outage is not None:
            self.outage.is_known = True
        return DatabaseGone("the database does not answer", is_busy=is_busy)


class _Watch:
    """Cuts a connection whose server has stopped answering anybody, or that waits too long for one result. Costs a
    timer while results come fast."""

    def __init__(self, connection: Connection, patience: Patience, *, longest_silence_s: float) -> None:
        # Why the connection was cut.
        self.is_gone = False
        self.is_stuck = False
        self._connection = connection
        self._longest_silence_s = longest_silence_s
        self._silence_s, self._probe_s = patience.silence_s, patience.probe_s
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
        self._timer = asyncio.get_running_loop().call_later(self._silence_s, self._start_watching)

    def _start_watching(self) -> None:
        self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        until = time.monotonic() + self._longest_silence_s - self._silence_s
        info = self._connection.info
        while await _is_answering(info.hostaddr or info.host, info.port, probe_s=self._probe_s):
            if time.monotonic() >= until:
                self.is_stuck = True
                break
            await asyncio.sleep(self._silence_s)
        else:
            self.is_gone = True
        # The read then finds the end of its connection. Cancelling it instead would make psycopg ask the server to
        # cancel the statement, and wait for that.
        with socket.socket(fileno=os.dup(self._connection.fileno())) as connected:
            connected.shutdown(socket.SHUT_RDWR)


async def _is_answering(host: str, port: int, *, probe_s: float) -> bool:
    """Whether the server at this address, or in this folder's socket, answers a newcomer. Takes none of its connections
    and needs no password."""
    try:
        async with asyncio.timeout(probe_s):
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


def address_of(url: str) -> tuple[str, int]:
    parts = url_parts(url)
    return parts.options.get("hostaddr") or parts.host, parts.port


def async_pool(role: Role, url: str, *, largest: int, is_replica: bool = False) -> Pool:
    """A pool that is opened later; one of the role `api` reads marts, in transactions of their kind."""
    prepare = _prepare_to_read_a_replica if is_replica else _prepare_to_read
    return AsyncConnectionPool(
        url,
        min_size=min(1, largest - 1),
        max_size=largest,
        open=False,
        timeout=PRIMARYS_PATIENCE.connection_s,
        reconnect_timeout=_RECONNECT_S,
        configure=prepare if role is Role.API else None,
        # Every statement is prepared the first time it is used on a connection.
        kwargs={**_connection_arguments(role), "prepare_threshold": 0},
    )


def threads_pool(role: Role, url: str, *, largest: int) -> ThreadsPool:
    """The same for work in threads."""
    return ConnectionPool(
        url,
        min_size=0,
        max_size=largest,
        open=False,
        timeout=PRIMARYS_PATIENCE.connection_s,
        reconnect_timeout=_RECONNECT_S,
        check=ConnectionPool.check_connection,
        kwargs=_connection_arguments(role),
    )


def _connection_arguments(role: Role) -> dict[str, Any]:
    return {"autocommit": True, "connect_timeout": _CONNECT_TIMEOUT_S, "application_name": f"myi api {role.value}"}


async def _prepare_to_read(connection: Connection) -> None:
    # There are about sixty statements, some with values of more than one type.
    connection.prepared_max = 300
    await connection.execute(_READERS_SESSION, prepare=False)
    if connection.info.server_version >= _HAS_TRANSACTION_TIMEOUT:
        await connection.execute(_TRANSACTION_TIMEOUT, prepare=False)


async def _prepare_to_read_a_replica(connection: Connection) -> None:
    await _prepare_to_read(connection)
    await connection.execute(_REPLICAS_SESSION, prepare=False)
