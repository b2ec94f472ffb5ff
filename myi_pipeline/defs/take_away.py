"""Exports that people asked for, in Dagster: one run an export, and when one begins.

The rows of app.exports are the truth; a run that was killed is taken up again after some minutes.
"""

from contextlib import closing

import dagster as dg

from myi_pipeline.defs.queues import in_queue
from myi_pipeline.defs.resources import CORRELATION_TAG, Installation, start_run_correlation
from myi_pipeline.defs.runs import unfinished_runs
from myi_pipeline.operations.take_away.make_wanted import make_wanted_export
from myi_pipeline.people.take_away_orders import due_exports
from myi_pipeline.postgres.connections import Role

MAKE_EXPORT = "make_export"
EXPORT_TAG = "myi/export"
# A wish wakes it (wake_ups).
_TICK_EVERY_S = 300
# It reads everything of somebody: others wait.
_MOST_AT_ONCE = 1


class ExportConfig(dg.Config):
    """Which export a run makes."""

    export_id: int


@dg.op(description="Write everything of one user into one file in the file store.")
def write_wanted_export(
    context: dg.OpExecutionContext, config: ExportConfig, installation: dg.ResourceParam[Installation]
) -> None:
    start_run_correlation(context.run)
    with installation.open() as warehouse:
        made = make_wanted_export(
            warehouse, installation.settings, export_id=config.export_id, clock=installation.clock
        )
    if made is None:
        context.log.info("there is nothing to make: it exists already, or its owner no longer wants it")
    else:
        context.log.info(f"{made.summary.events} plays as reported, {made.size_bytes} bytes")


@dg.config_mapping
def of_one_export(config: ExportConfig) -> dg.RunConfig:
    return dg.RunConfig(ops={write_wanted_export.name: config})


@dg.job(
    name=MAKE_EXPORT,
    config=of_one_export,
    # The sensor takes up again what was ordered.
    tags=in_queue(MAKE_EXPORT) | {"dagster/max_retries": "0"},
    description="Make a requested export of everything.",
)
def make_export_job() -> None:
    write_wanted_export()


@dg.sensor(
    name="exports",
    job_name=MAKE_EXPORT,
    minimum_interval_seconds=_TICK_EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Makes the exports that people requested, one after another.",
)
def exports_sensor(
    context: dg.SensorEvaluationContext, installation: dg.ResourceParam[Installation]
) -> dg.SensorResult | dg.SkipReason:
    now = installation.clock()
    with (
        installation.open() as warehouse,
        closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi exports")) as connection,
    ):
        due = due_exports(connection, now=now)
    if not due:
        return dg.SkipReason("no export is waiting")
    active = unfinished_runs(context.instance, MAKE_EXPORT)
    if len(active) >= _MOST_AT_ONCE:
        return dg.SkipReason(f"{len(due)} exports are waiting for the one being made")
    number = due[0]
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(
                run_config={"export_id": number},
                tags={CORRELATION_TAG: f"export-{number}-{now:%Y%m%dT%H%M%S}", EXPORT_TAG: str(number)},
            )
        ]
    )
