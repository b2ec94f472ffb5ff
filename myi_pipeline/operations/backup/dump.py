"""Dumping the two databases with pg_dump, in the directory format: one compressed file per table, several at a time.

The manifest's figures come from the very snapshot that is dumped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from myi_pipeline.operations.backup.programs import JOBS, Programs, parts_of, run_program
from myi_pipeline.postgres.connections import Connection, Role, Warehouse
from myi_pipeline.postgres.sql_files import load_sql

# The tables of `load` belong to imports, which drop them at the end and would wait for the dump to release them.
SCHEMAS: Final = ("app", "raw", "ops", "load", "staging", "intermediate", "marts")
_PASSING_TABLES: Final = "load.*"
# Longer than any of our statements locks a table exclusively.
_LOCK_TIMEOUT_MS: Final = 10 * 60 * 1000


@dataclass(frozen=True)
class Snapshot:
    """The warehouse at one moment, while its connection is open."""

    snapshot_id: str
    schema_version: str
    server_version: str
    server_major: int
    database_bytes: int
    counts: Mapping[str, int]


@contextmanager
def snapshot_of(warehouse: Warehouse) -> Iterator[Snapshot]:
    with warehouse.connect(Role.OWNER, application_name="myi backup") as connection:
        connection.execute("set transaction isolation level repeatable read, read only")
        # The dump takes as long as it takes.
        connection.execute("set local idle_in_transaction_session_timeout = 0")
        yield _take(connection)
        connection.rollback()


def _take(connection: Connection) -> Snapshot:
    row = connection.execute(load_sql("operations/backup/snapshot")).fetchone()
    assert row is not None
    snapshot_id, schema_version, database_bytes, users, events, last_run = row
    return Snapshot(
        snapshot_id=str(snapshot_id),
        schema_version=str(schema_version),
        server_version=connection.info.parameter_status("server_version") or "",
        server_major=connection.info.server_version // 10000,
        database_bytes=int(database_bytes),
        counts={"users": int(users), "events": int(events), "last_mart_run": int(last_run)},
    )


def dump_warehouse(programs: Programs, warehouse: Warehouse, target: Path, *, snapshot: Snapshot, place: str) -> None:
    """Raises DiskFull, Transient, Permanent."""
    command = [
        *_command(programs, target), f"--snapshot={snapshot.snapshot_id}",
        *(f"--schema={schema}" for schema in SCHEMAS), f"--exclude-table={_PASSING_TABLES}",
    ]  # fmt: skip
    run_program(command, parts=parts_of(warehouse.url(Role.OWNER)), doing="the backup of the warehouse", place=place)


def dump_dagster(programs: Programs, warehouse: Warehouse, target: Path, *, place: str) -> None:
    """Raises DiskFull, Transient, Permanent."""
    run_program(
        _command(programs, target), parts=parts_of(warehouse.dagster_url()),
        doing="the backup of Dagster's database", place=place,
    )  # fmt: skip


def _command(programs: Programs, target: Path) -> list[str]:
    return [
        programs.path("pg_dump"), "--format=directory", f"--jobs={JOBS}", f"--file={target}", "--no-password",
        f"--lock-wait-timeout={_LOCK_TIMEOUT_MS}",
    ]  # fmt: skip
