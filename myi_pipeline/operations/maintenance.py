"""The daily chores of the warehouse: partitions ahead of time, rows and plays that have become due, abandoned imports,
and pruning (quarantine, request counts, the logs of polls, gatherings and submissions, ended sign-ins, kept answers of
the API, ended share reports, notices, the audit log, exports).

Each chore can be repeated at any time and removes no plays. Dagster's own records are pruned in defs/maintenance.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TypeVar

from myi_pipeline.archives.due_rows import bring_in_due_rows
from myi_pipeline.archives.files import Limits
from myi_pipeline.archives.loading import drop_abandoned_staging
from myi_pipeline.archives.uploads.bucket import forget_fetched
from myi_pipeline.archives.uploads.incoming import forget_unfinished
from myi_pipeline.catalogue.event_partitions import ensure_partitions
from myi_pipeline.errors import MyiError
from myi_pipeline.notices import store as notices
from myi_pipeline.operations import heartbeats
from myi_pipeline.people import audit, kept_answers, manage_access, take_away_orders
from myi_pipeline.playlists import gathering
from myi_pipeline.playlists.file_inbox import keep_files
from myi_pipeline.polling import poll_store, scrobble_store
from myi_pipeline.polling.due_plays import bring_in_due_plays
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.providers import quota_ledger
from myi_pipeline.settings import Settings
from myi_pipeline.sharing import household, shares
from myi_pipeline.storage import stored_files
from myi_pipeline.storage.open_store import open_store, open_uploads
from myi_pipeline.submissions import drain as submissions

log = logging.getLogger(__name__)
_T = TypeVar("_T")
_U = TypeVar("_U")

# This month and the next three: a machine that sleeps through a season still finds its partition.
MONTHS_AHEAD = 3
# With 10,000 users, the log of polls grows by 200,000 rows a day. Nothing is computed from it.
POLLS_KEPT = SUBMISSIONS_KEPT = timedelta(days=90)
# Their files are deleted earlier.
EXPORTS_KEPT = timedelta(days=90)


@dataclass(frozen=True)
class Maintained:
    """What was done: partitions made, imports marked as failed, rows out of quarantine, polls out of their log.
    And which chores failed, and why."""

    partitions_made: int
    imports_abandoned: tuple[str, ...]
    quarantined_rows_removed: int
    polls_forgotten: int = 0
    due_rows_brought_in: int = 0
    failures: tuple[str, ...] = ()


class Chores:
    """Runs each separately: one that fails is recorded, and the others still run."""

    def __init__(self) -> None:
        self.failures: list[str] = []

    def do(self, name: str, chore: Callable[[], _T], otherwise: _U) -> _T | _U:
        try:
            return chore()
        except Exception as error:
            # Messages of the database or a library may contain what somebody heard.
            reason = str(error) if isinstance(error, MyiError) else type(error).__name__
            log.warning("%s: %s", name, reason, exc_info=not isinstance(error, MyiError))
            self.failures.append(f"{name}: {reason}")
            return otherwise


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
    """Does what is due; `failures` of the result lists what could not be done.

    Rows stay in quarantine for `quarantine_days` after their import ended; those that lay ahead of time are read by
    `limits` when theirs has come.

    `session_idle_days` and `session_days` are the settings by which a sign-in ends.
    """
    now = datetime.combine(today, time(), UTC)
    chores = Chores()
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi maintenance")) as connection:
        made = chores.do("partitions", lambda: ensure_partitions(connection, months_ahead(today)), 0)
        abandoned = chores.do(
            "abandoned imports",
            lambda: connection.execute(load_sql("operations/maintain/fail_abandoned_imports")).fetchall(),
            (),
        )
        chores.do("staging tables", lambda: drop_abandoned_staging(connection), None)
        values = {"days": quarantine_days}
        removed = chores.do(
            "quarantine",
            lambda: connection.execute(load_sql("operations/maintain/prune_quarantine"), values).rowcount,
            0,
        )
        chores.do("request counts", lambda: quota_ledger.prune(connection, now=now), None)
        polls = chores.do("polls", lambda: poll_store.prune(connection, before=now - POLLS_KEPT), 0)
        # Where no daemon hears of them.
        chores.do("submissions", lambda: submissions.drain(connection), None)
        chores.do("playlist files", lambda: keep_files(connection, now=lambda: datetime.now(UTC)), None)
        refused_before = now - timedelta(days=quarantine_days)
        removed += chores.do(
            "old submissions",
            lambda: submissions.prune(connection, before=now - SUBMISSIONS_KEPT, refused_before=refused_before),
            0,
        )
        polls += chores.do("polls of services", lambda: scrobble_store.prune(connection, before=now - POLLS_KEPT), 0)
        chores.do("gatherings", lambda: gathering.prune(connection, before=now - POLLS_KEPT), None)
        chores.do("kept answers", lambda: kept_answers.prune(connection, now=now), None)
        chores.do("exports", lambda: take_away_orders.prune_exports(connection, before=now - EXPORTS_KEPT), None)
        chores.do("shared reports", lambda: shares.prune(connection, now=now), None)
        chores.do("households", lambda: household.prune(connection, now=now), None)
        chores.do("notices", lambda: notices.prune(connection, now=now), None)
        chores.do("audit log", lambda: audit.prune(connection), None)
        chores.do("heartbeats", lambda: heartbeats.forget_old(connection), None)
    with closing(warehouse.connect(Role.APP, autocommit=True, application_name="myi maintenance")) as connection:
        chores.do(
            "ended sign-ins",
            lambda: manage_access.prune_ended(connection, idle_days=session_idle_days, longest_days=session_days),
            None,
        )
    due = chores.do("due rows", lambda: bring_in_due_rows(warehouse, now=now, limits=limits or Limits()), 0)
    due += chores.do("due plays", lambda: bring_in_due_plays(warehouse, now=now), 0)
    names = tuple(f"{name} (import {import_id})" for import_id, name in abandoned)
    return Maintained(made, names, removed, polls, due, failures=tuple(chores.failures))


def remove_unfinished_uploads(settings: Settings) -> int:
    """Delete what never became an archive: on this machine, and from an object store (UploadsBucket.forget_unfinished);
    returns how many objects."""
    forget_left_copies(settings)
    bucket = open_uploads(settings)
    return bucket.forget_unfinished() if bucket is not None else 0


def forget_left_copies(settings: Settings) -> None:
    """Remove copies of archives that killed processes left on this machine. A folder that cannot be read is only
    logged."""
    try:
        forget_fetched(settings)
        forget_unfinished(settings)
    except OSError as error:
        log.warning("copies of archives could not be removed: %s", error.strerror)


def remove_old_exports(settings: Settings, *, now: datetime) -> int:
    """Delete exports that are older than MYI_ARTIFACTS_DAYS; returns how many. Raises Transient and Permanent."""
    return stored_files.prune(open_store(settings), before=now - timedelta(days=settings.artifacts_days))
