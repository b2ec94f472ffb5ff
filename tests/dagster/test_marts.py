"""dbt's models in Dagster: lineage, one whole refresh, a part of one, and nothing to do."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dagster as dg
import grimp
import pytest

from myi_pipeline.definitions import build_definitions
from myi_pipeline.defs.archives import LISTENING_HISTORY
from myi_pipeline.defs.catalogue import CATALOGUE
from myi_pipeline.defs.genres import GENRES
from myi_pipeline.defs.maintenance import MAINTENANCE, prune_event_log
from myi_pipeline.defs.marts import WATCHED, load_manifest, source_tables
from myi_pipeline.defs.partitions import RANGE_END, RANGE_START, sync_partitions
from myi_pipeline.defs.playlists import PLAYLISTS
from myi_pipeline.defs.polling import RECENTLY_PLAYED
from myi_pipeline.defs.resources import has_logins
from myi_pipeline.defs.services import SCROBBLES
from myi_pipeline.defs.top_items import TOP_ITEMS
from myi_pipeline.marts.dbt_runner import dbt_manifest, project
from myi_pipeline.operations import checks
from tests.dagster.conftest import LiveSetup, Setup

WRITERS = (LISTENING_HISTORY, RECENTLY_PLAYED, SCROBBLES, TOP_ITEMS, PLAYLISTS, CATALOGUE, GENRES)
# What people set, by pages, API and commands.
SETTINGS = [dg.AssetKey(["app", table]) for table in ("users", "user_time_zones", "corrections")]
PLAYS, RESOLVED = dg.AssetKey(["marts", "fct_plays_stored"]), dg.AssetKey(["intermediate", "int_plays__resolved"])


def test_every_model_is_an_asset_that_leads_back_to_what_writes_its_tables(setup: Setup) -> None:
    graph = setup.definitions.resolve_asset_graph()
    keys = {key.to_user_string() for key in graph.get_all_asset_keys()}

    assert {relation.replace(".", "/") for relation in project().relations} <= keys
    assert {"listening_history", "recently_played", "maintenance", "app/users"} <= keys
    # What nobody writes is filled by migrations, or is the ledger and the state of the open run.
    filled_once = {dg.AssetKey(["raw", table]) for table in ("sources", "content_kinds")}
    # Dates follow from each other.
    calendar = dg.AssetKey(["marts", "dim_date"])
    for model in map(_key, project().relations):
        roots = {key for key in graph.get_ancestor_asset_keys(model) if not graph.get(key).parent_keys}
        assert roots or model == calendar, model
        known = {*WRITERS, *SETTINGS, *filled_once, calendar}
        assert {key for key in roots if key.path[0] != "ops"} <= known, model
    assert {LISTENING_HISTORY, RECENTLY_PLAYED} <= graph.get_ancestor_asset_keys(PLAYS)
    # Top lists and the catalogue have children, and only they.
    ranks, artists = dg.AssetKey(["marts", "fct_top_ranks"]), dg.AssetKey(["marts", "dim_artists"])
    assert TOP_ITEMS in graph.get_ancestor_asset_keys(ranks)
    assert CATALOGUE in graph.get_ancestor_asset_keys(artists)
    covers = graph.get(dg.AssetKey(["staging", "stg_raw__kept_pictures"]))
    assert graph.get_ancestor_asset_keys(covers.key) == {CATALOGUE, dg.AssetKey(["raw", "kept_pictures"])}
    # The tables by which a run knows its slices are sources, also where dbt's own parser does not see them.
    assert graph.get(PLAYS).parent_keys >= {dg.AssetKey(["ops", "mart_run_days"]), RESOLVED}
    assert dg.AssetKey(["ops", "mart_run_contents"]) in graph.get(dg.AssetKey(["marts", "dim_tracks"])).parent_keys
    assert not graph.get(dg.AssetKey(["ops", "mart_run_days"])).parent_keys
    for node in map(graph.get, graph.get_all_asset_keys()):
        assert node.owners, node.key
        assert node.kinds, node.key
        assert node.description, node.key
        assert node.group_name not in ("", "default"), node.key
    assert {check.asset_key for check in graph.asset_check_keys} >= {
        dg.AssetKey(["marts", "fct_plays"]), RESOLVED, LISTENING_HISTORY, RECENTLY_PLAYED, MAINTENANCE
    }  # fmt: skip
    watched = {key.path[-1] for key in graph.get_all_asset_keys() if graph.get(key).freshness_policy is not None}
    assert watched == {*WATCHED, "maintenance"}
    assert _fails_after(graph, PLAYS) > timedelta(days=100)
    links = {key.path[-1]: _url_of_docs(graph.get(key).metadata) for key in map(_key, project().relations)}
    assert links["fct_plays"] == "http://127.0.0.1:8899/#!/model/model.myi.fct_plays"
    assert None not in links.values()


@pytest.mark.slow
def test_while_somebody_is_signed_in_polls_and_marts_must_be_fresh_within_hours(live_setup: LiveSetup) -> None:
    assert has_logins(live_setup.settings)
    graph = build_definitions(live_setup.settings, has_logins=True).resolve_asset_graph()
    assert _fails_after(graph, RECENTLY_PLAYED) <= timedelta(hours=6)
    marts = [key for key in graph.get_all_asset_keys() if key.path[0] == "marts"]
    # Those that every play moves: what users and their catalogue are called may stay as it is for years.
    moved = [key for key in marts if graph.get(key).freshness_policy is not None]
    assert {"fct_plays_stored", "fct_sessions", "agg_day_user", "agg_period_user"} <= {key.path[-1] for key in moved}
    assert not any(key.path[-1].startswith("dim_") for key in moved)
    assert all(_fails_after(graph, key) <= timedelta(hours=72) for key in moved)
    live_setup.sql("delete from app.credentials")
    assert not has_logins(live_setup.settings)


@pytest.mark.slow
def test_each_raw_table_stands_below_the_assets_that_really_write_it(live_setup: LiveSetup) -> None:
    setup = live_setup
    declared = {
        table.key[1]: set(table.written_by)
        for table in source_tables(load_manifest(_manifest_of(setup)))
        if table.key[0] == "raw"
    }
    setup.put("ana/one.zip", rows=30)
    jobs = {
        "listening_history": lambda: setup.run("import_uploads", partition_key="ana"),
        "recently_played": lambda: setup.poll("ana", "eva", force=True),
        "top_items": lambda: setup.run("refresh_top_items", tags={RANGE_START: "ana", RANGE_END: "eva"}),
        "catalogue": lambda: setup.run("enrich_catalogue"),
    }
    seen: dict[str, set[str]] = {table: set() for table in declared}
    for writer, run in jobs.items():
        before = _changes(setup)
        assert run().success, writer
        for table, changes in _changes(setup).items():
            if changes != before.get(table, 0):
                # Every table that dbt may read is a source; pictures themselves are for the API.
                assert table in declared or table == "picture_files", table
                seen.setdefault(table, set()).add(writer)

    assert {table: writers - declared[table] for table, writers in seen.items() if table in declared} == {
        table: set() for table in declared
    }
    # And nothing is declared that no code does: each pair was seen, or stands in the SQL that the writer's code loads.
    for table, writers in declared.items():
        for writer in writers - seen[table]:
            assert table in _tables_written_by_code(writer), (table, writer)


def _fails_after(graph: Any, key: dg.AssetKey) -> timedelta:
    window: timedelta = graph.get(key).freshness_policy.fail_window.to_timedelta()
    return window


def _changes(setup: Setup) -> dict[str, int]:
    """Rows of each table of raw that were ever inserted, changed or deleted; a partition counts as its table."""
    setup.sql("select pg_stat_force_next_flush()")
    found = setup.sql(
        """
        select
            coalesce(i.inhparent::regclass::text, s.schemaname || '.' || s.relname),
            sum(n_tup_ins + n_tup_upd + n_tup_del)
        from pg_stat_user_tables as s left join pg_inherits as i on i.inhrelid = s.relid
        where s.schemaname = 'raw' group by 1
        """
    )
    return {name.removeprefix("raw."): int(count) for name, count in found}


MODULE_OF = {"listening_history": "archives", "recently_played": "polling", "scrobbles": "services"}


def _tables_written_by_code(writer: str) -> set[str]:
    """Tables of raw that stand after insert, update or delete in what the asset's module imports, and in its SQL."""
    entry = f"myi_pipeline.defs.{MODULE_OF.get(writer, writer)}"
    graph = grimp.build_graph("myi_pipeline")
    root = files("myi_pipeline")
    text = ""
    for module in {entry, *graph.find_upstream_modules(entry)}:
        spec = find_spec(module)
        assert spec is not None
        assert spec.origin is not None
        code = Path(spec.origin).read_text(encoding="utf-8")
        text += code
        for package, name in re.findall(r"[\"']([a-z_]+)/([a-z_/]+)[\"']", code):
            sql = root.joinpath(package, "sql", f"{name}.sql")
            text += sql.read_text(encoding="utf-8") if sql.is_file() else ""
    return set(re.findall(r"(?:insert into|update|delete from)\s+raw\.([a-z_]+)", text))


