"""The law for the marts recomputed by touched key: after any history of changes they are what a count by hand gives."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from myi_pipeline.postgres.connections import Role
from tests.dbt.marts_by_hand import COLUMNS, Rows, expected, found
from tests.dbt.random_changes import RandomChanges


def connect(marts: Any) -> psycopg.Connection[Any]:
    connection = marts.warehouse.connect(Role.OWNER, autocommit=True)
    connection.execute("set timezone to 'UTC'")
    return connection  # type: ignore[no-any-return]


def differences(connection: psycopg.Connection[Any]) -> dict[str, tuple[Rows, Rows]]:
    """By mart: the rows that are missing, and those that should not be there."""
    wanted, there = expected(connection), found(connection)
    return {mart: (rows - there[mart], there[mart] - rows) for mart, rows in wanted.items() if rows != there[mart]}


def run_history(marts: Any, *, seed: int, steps: int) -> None:
    with connect(marts) as connection:
        changes = RandomChanges(connection, seed)
        changes.prepare()
        for step in range(steps):
            changes.step()
            result = marts.refreshed()
            assert not result.is_rebuild
            assert differences(connection) == {}, f"seed {seed}, step {step}"


@pytest.mark.property
@pytest.mark.parametrize("seed", [11])
def test_after_random_changes_the_marts_are_what_a_count_by_hand_gives(marts: Any, seed: int) -> None:
    run_history(marts, seed=seed, steps=8)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(100, 110))
def test_after_long_random_histories_the_marts_are_what_a_count_by_hand_gives(marts: Any, seed: int) -> None:
    run_history(marts, seed=seed, steps=60)


def test_a_change_that_the_ledger_missed_is_noticed_by_the_comparison(marts: Any) -> None:
    """The property above can fail: without the ledger row of a removal the old rows stay."""
    with connect(marts) as connection:
        changes = RandomChanges(connection, seed=1)
        changes.prepare()
        for _ in range(30):
            changes.add_plays()
        marts.refreshed()
        assert differences(connection) == {}
        connection.execute("delete from raw.listening_events where content_id is not null")
        connection.execute("delete from ops.changed_days")
        marts.refreshed()
        wrong = differences(connection)
    # Coverage does not follow from plays, nor what is said of tracks; and here no genre is known.
    others = {"fct_coverage_gaps", "fct_covered_spans", "dim_tracks", "bridge_track_genres", "agg_period_genres"}
    assert sorted(wrong) == sorted({*COLUMNS} - others)
    assert all(missing or extra for missing, extra in wrong.values())


def test_an_interrupted_refresh_leaves_its_touched_keys_to_the_next(marts: Any) -> None:
    """Old rows of fct_plays that a crashed run replaced exist nowhere any more: their keys must have outlived it."""
    with connect(marts) as connection:
        changes = RandomChanges(connection, seed=2)
        changes.prepare()
        for _ in range(30):
            changes.add_plays()
        marts.refreshed()
        connection.execute("delete from raw.listening_events where user_id % 2 = 0")
        partial = marts.refresh(select="int_plays__matched fct_plays_stored")
        assert partial.status == "partial"
        for _ in range(5):
            changes.add_plays()
        marts.refreshed()
        assert differences(connection) == {}


def test_only_the_users_whose_rows_changed_get_a_new_version(marts: Any) -> None:
    users = [marts.add_user(key) for key in ("ada", "bob")]
    song = marts.add_content("Song")
    for user in users:
        marts.add_play(user, "2024-03-01 10:00:00Z", song)
    marts.refreshed()
    before = dict(marts.read("select user_id, version from marts.user_versions"))
    marts.add_play(users[0], "2024-03-02 10:00:00Z", song)
    marts.refreshed()
    after = dict(marts.read("select user_id, version from marts.user_versions"))
    assert after[users[0]] > before[users[0]]
    assert after[users[1]] == before[users[1]]
