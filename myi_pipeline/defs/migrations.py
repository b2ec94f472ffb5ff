"""Playlists on their way to another service, in Dagster: one run a migration, its steps as ops, and when one begins.

A playlist that is kept in sync is looked at once a day; where its source has changed, a run of it is ordered.

The tables are authoritative: app.migrations has what a run must do, its progress and how it continues. A run that waits
for a quota or a login succeeds and another one continues later; one that was killed is resumed after a pause. At most
one run per account.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any

import dagster as dg

from myi_pipeline.defs.queues import in_queue
from myi_pipeline.defs.resources import CORRELATION_TAG, OWNERS, Installation, start_run_correlation
from myi_pipeline.defs.runs import unfinished_runs
from myi_pipeline.errors import MyiError
from myi_pipeline.playlists.migration import job_orders, repeating, store, views
from myi_pipeline.playlists.migration.driving import Cancelled, Driver, GivenUp, PutOff
from myi_pipeline.postgres.connections import Role, Warehouse

PLAYLIST_MIGRATIONS = dg.AssetKey("playlist_migrations")
PLAYLIST_MIGRATION = "playlist_migration"
ACCOUNT_TAG, MIGRATION_TAG = "myi/account", "myi/migration"
GOES_ON_TAG = "myi/goes_on_at"
# An order wakes it (wake_ups).
_TICK_EVERY_S = 300
# Each is a process, and four run at once: imports and polls need theirs.
_MOST_AT_ONCE = 2
_TOLD_EVERY_S = 10.0

playlist_migrations = dg.AssetSpec(
    PLAYLIST_MIGRATIONS,
    group_name="operations",
    kinds={"python", "postgres"},
    owners=OWNERS,
    description="Playlists moved to another service, with the number of entries written so far.",
)


class MigrationConfig(dg.Config):
    """Which migration a run is about."""

    migration_id: int


@contextmanager
def _driver(context: dg.OpExecutionContext, installation: Installation) -> Iterator[Driver]:
    start_run_correlation(context.run)
    with installation.open() as warehouse:
        yield Driver(installation.settings, warehouse, clock=installation.clock)


@contextmanager
def _ending_well(context: dg.OpExecutionContext) -> Iterator[None]:
    """What comes after is left out where the order is put off or cancelled; where it is given up, the run fails."""
    try:
        yield
    except PutOff as later:
        goes_on_at = f"{later.goes_on_at:%Y-%m-%d %H:%M} UTC"
        context.instance.add_run_tags(context.run_id, {GOES_ON_TAG: goes_on_at})
        context.log.warning(f"this continues automatically, not before {goes_on_at}: {later}")
    except Cancelled as cancelled:
        context.log.info(str(cancelled))
    except GivenUp as ended:
        raise dg.Failure(description=str(ended), allow_retries=False) from None


@dg.op(
    out={name: dg.Out(dg.Nothing, is_required=False) for name in ("to_plan", "to_apply")},
    description="Read the order: a plan, or applying one.",
)
def take_order(
    context: dg.OpExecutionContext, config: MigrationConfig, installation: dg.ResourceParam[Installation]
) -> Iterator[dg.Output[None]]:
    with _ending_well(context), _driver(context, installation) as driver:
        ordered = driver.take(config.migration_id)
        if ordered is None:
            context.log.info("no order is due now")
        else:
            yield dg.Output(None, f"to_{ordered}")


_STEP: dict[str, Any] = {"ins": {"start": dg.In(dg.Nothing)}, "out": dg.Out(dg.Nothing, is_required=False)}


@dg.op(description="Read the latest version of the playlist and the target playlist.", **_STEP)
def plan(
    context: dg.OpExecutionContext, config: MigrationConfig, installation: dg.ResourceParam[Installation]
) -> Iterator[dg.Output[None]]:
    with _ending_well(context), _driver(context, installation) as driver:
        taken = driver.snap(config.migration_id)
        yield dg.Output(None, metadata={"version": taken.version_no, "entries": taken.entries})


@dg.op(description="Look up each entry at the other service. Nothing is written there.", **_STEP)
def match(
    context: dg.OpExecutionContext, config: MigrationConfig, installation: dg.ResourceParam[Installation]
) -> Iterator[dg.Output[None]]:
    with _ending_well(context), _driver(context, installation) as driver:
        found = driver.match(config.migration_id)
        if found.note:
            context.log.warning(f"some tracks may exist there anyway: {found.note}")
        yield dg.Output(None, metadata={**found.outcomes, "note": found.note})


@dg.op(description="Write what is left, recording each write in the journal before it is sent.", **_STEP)
def apply(
    context: dg.OpExecutionContext, config: MigrationConfig, installation: dg.ResourceParam[Installation]
) -> Iterator[dg.Output[None]]:
    number = config.migration_id
    with _ending_well(context), _driver(context, installation) as driver:
        told = _Teller(context, driver.warehouse, migration_id=number)
        try:
            applied, state = driver.apply(number, on_settled=told.after_a_while)
        finally:
            told.now()
        yield dg.Output(
            None,
            metadata={
                "state": state, "requests": applied.requests, "refused": len(applied.refused),
                "lacking": len(applied.lacking), "changes_left": applied.left,
            },
        )  # fmt: skip


@dg.op(description="Read the playlist back and compare it entry by entry.", **_STEP)
def verify(
    context: dg.OpExecutionContext, config: MigrationConfig, installation: dg.ResourceParam[Installation]
) -> Iterator[dg.Output[None]]:
    with _driver(context, installation) as driver:
        try:
            found = driver.verify(config.migration_id)
        except MyiError as error:
            # Applying has read it back already; the state stands.
            context.log.warning(f"the playlist could not be read back: {error}")
            return
    if not found.is_done:
        context.log.warning("the playlist differs from the plan, or was changed in the meantime")
    yield dg.Output(
        None,
        metadata={"is_as_planned": found.is_done, "lacking": len(found.lacking), "changes_left": found.left},
    )


class _Teller:
    """Observations of how many entries are there, not more often than anybody looks."""

    def __init__(
        self,
        context: dg.OpExecutionContext,
        warehouse: Warehouse,
        *,
        migration_id: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._context, self._warehouse, self._migration_id = context, warehouse, migration_id
        self._monotonic = monotonic
        self._told_at = monotonic()

    def after_a_while(self) -> None:
        if self._monotonic() - self._told_at >= _TOLD_EVERY_S:
            self.now()

    def now(self) -> None:
        self._told_at = self._monotonic()
        with closing(self._warehouse.connect(Role.INGEST, autocommit=True)) as connection:
            migration = store.find_migration(connection, migration_id=self._migration_id)
            if migration is None:
                return
            found = views.get_progress(connection, user_id=migration.user_id, migration_id=self._migration_id)
        self._context.log_event(
            dg.AssetObservation(
                PLAYLIST_MIGRATIONS,
                metadata={
                    "migration": self._migration_id, "confirmed_entries": found.confirmed,
                    "wanted_entries": found.wanted, "requests": found.requests, "state": found.migration.state,
                },
            )
        )  # fmt: skip


_OPS = (take_order, plan, match, apply, verify)


@dg.config_mapping
def of_one_migration(config: MigrationConfig) -> dg.RunConfig:
    return dg.RunConfig(ops={op.name: config for op in _OPS})


@dg.job(
    name=PLAYLIST_MIGRATION,
    config=of_one_migration,
    # What was ordered is taken up again by the sensor.
    tags=in_queue(PLAYLIST_MIGRATION) | {"dagster/max_retries": "0"},
    description="Plan or apply a playlist's move to another service, as ordered.",
)
def playlist_migration_job() -> None:
    to_plan, to_apply = take_order()
    match(start=plan(start=to_plan))
    verify(start=apply(start=to_apply))


@dg.sensor(
    name="migrations",
    # By its name: Dagster would build the sensor again for a job of ops, and warn of what it does itself then.
    job_name=PLAYLIST_MIGRATION,
    minimum_interval_seconds=_TICK_EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Plans and applies ordered migrations, and once a day those kept in sync: one run per migration, one"
    " at a time per account.",
)
def migrations_sensor(
    context: dg.SensorEvaluationContext, installation: dg.ResourceParam[Installation]
) -> dg.SensorResult | dg.SkipReason:
    now = installation.clock()
    with (
        installation.open() as warehouse,
        closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi migrations")) as connection,
    ):
        repeated = repeating.order_due(connection, now=now)
        due = job_orders.due_orders(connection, now=now)
    if repeated:
        context.log.info(f"runs of playlists kept in sync: {len(repeated)}")
    if not due:
        return dg.SkipReason("there are no orders, or they wait for a quota or a login")
    active = unfinished_runs(context.instance, PLAYLIST_MIGRATION)
    busy = {run.tags.get(ACCOUNT_TAG) for run in active}
    chosen: dict[str, job_orders.DueOrder] = {}
    for order in due:
        if str(order.account_id) not in busy:
            chosen.setdefault(str(order.account_id), order)
    begun = list(chosen.values())[: max(0, _MOST_AT_ONCE - len(active))]
    if not begun:
        return dg.SkipReason(f"{len(due)} orders are waiting for those in progress")
    return dg.SensorResult(run_requests=[_run_request(order, now=now) for order in begun])


def _run_request(order: job_orders.DueOrder, *, now: datetime) -> dg.RunRequest:
    number = order.migration_id
    return dg.RunRequest(
        run_config={"migration_id": number},
        tags={
            CORRELATION_TAG: f"migration-{number}-{now:%Y%m%dT%H%M%S}",
            MIGRATION_TAG: str(number),
            ACCOUNT_TAG: str(order.account_id),
        },
    )
