"""What `myi` leaves to a process that has Dagster in memory: `python -m myi_pipeline.defs.commands TASK`.

`prepare-instance` sets what dagster.yaml cannot say, and also creates the tables of Dagster's storage, so that nothing
else has to do so at the same moment. `sync-users` makes partitions equal to the users without a daemon, and prints the
partition keys as one JSON document. `report-imports ID ...` reports to Dagster imports that it did not make. Each of
them can be repeated at any time.
"""

import json
import logging
import os
import sys
from collections.abc import Sequence

import dagster as dg
from dagster import DagsterInstance

from myi_pipeline.archives.list_imports import read_import
from myi_pipeline.defs.archive_metadata import metadata_of_detail
from myi_pipeline.defs.archives import LISTENING_HISTORY, LOAD_POOL
from myi_pipeline.defs.catalogue import CATALOGUE_POOL
from myi_pipeline.defs.partitions import USERS, sync_partitions
from myi_pipeline.defs.polling import SPOTIFY_POOL
from myi_pipeline.defs.resources import CORRELATION_TAG, DBT_POOL, Installation, dagster_instance
from myi_pipeline.defs.runs import end_lost_runs
from myi_pipeline.defs.services import SERVICES_POOL
from myi_pipeline.logs import configure_logs, start_correlation
from myi_pipeline.settings import Settings, load_settings

log = logging.getLogger(__name__)

# Two loads of different users keep both cores of a small server busy; a third only makes them wait. Of four runs at a
# time, two at most poll: an import and a refresh always find room.
POOLS = {LOAD_POOL: 2, DBT_POOL: 1, SPOTIFY_POOL: 2, SERVICES_POOL: 1, CATALOGUE_POOL: 1}


def prepare_instance(instance: DagsterInstance, settings: Settings) -> None:
    """Each pool's own limit, partitions for the users there are, and the end of runs that an earlier `myi up` left
    without a process."""
    for pool, limit in POOLS.items():
        instance.event_log_storage.set_concurrency_slots(pool, limit)
    with Installation(settings).open() as warehouse:
        sync_partitions(instance, warehouse)
        try:
            for line in end_lost_runs(instance, settings, warehouse):
                log.warning("%s was left without a process and is failed", line)
        except Exception:
            # The sensor tries again; a run that cannot be judged must not keep the rest from starting.
            log.exception("runs of an earlier start could not be looked at")


def report_imports(instance: DagsterInstance, settings: Settings, import_ids: Sequence[int]) -> None:
    """One materialization of the user's partition for each import. Repeating it adds events and changes nothing else.

    Raises BadInput when there is no such import.
    """
    with Installation(settings).open() as warehouse:
        details = [read_import(warehouse, import_id=import_id) for import_id in import_ids]
        known = set(instance.get_dynamic_partitions(USERS))
        if any(detail.summary.user_key not in known for detail in details):
            # All of them, so that partitions keep the order of sign-up.
            sync_partitions(instance, warehouse)
    for detail in details:
        correlation = detail.summary.correlation_id
        instance.report_runless_asset_event(
            dg.AssetMaterialization(
                LISTENING_HISTORY,
                partition=detail.summary.user_key,
                description="imported outside Dagster, by `myi import`",
                metadata=metadata_of_detail(detail),
                tags={CORRELATION_TAG: correlation} if correlation else None,
            )
        )


def sync_users(instance: DagsterInstance, settings: Settings) -> list[str]:
    """The partition keys that there are afterwards."""
    with Installation(settings).open() as warehouse:
        sync_partitions(instance, warehouse)
    return list(instance.get_dynamic_partitions(USERS))


def main(task: str, *arguments: str) -> None:
    # Dagster prints: the answer gets a descriptor of its own.
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    settings = load_settings()
    configure_logs(level=settings.log_level, layout=settings.log_format.value)
    start_correlation(settings.correlation_id)
    with answer, dagster_instance(settings) as instance:
        match task:
            case "prepare-instance":
                prepare_instance(instance, settings)
            case "report-imports":
                report_imports(instance, settings, [int(each) for each in arguments])
            case "sync-users":
                json.dump(sync_users(instance, settings), answer)
            case _:
                sys.exit(f"unknown task: {task}")


if __name__ == "__main__":
    main(*sys.argv[1:])
