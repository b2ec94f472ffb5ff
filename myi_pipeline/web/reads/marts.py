"""One user's marts at one moment, as every read gets them from `Pools.read`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import psycopg
from psycopg.rows import RowMaker, dict_row

from myi_pipeline.errors import Transient
from myi_pipeline.web.reads import replica as replicas
from myi_pipeline.web.reads.sql_files import load_sql

T = TypeVar("T")


class MartsMissing(Transient):
    """No refresh has built the marts yet."""


class MartsOutdated(Transient):
    """The marts are those of another version of MYI, which this read does not understand; a refresh rebuilds them."""


@dataclass(frozen=True)
class Version:
    """The version of one user's marts; `number` is None before the first refresh for that user."""

    number: int | None = None
    refreshed_at: datetime | None = None


class Marts:
    """One user's marts at one moment."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], user_id: int, *, heard: Callable[[], None]) -> None:
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
            seen = replicas.current.get()
            if seen is not None and self._version is not None and self._version.number is not None:
                seen.versions[self._user_id] = self._version.number
        return self._version or Version()

    async def fetch(self, row: type[T], sql: bytes, **values: object) -> list[T]:
        """The rows of a statement, each as a `row`, whose fields are the statement's columns. `user_id` is always
        among the values. Raises psycopg.Error."""
        cursor = await self._execute(_rows_as(row), sql, {"user_id": self._user_id, **values})
        found = await cursor.fetchall()
        self._heard()
        # It came before these rows; a cursor that follows from them names it.
        await self.version()
        return found

    async def _execute(self, rows: Any, sql: bytes, values: dict[str, object]) -> psycopg.AsyncCursor[Any]:
        cursor = self._connection.cursor(row_factory=rows, binary=True)
        return await cursor.execute(sql, values)


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
