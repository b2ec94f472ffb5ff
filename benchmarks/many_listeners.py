"""From one to tens of millions of plays, of listeners with 100,000 each: what every step costs, and the sheet beyond.

    python -m benchmarks.many_listeners [--millions 1,3,10,30] [--of-a-user 100000] [--active 0.1] [--least-free-gb 10]

At each size: raw rows a second (copies of one listener, shifted in time), seconds until the marts have what was added,
a refresh after 50 plays of one listener (the median of three) and after an hour's polls (a tenth of the listeners, 15
plays each), a rebuild of one listener's marts, the reads of the first listener over HTTP, and bytes a play. Data
tests, which follow the figures, are not in it. Then a straight line through all points but the last, and by how much
the last is off: where that is more than a fifth, growth has its bend there. The sheet continues these lines to a
billion plays. Stops by itself before the disk has less than `--least-free-gb` left.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from benchmarks.api import free_port, medians, server
from benchmarks.api_statements import reads
from benchmarks.refresh_growth import CLONE, add_new_plays
from benchmarks.setups import Setup, console, make_archive, open_setup, print_machine, print_table, stopwatch
from myi_pipeline.marts.dbt_runner import DbtProcess
from myi_pipeline.people import manage_access
from myi_pipeline.postgres.connections import Role

PLAYS_AN_HOUR = 15
SHEET = (10, 100, 1_000)
BEND = 1.2
ROUNDS = 3
# Each listener's own tracks again, of the last hour.
HOUR = """
insert into raw.listening_events (played_at, user_id, content_id, ms_played, batch_id, source_id)
select
    timestamptz '2024-12-31 00:00+00' + %(point)s * interval '1 hour' + heard.n * interval '4 minutes',
    users.user_id, heard.content_id, 180000, 1, 1
