"""Sensors on real folders and a real ledger."""

from __future__ import annotations

import time

import dagster as dg
import psycopg
import pytest

from myi_pipeline.defs.partitions import RANGE_END, RANGE_START, sync_partitions
from myi_pipeline.defs.resources import Installation
from myi_pipeline.postgres.connections import compose_url, parse_url
from tests.dagster.conftest import Setup

RUN_KEY = "dagster/run_key"


def test_the_uploads_sensor_asks_once_for_each_content_and_neighbours_share_a_run(setup: Setup) -> None:
    setup.add_users("ana", "ben", "cem", "dee")
    sync_partitions(setup.instance, setup.warehouse)
    setup.put("ana/one.zip", rows=5)
    setup.put("ben/one.zip", rows=6)
    setup.put("dee/one.zip", rows=7)
    setup.put("stranger/one.zip")

    tick = setup.sensor("uploads")

    neighbours, alone = tick.run_requests
    assert (neighbours.tags[RANGE_START], neighbours.tags[RANGE_END]) == ("ana", "ben")
    assert neighbours.run_config["ops"]["listening_history"]["config"]["archives"] == ["ana/one.zip", "ben/one.zip"]
    assert alone.partition_key == "dee"

    # The next tick says why there is nothing to do, also when the cursor is lost.
    for cursor in (tick.cursor, None):
        quiet = setup.sensor("uploads", cursor)
        assert not quiet.run_requests
        assert "stranger/ does not belong to any user" in quiet.skip_reason.skip_message

    # Dagster takes the request as it is.
    job = setup.definitions.resolve_job_def("import_uploads")
    tags = {**neighbours.tags, RUN_KEY: neighbours.run_key}
    result = job.execute_in_process(instance=setup.instance, run_config=neighbours.run_config, tags=tags)
    assert result.success
    assert setup.sql("select distinct run_id from app.imports where status = 'completed'") == [(result.run_id,)]
    assert not setup.sensor("uploads").run_requests


def test_an_archive_whose_run_died_before_it_began_is_imported_all_the_same(setup: Setup) -> None:
    """Its run key was used up, and its content in the cursor: it was never imported, and nothing said so."""
    setup.add_users("ana")
    sync_partitions(setup.instance, setup.warehouse)
    setup.put("ana/one.zip")
    tick = setup.sensor("uploads")
    (asked,) = tick.run_requests
    job = setup.definitions.resolve_job_def("import_uploads")
    tags = {**asked.tags, RUN_KEY: asked.run_key}

    # Queued for as long as it likes: nothing else is asked for.
    run = setup.instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTING)
    setup.sql("update app.imports set asked_at = now() - interval '1 day'")
    assert not setup.sensor("uploads", tick.cursor).run_requests

    setup.instance.report_run_failed(run)
    assert not setup.sensor("uploads", tick.cursor).run_requests
    assert setup.sql("select status, error from app.imports") == [
        ("pending", "the run that should have imported it ended before it began")
    ]
    setup.sql("update app.imports set next_try_at = now()")
    (again,) = setup.sensor("uploads", tick.cursor).run_requests
    assert again.run_key != asked.run_key

    # A user who is re-created with the same key is another one: Dagster's memory of run keys is in nobody's way.
    setup.sql("delete from app.users")
    setup.put("ana/two.zip")
    assert not setup.sensor("uploads", tick.cursor).run_requests
    assert not (setup.settings.uploads_folder / "ana").exists()
    assert setup.sql("select count(*) from ops.removals") == [(1,)]
    sync_partitions(setup.instance, setup.warehouse)
    setup.sensor("uploads")
    setup.add_users("ana")
    sync_partitions(setup.instance, setup.warehouse)
    setup.put("ana/one.zip")
    assert len(setup.sensor("uploads", tick.cursor).run_requests) == 1


