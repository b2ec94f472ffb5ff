"""Which events of archives, polls and scrobblers are one play: ours and the rules of others, with the truth.

    python -m benchmarks.resolution_scrobbles [--listeners 1000] [--plays-per-day 10] [--workers 2] [--minutes 0]

Every listener is there for a year, with some of: Spotify's archives, polling with losses, Last.fm fed by Spotify's
server (also cut to minutes), ListenBrainz, an app on the phone that pushes, and the log of a device whose clock is off
by hours. Precision is the share of events that are merged into the right play (aim: 99.9 %), recall the share of those
that could be (aim: 99.5 %), lost are events of one source that vanish because one play took two of them (aim: 0). The
peers' rules are told which songs are equal, and when a play began.

Listeners come in batches, of which nothing is left when the next one comes: neither the process nor the database
grows with them. After so many minutes (0: however long it takes) no batch is begun any more; the table says how many
there were.
"""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

from benchmarks.resolution_rules import Score
from benchmarks.resolution_truth import listener_specs
from benchmarks.scrobbles_truth import Event, ListenerLife, Loader, RawKey, listener_life, truth
from benchmarks.setups import arguments, open_setup, print_machine, print_table
from myi_pipeline.marts.dbt_runner import DbtProcess, dbt_environment
from myi_pipeline.marts.refresh import refresh_marts
from myi_pipeline.postgres.connections import Role, Warehouse

OURS = "ours"
BATCH = 10
# What a removal would leave to the next refresh, all at once.
_TABLES = (
    "select string_agg(format('%I.%I', schemaname, tablename), ', ') from pg_tables where schemaname = 'intermediate'"
)

Rule = Callable[[Event, Event], bool]
# What peers take for one play. Maloja keeps one scrobble a second; ListenBrainz and Koito one of a track and second
# (https://github.com/metabrainz/listenbrainz-server, listen_unique; https://github.com/gabehf/Koito/discussions/337);
# multi-scrobbler asks how near two times of a track are, and whether they are its length apart
# (https://foxxmd.github.io/multi-scrobbler/configuration/duplicates/).
RULES: dict[str, Rule] = {
    "same second (Maloja)": lambda one, other: int(one.start_s) == int(other.start_s),
    "same track and second (ListenBrainz, Koito)": lambda one, other: (
        one.song == other.song and int(one.start_s) == int(other.start_s)
    ),
    "same track within 10 s (multi-scrobbler)": lambda one, other: (
        one.song == other.song and abs(one.start_s - other.start_s) <= 10
    ),
    "same track within 10 s, or its length apart": lambda one, other: (
        one.song == other.song
        and (abs(one.start_s - other.start_s) <= 10 or abs(abs(one.start_s - other.start_s) - one.duration_s) <= 10)
    ),
}
# No rule looks further.
_REACH_S = 1200.0


def _pairs(life: ListenerLife) -> int:
    return len(life.plays) - len(set(life.plays))


def score_rule(rule: Rule, life: ListenerLife) -> Score:
    """The rule as its users run it: in the order of time, an event of a play that is there is dropped."""
    kept: list[tuple[Event, int, set[int]]] = []
    merges = right = lost = first = 0
    for event, play in sorted(
        zip(life.events, life.plays, strict=True), key=lambda each: (each[0].start_s, each[0][:3])
    ):
        while first < len(kept) and kept[first][0].start_s < event.start_s - _REACH_S:
            first += 1
        near = [known for known in kept[first:] if rule(event, known[0])]
        if not near:
            kept.append((event, play, {event.source}))
            continue
        _, known_play, sources = min(near, key=lambda known: abs(known[0].start_s - event.start_s))
        merges += 1
        right += known_play == play
        lost += event.source in sources
        sources.add(event.source)
    return Score(_pairs(life), merges, right, lost)


def resolved(connection: Any, user: int) -> list[tuple[RawKey, int, int, str]]:
    """The raw key, play, event and decision of every event of a user."""
    query = (
        "select source_id, (extract(epoch from played_at) * 1000)::bigint, content_id, ms_played, play_id, event_id,"
        " decision from intermediate.int_plays__resolved where user_id = %s"
    )
    return [((row[0], row[1], row[2], row[3]), row[4], row[5], row[6]) for row in connection.execute(query, (user,))]


