"""Taking everything away and taking it in again: seconds, and memory that does not grow with the history.

    python -m benchmarks.take_away [--largest 1000000]

Each command is a process of its own; its memory is its largest resident set, looked at every 50 ms. The
reference of an export is Postgres' own COPY of the same rows of raw; that of taking in is `myi import` of the archive.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.setups import Setup, arguments, console, make_archive, open_setup, print_machine, print_table, stopwatch
from myi_pipeline.marts.dbt_runner import DbtProcess
from myi_pipeline.postgres.connections import Role

MB = 1_000_000
SIZES = (100_000, 1_000_000)


@dataclass(frozen=True)
class Measured:
    seconds: float
    peak_mb: float


def measure(*command: str) -> Measured:
    """The operating system's own peak counts what the parent had when it forked: so it is sampled."""
    started, peak = time.perf_counter(), 0
    child = subprocess.Popen(
        [str(Path(sys.executable).with_name("myi")), *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert child.stderr is not None
    process = psutil.Process(child.pid)
    while child.poll() is None:
        with contextlib.suppress(psutil.Error):
            peak = max(peak, process.memory_info().rss)
        time.sleep(0.05)
    if child.returncode:
        raise SystemExit(child.stderr.read().decode())
    return Measured(time.perf_counter() - started, peak / MB)


def copy_of_raw(setup: Setup, user_id: int) -> float:
    taken: list[float] = []
    query = f"copy (select * from raw.listening_events where user_id = {user_id}) to stdout"
    with (
        setup.warehouse.connect(Role.OWNER) as connection,
        connection.cursor() as cursor,
        stopwatch(taken),
        cursor.copy(query.encode()) as copy,
    ):
        for _ in copy:
            pass
    return taken[0]


def main() -> None:
    given = arguments(__doc__, largest=1_000_000)
    print_machine()
    exports, imports = [], []
    with open_setup(given.database_url) as setup, DbtProcess() as dbt:
        for plays in (size for size in SIZES if size <= given.largest):
            key = f"n{plays}"
            user_id = setup.add_user(key)
            archive = make_archive(setup.folder, plays=plays, name=key)
            loaded = measure("import", str(archive), "--user", key, "--yes", "--no-refresh", "--json")
            setup.refresh(dbt=dbt)
            path = setup.folder / f"{key}-export.zip"
            bare = measure("export", "--user", key, "-o", str(setup.folder / "bare.zip"), "--no-marts", "--force")
            whole = measure("export", "--user", key, "-o", str(path))
            console.print(f"{plays:,} plays: without tables {bare}, with {whole}")
            exports.append(
                (
                    f"{plays:,}", bare.seconds, bare.peak_mb, whole.seconds, whole.peak_mb, path.stat().st_size / MB,
                    copy_of_raw(setup, user_id),
                )
            )  # fmt: skip
            setup.add_user(f"{key}-again")
            back = measure("import", str(path), "--user", f"{key}-again", "--yes", "--no-refresh", "--json")
            imports.append((f"{plays:,}", back.seconds, back.peak_mb, loaded.seconds, back.seconds / loaded.seconds))
    print_table(
        "myi export (memory flat)",
        ("plays", "without tables, s", "peak MB", "with tables, s", "peak MB", "ZIP, MB", "COPY of raw, s"),
        exports,
    )
    print_table(
        "taking it in (without refresh)",
        ("plays", "myi import of the export, s", "peak MB", "of the archive, s", "ratio"),
        imports,
    )


if __name__ == "__main__":
    main()
