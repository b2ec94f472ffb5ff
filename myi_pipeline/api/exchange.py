"""Several statements in one message to the server, and their results in one back.

Belongs here: sending, waiting, receiving, and turning results into rows. Not here: which connection, whose marts
(database.py). Invariants: a statement is planned once on a connection; after an exchange that did not end the
connection is closed, because what is still on its way belongs to nobody.

psycopg's own ways cost a read four messages (its rollback also forgets every prepared statement) and half a
millisecond of Python; this costs one and a sixth of that.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any, TypeVar

import psycopg
from psycopg.adapt import Transformer
from psycopg.pq import ConnStatus, ExecStatus, Format
from psycopg.pq.abc import PGresult

from myi_pipeline.api.still_there import SILENCE_S, is_still_there

Row = dict[str, Any]
T = TypeVar("T")

# A mart was rebuilt with other columns, or somebody between us and the server gave us another session.
_OUTDATED = (psycopg.errors.FeatureNotSupported, psycopg.errors.InvalidSqlStatementName)
# With these a connection closes of which the next one knows nothing.
LOST = (psycopg.OperationalError, psycopg.InterfaceError, *_OUTDATED)

# Beside the server's own limit on a statement (5 s): one of the server's processes that stands still alone.
_LONGEST_S = 8.0
_PLACE = re.compile(r"%\((\w+)\)s")
# Of types that a statement need not spell out; a text may be anything, so the statement says what it is.
_BOOL, _BYTES, _INT, _BIGINT, _DATE, _MOMENT, _ANY = 16, 17, 23, 20, 1082, 1184, 0
_ARRAYS = {_BOOL: 1000, _INT: 1007, _BIGINT: 1016, _DATE: 1182, _MOMENT: 1185, _ANY: 1009}


@dataclass(frozen=True)
class Asked:
    """A statement with `%(name)s` for its values."""

    sql: str
    values: Mapping[str, Any] = field(default_factory=dict)


class Connection(psycopg.AsyncConnection[Any]):
    """Knows what the server has prepared for it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.prepared: set[bytes] = set()


async def exchange(connection: Connection, asked: Sequence[Asked]) -> list[PGresult]:
    """The result of each statement; without a transaction of their own they are one.

    They may take as long as the server lets them, while it shows that it is there. Raises psycopg.Error, and
    TimeoutError when it does not.
    """
    pgconn = connection.pgconn
    try:
        pgconn.enter_pipeline_mode()
        sent = _send(connection, asked)
        results = await _receive(connection)
        pgconn.exit_pipeline_mode()
    except BaseException:
        await connection.close()
        raise
    try:
        return _sorted_out(connection, sent, results)
    except _OUTDATED:
        await connection.close()
        raise


def _send(connection: Connection, asked: Sequence[Asked]) -> list[tuple[int, bytes | None]]:
    """What was sent: the number of the statement it is for, and the name if it only prepares that."""
    pgconn = connection.pgconn
    sent: list[tuple[int, bytes | None]] = []
    preparing: set[bytes] = set()
    for number, each in enumerate(asked):
        text, names = _numbered(each.sql)
        written = [_written(each.values[name]) for name in names]
        types = tuple(kind for kind, _ in written)
        name = _name(text, types)
        if name not in connection.prepared and name not in preparing:
            preparing.add(name)
            pgconn.send_prepare(name, text, types)
            sent.append((number, name))
        pgconn.send_query_prepared(name, [value for _, value in written], None, Format.BINARY)
        sent.append((number, None))
    pgconn.pipeline_sync()
    return sent


async def _receive(connection: Connection) -> list[PGresult]:
    """All results up to the end of the exchange."""
    pgconn = connection.pgconn
    longest = time.monotonic() + _LONGEST_S
    results: list[PGresult] = []
    while True:
        unsent = pgconn.flush()
        while unsent or pgconn.is_busy():
            await _ready_or_alive(connection, longest, to_write=bool(unsent))
            pgconn.consume_input()
            unsent = pgconn.flush()
        result = pgconn.get_result()
        if result is not None:
            if result.status == ExecStatus.PIPELINE_SYNC:
                return results
            results.append(result)
        elif pgconn.status == ConnStatus.BAD:
            raise psycopg.OperationalError("the server has closed the connection")


