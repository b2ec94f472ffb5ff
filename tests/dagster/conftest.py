"""Dagster for tests: definitions of one installation, and a real instance on Postgres.

The dbt project is parsed once for all workers (10 s) and handed to every test's home. Importing Dagster costs 7 CPU
seconds, so tests here are few and each looks at much.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_postgres import DagsterPostgresStorage

from myi_pipeline.definitions import build_definitions
from myi_pipeline.defs.partitions import RANGE_END, RANGE_START, sync_partitions
from myi_pipeline.defs.polling import RECENTLY_PLAYED
from myi_pipeline.defs.resources import Installation
from myi_pipeline.marts.dbt_runner import dbt_manifest
from myi_pipeline.operations.dagster_home import prepare_dagster
from myi_pipeline.people.manage_users import add_user
from myi_pipeline.postgres.connections import Role, Warehouse, compose_url, parse_url
from myi_pipeline.providers import login_owners
from myi_pipeline.providers.encryption_keys import require_keys
from myi_pipeline.settings import Settings
from myi_pipeline.simulator.live import (
    SCOPES,
    MovableClock,
    Simulator,
    SimulatorSpec,
    apps_for,
    persona,
    running_simulator,
)
from tests.hostile import decoys


@dataclass
class Setup:
    """An installation, its definitions and an instance."""

    settings: Settings
    warehouse: Warehouse
    instance: dg.DagsterInstance
    definitions: dg.Definitions

    @property
    def resources(self) -> dict[str, Any]:
        return {"installation": Installation(self.settings)}

    def sql(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        with closing(self.warehouse.connect(Role.OWNER, autocommit=True)) as connection:
            cursor = connection.execute(query.encode(), arguments or None)
            return cursor.fetchall() if cursor.description else []

    def add_users(self, *user_keys: str) -> None:
        with closing(self.warehouse.connect(Role.INGEST, autocommit=True)) as connection:
            for user_key in user_keys:
                add_user(connection, user_key=user_key, time_zone="UTC")

    def put(self, name: str, *, rows: int = 20, content: bytes | None = None) -> Path:
        """An archive in the uploads folder, old enough to be taken at first sight."""
        path = self.settings.uploads_folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is not None:
            path.write_bytes(content)
        else:
            decoys.zip_of(path, ("Streaming_History_Audio_2024_0.json", decoys.good_json(rows)))
        os.utime(path, (time.time() - 300, time.time() - 300))
        return path

    def run(self, job: str, **arguments: Any) -> dg.ExecuteInProcessResult:
        found = self.definitions.resolve_job_def(job)
        return found.execute_in_process(instance=self.instance, raise_on_error=False, **arguments)

    def sensor(self, name: str, cursor: str | None = None) -> Any:
        """One tick: a SensorResult, a RunRequest or a SkipReason."""
        sensor = self.definitions.resolve_sensor_def(name)
        context = dg.build_sensor_context(
            instance=self.instance, cursor=cursor, resources=self.resources, definitions=self.definitions
        )
        return sensor(context)


@pytest.fixture(scope="session")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.getbasetemp()
    # The workers of one session share what lies above their own folders; whoever comes first parses.
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "manifests"
    # In a clone that was parsed ahead it stays empty.
    folder.mkdir(exist_ok=True)
    dbt_manifest(folder)
    return folder


@pytest.fixture(scope="session")
def tables_of_dagster(server_for: Callable[[str], Any]) -> None:
    """Dagster's tables in the template, so that no test's database begins by migrating them (1 to 2 s)."""
    url = server_for("embedded").template.dagster_url()
    DagsterPostgresStorage(compose_url(parse_url(url), scheme="postgresql+psycopg2"))


@pytest.fixture
def dagster_home(
    tables_of_dagster: None,
    settings_for_tests: Settings,
    warehouse: Warehouse,
    dagster_storage: None,
    manifests: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Settings:
    """Everything that a process of Dagster needs, in this process's environment."""
    shutil.copytree(manifests, settings_for_tests.dbt_target.parent / "manifests")
    for name, value in {**settings_for_tests.environment(), **prepare_dagster(settings_for_tests, warehouse)}.items():
        monkeypatch.setenv(name, value)
    return settings_for_tests


