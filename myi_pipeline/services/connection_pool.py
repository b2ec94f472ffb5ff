"""Connections that threads of one process borrow and give back.

Belongs here: lending, and closing all at the end. Invariants: a connection is lent to one thread at a time and in
autocommit; one that broke, or was left inside a transaction, is not lent again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from myi_pipeline.warehouse.connections import Role, Warehouse

Connection = psycopg.Connection[Any]


class ConnectionPool:
    """Opens a connection when none is idle; as many as threads borrow at once."""

    def __init__(self, warehouse: Warehouse, *, role: Role, application_name: str, prepare: str | None = None) -> None:
        self._warehouse = warehouse
        self._role = role
        self._name = application_name
        self._prepare = prepare
        self._idle: list[Connection] = []
        self._lock = threading.Lock()
        self._is_closed = False

    def __enter__(self) -> ConnectionPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def take(self) -> Iterator[Connection]:
        """Raises psycopg.OperationalError when there is no reaching the server."""
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            connection = self._warehouse.connect(self._role, autocommit=True, application_name=self._name)
            if self._prepare is not None:
                connection.execute(self._prepare.encode())
        try:
            yield connection
        finally:
            self._give_back(connection)

    def _give_back(self, connection: Connection) -> None:
        is_good = not connection.broken and connection.info.transaction_status is TransactionStatus.IDLE
        with self._lock:
            if is_good and not self._is_closed:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
