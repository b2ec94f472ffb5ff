"""The parsed project is kept and shipped: of the environment in which it was parsed nothing is in it but the database's
name, and that is replaced."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from myi_pipeline.isolation import children_environment
from myi_pipeline.marts.dbt_runner import dbt_options
from myi_pipeline.marts.parsed_project import MANIFEST, PACKED, contents_of, find_parsed, load_parsed

pytestmark = pytest.mark.slow

OTHER_WORLD = {
    "MYI_DBT_NAME": "another_database",
    "MYI_DBT_HOST": "db.example.org",
    "MYI_DBT_PORT": "6543",
    "MYI_DBT_USER": "another_user",
    "MYI_DBT_PASSWORD": "a secret of another world",
    "MYI_DBT_API_ROLE": "another_api",
    "MYI_DBT_ANALYST_ROLE": "another_analyst",
    "MYI_MART_RUN_ID": "4711",
    "MYI_MART_REBUILD": "1",
}


# Not by dbt_main: a clone may hold a project that was parsed ahead.
PARSE = """
import sys
from pathlib import Path
from dbt.cli.main import dbtRunner
from myi_pipeline.marts.parsed_project import keep_parsed
keep_parsed(dbtRunner().invoke(["parse"]).result, kept=Path(sys.argv[1]), name="parsed")
"""


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folders of two worlds: dbt's defaults, and one where every variable is set."""
    found = []
    for world in ({}, OTHER_WORLD):
        home = tmp_path_factory.mktemp("home")
        if not world and (ahead := find_parsed(home)) is not None:
            # This clone was parsed ahead, as `make` does before the tests.
            found.append(ahead)
            continue
        environment = children_environment() | dbt_options(target=home / "dbt/target", logs=home / "dbt/logs") | world
        subprocess.run([sys.executable, "-c", PARSE, str(home)], env=environment, check=True, stdout=subprocess.DEVNULL)
        found.append(home / "parsed")
    return found[0], found[1]


def content(folder: Path, database: str) -> dict[str, Any]:
    """All that dbt keeps, but for the moment of the parse and what only a later parse would compare."""
    from dbt.parser.manifest import extended_mashumaro_encoder, extended_mashumuro_decoder

    packed = load_parsed(folder, database=database).to_msgpack(extended_mashumaro_encoder)
    every: dict[str, Any] = extended_mashumuro_decoder(packed)
    return {name: _comparable(value) for name, value in every.items() if name not in ("metadata", "state_check")}


def _comparable(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _comparable(each) for name, each in value.items() if name != "created_at"}
    # dbt lists what a model reads in any order.
    return sorted((_comparable(each) for each in value), key=repr) if isinstance(value, list) else value


@pytest.mark.timeout(600)
def test_where_it_was_parsed_makes_no_difference_but_for_the_database(parsed: tuple[Path, Path]) -> None:
    here, there = parsed
    assert content(here, "mine") == content(there, "mine")
    mine = content(here, "mine")
    plays = mine["nodes"]["model.myi.fct_plays"]
    assert (plays["database"], plays["relation_name"]) == ("mine", '"mine"."marts"."fct_plays"')
    named = {node.get("database") for kind in ("nodes", "sources") for node in mine[kind].values()}
    assert named == {"mine"}
    # Without the replacement they differ: the comparison sees what it should.
    assert content(here, "myi") != content(there, "another_database")


def test_nothing_of_that_world_is_written_down(parsed: tuple[Path, Path]) -> None:
    for name in (MANIFEST, PACKED):
        written = (parsed[1] / name).read_bytes()
        for variable in ("HOST", "USER", "PASSWORD", "API_ROLE", "ANALYST_ROLE"):
            assert OTHER_WORLD[f"MYI_DBT_{variable}"].encode() not in written, (name, variable)
        assert str(parsed[1].parent).encode() not in written


def test_every_model_says_by_what_it_is_cut(parsed: tuple[Path, Path]) -> None:
    found = contents_of(parsed[0])
    assert len(found.models) > 30
    assert all(model.is_view or model.slices for model in found.models.values())
    assert any(test.is_proved_by_index for test in found.tests)
