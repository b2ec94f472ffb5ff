"""What Dagster loads: everything in defs/, put together for one installation.

Importing this module does nothing. Dagster calls `defs`; tests call `build_definitions` with settings of their own.
"""

import logging
from collections.abc import Callable
from datetime import datetime

import dagster as dg

from myi_pipeline.defs.archives import ARCHIVE_CHECKS, import_uploads_job, listening_history, uploads_sensor
from myi_pipeline.defs.backups import back_up_job, backups, build_backup_schedule
from myi_pipeline.defs.catalogue import catalogue, enrich_catalogue_job, hourly_catalogue
from myi_pipeline.defs.genres import enrich_genres_job, genres, hourly_genres
from myi_pipeline.defs.maintenance import WAREHOUSE_CHECKS, daily_maintenance, maintenance, maintenance_job
from myi_pipeline.defs.marts import build_mart_assets, build_source_specs
from myi_pipeline.defs.migrations import migrations_sensor, playlist_migration_job, playlist_migrations
from myi_pipeline.defs.notices import notices_sensor
from myi_pipeline.defs.onward import onward_plays, onward_schedule, send_onward_job
from myi_pipeline.defs.partitions import users_sensor
from myi_pipeline.defs.playlists import gather_playlists_job, hourly_playlists, playlists
from myi_pipeline.defs.polling import (
    POLL_CHECKS,
    check_polls_job,
    hourly_poll_checks,
    poll_users_job,
    polls_sensor,
    recently_played,
    with_freshness,
)
from myi_pipeline.defs.refreshes import build_changes_sensor, build_daily_tests, build_hourly_refresh, build_refresh_job
from myi_pipeline.defs.resources import Installation, has_logins, hold_server, utc_now
from myi_pipeline.defs.runs import lost_runs_sensor, supervised
from myi_pipeline.defs.services import (
    SERVICE_CHECKS,
    check_services_job,
    hourly_service_checks,
    poll_services_job,
    scrobbles,
    service_polls_sensor,
)
from myi_pipeline.defs.take_away import exports_sensor, make_export_job
from myi_pipeline.defs.top_items import hourly_top_items, refresh_top_items_job, top_items
from myi_pipeline.error_reports import start_error_reports
from myi_pipeline.logs import configure_logs
from myi_pipeline.marts.dbt_runner import dbt_manifest
from myi_pipeline.settings import Settings, load_settings


def build_definitions(
    settings: Settings, *, clock: Callable[[], datetime] = utc_now, has_logins: bool = False
) -> dg.Definitions:
    """All of MYI for Dagster. Parses the dbt project when its files changed. Polls go by `clock`.

    `has_logins`: whether anybody is signed in to Spotify; then polls and marts must be fresh within hours.
    """
    manifest = dbt_manifest(settings.dbt_target.parent / "manifests")
    marts = build_mart_assets(manifest, docs_url=settings.docs_url, has_logins=has_logins)
    refresh_job = build_refresh_job(marts)
    sources = build_source_specs(manifest)
    polls = with_freshness(recently_played) if has_logins else recently_played
    return dg.Definitions(
        assets=[
            *sources, marts, listening_history, polls, scrobbles, onward_plays, top_items, playlists,
            playlist_migrations, catalogue, genres, maintenance, backups,
        ],
        asset_checks=[*ARCHIVE_CHECKS, *POLL_CHECKS, *SERVICE_CHECKS, *WAREHOUSE_CHECKS],
        jobs=[
            refresh_job, import_uploads_job, poll_users_job, poll_services_job, send_onward_job, check_polls_job,
            check_services_job, refresh_top_items_job, gather_playlists_job, playlist_migration_job,
            enrich_catalogue_job, enrich_genres_job, make_export_job, maintenance_job, back_up_job,
        ],
        schedules=[
            build_hourly_refresh(refresh_job), daily_maintenance, hourly_poll_checks, hourly_service_checks,
            hourly_top_items, hourly_catalogue, hourly_genres, hourly_playlists, onward_schedule,
            build_daily_tests(marts), build_backup_schedule(settings),
        ],
        sensors=[
            build_changes_sensor(refresh_job), users_sensor, uploads_sensor, polls_sensor, service_polls_sensor,
            migrations_sensor, exports_sensor, lost_runs_sensor, notices_sensor,
        ],
        executor=dg.in_process_executor,
        resources={"installation": supervised(Installation(settings, clock=clock))},
    )  # fmt: skip


@dg.definitions
def defs() -> dg.Definitions:
    settings = load_settings()
    configure_logs(level=settings.log_level, layout=settings.log_format.value)
    start_error_reports(settings, part="dagster")
    # Dagster writes its lines itself; passed on, each would appear twice.
    logging.getLogger("dagster").propagate = False
    hold_server(settings)
    return build_definitions(settings, has_logins=has_logins(settings))
