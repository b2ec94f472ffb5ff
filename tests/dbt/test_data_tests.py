"""dbt's own tests: each model's rules on rows by hand, and the data tests on marts that hold and that do not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from myi_pipeline.postgres.connections import Role


@pytest.mark.slow
def test_the_unit_tests_of_all_models_pass(marts: Any) -> None:
    result = marts.dbt.invoke(["test", "--select", "test_type:unit"], environment=marts.environment)
    assert result.success, result.first_error()
    assert {node.kind for node in result.nodes} == {"unit_test"}


def a_small_setup(marts: Any) -> None:
    user = marts.add_user("ada")
    uri, name = marts.add_content("Song", uri="spotify:track:1", album="Album"), marts.add_content("Song")
    marts.add_play(user, "2024-03-01 10:00:10Z", uri, 25_000)
    marts.add_play(user, "2024-03-01 10:00:00Z", name, 25_000, source=2)
    marts.add_play(user, "2024-03-02 10:00:00Z", name, None, source=2)
    marts.add_play(user, "2024-03-03 10:00:00Z", uri, 61_000)
    marts.add_play(user, "2024-03-03 10:00:00.4Z", uri, None, source=3)


def test_the_data_tests_pass_on_marts_that_hold(marts: Any) -> None:
    a_small_setup(marts)
    result = marts.refresh(run_tests=True)
    assert result.status == "completed", result.error
    assert result.is_good, result.failed_tests
    assert len(result.tests) > 20


DAMAGES = (
    ("delete from marts.fct_plays_stored where ms_played is null", "every_event_is_in_one_play"),
    ("delete from intermediate.int_plays__matched where not is_canonical", "every_event_is_in_one_play"),
    ("update intermediate.int_plays__matched set is_canonical = false", "plays_hold_one_event_of_a_source"),
    ("delete from intermediate.int_plays__paired", "every_event_is_in_one_play"),
    ("update intermediate.int_plays__paired set play_id = 0", "pairs_stand_in_the_resolution"),
    ("delete from marts.dim_tracks", "plays_name_known_contents"),
    ("update marts.fct_plays_stored set kind = 'unknown'", "fct_plays_rows_hold"),
    ("update marts.fct_plays_stored set source_id = 99", "fct_plays_rows_hold"),
    ("update marts.agg_hour_user set plays = plays + 1", "totals_agree"),
    ("delete from marts.fct_sessions", "totals_agree"),
    (
        "update marts.agg_period_artists_stored set ms_played = 0 where period_start > '1970-01-01'",
        "totals_of_periods_agree",
    ),
    ("delete from marts.agg_period_tracks_stored where period_start = '1970-01-01'", "totals_of_periods_agree"),
    ("delete from marts.agg_period_user where period = 'week'", "totals_of_periods_agree"),
    ("update marts.agg_streaks set days = days + 1", "agg_streaks_rows_hold"),
)


@contextmanager
def damaged(marts: Any, damage: str) -> Iterator[None]:
    """The marts with one thing broken, and whole again afterwards."""
    table = damage.split()[2 if damage.startswith("delete") else 1]
    marts.sql(f"create table intermediate.kept as table {table}", role=Role.DBT)
    marts.sql(damage, role=Role.DBT)
    try:
        yield
    finally:
        marts.sql(f"delete from {table}", role=Role.DBT)
        marts.sql(f"insert into {table} table intermediate.kept", role=Role.DBT)
        marts.sql("drop table intermediate.kept", role=Role.DBT)


@pytest.mark.long
def test_broken_marts_are_found_out(marts: Any) -> None:
    a_small_setup(marts)
    marts.refreshed()

    def run(test: str) -> list[tuple[str, str]]:
        result = marts.dbt.invoke(["test", "--select", test], environment=marts.environment)
        return [(node.name, node.status) for node in result.nodes]

    for test in dict.fromkeys(test for _, test in DAMAGES):
        assert run(test) == [(test, "pass")]
    for damage, test in DAMAGES:
        with damaged(marts, damage):
            assert run(test) == [(test, "fail")], damage


def test_a_failing_data_test_is_told_and_holds_nothing_back(marts: Any) -> None:
    a_small_setup(marts)
    marts.refreshed()
    marts.sql("delete from marts.dim_contents", role=Role.DBT)
    marts.add_play(marts.sql("select user_id from app.users")[0][0], "2024-03-05 10:00:00Z")
    result = marts.refresh(run_tests=True)
    assert result.status == "completed", result.error
    assert not result.is_good
    assert [test.name for test in result.failed_tests] == ["plays_name_known_contents"]
    assert marts.sql("select count(*) from ops.changed_days") == [(0,)]
