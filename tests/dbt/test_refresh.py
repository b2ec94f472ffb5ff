"""Refreshing: what closes the ledger and what never does, whoever crashes, waits or comes late."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import psutil
import psycopg
import pytest

from myi_pipeline.errors import BadInput, Busy, Fenced
from myi_pipeline.marts.dbt_protocol import VERIFY_TARGET
from myi_pipeline.marts.dbt_runner import DbtProcess, DbtResult, project
from myi_pipeline.marts.runs import mark_changed, mart_lock, mart_run, open_mart_run
from myi_pipeline.postgres.connections import Role

PLAYS = "select to_char(played_at, 'MM-DD HH24:MI') from marts.fct_plays order by played_at"
OPEN = "select count(*) from ops.changed_days"


class NoDbt:
    """Fails when it is asked for anything."""

    def invoke(self, arguments: Sequence[str], *, environment: Mapping[str, str], on_node: Any = None) -> DbtResult:
        raise AssertionError("dbt was run")


class DbtOfASubset:
    """Runs only a part of the models, and says so or not."""

    def __init__(self, marts: Any, selection: str) -> None:
        self.marts, self.selection = marts, selection

    def invoke(self, arguments: Sequence[str], *, environment: Mapping[str, str], on_node: Any = None) -> DbtResult:
        result: DbtResult = self.marts.dbt.invoke(
            ["run", "--select", self.selection], environment=environment, on_node=on_node
        )
        return result


def a_user_with_plays(marts: Any) -> tuple[int, int]:
    user = marts.add_user("ada", "Europe/Berlin")
    song = marts.add_content("Song", album="Album", uri="spotify:track:1")
    for day in (1, 2, 3):
        marts.add_play(user, f"2024-03-0{day} 10:00Z", song)
    assert marts.refreshed().status == "completed"
    return user, song


def test_a_refresh_of_nothing_runs_no_dbt(marts: Any) -> None:
    assert marts.with_dbt(NoDbt()).refresh().status == "nothing"


def test_a_refresh_closes_what_it_froze_and_leaves_nothing_behind(marts: Any) -> None:
    a_user_with_plays(marts)
    left = marts.sql(
        "select count(*) from (select 1 from ops.changed_days union all select 1 from ops.changed_contents"
        " union all select 1 from ops.changed_users union all select 1 from ops.touched_dates"
        " union all select 1 from ops.touched_entities union all select 1 from ops.mart_run_changes"
        " union all select 1 from ops.mart_run_days union all select 1 from ops.mart_run_contents"
        " union all select 1 from ops.mart_run_users) as every_row"
    )
    assert left == [(0,)]
    assert marts.sql("select status, changed_days, changed_users from ops.mart_runs") == [("completed", 3, 1)]


def test_a_refresh_connects_once_for_each_of_its_threads_and_not_for_each_model(marts: Any) -> None:
    sessions = "select sessions from pg_stat_database where datname = current_database()"
    user, song = a_user_with_plays(marts)
    marts.add_play(user, "2024-03-04 10:00Z", song)
    ((before,),) = marts.sql(sessions)
    result = marts.refreshed()
    ((after,),) = marts.sql(sessions)
    assert len(result.models) > 15
    assert after - before <= 10


@pytest.mark.parametrize("by_id", [True, False], ids=["by frozen ids", "broken: by a watermark"])
def test_a_row_that_is_committed_late_comes_with_the_next_refresh(marts: Any, by_id: bool) -> None:
    user, song = a_user_with_plays(marts)
    with marts.warehouse.connect(Role.OWNER) as late:
        marts.add_play(user, "2024-03-02 11:00Z", song, connection=late)
        marts.add_play(user, "2024-03-03 11:00Z", song)
        assert marts.refreshed().changed_days == 1
        late.commit()
    if not by_id:
        # What a filter on the ledger's own clock would do: everything older than the newest row that was seen is done.
        marts.sql("delete from ops.changed_days where changed_at < now()")
    marts.refreshed()
    assert (("03-02 11:00",) in marts.read(PLAYS)) is by_id


@pytest.mark.slow
def test_the_second_refresh_leaves_or_waits(marts: Any) -> None:
    user, song = a_user_with_plays(marts)
    marts.add_play(user, "2024-03-04 10:00Z", song)
    with mart_lock(marts.warehouse):
        assert marts.with_dbt(NoDbt()).refresh(on_busy="leave").status == "busy"
        with pytest.raises(Busy), mart_lock(marts.warehouse, on_busy="leave"):
            raise AssertionError("the lock was had twice")
        results: list[Any] = []
        waiting = threading.Thread(target=lambda: results.append(marts.refresh()))
        waiting.start()
        time.sleep(0.5)
        assert results == []
    waiting.join()
    assert results[0].status == "completed"


@pytest.mark.slow
def test_a_run_that_another_has_replaced_writes_nothing(marts: Any) -> None:
    user, song = a_user_with_plays(marts)
    marts.add_play(user, "2024-03-04 10:00Z", song)
    with mart_lock(marts.warehouse) as connection:
        killed = open_mart_run(connection, project=project())
    with mart_lock(marts.warehouse) as connection:
        taking_over = open_mart_run(connection, project=project())
        orphan = marts.dbt.invoke(["run"], environment={**marts.environment, **killed.environment})
        assert not orphan.success
        assert "fenced off" in str(orphan.first_error())
        assert ("03-04 10:00",) not in marts.read(PLAYS)
        killed.connection = connection
        with pytest.raises(Fenced):
            killed.close()
        taking_over.end(status="partial")
    assert marts.refreshed().status == "completed"
    assert ("03-04 10:00",) in marts.read(PLAYS)
    states = marts.sql("select status from ops.mart_runs order by run_id desc limit 3")
    assert states == [("completed",), ("partial",), ("abandoned",)]


def test_a_new_run_waits_for_the_transaction_that_an_orphan_is_in(marts: Any) -> None:
    a_user_with_plays(marts)
    (fence,) = marts.sql("select run_id from ops.mart_fence")
    mark_changed(marts.warehouse, user_key="ada")
    opened: list[int] = []

    def open_one() -> None:
        with mart_lock(marts.warehouse) as connection:
            opened.append(open_mart_run(connection, project=project()).run_id)

    with marts.warehouse.connect(Role.DBT) as orphan:
        orphan.execute("select ops.check_fence(%s)", fence)
        thread = threading.Thread(target=open_one)
        thread.start()
        time.sleep(0.5)
        assert opened == []
        orphan.commit()
        thread.join()
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
            orphan.execute("select ops.check_fence(%s)", fence)
    assert opened[0] > fence[0]


@pytest.mark.slow
def test_a_subset_of_the_models_closes_nothing(marts: Any) -> None:
    a_user_with_plays(marts)
    marts.sql("delete from raw.listening_events where played_at::date = '2024-03-02'")
    partial = marts.refresh(select="fct_plays_stored int_plays__matched")
    assert partial.status == "partial", partial.error
    assert marts.sql(OPEN) == [(1,)]
    assert marts.read("select plays from marts.agg_day_user") == [(1,), (1,), (1,)]
    assert marts.refreshed().status == "completed"
    assert marts.read("select plays from marts.agg_day_user") == [(1,), (1,)]
    assert marts.verify().is_good


@pytest.mark.slow
@pytest.mark.parametrize(
    "inherits",
    [
        pytest.param(True, id="inherited keys"),
        pytest.param(False, id="broken: keys belong to their run", marks=pytest.mark.long),
    ],
)
def test_keys_of_rows_that_are_gone_survive_a_crash_between_models(marts: Any, inherits: bool) -> None:
    """The play goes from fct_plays, then the run dies: nothing but the collected keys knows which rows counted it."""
    a_user_with_plays(marts)
    marts.sql("delete from raw.listening_events where played_at::date = '2024-03-02'")
    crashed = marts.with_dbt(DbtOfASubset(marts, "+fct_plays_stored"))
    with mart_lock(marts.warehouse) as connection:
        run = open_mart_run(connection, project=project())
        assert crashed.dbt.invoke([], environment={**marts.environment, **run.environment}).success
        run.end(status="failed", error="crashed")
    assert marts.sql("select status, error from ops.mart_runs order by run_id desc limit 1")[0][0] == "failed"
    if not inherits:
        marts.sql("delete from ops.touched_dates")
        marts.sql("delete from ops.touched_entities")
    assert marts.refreshed().status == "completed"
    verified = marts.verify()
    assert verified.is_good is inherits
    if not inherits:
        assert "marts.agg_day_user" in {mart.mart for mart in verified.differing}


@pytest.mark.slow
def test_dbt_that_is_killed_is_a_failed_run_and_the_next_repeats_it(marts: Any) -> None:
    """With the dbt that `myi refresh` and Dagster start."""
    user, song = a_user_with_plays(marts)
    marts.add_play(user, "2024-03-04 10:00Z", song)

    def dbts() -> set[psutil.Process]:
        return {each for each in psutil.Process().children() if "myi_pipeline.marts.dbt_main" in each.cmdline()}

    of_other_tests = dbts()

    def kill(name: str, status: str) -> None:
        if name == "fct_plays_stored" and status == "started":
            (child,) = dbts() - of_other_tests
            child.kill()

    with DbtProcess() as dbt:
        failed = marts.with_dbt(dbt).refresh(on_node=kill)
        assert failed.status == "failed"
        assert "dbt ended without an answer" in str(failed.error)
        # What Dagster reports as materialized.
        kept = {model.unique_id for model in failed.models if (model.kind, model.status) == ("model", "success")}
        assert "model.myi.int_plays__matched" in kept
        assert "model.myi.fct_plays_stored" not in kept
        assert marts.sql(OPEN) == [(1,)]
        assert marts.with_dbt(dbt).refresh(run_tests=True).is_good
    assert ("03-04 10:00",) in marts.read(PLAYS)
    assert marts.verify().is_good


@pytest.mark.slow
def test_other_code_rebuilds_everything_and_a_crash_of_that_is_not_forgotten(
    marts: Any,
) -> None:
    a_user_with_plays(marts)
    versions = "select version from marts.user_versions"
    (before,) = marts.read(versions)
    changed = replace(project(), fingerprint="other code")
    with mart_lock(marts.warehouse) as connection, mart_run(connection, project=changed) as run:
        assert run is not None
        assert run.is_rebuild
    # The old code is back, but some marts may be of the other one.
    result = marts.refreshed()
    assert result.rebuild_reason == "models"
    (after,) = marts.read(versions)
    assert after[0] > before[0]
    assert marts.refresh().status == "nothing"


@pytest.mark.slow
def test_a_mart_that_is_missing_is_rebuilt_with_all_others(marts: Any) -> None:
    a_user_with_plays(marts)
    marts.sql("drop table marts.agg_day_user cascade", role=Role.DBT)
    assert marts.refreshed().is_rebuild
    assert marts.read("select count(*) from marts.agg_day_user") == [(3,)]


@pytest.mark.slow
def test_marking_days_rebuilds_them_and_only_them(marts: Any) -> None:
    a_user_with_plays(marts)
    marts.sql("update marts.fct_plays set ms_played = 1", role=Role.DBT)
    mark_changed(marts.warehouse, user_key="ada", first_day=date(2024, 3, 2), last_day=date(2024, 3, 2))
    assert marts.refreshed().changed_days == 1
    assert marts.read("select ms_played from marts.fct_plays order by played_at") == [(1,), (180_000,), (1,)]
    mark_changed(marts.warehouse, user_key="ada")
    assert marts.refreshed().changed_days == 3
    assert marts.read("select distinct ms_played from marts.fct_plays") == [(180_000,)]
    with pytest.raises(BadInput, match="no user 'eve'"):
        mark_changed(marts.warehouse, user_key="eve")


@pytest.mark.slow
def test_readers_see_their_own_rows_also_after_a_rebuild(marts: Any) -> None:
    ada, _ = a_user_with_plays(marts)
    bob = marts.add_user("bob")
    marts.add_play(bob, "2024-03-01 10:00Z")
    marts.refreshed()
    marts.sql("update ops.mart_state set fingerprint = null")
    marts.refreshed()
    marts.sql("update ops.mart_state set fingerprint = null")
    assert marts.refreshed().is_rebuild
    open_tables = marts.sql(
        "select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'user_id'"
        " where c.relnamespace = 'marts'::regnamespace and c.relkind = 'r' and not c.relrowsecurity"
    )
    assert open_tables == []
    with marts.warehouse.connect(Role.API) as api:
        assert api.execute("select count(*) from marts.fct_plays").fetchone() == (0,)
        api.execute(f"set app.user_id = '{bob}'")
        assert api.execute("select count(*), min(user_id) from marts.fct_plays").fetchone() == (1, bob)
        api.execute(f"set app.user_id = '{ada}'")
        assert api.execute("select count(*), min(user_id) from marts.fct_plays").fetchone() == (3, ada)
        for mart in ("dim_artists", "dim_albums", "dim_tracks", "dim_contents"):
            assert api.execute(f"select count(*) > 0 from marts.{mart}".encode()).fetchone() == (True,)
    assert marts.read("select count(*) from marts.fct_plays") == [(4,)]


@pytest.mark.slow
def test_verify_tells_each_row_that_differs_and_leaves_out_what_has_changed_since(marts: Any) -> None:
    a_user_with_plays(marts)
    marts.sql("update marts.fct_plays set ms_played = 7 where played_at::date = '2024-03-02'", role=Role.DBT)
    marts.sql("delete from marts.dim_tracks", role=Role.DBT)
    verified = marts.verify()
    assert not verified.is_good
    by_mart = {mart.mart: mart for mart in verified.differing}
    assert set(by_mart) == {"marts.fct_plays_stored", "marts.dim_tracks"}
    plays = by_mart["marts.fct_plays_stored"]
    assert (plays.only_live, plays.only_rebuilt) == (1, 1)
    assert '"ms_played": 7' in plays.examples_live[0]
    assert marts.sql("select count(*) from pg_namespace where nspname like '%verify'") == [(0,)]


@pytest.mark.slow
def test_verify_leaves_out_users_who_listen_meanwhile(marts: Any) -> None:
    ada, song = a_user_with_plays(marts)
    bob = marts.add_user("bob")

    class ListeningMeanwhile:
        def invoke(self, arguments: Sequence[str], **options: Any) -> Any:
            if options["environment"]["DBT_TARGET"] == VERIFY_TARGET:
                marts.add_play(ada, "2024-03-09 10:00Z", song)
                marts.add_play(bob, "2024-03-09 10:00Z", song)
            return marts.dbt.invoke(arguments, **options)

    verified = marts.with_dbt(ListeningMeanwhile()).verify()
    assert verified.is_good
    assert verified.users_left_out == 2


@pytest.mark.slow
def test_a_whole_history_that_comes_at_once_is_built_whole(marts: Any) -> None:
    """Replacing a million plays key by key took minutes; building them takes seconds."""
    user, song = a_user_with_plays(marts)
    marts.sql("select ops.ensure_event_partitions('2020-01-01', '2022-12-31')")
    marts.sql(
        "insert into raw.listening_events (user_id, played_at, content_id, ms_played, source_id, batch_id)"
        " select %s, timestamptz '2020-01-01Z' + day * interval '1 day', %s, 180000, 1, 1"
        " from generate_series(1, 1001) as day",
        user, song,
    )  # fmt: skip
    assert marts.refreshed().rebuild_reason == "most"
    marts.add_play(user, "2024-03-04 10:00Z", song)
    assert not marts.refreshed().is_rebuild
    # Another user's history as long is added beside it: who was there already pays nothing.
    other = marts.add_user("bob")
    marts.sql(
        "insert into raw.listening_events (user_id, played_at, content_id, ms_played, source_id, batch_id)"
        " select %s, played_at, content_id, ms_played, source_id, batch_id from raw.listening_events"
        " where user_id = %s",
        other, user,
    )  # fmt: skip
    assert not marts.refreshed().is_rebuild
    assert marts.verify().is_good