@pytest.fixture
def setup(dagster_home: Settings, warehouse: Warehouse) -> Iterator[Setup]:
    with dg.DagsterInstance.get() as instance:
        yield Setup(dagster_home, warehouse, instance, build_definitions(dagster_home))


# In partition order; Cem does not sign in, Eva hears nothing.
USER_KEYS = ("ana", "ben", "cem", "dee", "eva")
SIGNED_IN = ("ana", "ben", "dee", "eva")
# In every code and token of the simulated Spotify.
CANARY = "canary0sings"


@dataclass
class LiveSetup(Setup):
    """The setup with a simulated Spotify, both on one clock."""

    simulator: Simulator
    clock: MovableClock
    cursor: str | None = None

    @property
    def resources(self) -> dict[str, Any]:
        return {"installation": Installation(self.settings, clock=self.clock)}

    def sign_in(self, *user_keys: str, scopes: tuple[str, ...] = SCOPES) -> None:
        ring = require_keys(self.settings, self.warehouse)
        with self.warehouse.connect(Role.INGEST, autocommit=True) as connection:
            for login in self.simulator.control.sign_in_all(user_keys, scopes=scopes):
                ((user_id,),) = self.sql("select user_id from app.users where user_key = %s", login.listener)
                login_owners.store_login(
                    connection,
                    ring,
                    user_id=user_id,
                    client_id=login.client_id,
                    account_key=f"account:{login.listener}",
                    other_key=None,
                    refresh_token=login.refresh_token,
                    scopes=login.scope.split(),
                    now=self.clock.now(),
                )

    def poll(self, first: str, last: str, **config: Any) -> dg.ExecuteInProcessResult:
        run_config = {"ops": {"recently_played": {"config": config}}}
        return self.run("poll_users", tags={RANGE_START: first, RANGE_END: last}, run_config=run_config)

    def polls_sensor(self) -> dg.SensorResult | dg.SkipReason:
        """One look of the sensor that asks for polls; its cursor is kept, as the daemon does."""
        result = self.sensor("polls", self.cursor)
        assert isinstance(result, (dg.SensorResult, dg.SkipReason))
        if isinstance(result, dg.SensorResult):
            self.cursor = result.cursor
        return result

    def reported(self) -> dict[str, dict[str, Any]]:
        """The newest materialization of each partition, as plain metadata."""
        found: dict[str, dict[str, Any]] = {}
        for record in self.instance.fetch_materializations(RECENTLY_PLAYED, limit=100).records:
            assert record.asset_materialization is not None
            values = {name: each.value for name, each in record.asset_materialization.metadata.items()}
            found.setdefault(str(record.partition_key), values)
        return found


@pytest.fixture
def live_setup(dagster_home: Settings, warehouse: Warehouse) -> Iterator[LiveSetup]:
    clock = MovableClock()
    listeners = (
        persona("skipper", "ana", stale_days=0.0, silent_days=0.0, plays_per_day=600),
        persona("albums", "ben", stale_days=0.0),
        persona("albums", "cem"),
        persona("albums", "dee", stale_days=0.0),
        persona("albums", "eva", plays_per_day=0.0),
    )
    apps = apps_for(listeners, users_per_app=1)
    spec = SimulatorSpec(listeners=listeners, apps=apps, artists=20, canary=CANARY)
    with ExitStack() as stack:
        simulator = stack.enter_context(running_simulator(spec, clock=clock))
        settings = dagster_home.model_copy(
            update={
                "spotify_api_url": simulator.api_url,
                "spotify_accounts_url": simulator.accounts_url,
                "spotify_images_url": simulator.images_url,
                "musicbrainz_url": simulator.musicbrainz_url,
                "musicbrainz_contact": "me@example.org",
                "musicbrainz_interval_ms": 1,
            }
        )
        instance = stack.enter_context(dg.DagsterInstance.get())
        setup = LiveSetup(settings, warehouse, instance, build_definitions(settings, clock=clock), simulator, clock)
        setup.add_users(*USER_KEYS)
        setup.sign_in(*SIGNED_IN)
        sync_partitions(instance, warehouse)
        yield setup