@pytest.mark.slow
def test_the_changes_sensor_asks_once_for_a_state_of_the_ledger(setup: Setup) -> None:
    first = setup.sensor("changes")
    assert isinstance(first, dg.RunRequest)
    assert setup.sensor("changes").run_key == first.run_key

    setup.add_users("ana")
    second = setup.sensor("changes")
    assert second.run_key != first.run_key

    setup.put("ana/one.zip")
    sync_partitions(setup.instance, setup.warehouse)
    assert setup.run("import_uploads", partition_key="ana").success
    setup.sql("update app.imports set status = 'running', heartbeat_at = now()")
    assert "an import is still adding" in setup.sensor("changes").skip_message
    setup.sql("update app.imports set status = 'completed', finished_at = now()")

    refresh = setup.definitions.resolve_job_def("refresh_marts")
    run = setup.instance.create_run_for_job(refresh, status=dg.DagsterRunStatus.STARTED)
    assert "already in progress" in setup.sensor("changes").skip_message
    setup.instance.delete_run(run.run_id)
    assert isinstance(setup.sensor("changes"), dg.RunRequest)


def asked(setup: Setup, request: dg.RunRequest) -> dg.DagsterRun:
    """The run that Dagster's daemon makes of a request; it makes none where a run has its key."""
    assert not setup.instance.get_runs(dg.RunsFilter(tags={RUN_KEY: str(request.run_key)}))
    job = setup.definitions.resolve_job_def("refresh_marts")
    tags = {**request.tags, RUN_KEY: str(request.run_key)}
    return setup.instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)


def ended_ago(setup: Setup, run: dg.DagsterRun, seconds: float) -> None:
    with psycopg.connect(compose_url(parse_url(setup.warehouse.dagster_url())), autocommit=True) as connection:
        connection.execute("update runs set end_time = %s where run_id = %s", (time.time() - seconds, run.run_id))


@pytest.mark.slow
def test_a_refresh_that_failed_is_asked_for_again_further_and_further_apart(setup: Setup) -> None:
    """Its run key was used up: the marts stood still until the hourly refresh, or until something else changed."""
    for pause_s in (60, 120, 240):
        run = asked(setup, setup.sensor("changes"))
        assert "already in progress" in setup.sensor("changes").skip_message
        setup.instance.report_run_failed(run)
        ended_ago(setup, run, pause_s - 20)
        assert "follows in 1 min" in setup.sensor("changes").skip_message
        ended_ago(setup, run, pause_s + 20)
    # However often it fails, an hour is the most; and a clock that was ahead when it failed holds up nothing longer.
    for _ in range(4):
        setup.instance.report_run_failed(run := asked(setup, setup.sensor("changes")))
        ended_ago(setup, run, 3_620)
    setup.instance.report_run_failed(run := asked(setup, setup.sensor("changes")))
    ended_ago(setup, run, -1_000_000)
    assert "follows in 60 min" in setup.sensor("changes").skip_message

    # Something else changes: that is another state, which has not failed yet.
    setup.add_users("ana")
    run = asked(setup, setup.sensor("changes"))

    # Somebody ends it: it does not come back at once.
    setup.instance.report_run_canceled(run)
    ended_ago(setup, run, 600)
    assert "follows in 50 min" in setup.sensor("changes").skip_message


@pytest.mark.slow
def test_a_database_that_was_restored_is_refreshed_although_its_state_was_seen_before(setup: Setup) -> None:
    setup.add_users("ana")
    run = asked(setup, setup.sensor("changes"))
    setup.instance.report_dagster_event(
        dg.DagsterEvent(event_type_value="PIPELINE_SUCCESS", job_name=run.job_name, message=""), run.run_id
    )
    ended_ago(setup, run, 86_400)
    # What the run did was lost with the database; the ledger is as it was when it began.
    again = setup.sensor("changes")
    assert isinstance(again, dg.RunRequest)
    assert asked(setup, again).run_id != run.run_id


def test_a_refresh_is_asked_for_once_there_is_room_on_the_disk(setup: Setup) -> None:
    """Each one would fail at once, and the next would wait for an hour although the disk has room again."""
    full = Installation(setup.settings.model_copy(update={"disk_floor_mb": 10**9}))
    sensor = setup.definitions.resolve_sensor_def("changes")
    context = dg.build_sensor_context(instance=setup.instance, resources={"installation": full})
    skipped = sensor(context)
    assert isinstance(skipped, dg.SkipReason)
    assert "MYI_DISK_FLOOR_MB" in str(skipped.skip_message)
    assert isinstance(setup.sensor("changes"), dg.RunRequest)
