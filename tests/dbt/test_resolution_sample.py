"""A sample of benchmarks/resolution: simulated listeners of every kind, polled and archived, held against the truth."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.resolution import score_ours
from benchmarks.resolution_rules import RULES, Score, score_rule
from benchmarks.resolution_truth import ListenerYear, listener_specs, listener_year, load
from myi_pipeline.operations import checks
from myi_pipeline.postgres.connections import Role

pytestmark = pytest.mark.property

DAYS = 30


def is_good(score: Score) -> bool:
    return score.precision >= 0.999 and score.recall >= 0.995 and score.lost == 0


@pytest.fixture(scope="module")
def years() -> list[ListenerYear]:
    specs = listener_specs(10, plays_per_day=25)
    # Spotify lists every third short play of every other listener.
    specs = [spec.model_copy(update={"short_listed": 0.3 * (number % 2)}) for number, spec in enumerate(specs)]
    return [listener_year(spec, starts_told=0.5, days=DAYS) for spec in specs]


def loaded(marts: Any, years: list[ListenerYear], *, account: bool) -> dict[str, int]:
    users = {year.key: marts.add_user(year.key) for year in years}
    with marts.warehouse.connect(Role.OWNER) as connection:
        connection.execute("select ops.ensure_event_partitions('2024-12-01', '2025-06-01')")
        load(connection, years, users, account=account)
    marts.refreshed()
    return users


def test_of_simulated_plays_nearly_all_meet_and_nearly_none_wrongly(marts: Any, years: list[ListenerYear]) -> None:
    users = loaded(marts, years, account=False)
    score = score_ours(marts.warehouse, years, users, account=False)
    assert score.pairs > 3_000
    assert is_good(score), score
    assert marts.sql("select count(*) from intermediate.int_plays__resolved") == [
        (sum(len(year.polled) + len(year.archived) for year in years),)
    ]
    check_that_strangers_are_noticed(marts, users)


def check_that_strangers_are_noticed(marts: Any, users: dict[str, int]) -> None:
    """The archives say what they cover, and have what was polled; with another person's they would have none of it."""
    for user in users.values():
        marts.sql(
            "insert into raw.polled_spans (user_id, polled_from) values (%s, '2025-01-01Z')", user,
        )  # fmt: skip
        marts.sql(
            "with import as (insert into app.imports (user_id, sha256, archive_name, kind)"
            " values (%s, sha256(%s::text::bytea), 'a', 'extended_history') returning import_id)"
            " insert into raw.covered_spans (user_id, import_id, source_id, covered_from, covered_to)"
            " select %s, import_id, 1, '2025-01-01Z', '2025-01-31Z' from import",
            user, str(user), user,
        )  # fmt: skip
    found = checks.polled_plays_meet_archives(marts.warehouse)
    assert found.passed, found
    assert found.figures["polled_plays"] > 3_000
    assert found.figures["share"] > 0.99
    marts.sql("delete from intermediate.int_plays__paired", role=Role.DBT)
    assert not checks.polled_plays_meet_archives(marts.warehouse).passed


def test_account_data_alone_do_nearly_as_well(marts: Any, years: list[ListenerYear]) -> None:
    score = score_ours(marts.warehouse, years, loaded(marts, years, account=True), account=True)
    assert score.precision >= 0.995, score
    assert score.recall >= 0.99, score
    assert score.lost == 0


@pytest.mark.parametrize("rule", RULES)
def test_the_rules_of_others_miss_one_aim_at_least(years: list[ListenerYear], rule: str) -> None:
    """And so the aims can be missed."""
    score = sum((score_rule(RULES[rule], year) for year in years), Score())
    assert score.pairs > 3_000
    assert not is_good(score)
