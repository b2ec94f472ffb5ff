"""One machine with `myi up`, and several with Celery: the same story, held to the same figures."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import psutil
import pytest

from benchmarks.polling_setup import sign_in_listeners
from benchmarks.setups import Setup
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.settings import Settings
from myi_pipeline.simulator.live import (
    LiveListener,
    MovableClock,
    SimulatorSpec,
    apps_for,
    persona,
    running_simulator,
    world_of,
)
from myi_pipeline.simulator.live.clock import from_ms
from tests.integration.scale.fleet import Fleet, Run, kill_with_children, redis_broker

IMPORT, POLL, REFRESH = "import_uploads", "poll_users", "refresh_marts"
# Of chunks of 25,000 that are each committed: three of them.
ROWS = 60_000
# Looks are a quarter of a minute apart, and this machine may have other things to do.
FOUND_WITHIN_S = 90.0
LISTENER = persona("albums", "bea", first_day=date(2025, 1, 1))
SPEC = SimulatorSpec(artists=40, listeners=(LISTENER,), apps=apps_for((LISTENER,)))


@dataclass
class Way:
    """An installation that is up, and how what does one of its runs loses its power."""

    fleet: Fleet
    lose: Callable[[Run], None]
    listed: list[datetime]


@pytest.fixture(params=["one machine", "celery"])
def way(
    request: pytest.FixtureRequest, settings_for_tests: Settings, warehouse: Warehouse, dagster_storage: None,
    tmp_path: Path,
) -> Iterator[Way]:  # fmt: skip
    is_celery = request.param == "celery"
    clock = MovableClock(datetime.now(UTC))
    with ExitStack() as stack:
        broker = stack.enter_context(redis_broker(tmp_path / "redis"))[0] if is_celery else None
        simulator = stack.enter_context(running_simulator(SPEC, clock=clock))
        fleet = Fleet(
            settings_for_tests,
            warehouse,
            tmp_path / "fleet",
            broker=broker,
            encryption_keys=secrets.token_hex(32),
            spotify_api_url=simulator.api_url,
            spotify_accounts_url=simulator.accounts_url,
            spotify_images_url=simulator.images_url,
        )
        stack.callback(fleet.stop)
        fleet.add_user("ana")
        sign_in_listeners(Setup(fleet.settings, warehouse, tmp_path), simulator, [LISTENER.key], now=datetime.now(UTC))
        if is_celery:
            fleet.control()
            workers = [fleet.worker(name) for name in ("first", "second")]
        else:
            fleet.up()
            workers = []

        def lose(run: Run) -> None:
            process = fleet.process_of(run.run_id)
            host = next((worker for worker in workers if process in worker.pids), None)
            if host is not None:
                host.kill()
            else:
                kill_with_children(psutil.Process(process))

        listed = [from_ms(play.reported_ms) for play in LiveListener(LISTENER, world_of(SPEC)).window_at(clock.now())]
        yield Way(fleet, lose, sorted(listed))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_upload_whose_import_is_killed_and_polls_come_to_the_same_figures(way: Way) -> None:
    fleet = way.fleet
    fleet.wait_until(
        lambda: any(run.status == "SUCCESS" for run in fleet.runs(POLL)) and fleet.plays() == len(way.listed),
        what="nobody polls",
    )
    with closing(fleet.warehouse.connect(Role.OWNER)) as holding:
        # However fast the machine is, the import comes no further than here before it is killed.
        holding.execute("lock table raw.listening_events in share mode")
        fleet.upload("ana", rows=ROWS)
        fleet.wait_until(lambda: is_importing(fleet), what="no import is in the middle")
        (lost,) = fleet.runs(IMPORT)
        way.lose(lost)
    found_s = fleet.wait_until(lambda: fleet.runs(IMPORT)[0].status == "FAILURE", what="the lost run is not failed")
    assert found_s < FOUND_WITHIN_S
    fleet.wait_until(
        lambda: any(each.parent == lost.run_id and each.status == "SUCCESS" for each in fleet.runs(IMPORT)),
        what="it is not done again",
    )
    fleet.wait_until(
        lambda: (
            fleet.sql("select count(*) from marts.fct_plays") == [(ROWS + len(way.listed),)]
            and all(run.status in ("SUCCESS", "FAILURE") for run in fleet.runs(REFRESH))
        ),
        what="the marts lack plays",
    )

    assert [run.status for run in fleet.runs(IMPORT)] == ["FAILURE", "SUCCESS"]
    # Another poll, or what follows from one, may just have begun.
    for job in (POLL, REFRESH):
        assert "FAILURE" not in {run.status for run in fleet.runs(job)}, job
    assert fleet.sql(
        "select i.status, i.rows_read, i.rows_loaded + i.rows_present, i.rows_identical from app.imports as i"
    ) == [("completed", ROWS, ROWS, 0)]
    assert fleet.sql("select count(*) from ops.quarantine") == [(0,)]
    for plays in ("raw.listening_events", "marts.fct_plays"):
        counted = "select user_key, count(*) from {} join app.users using (user_id) group by user_key order by user_key"
        assert fleet.sql(counted.format(plays)) == [("ana", ROWS), (LISTENER.key, len(way.listed))], plays
    heard = "select played_at from raw.listening_events join app.users using (user_id) where user_key = %s order by 1"
    assert [moment for (moment,) in fleet.sql(heard, LISTENER.key)] == way.listed


def is_importing(fleet: Fleet) -> bool:
    """Whether an import has begun, and waits for what is held."""
    waiting = "select from pg_locks where relation = 'raw.listening_events'::regclass and not granted"
    return bool(fleet.sql(f"select from app.imports where status = 'running' and exists ({waiting})"))
