"""The asset of what Spotify lately heard: one partition a user.

Belongs here: one run's users, polled together in this process, and what Dagster is told of each. Not here: polling,
whose turn it is. Invariant: a partition is reported as materialized only for a user who really was polled; one user's
failure stops nobody else.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta

import dagster as dg
from pydantic import Field

from myi_pipeline.core.poll_batches import BATCH_REACHES_AHEAD
from myi_pipeline.defs.partitions import users_partitions
from myi_pipeline.defs.report_polls import log_polls
from myi_pipeline.defs.resources import Installation, start_run_correlation
from myi_pipeline.services.poll_turns import poll_turns
from myi_pipeline.services.poll_users import PollResult

RECENTLY_PLAYED = dg.AssetKey("recently_played")
SPOTIFY_POOL = "spotify_api"


class PollConfig(dg.Config):
    """What a run of recently_played can be told."""

    turn_within_minutes: float = Field(
        default=BATCH_REACHES_AHEAD / timedelta(minutes=1),
        ge=0,
        description="Whose turn comes within so many minutes is polled; the others of the range are left for later.",
    )
    force: bool = Field(
        default=False,
        description="Poll everybody of the range, whose turn it is or not; never over a blocked quota or an open"
        " circuit.",
    )
    failing_users_allowed: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="The run fails when more than this part of the users that were asked for failed.",
    )


@dg.asset(
    key=RECENTLY_PLAYED,
    partitions_def=users_partitions,
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="sources",
    kinds={"python", "postgres"},
    pool=SPOTIFY_POOL,
    output_required=False,
    description="The last 50 plays of each user who is signed in to Spotify, every hour, sooner for those who would"
    " fill the 50 before, less often for those who have been silent for weeks.",
)
def recently_played(
    context: dg.AssetExecutionContext, config: PollConfig, installation: dg.ResourceParam[Installation]
) -> Iterator[dg.Output[None]]:
    users = list(context.partition_keys)
    if not users:
        raise dg.Failure("no user lies in this range: its first key stands after its last", allow_retries=False)
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
    _fail_if_too_many(results, config.failing_users_allowed)
    yield from ()


def _fail_if_too_many(results: Sequence[PollResult], allowed: float) -> None:
    failed = [result for result in results if result.outcome == "failed"]
    tried = len(failed) + sum(result.polled for result in results)
    if len(failed) > allowed * tried:
        first = failed[0]
        # Their next turn is the retry: a run that is repeated at once would ask the same of the same Spotify.
        raise dg.Failure(
            f"{len(failed)} of {tried} users failed; the first: {first.user_key}: {first.reason}",
            metadata={"failed_users": sorted(result.user_key for result in failed)[:100]},
            allow_retries=False,
        )
