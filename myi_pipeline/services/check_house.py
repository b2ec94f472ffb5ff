"""What must always hold in the warehouse, looked at now and then.

Belongs here: the invariants as questions with a yes or no, at a cost that a warehouse of a billion plays can bear: what
cannot be asked of everything is asked of a random sample. Not here: when they are asked (defs/checks). Invariant: reads
only, and a finding names no listener's plays, only counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta

from myi_pipeline.warehouse.connections import Role, Warehouse
from myi_pipeline.warehouse.sql_files import load_sql

# Measured: comparing a million events with their resolution takes 2-3 s.
EVENTS_A_SAMPLE = 1_000_000
# The marts are refreshed hourly: thrice that means that refreshes fail or nobody runs them.
OLDEST_CHANGE = timedelta(hours=3)
# Measured over 1,000 simulated listener-years: more than 99.9 % meet. With another person's archive nearly none would.
FEWEST_POLLED, LEAST_MET = 100, 0.95


@dataclass(frozen=True)
class Finding:
    """The answer to one question; `figures` are counts."""

    passed: bool
    text: str
    figures: Mapping[str, int | float] = field(default_factory=dict)


def _row(warehouse: Warehouse, role: Role, name: str, **values: object) -> tuple[int, ...]:
    with closing(warehouse.connect(role, autocommit=True, application_name="myi check")) as connection:
        row = connection.execute(load_sql(f"checks/{name}"), values).fetchone()
    return row if row is not None else ()


def accounting_closes(warehouse: Warehouse) -> Finding:
    """Rows read = loaded + present + identical + quarantined: in every file, and files add up to their import."""
    imports, broken_imports, broken_files, quarantine_differs = _row(warehouse, Role.INGEST, "accounting_closes")
    wrong = broken_imports + broken_files + quarantine_differs
    text = f"{imports} imports add up" if not wrong else f"{wrong} accounts of imports do not close"
    figures = {
        "imports": imports,
        "imports_that_do_not_close": broken_imports,
        "files_that_do_not_close": broken_files,
    }
    return Finding(not wrong, text, figures)


def events_lie_in_their_month(warehouse: Warehouse) -> Finding:
    """Every partition carries its month's bounds as an enforced constraint, and sampled events keep to them."""
    partitions, without_bounds, sampled, outside = _row(
        warehouse, Role.DBT, "events_lie_in_their_month", events=EVENTS_A_SAMPLE
    )
    wrong = without_bounds + outside
    text = f"{partitions} partitions hold what their names say" if not wrong else "events lie outside their month"
    figures = {
        "partitions": partitions,
        "partitions_without_bounds": without_bounds,
        "events_sampled": sampled,
        "events_outside": outside,
    }
    return Finding(not wrong, text, figures)


def partitions_exist_ahead(warehouse: Warehouse, *, months: int) -> Finding:
    """This month's partition and those of the next `months` are there."""
    (missing,) = _row(warehouse, Role.DBT, "partitions_exist_ahead", months=months)
    text = f"{missing} partitions of the coming months are missing" if missing else "all are there"
    return Finding(not missing, text, {"partitions_missing": missing})


def events_belong_to_one_play(warehouse: Warehouse) -> Finding:
    """Each raw event of sampled users is in the resolution once; days that wait for a refresh are left out."""
    if not _is_built(warehouse):
        return Finding(True, "no marts yet")
    users, events, wrong_days, strays = _row(warehouse, Role.DBT, "events_belong_to_one_play", events=EVENTS_A_SAMPLE)
    wrong = wrong_days + strays
    text = "each event is in one play" if not wrong else f"{wrong} days of users do not have each event in one play"
    figures = {"users_sampled": users, "events_compared": events, "days_that_differ": wrong_days, "stray_plays": strays}
    return Finding(not wrong, text, figures)


def plays_have_one_event_a_source(warehouse: Warehouse) -> Finding:
    """No play of sampled users holds two events of one source, save where one of them names no content."""
    if not _is_built(warehouse):
        return Finding(True, "no marts yet")
    users, wrong = _row(warehouse, Role.DBT, "plays_have_one_event_a_source", events=EVENTS_A_SAMPLE)
    text = "no play collapses one source" if not wrong else f"{wrong} plays hold two events of one source"
    return Finding(not wrong, text, {"users_sampled": users, "plays": wrong})


def polled_plays_meet_archives(warehouse: Warehouse) -> Finding:
    """Of the polled plays of sampled users that an extended history should have, it has nearly all: else it may be
    another person's, or a clock that no rule knows."""
    if not _is_built(warehouse):
        return Finding(True, "no marts yet")
    users, polled, met = _row(warehouse, Role.DBT, "polled_plays_meet_archives", events=EVENTS_A_SAMPLE)
    share = met / polled if polled else 1.0
    text = f"{met} of {polled} polled plays that an archive covers are in it"
    figures = {"users_sampled": users, "polled_plays": polled, "share": round(share, 4)}
    return Finding(polled < FEWEST_POLLED or share >= LEAST_MET, text, figures)


def ledger_is_young(warehouse: Warehouse, *, oldest: timedelta = OLDEST_CHANGE) -> Finding:
    """No change waits longer than `oldest` for a refresh."""
    waiting, seconds = _row(warehouse, Role.DBT, "ledger_is_young")
    hours = float(seconds or 0) / 3600
    text = "nothing waits" if not waiting else f"{waiting} changes wait, the oldest for {hours:.1f} h"
    return Finding(hours * 3600 <= oldest.total_seconds(), text, {"changes": waiting, "oldest_hours": round(hours, 2)})


def _is_built(warehouse: Warehouse) -> bool:
    with closing(warehouse.connect(Role.DBT, autocommit=True, application_name="myi check")) as connection:
        row = connection.execute("select to_regclass('intermediate.int_plays__resolved') is not null").fetchone()
    return bool(row and row[0])