async def _ready_or_alive(connection: Connection, longest: float, *, to_write: bool) -> None:
    """Wait until `longest`, as long as the server answers others."""
    while True:
        try:
            return await _ready(connection.pgconn.socket, min(longest, time.monotonic() + SILENCE_S), to_write=to_write)
        except TimeoutError:
            info = connection.info
            if time.monotonic() >= longest or not await is_still_there(info.hostaddr or info.host, info.port):
                raise


async def _ready(socket: int, until: float, *, to_write: bool) -> None:
    loop = asyncio.get_running_loop()
    woken: asyncio.Future[bool] = loop.create_future()

    def wake(in_time: bool) -> None:
        if not woken.done():
            woken.set_result(in_time)

    timer = loop.call_later(until - time.monotonic(), wake, False)
    loop.add_reader(socket, wake, True)
    if to_write:
        loop.add_writer(socket, wake, True)
    try:
        if not await woken:
            raise TimeoutError("the server is silent")
    finally:
        timer.cancel()
        loop.remove_reader(socket)
        if to_write:
            loop.remove_writer(socket)


def _sorted_out(
    connection: Connection, sent: Sequence[tuple[int, bytes | None]], results: Sequence[PGresult]
) -> list[PGresult]:
    answers = []
    for (_, prepares), result in zip(sent, results, strict=True):
        if result.status not in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
            # The rest was not run for it, so the first that failed is the one that did.
            raise psycopg.errors.error_from_result(result, encoding="utf-8")
        if prepares is None:
            answers.append(result)
        else:
            connection.prepared.add(prepares)
    return answers


def rows_of(connection: Connection, result: PGresult) -> list[Row]:
    names = [(result.fname(number) or b"").decode() for number in range(result.nfields)]

    def make_row(values: Sequence[Any]) -> Row:
        return dict(zip(names, values, strict=True))

    return _load(connection, result, make_row)


def tuples_of(connection: Connection, result: PGresult) -> list[tuple[Any, ...]]:
    return _load(connection, result, tuple)


def _load(connection: Connection, result: PGresult, make_row: Callable[[Sequence[Any]], T]) -> list[T]:
    loader = Transformer(connection)
    loader.set_pgresult(result)
    rows: list[T] = loader.load_rows(0, result.ntuples, make_row)
    return rows


@lru_cache(maxsize=500)
def _numbered(sql: str) -> tuple[bytes, tuple[str, ...]]:
    """The statement as the server takes it, and which value stands at which number."""
    names = tuple(dict.fromkeys(_PLACE.findall(sql)))
    text = _PLACE.sub(lambda found: f"${names.index(found[1]) + 1}", sql)
    return text.replace("%%", "%").encode(), names


@lru_cache(maxsize=1_000)
def _name(text: bytes, types: tuple[int, ...]) -> bytes:
    return b"myi_" + blake2b(text + repr(types).encode(), digest_size=12).hexdigest().encode()


def _written(value: Any) -> tuple[int, bytes | None]:
    """The number of the value's type, and its text."""
    match value:
        case None:
            return _ANY, None
        case str():
            if "\0" in value:
                raise psycopg.DataError("a text of Postgres holds no NUL")
            return _ANY, value.encode()
        case bool():
            return _BOOL, b"true" if value else b"false"
        case int():
            return _INT if -(2**31) <= value < 2**31 else _BIGINT, b"%d" % value
        case datetime():
            return _MOMENT, value.isoformat().encode()
        case date():
            return _DATE, value.isoformat().encode()
        case list() | tuple():
            parts = [_written(each) for each in value]
            kinds = {kind for kind, _ in parts}
            quoted = (b"null" if text is None else b'"%b"' % _escaped(text) for _, text in parts)
            kind = _BIGINT if _BIGINT in kinds else max(kinds, default=_ANY)
            return _ARRAYS[kind], b"{%b}" % b",".join(quoted)
        case bytes():
            return _BYTES, b"\\x" + value.hex().encode()
        case _:
            raise TypeError(f"no value of a statement: {type(value).__name__}")


def _escaped(text: bytes) -> bytes:
    return text.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