def score_ours(
    warehouse: Warehouse, loader: Loader, lives: Sequence[ListenerLife], users: dict[str, int]
) -> dict[str, Score]:
    """The score of the resolution in the database: in all, and by the source of the event that was merged."""
    scores: dict[str, Score] = defaultdict(Score)
    with warehouse.connect(Role.OWNER) as connection:
        for life in lives:
            plays_of = truth(loader, connection, life)
            events = resolved(connection, users[life.key])
            assert len(events) == len(life.events)
            heads = {event_id: key for key, _, event_id, _ in events}
            members: Counter[tuple[int, int]] = Counter()
            score = Score(_pairs(life))
            for key, play_id, event_id, decision in events:
                members[play_id, key[0]] += 1
                if event_id != play_id:
                    is_right = not set(plays_of[key]).isdisjoint(plays_of[heads[play_id]])
                    score += Score(0, 1, is_right)
                    scores[f"source {key[0]} into {heads[play_id][0]}, {decision}"] += Score(0, 1, is_right)
            # Each listener has one player that pushes.
            score += Score(lost=sum(count - 1 for count in members.values()))
            scores[OURS] += score
    return scores


def worker(given: tuple[int, int, int, int, str | None]) -> tuple[int, dict[str, Score]]:
    """One process with a setup of its own: how many of its listeners there was time for, and the scores."""
    first, count, plays_per_day, minutes, database_url = given
    began, done = time.perf_counter(), 0
    specs = listener_specs(count, plays_per_day=plays_per_day, first=first)
    totals: dict[str, Score] = defaultdict(Score)
    with open_setup(database_url) as setup, DbtProcess() as dbt:
        with closing(setup.warehouse.connect(Role.OWNER, autocommit=True)) as connection:
            loader = Loader(connection)
            connection.execute("select ops.ensure_event_partitions('2024-12-01', '2026-02-01')")
        environment = dbt_environment(setup.warehouse, target=setup.settings.dbt_target, logs=setup.settings.dbt_logs)
        for start in range(0, count, BATCH):
            lives = [
                listener_life(spec, first + start + place) for place, spec in enumerate(specs[start : start + BATCH])
            ]
            users = {life.key: setup.add_user(life.key) for life in lives}
            with setup.warehouse.connect(Role.OWNER) as connection:
                loader.load(connection, lives, users)
            result = refresh_marts(
                setup.warehouse, dbt=dbt, environment=environment, select="+int_plays__resolved", run_tests=False
            )
            if result.status != "partial":
                raise RuntimeError(f"the resolution failed: {result.error}")
            for name, score in score_ours(setup.warehouse, loader, lives, users).items():
                totals[name] += score
            for name, rule in RULES.items():
                totals[name] += sum((score_rule(rule, life) for life in lives), Score())
            _forget(setup.warehouse)
            done += len(lives)
            if minutes and time.perf_counter() - began > 60 * minutes:
                break
    return done, dict(totals)


def _forget(warehouse: Warehouse) -> None:
    """Everything of the listeners so far."""
    with warehouse.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("delete from app.users")
        connection.execute("delete from raw.listening_events")
        for table in ("changed_days", "mart_run_days", "mart_run_api_days", "removals", "orphans"):
            connection.execute(f"delete from ops.{table}".encode())
        connection.execute("vacuum raw.listening_events")
    with warehouse.connect(Role.DBT) as connection:
        found = connection.execute(_TABLES).fetchone()
        assert found is not None
        connection.execute(f"truncate {found[0]}".encode())


def main() -> None:
    given = arguments(__doc__, listeners=1000, plays_per_day=10, workers=2, minutes=0)
    print_machine()
    started = time.perf_counter()
    share = -(-given.listeners // given.workers)
    shares = [
        (first, min(share, given.listeners - first), given.plays_per_day, given.minutes, given.database_url)
        for first in range(0, given.listeners, share)
    ]
    with multiprocessing.get_context("spawn").Pool(given.workers) as pool:
        parts = pool.map(worker, shares)
    totals: dict[str, Score] = defaultdict(Score)
    for _, part in parts:
        for name, score in part.items():
            totals[name] += score
    print_table(
        f"{sum(done for done, _ in parts):,} listener-years, "
        f"{totals[OURS].pairs:,} events of plays that a better source has too "
        f"({time.perf_counter() - started:,.0f} s)",
        ("rule", "merged", "precision %", "recall %", "plays lost", "aim"),
        [
            (name, f"{totals[name].merges:,}", 100 * totals[name].precision, 100 * totals[name].recall,
             f"{totals[name].lost:,}", "99.9, 99.5, 0" if name == OURS else "")
            for name in (OURS, *RULES)
        ],
    )  # fmt: skip
    print_table(
        "what ours decided by",
        ("event, play and decision", "merged", "wrong"),
        [
            (name, f"{score.merges:,}", f"{score.merges - score.right:,}")
            for name, score in sorted(totals.items())
            if name.startswith("source ")
        ],
    )


if __name__ == "__main__":
    main()
