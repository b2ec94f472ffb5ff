"""Playlists in Dagster: one partition a user, and when they are gathered.

A partition is reported for a user whose lists were really looked at. At most one run is asked for at a time, behind the
polls, and only when somebody's playlists are due.
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
from myi_pipeline.playlists.gather_users import due_accounts, gather_users
from myi_pipeline.playlists.gathering import GatherResult
from myi_pipeline.playlists.rules import users_of_a_run
from myi_pipeline.postgres.connections import Role

PLAYLISTS = dg.AssetKey("playlists")
GATHER_PLAYLISTS = "gather_playlists"
# Two requests each when nothing changed.
USERS_A_RUN = 500
# Queued runs are started in this order; polls have 0.
_BEHIND_POLLS = {"dagster/priority": "-1"}


class PlaylistConfig(dg.Config):
    """What a run of playlists can be told."""

    force: bool = Field(default=False, description="Check the playlists of everybody in the range, due or not.")
    failing_users_allowed: float = Field(
        default=0.5, ge=0, le=1, description="The run fails if more than this fraction of the polled accounts failed."
    )


@user_asset(
    key=PLAYLISTS,
    pool=SPOTIFY_POOL,
    description="The playlists and liked songs of each linked account, every three hours: one listing shows which have"
    " changed, and only these are read. Each change adds a version.",
)
def playlists(
    context: dg.AssetExecutionContext, config: PlaylistConfig, installation: dg.ResourceParam[Installation]
) -> Iterator[dg.Output[None]]:
    users = users_of_run(context)
    correlation = start_run_correlation(context.run)
    with installation.open() as warehouse:
        results = gather_users(
            installation.settings,
            warehouse,
            user_keys=users,
            force=config.force,
            clock=installation.clock,
            correlation_id=correlation,
        )
    seen = [each for each in results if each.outcome in ("gathered", "partly")]
    report_partitions(context, PLAYLISTS, [(each.user_key, metadata_of_gathering(each)) for each in seen])
    missed = [each for each in results if each.outcome != "gathered"]
    warn_of(context, [f"{each.user_key}: {each.outcome}: {each.reason}" for each in missed])
    failed = [(each.user_key, each.reason) for each in results if each.outcome == "failed"]
    tried = sum(each.outcome != "skipped" for each in results)
    fail_if_too_many(failed, tried=tried, allowed=config.failing_users_allowed)
    yield from ()


def metadata_of_gathering(result: GatherResult) -> dict[str, Any]:
    """What a person sees of one gathering."""
    return {
        "dagster/row_count": result.items_read,
        "outcome": result.outcome,
        "lists": result.lists_seen,
        "read": result.lists_read,
        "unchanged": result.unchanged,
        "unreadable": result.unreadable,
        "failed": result.failed,
        "gone": result.gone,
        "new_versions": result.new_versions,
    }


gather_playlists_job = dg.define_asset_job(
    GATHER_PLAYLISTS,
    selection=dg.AssetSelection.assets(PLAYLISTS).without_checks(),
    tags=in_queue(GATHER_PLAYLISTS) | _BEHIND_POLLS,
    description="Read changed playlists of a range of users; only those that are due.",
)


@dg.schedule(
    name="hourly_playlists",
    job=gather_playlists_job,
    cron_schedule="23 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Checks every hour whose playlists are due.",
)
def hourly_playlists(
    context: dg.ScheduleEvaluationContext, installation: dg.ResourceParam[Installation]
) -> dg.RunRequest | dg.SkipReason:
    with (
        installation.open() as warehouse,
        warehouse.connect(Role.INGEST, autocommit=True, application_name="myi playlists") as connection,
    ):
        due = [account.user_key for account in due_accounts(connection, now=installation.clock())]
    partitions = context.instance.get_dynamic_partitions(USERS) if due else []
    chosen = users_of_a_run(partitions, due, most=USERS_A_RUN)
    if not chosen:
        return dg.SkipReason("no playlists are due")
    if unfinished_runs(context.instance, GATHER_PLAYLISTS, most=1):
        return dg.SkipReason("the last run of playlists has not finished yet")
    hour = context.scheduled_execution_time.strftime("%Y%m%dT%H%M")
    return request_range(f"playlists-{hour}", first=chosen[0], last=chosen[-1])
