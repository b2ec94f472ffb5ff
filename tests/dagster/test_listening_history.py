"""The asset of uploads on a real instance: users as partitions, failures isolated, figures that a person wants."""

from __future__ import annotations

import dagster as dg

from myi_pipeline.defs.listening_history import LISTENING_HISTORY
from myi_pipeline.defs.partitions import RANGE_END, RANGE_START, USERS, sync_partitions
from myi_pipeline.defs.prepare_instance import POOLS, prepare_instance
from myi_pipeline.defs.report_import import report_imports
from tests.dagster.conftest import House

BROKEN_ZIP = b"PK\x05\x06" + bytes(18)


def materialized(house: House) -> set[str]:
    return house.instance.get_materialized_partitions(LISTENING_HISTORY)


def test_a_range_of_users_is_one_run_in_which_each_stands_alone(house: House) -> None:
    house.add_users("ana", "ben", "cem", "dee")
    prepare_instance(house.instance, house.settings)
    assert list(house.instance.get_dynamic_partitions(USERS)) == ["ana", "ben", "cem", "dee"]
    assert {pool.name: pool.limit for pool in house.instance.event_log_storage.get_pool_limits()} == POOLS
    house.put("ana/one.zip", rows=30)
    house.put("ben/bad.zip", content=BROKEN_ZIP)
    house.put("dee/one.zip")

    result = house.run("import_uploads", tags={RANGE_START: "ana", RANGE_END: "cem"})

    # Ben's archive is refused, Cem has none, Dee is outside: only Ana's partition is done. Half may fail.
    assert result.success
    assert materialized(house) == {"ana"}
    (done,) = [event for event in result.get_asset_materialization_events() if event.partition == "ana"]
    metadata = done.materialization.metadata
    assert metadata["rows_read"].value == metadata["rows_loaded"].value == 30
    assert metadata["accounting_closes"].value is True
    assert "| one.zip | 30 | 30 | 0 | 0 | 0 | completed |" in str(metadata["table"].value)
    assert [check.check_name for check in result.get_asset_check_evaluations() if check.passed] == ["accounting_closes"]

    # Alone, Ben's failure is the run's.
    alone = house.run("import_uploads", partition_key="ben")
    assert not alone.success
    (failure,) = alone.get_step_failure_events()
    assert "1 of 1 users with archives failed" in str(failure.step_failure_data.user_failure_data)

    # A range that begins after its end has no keys, which Dagster itself takes for a success.
    inverted = house.run("import_uploads", tags={RANGE_START: "cem", RANGE_END: "ana"})
    assert not inverted.success


def test_a_backfill_imports_again_what_lies_there_and_names_what_does_not(house: House) -> None:
    house.add_users("ana")
    sync_partitions(house.instance, house.warehouse)
    gone, _ = house.put("ana/gone.zip", rows=5), house.put("ana/kept.zip", rows=9)
    config = {"ops": {"listening_history": {"config": {"archives": ["ana/gone.zip"]}}}}
    assert house.run("import_uploads", partition_key="ana", run_config=config).success
    assert house.sql("select archive_name, attempt from app.imports") == [("gone.zip", 1)]
    gone.unlink()

    again = house.run("import_uploads", partition_key="ana")

    assert again.success
    (event,) = again.get_asset_materialization_events()
    assert event.materialization.metadata["archives"].value == 1
    assert "gone.zip" in str(event.materialization.metadata["not in the uploads folder"].value)


def test_an_import_by_command_is_reported_without_a_daemon(house: House) -> None:
    house.add_users("ana", "ben")
    sync_partitions(house.instance, house.warehouse)
    house.put("ana/one.zip")
    assert house.run("import_uploads", partition_key="ana").success
    house.instance.delete_dynamic_partition(USERS, "ana")
    ((import_id,),) = house.sql("select import_id from app.imports")

    report_imports(house.instance, house.settings, [import_id])

    assert house.instance.has_dynamic_partition(USERS, "ana")
    record = house.instance.fetch_materializations(LISTENING_HISTORY, limit=1).records[0]
    assert record.run_id == ""
    assert record.partition_key == "ana"
    assert record.asset_materialization is not None
    assert record.asset_materialization.metadata["rows_loaded"].value == 20


def test_partitions_follow_the_users_but_not_beneath_a_run(house: House) -> None:
    house.add_users("zoe", "ana", "ben")
    assert sync_partitions(house.instance, house.warehouse) == (3, 0)
    assert list(house.instance.get_dynamic_partitions(USERS)) == ["zoe", "ana", "ben"]
    house.sql("delete from app.users where user_key in ('zoe', 'ben')")
    job = house.definitions.resolve_job_def("import_uploads")
    run = house.instance.create_run_for_job(job, tags={"dagster/partition": "zoe"}, status=dg.DagsterRunStatus.STARTED)

    result = house.sensor("users")
    (request,) = result.dynamic_partitions_requests
    assert request.partition_keys == ["ben"]

    house.instance.delete_run(run.run_id)
    assert sync_partitions(house.instance, house.warehouse) == (0, 2)
