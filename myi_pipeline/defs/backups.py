"""Backups in Dagster: the asset of what was backed up, and the schedule that looks whether one is due.

It looks every hour, so a machine that was off at night makes its backup when it is on, and one that failed is tried
again. Backups share the pool of dbt, since refreshes have to wait for them anyway.
"""

from datetime import UTC, datetime

import dagster as dg

from myi_pipeline.defs.queues import in_queue
from myi_pipeline.defs.resources import CORRELATION_TAG, DBT_POOL, OWNERS, Installation, start_run_correlation
from myi_pipeline.defs.runs import unfinished_runs
from myi_pipeline.errors import MyiError
from myi_pipeline.operations.backup import journal
from myi_pipeline.operations.backup.make import backup_store, given_passphrase, make_backup
from myi_pipeline.operations.backup.retention import is_due
from myi_pipeline.settings import Settings

BACKUPS = dg.AssetKey("backups")
BACK_UP = "back_up"


@dg.asset(
    key=BACKUPS,
    pool=DBT_POOL,
    group_name="operations",
    kinds={"python", "postgres"},
    owners=OWNERS,
    description="Backups at MYI_BACKUP; MYI_BACKUP_KEEP defines how many are kept.",
)
def backups(
    context: dg.AssetExecutionContext, installation: dg.ResourceParam[Installation]
) -> dg.MaterializeResult[None]:
    start_run_correlation(context.run)
    settings = installation.settings
    try:
        passphrase = None if settings.backup_without_secrets else given_passphrase(settings)
        if passphrase is None and not settings.backup_without_secrets:
            raise dg.Failure(description=f"nothing seals the secrets: {journal.SEAL}", allow_retries=False)
        store = backup_store(settings)
        with installation.open() as warehouse:
            made = make_backup(
                settings, warehouse, store, passphrase=passphrase, keep=settings.backup_keep, is_scheduled=True
            )
    except MyiError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
    return dg.MaterializeResult(
        metadata={
            "name": made.name,
            "bytes": made.bytes,
            "database_bytes": made.database_bytes,
            "seconds": round(made.seconds, 1),
            "has_secrets": made.has_secrets,
            "older_backups_deleted": len(made.deleted),
        }
    )


back_up_job = dg.define_asset_job(
    BACK_UP,
    selection=dg.AssetSelection.assets(BACKUPS).without_checks(),
    tags=in_queue(BACK_UP),
    description="Back up to MYI_BACKUP.",
)


def build_backup_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """Runs where MYI_BACKUP is set."""

    @dg.schedule(
        name="backups",
        job=back_up_job,
        cron_schedule="41 * * * *",
        default_status=dg.DefaultScheduleStatus.STOPPED
        if settings.backup is None
        else dg.DefaultScheduleStatus.RUNNING,
        description="Checks every hour whether a backup is due according to MYI_BACKUP_EVERY.",
    )
    def schedule(
        context: dg.ScheduleEvaluationContext, installation: dg.ResourceParam[Installation]
    ) -> dg.RunRequest | dg.SkipReason:
        if settings.backup is None:
            return dg.SkipReason("MYI_BACKUP is not set")
        now = context.scheduled_execution_time.astimezone(UTC)
        with installation.open() as warehouse:
            last = journal.last_good_began(warehouse, place=settings.backup)
        if not is_due(last, every=settings.backup_every.value, now=now):
            return dg.SkipReason(f"the last backup was made {_told(last)}")
        if unfinished_runs(context.instance, BACK_UP, most=1):
            return dg.SkipReason("the last run has not finished yet")
        return dg.RunRequest(tags={CORRELATION_TAG: f"backup-{now:%Y%m%dT%H%M}"})

    return schedule


def _told(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment is not None else "never"
