"""The door for Dagster: everything that defs/ holds, put together for one installation.

Belongs here: the list. Not here: anything that is in it. Invariant: importing this module does nothing; Dagster calls
`defs`, tests call `build_definitions` with settings of their own.
"""

import logging
from collections.abc import Callable
from datetime import datetime

import dagster as dg

from myi_pipeline.defs import registry
from myi_pipeline.defs.checks import CHECKS
from myi_pipeline.defs.jobs import build_refresh_job
from myi_pipeline.defs.marts import USERS_TABLE, build_dbt_resource, build_mart_assets
from myi_pipeline.defs.resources import Installation, hold_server, utc_now
from myi_pipeline.defs.schedules import build_hourly_refresh
from myi_pipeline.defs.sensors import build_changes_sensor
from myi_pipeline.logs import configure_logs
from myi_pipeline.services.dbt_manifest import dbt_manifest
from myi_pipeline.settings import Settings, load_settings


def build_definitions(settings: Settings, *, clock: Callable[[], datetime] = utc_now) -> dg.Definitions:
    """All of MYI for Dagster. Parses the dbt project when its files changed. Polls go by `clock`."""
    marts = build_mart_assets(dbt_manifest(settings.dbt_target.parent / "manifests"), docs_url=settings.docs_url)
    refresh_job = build_refresh_job(marts)
    users = dg.AssetSpec(USERS_TABLE, group_name="sources", description="The listeners of this warehouse.")
    return dg.Definitions(
        assets=[users, marts, *registry.ASSETS],
        asset_checks=CHECKS,
        jobs=[refresh_job, *registry.JOBS],
        schedules=[build_hourly_refresh(refresh_job), *registry.SCHEDULES],
        sensors=[build_changes_sensor(refresh_job), *registry.SENSORS],
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
