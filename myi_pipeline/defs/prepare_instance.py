"""What an instance needs that dagster.yaml cannot say. Run as `python -m myi_pipeline.defs.prepare_instance`.

Belongs here: each pool's own limit, and partitions for the users there are. Not here: starting anything. Invariant: can
be repeated at any time; it also makes the tables of Dagster's storage, so that nothing else has to do so at once.
"""

from dagster import DagsterInstance

from myi_pipeline.defs.catalogue import CATALOGUE_POOL
from myi_pipeline.defs.listening_history import LOAD_POOL
from myi_pipeline.defs.marts import DBT_POOL
from myi_pipeline.defs.partitions import sync_partitions
from myi_pipeline.defs.recently_played import SPOTIFY_POOL
from myi_pipeline.defs.resources import Installation, dagster_instance
from myi_pipeline.logs import configure_logs, start_correlation
from myi_pipeline.settings import Settings, load_settings

# Two loads of different users keep both cores of a small server busy; a third only makes them wait. Of four runs at a
# time, two at most poll: an import and a refresh always find room.
POOLS = {LOAD_POOL: 2, DBT_POOL: 1, SPOTIFY_POOL: 2, CATALOGUE_POOL: 1}


def prepare_instance(instance: DagsterInstance, settings: Settings) -> None:
    for pool, limit in POOLS.items():
        instance.event_log_storage.set_concurrency_slots(pool, limit)
    with Installation(settings).open() as warehouse:
        sync_partitions(instance, warehouse)


def main() -> None:
    settings = load_settings()
    configure_logs(level=settings.log_level, layout=settings.log_format.value)
    start_correlation(settings.correlation_id)
    with dagster_instance(settings) as instance:
        prepare_instance(instance, settings)


if __name__ == "__main__":
    main()
