"""A refresh leaves out models of which nothing can have changed: each of them would have changed nothing."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from myi_pipeline.marts import needed_models as rules
from myi_pipeline.marts.dbt_runner import DbtResult, project_of
from myi_pipeline.postgres.connections import Role
from tests.dbt.test_law import History

TABLES = (
    "select schemaname || '.' || tablename from pg_tables where schemaname in ('intermediate', 'marts')"
    " and tablename <> 'user_versions' order by 1"
)


class AlsoBuildsTheRest:
    """Runs what it is asked for, then every table that was left out, and notes those in which that changed any row.

    It is the same run: the ledger is still open, and the keys are still there.
    """

    def __init__(self, marts: Any) -> None:
        self.marts = marts
        self.left_out: list[frozenset[str]] = []
        self.wrongly_left_out: set[str] = set()

    def invoke(self, arguments: Sequence[str], *, environment: Mapping[str, str], on_node: Any = None) -> DbtResult:
        result: DbtResult = self.marts.dbt.invoke(arguments, environment=environment, on_node=on_node)
        if arguments[0] != "run" or "--select" not in arguments:
            return result
        contents = project_of(environment).contents
        assert contents is not None
        tables = {name for name, model in contents.models.items() if not model.is_view}
        rest = frozenset(tables - set(arguments[arguments.index("--select") + 1 :]))
        self.left_out.append(rest)
        before = self._rows()
        repeated = self.marts.dbt.invoke(["run", "--select", *sorted(rest)], environment=environment)
        assert repeated.success, repeated.first_error()
        after = self._rows()
        self.wrongly_left_out |= {table for table, rows in after.items() if rows != before[table]}
        return result

    def _rows(self) -> dict[str, Any]:
        with self.marts.warehouse.connect(Role.DBT) as connection:
            tables = [str(table) for (table,) in connection.execute(TABLES).fetchall()]
            query = "select count(*), sum(hashtextextended(t::text, 0)) from {} as t"
            return {table: connection.execute(query.format(table).encode()).fetchone() for table in tables}


def live(marts: Any, seed: int, *, refreshes: int) -> AlsoBuildsTheRest:
    """One change before each refresh, so that most kinds of model are left out."""
    history = History(marts, seed)
    marts.refreshed()
    dbt = AlsoBuildsTheRest(marts)
    dice = random.Random(seed)
    steps = [*dict.fromkeys(history.steps()), lambda: poll(marts, history, dice), lambda: marts.add_user(f"new-{seed}")]
    dice.shuffle(steps)
    for step in steps[:refreshes]:
        step()
        result = marts.with_dbt(dbt).refresh()
        assert result.status in ("completed", "nothing"), result.error
    return dbt


def poll(marts: Any, history: History, dice: random.Random) -> None:
    """Some polled plays, one of them near an archive's row."""
    for _ in range(3):
        marts.add_play(
            dice.choice(history.users), f"2024-03-3{dice.choice('01')} 0{dice.randrange(3)}:{dice.randrange(10, 59)}Z",
            dice.choice(history.by_uri), None, source=3,
        )  # fmt: skip


@pytest.mark.property
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [1])
def test_what_is_left_out_would_have_changed_nothing(marts: Any, seed: int) -> None:
    dbt = live(marts, seed, refreshes=7)
    assert dbt.wrongly_left_out == set()
    assert any(len(rest) > 8 for rest in dbt.left_out)
    assert marts.verify().is_good


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(200, 230))
def test_what_is_left_out_would_have_changed_nothing_in_long_histories(marts: Any, seed: int) -> None:
    dbt = live(marts, seed, refreshes=12)
    assert dbt.wrongly_left_out == set()
    assert marts.verify().is_good


