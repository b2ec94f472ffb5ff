"""The law with polls and scrobbles: after any history of polls, imports, aliases and clocks marts equal a rebuild."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from myi_pipeline.marts import runs
from myi_pipeline.postgres.connections import Role
from myi_pipeline.postgres.sql_files import load_sql
from tests.dbt.polled import LOG, Person, at
from tests.dbt.random_polls import RandomPolls


@pytest.mark.slow
def test_incremental_marts_equal_a_rebuild(marts: Any) -> None:
    history = RandomPolls(marts, seed=1)
    for _ in range(5):
        history.step()
    verified = marts.verify()
    assert verified.is_good, verified
    matched = "select count(*) > 0, count(distinct source_id) > 3 from intermediate.int_plays__paired"
    assert marts.sql(matched) == [(True, True)]
    assert plays_with_two_events_of_a_source(marts) == 0


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(100, 140))
def test_incremental_marts_equal_a_rebuild_after_long_histories(marts: Any, seed: int) -> None:
    history = RandomPolls(marts, seed)
    for _ in range(12):
        history.step()
        verified = marts.verify()
        assert verified.is_good, verified
        assert plays_with_two_events_of_a_source(marts) == 0


def plays_with_two_events_of_a_source(marts: Any) -> int:
    check = load_sql("operations/checks/plays_have_one_event_a_source").replace("%(users)s", "1000000")
    return int(marts.sql(check)[0][1])


def a_clock_turns(marts: Any) -> None:
    ada = Person(marts)
    for second in (32, 65, 98):
        end = at(f"01 10:{second // 60:02}:{second % 60:02}")
        ada.archived(end, 32_000, platform="speaker")
    ada.polled("01 10:00:33.2", "01 10:01:06.2")
    marts.refreshed()
    ada.teach("start", platform="speaker")


def a_group_reaches_over_midnight(marts: Any) -> None:
    ada = Person(marts)
    ada.polled("01 23:59:59.9")
    marts.refreshed()
    ada.archived("02 00:00:00")


def a_sync_comes_late(marts: Any) -> None:
    ada = Person(marts)
    ada.polled("05 10:03:00.5")
    marts.refreshed()
    ada.archived("09 18:00:00", began="05 10:00:00", offline=True)


def a_scrobble_lies_before_midnight(marts: Any) -> None:
    ada = Person(marts)
    ada.scrobbled("01 23:58:00")
    marts.refreshed()
    ada.archived("02 00:01:00")


def a_log_turns_out_to_be_off_by_hours(marts: Any) -> None:
    ada = Person(marts)
    for day in ("05", "06"):
        ada.scrobbled(f"{day} 10:00:00")
        ada.scrobbled(f"{day} 12:00:00", source=LOG)
    marts.refreshed()
    for day in range(11, 16):
        song = marts.add_content(f"Song {day}")
        ada.scrobbled(f"{day} 10:00:00", song=song)
        ada.scrobbled(f"{day} 12:00:00", song=song, source=LOG)


@contextmanager
def days_are_not_marked(marts: Any) -> Iterator[None]:
    """A clock or a match that changes says so to nobody."""
    marked = "create or replace function ops.mark_run_day(run bigint, u int, d date, again boolean) returns void"
    was = marts.sql("select pg_get_functiondef('ops.mark_run_day'::regproc)")[0][0]
    marts.sql("drop function ops.mark_run_day")
    marts.sql(f"{marked} language sql as 'select'")
    try:
        yield
    finally:
        marts.sql("drop function ops.mark_run_day")
        marts.sql(was)
        marts.sql(f'grant execute on function ops.mark_run_day to "{marts.warehouse.role_name(Role.DBT)}"')


@contextmanager
def slices_are_not_widened(marts: Any) -> Iterator[None]:
    """The days of a run and no more, each by itself."""
    whole = runs.load_statements
    only_days = (
        "insert into ops.mart_run_api_days select run_id, user_id, utc_day from ops.mart_run_days"
        " where run_id = %(run_id)s"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "load_statements", lambda name: (only_days,) if name.endswith("widen_run") else whole(name))
        yield


@pytest.mark.long
@pytest.mark.parametrize(
    ("break_it", "happen"),
    [
        (days_are_not_marked, a_clock_turns),
        pytest.param(days_are_not_marked, a_group_reaches_over_midnight, marks=pytest.mark.long),
        pytest.param(slices_are_not_widened, a_group_reaches_over_midnight, marks=pytest.mark.long),
        (slices_are_not_widened, a_sync_comes_late),
        (slices_are_not_widened, a_scrobble_lies_before_midnight),
        (days_are_not_marked, a_log_turns_out_to_be_off_by_hours),
    ],
)
def test_broken_runs_that_look_at_too_few_days_are_found_out(
    marts: Any, break_it: Callable[[Any], Any], happen: Callable[[Any], None]
) -> None:
    happen(marts)
    with break_it(marts):
        marts.refreshed()
    assert not marts.verify().is_good
