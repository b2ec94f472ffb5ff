"""Comparing the marts with a second build of them, row for row.

A row that differs is reported unless the ledger shows that its user or content has changed since the live marts were
built.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from myi_pipeline.errors import Busy
from myi_pipeline.marts.dbt_protocol import VERIFY_TARGET
from myi_pipeline.marts.dbt_runner import DbtRunner, OnNode, project
from myi_pipeline.marts.refresh import RefreshResult, refresh_under_lock
from myi_pipeline.marts.runs import OnBusy, mart_lock
from myi_pipeline.postgres.connections import Connection, Warehouse
from myi_pipeline.postgres.sql_files import load_sql, load_statements

SUFFIX = "_verify"
_SCHEMAS = ("staging", "intermediate", "marts")
# The first of these keys that a mart has decides how its rows are grouped and what is left out.
_KEYS = (("user_id", "left_out_users", "user_id"), ("content_id", "left_out_contents", "content_id"),
         ("track_id", "left_out_contents", "content_id"), ("artist_id", "left_out_artists", "artist_id"))  # fmt: skip


@dataclass(frozen=True)
class MartComparison:
    """One mart: rows only in the live one, rows only in the rebuilt one, and the first of each as JSON."""

    mart: str
    only_live: int = 0
    only_rebuilt: int = 0
    examples_live: tuple[str, ...] = ()
    examples_rebuilt: tuple[str, ...] = ()
    error: str | None = None

    @property
    def is_equal(self) -> bool:
        return not (self.only_live or self.only_rebuilt or self.error)


@contextmanager
def left_out(connection: Connection) -> Iterator[tuple[int, int]]:
    """For comparing: how many users and contents are left out because they have changed meanwhile."""
    for statement in load_statements("marts/mart_runs/left_out"):
        connection.execute(statement)
    query = "select (select count(*) from left_out_users), (select count(*) from left_out_contents)"
    found = connection.execute(query).fetchone()
    assert found is not None
    yield int(found[0]), int(found[1])
    connection.execute("drop table left_out_users, left_out_contents, left_out_artists")


def compare_marts(connection: Connection, *, relations: Iterable[str], examples: int = 20) -> list[MartComparison]:
    """Compare each table among `relations` (`schema.name`) with its second build; inside left_out()."""
    return [
        _compare(connection, relation, examples=examples)
        for relation in relations
        if _columns(connection, relation) is not None
    ]


def drop_second_build(connection: Connection) -> None:
    """Drop the schemas of a second build, including one that was killed."""
    for schema in _SCHEMAS:
        name = sql.Identifier(schema + SUFFIX)
        connection.execute("set client_min_messages = warning")
        connection.execute(sql.SQL("drop schema if exists {} cascade").format(name))
        connection.execute("reset client_min_messages")


def _compare(connection: Connection, relation: str, *, examples: int) -> MartComparison:
    schema, _, name = relation.partition(".")
    columns = _columns(connection, relation)
    assert columns is not None
    if columns != _columns(connection, f"{schema}{SUFFIX}.{name}"):
        return MartComparison(relation, error="the second build has other columns, or is missing")
    key, table, table_key = next(each for each in _KEYS if each[0] in columns)
    live, rebuilt = sql.Identifier(schema, name), sql.Identifier(schema + SUFFIX, name)
    names = {
        "key": sql.Identifier(key),
        "columns": sql.SQL(", ").join(map(sql.Identifier, columns)),
        "left_out": sql.Identifier(table),
        "left_out_key": sql.Identifier(table_key),
    }
    connection.execute(_statement("marts/mart_runs/differing_keys", live=live, rebuilt=rebuilt, **names))
    sides = []
    for one, other in ((live, rebuilt), (rebuilt, live)):
        query = _statement("marts/mart_runs/differing_rows", one=one, other=other, **names)
        rows = connection.execute(query, {"examples": examples}).fetchall()
        sides.append((int(rows[0][0]) if rows else 0, tuple(str(row[1]) for row in rows)))
    connection.execute("drop table differing_keys")
    return MartComparison(relation, sides[0][0], sides[1][0], sides[0][1], sides[1][1])


def _columns(connection: Connection, relation: str) -> list[str] | None:
    """The columns of a table, in order; None if it is a view or does not exist."""
    query = (
        "select attname::text from pg_attribute join pg_class c on c.oid = attrelid"
        " where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped and c.relkind = 'r' order by attnum"
    )
    return [str(row[0]) for row in connection.execute(query, (relation,))] or None


def _statement(name: str, **parts: sql.Composable) -> sql.Composed:
    return sql.SQL(load_sql(name)).format(**parts)


# It counts refreshes, so a rebuild that counts from one is not an error.
NOT_COMPARED = ("user_versions",)


@dataclass(frozen=True)
class VerifyResult:
    """`is_good` only if every mart was compared and none differs."""

    refresh: RefreshResult
    marts: tuple[MartComparison, ...] = ()
    users_left_out: int = 0
    contents_left_out: int = 0
    error: str | None = None
    seconds: float = 0.0

    @property
    def differing(self) -> tuple[MartComparison, ...]:
        return tuple(mart for mart in self.marts if not mart.is_equal)

    @property
    def is_good(self) -> bool:
        return self.error is None and bool(self.marts) and not self.differing


def verify_marts(
    warehouse: Warehouse,
    *,
    dbt: DbtRunner,
    environment: Mapping[str, str],
    on_busy: OnBusy = "wait",
    examples: int = 20,
    correlation_id: str | None = None,
    on_node: OnNode | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> VerifyResult:
    """Refresh, build again separately, and compare. At most `examples` rows of each side are given in full."""
    started = clock()
    try:
        with mart_lock(warehouse, on_busy=on_busy) as connection:
            refreshed = refresh_under_lock(
                connection, dbt=dbt, environment=environment, correlation_id=correlation_id, on_node=on_node
            )
            if refreshed.status not in ("completed", "nothing"):
                return VerifyResult(refreshed, error=refreshed.error, seconds=clock() - started)
            drop_second_build(connection)
            try:
                error = _build_beside(connection, dbt=dbt, environment=environment, on_node=on_node)
                if error is not None:
                    return VerifyResult(refreshed, error=error, seconds=clock() - started)
                with left_out(connection) as (users, contents):
                    marts = compare_marts(connection, relations=_compared(), examples=examples)
            finally:
                drop_second_build(connection)
    except Busy as busy:
        return VerifyResult(RefreshResult("busy"), error=str(busy), seconds=clock() - started)
    return VerifyResult(refreshed, tuple(marts), users, contents, seconds=clock() - started)


def _compared() -> list[str]:
    return [relation for relation in project().relations if relation.partition(".")[2] not in NOT_COMPARED]


def _build_beside(
    connection: Connection, *, dbt: DbtRunner, environment: Mapping[str, str], on_node: OnNode | None
) -> str | None:
    """Build every model again, under the number of the last run, so that the next run fences off a lost build."""
    fence = connection.execute("select run_id from ops.mart_fence").fetchone()
    assert fence is not None
    beside = {
        **environment,
        "MYI_MART_RUN_ID": str(fence[0]),
        "MYI_MART_REBUILD": "1",
        "DBT_TARGET": VERIFY_TARGET,
        # A separate parse cache: dbt would discard the usual one because of the other target.
        "DBT_TARGET_PATH": str(Path(environment["DBT_TARGET_PATH"]).with_name("verify")),
    }
    built = dbt.invoke(["run", "--exclude", *NOT_COMPARED], environment=beside, on_node=on_node)
    return None if built.success else built.first_error() or "dbt failed"
