"""Genres in Dagster: one run of MusicBrainz' queue, and when it is asked.

A run is asked for only when there is a contact and something that waits may be asked for now, or a dump to look in.
"""

import dagster as dg
from pydantic import Field

from myi_pipeline.catalogue.musicbrainz_dump.load import dump_is_due, load_dump
from myi_pipeline.catalogue.musicbrainz_enrichment import MOST_A_RUN, enrich_genres, genres_have_work, genres_status
from myi_pipeline.defs.queues import in_queue
from myi_pipeline.defs.resources import CORRELATION_TAG, OWNERS, Installation, start_run_correlation
from myi_pipeline.defs.runs import unfinished_runs

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
    description="Genres, first releases and recordings of played music: first from a dump in MYI_MUSICBRAINZ_DUMP,"
    " then from MusicBrainz, most played first, one request per second. Off without MYI_MUSICBRAINZ_CONTACT and a"
    " dump.",
)
def genres(
    context: dg.AssetExecutionContext, config: GenresConfig, installation: dg.ResourceParam[Installation]
) -> dg.MaterializeResult[None]:
    start_run_correlation(context.run)
    settings, in_dump = installation.settings, 0
    with installation.open() as warehouse:
        if settings.musicbrainz_dump is not None and dump_is_due(settings, warehouse, now=installation.clock()):
            in_dump = load_dump(settings, warehouse, settings.musicbrainz_dump, clock=installation.clock).found
        result = enrich_genres(installation.settings, warehouse, most=config.most, clock=installation.clock)
        status = genres_status(installation.settings, warehouse, now=installation.clock())
    return dg.MaterializeResult(
        metadata={
            "found_in_dump": in_dump,
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
    tags=in_queue(ENRICH_GENRES),
    description="Ask MusicBrainz about played music.",
)


@dg.schedule(
    name="hourly_genres",
    job=enrich_genres_job,
    cron_schedule="23 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Asks MusicBrainz about the most played unknown tracks and artists.",
)
def hourly_genres(
    context: dg.ScheduleEvaluationContext, installation: dg.ResourceParam[Installation]
) -> dg.RunRequest | dg.SkipReason:
    with installation.open() as warehouse:
        settings, now = installation.settings, installation.clock()
        if not (dump_is_due(settings, warehouse, now=now) or genres_have_work(settings, warehouse, now=now)):
            return dg.SkipReason("nothing is waiting that may be asked now")
    if unfinished_runs(context.instance, ENRICH_GENRES, most=1):
        return dg.SkipReason("the last run has not finished yet")
    hour = context.scheduled_execution_time.strftime("%Y%m%dT%H%M")
    return dg.RunRequest(tags={CORRELATION_TAG: f"genres-{hour}"})
