"""Spotify's own top lists in Dagster: one partition a user, and when they are read.

A partition is reported only for a user whose lists were really stored. At most one run is asked for at a time, and only
when somebody's lists are due.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from pydantic import Field

from myi_pipeline.defs.partitions import (
    USERS,
    fail_if_too_many,
    report_partitions,
    request_range,
    user_asset,
    users_of_run,
    warn_of,
)
from myi_pipeline.defs.polling import SPOTIFY_POOL
from myi_pipeline.defs.queues import in_queue
from myi_pipeline.defs.resources import Installation, start_run_correlation
from myi_pipeline.defs.runs import unfinished_runs
from myi_pipeline.polling.top_items import TopResult, due_top_users, refresh_due

TOP_ITEMS = dg.AssetKey("top_items")
REFRESH_TOP_ITEMS = "refresh_top_items"
# Six requests each, four users at once: a quarter of an hour's work. 24 such runs reach 12,000 users a day.
USERS_A_RUN = 500


class TopConfig(dg.Config):
    """What a run of top_items can be told."""

    force: bool = Field(default=False, description="Read the lists of everybody in the range, due or not.")
    failing_users_allowed: float = Field(
        default=0.5, ge=0, le=1, description="The run fails if more than this fraction of the polled users failed."
    )


@user_asset(
    key=TOP_ITEMS,
    pool=SPOTIFY_POOL,
    description="Spotify's top tracks and artists of each user in three terms: daily for users who listened in the last"
    " two days, every three days for those who did in the last week, and otherwise on demand.",
)
def top_items(
    context: dg.AssetExecutionContext, config: TopConfig, installation: dg.ResourceParam[Installation]
) -> Iterator[dg.Output[None]]:
    users = users_of_run(context)
    start_run_correlation(context.run)
    with installation.open() as warehouse:
        results = refresh_due(
            installation.settings, warehouse, user_keys=users, force=config.force, clock=installation.clock
        )
    stored = [(each.user_key, metadata_of_lists(each)) for each in results if each.lists]
    report_partitions(context, TOP_ITEMS, stored)
    missed = [each for each in results if each.outcome != "refreshed"]
    warn_of(context, [f"{each.user_key}: {each.outcome}: {each.reason}" for each in missed])
    failed = [(result.user_key, result.reason) for result in results if result.outcome == "failed"]
    tried = sum(result.outcome != "skipped" for result in results)
    fail_if_too_many(failed, tried=tried, allowed=config.failing_users_allowed)
    yield from ()


def metadata_of_lists(result: TopResult) -> dict[str, Any]:
    """What a person sees of one reading."""
    return {"dagster/row_count": result.items, "lists": result.lists, "outcome": result.outcome}


refresh_top_items_job = dg.define_asset_job(
    REFRESH_TOP_ITEMS,
    selection=dg.AssetSelection.assets(TOP_ITEMS).without_checks(),
    tags=in_queue(REFRESH_TOP_ITEMS),
    description="Read Spotify's top lists of a range of users; only those that are due.",
)


@dg.schedule(
    name="hourly_top_items",
    job=refresh_top_items_job,
    cron_schedule="41 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Checks every hour whose top lists are due.",
)
def hourly_top_items(
    context: dg.ScheduleEvaluationContext, installation: dg.ResourceParam[Installation]
) -> dg.RunRequest | dg.SkipReason:
    with installation.open() as warehouse:
        due = {user.user_key for user in due_top_users(warehouse, now=installation.clock())}
    chosen = [key for key in context.instance.get_dynamic_partitions(USERS) if key in due][:USERS_A_RUN] if due else []
    if not chosen:
        return dg.SkipReason("no top lists are due")
    if unfinished_runs(context.instance, REFRESH_TOP_ITEMS, most=1):
        return dg.SkipReason("the last run of top lists has not finished yet")
    hour = context.scheduled_execution_time.strftime("%Y%m%dT%H%M")
    return request_range(f"top-{hour}", first=chosen[0], last=chosen[-1])
