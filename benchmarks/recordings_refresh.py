"""What recordings cost: resolving a whole library, a refresh after 50 new plays, and top lists by recording.

    python -m benchmarks.recordings_refresh [--tracks 60000] [--plays 200000] [--rounds 5]

The library is the made-up catalogue of benchmarks/recordings. Five of the 50 plays are of new tracks, each of which is
compared with its neighbours. Reads are timed in the database, on a warm connection, a hundred times.
"""

from __future__ import annotations

import time
from contextlib import closing
from datetime import date
from itertools import count

from benchmarks.recordings_truth import Maker, Told
from benchmarks.setups import Setup, arguments, median, open_setup, print_machine, print_table
from myi_pipeline.catalogue.plays import ContentKind, make_content
from myi_pipeline.catalogue.recordings import resolve_recordings
from myi_pipeline.marts.dbt_runner import DbtProcess
from myi_pipeline.postgres.connections import Connection, Role
from myi_pipeline.web.reads.cursors import FIRST_PAGE
from myi_pipeline.web.reads.spans import Period, last_day_of, period_start
from myi_pipeline.web.reads.sql_files import load_sql
from myi_pipeline.web.reads.top import Entity, range_values, top_order

_COLUMNS = (
    "content_key, kind_id, uri, title, creator, collection, match_title, match_key, duration_ms, isrc, recording_mbid"
)
# Played more often the earlier it was made, as a listener's favourites are.
_PLAYS = """
insert into raw.listening_events (played_at, user_id, content_id, ms_played, batch_id, source_id)
select
    timestamptz '2015-01-01' + n * %(step)s * interval '1 second', %(user)s,
    %(first)s + floor(%(tracks)s * power(random(), 3))::int, 60000 + (n %% 200) * 1000, 1, 1
from generate_series(1, %(plays)s) as n
on conflict do nothing
"""


def add_tracks(connection: Connection, told: list[Told], numbers: count[int]) -> list[int]:
    """Contents as an import would intern them."""
    with connection.cursor() as cursor:
        with cursor.copy(f"copy raw.contents ({_COLUMNS}, names_played_at, names_batch_id) from stdin") as copy:
            for each in told:
                track, number = each.track, next(numbers)
                uri = f"spotify:track:{number}" if each.source == "spotify" else None
                made = make_content(
                    kind=ContentKind.TRACK, uri=uri or f"other:{number}", title=track.title,
                    creator=", ".join(track.artists), collection=track.album,
                )  # fmt: skip
                copy.write_row((
                    made.key, 1, uri, made.title, made.creator, made.collection, made.match_title, made.match_key,
                    track.duration_ms, track.isrc, None, "2015-01-01Z", 1,
                ))  # fmt: skip
        found = cursor.execute(
            "select content_id from raw.contents order by content_id desc limit %s", (len(told),)
        ).fetchall()
    return [row[0] for row in found]


def time_whole(setup: Setup) -> tuple[float, int]:
    with setup.warehouse.connect(Role.DBT) as connection:
        began = time.perf_counter()
        found = resolve_recordings(connection, run_id=0, whole=True)
        seconds = time.perf_counter() - began
        connection.rollback()
    return seconds, found.compared


def time_refreshes(
    setup: Setup, dbt: DbtProcess, user: int, fresh: list[list[Told]], numbers: count[int]
) -> list[float]:
    spent = []
    for round_number, told in enumerate(fresh):
        with setup.warehouse.connect(Role.OWNER, autocommit=True) as connection:
            ids = add_tracks(connection, told, numbers)
            connection.execute(
                "insert into raw.listening_events (played_at, user_id, content_id, ms_played, batch_id, source_id)"
                " select timestamptz '2024-12-20' + (%s * 50 + n) * interval '3 minutes', %s,"
                " case when n <= %s then (%s::int[])[n] else n end, 170000, 1, 1 from generate_series(1, 50) as n",
                (round_number, user, len(ids), ids),
            )
        began = time.perf_counter()
        setup.refresh(dbt=dbt)
        spent.append(time.perf_counter() - began)
    return spent[1:]


def time_top(connection: Connection, user: int, entity: Entity, period: Period) -> float:
    """Milliseconds of the first page, the median of a hundred."""
    start = period_start(period, date(2020, 5, 1))
    values = {"user_id": user, "seen": 0, "limit": 51, **top_order(entity).values(FIRST_PAGE)}
    if period in (Period.ALL, Period.YEAR):
        sql, more = load_sql("top_of_period", entity=entity), {"period_start": start}
    else:
        sql, more = load_sql("top_of_range", entity=entity), range_values(start, last_day_of(period, start))
    spent = []
    for _ in range(100):
        began = time.perf_counter()
        connection.execute(sql, {**values, **more}, prepare=True).fetchall()
        spent.append(1000 * (time.perf_counter() - began))
    return median(spent[5:])


def main() -> None:
    given = arguments(__doc__, tracks=60_000, plays=200_000, rounds=5)
    print_machine()
    numbers = count(1)
    told = Maker(1).catalogue(given.tracks // 70)[: given.tracks]
    more = Maker(1).catalogue(given.tracks // 70)[: 5 * (given.rounds + 1)]
    fresh = [more[n : n + 5] for n in range(0, len(more), 5)]
    with open_setup(given.database_url) as setup, DbtProcess() as dbt:
        user = setup.add_user("ana")
        with setup.warehouse.connect(Role.OWNER, autocommit=True) as connection:
            connection.execute("select ops.ensure_event_partitions('2014-12-01', '2025-06-01')")
            first = min(add_tracks(connection, told, numbers))
            step = int(10 * 365 * 86_400 / given.plays)
            connection.execute(
                _PLAYS.encode(),
                {"user": user, "plays": given.plays, "tracks": len(told), "first": first, "step": step},
            )
        setup.refresh(dbt=dbt)
        setup.execute("vacuum analyze")
        seconds, compared = time_whole(setup)
        refreshes = time_refreshes(setup, dbt, user, fresh, numbers)
        rows: list[tuple[object, ...]] = [
            (f"all {compared:,} tracks resolved, s", seconds, ""),
            ("a refresh after 50 plays, 5 of new tracks, s", median(refreshes), "2.5"),
        ]
        with closing(setup.warehouse.connect(Role.API, autocommit=True)) as connection:
            connection.execute("set plan_cache_mode = force_generic_plan")
            connection.execute("select set_config('app.user_id', %s, false)", (str(user),))
            for period in Period:
                for entity in ("track", "recording"):
                    took = time_top(connection, user, entity, period)
                    rows.append((f"top {entity}s, {period.value}, ms", took, "5" if entity == "recording" else ""))
        sizes = setup.execute(
            "select pg_total_relation_size('ops.content_blocks'), pg_total_relation_size('ops.content_recordings'),"
            " pg_total_relation_size('marts.agg_period_recordings_merged'),"
            " pg_total_relation_size('marts.agg_period_tracks_stored')"
        )
        names = ("ops.content_blocks", "ops.content_recordings", "agg_period_recordings_merged", "agg_period_tracks")
        rows += [(f"{name}, MB", int(str(size)) / 1e6, "") for name, size in zip(names, sizes[0], strict=True)]
        print_table(f"recordings of {given.tracks:,} tracks, {given.plays:,} plays", ("", "", "aim"), rows)


if __name__ == "__main__":
    main()
