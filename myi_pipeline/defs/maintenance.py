"""The daily chores as an asset, so that a day on which they were not done is seen.

Belongs here: one run of the chores. Not here: what they are (services/maintain, pruning). Invariant: every chore can be
repeated at any time.
"""

from datetime import UTC, datetime, timedelta

import dagster as dg

from myi_pipeline.defs.partitions import sync_partitions
from myi_pipeline.defs.pruning import prune_event_log
from myi_pipeline.defs.resources import Installation, start_run_correlation
from myi_pipeline.services.maintain import maintain

MAINTENANCE = dg.AssetKey("maintenance")


@dg.asset(
    key=MAINTENANCE,
    group_name="house",
    kinds={"python", "postgres"},
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=49), warn_window=timedelta(hours=26)),
    description="Once a day: partitions for the coming months, abandoned imports, old quarantine, Dagster's old runs.",
)
def maintenance(
    context: dg.AssetExecutionContext, installation: dg.ResourceParam[Installation]
) -> dg.MaterializeResult[None]:
    start_run_correlation(context.run)
    settings = installation.settings
    with installation.open() as warehouse:
        done = maintain(warehouse, today=datetime.now(UTC).date(), quarantine_days=settings.quarantine_days)
        added, removed = sync_partitions(context.instance, warehouse)
    before = datetime.now(UTC) - timedelta(days=settings.event_log_days)
    pruned = prune_event_log(context.instance, before=before)
    for name in done.imports_abandoned:
        context.log.warning(f"{name} was abandoned by its process and is marked as failed")
    return dg.MaterializeResult(
        metadata={
            "partitions_made": done.partitions_made,
            "imports_abandoned": len(done.imports_abandoned),
            "quarantined_rows_removed": done.quarantined_rows_removed,
            "users_added": added,
            "users_removed": removed,
            "runs_removed": pruned.removed,
            "runs_kept_for_their_materializations": pruned.kept,
            "pruning_is_complete": pruned.is_complete,
        }
    )