@pytest.mark.long
def test_broken_a_choice_that_is_too_small_is_found_out(marts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both by what the models left out would have changed, and by the law that incremental marts equal a rebuild."""
    too_few = {**rules.FOLLOWS_FROM, "touched_years": frozenset[str](), "run_contents": frozenset[str]()}
    history = History(marts, 1)
    marts.refreshed()
    monkeypatch.setattr(rules, "FOLLOWS_FROM", too_few)
    history.import_archive()
    marts.refreshed()
    assert "marts.agg_clock_user" in {mart.mart for mart in marts.verify().differing}
    dbt = AlsoBuildsTheRest(marts)
    history.import_archive()
    marts.with_dbt(dbt).refresh()
    assert "marts.agg_clock_user" in dbt.wrongly_left_out


def test_a_run_that_builds_only_what_it_needs_closes_the_ledger(marts: Any) -> None:
    user = marts.add_user("ada")
    song = marts.add_content("Song", album="Album", uri="spotify:track:1")
    marts.add_play(user, "2024-03-01 10:00Z", song)
    marts.refreshed()
    marts.add_play(user, "2024-03-02 10:00Z", song)
    result = marts.refreshed()
    built = {model.name for model in result.models}
    assert {"fct_plays_stored", "agg_day_user", "user_versions"} <= built
    # No polled play, no new content, no change of a user; and views stand.
    assert not built & {"int_plays__candidates", "int_clocks__votes", "dim_contents", "dim_tracks", "dim_users"}
    assert not any(name.startswith("stg_") for name in built)
    assert result.models_skipped == len(project_of(marts.environment).models) - len(built)
    assert marts.refresh().status == "nothing"


@pytest.mark.slow
def test_other_descriptions_or_tests_need_a_run_of_every_model_but_no_rebuild(marts: Any) -> None:
    user = marts.add_user("ada")
    marts.add_play(user, "2024-03-01 10:00Z")
    marts.refreshed()
    marts.sql("update ops.mart_state set described = 'as it was before'")
    marts.add_play(user, "2024-03-02 10:00Z")
    result = marts.refreshed()
    assert not result.is_rebuild
    assert result.models_skipped == 0
    marts.add_play(user, "2024-03-03 10:00Z")
    assert marts.refreshed().models_skipped > 0


@pytest.mark.slow
def test_tests_of_what_was_built_run_and_all_of_them_when_they_are_asked_for(marts: Any) -> None:
    user = marts.add_user("ada")
    marts.add_play(user, "2024-03-01 10:00Z")
    marts.refreshed()
    marts.add_play(user, "2024-03-02 10:00Z")
    few = marts.refresh(run_tests=True)
    assert few.is_good
    assert few.tests
    every = project_of(marts.environment).contents
    assert every is not None
    assert len(few.tests) + few.tests_skipped == len(every.tests)
    # What an untouched model holds is found by the daily tests.
    marts.sql("update marts.agg_hour_user set plays = plays + 1", role=Role.DBT)
    found = marts.refresh(all_tests=True)
    assert (found.status, len(found.tests), found.tests_skipped) == ("nothing", len(every.tests), 0)
    assert "totals_agree" in {test.name for test in found.failed_tests}


@pytest.mark.slow
def test_seconds_and_rows_of_each_model_are_kept_and_a_slow_one_is_told(marts: Any) -> None:
    from myi_pipeline.operations import checks

    marts.sql("delete from ops.mart_run_models")
    user = marts.add_user("ada")
    for day in range(1, 6):
        marts.add_play(user, f"2024-03-0{day} 10:00Z")
        result = marts.refreshed()
    kept = marts.sql("select model from ops.mart_run_models where run_id = %s", result.run_id)
    assert {model for (model,) in kept} == {node.name for node in result.models}
    assert checks.models_take_their_time(marts.warehouse).passed
    marts.sql(
        "update ops.mart_run_models set seconds = 60 where run_id = %s and model = 'fct_plays_stored'", result.run_id
    )
    finding = checks.models_take_their_time(marts.warehouse)
    assert not finding.passed
    assert "fct_plays_stored took 60 s" in finding.text
    # A run that wrote a thousand times as much may take longer.
    marts.sql("update ops.mart_run_models set row_count = 2000000 where run_id = %s", result.run_id)
    assert checks.models_take_their_time(marts.warehouse).passed
