"""Last.fm and ListenBrainz in Dagster: accounts that are due are polled, and each user's partition is reported."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pytest

from myi_pipeline.definitions import build_definitions
from myi_pipeline.defs.partitions import sync_partitions
from myi_pipeline.defs.resources import Installation
from myi_pipeline.defs.services import SCROBBLES
from myi_pipeline.defs.wake_ups import WakeUps
from myi_pipeline.people.links import link_account
from myi_pipeline.people.manage_users import get_user
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.providers.open_services import open_services
from myi_pipeline.providers.scrobbles import Service
from myi_pipeline.settings import Settings
from myi_pipeline.simulator.live import MovableClock
from myi_pipeline.simulator.services import SimulatedServices, TrueListen, running_services
from tests.dagster.conftest import Setup
from tests.dagster.test_wake_ups import NAMES, due, evaluated


@pytest.fixture
def services() -> Iterator[tuple[SimulatedServices, MovableClock]]:
    clock = MovableClock()
    with running_services(clock=clock) as running:
        yield running, clock


def _setup(
    dagster_home: Settings, warehouse: Warehouse, instance: dg.DagsterInstance, running: SimulatedServices,
    clock: MovableClock,
) -> Setup:  # fmt: skip
    settings = dagster_home.model_copy(update={"listenbrainz_url": running.listenbrainz_url})
    setup = Setup(settings, warehouse, instance, build_definitions(settings, clock=clock))
    setup.add_users("ana", "ben", "cem")
    sync_partitions(instance, warehouse)
    return setup


@pytest.mark.slow
def test_accounts_that_are_due_are_polled_and_each_users_partition_is_reported(
    dagster_home: Settings, warehouse: Warehouse, services: tuple[SimulatedServices, MovableClock]
) -> None:
    running, clock = services
    account = running.listenbrainz.account("ana")
    account.listen(
        *(
            TrueListen(started_at=clock.now() - number * timedelta(minutes=4), title=f"Song {number}", artist="Artist")
            for number in range(5)
        )
    )
    with dg.DagsterInstance.get() as instance:
        setup = _setup(dagster_home, warehouse, instance, running, clock)
        resources = {"installation": Installation(setup.settings, clock=clock)}
        sensor = setup.definitions.resolve_sensor_def("service_polls")

        def tick() -> dg.SensorResult | dg.SkipReason:
            context = dg.build_sensor_context(instance=instance, resources=resources, definitions=setup.definitions)
            result = sensor(context)
            assert isinstance(result, (dg.SensorResult, dg.SkipReason))
            return result

        assert isinstance(tick(), dg.SkipReason)
        with (
            open_services(setup.settings, warehouse, clock=clock) as opened,
            warehouse.connect(Role.INGEST, autocommit=True) as connection,
        ):
            link_account(
                opened,
                connection,
                user_id=get_user(connection, user_key="ana").user_id,
                service=Service.LISTENBRAINZ,
                account="ana",
                token=None,
                now=clock.now(),
            )
            evaluated(setup, *NAMES)
            WakeUps(setup.settings, instance, clock=clock).look(connection)
            assert "service_polls" in due(setup)
        asked = tick()
        assert isinstance(asked, dg.SensorResult)
        ((request,),) = (asked.run_requests,)
        assert setup.run("poll_services", tags=request.tags).success
        (record,) = instance.fetch_materializations(SCROBBLES, limit=10).records
        assert record.partition_key == "ana"
        assert record.asset_materialization is not None
        assert record.asset_materialization.metadata["new_plays"].value == 5
        assert isinstance(tick(), dg.SkipReason)
        # Whose account is not read in time is seen.
        checks = setup.definitions.resolve_schedule_def("hourly_service_checks")
        context = dg.build_schedule_context(
            instance=instance, resources=resources, scheduled_execution_time=clock.now()
        )
        assert checks.evaluate_tick(context).run_requests
        for late, expected in ((timedelta(0), True), (timedelta(hours=5), False)):
            clock.advance(late)
            done = setup.run("check_services")
            found = {each.check_name: each.passed for each in done.get_asset_check_evaluations()}
            assert found == {"service_polls_are_fresh": expected, "service_polls_succeed": True}
        # Nobody wishes that plays are sent on.
        schedule = setup.definitions.resolve_schedule_def("onward")
        context = dg.build_schedule_context(instance=instance, resources=resources)
        assert isinstance(schedule(context), dg.SkipReason)
        assert setup.run("send_onward").success
