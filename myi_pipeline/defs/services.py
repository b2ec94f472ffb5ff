"""Last.fm and ListenBrainz in Dagster: the asset of their scrobbles, and when linked accounts are polled.

A partition (a user) is reported only when one of that user's accounts really was polled, and one account's failure
stops no other. No account due means no run, and while polls wait in the queue no more are asked for.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
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
from myi_pipeline.operations.checks import service_polls_are_fresh, service_polls_succeed
from myi_pipeline.polling.pace import plan_batches
from myi_pipeline.polling.poll_links import due_links, poll_links
from myi_pipeline.polling.poll_one_link import LinkResult

SCROBBLES = dg.AssetKey("scrobbles")
POLL_SERVICES = "poll_services"
SERVICES_POOL = "services_api"
# A turn that has come wakes it (wake_ups).
_TICK_EVERY_S = 300


class ServicesConfig(dg.Config):
    """Options of a run of scrobbles."""

    force: bool = Field(
        default=False,
        description="Poll every account in the range, due or not; never overrides a limit that a service set.",
    )
    failing_accounts_allowed: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="The run fails if more than this fraction of the polled accounts failed.",
    )


@user_asset(
    key=SCROBBLES,
    pool=SERVICES_POOL,
    description="Scrobbles of each user who linked an account at Last.fm or ListenBrainz: the whole history once, then"
    " every quarter of an hour, and every five minutes while they listen.",
)
def scrobbles(
    context: dg.AssetExecutionContext, config: ServicesConfig, installation: dg.ResourceParam[Installation]
) -> Iterator[dg.Output[None]]:
    users = users_of_run(context)
    correlation = start_run_correlation(context.run)
    with installation.open() as warehouse:
        results = poll_links(
            installation.settings,
            warehouse,
            user_keys=users,
            force=config.force,
            only_due=True,
            clock=installation.clock,
            correlation_id=correlation,
        )
    log_polls(context, results)
    failed = [(f"{each.user_key} at {each.service.label}", each.reason) for each in results if each.outcome == "failed"]
    tried = len(failed) + sum(result.polled for result in results)
    fail_if_too_many(failed, tried=tried, allowed=config.failing_accounts_allowed)
    yield from ()


def log_polls(context: dg.AssetExecutionContext, results: Sequence[LinkResult]) -> None:
    """Report the partition of each user of whom an account was polled, the first failures, and all in one line."""
    polled: dict[str, list[LinkResult]] = {}
    for result in results:
        if result.polled:
            polled.setdefault(result.user_key, []).append(result)
    report_partitions(context, SCROBBLES, [(key, metadata_of_polls(each)) for key, each in polled.items()])
    failed = [each for each in results if each.outcome == "failed"]
    warn_of(context, [f"{each.user_key} at {each.service.label}: {each.reason}" for each in failed])
    outcomes = Counter(result.outcome for result in results)
    counted = ", ".join(f"{outcome} {count}" for outcome, count in sorted(outcomes.items())) or "no account is due"
    context.log.info(f"accounts: {counted}; {sum(each.new_plays for each in results)} new scrobbles")


def metadata_of_polls(results: Sequence[LinkResult]) -> dict[str, Any]:
    """What a person sees of one user's polls."""
    return {
        "dagster/row_count": sum(result.new_plays for result in results),
        "pages": sum(result.pages for result in results),
        "items": sum(result.items for result in results),
        "new_plays": sum(result.new_plays for result in results),
        "known_plays": sum(result.known_plays for result in results),
        "refused_items": sum(result.refused_items for result in results),
        "services": ", ".join(sorted(result.service.label for result in results)),
        "is_complete": all(result.is_complete for result in results),
    }


SERVICE_CHECKS = [
    build_check(
        SCROBBLES,
        "service_polls_are_fresh",
        "No linked account is more than two hours overdue, or has scrobbles that have not been read for days.",
        lambda installation, warehouse: service_polls_are_fresh(warehouse, now=installation.clock()),
    ),
    build_check(
        SCROBBLES,
        "service_polls_succeed",
        "No linked account's last three polls failed.",
        lambda _, warehouse: service_polls_succeed(warehouse),
    ),
]

check_services_job = dg.define_asset_job(
    "check_services",
    selection=dg.AssetSelection.checks(*(key for check in SERVICE_CHECKS for key in check.check_keys)),
    tags=in_queue("check_services"),
    description="Whether every linked account is polled in time.",
)


@dg.schedule(
    name="hourly_service_checks",
    job=check_services_job,
    cron_schedule="52 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Checks whether every account at Last.fm and ListenBrainz is polled in time.",
)
def hourly_service_checks(
    context: dg.ScheduleEvaluationContext, installation: dg.ResourceParam[Installation]
) -> dg.RunRequest | dg.SkipReason:
    with installation.open() as warehouse:
        if not service_polls_succeed(warehouse).figures["accounts"]:
            return dg.SkipReason("no linked account is polled")
    return dg.RunRequest(tags={CORRELATION_TAG: f"service-checks-{context.scheduled_execution_time:%Y%m%dT%H%M}"})


poll_services_job = dg.define_asset_job(
    POLL_SERVICES,
    selection=dg.AssetSelection.assets(SCROBBLES).without_checks(),
    tags=in_queue(POLL_SERVICES),
    description="Poll Last.fm and ListenBrainz for a range of users; only accounts that are due.",
)


@dg.sensor(
    name="service_polls",
    job=poll_services_job,
    minimum_interval_seconds=_TICK_EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Polls accounts at Last.fm and ListenBrainz that are due: one run for a household, few for thousands.",
)
def service_polls_sensor(
    context: dg.SensorEvaluationContext, installation: dg.ResourceParam[Installation]
) -> dg.SensorResult | dg.SkipReason:
    now = installation.clock()
    with installation.open() as warehouse:
        # Of a user's accounts the one that has waited longest.
        due = {link.user_key: link.due_at for link in reversed(due_links(warehouse, now=now))}
    if not due:
        return dg.SkipReason("no linked account is due")
    batches = plan_batches(context.instance.get_dynamic_partitions(USERS), due=due, now=now)
    if not batches:
        return dg.SkipReason("no user whose account is due has a partition yet")
    if unfinished_runs(context.instance, POLL_SERVICES, most=1):
        return dg.SkipReason("earlier polls have not finished yet")
    requests = [request_range(f"services-{each.name}", first=each.first, last=each.last) for each in batches]
    return dg.SensorResult(run_requests=requests)
