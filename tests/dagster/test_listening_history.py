"""The asset of uploads on a real instance: users as partitions, failures isolated, figures that a person wants."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg
import pytest

from myi_pipeline.defs.archives import LISTENING_HISTORY
from myi_pipeline.defs.commands import POOLS, prepare_instance, report_imports
from myi_pipeline.defs.partitions import RANGE_END, RANGE_START, USERS, sync_partitions
from myi_pipeline.errors import Permanent
from myi_pipeline.operations.erase_users import erase_user
from myi_pipeline.operations.remove_users import finish_removals
from tests.dagster.conftest import Setup

PARTITION = "dagster/partition"
BROKEN_ZIP = b"PK\x05\x06" + bytes(18)


def materialized(setup: Setup) -> set[str]:
    return setup.instance.get_materialized_partitions(LISTENING_HISTORY)


def test_a_range_of_users_is_one_run_in_which_each_stands_alone(setup: Setup) -> None:
    setup.add_users("ana", "ben", "cem", "dee")
    prepare_instance(setup.instance, setup.settings)
    assert list(setup.instance.get_dynamic_partitions(USERS)) == ["ana", "ben", "cem", "dee"]
    assert {pool.name: pool.limit for pool in setup.instance.event_log_storage.get_pool_limits()} == POOLS
    setup.put("ana/one.zip", rows=30)
    setup.put("ben/bad.zip", content=BROKEN_ZIP)
    setup.put("dee/one.zip")

    result = setup.run("import_uploads", tags={RANGE_START: "ana", RANGE_END: "cem"})

    # Ben's archive is refused, Cem has none, Dee is outside: only Ana's partition is done. Half may fail.
    assert result.success
    assert materialized(setup) == {"ana"}
    (done,) = [event for event in result.get_asset_materialization_events() if event.partition == "ana"]
    metadata = done.materialization.metadata
    assert metadata["rows_read"].value == metadata["rows_loaded"].value == 30
    assert metadata["accounting_closes"].value is True
    assert "| one.zip | 30 | 30 | 0 | 0 | 0 | completed |" in str(metadata["table"].value)
    assert [check.check_name for check in result.get_asset_check_evaluations() if check.passed] == ["accounting_closes"]

    # Alone, Ben's failure is the run's.
    alone = setup.run("import_uploads", partition_key="ben")
    assert not alone.success
    (failure,) = alone.get_step_failure_events()
    assert "1 of 1 users with archives failed" in str(failure.step_failure_data.user_failure_data)


def test_a_limit_of_a_pool_that_a_person_set_stays(setup: Setup) -> None:
    prepare_instance(setup.instance, setup.settings)
    storage = setup.instance.event_log_storage
    storage.set_concurrency_slots("dbt", 3)
    prepare_instance(setup.instance, setup.settings.model_copy(update={"pool_limits": "spotify_api = 8"}))
    wanted = POOLS | {"dbt": 3, "spotify_api": 8}
    assert {pool.name: pool.limit for pool in storage.get_pool_limits()} == wanted
    with pytest.raises(Permanent, match="MYI_POOL_LIMITS: there is no pool spotify; there are dbt, musicbrainz, "):
        prepare_instance(setup.instance, setup.settings.model_copy(update={"pool_limits": "spotify=8"}))
    assert {pool.name: pool.limit for pool in storage.get_pool_limits()} == wanted


@pytest.mark.slow
def test_a_run_of_no_user_or_of_somebody_unknown_fails_and_says_what_to_do(setup: Setup) -> None:
    """Dagster takes a range that begins after its end for a success, and of the others it told its own insides."""
    setup.add_users("ana", "ben")
    sync_partitions(setup.instance, setup.warehouse)
    for tags, told in (
        ({RANGE_START: "ben", RANGE_END: "ana"}, "its first key comes after its last"),
        ({}, "choose one user, or a range of them"),
        ({PARTITION: "zoe"}, "no user has the key zoe"),
    ):
        for job in ("import_uploads", "poll_users", "refresh_top_items"):
            result = setup.run(job, tags=tags)
            assert not result.success
            (failure,) = result.get_step_failure_events()
            assert told in str(failure.step_failure_data.error), job
            assert not result.dagster_run.tags.get("dagster/retry_number")


def test_a_backfill_imports_again_what_lies_there_and_names_what_does_not(setup: Setup) -> None:
    setup.add_users("ana")
    sync_partitions(setup.instance, setup.warehouse)
    gone, _ = setup.put("ana/gone.zip", rows=5), setup.put("ana/kept.zip", rows=9)
    config = {"ops": {"listening_history": {"config": {"archives": ["ana/gone.zip"]}}}}
    assert setup.run("import_uploads", partition_key="ana", run_config=config).success
    assert setup.sql("select archive_name, attempt from app.imports") == [("gone.zip", 1)]
    gone.unlink()

    again = setup.run("import_uploads", partition_key="ana")

    assert again.success
    (event,) = again.get_asset_materialization_events()
    assert event.materialization.metadata["archives"].value == 1
    assert "gone.zip" in str(event.materialization.metadata["not in the uploads folder"].value)


@pytest.mark.slow
def test_a_retry_after_a_power_cut_leaves_alone_what_the_dead_run_had_brought_in(setup: Setup) -> None:
    """It imported it again: for minutes where the archive is large, while refreshes waited; and from then on its
    import showed no new rows, as if somebody else had brought them."""
    setup.add_users("ana", "ben")
    sync_partitions(setup.instance, setup.warehouse)
    setup.put("ana/done.zip", rows=5)
    setup.put("ben/not yet.zip", rows=9)
    config = {"ops": {"listening_history": {"config": {"archives": ["ana/done.zip", "ben/not yet.zip"]}}}}
    first = {"ops": {"listening_history": {"config": {"archives": ["ana/done.zip"]}}}}
    tags = {RANGE_START: "ana", RANGE_END: "ben", "dagster/run_key": "one"}
    assert setup.run("import_uploads", tags=tags, run_config=first).success

    again = setup.run("import_uploads", tags=tags, run_config=config)

    assert again.success
    assert setup.sql("select archive_name, attempt, rows_loaded from app.imports order by 1") == [
        ("done.zip", 1, 5),
        ("not yet.zip", 1, 9),
    ]
    # The dead run may not have got as far as saying so.
    assert {event.partition for event in again.get_asset_materialization_events()} == {"ana", "ben"}
    # A person who asks for it by name gets it.
    assert setup.run("import_uploads", partition_key="ana", run_config=first).success
    assert setup.sql("select attempt from app.imports where archive_name = 'done.zip'") == [(2,)]


@pytest.mark.slow
def test_an_archive_asked_for_by_name_that_is_not_there_fails_its_run(setup: Setup) -> None:
    setup.add_users("ana", "ben")
    sync_partitions(setup.instance, setup.warehouse)
    setup.put("ana/here.zip", rows=7)

    def ask(*names: str) -> dg.ExecuteInProcessResult:
        config = {"ops": {"listening_history": {"config": {"archives": list(names)}}}}
        return setup.run("import_uploads", tags={RANGE_START: "ana", RANGE_END: "ben"}, run_config=config)

    # What is there comes in all the same; half of the users may fail, but not what was asked for.
    for missing in ("ana/gone.zip", "ben/gone.zip", "cem/one.zip", "ana/here.zip/", "../ana/here.zip"):
        done = ask("ana/here.zip", missing)
        assert not done.success, missing
        (failure,) = done.get_step_failure_events()
        assert missing in str(failure.step_failure_data.user_failure_data), missing
    assert setup.sql("select count(*) from raw.listening_events") == [(7,)]
    assert ask("ana/here.zip").success


def test_an_import_by_command_is_reported_without_a_daemon(setup: Setup) -> None:
    setup.add_users("ana", "ben")
    sync_partitions(setup.instance, setup.warehouse)
    setup.put("ana/one.zip")
    assert setup.run("import_uploads", partition_key="ana").success
    setup.instance.delete_dynamic_partition(USERS, "ana")
    ((import_id,),) = setup.sql("select import_id from app.imports")

    report_imports(setup.instance, setup.settings, [import_id])

    assert setup.instance.has_dynamic_partition(USERS, "ana")
    record = setup.instance.fetch_materializations(LISTENING_HISTORY, limit=1).records[0]
    assert record.run_id == ""
    assert record.partition_key == "ana"
    assert record.asset_materialization is not None
    assert record.asset_materialization.metadata["rows_loaded"].value == 20


def test_partitions_follow_the_users_but_not_beneath_a_run(setup: Setup) -> None:
    setup.add_users("zoe", "ana", "ben")
    assert sync_partitions(setup.instance, setup.warehouse) == (3, 0)
    assert list(setup.instance.get_dynamic_partitions(USERS)) == ["zoe", "ana", "ben"]
    setup.sql("delete from app.users where user_key in ('zoe', 'ben')")
    job = setup.definitions.resolve_job_def("import_uploads")
    run = setup.instance.create_run_for_job(job, tags={"dagster/partition": "zoe"}, status=dg.DagsterRunStatus.STARTED)

    assert isinstance(setup.sensor("users"), dg.SkipReason)
    assert list(setup.instance.get_dynamic_partitions(USERS)) == ["zoe", "ana"]

    setup.instance.delete_run(run.run_id)
    assert sync_partitions(setup.instance, setup.warehouse) == (0, 1)


def test_an_erasure_leaves_no_partition_where_dagster_has_no_home_but_a_database(setup: Setup) -> None:
    setup.add_users("ana", "ben")
    sync_partitions(setup.instance, setup.warehouse)
    ((user_id,),) = setup.sql("select user_id from app.users where user_key = 'ana'")
    erase_user(setup.warehouse, setup.settings, user_id=user_id, now=datetime.now(UTC))
    finish_removals(setup.warehouse, setup.settings, partition_keys=())
    assert list(setup.instance.get_dynamic_partitions(USERS)) == ["ben"]
    assert setup.sql("select count(*) from ops.removals") == [(0,)]
