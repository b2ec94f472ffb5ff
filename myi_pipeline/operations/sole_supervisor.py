"""One `myi up` for each database: Dagster supports no second daemon on its storage.

A session's advisory lock keeps out those of other homes and hosts. It goes with its connection: a supervisor that is
killed leaves nothing behind. A host that loses its power does, until the server notices; so the connection's name says
which process it belongs to, and the next `myi up` of that host ends what is left of the last one.
"""

from __future__ import annotations

import logging
import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from hashlib import sha256

import psycopg

from myi_pipeline.errors import Busy
from myi_pipeline.operations.processes import installation_name, is_alive, process_mark, this_boot
from myi_pipeline.postgres.connections import Connection, Role, Warehouse, unreachable, with_parameters
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.settings import Settings

log = logging.getLogger(__name__)

LOCK = 0x6D79692075
# A supervisor that connects cannot look after its children meanwhile.
_CONNECT_TIMEOUT_S = 3
_RETRY_EVERY_S = 5.0
# A host that is gone is noticed after a minute.
_KEEPALIVE = ("tcp_keepalives_idle = 30", "tcp_keepalives_interval = 10", "tcp_keepalives_count = 3")
_END_TIMEOUT_MS = 5_000


class SoleSupervisor:
    """Whoever holds the lock of a database; see sole_supervisor."""

    def __init__(
        self, settings: Settings, warehouse: Warehouse, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._url = with_parameters(warehouse.url(Role.OWNER), connect_timeout=str(_CONNECT_TIMEOUT_S))
        self._installation = f"myi up {_digest(installation_name(settings))} "
        self.name = f"{self._installation}{_digest(this_boot())} {process_mark(os.getpid())}"
        self._clock = clock
        self._retry_at = 0.0
        self._connection: Connection | None = None

    @property
    def is_held(self) -> bool:
        return self._connection is not None

    def take(self) -> None:
        """Raises Busy if another `myi up` has the lock, and psycopg.OperationalError."""
        connection = psycopg.connect(self._url, autocommit=True, application_name=self.name)
        try:
            for setting in _KEEPALIVE:
                connection.execute(f"set {setting}".encode())
            if not _try_lock(connection):
                self._end_what_is_left(connection)
                if not _try_lock(connection):
                    raise Busy(_refusal(connection))
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def keep(self) -> None:
        """To be called now and then: takes the lock again when its connection was lost, as by a restart of the server.

        Costs one system call. Raises Busy if another `myi up` was quicker.
        """
        if self._connection is not None:
            if _is_silent(self._connection) or _answers(self._connection):
                return
            log.warning("the connection that keeps a second `myi up` from this database was lost; making it again")
            self.release()
        if self._clock() >= self._retry_at:
            self._retry_at = self._clock() + _RETRY_EVERY_S
            # While the server is away, nobody has the lock.
            with suppress(psycopg.OperationalError):
                self.take()

    def release(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _end_what_is_left(self, connection: Connection) -> None:
        for pid, name, _, _ in _holders(connection):
            boot, _, process = name.removeprefix(self._installation).partition(" ")
            is_own = name.startswith(self._installation)
            if is_own and (boot != _digest(this_boot()) or not is_alive(process)):
                log.info("ending the connection of a `myi up` that died without closing it")
                connection.execute("select pg_terminate_backend(%s, %s)", (pid, _END_TIMEOUT_MS))


@contextmanager
def sole_supervisor(settings: Settings, warehouse: Warehouse) -> Iterator[SoleSupervisor]:
    """This process as the only `myi up` of its database, on any host. Raises Busy if there is one, Transient."""
    sole = SoleSupervisor(settings, warehouse)
    try:
        sole.take()
    except psycopg.OperationalError as error:
        raise unreachable("the database", error) from error
    try:
        yield sole
    finally:
        sole.release()


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:8]


def _try_lock(connection: Connection) -> bool:
    row = connection.execute("select pg_try_advisory_lock(%s)", (LOCK,)).fetchone()
    return row is not None and bool(row[0])


def _holders(connection: Connection) -> list[tuple[int, str, str | None, datetime]]:
    return connection.execute(load_sql("operations/supervisors/holders"), {"lock": LOCK}).fetchall()


def _refusal(connection: Connection) -> str:
    where = ""
    for _, _, address, since in _holders(connection):
        where = f" on {address or 'this machine'}, since {since.astimezone():%Y-%m-%d %H:%M}"
    return (
        f"another `myi up` uses this database{where}, and Dagster does not support two. Stop that one first; to serve"
        " the API and its pages from here as well, run `myi api`"
    )


def _is_silent(connection: Connection) -> bool:
    """Nothing has arrived: neither the end of the connection nor a notice."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return not poll.poll(0)


def _answers(connection: Connection) -> bool:
    try:
        connection.execute("select 1")
    except psycopg.OperationalError:
        return False
    return True
