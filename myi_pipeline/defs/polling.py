"""Polling in Dagster: the asset, its checks, and when users are polled.

A partition (a user) is reported as materialized only when that user really was polled, and one user's failure stops
nobody else. A household takes one run every five minutes, thousands of users a few (polling/pace cuts them); nobody
due means no run, and while polls wait in the queue no more are asked for.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
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
from myi_pipeline.defs.queues import in_queue
from myi_pipeline.defs.resources import CORRELATION_TAG, Installation, build_check, start_run_correlation
from myi_pipeline.defs.runs import unfinished_runs
from myi_pipeline.operations.checks import logins_are_good, polls_are_fresh, polls_succeed
from myi_pipeline.polling.pace import plan_batches, slot_of
from myi_pipeline.polling.poll_users import PollResult, poll_turns, pollable_users

RECENTLY_PLAYED = dg.AssetKey("recently_played")
POLL_USERS = "poll_users"
SPOTIFY_POOL = "spotify_api"
# A turn that has come wakes it (wake_ups).
_TICK_EVERY_S = 300
# Two run at a time: when so many wait, more than one slot's work is not getting done.
MOST_UNFINISHED = 6
# The slowest pace is two hours; what is late by more than a few is not polled.
_FRESH = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=6), warn_window=timedelta(hours=3))


class PollConfig(dg.Config):
    """Options of a run of recently_played."""

    turn_within_minutes: float = Field(
        default=0.0,
        ge=0,
        description="Poll users who are due within this many minutes; the others in the range are left for later.",
    )
    force: bool = Field(
        default=False,
        description="Poll everybody in the range, due or not; never overrides a blocked quota or an open circuit.",
    )
    failing_users_allowed: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="The run fails if more than this fraction of the polled users failed.",
    )


@user_asset(
    key=RECENTLY_PLAYED,
    pool=SPOTIFY_POOL,
    description="The last 50 plays of each user who is signed in to Spotify: every quarter of an hour, and every five"
    " minutes while they listen, as long as at most five users share a client id; less often if more do.",
)
def recently_played(
    context: dg.AssetExecutionContext, config: PollConfig, installation: dg.ResourceParam[Installation]
) -> Iterator[dg.Output[None]]:
    users = users_of_run(context)
    correlation = start_run_correlation(context.run)
    with installation.open() as warehouse:
        results = poll_turns(
            installation.settings,
            warehouse,
            user_keys=users,
            within=timedelta(minutes=config.turn_within_minutes),
            force=config.force,
            clock=installation.clock,
            correlation_id=correlation,
        )
    log_polls(context, RECENTLY_PLAYED, results)
    failed = [(result.user_key, result.reason) for result in results if result.outcome == "failed"]
    tried = len(failed) + sum(result.polled for result in results)
    fail_if_too_many(failed, tried=tried, allowed=config.failing_users_allowed)
    yield from ()


def with_freshness(polls: dg.AssetsDefinition) -> dg.AssetsDefinition:
    """The asset as it is while somebody is signed in: stale after hours."""
    return polls.map_asset_specs(lambda spec: spec.replace_attributes(freshness_policy=_FRESH))


def log_polls(context: dg.AssetExecutionContext, key: dg.AssetKey, results: Sequence[PollResult]) -> None:
    """Report each polled user's partition, the first failures, and all outcomes in one line."""
    polled = [result for result in results if result.polled]
    report_partitions(context, key, [(result.user_key, metadata_of_poll(result)) for result in polled])
    warn_of(context, [f"{each.user_key}: {each.reason}" for each in results if each.outcome == "failed"])
    outcomes = Counter(result.outcome for result in results)
    counted = ", ".join(f"{outcome} {count}" for outcome, count in sorted(outcomes.items())) or "no user is due"
    context.log.info(f"{len(polled)} users polled ({counted}); {sum(each.new_plays for each in polled)} new plays")


