"""What happens by the clock.

Belongs here: when, and whether at all. Not here: what happens. Invariant: an hour in which nothing changed starts
nothing.
"""

from typing import TYPE_CHECKING

import dagster as dg

from myi_pipeline.defs.jobs import maintenance_job
from myi_pipeline.defs.resources import CORRELATION_TAG, Installation
from myi_pipeline.services.open_refresh import open_work

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition as Job

# At the full hour everybody else's jobs run too.
_HOURLY, _DAILY = "7 * * * *", "23 3 * * *"

daily_maintenance = dg.ScheduleDefinition(
    name="daily_maintenance",
    job=maintenance_job,
    cron_schedule=_DAILY,
    default_status=dg.DefaultScheduleStatus.RUNNING,
)


def build_hourly_refresh(refresh_job: "Job") -> dg.ScheduleDefinition:
    @dg.schedule(
        name="hourly_refresh",
        job=refresh_job,
        cron_schedule=_HOURLY,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Refreshes the marts when anything is in the change ledger.",
    )
    def hourly_refresh(
        context: dg.ScheduleEvaluationContext, installation: dg.ResourceParam[Installation]
    ) -> dg.RunRequest | dg.SkipReason:
        with installation.open() as warehouse:
            if not open_work(warehouse).is_any:
                return dg.SkipReason("nothing has changed since the last refresh")
        hour = context.scheduled_execution_time.strftime("%Y%m%dT%H%M")
        return dg.RunRequest(tags={CORRELATION_TAG: f"hourly-{hour}"})

    return hourly_refresh
