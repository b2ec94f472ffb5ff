"""Which polled event is which archive row: ours and the rules of others, on simulated listener-years with the truth.

    python -m benchmarks.resolution [--listeners 1000] [--plays-per-day 10] [--workers 2]

Every listener is there for a year: polled with losses; archived, with half of the online rows telling when a play began
(an `offline_timestamp`); and for a tenth of the listeners again with account data alone. Precision is the share of
merged events that are merged with the right row (aim: at least 99.9 %), recall the share of true pairs that are merged
(aim: at least 99.5 %), lost are plays of one source that vanish because one play took two of its events (aim: 0).
"""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import closing

from benchmarks.resolution_rules import RULES, Score, score_rule
from benchmarks.resolution_truth import ListenerYear, intern_world, listener_specs, listener_year, load, merge_pairs
from benchmarks.setups import Setup, arguments, open_setup, print_machine, print_table
from myi_pipeline.marts.dbt_runner import DbtProcess, dbt_environment
from myi_pipeline.marts.refresh import refresh_marts
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.simulator.live import ListenerSpec

OURS = "ours"
STARTS_TOLD = 0.5
# Listener-years that one process holds at a time.
BATCH = 100


def score_ours(warehouse: Warehouse, years: Sequence[ListenerYear], users: dict[str, int], *, account: bool) -> Score:
    """The score of the resolution in the database."""
    with warehouse.connect(Role.OWNER) as connection:
        pairs = merge_pairs(connection, users)
        lost = connection.execute(
            "select coalesce(sum(events - plays), 0)::bigint from ("
            " select count(*) as events, count(distinct play_id) as plays from intermediate.int_plays__resolved"
            " where user_id = any(%s) group by user_id, source_id) as counted",
            (list(users.values()),),
        ).fetchone()
    assert lost is not None
    score = Score(lost=int(lost[0]))
    for year in years:
        merged = pairs[year.key]
        right = 0
        for event, (at_s, ms_played) in merged.items():
            true = year.truth.get(event)
            if true is not None and true.ms_played == ms_played:
                right += at_s == (true.at_s - true.at_s % 60 if account else true.at_s)
        score += Score(len(year.truth), len(merged), right)
    return score


def one_batch(
    setup: Setup, dbt: DbtProcess, specs: Sequence[ListenerSpec], *, account: bool
) -> tuple[dict[str, Score], Counter[str]]:
    """Made, loaded, resolved, scored, and forgotten."""
    years = [listener_year(spec, starts_told=STARTS_TOLD) for spec in specs]
    users = {year.key: setup.add_user(year.key) for year in years}
    with setup.warehouse.connect(Role.OWNER) as connection:
        connection.execute("select ops.ensure_event_partitions('2024-12-01', '2026-02-01')")
        load(connection, years, users, account=account)
    environment = dbt_environment(setup.warehouse, target=setup.settings.dbt_target, logs=setup.settings.dbt_logs)
    # A part of the models closes no run: every batch is resolved whole.
    result = refresh_marts(
        setup.warehouse, dbt=dbt, environment=environment, select="+int_plays__resolved", run_tests=False
    )
    if result.status != "partial":
        # An exit would leave the pool waiting for its worker for ever.
        raise RuntimeError(f"the resolution failed: {result.error}")
    scores = {OURS: score_ours(setup.warehouse, years, users, account=account)}
    if not account:
        scores |= {name: sum((score_rule(rule, year) for year in years), Score()) for name, rule in RULES.items()}
    query = "select decision, count(*) from intermediate.int_plays__paired group by 1"
    decisions = Counter(dict(setup.execute(query)))
    with setup.warehouse.connect(Role.OWNER) as connection:
        connection.execute("delete from app.users")
        connection.execute("truncate ops.removals, ops.orphans")
    return scores, decisions  # type: ignore[return-value]


def worker(given: tuple[int, int, int, str | None]) -> tuple[dict[str, Score], Score, Counter[str], int]:
    """One process with a setup of its own: its share of the listeners, then a tenth of them with account data alone."""
    first, count, plays_per_day, database_url = given
    specs = listener_specs(count, plays_per_day=plays_per_day, first=first)
    totals: dict[str, Score] = defaultdict(Score)
    of_account = Score()
    decisions: Counter[str] = Counter()
    with open_setup(database_url) as setup, DbtProcess() as dbt:
        with closing(setup.warehouse.connect(Role.OWNER, autocommit=True)) as connection:
            intern_world(connection)
        for start in range(0, count, BATCH):
            scores, found = one_batch(setup, dbt, specs[start : start + BATCH], account=False)
            decisions += found
            for name, score in scores.items():
                totals[name] += score
        for start in range(0, count // 10, BATCH):
            scores, _ = one_batch(setup, dbt, specs[start : min(start + BATCH, count // 10)], account=True)
            of_account += scores[OURS]
    return dict(totals), of_account, decisions, count


def main() -> None:
    given = arguments(__doc__, listeners=1000, plays_per_day=10, workers=2)
    print_machine()
    started = time.perf_counter()
    share = -(-given.listeners // given.workers)
    shares = [
        (first, min(share, given.listeners - first), given.plays_per_day, given.database_url)
        for first in range(0, given.listeners, share)
    ]
    with multiprocessing.get_context("spawn").Pool(given.workers) as pool:
        parts = pool.map(worker, shares)
    names = [OURS, *RULES]
    totals = {name: sum((part[0][name] for part in parts), Score()) for name in names}
    account = sum((part[1] for part in parts), Score())
    decisions = sum((part[2] for part in parts), Counter())
    print_table(
        f"{given.listeners:,} listener-years, {totals[OURS].pairs:,} polled plays that an archive has too "
        f"({time.perf_counter() - started:,.0f} s)",
        ("rule", "merged", "precision %", "recall %", "plays lost", "aim"),
        [
            (name, f"{score.merges:,}", 100 * score.precision, 100 * score.recall, f"{score.lost:,}",
             "99.9, 99.5, 0" if name == OURS else "")
            for name, score in (*totals.items(), ("ours, account data alone", account))
        ],
    )  # fmt: skip
    print_table("what ours decided by", ("decision", "events"), [(k, f"{v:,}") for k, v in decisions.most_common()])


if __name__ == "__main__":
    main()
