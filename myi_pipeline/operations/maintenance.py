"""The daily chores of the warehouse: partitions ahead of time, rows and plays that have become due, abandoned imports,
and pruning (quarantine, request counts, the logs of polls and submissions, ended sign-ins, the audit log).

Each chore can be repeated at any time and removes no play. Dagster's own records are pruned in defs/maintenance.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from myi_pipeline.archives.due_rows import bring_in_due_rows
from myi_pipeline.archives.files import Limits
from myi_pipeline.archives.loading import drop_abandoned_staging
from myi_pipeline.catalogue.event_partitions import ensure_partitions
from myi_pipeline.people import audit, manage_access
from myi_pipeline.polling import poll_store, scrobble_store
from myi_pipeline.polling.due_plays import bring_in_due_plays
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.providers import quota_ledger
from myi_pipeline.submissions import drain as submissions

# This month and the next three: a machine that sleeps through a season still finds its partition.
MONTHS_AHEAD = 3
# At 10,000 users the log of polls grows by 200,000 rows a day. Nothing is computed from it.
POLLS_KEPT = SUBMISSIONS_KEPT = timedelta(days=90)


@dataclass(frozen=True)
class Maintained:
    """What was done: partitions made, imports marked as failed, rows out of quarantine, polls out of their log."""

    partitions_made: int
    imports_abandoned: tuple[str, ...]
    quarantined_rows_removed: int
    polls_forgotten: int = 0
    due_rows_brought_in: int = 0


def months_ahead(today: date) -> list[date]:
    """The first of this month and of the next MONTHS_AHEAD."""
    months = [today.replace(day=1)]
    while len(months) <= MONTHS_AHEAD:
        months.append((months[-1] + timedelta(days=32)).replace(day=1))
    return months


def maintain(
    warehouse: Warehouse,
    *,
    today: date,
    quarantine_days: int,
    session_idle_days: int = 14,
    session_days: int = 90,
    limits: Limits | None = None,
) -> Maintained:
    """Do what is due. Rows stay in quarantine for `quarantine_days` after their import ended; those that lay ahead of
    time are read by `limits` when theirs has come.

    `session_idle_days` and `session_days` are the settings by which a sign-in ends.
    """
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi maintenance")) as connection:
        made = ensure_partitions(connection, months_ahead(today))
        abandoned = connection.execute(load_sql("operations/maintain/fail_abandoned_imports")).fetchall()
        drop_abandoned_staging(connection)
        removed = connection.execute(
            load_sql("operations/maintain/prune_quarantine"), {"days": quarantine_days}
        ).rowcount
        now = datetime.combine(today, time(), UTC)
        quota_ledger.prune(connection, now=now)
        polls = poll_store.prune(connection, before=now - POLLS_KEPT)
        # Where no daemon hears of them.
        submissions.drain(connection)
        removed += submissions.prune(
            connection, before=now - SUBMISSIONS_KEPT, refused_before=now - timedelta(days=quarantine_days)
        )
        polls += scrobble_store.prune(connection, before=now - POLLS_KEPT)
        audit.prune(connection)
    with closing(warehouse.connect(Role.APP, autocommit=True, application_name="myi maintenance")) as connection:
        manage_access.prune_ended(connection, idle_days=session_idle_days, longest_days=session_days)
    due = bring_in_due_rows(warehouse, now=now, limits=limits or Limits())
    due += bring_in_due_plays(warehouse, now=now)
    names = tuple(f"{name} (import {import_id})" for import_id, name in abandoned)
    return Maintained(made, names, removed, polls, due)
