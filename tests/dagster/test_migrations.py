"""Migrations in Dagster: who begins a run, what a run shows, and that one which was killed is taken up again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest

from myi_pipeline.definitions import build_definitions
from myi_pipeline.defs.migrations import ACCOUNT_TAG, GOES_ON_TAG, PLAYLIST_MIGRATION, PLAYLIST_MIGRATIONS
from myi_pipeline.defs.resources import Installation
from myi_pipeline.playlists.migration import orders, saved, views
from myi_pipeline.playlists.migration.driving import pause_after
from myi_pipeline.playlists.migration.orders import Order
from myi_pipeline.playlists.migration.views import MigrationView
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.settings import Settings
from myi_pipeline.simulator.services import ServiceFault
from tests.dagster.conftest import Setup
from tests.integration.playlists.mover import Mover, at_tidal, mover

__all__ = ["at_tidal", "mover"]


@dataclass
class MovingSetup(Setup):
    """Ana with a TIDAL account, all on one clock."""

    mover: Mover

    @property
    def resources(self) -> dict[str, Any]:
        return {"installation": Installation(self.settings, clock=self.mover.tidal.clock)}

    def order(self, numbers: list[int]) -> int:
        wish = Order(playlist_id=self.mover.source(numbers))
        with self.warehouse.connect(Role.APP, autocommit=True) as page:
            now = self.mover.tidal.clock.now()
            return orders.order_migration(page, user_id=self.mover.user_id, order=wish, now=now).migration_id

    def apply(self, number: int) -> None:
        with self.warehouse.connect(Role.APP, autocommit=True) as page:
            now = self.mover.tidal.clock.now()
            orders.order_apply(page, user_id=self.mover.user_id, migration_id=number, now=now)

    def see(self, number: int) -> MigrationView:
        with self.warehouse.connect(Role.APP, autocommit=True) as page:
            return views.get_migration(page, user_id=self.mover.user_id, migration_id=number)

    def asked(self) -> list[dg.RunRequest]:
        """The runs that the sensor asks for now."""
        found = self.sensor("migrations")
        return list(found.run_requests) if isinstance(found, dg.SensorResult) else []

    def work(self) -> dg.ExecuteInProcessResult:
        """The one run that the sensor asks for."""
        (request,) = self.asked()
        return self.run(PLAYLIST_MIGRATION, run_config=request.run_config, tags=dict(request.tags))


@pytest.fixture
def moving(dagster_home: Settings, warehouse: Warehouse, mover: Mover) -> Iterator[MovingSetup]:
    tidal = mover.tidal.settings
    names = [name for name in type(tidal).model_fields if name.startswith("tidal_")]
    settings = dagster_home.model_copy(update={name: getattr(tidal, name) for name in names})
    mover.tidal.settings = settings
    mover.sign_in(warehouse)
    definitions = build_definitions(settings, clock=mover.tidal.clock)
    with dg.DagsterInstance.get() as instance:
        yield MovingSetup(settings, warehouse, instance, definitions, mover)


def steps(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    """Metadata of each step that ended well with an output."""
    return {
        str(each.step_key): {name: value.value for name, value in each.step_output_data.metadata.items()}
        for each in result.all_events
        if each.event_type is dg.DagsterEventType.STEP_OUTPUT
    }


def test_an_order_is_a_run_whose_steps_say_what_they_did(moving: MovingSetup) -> None:
    setup, mover = moving, moving.mover
    mover.tidal.add_tracks(120)
    assert setup.asked() == []
    number = setup.order([*range(1, 121), 900])
    planned = setup.work()
    assert planned.success
    found = steps(planned)
    assert found.keys() == {"take_order", "plan", "match"}
    assert (found["plan"]["entries"], found["match"]["matched"], found["match"]["missing"]) == (121, 120, 1)
    assert (setup.see(number).state, setup.asked(), mover.writes) == ("planned", [], 0)

    setup.apply(number)
    applied = setup.work()
    found = steps(applied)
    assert found.keys() == {"take_order", "apply", "verify"}
    assert (found["apply"]["state"], found["apply"]["requests"]) == ("done", 3)
    assert found["verify"] == {"is_as_planned": True, "lacking": 0, "changes_left": 0}
    assert mover.tracks(number) == [str(each) for each in range(1, 121)]
    assert setup.asked() == []
    (observed,) = setup.instance.fetch_observations(PLAYLIST_MIGRATIONS, limit=10).records
    assert observed.event_log_entry.asset_observation is not None
    told = observed.event_log_entry.asset_observation.metadata
    assert (told["confirmed_entries"].value, told["wanted_entries"].value) == (120, 120)


@pytest.mark.slow
def test_one_run_is_at_an_account_and_what_waits_starts_nothing(moving: MovingSetup) -> None:
    setup, mover = moving, moving.mover
    mover.tidal.add_tracks(2)
    first, second = setup.order([1]), setup.order([2])
    (request,) = setup.asked()
    assert request.run_config == {"migration_id": first}
    job = setup.definitions.resolve_job_def(PLAYLIST_MIGRATION)
    run = setup.instance.create_run_for_job(
        job, run_config=request.run_config, status=dg.DagsterRunStatus.STARTED,
        tags={ACCOUNT_TAG: request.tags[ACCOUNT_TAG]},
    )  # fmt: skip
    assert setup.asked() == []
    setup.instance.report_run_failed(run)
    assert setup.work().success
    assert setup.work().success
    assert {setup.see(each).state for each in (first, second)} == {"planned"}

    # A quota that is used up ends the run well; it goes on when the service says so.
    setup.apply(first)
    limited = ServiceFault(status=429, body="{}", headers=(("Retry-After", "7200"),), on="POST")
    mover.tidal.tidal.world.fail(limited)
    waiting = setup.work()
    assert waiting.success
    assert "apply" not in steps(waiting)
    goes_on_at = setup.see(first).goes_on_at
    assert goes_on_at is not None
    stored = setup.instance.get_run_by_id(waiting.run_id)
    assert stored is not None
    assert stored.tags[GOES_ON_TAG] == f"{goes_on_at:%Y-%m-%d %H:%M} UTC"
    assert setup.asked() == []
    mover.tidal.clock.set(goes_on_at + timedelta(seconds=1))
    assert setup.work().success
    # Its playlist had changed before it was planned.
    assert mover.tracks(first) == ["2"]

    # What cannot be done fails its run, with the reason, and is not tried again.
    gone = setup.order([1])
    mover.connection.execute("update app.migrations set target_playlist = 'gone' where migration_id = %s", (gone,))
    assert not setup.work().success
    assert (setup.see(gone).state, setup.asked()) == ("failed", [])


@pytest.mark.slow
def test_a_run_that_is_killed_while_it_writes_is_taken_up_and_adds_nothing_twice(moving: MovingSetup) -> None:
    setup, mover = moving, moving.mover
    mover.tidal.add_tracks(120)
    world = mover.tidal.tidal.world
    number = setup.order(list(range(1, 121)))
    assert setup.work().success
    setup.apply(number)
    told = {
        name: getattr(setup.settings, name)
        for name in type(setup.settings).model_fields
        if name.startswith("tidal_") and name != "tidal_client_secret"
    }
    document = json.dumps({**told, "now": mover.tidal.clock.now().isoformat()}, default=str)
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.dagster.migration_process", str(number)],
        stdin=subprocess.PIPE, env=dict(os.environ), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    killed = threading.Event()

    def kill(method: str, path: str) -> None:
        # Its answer never arrives: the second hundred is asked for, and nobody knows what came of it.
        if method == "POST" and path.endswith("/relationships/items") and len(world.writes) >= 2:
            os.kill(child.pid, signal.SIGKILL)
            killed.set()

    world.on_request = kill
    assert child.stdin is not None
    child.stdin.write(document.encode())
    child.stdin.close()
    child.wait(60)
    assert killed.is_set()
    world.on_request = lambda _, __: None
    (lost,) = setup.instance.get_runs(
        dg.RunsFilter(job_name=PLAYLIST_MIGRATION, statuses=[dg.DagsterRunStatus.STARTED])
    )
    setup.instance.report_run_failed(lost)
    assert (setup.see(number).state, setup.asked()) == ("applying", [])
    mover.tidal.clock.advance(pause_after(1) + timedelta(seconds=1))
    assert setup.work().success
    assert mover.tracks(number) == [str(each) for each in range(1, 121)]
    assert (setup.see(number).state, len(world.playlists)) == ("done", 1)


@pytest.mark.slow
def test_what_is_kept_in_sync_runs_once_a_day_if_the_source_has_changed(moving: MovingSetup) -> None:
    setup, mover = moving, moving.mover
    mover.tidal.add_tracks(9)
    number = setup.order([1, 2])
    setup.work()
    setup.apply(number)
    setup.work()
    with setup.warehouse.connect(Role.APP, autocommit=True) as page:
        now = mover.tidal.clock.now()
        saved.save(page, user_id=mover.user_id, migration_id=number, is_daily=True, now=now)
    mover.source([1, 2, 3])
    assert setup.asked() == []
    mover.tidal.clock.advance(86_401)
    mover.sign_in(setup.warehouse)
    # It is planned, and as there is something to write, applied.
    assert steps(setup.work()).keys() == {"take_order", "plan", "match"}
    found = steps(setup.work())
    assert (found["apply"]["state"], found["apply"]["requests"]) == ("done", 1)
    assert mover.tracks(number) == ["1", "2", "3"]
    mover.tidal.clock.advance(86_401)
    assert setup.asked() == []
