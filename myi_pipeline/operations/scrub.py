"""Rewriting the files of the database, so that none holds what was deleted.

Postgres keeps a deleted row in its file until the space is reused, samples of columns in its statistics, and every
change in its log (WAL). So this refreshes statistics, rewrites every table, and rotates the log until no older segment
is left. On a server of your own, for which the superuser's rights are needed, whoever runs it does the last two steps:
see docs/erasure.md.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

import psycopg

from myi_pipeline.errors import Permanent, Transient
from myi_pipeline.operations.backup.target import names_beside
from myi_pipeline.operations.log_traces import clear_folder
from myi_pipeline.postgres.connections import (
    CONNECT_TIMEOUT_S,
    Connection,
    Role,
    Warehouse,
    compose_url,
    parse_url,
    statement,
)
from myi_pipeline.postgres.embedded import embedded_server
from myi_pipeline.postgres.embedded.upgrade import kept_data
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.settings import Settings

log = logging.getLogger(__name__)

# How long to wait for one table, which somebody may be reading.
_LOCK_WAIT = "60s"
# While somebody reads by an older snapshot, as autovacuum's ANALYZE does, what was deleted is written anew, too.
_SNAPSHOT_WAIT_S = 60.0
# Recycled segments lie ahead of the log, and hold what they held; each is written over by turning the log over once.
_MOST_TURNS = 400
_FOREIGN = "This server's log (WAL) and statistics must be rotated by its administrator: see docs/erasure.md."


@dataclass(frozen=True)
class Scrubbed:
    """`remarks` say what is left for somebody else to do."""

    tables: int
    segments: int
    remarks: list[str] = field(default_factory=list)


def scrub(warehouse: Warehouse, settings: Settings, *, on_step: Callable[[str], None]) -> Scrubbed:
    """Can be repeated at any time. Raises Transient while a table is in use, Permanent without the necessary rights."""
    if settings.database_url is not None:
        return _scrub_foreign(warehouse, on_step=on_step)
    dagster = parse_url(warehouse.dagster_url())["dbname"]
    with embedded_server(settings.home) as server:
        tables = 0
        with closing(_connect(server.url("postgres"))) as connection:
            remarks = _drop_left_over(connection, warehouse.database)
        for database in (warehouse.database, dagster, "postgres"):
            with closing(_connect(server.url(database))) as connection:
                on_step(f"Rewriting the tables of {database}.")
                _await_snapshots(connection)
                # A table that is empty now keeps what its last samples were.
                connection.execute("delete from pg_statistic")
                tables += _rewrite(connection)
        with closing(_connect(server.url("postgres"))) as connection:
            on_step("Rotating the log.")
            segments = _turn_log_over(connection)
        # Statements that failed, with their values.
        clear_folder(server.places.log)
    remarks += [
        f"{folder} holds the database as it was before an upgrade, with what was erased since: delete it with"
        " `myi upgrade --forget-old`"
        for folder in kept_data(settings.home)
    ]
    return Scrubbed(tables=tables, segments=segments, remarks=remarks)


def _drop_left_over(connection: Connection, database: str) -> list[str]:
    """Databases left by a killed restore contain users who were erased since its backup."""
    remarks: list[str] = []
    for name in _left_over(connection, database):
        try:
            connection.execute(statement("drop database if exists {}", name))
        except psycopg.errors.ObjectInUse:
            remarks.append(f"The database {name} is in use by a restore: when that has ended, do this again.")
    return remarks


def _left_over(connection: Connection, database: str) -> list[str]:
    found = connection.execute(
        "select datname from pg_database where datname = any(%s) order by datname", (list(names_beside(database)),)
    )
    return [row[0] for row in found.fetchall()]


def _scrub_foreign(warehouse: Warehouse, *, on_step: Callable[[str], None]) -> Scrubbed:
    """What the owners of the tables may do."""
    tables = 0
    for url in (warehouse.url(Role.OWNER), warehouse.url(Role.DBT), warehouse.dagster_url()):
        with closing(_connect(url)) as connection:
            on_step(f"Rewriting the tables of {parse_url(url).get('user', '')}.")
            _await_snapshots(connection)
            tables += _rewrite(connection)
    with closing(_connect(warehouse.url(Role.OWNER))) as connection:
        left = [
            f"A restore left the database {name}, which may hold whoever was erased: its administrator can drop it."
            for name in _left_over(connection, warehouse.database)
        ]
    return Scrubbed(tables=tables, segments=0, remarks=[*left, _FOREIGN])


def _connect(url: str) -> Connection:
    # SQLAlchemy's driver in the scheme of Dagster's URL is none of libpq's.
    return psycopg.connect(
        compose_url(parse_url(url)), autocommit=True, application_name="myi scrub", connect_timeout=CONNECT_TIMEOUT_S
    )


# Of other people's processes only a superuser sees them.
_OLDER_SNAPSHOTS = """
select count(*) from pg_stat_activity
where
    datname = current_database() and pid <> pg_backend_pid()
    and (age(backend_xmin) > age(%(mark)s::xid) or age(backend_xid) > age(%(mark)s::xid))
