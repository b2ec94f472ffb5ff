"""When users are polled: each in a batch once an hour, and sooner when their plays would not wait.

Belongs here: asking for runs of recently_played. Not here: batches (core/poll_batches), whose turn it is (services).
Invariants: a batch is asked for once in its hour; together with sooner runs that is at most RUNS_AN_HOUR; while polls
wait for a free slot no more of them are asked for, and their users' turns come with a later run.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

import dagster as dg
from dagster import DagsterInstance

from myi_pipeline.core.poll_batches import (
    SOONER_REACHES_AHEAD,
    PollBatch,
    batches_at,
    cannot_wait,
    hour_of,
    plan_batches,
    sooner_key,
)
from myi_pipeline.defs.jobs import POLL_USERS, check_polls_job, poll_users_job
from myi_pipeline.defs.partitions import RANGE_END, RANGE_START, UNFINISHED, USERS
from myi_pipeline.defs.recently_played import RECENTLY_PLAYED
from myi_pipeline.defs.resources import CORRELATION_TAG, Installation
from myi_pipeline.services.check_spotify import logins_are_good
from myi_pipeline.services.poll_turns import pollable_users

_RUN_KEY = "dagster/run_key"
_LOOK_EVERY_S = 30
# Two run at a time: six that wait are a quarter of an hour's work that does not get done.
MOST_UNFINISHED = 6


@dg.schedule(
    name="hourly_polls",
    job=poll_users_job,
    # A schedule's own run keys hold for one tick alone, so each minute asks for the batches of that minute, and looks
    # whether they were asked for: a user who was added or removed may have moved a batch.
    cron_schedule="* * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Polls every user who is signed in to Spotify once an hour, in batches that are spread over the hour.",
)
def hourly_polls(
    context: dg.ScheduleEvaluationContext, installation: dg.ResourceParam[Installation]
) -> list[dg.RunRequest] | dg.SkipReason:
    minute = context.scheduled_execution_time
    due = _turns(installation, minute)
    if not due:
        return dg.SkipReason("nobody is signed in to Spotify")
    starting = batches_at(_batches(context.instance, due, minute), minute)
    if not starting:
        return dg.SkipReason("no batch starts in this minute")
    if _unfinished(context.instance) >= MOST_UNFINISHED:
        return dg.SkipReason("earlier polls still wait for a free slot")
    wanted = [batch for batch in starting if not _is_asked_for(context.instance, batch.run_key)]
    if not wanted:
        return dg.SkipReason("this hour's batch was asked for before")
    return [_run_request(batch.run_key, batch.first, batch.last) for batch in wanted]


@dg.sensor(
    name="polls_sooner",
    job=poll_users_job,
    minimum_interval_seconds=_LOOK_EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Polls those whose plays would fill Spotify's window before their batch comes, every five minutes at"
    " most.",
)
def polls_sooner(
    context: dg.SensorEvaluationContext, installation: dg.ResourceParam[Installation]
) -> dg.RunRequest | dg.SkipReason:
    now = installation.clock()
    due = _turns(installation, now)
    keys = context.instance.get_dynamic_partitions(USERS) if due else []
    urgent = cannot_wait(keys, due=due, batches=_batches(context.instance, due, now), now=now)
    if not urgent:
        return dg.SkipReason("nobody's turn comes before their batch")
    if _unfinished(context.instance) >= MOST_UNFINISHED:
        return dg.SkipReason("earlier polls still wait for a free slot")
    return _run_request(sooner_key(now), urgent[0], urgent[-1], within=SOONER_REACHES_AHEAD)


@dg.schedule(
    name="hourly_poll_checks",
    job=check_polls_job,
    cron_schedule="57 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Looks whether everybody is polled in time, and whose login ends soon.",
)
def hourly_poll_checks(
    context: dg.ScheduleEvaluationContext, installation: dg.ResourceParam[Installation]
) -> dg.RunRequest | dg.SkipReason:
    with installation.open() as warehouse:
        if not logins_are_good(warehouse, now=installation.clock()).figures["logins"]:
            return dg.SkipReason("nobody is signed in to Spotify")
    return dg.RunRequest(tags={CORRELATION_TAG: f"checks-{context.scheduled_execution_time:%Y%m%dT%H%M}"})


def _turns(installation: Installation, now: datetime) -> dict[str, datetime]:
    with installation.open() as warehouse:
        users = pollable_users(installation.settings, warehouse, now=now)
    return {user.user_key: user.due_at for user in users}


def _batches(instance: DagsterInstance, due: Mapping[str, datetime], now: datetime) -> tuple[PollBatch, ...]:
    return plan_batches(instance.get_dynamic_partitions(USERS), wanted=due.keys(), hour=hour_of(now)) if due else ()


def _unfinished(instance: DagsterInstance) -> int:
    return len(instance.get_runs(dg.RunsFilter(job_name=POLL_USERS, statuses=UNFINISHED), limit=MOST_UNFINISHED))


def _is_asked_for(instance: DagsterInstance, run_key: str) -> bool:
    return bool(instance.get_runs(dg.RunsFilter(job_name=POLL_USERS, tags={_RUN_KEY: run_key}), limit=1))


def _run_request(key: str, first: str, last: str, *, within: timedelta | None = None) -> dg.RunRequest:
    config = {"turn_within_minutes": within / timedelta(minutes=1)} if within is not None else {}
    run_config = {"ops": {RECENTLY_PLAYED.path[-1]: {"config": config}}} if config else {}
    tags = {CORRELATION_TAG: key, RANGE_START: first, RANGE_END: last}
    return dg.RunRequest(run_key=key, run_config=run_config, tags=tags)
