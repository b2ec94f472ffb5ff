"""Users as partitions.

Belongs here: keeping Dagster's partition keys equal to app.users. Not here: what is done for a user. Invariant: keys
stand in the order of sign-up, and a key that an unfinished run holds is not taken away beneath it.
"""

from collections.abc import Sequence

import dagster as dg
from dagster import DagsterInstance

from myi_pipeline.services.list_user_keys import list_user_keys
from myi_pipeline.services.open_warehouse import Warehouse

USERS = "users"
users_partitions = dg.DynamicPartitionsDefinition(name=USERS)

# The most that one call may add.
KEYS_A_CALL = 5_000
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
_SINGLE = "dagster/partition"
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def missing_keys(instance: DagsterInstance, warehouse: Warehouse) -> list[str]:
    """Users who have no partition yet, in sign-up order."""
    have = set(instance.get_dynamic_partitions(USERS))
    return [key for key in list_user_keys(warehouse) if key not in have]


def surplus_keys(instance: DagsterInstance, warehouse: Warehouse) -> list[str]:
    """Partitions of users who are gone, save those that an unfinished run holds."""
    have = list(instance.get_dynamic_partitions(USERS))
    gone = set(have) - set(list_user_keys(warehouse))
    if not gone:
        return []
    held = _held_keys(instance, have)
    return [key for key in have if key in gone and key not in held]


def sync_partitions(instance: DagsterInstance, warehouse: Warehouse) -> tuple[int, int]:
    """Make the partitions equal to app.users at once; returns how many were added and removed."""
    missing, surplus = missing_keys(instance, warehouse), surplus_keys(instance, warehouse)
    for at in range(0, len(missing), KEYS_A_CALL):
        instance.add_dynamic_partitions(USERS, missing[at : at + KEYS_A_CALL])
    for key in surplus:
        instance.delete_dynamic_partition(USERS, key)
    return len(missing), len(surplus)


def _held_keys(instance: DagsterInstance, keys: Sequence[str]) -> set[str]:
    place = {key: number for number, key in enumerate(keys)}
    held: set[str] = set()
    for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED)):
        held.add(run.tags.get(_SINGLE, ""))
        first, last = place.get(run.tags.get(RANGE_START, "")), place.get(run.tags.get(RANGE_END, ""))
        if first is not None and last is not None:
            held.update(keys[first : last + 1])
    return held
