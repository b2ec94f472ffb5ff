"""Compares an export's tables of marts with those of a user here, row by row, independently of ids.

Rows of a table are a multiset, in no order. They are first compared by sums of digests in many small groups; only rows
of groups that differ are held, and not more than some thousands of them.
"""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from myi_pipeline.archives.files import Limits
from myi_pipeline.archives.files.export_package import MARTS_FOLDER, ExportPackage, open_export
from myi_pipeline.errors import BadInput
from myi_pipeline.operations.take_away import mart_rows
from myi_pipeline.people.manage_users import get_user
from myi_pipeline.postgres.connections import Connection, Role, Warehouse

_GROUPS: Final = 65_536
_GROUPS_SHOWN: Final = 2_000
_MOST_FIELD: Final = 10 * 1024 * 1024

Row = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TableComparison:
    """One table: how many rows each side has, and rows that only one of them has; `is_cut`: there are more."""

    table: str
    told: int = 0
    here: int = 0
    only_told: tuple[str, ...] = ()
    only_here: tuple[str, ...] = ()
    is_cut: bool = False
    error: str | None = None

    @property
    def is_equal(self) -> bool:
        return self.error is None and not self.only_told and not self.only_here


@dataclass(frozen=True, kw_only=True)
class ExportComparison:
    user_key: str
    made_at: str
    tables: tuple[TableComparison, ...]

    @property
    def differing(self) -> tuple[TableComparison, ...]:
        return tuple(each for each in self.tables if not each.is_equal)

    @property
    def is_good(self) -> bool:
        return bool(self.tables) and not self.differing


def compare_with_export(
    warehouse: Warehouse,
    *,
    path: Path,
    user_key: str | None,
    limits: Limits,
    examples: int = 20,
    on_table: Callable[[str], None] = lambda name: None,
) -> ExportComparison:
    """Compare with the user of this key, or of the key that the export names. The marts here are up to date already.

    Raises BadInput for an export without marts, or of marts that had not caught up with what was reported.
    """
    with (
        _long_fields(),
        open_export(path, limits=limits) as package,
        closing(warehouse.connect(Role.INGEST, autocommit=True)) as ingest,
        closing(warehouse.connect(Role.API, autocommit=True, application_name="myi verify")) as connection,
    ):
        package.check()
        if package.manifest.marts_are_current is None:
            raise BadInput(f"{path.name}: has no tables to compare with.", place=path.name, rule="an export with marts")
        if not package.manifest.marts_are_current:
            raise BadInput(
                f"{path.name}: was made while its marts had not caught up yet, so they cannot be compared. Make the"
                " export again after a refresh.",
                place=path.name,
                rule="an export of marts that are up to date",
            )
        user = get_user(ingest, user_key=user_key or package.manifest.user_key)
        if not mart_rows.are_there(connection):
            raise BadInput("the marts have never been built here", rule="marts that are up to date")
        tables = []
        with connection.transaction():
            mart_rows.begin_reading(connection, user_id=user.user_id)
            for mart in mart_rows.MARTS:
                name = f"{MARTS_FOLDER}{mart.name}.csv"
                # A table that came with a later version is in no export of an earlier one.
                if name in package.manifest.parts:
                    on_table(mart.name)
                    tables.append(_compare(package, connection, mart, name=name, examples=examples))
    return ExportComparison(user_key=user.user_key, made_at=package.manifest.made_at.isoformat(), tables=tuple(tables))


@contextmanager
def _long_fields() -> Iterator[None]:
    """The limit belongs to the whole process: whoever reads CSV after this relies on the one that was there."""
    before = csv.field_size_limit(_MOST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _compare(
    package: ExportPackage, connection: Connection, mart: mart_rows.Mart, *, name: str, examples: int
) -> TableComparison:
    query = mart_rows.mart_query(connection, mart, polled_until=package.manifest.polled_until, is_ordered=False)

    def told() -> Iterator[Row]:
        return _rows(line + b"\n" for line in package.lines(name))

    def here() -> Iterator[Row]:
        return _rows(mart_rows.csv_pieces(connection, query))

    # Not from the first row of `here`: a COPY that is left in the middle ends the transaction.
    told_columns, here_columns = next(told(), ()), mart_rows.columns_of(connection, query)
    compared = [column for column in told_columns if not column.startswith(mart.tied)]
    lacking = [column for column in compared if column not in here_columns]
    if lacking or not compared:
        return TableComparison(table=mart.name, error=f"the marts here have no column {', '.join(lacking) or 'at all'}")
    sides = (partial(_only, told, compared, told_columns), partial(_only, here, compared, here_columns))
    sums = [_sums(_without_header(side())) for side in sides]
    groups = [number for number in range(_GROUPS) if sums[0][0][number] != sums[1][0][number]]
    if not groups:
        return TableComparison(table=mart.name, told=sums[0][1], here=sums[1][1])
    shown = frozenset(groups[:_GROUPS_SHOWN])
    rows = [Counter(row for row in _without_header(side()) if _digest(row)[0] in shown) for side in sides]
    only_told, only_here = rows[0] - rows[1], rows[1] - rows[0]
    return TableComparison(
        table=mart.name,
        told=sums[0][1],
        here=sums[1][1],
        only_told=_shown(compared, only_told, examples),
        only_here=_shown(compared, only_here, examples),
        is_cut=len(groups) > _GROUPS_SHOWN or max(only_told.total(), only_here.total()) > examples,
    )


def _only(side: Callable[[], Iterator[Row]], wanted: Sequence[str], columns: Sequence[str]) -> Iterator[Row]:
    places = [columns.index(column) for column in wanted]
    return (tuple(row[place] for place in places) for row in side())


def _rows(lines: Iterable[bytes]) -> Iterator[Row]:
    # A cell may hold line breaks, so the reader decides where a row ends; newline="" is what csv asks for.
    return (tuple(row) for row in csv.reader((line.decode() for line in lines), strict=True))


def _without_header(rows: Iterator[Row]) -> Iterator[Row]:
    next(rows, None)
    return rows


def _digest(row: Row) -> tuple[int, int]:
    digest = hashlib.blake2b("\x1f".join(row).encode(), digest_size=16).digest()
    return int.from_bytes(digest[:2], "big"), int.from_bytes(digest, "big")


def _sums(rows: Iterator[Row]) -> tuple[list[int], int]:
    sums, count = [0] * _GROUPS, 0
    for row in rows:
        group, number = _digest(row)
        sums[group] = (sums[group] + number) & ((1 << 128) - 1)
        count += 1
    return sums, count


def _shown(columns: Sequence[str], rows: Counter[Row], most: int) -> tuple[str, ...]:
    found = []
    for row in sorted(rows.elements())[:most]:
        found.append(", ".join(f"{column}={value}" for column, value in zip(columns, row, strict=True) if value))
    return tuple(found)