"""


def _await_snapshots(connection: Connection) -> None:
    """Waits until no session can see the deleted rows. Raises Transient."""
    mark = connection.execute("select pg_current_xact_id()::xid::text").fetchone()
    assert mark is not None
    until = time.monotonic() + _SNAPSHOT_WAIT_S
    while True:
        row = connection.execute(_OLDER_SNAPSHOTS, {"mark": mark[0]}).fetchone()
        if row is None or row[0] == 0:
            return
        if time.monotonic() > until:
            raise Transient("an older session is still reading the database: stop `myi up` and try again")
        time.sleep(0.1)


def _rewrite(connection: Connection) -> int:
    connection.execute("select set_config('lock_timeout', %s, false)", (_LOCK_WAIT,))
    connection.execute("analyze")
    tables = connection.execute(load_sql("operations/scrub/tables")).fetchall()
    for schema, name in tables:
        try:
            connection.execute(statement("vacuum (full) {}.{}", schema, name))
        except psycopg.errors.LockNotAvailable as error:
            raise Transient(f"{schema}.{name} is in use: stop `myi up` and try again") from error
        except psycopg.errors.UndefinedTable:
            continue
        except psycopg.errors.DiskFull as error:
            raise Permanent(
                f"not enough disk space to rewrite {schema}.{name}: free some space and try again"
            ) from error
    return len(tables)


def _turn_log_over(connection: Connection) -> int:
    """How many segments from before are gone. Without recycling a checkpoint deletes them; those that were recycled
    earlier lie ahead, and each turn uses one up."""
    old = _segments(connection)
    connection.execute("alter system set wal_recycle = off")
    try:
        connection.execute("select pg_reload_conf()")
        _await_setting(connection)
        for _ in range(_MOST_TURNS):
            row = connection.execute("select pg_walfile_name(pg_current_wal_lsn())").fetchone()
            current = row[0] if row is not None else ""
            if not any(name >= current for name in old & _segments(connection)):
                break
            connection.execute("select pg_logical_emit_message(false, 'myi', '')")
            connection.execute("select pg_switch_wal()")
        # The first one's log begins before it; the second has nothing left to keep.
        for _ in range(2):
            connection.execute("checkpoint")
            connection.execute("select pg_logical_emit_message(false, 'myi', '')")
            connection.execute("select pg_switch_wal()")
        connection.execute("checkpoint")
    finally:
        connection.execute("alter system reset wal_recycle")
        connection.execute("select pg_reload_conf()")
    return len(old - _segments(connection))


def _segments(connection: Connection) -> set[str]:
    return {row[0] for row in connection.execute("select name from pg_ls_waldir() where name ~ '^[0-9A-F]{24}$'")}


def _await_setting(connection: Connection) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        row = connection.execute("show wal_recycle").fetchone()
        if row is not None and row[0] == "off":
            return
        time.sleep(0.05)