from (
    select user_id from app.users order by user_id limit %(users)s
) as users
cross join lateral (
    select content_id, row_number() over () as n from (
        select content_id from raw.listening_events
        where
            user_id = users.user_id and content_id is not null
            and played_at between timestamptz '2024-06-01' and timestamptz '2024-12-30'
        order by played_at desc
        limit %(plays)s
    ) as newest
) as heard
on conflict do nothing
"""
AGAIN = "insert into ops.changed_users (user_id, scope) values (%s, 'everything')"


@dataclass(frozen=True)
class Point:
    """What was measured at a size; seconds, but for what says otherwise."""

    millions: float
    rows_a_second: float
    marts_of_the_added: float
    fifty: float
    hour: float
    plays_of_the_hour: int
    rebuild_of_one: float
    slowest_read_ms: float
    gigabytes: float


def size_gb(setup: Setup) -> float:
    ((size,),) = setup.execute("select pg_database_size(current_database())")
    return int(str(size)) / 1e9


def timed_refresh(setup: Setup, dbt: DbtProcess) -> float:
    spent: list[float] = []
    with stopwatch(spent):
        setup.refresh(dbt=dbt)
    return spent[0]


def add_listeners(setup: Setup, first: int, *, have: int, want: int) -> float:
    """Rows a second of the copies."""
    rows, began = 0, time.perf_counter()
    for number in range(have, want):
        other = setup.add_user(f"listener{number}")
        with setup.warehouse.connect(Role.OWNER, autocommit=True) as connection:
            rows += connection.execute(CLONE.encode(), {"from": first, "to": other, "shift": number}).rowcount
    return rows / (time.perf_counter() - began)


def hour_of_polls(setup: Setup, *, users: int, point: int) -> int:
    with setup.warehouse.connect(Role.OWNER, autocommit=True) as connection:
        return connection.execute(HOUR.encode(), {"point": point, "users": users, "plays": PLAYS_AN_HOUR}).rowcount


def fifty_plays(setup: Setup, dbt: DbtProcess, user: int, number: int) -> float:
    add_new_plays(setup, user, number)
    return timed_refresh(setup, dbt)


def measure(
    setup: Setup,
    dbt: DbtProcess,
    *,
    first: int,
    token: str,
    artist: int,
    have: int,
    want: int,
    active: float,
    point: int,
) -> Point:
    rate = add_listeners(setup, first, have=have, want=want)
    added = timed_refresh(setup, dbt)
    setup.execute("vacuum analyze")
    # What the first refresh of a size brings up to date in statistics is not the hour's.
    hour_of_polls(setup, users=1, point=12 + point)
    timed_refresh(setup, dbt)
    fifty = statistics.median(fifty_plays(setup, dbt, first, 10 * point + number) for number in range(ROUNDS))
    plays = hour_of_polls(setup, users=max(1, round(want * active)), point=point)
    hour = timed_refresh(setup, dbt)
    with setup.warehouse.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute(AGAIN.encode(), (first,))
    rebuilt = timed_refresh(setup, dbt)
    port = free_port()
    with server("api", port):
        slowest = max(medians(reads(artist_id=artist), port, token, 20).values())
    ((events,),) = setup.execute("select count(*) from raw.listening_events")
    return Point(int(str(events)) / 1e6, rate, added, fifty, hour, plays, rebuilt, slowest, size_gb(setup))


def line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """(start, slope) of the straight line through points; the mean of what does not grow."""
    mean = statistics.fmean(value for _, value in points)
    if len(points) < 2:
        return mean, 0.0
    slope, start = statistics.linear_regression(*zip(*points, strict=True))
    return (start, slope) if slope > 0 else (mean, 0.0)


def sheet(points: Sequence[Point]) -> None:
    """Each cost as a line through all points but the last, how far off the last is, and what that gives beyond."""
    costs = {
        "refresh after 50 plays, s": [(each.millions, each.fifty) for each in points],
        "refresh after an hour's polls, s": [(each.millions, each.hour) for each in points],
        "rebuild of one listener, s": [(each.millions, each.rebuild_of_one) for each in points],
        "slowest read, ms": [(each.millions, each.slowest_read_ms) for each in points],
        "size, GB": [(each.millions, each.gigabytes) for each in points],
    }
    rows = []
    for name, measured in costs.items():
        start, slope = line(measured[:-1])
        foretold = start + slope * measured[-1][0]
        off = measured[-1][1] / foretold if foretold > 0 else float("nan")
        start, slope = line(measured)
        rows.append(
            (
                name, f"{start:.2f} + {slope:.4f} a million", off, "bends" if off > BEND else "straight",
                *(start + slope * millions for millions in SHEET),
            )
        )  # fmt: skip
    columns = ("", "line", "last point, foretold = 1", "", *(f"{millions:,} million" for millions in SHEET))
    print_table("Computed from the points above", columns, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--database-url", default=None, help="an external server instead of the embedded one")
    parser.add_argument("--millions", default="1,3,10,30")
    parser.add_argument("--of-a-user", type=int, default=100_000)
    parser.add_argument("--active", type=float, default=0.1)
    parser.add_argument("--least-free-gb", type=float, default=10)
    given = parser.parse_args()
    print_machine()
    points: list[Point] = []
    with open_setup(given.database_url) as setup, DbtProcess() as dbt:
        first = setup.add_user("ana")
        setup.load(make_archive(setup.folder, plays=given.of_a_user), "ana")
        timed_refresh(setup, dbt)
        ((artist,),) = setup.execute(
            "select artist_id from marts.agg_period_artists where period = 'all' order by counted_plays desc limit 1"
        )
        with setup.warehouse.connect(Role.APP, autocommit=True) as connection:
            token = manage_access.make_token(connection, user_id=first, name="bench", days=None).token
        have = 1
        for number, millions in enumerate(sorted(float(each) for each in given.millions.split(","))):
            want = max(have, round(millions * 1e6 / given.of_a_user))
            per_play = points[-1].gigabytes / points[-1].millions if points else 0.5
            # The log of writes and the sorting of a build take as much again for a while.
            if shutil.disk_usage(setup.folder).free / 1e9 - 2 * (want - have) * given.of_a_user / 1e6 * per_play < (
                given.least_free_gb
            ):
                console.print(f"no room for {millions:g} million plays: ending here")
                break
            points.append(
                measure(
                    setup, dbt, first=first, token=token, artist=int(str(artist)),
                    have=have, want=want, active=given.active, point=number,
                )
            )  # fmt: skip
            have = want
            console.print(f"{points[-1]}")
    titles = (
        "millions of plays", "raw rows/s", "marts of the added, s", "50 plays, s", "hour's refresh, s", "its plays",
        "one listener again, s", "slowest read, ms", "GB",
    )  # fmt: skip
    print_table(
        f"Listeners with {given.of_a_user:,} plays each", titles, [tuple(asdict(each).values()) for each in points]
    )
    if len(points) > 2:
        sheet(points)


if __name__ == "__main__":
    main()
