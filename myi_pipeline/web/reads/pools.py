"""The web's connections: which role reads what, and which server answers.

Marts are read through `Pools.read` alone: as the role `api`, with the user set for row security, in one read-only
snapshot. That snapshot is a psycopg pipeline on a connection in autocommit: everything up to the pipeline's end is one
transaction, and what a read begins with travels with its first statement in one round trip.

Where there is a replica, it serves what it may (`replica.py`), and the primary what it cannot: within the seconds that
a request is refused in (`servers.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg
import structlog
from psycopg_pool import PoolTimeout
from starlette.concurrency import run_in_threadpool

from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.settings import Settings
from myi_pipeline.web.reads import replica as replicas
from myi_pipeline.web.reads.marts import Marts, MartsMissing, MartsOutdated
from myi_pipeline.web.reads.replica import Look, Replica
from myi_pipeline.web.reads.servers import (
    LONGEST_SILENCE_S,
    PRIMARYS_PATIENCE,
    Connection,
    DatabaseGone,
    Outage,
    Patience,
    Pool,
    Server,
    ThreadsPool,
    address_of,
    async_pool,
    threads_pool,
)

log = structlog.get_logger(__name__)

# What a replica cannot serve at once, the primary must yet within the two seconds that a person waits.
_REPLICAS_PATIENCE = Patience(connection_s=0.4, busy_s=0.4, silence_s=0.3, probe_s=0.2)
_PATIENCE_AFTER_REPLICA = replace(PRIMARYS_PATIENCE, connection_s=0.7)
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
# Replaying took what a read on the replica needs.
_OVERTAKEN = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable)

_OUTDATED_MARTS = (
    "The figures are being rebuilt after an upgrade. That takes some seconds, with a big history some minutes;"
    " what was imported is all there."
)

P = ParamSpec("P")
T = TypeVar("T")


class _Behind(Exception):
    """The replica's version of the marts is older than what the client has seen."""