def _key(relation: str) -> dg.AssetKey:
    return dg.AssetKey(relation.split("."))


def _url_of_docs(metadata: Any) -> object:
    found = [value.value for value in metadata.values() if isinstance(value, dg.UrlMetadataValue)]
    return found[0] if found else None


@pytest.mark.long
def test_a_part_closes_nothing_the_whole_closes_and_then_there_is_nothing_to_do(setup: Setup) -> None:
    setup.add_users("ana")
    sync_partitions(setup.instance, setup.warehouse)
    setup.put("ana/one.zip", rows=50)
    assert setup.run("import_uploads", partition_key="ana").success
    assert len(_hourly(setup).run_requests) == 1
    waiting = setup.sql("select count(*) from ops.changed_days")
    staging = [key for key in setup.definitions.resolve_asset_graph().get_all_asset_keys() if key.path[0] == "staging"]

    part = setup.run("refresh_marts", asset_selection=staging)

    assert part.success
    assert {event.asset_key for event in part.get_asset_materialization_events()} == set(staging)
    assert setup.sql("select status from ops.mart_runs") == [("partial",)]
    assert setup.sql("select count(*) from ops.changed_days") == waiting

    whole = setup.run("refresh_marts", tags={"myi/correlation_id": "asked-by-a-test"})

    assert whole.success
    assert len(whole.get_asset_materialization_events()) == len(project().relations)
    failed = [check.check_name for check in whole.get_asset_check_evaluations() if not check.passed]
    assert failed == []
    # Each of dbt's data tests is a check, also those that read several models.
    tests = [node for node in load_manifest(_manifest_of(setup))["nodes"].values() if node["resource_type"] == "test"]
    assert {check.check_name for check in whole.get_asset_check_evaluations()} == {test["name"] for test in tests}
    assert setup.sql("select status, correlation_id from ops.mart_runs order by run_id desc limit 1") == [
        ("completed", "asked-by-a-test")
    ]
    assert setup.sql("select count(*) from ops.changed_days") == [(0,)]
    assert setup.sql("select count(*) from marts.fct_plays") == [(50,)]

    nothing = setup.run("refresh_marts")
    assert nothing.success
    assert nothing.get_asset_materialization_events() == []
    _chosen_marts_are_skipped_with_a_reason_or_rebuilt(setup)
    assert "nothing has changed" in setup.sensor("changes").skip_message
    assert "nothing has changed" in _hourly(setup).skip_message
    assert _no_secret_in_the_event_log(setup)
    _checks_of_plays_can_fail(setup)
    _pruning_keeps_what_the_ui_shows(setup, removable=nothing.run_id, needed=whole.run_id)


