"""Telling Dagster of imports that it did not make. Run as `python -m myi_pipeline.defs.report_import IMPORT_ID ...`.

Belongs here: one materialization of the user's partition for each import, with what the database says about it. Not
here: the import. Invariant: works without Dagster's daemon, and repeating it adds events and changes nothing else.
"""

import sys
from collections.abc import Sequence

import dagster as dg
from dagster import DagsterInstance

from myi_pipeline.defs.listening_history import LISTENING_HISTORY
from myi_pipeline.defs.partitions import USERS, sync_partitions
from myi_pipeline.defs.reporting import metadata_of_detail
from myi_pipeline.defs.resources import CORRELATION_TAG, Installation, dagster_instance
from myi_pipeline.logs import configure_logs, start_correlation
from myi_pipeline.services.read_import import read_import
from myi_pipeline.settings import Settings, load_settings


def report_imports(instance: DagsterInstance, settings: Settings, import_ids: Sequence[int]) -> None:
    """Raises BadInput when there is no such import."""
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


def main(arguments: Sequence[str]) -> None:
    import_ids = [int(each) for each in arguments]
    settings = load_settings()
    configure_logs(level=settings.log_level, layout=settings.log_format.value)
    start_correlation(settings.correlation_id)
    with dagster_instance(settings) as instance:
        report_imports(instance, settings, import_ids)


if __name__ == "__main__":
    main(sys.argv[1:])
