"""An export brought back into an empty warehouse makes the same marts, whatever was reported and decided."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from myi_pipeline.archives.files import Limits
from myi_pipeline.operations.take_away.bring_back import bring_back
from myi_pipeline.operations.take_away.compare import compare_with_export
from myi_pipeline.operations.take_away.export import write_export
from myi_pipeline.postgres.connections import Role
from myi_pipeline.postgres.parts import run_statements
from tests.dbt.conftest import Marts, emptied
from tests.dbt.random_changes import RandomChanges
from tests.dbt.random_polls import RandomPolls


def export(marts: Marts, path: Path, *, user_key: str) -> Any:
    with path.open("wb") as out:
        return write_export(marts.warehouse, out, user_key=user_key)


def take_in(marts: Marts, path: Path, *, user_key: str) -> Any:
    return bring_back(marts.warehouse, path=path, user_key=user_key, limits=Limits(), is_confirmed=True)


def differences(marts: Marts, path: Path, *, user_key: str) -> Any:
    found = compare_with_export(marts.warehouse, path=path, user_key=user_key, limits=Limits())
    assert found.tables
    return {each.table: (each.only_told[:3], each.only_here[:3], each.error) for each in found.differing}


def same_marts_in_an_empty_one(marts: Marts, tmp_path: Path) -> None:
    """Every user's export, all taken into a warehouse that holds nothing else."""
    with marts.warehouse.connect(Role.OWNER) as connection:
        # The histories make contents by hand: what goes by which name is decided as an import decides it.
        connection.execute(
            "create temporary table moved_match_keys on commit drop as select match_key from raw.contents"
        )
        run_statements(connection, "catalogue/load/alias_names", {})
    marts.refreshed()
    keys = [row[0] for row in marts.sql("select user_key from app.users order by user_id")]
    paths = {key: tmp_path / f"{key}.zip" for key in keys}
    for key, path in paths.items():
        export(marts, path, user_key=key)
        assert not (found := differences(marts, path, user_key=key)), str(found)[:3000]
    emptied(marts)
    for key, path in paths.items():
        marts.add_user(key)
        take_in(marts, path, user_key=key)
    marts.refreshed()
    for key, path in paths.items():
        assert not (found := differences(marts, path, user_key=key)), f"{key}: {found}"[:3000]


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(10, 20))
def test_whatever_was_reported_comes_back_as_the_same_marts(marts: Marts, tmp_path: Path, seed: int) -> None:
    history = RandomPolls(marts, seed=seed)
    for _ in range(12):
        history.step()
    same_marts_in_an_empty_one(marts, tmp_path)


def test_polls_archives_and_scrobbles_come_back_as_the_same_marts(marts: Marts, tmp_path: Path) -> None:
    history = RandomPolls(marts, seed=1)
    for _ in range(5):
        history.step()
    same_marts_in_an_empty_one(marts, tmp_path)


@pytest.mark.slow
def test_playlists_genres_gaps_and_decisions_come_back_as_the_same_marts(marts: Marts, tmp_path: Path) -> None:
    with marts.warehouse.connect(Role.OWNER, autocommit=True) as connection:
        changes = RandomChanges(connection, seed=3)
        changes.prepare(users=2)
        for _ in range(4):
            changes.step()
            marts.refreshed()
    same_marts_in_an_empty_one(marts, tmp_path)
