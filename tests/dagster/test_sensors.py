"""Sensors on real folders and a real ledger."""

from __future__ import annotations

import dagster as dg

from myi_pipeline.defs.partitions import RANGE_END, RANGE_START, sync_partitions
from tests.dagster.conftest import House


def test_the_uploads_sensor_asks_once_for_each_content_and_neighbours_share_a_run(house: House) -> None:
    house.add_users("ana", "ben", "cem", "dee")
    sync_partitions(house.instance, house.warehouse)
    house.put("ana/one.zip", rows=5)
    house.put("ben/one.zip", rows=6)
    house.put("dee/one.zip", rows=7)
    house.put("stranger/one.zip")

    tick = house.sensor("uploads")

    neighbours, alone = tick.run_requests
    assert (neighbours.tags[RANGE_START], neighbours.tags[RANGE_END]) == ("ana", "ben")
    assert neighbours.run_config["ops"]["listening_history"]["config"]["archives"] == ["ana/one.zip", "ben/one.zip"]
    assert alone.partition_key == "dee"

    # The next tick says why there is nothing to do; a lost cursor leads to the same run keys.
    quiet = house.sensor("uploads", tick.cursor)
    assert not quiet.run_requests
    assert "stranger/ is no user's folder" in quiet.skip_reason.skip_message
    assert [request.run_key for request in house.sensor("uploads").run_requests] == [neighbours.run_key, alone.run_key]

    # Dagster takes the request as it is.
    job = house.definitions.resolve_job_def("import_uploads")
    result = job.execute_in_process(
        instance=house.instance, run_config=neighbours.run_config, tags=dict(neighbours.tags)
    )
    assert result.success
    assert len(house.sensor("uploads").run_requests) == 1


def test_the_changes_sensor_asks_once_for_a_state_of_the_ledger(house: House) -> None:
    first = house.sensor("changes")
    assert isinstance(first, dg.RunRequest)
    assert house.sensor("changes").run_key == first.run_key

    house.add_users("ana")
    second = house.sensor("changes")
    assert second.run_key != first.run_key

    house.put("ana/one.zip")
    sync_partitions(house.instance, house.warehouse)
    assert house.run("import_uploads", partition_key="ana").success
    house.sql("update app.imports set status = 'running', heartbeat_at = now()")
    assert "an import is still adding" in house.sensor("changes").skip_message
    house.sql("update app.imports set status = 'completed', finished_at = now()")

    refresh = house.definitions.resolve_job_def("refresh_marts")
    run = house.instance.create_run_for_job(refresh, status=dg.DagsterRunStatus.STARTED)
    assert "already under way" in house.sensor("changes").skip_message
    house.instance.delete_run(run.run_id)
    assert isinstance(house.sensor("changes"), dg.RunRequest)
