"""The catalogue in Dagster: one run of the queue and of covers, and when Spotify is asked.

A run is asked for only when somebody is signed in and something that waits may be asked for now.
"""

import dagster as dg
from pydantic import Field

from myi_pipeline.catalogue.pictures import MOST_A_RUN, keep_pictures, pictures_wait
from myi_pipeline.catalogue.spotify_enrichment import catalogue_has_work, catalogue_status, enrich_catalogue
from myi_pipeline.defs.queues import in_queue
from myi_pipeline.defs.resources import CORRELATION_TAG, OWNERS, Installation, start_run_correlation
from myi_pipeline.defs.runs import unfinished_runs

CATALOGUE = dg.AssetKey("catalogue")
ENRICH_CATALOGUE = "enrich_catalogue"
# A pool of its own: its calls wait for the minute's quota, and meanwhile hold no slot that polls need.
CATALOGUE_POOL = "spotify_catalogue"


class CatalogueConfig(dg.Config):
    """Options of a run of the catalogue."""

    most_calls: int = Field(default=400, ge=1, description="Ask about at most this many ids in this run.")
    most_pictures: int = Field(default=MOST_A_RUN, ge=0, description="Fetch at most this many pictures in this run.")


@dg.asset(
    key=CATALOGUE,
    group_name="sources",
    kinds={"python", "postgres"},
    owners=OWNERS,
    pool=CATALOGUE_POOL,
    description="Lengths, recording codes and pictures of contents known only from archives, most played first, within"
    " the day's budget of calls; then covers of what is played most.",
)
def catalogue(
    context: dg.AssetExecutionContext, config: CatalogueConfig, installation: dg.ResourceParam[Installation]
) -> dg.MaterializeResult[None]:
    start_run_correlation(context.run)
    with installation.open() as warehouse:
        result = enrich_catalogue(
            installation.settings, warehouse, most_calls=config.most_calls, clock=installation.clock
        )
        pictures = keep_pictures(installation.settings, warehouse, most=config.most_pictures, clock=installation.clock)
        counts = catalogue_status(warehouse)
    return dg.MaterializeResult(
        metadata={
            "answered": result.answered,
            "relinked": result.relinked,
            "gone": result.gone,
            "failed": result.failed,
            "waiting": sum(count.waiting for count in counts),
            "ended_because": result.reason,
            "pictures_kept": pictures.kept,
            "pictures_failed": pictures.failed + pictures.unfit + pictures.gone,
            "pictures_ended_because": pictures.reason,
        }
    )


enrich_catalogue_job = dg.define_asset_job(
    ENRICH_CATALOGUE,
    selection=dg.AssetSelection.assets(CATALOGUE).without_checks(),
    tags=in_queue(ENRICH_CATALOGUE),
    description="Ask Spotify about contents known only from archives.",
)


@dg.schedule(
    name="hourly_catalogue",
    job=enrich_catalogue_job,
    cron_schedule="47 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Uses the rest of the catalogue's daily calls.",
)
def hourly_catalogue(
    context: dg.ScheduleEvaluationContext, installation: dg.ResourceParam[Installation]
) -> dg.RunRequest | dg.SkipReason:
    with installation.open() as warehouse:
        now = installation.clock()
        if not (catalogue_has_work(warehouse, now=now) or pictures_wait(installation.settings, warehouse, now=now)):
            return dg.SkipReason("nothing is waiting that may be asked now")
    if unfinished_runs(context.instance, ENRICH_CATALOGUE, most=1):
        return dg.SkipReason("the last run of the catalogue has not finished yet")
    hour = context.scheduled_execution_time.strftime("%Y%m%dT%H%M")
    return dg.RunRequest(tags={CORRELATION_TAG: f"catalogue-{hour}"})
