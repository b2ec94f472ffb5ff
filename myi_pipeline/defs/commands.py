"""What `myi` leaves to a process that has Dagster in memory: `python -m myi_pipeline.defs.commands TASK`.

`prepare-instance` sets what dagster.yaml cannot say, erases whom an older backup brought back, and also creates the
tables of Dagster's storage, so that nothing else has to do so at the same moment. `sync-users` makes partitions equal
to the users without a daemon, and prints the partition keys as one JSON document. `report-imports ID ...` reports to
Dagster imports that it did not make. `settle-restored` ends the runs that a restored database remembers as under way,
and prints how many. Each of them can be repeated at any time.
"""

import json
import logging
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg
from dagster import DagsterInstance

from myi_pipeline.archives.list_imports import read_import
from myi_pipeline.defs.archive_metadata import metadata_of_detail
from myi_pipeline.defs.archives import LISTENING_HISTORY, LOAD_POOL
from myi_pipeline.defs.catalogue import CATALOGUE_POOL
from myi_pipeline.defs.genres import GENRES_POOL
from myi_pipeline.defs.partitions import USERS, sync_partitions
from myi_pipeline.defs.polling import SPOTIFY_POOL
from myi_pipeline.defs.resources import CORRELATION_TAG, DBT_POOL, Installation, dagster_instance
from myi_pipeline.defs.runs import end_lost_runs
from myi_pipeline.defs.services import SERVICES_POOL
from myi_pipeline.error_reports import start_error_reports
from myi_pipeline.errors import MyiError, Permanent
from myi_pipeline.logs import configure_logs, start_correlation
from myi_pipeline.operations.erase_users import carry_out_due, reapply_tombstones
from myi_pipeline.settings import Settings, load_settings, pool_limits_in

log = logging.getLogger(__name__)

# Two loads of different users keep both cores of a small server busy; a third only makes them wait. Of four runs at a
# time, two at most poll: an import and a refresh always find room.
POOLS = {LOAD_POOL: 2, DBT_POOL: 1, SPOTIFY_POOL: 2, SERVICES_POOL: 1, CATALOGUE_POOL: 1, GENRES_POOL: 1}

_ENDED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


def prepare_instance(instance: DagsterInstance, settings: Settings) -> None:
    """Each pool's own limit, partitions for the users there are, and the end of runs that an earlier `myi up` left
    without a process. Raises Permanent for a limit of a pool that does not exist."""
    for pool, limit in limits_to_set(instance, settings).items():
        instance.event_log_storage.set_concurrency_slots(pool, limit)
    with Installation(settings).open() as warehouse:
        try:
            carry_out_due(warehouse, settings, now=datetime.now(UTC))
            reapply_tombstones(warehouse, settings)
        except MyiError:
            # The sensor and the daily maintenance try again.
            log.exception("users due for erasure could not be erased")
        sync_partitions(instance, warehouse)
        try:
            for line in end_lost_runs(instance, warehouse):
                log.warning("%s", line)
        except Exception:
            # The sensor tries again; a run that cannot be judged must not keep the rest from starting.
            log.exception("runs of an earlier start could not be checked")


def limits_to_set(instance: DagsterInstance, settings: Settings) -> dict[str, int]:
    """Limits that MYI_POOL_LIMITS names, and ours where nobody has set one, on Dagster's pages or by its commands."""
    wanted = pool_limits_in(settings.pool_limits)
    unknown = wanted.keys() - POOLS.keys()
    if unknown:
        raise Permanent(f"MYI_POOL_LIMITS: there is no pool {min(unknown)}; there are {', '.join(sorted(POOLS))}")
    chosen = {pool.name for pool in instance.event_log_storage.get_pool_limits() if not pool.from_default}
    return {pool: limit for pool, limit in POOLS.items() if pool not in chosen} | wanted


def report_imports(instance: DagsterInstance, settings: Settings, import_ids: Sequence[int]) -> None:
    """One materialization of the user's partition for each import. Repeating it adds events and changes nothing else.

    Raises BadInput if there is no such import.
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


def settle_restored(instance: DagsterInstance, settings: Settings) -> int:
    """Cancel every run that has not ended: none of them has a process. Their places in pools are free again."""
    unfinished = [status for status in dg.DagsterRunStatus if status not in _ENDED]
    ended = 0
    for run in instance.get_runs(dg.RunsFilter(statuses=unfinished)):
        instance.report_run_canceled(run, "This run was in progress when the backup was made.")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        ended += 1
    with Installation(settings).open() as warehouse:
        sync_partitions(instance, warehouse)
    return ended


def main(task: str, *arguments: str) -> None:
    # Dagster prints: the answer gets a descriptor of its own.
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    settings = load_settings()
    configure_logs(level=settings.log_level, layout=settings.log_format.value)
    start_error_reports(settings, part="dagster-report")
    start_correlation(settings.correlation_id)
    with answer, dagster_instance(settings) as instance:
        match task:
            case "prepare-instance":
                prepare_instance(instance, settings)
            case "report-imports":
                report_imports(instance, settings, [int(each) for each in arguments])
            case "sync-users":
                json.dump(sync_users(instance, settings), answer)
            case "settle-restored":
                answer.write(f"{settle_restored(instance, settings)}\n")
            case _:
                sys.exit(f"unknown task: {task}")


if __name__ == "__main__":
    main(*sys.argv[1:])
