"""A heavy household, and how everything grows: users with a million plays each, one after the other, in 2 GB.

    python -m benchmarks.growth [--users 5] [--plays 1000000] [--memory-mb 2048]

After each user: the whole `myi import`, `myi refresh` of 50 new plays of the first user, pages of the first user over
HTTP (the median of ten), bytes a play, and the most memory that all processes took together. The processes run in a
control group with a limit on memory, which needs root and Linux; `--memory-mb 0` leaves it out. Prints the seconds as
straight lines through the points: a bend would show as a residual.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import statistics
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from benchmarks.first_minute import fifty_plays
from benchmarks.homes import ZONE, Home, MemoryGroup, new_home
from benchmarks.setups import console, make_archive, median, print_machine, print_table

PAGES = {
    "plays": "/v1/me/plays?limit=50",
    "top tracks, all": "/v1/me/top/tracks?limit=50",
    "top tracks, a month": "/v1/me/top/tracks?limit=50&period=month&date=2020-05-01",
    "top artists, 90 days": "/v1/me/top/artists?limit=50&from=2020-01-01&to=2020-03-31",
    "clock, all": "/v1/me/clock",
    "timeline": "/v1/me/timeline?grain=month&limit=200",
}
SIZES = """
select sum(pg_total_relation_size(c.oid))::bigint, (select count(*) from marts.fct_plays)
from pg_class as c inner join pg_namespace as n on n.oid = c.relnamespace
where n.nspname in ('raw', 'ops', 'app', 'staging', 'intermediate', 'marts') and c.relkind in ('r', 'm')
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def read_pages(home: Home, token: str) -> dict[str, float]:
    """Milliseconds of each page: the median of ten."""
    port = free_port()
    with home.start("api", MYI_API_PORT=str(port), MYI_API_REQUESTS_PER_MINUTE="1000000") as api:
        try:
            return {name: median(_ten(f"http://127.0.0.1:{port}{path}", token)) for name, path in PAGES.items()}
        finally:
            api.terminate()
            api.communicate(timeout=60)


def _ten(address: str, token: str) -> list[float]:
    request = urllib.request.Request(address, headers={"authorization": f"Bearer {token}"})
    spent = []
    deadline = time.monotonic() + 60
    while len(spent) < 11:
        began = time.perf_counter()
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                answer.read()
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
            continue
        spent.append((time.perf_counter() - began) * 1000)
    # The first one warms up.
    return spent[1:]


def line_through(points: list[tuple[float, float]]) -> str:
    """`seconds = a + b * millions of plays`, and the largest distance of a point from it."""
    if len(points) < 3:
        return "too few points"
    slope, start = statistics.linear_regression(*zip(*points, strict=True))
    residual = max(abs(seconds - (start + slope * plays)) for plays, seconds in points)
    return f"{start:.1f} + {slope:.2f} * millions of plays (at most {residual:.1f} off)"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--users", type=int, default=5)
    parser.add_argument("--plays", type=int, default=1_000_000)
    parser.add_argument("--memory-mb", type=int, default=2048)
    given = parser.parse_args()
    print_machine()
    folder = Path(tempfile.mkdtemp(prefix="myi-bench-"))
    folder.chmod(0o711)
    group = MemoryGroup(given.memory_mb) if given.memory_mb else None
    rows: list[tuple[object, ...]] = []
    imports: list[tuple[float, float]] = []
    refreshes: list[tuple[float, float]] = []
    token = ""
    try:
        with new_home(folder, group) as home:
            for number in range(given.users):
                key = f"listener{number}"
                archive = make_archive(folder, plays=given.plays, seed=number + 1, name=key)
                imported = home.seconds("import", archive, "--user", key, "--create", timeout_s=3600)
                archive.unlink()
                if not token:
                    token = json.loads(home.run("token", "new", key, "--json")[1])["token"]
                home.seconds("import", fifty_plays(folder, number), "--user", "listener0", "--no-refresh")
                refreshed = home.seconds("refresh", timeout_s=3600)
                pages = read_pages(home, token)
                _, printed = home.run("psql", "--owner", "-c", f"copy ({SIZES}) to stdout with (format csv)")
                size, plays = map(int, printed.strip().splitlines()[-1].split(","))
                imports.append((plays / 1e6, imported))
                refreshes.append((plays / 1e6, refreshed))
                rows.append(
                    (
                        f"{plays:,}",
                        imported,
                        refreshed,
                        *pages.values(),
                        round(size / plays),
                        "" if group is None else round(group.peak_mb()),
                        "" if group is None else group.killed(),
                    )
                )
                console.print(f"{key}: imported in {imported:.1f} s, refreshed in {refreshed:.1f} s, {pages}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if group is not None:
            group.remove()
    columns = (
        "plays in all", "import, s", "refresh of 50, s", *(f"{name}, ms" for name in PAGES), "bytes a play",
        "memory, MB", "killed",
    )  # fmt: skip
    print_table(f"Users with {given.plays:,} plays each ({ZONE})", columns, rows)
    console.print(f"import of {given.plays:,} plays: {line_through(imports)}")
    console.print(f"refresh of 50 plays: {line_through(refreshes)}")


if __name__ == "__main__":
    main()
