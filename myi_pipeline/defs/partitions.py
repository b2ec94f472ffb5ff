"""Users as partitions: keys in the order of sign-up, the sensor that keeps them equal to app.users, the users of a run.

A key that an unfinished run holds is not deleted while that run lasts.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster import DagsterInstance
from dagster._core.events import DagsterEvent, DagsterEventBatchMetadata

from myi_pipeline.defs.resources import CORRELATION_TAG, OWNERS, Installation
from myi_pipeline.defs.runs import unfinished_runs
from myi_pipeline.operations.erase_users import carry_out_due
from myi_pipeline.people.manage_users import list_user_keys
from myi_pipeline.postgres.connections import Warehouse

USERS = "users"
users_partitions = dg.DynamicPartitionsDefinition(name=USERS)

# The most that one call may add.
KEYS_A_CALL = 5_000
# Whoever adds or removes a user wakes it (wake_ups).
_TICK_EVERY_S = 300
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
_SINGLE = "dagster/partition"
# In an outage a line for each failure helps nobody.
_FAILURES_SHOWN = 10


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


def user_asset(*, key: dg.AssetKey, pool: str, description: str) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Declares an asset with a partition for each user: a run takes a range of them and reports those that changed."""
    return dg.asset(
        key=key,
        partitions_def=users_partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name="sources",
        kinds={"python", "postgres"},
        owners=OWNERS,
        pool=pool,
        output_required=False,
        description=description,
    )


def users_of_run(context: dg.AssetExecutionContext) -> list[str]:
    """The users of a run. Raises Failure, with what the person who launched it can do, where it has none."""
    named = {context.run.tags[tag] for tag in (_SINGLE, RANGE_START, RANGE_END) if tag in context.run.tags}
    if unknown := sorted(named - set(context.instance.get_dynamic_partitions(USERS))):
        raise dg.Failure(
            f"no user has the key {' or '.join(unknown)}: it is misspelled, or the user was removed, or added less"
            f" than a minute ago (see `myi user list`)",
            allow_retries=False,
        )
    try:
        users = list(context.partition_keys)
    except dg.DagsterInvariantViolationError:
        raise dg.Failure(
            "this run has no partition: choose one user, or a range of them, when launching it", allow_retries=False
        ) from None
    if not users:
        raise dg.Failure("no users in this range: its first key comes after its last", allow_retries=False)
    return users


def request_range(name: str, *, first: str, last: str) -> dg.RunRequest:
    """A run for the users from `first` to `last`.

    It has no run key: Dagster refuses one that it has seen before, also after a clock that was ahead was put right. The
    same run twice costs its start: users who were polled are no longer due.
    """
    return dg.RunRequest(tags={CORRELATION_TAG: name, RANGE_START: first, RANGE_END: last})


def warn_of(context: dg.AssetExecutionContext, failures: Sequence[str]) -> None:
    """The first of these in the run's log."""
    for failure in failures[:_FAILURES_SHOWN]:
        context.log.warning(failure)


def fail_if_too_many(failed: Sequence[tuple[str, str | None]], *, tried: int, allowed: float) -> None:
    """Raises Failure if more than the part `allowed` of those tried failed; `failed` are user keys and reasons.

    It is not retried: each user is due again by the kind of their failure, and a run that is repeated at once would ask
    the same.
    """
    if len(failed) <= allowed * tried:
        return
    user_key, reason = failed[0]
    raise dg.Failure(
        f"{len(failed)} of {tried} users failed; the first: {user_key}: {reason}",
        metadata={"failed_users": sorted(key for key, _ in failed)[:100]},
        allow_retries=False,
    )


def _held_keys(instance: DagsterInstance, keys: Sequence[str]) -> set[str]:
    place = {key: number for number, key in enumerate(keys)}
    held: set[str] = set()
    for run in unfinished_runs(instance):
        held.add(run.tags.get(_SINGLE, ""))
        first, last = place.get(run.tags.get(RANGE_START, "")), place.get(run.tags.get(RANGE_END, ""))
        if first is not None and last is not None:
            held.update(keys[first : last + 1])
    return held


def report_partitions(
    context: dg.AssetExecutionContext, key: dg.AssetKey, reported: Sequence[tuple[str, Mapping[str, Any]]]
) -> None:
    """A materialization of each (user key, metadata).

    By Dagster's private batches, which only this function uses: the public context.log_event takes 13.7 ms a user,
    6.5 ms of it this process's CPU; a batch, as Dagster itself writes the partitions of an output, 0.7 ms.
    """
    step = context.get_step_execution_context()
    for number, (user_key, metadata) in enumerate(reported, start=1):
        batch = DagsterEventBatchMetadata(f"{context.run.run_id}-users", is_end=number == len(reported))
        materialization = dg.AssetMaterialization(key, partition=user_key, metadata=metadata)
        DagsterEvent.asset_materialization(step, materialization, batch)


@dg.sensor(
    name="users",
    target=None,
    minimum_interval_seconds=_TICK_EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Erases users whose request is due, gives every new user a partition, in sign-up order, and deletes"
    " those of removed users.",
)
def users_sensor(
    context: dg.SensorEvaluationContext, installation: dg.ResourceParam[Installation]
) -> dg.SensorResult | dg.SkipReason:
    with installation.open() as warehouse:
        erased = carry_out_due(warehouse, installation.settings, now=datetime.now(UTC))
        for receipt_id in erased:
            context.log.info(f"erasure {receipt_id} is carried out")
        missing = missing_keys(context.instance, warehouse)[:KEYS_A_CALL]
        surplus = surplus_keys(context.instance, warehouse)[:KEYS_A_CALL]
    # Not by a request: Dagster would keep their keys in the record of this tick.
    for key in surplus:
        context.instance.delete_dynamic_partition(USERS, key)
    if not missing:
        return dg.SkipReason("every user has a partition")
    return dg.SensorResult(dynamic_partitions_requests=[users_partitions.build_add_request(missing)])
