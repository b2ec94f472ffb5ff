"""Spotify's own top lists as an asset, one partition a user, and when they are read.

Belongs here: one run's users, and asking for runs. Not here: tiers (core/top_policy), reading. Invariants: a partition
is reported only for a user of whom lists were really stored; at most one run is asked for at a time, and only when
somebody's lists are due.
"""

from collections.abc import Iterator, Sequence

import dagster as dg
from pydantic import Field

from myi_pipeline.defs.partitions import RANGE_END, RANGE_START, UNFINISHED, USERS, users_partitions
from myi_pipeline.defs.recently_played import SPOTIFY_POOL
from myi_pipeline.defs.report_partitions import report_partitions
from myi_pipeline.defs.resources import CORRELATION_TAG, Installation, start_run_correlation
from myi_pipeline.services.refresh_top_items import TopResult, due_top_users, refresh_due

TOP_ITEMS = dg.AssetKey("top_items")
REFRESH_TOP_ITEMS = "refresh_top_items"
# Six requests each, four users at once: a quarter of an hour's work. 24 such runs reach 12,000 users a day.
USERS_A_RUN = 500
# Of a whole outage a person needs no line for each user.
_FAILURES_TOLD = 10


class TopConfig(dg.Config):
    """What a run of top_items can be told."""

    force: bool = Field(default=False, description="Read the lists of everybody of the range, due or not.")
    failing_users_allowed: float = Field(
        default=0.5, ge=0, le=1, description="The run fails when more than this part of the users asked for failed."
    )


@dg.asset(
    key=TOP_ITEMS,
    partitions_def=users_partitions,
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="sources",
    kinds={"python", "postgres"},
    pool=SPOTIFY_POOL,
    output_required=False,
    description="Spotify's top tracks and artists of each user in three terms: daily for whoever listened in the last"
    " two days, every three days for whoever did in the last week, else on demand.",
)
def top_items(
    context: dg.AssetExecutionContext, config: TopConfig, installation: dg.ResourceParam[Installation]
) -> Iterator[dg.Output[None]]:
    users = list(context.partition_keys)
    if not users:
        raise dg.Failure("no user lies in this range: its first key stands after its last", allow_retries=False)
    start_run_correlation(context.run)
    with installation.open() as warehouse:
        results = refresh_due(
            installation.settings, warehouse, user_keys=users, force=config.force, clock=installation.clock
        )
    stored = [
        (each.user_key, {"dagster/row_count": each.items, "lists": each.lists, "outcome": each.outcome})
        for each in results
        if each.lists
    ]
    report_partitions(context, TOP_ITEMS, stored)
    _fail_if_too_many(context, results, config.failing_users_allowed)
    yield from ()


def _fail_if_too_many(context: dg.AssetExecutionContext, results: Sequence[TopResult], allowed: float) -> None:
    failed = [result for result in results if result.outcome == "failed"]
    for result in [each for each in results if each.outcome != "refreshed"][:_FAILURES_TOLD]:
        context.log.warning(f"{result.user_key}: {result.outcome}: {result.reason}")
    tried = sum(result.outcome != "skipped" for result in results)
    if len(failed) > allowed * tried:
        first = failed[0]
        # They are due again by the kind of their failure: a run that is repeated at once would ask the same.
        raise dg.Failure(
            f"{len(failed)} of {tried} users failed; the first: {first.user_key}: {first.reason}", allow_retries=False
        )


refresh_top_items_job = dg.define_asset_job(
    REFRESH_TOP_ITEMS,
    selection=dg.AssetSelection.assets(TOP_ITEMS).without_checks(),
    description="Read Spotify's top lists of a range of users; only those that are due.",
)


@dg.schedule(
    name="hourly_top_items",
    job=refresh_top_items_job,
    cron_schedule="41 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Looks every hour whose top lists are due.",
)
def hourly_top_items(
    context: dg.ScheduleEvaluationContext, installation: dg.ResourceParam[Installation]
) -> dg.RunRequest | dg.SkipReason:
    with installation.open() as warehouse:
        due = {user.user_key for user in due_top_users(warehouse, now=installation.clock())}
    chosen = [key for key in context.instance.get_dynamic_partitions(USERS) if key in due][:USERS_A_RUN] if due else []
    if not chosen:
        return dg.SkipReason("nobody's top lists are due")
    if context.instance.get_runs(dg.RunsFilter(job_name=REFRESH_TOP_ITEMS, statuses=UNFINISHED), limit=1):
        return dg.SkipReason("the last run of top lists is not done yet")
    hour = context.scheduled_execution_time.strftime("%Y%m%dT%H%M")
    return dg.RunRequest(tags={CORRELATION_TAG: f"top-{hour}", RANGE_START: chosen[0], RANGE_END: chosen[-1]})
