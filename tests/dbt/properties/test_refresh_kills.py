"""SIGKILL of a refresh, of its dbt, or of both, anywhere: never a wrong row, and nothing that changed is forgotten."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from myi_pipeline.marts.dbt_runner import dbt_environment
from myi_pipeline.postgres.connections import Role
from myi_pipeline.simulator import expected_marts
from tests.dbt.properties.killing import Bench, Refresher, any_state, random_order
from tests.dbt.properties.refresher_process import Order, World
from tests.dbt.properties.truth_in_marts import differences
from tests.integration.archives.conftest import Archives
from tests.integration.archives.conftest import archives as archives
from tests.integration.archives.setups import Setup

pytestmark = pytest.mark.property

# Where a crash has something of its own to leave behind; `started` and `success` are dbt's words for a model.
NAMED = (
    "open_run 3", "open_run done", "opened", "started int_plays__matched", "success fct_plays_stored",
    "success agg_day_user", "success fct_first_plays_stored", "built", "close_run 1", "close_run done", "closed",
    "testing",
)  # fmt: skip


@pytest.fixture(scope="module")
def bench(
    server_for: Callable[[str], Any], archives: Archives, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    server = server_for("embedded")
    name = f"{server.template.database}_refresh_kills"
    home = tmp_path_factory.mktemp("dbt")
    try:
        warehouse = server.clone(name)
        environment = dbt_environment(warehouse, target=home / "target", logs=home / "logs")
        refresher = Refresher(World(urls={role.value: warehouse.url(role) for role in Role}, environment=environment))
        try:
            bench = Bench(Setup(warehouse), refresher)
            bench.prepare(
                ("ana", archives.older.path), ("ana", archives.account.path), ("ana", archives.newer.path),
                ("ben", archives.newer.path),
            )  # fmt: skip
            yield bench
        finally:
            refresher.close()
    finally:
        server.drop(name)


def kill_at_random(bench: Bench, *, kills: int, seed: int) -> None:
    dice = random.Random(seed)
    named = list(NAMED)
    dice.shuffle(named)
    state, killed = "other", 0
    while killed < kills:
        state = any_state(dice, but=state)
        if named:
            orders = [Order(do="refresh", kill_at=named.pop(), dbt_dies_too=dice.random() < 0.5)]
        else:
            orders = [random_order(dice, bench) for _ in range(dice.choice([1, 1, 2]))]
        hits, trouble = bench.kill_and_repeat(state, *orders)
        assert trouble == [], (orders, f"seed {seed}, after {killed} kills")
        killed += hits
    bench.verify()


def test_the_named_moments_are_passed_by(bench: Bench) -> None:
    assert set(NAMED) <= {*bench.labels, "testing"}


def test_a_refresh_that_is_killed_and_repeated_leaves_the_right_rows(bench: Bench, refresh_kills: int) -> None:
    kill_at_random(bench, kills=refresh_kills, seed=2026)


@pytest.mark.long
@pytest.mark.timeout(7_200)
def test_a_refresh_survives_hundreds_of_kills(bench: Bench, refresh_kills: int) -> None:
    kill_at_random(bench, kills=refresh_kills, seed=1)


@pytest.mark.long
def test_broken_a_ledger_that_is_closed_when_it_is_frozen_loses_plays(bench: Bench) -> None:
    bench.go_to("whole")
    bench.refresh()
    # Undisturbed it does no harm: only a kill finds it out.
    assert bench.kill_and_repeat("thinned", Order(do="refresh", closes_first=True)) == (0, [])
    order = Order(do="refresh", closes_first=True, kill_at="started int_plays__matched")
    hits, trouble = bench.kill_and_repeat("whole", order)
    try:
        assert hits == 1
        assert any("lost" in each for each in trouble)
        assert "whole: marts.fct_plays_stored differs" in trouble
    finally:
        mend(bench)


def mend(bench: Bench) -> None:
    """After a broken variant: whatever it left is built again."""
    bench.sql("update ops.mart_state set fingerprint = null")
    bench.refresh()
    bench.verify()


@pytest.mark.parametrize("model", ["fct_plays_stored", "agg_period_tracks_stored"])
def test_an_orphan_of_a_killed_refresh_writes_nothing_once_another_has_taken_over(
    bench: Bench, model: str, tmp_path: Path
) -> None:
    state = any_state(random.Random(model), but="whole")
    bench.go_to("whole")
    bench.refresh()
    bench.go_to(state)
    go_on = tmp_path / "go on"
    killed = bench.refresher.refresh(
        kill_at=f"started {model}", dbt_dies_too=False, hold_at=model, hold_file=str(go_on)
    )
    assert killed.was_killed
    take_over = bench.refresher.refresh()
    assert (take_over.result or {}).get("status") == "completed", take_over
    picture = bench.picture(with_places=True)
    go_on.touch()
    answer = bench.refresher.run(Order(do="await the orphan")).result
    assert answer is not None
    assert not answer["success"]
    assert "fenced off" in " ".join(node["message"] or "" for node in answer["nodes"] if node["name"] == model)
    assert bench.picture(with_places=True) == picture
    assert bench.picture() == bench.pictures[state]
    bench.verify()


# On a day without another play, whose rows would collide with the orphan's.
LATE = "2021-09-15 12:00:00Z"
WAIT_IF_MARKED = """
create function intermediate.wait_if_marked() returns trigger language plpgsql as $$
begin
    if current_setting('myi.orphan', true) = '1' then
        perform pg_advisory_xact_lock(77);
    end if;
    return null;
