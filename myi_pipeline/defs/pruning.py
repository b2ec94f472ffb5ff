"""Forgetting Dagster's old runs and their events, which Dagster itself never does.

Belongs here: which runs may go. Not here: ticks (dagster.yaml's retention), our own tables. Invariant: a run that holds
the latest materialization of an asset or of a partition stays, because deleting a run also deletes what the UI shows as
that partition's state; unfinished runs stay; truth is never here, so that losing a run loses no figure.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import dagster as dg
from dagster import DagsterInstance

_CHUNK = 100
# One day's maintenance gives pruning this long; the next day goes on.
TIME_BUDGET_S = 300.0
_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


@dataclass(frozen=True)
class Pruned:
    removed: int
    kept: int
    is_complete: bool


@dataclass
class _Latest:
    """Storage ids of latest materializations, asked once an asset."""

    instance: DagsterInstance
    of_partitions: dict[dg.AssetKey, dict[str, int]] = field(default_factory=dict)
    of_assets: dict[dg.AssetKey, int] = field(default_factory=dict)

    def is_latest(self, record: dg.EventLogRecord) -> bool:
        key, partition = record.asset_key, record.partition_key
        if key is None:
            return False
        if partition is None:
            return record.storage_id >= self._of_asset(key)
        if key not in self.of_partitions:
            found = self.instance.get_latest_storage_id_by_partition(key, dg.DagsterEventType.ASSET_MATERIALIZATION)
            self.of_partitions[key] = dict(found)
        return record.storage_id >= self.of_partitions[key].get(partition, 0)

    def _of_asset(self, key: dg.AssetKey) -> int:
        if key not in self.of_assets:
            found = self.instance.fetch_materializations(key, limit=1).records
            self.of_assets[key] = found[0].storage_id if found else 0
        return self.of_assets[key]


def prune_event_log(
    instance: DagsterInstance,
    *,
    before: datetime,
    budget_s: float = TIME_BUDGET_S,
    clock: Callable[[], float] = time.monotonic,
) -> Pruned:
    """Delete finished runs that ended before a moment, oldest first, for at most `budget_s` seconds."""
    latest, removed, kept = _Latest(instance), 0, 0
    cursor: str | None = None
    deadline = clock() + budget_s
    filters = dg.RunsFilter(statuses=_FINISHED, updated_before=before)
    while True:
        records = instance.get_run_records(filters, limit=_CHUNK, cursor=cursor, ascending=True)
        for record in records:
            if clock() > deadline:
                return Pruned(removed, kept, is_complete=False)
            if _is_needed(instance, latest, record.dagster_run.run_id):
                kept += 1
            else:
                instance.delete_run(record.dagster_run.run_id)
                removed += 1
        if len(records) < _CHUNK:
            return Pruned(removed, kept, is_complete=True)
        cursor = _last_kept(records, instance) or cursor


def _last_kept(records: Sequence[dg.RunRecord], instance: DagsterInstance) -> str | None:
    """A cursor must name a run that is still there."""
    for record in reversed(records):
        if instance.has_run(record.dagster_run.run_id):
            return record.dagster_run.run_id
    return None


def _is_needed(instance: DagsterInstance, latest: _Latest, run_id: str) -> bool:
    cursor: str | None = None
    while True:
        page = instance.get_records_for_run(
            run_id, cursor=cursor, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION, limit=1_000
        )
        if any(latest.is_latest(record) for record in page.records):
            return True
        if not page.has_more:
            return False
        cursor = page.cursor
