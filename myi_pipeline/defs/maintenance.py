"""Daily maintenance in Dagster: the chores as an asset, so that a missed day is seen; pruning of Dagster's own records;
and the checks of the warehouse.

Dagster never removes runs and their events by itself, so `prune_event_log` does. A run that holds the latest
materialization of an asset or a partition stays, because deleting a run also deletes what the UI shows as that
partition's state. A check only reads, and its failure stops nothing.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster import DagsterInstance

from myi_pipeline.archives.reading_settings import archive_limits
from myi_pipeline.defs.archives import ARCHIVE_CHECKS
from myi_pipeline.defs.partitions import USERS, sync_partitions
from myi_pipeline.defs.queues import in_queue
from myi_pipeline.defs.resources import OWNERS, Installation, ask_warehouse, build_check, start_run_correlation
from myi_pipeline.errors import Permanent, Transient
from myi_pipeline.operations import checks
from myi_pipeline.operations.erase_users import carry_out_due, reapply_tombstones
from myi_pipeline.operations.maintenance import (
    MONTHS_AHEAD,
    Chores,
    maintain,
    remove_old_exports,
    remove_unfinished_uploads,
)
from myi_pipeline.operations.remove_users import finish_removals
from myi_pipeline.people.tombstones import share_tombstones

log = logging.getLogger(__name__)

MAINTENANCE = dg.AssetKey("maintenance")


@dg.asset(
    key=MAINTENANCE,
    group_name="operations",
    kinds={"python", "postgres"},
    owners=OWNERS,
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=49), warn_window=timedelta(hours=26)),
    description="Once a day: partitions for the coming months, abandoned imports, old quarantine, Dagster's old runs.",
)
def maintenance(
    context: dg.AssetExecutionContext, installation: dg.ResourceParam[Installation]
) -> dg.MaterializeResult[None]:
    start_run_correlation(context.run)
    settings = installation.settings
    with installation.open() as warehouse:
        done = maintain(
            warehouse,
            today=datetime.now(UTC).date(),
            quarantine_days=settings.quarantine_days,
            session_idle_days=settings.session_idle_days,
            session_days=settings.session_days,
            limits=archive_limits(settings),
        )
        chores = Chores()
        erased = chores.do("erasures", lambda: carry_out_due(warehouse, settings, now=datetime.now(UTC)), ())
        chores.do("record of erasures", lambda: share_tombstones(settings), 0)
        erased_again = chores.do("erasures after a restore", lambda: reapply_tombstones(warehouse, settings), 0)
        added, removed = chores.do("partitions of users", lambda: sync_partitions(context.instance, warehouse), (0, 0))
        keys = context.instance.get_dynamic_partitions(USERS)
        removals = chores.do(
            "removed users",
            lambda: finish_removals(warehouse, settings, partition_keys=keys, own_run=context.run_id),
            (),
        )
        uploads_removed = 0
        try:
            uploads_removed = remove_unfinished_uploads(settings)
        except (Transient, Permanent) as error:
            context.log.warning(f"uploads that broke off could not be deleted: {error}")
    # An object store may be away for longer than this one; the next day's maintenance tries again.
    exports_removed = 0
    try:
        exports_removed = remove_old_exports(settings, now=datetime.now(UTC))
    except (Transient, Permanent) as error:
        context.log.warning(f"old exports could not be deleted: {error}")
    before = datetime.now(UTC) - timedelta(days=settings.event_log_days)
    pruned = prune_event_log(context.instance, before=before)
    for removal in removals:
        context.log.warning(f"a removed user still has {'; '.join(removal.what_is_left)}")
    for name in done.imports_abandoned:
        context.log.warning(f"{name} was abandoned by its process and is marked as failed")
    if failures := (*done.failures, *chores.failures):
        # Only now: everything else is done.
        raise dg.Failure(f"{len(failures)} daily chores failed: {'; '.join(failures)[:2_000]}")
    return dg.MaterializeResult(
        metadata={
            "partitions_made": done.partitions_made,
            "imports_abandoned": len(done.imports_abandoned),
            "quarantined_rows_removed": done.quarantined_rows_removed,
            "due_rows_brought_in": done.due_rows_brought_in,
            "users_added": added,
            "users_removed": removed,
            "users_erased": len(erased) + erased_again,
            "exports_removed": exports_removed,
            "unfinished_uploads_removed": uploads_removed,
            "removals_unfinished": len(removals),
            "runs_removed": pruned.removed,
            "runs_kept_for_their_materializations": pruned.kept,
            "pruning_is_complete": pruned.is_complete,
        }
    )


_CHUNK = 100
# One day's maintenance gives pruning this long; the next day goes on.
TIME_BUDGET_S = 300.0
_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


@dataclass(frozen=True)
class Pruned:
    removed: int
    kept: int
    is_complete: bool


@dataclass
class _Latest:
    """Storage ids of latest materializations, asked once an asset."""

    instance: DagsterInstance
    of_partitions: dict[dg.AssetKey, dict[str, int]] = field(default_factory=dict)
    of_assets: dict[dg.AssetKey, int] = field(default_factory=dict)

    def is_latest(self, record: dg.EventLogRecord) -> bool:
        key, partition = record.asset_key, record.partition_key
        if key is None:
            return False
        if partition is None:
            return record.storage_id >= self._of_asset(key)
        if key not in self.of_partitions:
            found = self.instance.get_latest_storage_id_by_partition(key, dg.DagsterEventType.ASSET_MATERIALIZATION)
            self.of_partitions[key] = dict(found)
        return record.storage_id >= self.of_partitions[key].get(partition, 0)

    def _of_asset(self, key: dg.AssetKey) -> int:
        if key not in self.of_assets:
            found = self.instance.fetch_materializations(key, limit=1).records
            self.of_assets[key] = found[0].storage_id if found else 0
        return self.of_assets[key]


def prune_event_log(
    instance: DagsterInstance,
    *,
    before: datetime,
    budget_s: float = TIME_BUDGET_S,
    clock: Callable[[], float] = time.monotonic,
) -> Pruned:
    """Delete finished runs that ended before a moment, oldest first, for at most `budget_s` seconds."""
    latest, removed, kept = _Latest(instance), 0, 0
    cursor: str | None = None
    deadline = clock() + budget_s
    filters = dg.RunsFilter(statuses=_FINISHED, updated_before=before)
    while True:
        records = instance.get_run_records(filters, limit=_CHUNK, cursor=cursor, ascending=True)
        for record in records:
            if clock() > deadline:
                return Pruned(removed, kept, is_complete=False)
            if _is_needed(instance, latest, record.dagster_run.run_id):
                kept += 1
            else:
                # Before the run: killed in between, the next day's maintenance finds it again.
                try:
                    instance.compute_log_manager.delete_logs(prefix=[record.dagster_run.run_id])
                except Exception as error:
                    log.warning("compute logs could not be deleted: %s", type(error).__name__)
                    return Pruned(removed, kept, is_complete=False)
                instance.delete_run(record.dagster_run.run_id)
                removed += 1
        if len(records) < _CHUNK:
            return Pruned(removed, kept, is_complete=True)
        cursor = _last_kept(records, instance) or cursor


def _last_kept(records: Sequence[dg.RunRecord], instance: DagsterInstance) -> str | None:
    """A cursor must name a run that is still there."""
    for record in reversed(records):
        if instance.has_run(record.dagster_run.run_id):
            return record.dagster_run.run_id
    return None


def _is_needed(instance: DagsterInstance, latest: _Latest, run_id: str) -> bool:
    cursor: str | None = None
    while True:
        page = instance.get_records_for_run(
            run_id, cursor=cursor, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION, limit=1_000
        )
        if any(latest.is_latest(record) for record in page.records):
            return True
        if not page.has_more:
            return False
        cursor = page.cursor


_RESOLVED = dg.AssetKey(["intermediate", "int_plays__resolved"])
_PLAYS = dg.AssetKey(["marts", "fct_plays"])

WAREHOUSE_CHECKS = [
    build_check(
        MAINTENANCE,
        "partitions_exist_ahead",
        "Partitions for this month and the next ones exist.",
        lambda _, warehouse: checks.partitions_exist_ahead(warehouse, months=MONTHS_AHEAD),
    ),
    build_check(
        MAINTENANCE,
        "runs_have_processes",
        "No run occupies a slot after its process has ended, and queued runs are started.",
        ask_warehouse(checks.runs_have_processes),
    ),
    build_check(
        _RESOLVED,
        "events_belong_to_one_play",
        "Every raw event of sampled users belongs to exactly one play.",
        ask_warehouse(checks.events_belong_to_one_play),
    ),
    build_check(
        _RESOLVED,
        "plays_have_one_event_a_source",
        "No play holds two rows of one archive.",
        ask_warehouse(checks.plays_have_one_event_a_source),
    ),
    build_check(
        _RESOLVED,
        "polled_plays_meet_archives",
        "At least 95 % of the polled plays within archive coverage are in the archive.",
        ask_warehouse(checks.polled_plays_meet_archives),
        is_urgent=lambda _: False,
    ),
    build_check(
        _PLAYS,
        "ledger_is_young",
        "No change waits for a refresh for more than three hours.",
        ask_warehouse(checks.ledger_is_young),
    ),
    build_check(
        _PLAYS,
        "models_take_their_time",
        "No model's last run took many times longer than previous ones.",
        ask_warehouse(checks.models_take_their_time),
        is_urgent=lambda _: False,
    ),
]

_DAILY_CHECKS = [key for check in (*ARCHIVE_CHECKS, *WAREHOUSE_CHECKS) for key in check.check_keys]

maintenance_job = dg.define_asset_job(
    "daily_maintenance",
    selection=dg.AssetSelection.assets(MAINTENANCE).without_checks() | dg.AssetSelection.checks(*_DAILY_CHECKS),
    tags=in_queue("daily_maintenance"),
    description="The daily chores, followed by the checks of the whole warehouse.",
)

daily_maintenance = dg.ScheduleDefinition(
    name="daily_maintenance",
    job=maintenance_job,
    cron_schedule="23 3 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
