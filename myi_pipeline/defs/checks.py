"""The invariants of the house as asset checks.

Belongs here: which question is asked of which asset. Not here: the questions (services/check_house), dbt's tests (they
come with the models). Invariant: a check only reads, and its failure stops nothing.
"""

from collections.abc import Callable

import dagster as dg

from myi_pipeline.defs.listening_history import ACCOUNTING_CHECK, LISTENING_HISTORY
from myi_pipeline.defs.maintenance import MAINTENANCE
from myi_pipeline.defs.recently_played import RECENTLY_PLAYED
from myi_pipeline.defs.resources import Installation
from myi_pipeline.services import check_house
from myi_pipeline.services.check_house import Finding
from myi_pipeline.services.check_polls import polls_are_fresh
from myi_pipeline.services.check_spotify import logins_are_good
from myi_pipeline.services.maintain import MONTHS_AHEAD
from myi_pipeline.services.open_warehouse import Warehouse

_RESOLVED = dg.AssetKey(["intermediate", "int_plays__resolved"])
_PLAYS = dg.AssetKey(["marts", "fct_plays"])
_ERROR = dg.AssetCheckSeverity.ERROR

Question = Callable[[Installation, Warehouse], Finding]


def _check(
    key: dg.AssetKey, name: str, description: str, ask: Question, *, is_urgent: Callable[[Finding], bool] | None = None
) -> dg.AssetChecksDefinition:
    """`is_urgent` says whether a failure is an error; without it every one is."""

    @dg.asset_check(asset=key, name=name, description=description)
    def check(installation: dg.ResourceParam[Installation]) -> dg.AssetCheckResult:
        with installation.open() as warehouse:
            finding = ask(installation, warehouse)
        return dg.AssetCheckResult(
            passed=finding.passed,
            severity=_ERROR if is_urgent is None or is_urgent(finding) else dg.AssetCheckSeverity.WARN,
            description=finding.text,
            metadata=dict(finding.figures),
        )

    return check


def _of_house(ask: Callable[[Warehouse], Finding]) -> Question:
    return lambda _, warehouse: ask(warehouse)


_OF_HOUSE = [
    _check(
        LISTENING_HISTORY,
        ACCOUNTING_CHECK,
        "Every row that was read is new, already present, identical or quarantined, in every file of every import.",
        _of_house(check_house.accounting_closes),
    ),
    _check(
        LISTENING_HISTORY,
        "events_lie_in_their_month",
        "Every partition is bounded by its month, and sampled events lie inside.",
        _of_house(check_house.events_lie_in_their_month),
    ),
    _check(
        MAINTENANCE,
        "partitions_exist_ahead",
        "Partitions for this month and the next ones exist.",
        lambda _, warehouse: check_house.partitions_exist_ahead(warehouse, months=MONTHS_AHEAD),
    ),
    _check(
        _RESOLVED,
        "events_belong_to_one_play",
        "Every raw event of sampled users belongs to exactly one play.",
        _of_house(check_house.events_belong_to_one_play),
    ),
    _check(
        _RESOLVED,
        "plays_have_one_event_a_source",
        "No play holds two events of one source, save as the resolution allows.",
        _of_house(check_house.plays_have_one_event_a_source),
    ),
    _check(
        _RESOLVED,
        "polled_plays_meet_archives",
        "Of the polled plays that an archive covers at least 95 % are in it.",
        _of_house(check_house.polled_plays_meet_archives),
        is_urgent=lambda _: False,
    ),
    _check(
        _PLAYS,
        "ledger_is_young",
        "No change waits for a refresh longer than three hours.",
        _of_house(check_house.ledger_is_young),
    ),
]
_OF_POLLS = [
    _check(
        RECENTLY_PLAYED,
        "logins_are_good",
        "Nobody must sign in to Spotify again, and no login ends within 30 days; within 7 days it is an error.",
        lambda installation, warehouse: logins_are_good(warehouse, now=installation.clock()),
        is_urgent=lambda found: found.figures["must_sign_in_again"] + found.figures["end_within_7_days"] > 0,
    ),
    _check(
        RECENTLY_PLAYED,
        "polls_are_fresh",
        "Nobody who can be polled waits for it longer than two hours after their turn.",
        lambda installation, warehouse: polls_are_fresh(installation.settings, warehouse, now=installation.clock()),
    ),
]
HOUSE_CHECKS = [key for check in _OF_HOUSE for key in check.check_keys]
POLL_CHECKS = [key for check in _OF_POLLS for key in check.check_keys]
CHECKS = [*_OF_HOUSE, *_OF_POLLS]