def metadata_of_poll(result: PollResult) -> dict[str, Any]:
    """What a person sees of one poll."""
    metadata: dict[str, Any] = {
        "outcome": result.outcome,
        "dagster/row_count": result.new_plays,
        "items": result.items,
        "new_plays": result.new_plays,
        "known_plays": result.known_plays,
    }
    if result.refused_items:
        metadata["refused_items"] = result.refused_items
    if result.unread_fields:
        metadata["unread_fields"] = dict(result.unread_fields)
    for name, moment in (
        ("oldest_played_at", result.oldest_played_at),
        ("newest_played_at", result.newest_played_at),
        ("gap_start", result.gap_start),
        ("gap_end", result.gap_end),
    ):
        if moment is not None:
            metadata[name] = dg.MetadataValue.timestamp(moment)
    return metadata


POLL_CHECKS = [
    build_check(
        RECENTLY_PLAYED,
        "logins_are_good",
        "No user must sign in to Spotify again, and no login ends within 30 days; within 7 days, it is an error.",
        lambda installation, warehouse: logins_are_good(warehouse, now=installation.clock()),
        is_urgent=lambda found: found.figures["must_sign_in_again"] + found.figures["end_within_7_days"] > 0,
    ),
    build_check(
        RECENTLY_PLAYED,
        "polls_are_fresh",
        "No user who can be polled is more than two hours overdue.",
        lambda installation, warehouse: polls_are_fresh(installation.settings, warehouse, now=installation.clock()),
    ),
    build_check(
        RECENTLY_PLAYED,
        "polls_succeed",
        "No user's last three polls failed, and no page was empty although plays were known.",
        lambda _, warehouse: polls_succeed(warehouse),
        is_urgent=lambda found: found.figures["users_failing"] > 0,
    ),
]

poll_users_job = dg.define_asset_job(
    POLL_USERS,
    selection=dg.AssetSelection.assets(RECENTLY_PLAYED).without_checks(),
    tags=in_queue(POLL_USERS),
    description="Poll Spotify for recent plays of a range of users; only those who are due.",
)

check_polls_job = dg.define_asset_job(
    "check_polls",
    selection=dg.AssetSelection.checks(*(key for check in POLL_CHECKS for key in check.check_keys)),
    tags=in_queue("check_polls"),
    description="Whether everybody is polled in time, and whose login ends soon.",
)


@dg.sensor(
    name="polls",
    job=poll_users_job,
    minimum_interval_seconds=_TICK_EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Polls users who are due, at most once in five minutes: one run for a household, a few for thousands.",
)
def polls_sensor(
    context: dg.SensorEvaluationContext, installation: dg.ResourceParam[Installation]
) -> dg.SensorResult | dg.SkipReason:
    now = installation.clock()
    slot = slot_of(now).isoformat()
    if context.cursor == slot:
        return dg.SkipReason("the polls for these five minutes have been requested")
    due = _turns(installation, now)
    if not due:
        # No user is signed in, or quota blocks and open circuits hold up all who are.
        return dg.SkipReason("no user may be polled now")
    batches = plan_batches(context.instance.get_dynamic_partitions(USERS), due=due, now=now)
    if not batches:
        return dg.SkipReason("no user is due")
    if len(unfinished_runs(context.instance, POLL_USERS, most=MOST_UNFINISHED)) >= MOST_UNFINISHED:
        return dg.SkipReason("earlier polls are still waiting for a free slot")
    requests = [request_range(each.name, first=each.first, last=each.last) for each in batches]
    return dg.SensorResult(run_requests=requests, cursor=slot)


@dg.schedule(
    name="hourly_poll_checks",
    job=check_polls_job,
    cron_schedule="57 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Checks whether everybody is polled in time, and whose login ends soon.",
)
def hourly_poll_checks(
    context: dg.ScheduleEvaluationContext, installation: dg.ResourceParam[Installation]
) -> dg.RunRequest | dg.SkipReason:
    with installation.open() as warehouse:
        if not logins_are_good(warehouse, now=installation.clock()).figures["logins"]:
            return dg.SkipReason("no user is signed in to Spotify")
    return dg.RunRequest(tags={CORRELATION_TAG: f"checks-{context.scheduled_execution_time:%Y%m%dT%H%M}"})


def _turns(installation: Installation, now: datetime) -> dict[str, datetime]:
    with installation.open() as warehouse:
        users = pollable_users(warehouse, now=now)
    return {user.user_key: user.due_at for user in users}