def _chosen_marts_are_skipped_with_a_reason_or_rebuilt(setup: Setup) -> None:
    days, matched = dg.AssetKey(["marts", "agg_day_user"]), dg.AssetKey(["intermediate", "int_plays__matched"])
    before = setup.sql("select * from marts.agg_day_user order by user_id, local_date")

    skipped = setup.run("refresh_marts", asset_selection=[days, matched])

    assert skipped.success
    assert skipped.get_asset_materialization_events() == []
    # dbt's tests of several models are observations too.
    records = setup.instance.fetch_observations(days, limit=20).records
    told = [each.asset_observation for each in records if each.run_id == skipped.run_id]
    reasons = [str(each.metadata["skipped"].value) for each in told if each is not None and "skipped" in each.metadata]
    assert len(reasons) == 1
    assert "nothing has changed" in reasons[0]
    assert _remarks_on_outputs(setup, skipped) == []

    # What somebody broke by hand comes back, also the view that goes with the table it reads; a change that is open
    # is worked off first, so that no mart misses it.
    setup.sql("update marts.agg_day_user set plays = plays + 1000")
    setup.add_users("ben")
    force = {"ops": {"marts": {"config": {"force": True}}}}
    forced = setup.run("refresh_marts", asset_selection=[days, matched], run_config=force)

    assert forced.success
    assert {event.asset_key for event in forced.get_asset_materialization_events()} == {days, matched}
    assert setup.sql("select * from marts.agg_day_user order by user_id, local_date") == before
    assert setup.sql("select to_regclass('intermediate.int_plays__timed') is not null") == [(True,)]
    assert _remarks_on_outputs(setup, forced) == []
    assert setup.sql("select status from ops.mart_runs order by run_id desc limit 2") == [("partial",), ("completed",)]
    assert "nothing has changed" in setup.sensor("changes").skip_message


