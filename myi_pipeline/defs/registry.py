"""Everything of this room that needs no settings, by what Dagster calls it.

Belongs here: the lists. Not here: what is in them, and what is built for one installation (definitions.py does that).
"""

from myi_pipeline.defs.catalogue import catalogue, enrich_catalogue_job, hourly_catalogue
from myi_pipeline.defs.jobs import check_polls_job, import_uploads_job, maintenance_job, poll_users_job
from myi_pipeline.defs.listening_history import listening_history
from myi_pipeline.defs.maintenance import maintenance
from myi_pipeline.defs.poll_schedules import hourly_poll_checks, hourly_polls, polls_sooner
from myi_pipeline.defs.recently_played import recently_played
from myi_pipeline.defs.schedules import daily_maintenance
from myi_pipeline.defs.sensors import uploads_sensor, users_sensor
from myi_pipeline.defs.top_items import hourly_top_items, refresh_top_items_job, top_items

ASSETS = [listening_history, recently_played, top_items, catalogue, maintenance]
JOBS = [
    import_uploads_job, poll_users_job, check_polls_job, refresh_top_items_job, enrich_catalogue_job, maintenance_job,
]  # fmt: skip
SCHEDULES = [daily_maintenance, hourly_polls, hourly_poll_checks, hourly_top_items, hourly_catalogue]
SENSORS = [users_sensor, uploads_sensor, polls_sooner]
