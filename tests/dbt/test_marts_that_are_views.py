"""Marts that are views over stored ones: there for readers through every rebuild, also where they were tables."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from myi_pipeline.operations import checks
from myi_pipeline.postgres.connections import Role

VIEWS = ("marts.fct_plays", "marts.agg_period_tracks", "marts.agg_period_artists", "marts.agg_period_albums",
         "marts.agg_period_recordings_stored", "marts.agg_period_recordings",
         "intermediate.int_plays__resolved", "intermediate.int_plays__timed")  # fmt: skip
WITHOUT_RIGHTS = """
select c.oid::regclass::text
from pg_class as c
inner join pg_attribute as a on a.attrelid = c.oid and a.attname = 'user_id'
where
    c.relnamespace = 'marts'::regnamespace
    and c.relkind = 'v'
    and not coalesce(c.reloptions @> '{security_invoker=true}', false)
"""


WITHOUT_KEY = """
select c.relname
from pg_class as c
where
    c.relnamespace = 'marts'::regnamespace and c.relkind = 'r'
    and not exists (select from pg_constraint as k where k.conrelid = c.oid and k.contype = 'p')
"""


@pytest.fixture
def heard(marts: Any) -> Any:
    """Two users who played one song in two weeks of two years."""
    song = marts.add_content("Song", "Artist", uri="spotify:track:0000000000000000000001", album="Album")
    for key in ("ana", "ben"):
        user_id = marts.add_user(key)
        for day in ("2023-12-30", "2024-01-01", "2024-03-08"):
            marts.add_play(user_id, f"{day} 12:00Z", song)
    marts.refreshed()
    return marts


def kinds(marts: Any) -> dict[str, str]:
    query = (
        "select name, c.relkind::text from unnest(%s::text[]) as n (name) join pg_class c on c.oid = to_regclass(name)"
    )
    return dict(marts.sql(query, list(VIEWS)))


def rows(marts: Any, view: str) -> list[Any]:
    found = marts.sql(f"select to_jsonb(shown)::text from {view} as shown order by 1", role=Role.DBT)
    return [row[0] for row in found]


def needs_a_rebuild(marts: Any) -> None:
    marts.sql("update ops.mart_state set fingerprint = 'another'")


@pytest.mark.slow
def test_views_that_were_tables_replace_them_and_whatever_hung_on_those(heard: Any) -> None:
    before = {view: rows(heard, view) for view in VIEWS}
    assert all(before[view] for view in VIEWS)
    with heard.warehouse.connect(Role.DBT) as connection:
        for view in VIEWS:
            connection.execute(f"create table {view}_copy as table {view}".encode())
        for view in VIEWS:
            connection.execute(f"drop view if exists {view} cascade".encode())
        for view in VIEWS:
            connection.execute(f"alter table {view}_copy rename to {view.partition('.')[2]}".encode())
        # As a former version left them; what somebody built on one goes with it.
        connection.execute("create view marts.of_a_table as select user_id from marts.agg_period_tracks")
    needs_a_rebuild(heard)
    assert heard.refreshed().is_rebuild
    assert kinds(heard) == dict.fromkeys(VIEWS, "v")
    assert {view: rows(heard, view) for view in VIEWS} == before
    assert heard.sql("select to_regclass('marts.of_a_table') is null") == [(True,)]
    assert heard.sql(WITHOUT_RIGHTS) == []


@pytest.mark.slow
def test_a_rebuild_leaves_views_as_the_same_objects_with_their_readers_rights(heard: Any) -> None:
    oids = "select array_agg(to_regclass(name)::oid order by name) from unnest(%s::text[]) as n (name)"
    before = heard.sql(oids, list(VIEWS))
    needs_a_rebuild(heard)
    assert heard.refreshed().is_rebuild
    assert heard.sql(oids, list(VIEWS)) == before
    assert heard.sql(WITHOUT_RIGHTS) == []
    # Each table that was swapped has its unique index as its primary key, and no index twice.
    assert heard.sql(WITHOUT_KEY) == []
    twice = (
        "select indrelid::regclass from pg_index where indisunique and indpred is null"
        " group by indrelid, indkey having count(*) > 1"
    )
    assert heard.sql(twice) == []
    left = "select count(*) from pg_class where relname like '%\\_\\_dbt\\_%'"
    assert heard.sql(left) == [(0,)]


def waits(marts: Any) -> bool:
    query = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
    return bool(marts.sql(query) != [(0,)])


@pytest.mark.slow
def test_a_swap_waits_until_another_one_is_over(heard: Any) -> None:
    """Two at once could each see half of what the other did to a view that reads both tables."""
    definitions = "select name, pg_get_viewdef(name::regclass) from unnest(%s::text[]) as n (name) order by name"
    before = heard.sql(definitions, list(VIEWS))
    needs_a_rebuild(heard)
    with heard.warehouse.connect(Role.DBT) as other, ThreadPoolExecutor(1) as pool:
        other.execute("select pg_advisory_xact_lock(hashtext('myi.swap_tables'))")
        rebuilding = pool.submit(heard.refreshed)
        try:
            deadline = time.monotonic() + 60
            while not waits(heard) and time.monotonic() < deadline and not rebuilding.done():
                time.sleep(0.05)
            assert waits(heard)
            assert heard.sql(definitions, list(VIEWS)) == before
        finally:
            other.rollback()
        assert rebuilding.result().is_rebuild
    assert heard.sql(definitions, list(VIEWS)) == before


@contextmanager
def reading(marts: Any, user_id: int) -> Iterator[list[Any]]:
    """Reads that go on while the caller works; what each found, or the error that ended them."""
    found: list[Any] = []
    stop = threading.Event()
    query = "select count(*) from marts.agg_period_tracks where period in ('week', 'month', 'all')"

    def read() -> None:
        try:
            with marts.warehouse.connect(Role.API, autocommit=True) as api:
                api.execute("select set_config('app.user_id', %s, false)", (str(user_id),))
                while not stop.is_set():
                    found.append(api.execute(query.encode()).fetchone())
        except psycopg.Error as error:
            found.append(error)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.slow
def test_whoever_reads_during_a_rebuild_finds_every_view_and_row(heard: Any) -> None:
    ((ana,), _) = heard.sql("select user_id from app.users order by user_id")
    needs_a_rebuild(heard)
    with reading(heard, ana) as found:
        assert heard.refreshed().is_rebuild
    assert len(found) > 10
    # Two weeks and three months and all of time, in every snapshot.
    assert set(found) == {(3 + 3 + 1,)}


@pytest.mark.slow
def test_weeks_and_months_are_looked_up_by_index_below_row_security(heard: Any) -> None:
    """By time for a period, by entity for a track: no plan reads every play of the user."""
    ((ana,), _) = heard.sql("select user_id from app.users order by user_id")
    heard.sql(
        "insert into marts.fct_plays_stored (played_at, play_id, user_id, ms_played, content_id, local_date,"
        " local_hour, source_id, flags, kind)"
        " select played_at, n, %s, 1000, 1000000 + n %% 300, (played_at at time zone 'UTC')::date, 0, 1, 1, 'track'"
        " from generate_series(1, 20000) as n"
        " cross join lateral (select timestamptz '2010-01-01Z' + n * interval '3 hours') as t (played_at)",
        ana, role=Role.DBT,
    )  # fmt: skip
    heard.sql("analyze marts.fct_plays_stored", role=Role.DBT)
    query = "explain select * from marts.agg_period_tracks where user_id = {} and {}"
    with heard.warehouse.connect(Role.API) as api:
        api.execute("select set_config('app.user_id', %s, true)", (str(ana),))
        for condition, column in (
            ("period = 'month' and period_start = '2024-03-01'", "played_at"),
            ("period = 'month' and track_id = 1000007", "content_id"),
            ("period = 'week' and track_id = 1000007", "content_id"),
        ):
            plan = "\n".join(row[0] for row in api.execute(query.format(ana, condition).encode()))
            assert "Seq Scan on fct_plays_stored" not in plan, plan
            conditions = [line for line in plan.splitlines() if "Index Cond" in line]
            assert any(column in line for line in conditions), plan
    needs_a_rebuild(heard)
    heard.refreshed()


def test_the_daily_checks_find_events_that_are_in_no_play_or_share_one(heard: Any) -> None:
    assert checks.events_belong_to_one_play(heard.warehouse).figures["events_compared"] == 6
    assert checks.events_belong_to_one_play(heard.warehouse).passed
    # It said that every play has a row of an archive; polled plays have none.
    assert checks.plays_have_one_event_a_source(heard.warehouse).text == "no play with two rows from one archive"
    heard.sql(
        "insert into intermediate.int_plays__matched"
        " (user_id, played_at, event_id, content_id, play_id, is_canonical, decision)"
        " select user_id, played_at, event_id, content_id, 1, false, 'told_by_another_archive'"
        " from intermediate.int_plays__resolved",
        role=Role.DBT,
    )
    assert not checks.plays_have_one_event_a_source(heard.warehouse).passed
    assert not checks.events_belong_to_one_play(heard.warehouse).passed
    heard.sql("delete from intermediate.int_plays__matched", role=Role.DBT)
    assert checks.events_belong_to_one_play(heard.warehouse).passed
    heard.sql("delete from marts.fct_plays where local_date = '2024-03-08'", role=Role.DBT)
    assert not checks.events_belong_to_one_play(heard.warehouse).passed