def _remarks_on_outputs(setup: Setup, done: dg.ExecuteInProcessResult) -> list[str]:
    texts = [entry.user_message for entry in setup.instance.all_logs(done.run_id)]
    return [text for text in texts if "expected" in text or "unexpected" in text]


def _manifest_of(setup: Setup) -> Path:
    return dbt_manifest(setup.settings.dbt_target.parent / "manifests")


def _hourly(setup: Setup) -> Any:
    schedule = setup.definitions.resolve_schedule_def("hourly_refresh")
    return schedule.evaluate_tick(
        dg.build_schedule_context(
            instance=setup.instance, resources=setup.resources, scheduled_execution_time=datetime.now(UTC)
        )
    )


def _no_secret_in_the_event_log(setup: Setup) -> bool:
    """The canary: no password of any role in anything that Dagster stored."""
    urls = setup.settings.role_urls().values()
    secrets = [url.partition("://")[2].partition("@")[0].partition(":")[2] for url in urls]
    assert all(secrets)
    for run in setup.instance.get_runs():
        stored = run.run_config, run.tags, [str(record) for record in setup.instance.all_logs(run.run_id)]
        assert not any(secret in str(stored) for secret in secrets)
    return True


def _checks_of_plays_can_fail(setup: Setup) -> None:
    assert setup.run("daily_maintenance").success
    assert checks.events_belong_to_one_play(setup.warehouse).figures["events_compared"] == 50
    with setup.warehouse.connect(checks.Role.DBT) as connection:
        connection.execute(
            "insert into intermediate.int_plays__matched"
            " (user_id, played_at, event_id, content_id, play_id, is_canonical, decision)"
            " select user_id, played_at, event_id, content_id, 1, false, 'told_by_another_archive'"
            " from intermediate.int_plays__resolved"
        )
    assert not checks.plays_have_one_event_a_source(setup.warehouse).passed
    assert not checks.events_belong_to_one_play(setup.warehouse).passed
    with setup.warehouse.connect(checks.Role.DBT) as connection:
        connection.execute("delete from intermediate.int_plays__matched")
    assert checks.events_belong_to_one_play(setup.warehouse).passed
    with setup.warehouse.connect(checks.Role.DBT) as connection:
        connection.execute("delete from marts.fct_plays where played_at = (select max(played_at) from marts.fct_plays)")
    assert not checks.events_belong_to_one_play(setup.warehouse).passed


def _pruning_keeps_what_the_ui_shows(setup: Setup, *, removable: str, needed: str) -> None:
    import_run = setup.instance.fetch_materializations(LISTENING_HISTORY, limit=1).records[0].run_id
    assert prune_event_log(setup.instance, before=datetime.now(UTC) - timedelta(days=1)).removed == 0

    pruned = prune_event_log(setup.instance, before=datetime.now(UTC) + timedelta(seconds=5))

    assert pruned.is_complete
    assert pruned.removed >= 1
    assert not setup.instance.has_run(removable)
    assert setup.instance.has_run(needed)
    assert setup.instance.has_run(import_run)
    assert setup.instance.get_materialized_partitions(LISTENING_HISTORY) == {"ana"}