class Pools:
    """All of the web's connections; `open` begins in the background, so that a start needs no database."""

    def __init__(
        self, settings: Settings, warehouse: Warehouse, *, longest_silence_s: float = LONGEST_SILENCE_S
    ) -> None:
        self.outage = Outage()

        def server(role: Role, *, largest: int) -> Server:
            return Server(
                async_pool(role, warehouse.url(role), largest=largest), address_of(warehouse.url(role)),
                patience=PRIMARYS_PATIENCE, longest_silence_s=longest_silence_s, outage=self.outage,
            )  # fmt: skip

        self._marts = server(Role.API, largest=settings.api_connections)
        self._access = server(Role.APP, largest=4)
        self._monitor = server(Role.MONITOR, largest=1)
        self._replicas: dict[Role, Server] = {}
        for role, largest in ((Role.API, settings.api_connections), (Role.MONITOR, 1)):
            if (url := warehouse.replica_url(role)) is not None:
                self._replicas[role] = Server(
                    async_pool(role, url, largest=largest, is_replica=True), address_of(url),
                    patience=_REPLICAS_PATIENCE, longest_silence_s=longest_silence_s,
                )  # fmt: skip
        # None: pages read the primary.
        self.replica = Replica(limit_s=settings.replica_lag_s) if Role.API in self._replicas else None
        self._looking: asyncio.Task[None] | None = None
        self._threads: ThreadsPool = threads_pool(Role.APP, warehouse.url(Role.APP), largest=4)

    async def open(self) -> None:
        for pool in self._all():
            await pool.open(wait=False)
        await run_in_threadpool(self._threads.open)
        if self.replica is not None:
            self._looking = asyncio.create_task(self._keep_looking(self.replica))

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})
        for pool in self._all():
            await pool.close(timeout=2)
        await run_in_threadpool(self._threads.close, 2)

    def _all(self) -> tuple[Pool, ...]:
        own = (self._marts, self._access, self._monitor)
        return tuple(each.pool for each in (*own, *self._replicas.values()))

    def figures(self) -> dict[str, dict[str, int]]:
        """For each pool: connections, idle ones, and requests that wait."""
        own = {"marts": self._marts, "access": self._access, "monitor": self._monitor}
        named: dict[str, Pool | ThreadsPool] = {name: each.pool for name, each in own.items()}
        if Role.API in self._replicas:
            named["replica"] = self._replicas[Role.API].pool
        return {name: pool.get_stats() for name, pool in {**named, "threads": self._threads}.items()}

    async def read(self, user_id: int, work: Callable[[Marts], Awaitable[T]]) -> T:
        """What `work` makes of the user's marts, all in one snapshot, so that rows and version agree.

        `work` only reads: it is run again where the connection turns out to be dead. Raises DatabaseGone, MartsMissing,
        MartsOutdated, psycopg.errors.QueryCanceled when it takes too long, and what `work` raises.
        """

        seen = replicas.current.get()
        replica, needed = self.replica, seen.needed.get(user_id, 0) if seen is not None else 0

        async def in_snapshot(connection: Connection, heard: Callable[[], None], *, least: int = 0) -> T:
            async with connection.pipeline():
                marts = Marts(connection, user_id, heard=heard)
                await marts.open()
                if least and ((await marts.version()).number or 0) < least:
                    raise _Behind
                return await work(marts)

        server = self._marts
        if replica is not None:
            why_not = replica.why_not(user_id, seen)
            if why_not is None:
                try:
                    found = await self._replicas[Role.API].run(partial(in_snapshot, least=needed))
                except _Behind:
                    why_not = "behind"
                except (*_OVERTAKEN, *_UNREADABLE):
                    why_not = "overtaken"
                except DatabaseGone as error:
                    why_not = "failed"
                    if not error.is_busy:
                        replica.lost()
                    server = replace(server, patience=_PATIENCE_AFTER_REPLICA)
                else:
                    replica.note_read(seen)
                    return found
            replica.reads[why_not] += 1
        try:
            return await server.run(in_snapshot)
        except _UNREADABLE as error:
            ((is_built,),) = await self._marts.ask(_IS_BUILT, {})
            if not is_built:
                raise MartsMissing("The marts are not built yet; the first refresh builds them.") from error
            log.warning("marts_of_another_version", lacking=str(error.diag.message_primary))
            raise MartsOutdated(_OUTDATED_MARTS) from error

    async def ask_access(self, sql: bytes, parameters: dict[str, object]) -> tuple[Any, ...] | None:
        """One row of what the role `app` may see. Raises DatabaseGone."""
        return next(iter(await self._access.ask(sql, parameters)), None)

    async def ask_access_for_rows(self, sql: bytes, parameters: dict[str, object]) -> list[tuple[Any, ...]]:
        """All rows of what the role `app` may see. Raises DatabaseGone."""
        return await self._access.ask(sql, parameters)

    async def ask_monitor(self, sql: bytes, *, primary_alone: bool = False) -> list[tuple[Any, ...]]:
        """Rows of the views for metrics, which may be those of a replica. Raises DatabaseGone."""
        if Role.MONITOR in self._replicas and not primary_alone:
            try:
                return await self._replicas[Role.MONITOR].ask(sql, {})
            except (DatabaseGone, *_OVERTAKEN, *_UNREADABLE):
                log.debug("figures_of_the_primary")
        return await self._monitor.ask(sql, {})

    async def note_change(self, user_id: int) -> int | None:
        """The user has changed something just now: their reads show it. Returns where in the log that ended, for other
        processes; None without a replica, or if nobody can say."""
        if self.replica is None:
            return None
        position: int | None = None
        try:
            ((position,),) = await self._access.ask(replicas.POSITION, {})
        except (DatabaseGone, psycopg.Error):
            log.warning("position_unknown")
        self.replica.remember_change(user_id, position)
        return position

    async def _keep_looking(self, replica: Replica) -> None:
        while True:
            was_up, began = replica.is_up, time.monotonic()
            primary = await self._look(self._access)
            replica.note(primary, await self._look(self._replicas[Role.API]), began=began)
            if replica.is_up != was_up:
                log.warning("replica_is_used" if replica.is_up else "replica_is_not_used", lag_s=replica.lag_s)
            await asyncio.sleep(replicas.LOOK_EVERY_S)

    async def _look(self, server: Server) -> Look | None:
        # A server that fails a look has failed no request.
        patience = replace(server.patience, busy_s=server.patience.connection_s)
        try:
            (row,) = await replace(server, patience=patience, outage=None).ask(replicas.LOOK, {})
        except (DatabaseGone, psycopg.Error):
            return None
        return Look(*row)

    async def in_thread(
        self, work: Callable[Concatenate[psycopg.Connection[Any], P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call `work` in a thread with a connection of the role `app`. Raises DatabaseGone."""

        try:
            connection = await self._access.take(self._threads, self._thread_connection)
            try:
                result = await run_in_threadpool(work, connection, *args, **kwargs)
                self.outage.is_known = False
                return result
            finally:
                await run_in_threadpool(self._threads.putconn, connection)
        except psycopg.errors.QueryCanceled:
            # The server is there; this took it too long.
            raise
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise self._access.gone() from error

    async def _thread_connection(self, timeout_s: float) -> psycopg.Connection[Any]:
        taking = asyncio.ensure_future(run_in_threadpool(self._threads.getconn, timeout_s))
        done, _ = await asyncio.wait({taking}, timeout=timeout_s)
        if not done:
            # A server that hangs holds the thread; what it gives in the end goes back unused.
            taking.add_done_callback(self._put_back_late)
            raise PoolTimeout("no connection yet")
        return taking.result()

    def _put_back_late(self, taken: asyncio.Future[psycopg.Connection[Any]]) -> None:
        if not taken.cancelled() and taken.exception() is None:
            self._threads.putconn(taken.result())
