"""Sending plays on to Last.fm and ListenBrainz in Dagster: the asset of what was sent, and when it is looked at."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing

import dagster as dg

from myi_pipeline.defs.queues import in_queue
from myi_pipeline.defs.resources import CORRELATION_TAG, OWNERS, Installation, start_run_correlation
from myi_pipeline.defs.runs import unfinished_runs
from myi_pipeline.defs.services import SERVICES_POOL
from myi_pipeline.onward.journal import list_wishes
from myi_pipeline.onward.send import send_onward
from myi_pipeline.postgres.connections import Role

ONWARD_PLAYS = dg.AssetKey("onward_plays")
SEND_ONWARD = "send_onward"


@dg.asset(
    key=ONWARD_PLAYS,
    pool=SERVICES_POOL,
    group_name="operations",
    kinds={"python", "postgres"},
    owners=OWNERS,
    description="Plays sent on to Last.fm and ListenBrainz, for users who want that.",
)
def onward_plays(
    context: dg.AssetExecutionContext, installation: dg.ResourceParam[Installation]
) -> Iterator[dg.Output[None]]:
    start_run_correlation(context.run)
    with installation.open() as warehouse:
        results = send_onward(installation.settings, warehouse, clock=installation.clock)
    for result in results:
        if result.outcome == "failed":
            context.log.warning(f"{result.user_key} at {result.service.label}: {result.reason}")
    figures = Counter[str]()
    for result in results:
        figures.update(sent=result.sent, confirmed=result.confirmed, refused=result.refused, planned=result.planned)
    failed = sum(result.outcome == "failed" for result in results)
    if failed and failed == len(results):
        raise dg.Failure(description=f"nothing could be sent: {results[0].reason}")
    yield dg.Output(None, metadata={**figures, "accounts": len(results), "failed_accounts": failed})


send_onward_job = dg.define_asset_job(
    SEND_ONWARD,
    selection=dg.AssetSelection.assets(ONWARD_PLAYS).without_checks(),
    tags=in_queue(SEND_ONWARD),
    description="Send plays on to Last.fm and ListenBrainz, for users who want that.",
)


@dg.schedule(
    name="onward",
    job=send_onward_job,
    cron_schedule="*/10 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Checks every ten minutes whether plays are to be sent on to Last.fm or ListenBrainz.",
)
def onward_schedule(
    context: dg.ScheduleEvaluationContext, installation: dg.ResourceParam[Installation]
) -> dg.RunRequest | dg.SkipReason:
    with (
        installation.open() as warehouse,
        closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi onward")) as connection,
    ):
        if not list_wishes(connection):
            return dg.SkipReason("no user sends plays on")
    if unfinished_runs(context.instance, SEND_ONWARD, most=1):
        return dg.SkipReason("the last run has not finished yet")
    return dg.RunRequest(tags={CORRELATION_TAG: f"onward-{context.scheduled_execution_time:%Y%m%dT%H%M}"})
