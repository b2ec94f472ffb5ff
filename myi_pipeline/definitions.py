"""The door for Dagster: everything that defs/ holds, put together for one installation.

Belongs here: the list. Not here: anything that is in it. Invariant: importing this module does nothing; Dagster calls
`defs`, tests call `build_definitions` with settings of their own.
"""

import logging
from collections.abc import Callable
from datetime import datetime

import dagster as dg

from myi_pipeline.defs.catalogue import catalogue, enrich_catalogue_job, hourly_catalogue
from myi_pipeline.defs.checks import CHECKS
from myi_pipeline.defs.jobs import (
    build_refresh_job,
    check_polls_job,
    import_uploads_job,
    maintenance_job,
    poll_users_job,
)
from myi_pipeline.defs.listening_history import listening_history
from myi_pipeline.defs.maintenance import maintenance
from myi_pipeline.defs.marts import USERS_TABLE, build_dbt_resource, build_mart_assets
from myi_pipeline.defs.poll_schedules import hourly_poll_checks, hourly_polls, polls_sooner
from myi_pipeline.defs.recently_played import recently_played
from myi_pipeline.defs.resources import Installation, hold_server, utc_now
from myi_pipeline.defs.schedules import build_hourly_refresh, daily_maintenance
from myi_pipeline.defs.sensors import build_changes_sensor, uploads_sensor, users_sensor
from myi_pipeline.defs.top_items import hourly_top_items, refresh_top_items_job, top_items
from myi_pipeline.logs import configure_logs
from myi_pipeline.services.dbt_manifest import dbt_manifest
from myi_pipeline.settings import Settings, load_settings


def build_definitions(settings: Settings, *, clock: Callable[[], datetime] = utc_now) -> dg.Definitions:
    """All of MYI for Dagster. Parses the dbt project when its files changed. Polls go by `clock`."""
    marts = build_mart_assets(dbt_manifest(settings.dbt_target.parent / "manifests"), docs_url=settings.docs_url)
    refresh_job = build_refresh_job(marts)
    users = dg.AssetSpec(USERS_TABLE, group_name="sources", description="The listeners of this warehouse.")
    return dg.Definitions(
        assets=[users, listening_history, recently_played, top_items, catalogue, marts, maintenance],
        asset_checks=CHECKS,
        jobs=[
            import_uploads_job,
            poll_users_job,
            check_polls_job,
            maintenance_job,
            refresh_job,
            refresh_top_items_job,
            enrich_catalogue_job,
        ],
        schedules=[
            build_hourly_refresh(refresh_job),
            daily_maintenance,
            hourly_polls,
            hourly_poll_checks,
            hourly_top_items,
            hourly_catalogue,
        ],
        sensors=[users_sensor, uploads_sensor, polls_sooner, build_changes_sensor(refresh_job)],
        executor=dg.in_process_executor,
        resources={"installation": Installation(settings, clock=clock), "dbt": build_dbt_resource()},
    )


@dg.definitions
def defs() -> dg.Definitions:
    settings = load_settings()
    configure_logs(level=settings.log_level, layout=settings.log_format.value)
    # Dagster writes its lines itself; passed on, each would appear twice.
    logging.getLogger("dagster").propagate = False
    hold_server(settings)
    return build_definitions(settings)
