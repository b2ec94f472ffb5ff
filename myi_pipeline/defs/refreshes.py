"""When the marts are refreshed, soon after any change and hourly as a net below that, and tested daily."""

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

from myi_pipeline.defs.queues import in_queue
from myi_pipeline.defs.resources import CORRELATION_TAG, LEDGER_TAG, Installation
from myi_pipeline.defs.runs import unfinished_runs
from myi_pipeline.errors import DiskFull
from myi_pipeline.marts.refresh import open_work
from myi_pipeline.postgres.disk_space import disk_guard

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition as Job

REFRESH_MARTS = "refresh_marts"
# At the full hour everybody else's jobs run too.
_HOURLY = "7 * * * *"
# After the daily maintenance, while people sleep.
_NIGHTLY = "37 3 * * *"
# Whoever changes something wakes it (wake_ups).
_LOOK_EVERY_S = 300
# After a refresh that did not close the ledger; doubled after each.
_PAUSE_S, _LONGEST_PAUSE_S = 60.0, 3600.0
_REFRESHES_COUNTED = 10


def build_refresh_job(marts: dg.AssetsDefinition) -> "Job":
    """The models of `marts`; the tests of what it builds come with it. It selects every model: only a run that may
    build all of them closes the change ledger."""
    return dg.define_asset_job(
        REFRESH_MARTS,
        selection=dg.AssetSelection.assets(marts).without_checks(),
        tags=in_queue(REFRESH_MARTS),
        description="Recompute the changes in the change ledger, then run the data tests of the built models.",
    )


def build_daily_tests(marts: dg.AssetsDefinition) -> dg.ScheduleDefinition:
    """Refreshes run the data tests of what they build; this runs all of them."""
    job = dg.define_asset_job(
        "test_marts",
        selection=dg.AssetSelection.checks(*marts.check_keys),
        tags=in_queue("test_marts"),
        description="Run every dbt data test, including those of untouched models.",
    )
    return dg.ScheduleDefinition(
        name="daily_tests", job=job, cron_schedule=_NIGHTLY, default_status=dg.DefaultScheduleStatus.RUNNING
    )


def build_hourly_refresh(refresh_job: "Job") -> dg.ScheduleDefinition:
    @dg.schedule(
        name="hourly_refresh",
        job=refresh_job,
        cron_schedule=_HOURLY,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Refreshes the marts if there is anything in the change ledger.",
    )
    def hourly_refresh(
        context: dg.ScheduleEvaluationContext, installation: dg.ResourceParam[Installation]
    ) -> dg.RunRequest | dg.SkipReason:
        with installation.open() as warehouse:
            work = open_work(warehouse)
        if not work.is_any:
            return dg.SkipReason("nothing has changed since the last refresh")
        hour = context.scheduled_execution_time.strftime("%Y%m%dT%H%M")
        return dg.RunRequest(tags={CORRELATION_TAG: f"hourly-{hour}", LEDGER_TAG: work.newest})

    return hourly_refresh


def build_changes_sensor(refresh_job: "Job") -> dg.SensorDefinition:
    @dg.sensor(
        name="changes",
        job=refresh_job,
        minimum_interval_seconds=_LOOK_EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Refreshes the marts soon after any import. If a refresh does not close the ledger's state, it is"
        " retried after a minute, then at growing intervals of up to an hour.",
    )
    def changes_sensor(
        context: dg.SensorEvaluationContext, installation: dg.ResourceParam[Installation]
    ) -> dg.RunRequest | dg.SkipReason:
        with installation.open() as warehouse:
            work = open_work(warehouse)
        if not work.is_any:
            return dg.SkipReason("nothing has changed since the last refresh")
        if work.is_import_running:
            return dg.SkipReason("an import is still adding to the change ledger")
        if unfinished_runs(context.instance, REFRESH_MARTS, most=1):
            return dg.SkipReason("a refresh is already in progress")
        earlier = _refreshes_of(context.instance, work.newest)
        if earlier and (wait_s := _wait_s(earlier, now_s=time.time())) > 0:
            return dg.SkipReason(
                "the last refresh did not close this state of the change ledger; the next one follows in"
                f" {math.ceil(wait_s / 60)} min"
            )
        try:
            disk_guard(installation.settings).check()
        except DiskFull as error:
            return dg.SkipReason(str(error))
        # Another key after each refresh, and the same until there is one: a look that crashed asks for no second.
        attempt = earlier[0].dagster_run.run_id[:8] if earlier else "first"
        return dg.RunRequest(
            run_key=f"{work.newest}-{attempt}",
            tags={CORRELATION_TAG: f"changes-{work.newest}"[:64], LEDGER_TAG: work.newest},
        )

    return changes_sensor


def _refreshes_of(instance: dg.DagsterInstance, state: str) -> Sequence[dg.RunRecord]:
    """The newest refreshes that were asked for at this state of the change ledger, the latest first."""
    filters = dg.RunsFilter(job_name=REFRESH_MARTS, tags={LEDGER_TAG: state})
    return instance.get_run_records(filters, limit=_REFRESHES_COUNTED)


def _wait_s(earlier: Sequence[dg.RunRecord], *, now_s: float) -> float:
    """How long to wait after refreshes that left the ledger open; after one that somebody canceled, the longest."""
    latest = earlier[0]
    ended_s = latest.end_time or latest.update_timestamp.timestamp()
    is_canceled = latest.dagster_run.status is dg.DagsterRunStatus.CANCELED
    pause_s = _LONGEST_PAUSE_S if is_canceled else min(_LONGEST_PAUSE_S, _PAUSE_S * 2.0 ** (len(earlier) - 1))
    # A clock that was put right may have been ahead when it ended.
    return min(pause_s, ended_s + pause_s - now_s)
