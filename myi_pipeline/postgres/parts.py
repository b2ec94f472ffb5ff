"""Parts of an export: the data that one package stores about a user, exported as JSON rows and imported again.

Packages list their parts in a module `export_parts`; operations/take_away combines them. A part's `read` is a query
with the parameter `user_id`. It runs in a read-only transaction in which the tables `wanted_contents`,
`wanted_artists`, `wanted_albums` and `wanted_contexts` contain the ids that the user's rows refer to. Rows refer to
each other by keys that are valid in every installation, or by numbers that are valid within the export.

A part's `bring` names a file of statements that import its rows. They can use the rows of this part and of those before
it, which are in temporary tables `told_<part>`, in the column `told` (jsonb). Importing the same rows twice changes
nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql

from myi_pipeline.errors import BadInput
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql, load_statements

# Rows of half a kilobyte: two megabytes in memory at a time.
_ROWS_A_FETCH: Final = 4_000
_names = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Part:
    """`name` is its path in an export, such as `polling/gaps`; `tables` are those whose rows it contains. Without
    `bring`, it is only exported: its content follows from other parts, or cannot be imported. `accepts` validates a raw
    row."""

    name: str
    tables: tuple[str, ...]
    read: str
    bring: str | None = None
    accepts: Callable[[bytes], bool] | None = None

    @property
    def told(self) -> str:
        """The temporary table with its rows during an import."""
        return "told_" + self.name.replace("/", "_")


def read_rows(connection: Connection, query: str, values: Mapping[str, object]) -> Iterator[bytes]:
    """Each row as a line of JSON without newline; few are in memory at a time, whatever the total.

    The connection must be in a transaction, whose time zone applies to the times.
    """
    wrapped = sql.SQL("select row_to_json(row)::text from ({}) as row").format(sql.SQL(query))
    with connection.cursor(name=f"part_{next(_names)}") as cursor:
        cursor.itersize = _ROWS_A_FETCH
        cursor.execute(wrapped, values)
        for (line,) in cursor:
            yield line.encode()


def read_part(connection: Connection, part: Part, *, user_id: int) -> Iterator[bytes]:
    return read_rows(connection, load_sql(part.read), {"user_id": user_id})


def stage(connection: Connection, table: str, lines: Iterable[bytes]) -> int:
    """Copy lines of JSON into a temporary table, replacing an earlier one; returns their number."""
    name = sql.Identifier(table)
    connection.execute(sql.SQL("drop table if exists pg_temp.{}").format(name))
    columns = "row_no bigint generated always as identity, told jsonb not null"
    connection.execute(sql.SQL("create temporary table {} (" + columns + ")").format(name))
    rows = 0
    with connection.cursor() as cursor, cursor.copy(sql.SQL("copy {} (told) from stdin").format(name)) as copy:
        for line in lines:
            copy.write_row((line.decode(),))
            rows += 1
    connection.execute(sql.SQL("analyze {}").format(name))
    return rows


@contextmanager
def blamed_on(place: str) -> Iterator[None]:
    """Turn the database's errors about rows of a file into BadInput, which names the part and the rule, but contains
    nothing from the rows."""
    try:
        yield
    except (
        psycopg.DataError,
        psycopg.IntegrityError,
        psycopg.errors.ProgramLimitExceeded,
        psycopg.errors.StatementTooComplex,
    ) as error:
        rule = error.diag.constraint_name or type(error).__name__
        raise BadInput(f"{place}: a row cannot be taken in ({rule}).", place=place, rule=rule) from None
    except UnicodeDecodeError:
        raise BadInput(f"{place}: a row is not UTF-8.", place=place, rule="UTF-8") from None


def stage_part(connection: Connection, part: Part, lines: Iterable[bytes]) -> int:
    """Stage the rows of a part. Raises BadInput for a row that the part does not accept."""

    def checked() -> Iterator[bytes]:
        for number, line in enumerate(lines, 1):
            if part.accepts is not None and not part.accepts(line):
                raise BadInput(
                    f"{part.name}: row {number:,} is not what an export of MYI contains there",
                    place=part.name,
                    rule="an export of MYI, unchanged",
                )
            yield line

    return stage(connection, part.told, checked())


def run_statements(connection: Connection, name: str, values: Mapping[str, Any]) -> None:
    """Run each statement of a file, passing the values to those with parameters."""
    for statement in load_statements(name):
        connection.execute(statement, values if "%(" in statement else None)
