"""Runs by Celery: real workers with homes of their own, a real broker between them, and nothing shared but Postgres."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import pack_value
from dagster_celery.config import TASK_EXECUTE_JOB_NAME

from myi_pipeline.defs.celery_runs import celery_app
from myi_pipeline.postgres.connections import Warehouse
from myi_pipeline.settings import Settings
from tests.integration.scale.fleet import Fleet, Part, Run, rabbitmq_broker, redis_broker

log = logging.getLogger(__name__)

IMPORT = "import_uploads"
ORIGIN = JobPythonOrigin(
    IMPORT, RepositoryPythonOrigin(sys.executable, ModuleCodePointer("myi_pipeline.definitions", "defs"))
)


@pytest.fixture
def fleet(settings_for_tests: Settings, warehouse: Warehouse, dagster_storage: None, tmp_path: Path) -> Iterator[Fleet]:
    with redis_broker(tmp_path / "redis") as (url, _):
        made = Fleet(settings_for_tests, warehouse, tmp_path / "fleet", broker=url)
        try:
            yield made
        finally:
            made.stop()


@pytest.mark.timeout(600)
def test_a_run_goes_through_a_worker_that_has_nothing_but_its_environment(fleet: Fleet) -> None:
    fleet.add_user("ana")
    fleet.upload("ana", rows=20)
    fleet.control()
    worker = fleet.worker("worker", "loads", "house")

    fleet.wait_until(lambda: any(run.status == "SUCCESS" for run in fleet.runs(IMPORT)), what="no import succeeded")

    (run,) = fleet.runs(IMPORT)
    assert run.queue == "loads"
    assert fleet.plays() == 20
    assert fleet.process_of(run.run_id) in worker.pids
    ((queues, slots),) = fleet.sql("select queues, slots from ops.celery_workers")
    assert (queues, slots) == (["loads", "house"], 1)


ROWS = 150_000


def in_mid_import(fleet: Fleet) -> tuple[Run, Part, Part]:
    """A run of an import that has committed some of its rows, the worker that has it, and another."""
    fleet.add_user("ana")
    fleet.control()
    workers = [fleet.worker(name, "loads", "house") for name in ("first", "second")]
    fleet.wait_until(lambda: len(fleet.sql("select from ops.celery_workers")) == 2, what="not both workers are there")
    fleet.upload("ana", rows=ROWS)
    fleet.wait_until(lambda: 0 < fleet.plays() < ROWS, what="no import is in the middle")
    (run,) = fleet.runs(IMPORT)
    workers.sort(key=lambda worker: fleet.process_of(run.run_id) not in worker.pids)
    return run, workers[0], workers[1]


def ends_with_equal_plays(fleet: Fleet, run: Run, survivor: Part) -> None:
    fleet.wait_until(
        lambda: any(each.parent == run.run_id and each.status == "SUCCESS" for each in fleet.runs(IMPORT)),
        what="no other worker ended it",
    )
    assert fleet.plays() == ROWS
    assert fleet.sql("select status, rows_read, rows_loaded + rows_present from app.imports") == [
        ("completed", ROWS, ROWS)
    ]
    retry = fleet.runs(IMPORT)[1]
    assert fleet.process_of(retry.run_id) in survivor.pids


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_worker_that_is_killed_in_mid_import_is_found_and_another_ends_the_import_with_equal_plays(
    fleet: Fleet,
) -> None:
    """SIGKILL to all of the host that has the run: nothing is left that could say so."""
    run, doomed, survivor = in_mid_import(fleet)
    doomed.kill()
    assert 0 < fleet.plays() < ROWS, "it was too late for a kill in mid-import"

    found_s = fleet.wait_until(
        lambda: fleet.runs(IMPORT)[0].status == "FAILURE", what="the run of the dead worker is not failed"
    )
    log.info("the lost run was failed %.0f s after the kill", found_s)
    # Looks are a quarter of a minute apart, and this machine may have other things to do.
    assert found_s < 90
    ends_with_equal_plays(fleet, run, survivor)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_worker_that_was_stopped_and_comes_back_ends_its_run_and_nothing_is_doubled(fleet: Fleet) -> None:
    """Stopped, it cannot even end itself, and its locks are held: the hardest of those that were presumed lost."""
    run, stopped, survivor = in_mid_import(fleet)
    process = psutil.Process(fleet.process_of(run.run_id))
    process.suspend()
    try:
        assert 0 < fleet.plays() < ROWS, "it was too late to stop it in mid-import"
        fleet.wait_until(lambda: fleet.runs(IMPORT)[0].status == "FAILURE", what="the stopped run is not failed")
        fleet.wait_until(
            lambda: any(each.parent == run.run_id and each.status == "STARTED" for each in fleet.runs(IMPORT)),
            what="it is not tried again",
        )
        before = fleet.plays()
        assert before < ROWS
    finally:
        process.resume()

    fleet.wait_until(lambda: not process.is_running(), what="the one that came back goes on")
    assert "this process ends" in stopped.text
    ends_with_equal_plays(fleet, run, survivor)
    assert fleet.runs(IMPORT)[0].status == "FAILURE"


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_broker_that_is_away_and_forgets_everything_loses_no_run(
    settings_for_tests: Settings, warehouse: Warehouse, dagster_storage: None, tmp_path: Path
) -> None:
    """No worker is there when one run is sent; the broker is killed, another run is to be sent meanwhile, and it begins
    again with nothing."""
    with redis_broker(tmp_path / "redis") as (url, broker):
        fleet = Fleet(settings_for_tests, warehouse, tmp_path / "fleet", broker=url)

        def states() -> list[str]:
            return [run.status for run in fleet.runs(IMPORT)]

        try:
            for user in ("ana", "ben"):
                fleet.add_user(user)
            fleet.upload("ana", rows=20)
            fleet.control()
            fleet.wait_until(lambda: states() == ["STARTING"], what="no import was sent")
            broker.kill()
            fleet.upload("ben", rows=20, year=2010)
            fleet.wait_until(lambda: states() == ["STARTING"] * 2, what="no import was launched without a broker")
            with redis_broker(tmp_path / "redis", port=int(url.rpartition(":")[2].partition("/")[0])):
                fleet.worker("worker", "loads")
                fleet.wait_until(lambda: states() == ["SUCCESS"] * 2, what="the runs are not sent again", at_most_s=400)
            assert fleet.plays() == 40
        finally:
            fleet.stop()


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_run_goes_through_rabbitmq_and_a_task_that_comes_twice_is_refused(
    settings_for_tests: Settings, warehouse: Warehouse, dagster_storage: None, tmp_path: Path
) -> None:
    with rabbitmq_broker(tmp_path / "rabbitmq") as url:
        fleet = Fleet(settings_for_tests, warehouse, tmp_path / "fleet", broker=url)
        try:
            fleet.add_user("ana")
            fleet.upload("ana", rows=20)
            fleet.control()
            worker = fleet.worker("worker", "loads")
            fleet.wait_until(lambda: any(r.status == "SUCCESS" for r in fleet.runs(IMPORT)), what="no import succeeded")
            (run,) = fleet.runs(IMPORT)
            app = celery_app(fleet.settings)
            arguments = ExecuteRunArgs(job_origin=ORIGIN, run_id=run.run_id, instance_ref=None)
            app.send_task(
                TASK_EXECUTE_JOB_NAME,
                kwargs={"execute_job_args_packed": pack_value(arguments)},
                queue="loads",
                routing_key=f"loads.{TASK_EXECUTE_JOB_NAME}",
            )
            fleet.wait_until(lambda: "task_refused" in worker.text, what="the second task is not refused")
            assert fleet.runs(IMPORT) == [run]
            assert fleet.plays() == 20
        finally:
            fleet.stop()
