"""What an export has of the marts, and how its parts hang together."""

from __future__ import annotations

from myi_pipeline.operations.take_away.mart_rows import MARTS, NOT_EXPORTED
from myi_pipeline.operations.take_away.parts import BEFORE_EVENTS, PARTS
from myi_pipeline.postgres.sql_files import load_sql, load_statements
from tests.architecture.repository import marts as mart_files


def test_every_mart_is_in_an_export_or_says_why_not() -> None:
    there = {path.stem for path in mart_files()}
    exported = {mart.mart for mart in MARTS}
    assert not exported & set(NOT_EXPORTED)
    assert exported | set(NOT_EXPORTED) == there
    assert len({mart.name for mart in MARTS}) == len(MARTS)


def test_no_part_takes_back_what_is_not_there_yet() -> None:
    """Its statements name the tables of its own part and of earlier ones alone."""
    told: set[str] = set()
    for part in PARTS:
        told.add(part.told)
        if part.bring is not None:
            for statement in load_statements(part.bring):
                named = {word.strip("();,") for word in statement.split() if word.startswith("told_")}
                assert {name for name in named if any(name == each.told for each in PARTS)} <= told, part.name


def test_parts_have_a_place_of_their_own_and_a_query() -> None:
    assert len({part.name for part in PARTS}) == len(PARTS)
    assert all(load_sql(part.read).lstrip().startswith(("select", "--", "with")) for part in PARTS)
    assert all(part.bring is None for part in BEFORE_EVENTS)
