"""Genres in Dagster: one run of MusicBrainz' queue, and when it is asked.

A run is asked for only when there is a contact and something that waits may be asked for now.
"""

import dagster as dg
from pydantic import Field

from myi_pipeline.catalogue.musicbrainz_enrichment import MOST_A_RUN, enrich_genres, genres_have_work, genres_status
from myi_pipeline.defs.partitions import UNFINISHED
from myi_pipeline.defs.resources import CORRELATION_TAG, OWNERS, Installation, start_run_correlation

GENRES = dg.AssetKey("genres")
ENRICH_GENRES = "enrich_genres"
# A pool of its own: a run waits for a second between requests, for most of an hour.
GENRES_POOL = "musicbrainz"


class GenresConfig(dg.Config):
    """Options of a run of MusicBrainz' queue."""

    most: int = Field(default=MOST_A_RUN, ge=1, description="Ask about at most this many tracks and artists.")


@dg.asset(
    key=GENRES,
    group_name="sources",
    kinds={"python", "postgres"},
    owners=OWNERS,
    pool=GENRES_POOL,
    description="Genres, first releases and recordings of what was played, from MusicBrainz, most played first, one"
    " request a second. Off without MYI_MUSICBRAINZ_CONTACT.",
)
def genres(
    context: dg.AssetExecutionContext, config: GenresConfig, installation: dg.ResourceParam[Installation]
) -> dg.MaterializeResult[None]:
    start_run_correlation(context.run)
    with installation.open() as warehouse:
        result = enrich_genres(installation.settings, warehouse, most=config.most, clock=installation.clock)
        status = genres_status(installation.settings, warehouse, now=installation.clock())
    return dg.MaterializeResult(
        metadata={
            "found": result.found,
            "not_found": result.not_found,
            "failed": result.failed,
            "waiting": sum(count.waiting for count in status.queue),
            "ended_because": result.reason,
        }
    )


enrich_genres_job = dg.define_asset_job(
    ENRICH_GENRES,
    selection=dg.AssetSelection.assets(GENRES).without_checks(),
    description="Ask MusicBrainz about what was played.",
)


@dg.schedule(
    name="hourly_genres",
    job=enrich_genres_job,
    cron_schedule="23 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Asks MusicBrainz about what is played most and not known yet.",
)
def hourly_genres(
    context: dg.ScheduleEvaluationContext, installation: dg.ResourceParam[Installation]
) -> dg.RunRequest | dg.SkipReason:
    with installation.open() as warehouse:
        if not genres_have_work(installation.settings, warehouse, now=installation.clock()):
            return dg.SkipReason("nothing waits that may be asked now")
    if context.instance.get_runs(dg.RunsFilter(job_name=ENRICH_GENRES, statuses=UNFINISHED), limit=1):
        return dg.SkipReason("the last run is not done yet")
    hour = context.scheduled_execution_time.strftime("%Y%m%dT%H%M")
    return dg.RunRequest(tags={CORRELATION_TAG: f"genres-{hour}"})
