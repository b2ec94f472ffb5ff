"""The law after random histories: the marts equal a rebuild, and, where archives alone spoke, the truth."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from myi_pipeline.marts import runs
from myi_pipeline.marts.dbt_runner import project
from myi_pipeline.postgres.sql_files import load_statements
from myi_pipeline.simulator import expected_marts
from tests.dbt.properties.random_history import History
from tests.dbt.properties.truth_in_marts import differences

pytestmark = pytest.mark.property

MODELS = [relation.partition(".")[2] for relation in project().relations if not relation.startswith("staging.")]
GOOD = ("completed", "nothing")


def refresh_somehow(marts: Any, history: History, dice: random.Random) -> None:
    how = dice.choice(["plain", "plain", "late", "late", "two at once", "a subset"])
    history.log.append(f"refresh: {how}")
    if how == "late":
        # Whoever began before the ledger was frozen commits while the models are built.
        at = dice.choice(MODELS)

        def commit(name: str, status: str) -> None:
            if (name, status) == (at, "started"):
                history.commit_late()

        assert marts.refresh(on_node=commit).status in GOOD
    elif how == "two at once":
        with ThreadPoolExecutor(2) as elsewhere:
            both = [elsewhere.submit(marts.refresh, on_busy=on_busy) for on_busy in ("wait", "leave")]
            statuses = [each.result().status for each in both]
        assert set(statuses) <= {*GOOD, "busy"}, statuses
        assert statuses[0] != "busy"
    elif how == "a subset":
        selected = " ".join(dice.choice(["", "+"]) + model for model in dice.sample(MODELS, dice.choice([1, 3])))
        ledger = open_ledger(marts)
        # A part that needs what another has not built yet may fail; either way nothing is closed.
        assert marts.refresh(select=selected).status in ("partial", "nothing", "failed"), selected
        assert ledger <= open_ledger(marts)
    else:
        assert marts.refresh().status in GOOD


def open_ledger(marts: Any) -> set[tuple[Any, ...]]:
    return set(
        marts.sql(
            "select 'days', change_id from ops.changed_days union all"
            " select 'contents', change_id from ops.changed_contents union all"
            " select 'users', change_id from ops.changed_users"
        )
    )


def live(marts: Any, seed: int, folder: Path, *, steps: int) -> History:
    history, dice = History(marts, seed, folder), random.Random(seed)
    with closing(history):
        for _ in range(steps):
            for _ in range(dice.randint(1, 4)):
                history.step()
            refresh_somehow(marts, history, dice)
        history.commit_late()
    return history


def law(marts: Any, history: History) -> dict[str, object]:
    """What is wrong; empty when the law holds."""
    verified = marts.verify()
    trouble: dict[str, object] = {mart.mart: mart for mart in verified.differing}
    if verified.error:
        trouble["error"] = verified.error
    if (status := marts.refresh().status) != "nothing":
        trouble["refresh"] = status
    for person in history.people:
        if not person.is_disturbed:
            told = [person.archives[number] for number in sorted(person.archives)]
            truth = expected_marts([*told, person.late], time_zone=person.zone)
            if found := differences(marts.read, person.user_id, truth):
                trouble[person.key] = found
    return trouble


@pytest.mark.parametrize("seed", range(1))
def test_after_a_random_history_the_marts_equal_a_rebuild_and_the_truth(marts: Any, seed: int, tmp_path: Path) -> None:
    history = live(marts, seed, tmp_path, steps=4)
    assert law(marts, history) == {}, history.log


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("seed", range(100, 140))
def test_after_a_long_random_history_the_marts_equal_a_rebuild_and_the_truth(
    marts: Any, seed: int, tmp_path: Path
) -> None:
    history = live(marts, seed, tmp_path, steps=12)
    assert law(marts, history) == {}, history.log


def watermark(name: str) -> Iterator[str]:
    """How a run closes that takes everything up to the newest change that it has seen as done."""
    for statement in load_statements(name):
        if name == "marts/mart_runs/close_run" and "delete from ops.changed_" in statement:
            ledger = (
                "days" if "changed_days" in statement else "contents" if "changed_contents" in statement else "users"
            )
            yield (
                f"delete from ops.changed_{ledger} where changed_at <= (select max(c.changed_at)"
                f" from ops.changed_{ledger} as c inner join ops.mart_run_changes as f on f.change_id = c.change_id"
                f" where f.run_id = %(run_id)s and f.ledger = '{ledger}')"
            )
        else:
            yield statement


@pytest.mark.parametrize(
    "is_broken",
    [pytest.param(False, id="ledger"), pytest.param(True, id="broken: a watermark", marks=pytest.mark.long)],
)
def test_what_commits_late_is_not_lost_save_by_a_watermark(
    marts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_broken: bool
) -> None:
    if is_broken:
        monkeypatch.setattr(runs, "load_statements", watermark)
    history = History(marts, 7, tmp_path)
    with closing(history):
        for _ in range(2):
            history.import_archive()
            # The late one writes first and commits last; what comes between carries the watermark past it.
            history.write_late()
            marts.sql("update app.users set time_zone = time_zone")
            history.import_archive()
            history.import_archive()
            refreshed(marts, commit=history)
    marts.refreshed()
    found = law(marts, history)
    assert ("marts.fct_plays_stored" in found) is is_broken, found
    assert any(isinstance(each, dict) and "plays" in each for each in found.values()) is is_broken
    assert bool(found) is is_broken


def refreshed(marts: Any, *, commit: History) -> None:
    """A refresh during whose last model the late ones commit."""
    late: list[int] = []

    def on_node(name: str, status: str) -> None:
        if (name, status) == ("user_versions", "started"):
            late.append(commit.commit_late())

    assert marts.refresh(on_node=on_node).status == "completed"
    assert sum(late) > 0
