"""dbt's models in Dagster: lineage, one whole refresh, a part of one, and nothing to do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from myi_pipeline.defs.listening_history import LISTENING_HISTORY
from myi_pipeline.defs.maintenance import MAINTENANCE
from myi_pipeline.defs.manifest import load_manifest
from myi_pipeline.defs.marts import USERS_TABLE, WATCHED
from myi_pipeline.defs.partitions import sync_partitions
from myi_pipeline.defs.pruning import prune_event_log
from myi_pipeline.defs.recently_played import RECENTLY_PLAYED
from myi_pipeline.services import check_house
from myi_pipeline.services.dbt_runner import project
from tests.dagster.conftest import House

PLAYS, RESOLVED = dg.AssetKey(["marts", "fct_plays"]), dg.AssetKey(["intermediate", "int_plays__resolved"])


def test_every_model_is_an_asset_that_leads_back_to_what_people_upload(house: House) -> None:
    graph = house.definitions.resolve_asset_graph()
    keys = {key.to_user_string() for key in graph.get_all_asset_keys()}

    assert {relation.replace(".", "/") for relation in project().relations} <= keys
    assert {"listening_history", "recently_played", "maintenance", "app/users"} <= keys
    for model in (relation.replace(".", "/") for relation in project().relations):
        above = graph.get_ancestor_asset_keys(dg.AssetKey(model.split("/")))
        roots = {key for key in above if not graph.get(key).parent_keys}
        assert roots, model
        assert roots <= {LISTENING_HISTORY, RECENTLY_PLAYED, USERS_TABLE}, model
    assert {LISTENING_HISTORY, RECENTLY_PLAYED} <= graph.get_ancestor_asset_keys(PLAYS)
    assert {check.asset_key for check in graph.asset_check_keys} >= {
        PLAYS, RESOLVED, LISTENING_HISTORY, RECENTLY_PLAYED, MAINTENANCE
    }  # fmt: skip
    watched = {key.path[-1] for key in graph.get_all_asset_keys() if graph.get(key).freshness_policy is not None}
    assert watched == {*WATCHED, "maintenance"}
    links = {key.path[-1]: _url_of_docs(graph.get(key).metadata) for key in map(_key, project().relations)}
    assert links["fct_plays"] == "http://127.0.0.1:8899/#!/model/model.myi.fct_plays"
    assert None not in links.values()


def _key(relation: str) -> dg.AssetKey:
    return dg.AssetKey(relation.split("."))


def _url_of_docs(metadata: Any) -> object:
    found = [value.value for value in metadata.values() if isinstance(value, dg.UrlMetadataValue)]
    return found[0] if found else None


# dagster-dbt asks its own context in the old way.
@pytest.mark.long
@pytest.mark.filterwarnings("ignore:AssetExecutionContext.op is deprecated:DeprecationWarning")
def test_a_part_closes_nothing_the_whole_closes_and_then_there_is_nothing_to_do(house: House) -> None:
    house.add_users("ana")
    sync_partitions(house.instance, house.warehouse)
    house.put("ana/one.zip", rows=50)
    assert house.run("import_uploads", partition_key="ana").success
    assert len(_hourly(house).run_requests) == 1
    waiting = house.sql("select count(*) from ops.changed_days")
    staging = [key for key in house.definitions.resolve_asset_graph().get_all_asset_keys() if key.path[0] == "staging"]

    part = house.run("refresh_marts", asset_selection=staging)

    assert part.success
    assert {event.asset_key for event in part.get_asset_materialization_events()} == set(staging)
    assert house.sql("select status from ops.mart_runs") == [("partial",)]
    assert house.sql("select count(*) from ops.changed_days") == waiting

    whole = house.run("refresh_marts", tags={"myi/correlation_id": "asked-by-a-test"})

    assert whole.success
    assert len(whole.get_asset_materialization_events()) == len(project().relations)
    failed = [check.check_name for check in whole.get_asset_check_evaluations() if not check.passed]
    assert failed == []
    # Each of dbt's data tests is a check, also those that read several models.
    tests = [node for node in load_manifest(_manifest_of(house))["nodes"].values() if node["resource_type"] == "test"]
    assert {check.check_name for check in whole.get_asset_check_evaluations()} == {test["name"] for test in tests}
    assert house.sql("select status, correlation_id from ops.mart_runs order by run_id desc limit 1") == [
        ("completed", "asked-by-a-test")
    ]
    assert house.sql("select count(*) from ops.changed_days") == [(0,)]
    assert house.sql("select count(*) from marts.fct_plays") == [(50,)]

    nothing = house.run("refresh_marts")
    assert nothing.success
    assert nothing.get_asset_materialization_events() == []
    assert "nothing has changed" in house.sensor("changes").skip_message
    assert "nothing has changed" in _hourly(house).skip_message
    assert _no_secret_in_the_event_log(house)
    _checks_of_plays_can_fail(house)
    _pruning_keeps_what_the_ui_shows(house, removable=nothing.run_id, needed=whole.run_id)


def _manifest_of(house: House) -> Path:
    return next((house.settings.dbt_target.parent / "manifests").glob("*/manifest.json"))


def _hourly(house: House) -> Any:
    schedule = house.definitions.resolve_schedule_def("hourly_refresh")
    return schedule.evaluate_tick(
        dg.build_schedule_context(
            instance=house.instance, resources=house.resources, scheduled_execution_time=datetime.now(UTC)
        )
    )


def _no_secret_in_the_event_log(house: House) -> bool:
    """The canary: no password of any role in anything that Dagster stored."""
    urls = house.settings.role_urls().values()
    secrets = [url.partition("://")[2].partition("@")[0].partition(":")[2] for url in urls]
    assert all(secrets)
    for run in house.instance.get_runs():
        stored = run.run_config, run.tags, [str(record) for record in house.instance.all_logs(run.run_id)]
        assert not any(secret in str(stored) for secret in secrets)
    return True


def _checks_of_plays_can_fail(house: House) -> None:
    assert house.run("daily_maintenance").success
    assert check_house.events_belong_to_one_play(house.warehouse).figures["events_compared"] == 50
    with house.warehouse.connect(check_house.Role.DBT) as connection:
        connection.execute("update intermediate.int_plays__resolved set play_id = 1, is_canonical = play_id = event_id")
    assert not check_house.plays_have_one_event_a_source(house.warehouse).passed
    with house.warehouse.connect(check_house.Role.DBT) as connection:
        connection.execute("delete from intermediate.int_plays__resolved where played_at in "
                           "(select played_at from intermediate.int_plays__resolved limit 1)")  # fmt: skip
    assert not check_house.events_belong_to_one_play(house.warehouse).passed


def _pruning_keeps_what_the_ui_shows(house: House, *, removable: str, needed: str) -> None:
    import_run = house.instance.fetch_materializations(LISTENING_HISTORY, limit=1).records[0].run_id
    assert prune_event_log(house.instance, before=datetime.now(UTC) - timedelta(days=1)).removed == 0

    pruned = prune_event_log(house.instance, before=datetime.now(UTC) + timedelta(seconds=5))

    assert pruned.is_complete
    assert pruned.removed >= 1
    assert not house.instance.has_run(removable)
    assert house.instance.has_run(needed)
    assert house.instance.has_run(import_run)
    assert house.instance.get_materialized_partitions(LISTENING_HISTORY) == {"ana"}