end $$;
create trigger wait_if_marked before delete on marts.agg_day_user
for each statement execute function intermediate.wait_if_marked()
"""
NO_FENCE = "create or replace function ops.check_fence(wanted_run bigint) returns void language sql as ''"
WAITING = "select count(*) from pg_locks where locktype = 'advisory' and objid = 77 and not granted"


@pytest.mark.parametrize(
    "is_fenced",
    [pytest.param(True, id="fenced"), pytest.param(False, id="broken: without a fence", marks=pytest.mark.long)],
)
def test_an_orphan_in_the_middle_of_a_model_is_waited_for(bench: Bench, is_fenced: bool) -> None:
    """The orphan has read a play that is gone when it writes: it must be before the next run reads, or not at all."""
    setup = bench.setup
    bench.go_to("whole")
    bench.refresh()
    ((fence,),) = setup.sql("select pg_get_functiondef('ops.check_fence(bigint)'::regprocedure)")
    with setup.warehouse.connect(Role.DBT) as connection:
        connection.execute(WAIT_IF_MARKED.encode())
    if not is_fenced:
        bench.sql(NO_FENCE)
    try:
        bench.sql(
            "select ops.ensure_event_partitions('2021-09-01', '2021-09-30')",
            "insert into raw.listening_events (user_id, played_at, ms_played, source_id, batch_id)"
            f" select min(user_id), '{LATE}', 60000, 1, 1 from app.users",
        )
        with setup.warehouse.connect(Role.OWNER, autocommit=True) as gate:
            gate.execute("select pg_advisory_lock(77)")
            at = "started agg_day_user"
            assert bench.refresher.refresh(kill_at=at, dbt_dies_too=False, is_marked=True).was_killed
            wait_until(lambda: setup.one(WAITING) == 1)
            bench.sql(f"delete from raw.listening_events where played_at = '{LATE}'")
            with ThreadPoolExecutor(1) as elsewhere:
                next_run = elsewhere.submit(bench.refresher.refresh)
                if is_fenced:
                    with pytest.raises(TimeoutError):
                        next_run.result(timeout=2)
                else:
                    assert (next_run.result().result or {})["status"] == "completed"
                gate.execute("select pg_advisory_unlock(77)")
                assert (next_run.result().result or {})["status"] == "completed"
        bench.refresher.run(Order(do="await the orphan"))
        assert (bench.picture() == bench.pictures["whole"]) is is_fenced
    finally:
        bench.sql(fence)
        with setup.warehouse.connect(Role.DBT) as connection:
            connection.execute("drop function intermediate.wait_if_marked() cascade")
        if not is_fenced:
            mend(bench)


def test_importers_and_refreshes_that_are_killed_in_turn_end_with_the_truth(bench: Bench, archives: Archives) -> None:
    dice, hits, told = random.Random(3), 0, (archives.older, archives.account, archives.newer)
    bench.go_to("whole")
    bench.refresh()
    eva = bench.setup.add_user("eva")
    for truth in told:
        path = str(truth.path)
        # The first moment is before the import can have done anything; the others depend on how fast this machine is.
        at_s = 0.0 if truth is told[0] else dice.uniform(0.05, 0.5)
        hits += bench.refresher.run(Order(do="import", path=path, user="eva", kill_after_s=at_s)).was_hit
        hits += bench.refresher.run(random_order(dice, bench)).was_hit
        imported = bench.refresher.run(Order(do="import", path=path, user="eva"))
        assert imported.result is not None
        assert imported.result["status"] == "completed"
    bench.refresh()
    assert hits >= 2
    read = partial(bench.setup.sql, role=Role.ANALYST)
    assert differences(read, eva, expected_marts(told, time_zone="UTC")) == {}
    bench.verify()

    bench.sql("delete from app.users where user_key = 'eva'")
    bench.refresh()
    assert bench.picture() == bench.pictures["whole"]


def wait_until(condition: Callable[[], bool], *, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
