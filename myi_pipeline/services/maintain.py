"""The daily chores of the warehouse.

Belongs here: partitions ahead, imports that nobody finishes, quarantine and counts of requests that nobody needs. Not
here: Dagster's own records (defs/pruning.py). Invariant: each chore can be repeated at any time and touches no play.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from myi_pipeline.warehouse import poll_store, quota_ledger
from myi_pipeline.warehouse.connections import Role, Warehouse
from myi_pipeline.warehouse.loading.abandoned import drop_abandoned_staging
from myi_pipeline.warehouse.loading.partitions import ensure_partitions
from myi_pipeline.warehouse.sql_files import load_sql

# This month and the next three: a machine that sleeps through a season still finds its partition.
MONTHS_AHEAD = 3
# At 10,000 users the log of polls grows by 200,000 rows a day. Nothing is computed from it.
POLLS_KEPT = timedelta(days=90)


@dataclass(frozen=True)
class Maintained:
    """What was done: partitions made, imports marked as failed, rows out of quarantine, polls out of their log."""

    partitions_made: int
    imports_abandoned: tuple[str, ...]
    quarantined_rows_removed: int
    polls_forgotten: int = 0


def months_ahead(today: date) -> list[date]:
    """The first of this month and of the next MONTHS_AHEAD."""
    months = [today.replace(day=1)]
    while len(months) <= MONTHS_AHEAD:
        months.append((months[-1] + timedelta(days=32)).replace(day=1))
    return months


def maintain(warehouse: Warehouse, *, today: date, quarantine_days: int) -> Maintained:
    """Do what is due. Rows stay in quarantine for `quarantine_days` after their import ended."""
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi maintenance")) as connection:
        made = ensure_partitions(connection, months_ahead(today))
        abandoned = connection.execute(load_sql("maintain/fail_abandoned_imports")).fetchall()
        drop_abandoned_staging(connection)
        removed = connection.execute(load_sql("maintain/prune_quarantine"), {"days": quarantine_days}).rowcount
        now = datetime.combine(today, time(), UTC)
        quota_ledger.prune(connection, now=now)
        polls = poll_store.prune(connection, before=now - POLLS_KEPT)
    return Maintained(made, tuple(f"{name} (import {import_id})" for import_id, name in abandoned), removed, polls)
