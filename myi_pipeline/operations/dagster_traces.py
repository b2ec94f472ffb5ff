"""Deleting what Dagster's database contains about an erased user, except partitions, which its instance deletes.

Runs of this user alone are deleted with all their data; from runs of several users, the events of this partition are
deleted, and elsewhere the key and names are removed. Sensor ticks that name the user are deleted. By SQL, since
Dagster's own interface deletes whole runs only; the tables are those of `dagster._core.storage`.
"""

from __future__ import annotations

import shutil
from contextlib import closing
from datetime import datetime
from pathlib import Path

import psycopg
from psycopg import sql

from myi_pipeline.errors import Transient
from myi_pipeline.operations.redaction import Traces, redact
from myi_pipeline.postgres.connections import CONNECT_TIMEOUT_S, Connection, Warehouse, compose_url, parse_url
from myi_pipeline.postgres.sql_files import load_sql, load_statements
from myi_pipeline.settings import Settings
from myi_pipeline.storage.open_store import open_compute_logs

_ROWS_A_BATCH = 200
# Where documents lie, and plain texts, by table, key and column.
_DOCUMENTS = (
    ("runs", "run_id", "run_body"),
    ("event_logs", "id", "event"),
    ("asset_keys", "id", "last_materialization"),
    ("asset_check_executions", "id", "evaluation_event"),
    ("instigators", "id", "instigator_body"),
    ("jobs", "id", "job_body"),
    ("bulk_actions", "id", "body"),
)
_TEXTS = (
    ("run_tags", "id", "value"),
    ("backfill_tags", "id", "value"),
    ("asset_event_tags", "id", "value"),
    ("kvs", "id", "value"),
    ("daemon_heartbeats", "id", "body"),
    ("asset_daemon_asset_evaluations", "id", "asset_evaluation_body"),
)


def clear_dagster(warehouse: Warehouse, settings: Settings, traces: Traces) -> int:
    """Removes what names this user; returns how many rows were changed or deleted.

    Raises Transient if the database of Dagster does not answer; without one there is nothing to do."""
    connection = _connect(warehouse)
    if connection is None:
        return 0
    with closing(connection):
        tables = {row[0] for row in connection.execute("select tablename from pg_tables where schemaname = 'public'")}
        if "runs" not in tables:
            return 0
        changed = _delete_runs(connection, settings, traces)
        with connection.transaction():
            for statement in load_statements("operations/traces/delete_events"):
                values = {"user_key": traces.user_key, "pattern": traces.sql_pattern}
                changed += max(0, connection.execute(statement, values).rowcount)
            # Where Dagster has a home, its own command or sensor has deleted it.
            if "dynamic_partitions" in tables:
                query = "delete from dynamic_partitions where partitions_def_name = 'users' and partition = %s"
                changed += connection.execute(query, (traces.user_key,)).rowcount
        for table, key, column in _DOCUMENTS:
            if table in tables:
                changed += _redact(connection, traces, table=table, key=key, column=column, is_free=False)
        for table, key, column in _TEXTS:
            if table in tables:
                changed += _redact(connection, traces, table=table, key=key, column=column, is_free=True)
        return changed


def runs_from_before(warehouse: Warehouse, moment: datetime, *, own_run: str | None) -> bool:
    """Whether runs other than `own_run` are going that began before a moment. Raises Transient as above."""
    connection = _connect(warehouse)
    if connection is None:
        return False
    with closing(connection):
        if connection.execute("select to_regclass('public.runs')").fetchone() == (None,):
            return False
        values = {"moment": moment.timestamp(), "own_run": own_run}
        row = connection.execute(load_sql("operations/traces/runs_from_before"), values).fetchone()
        return row is not None and bool(row[0])


def _connect(warehouse: Warehouse) -> Connection | None:
    """To Dagster's database; None when there is none."""
    try:
        return psycopg.connect(
            compose_url(parse_url(warehouse.dagster_url())),
            autocommit=True,
            application_name="myi erasure",
            connect_timeout=CONNECT_TIMEOUT_S,
        )
    except psycopg.OperationalError as error:
        if "does not exist" in str(error):
            return None
        raise Transient(f"Dagster's database cannot be reached: {str(error).splitlines()[0]}") from error


def _delete_runs(connection: Connection, settings: Settings, traces: Traces) -> int:
    """Those of this user alone, a few at a time, each with its compute logs."""
    deleted = 0
    bucket = open_compute_logs(settings)
    values = {"user_key": traces.user_key}
    while found := connection.execute(load_sql("operations/traces/runs_of_one_user"), values).fetchall():
        runs = [row[0] for row in found]
        for run_id in runs:
            _delete_folder(settings.dagster_home / "storage" / run_id)
            if bucket is not None:
                bucket.delete([each.key for each in bucket.listed(f"storage/{run_id}/")])
        with connection.transaction():
            for statement in load_statements("operations/traces/delete_runs"):
                connection.execute(statement, {"runs": runs})
        deleted += len(runs)
    return deleted


def _redact(connection: Connection, traces: Traces, *, table: str, key: str, column: str, is_free: bool) -> int:
    """Rows that match and hold the key only as a word of their form stay as they are."""
    names = {name: sql.Identifier(value) for name, value in (("table", table), ("key", key), ("column", column))}
    find = sql.SQL("select {key}, {column} from {table} where {column} ~ %s").format(**names)
    change = sql.SQL("update {table} set {column} = %s where {key} = %s and {column} = %s").format(**names)
    changed = 0
    with connection.transaction(), connection.cursor(name="traces") as found:
        found.itersize = _ROWS_A_BATCH
        found.execute(find, (traces.sql_pattern,))
        for number, text in found:
            cleared = redact(text, traces, is_free=is_free)
            # A document may look different after reading and writing without a change of meaning.
            if traces.count_in(cleared) < traces.count_in(text):
                changed += connection.execute(change, (cleared, number, text)).rowcount
    return changed


def _delete_folder(folder: Path) -> None:
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder, ignore_errors=True)
