"""(r) A backup and the way back, beside pg_dump and pg_restore alone.

    python -m benchmarks.backup [--plays 1000000] [--users 5]

Both dump in the directory format, with as many jobs as there are cores, and load into an empty database of the same
server; a restore of MYI also takes the time to check every checksum, to analyze, and to settle Dagster. Ends with 1
when it takes more than 1.3 times as long, or as much room.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psycopg

from benchmarks.disk import fill
from benchmarks.setups import Setup, arguments, console, open_setup, print_machine, print_table
from myi_pipeline.operations.backup.make import make_backup
from myi_pipeline.operations.backup.programs import JOBS, capture_program, find_programs, parts_of
from myi_pipeline.operations.backup.restore import restore_backup
from myi_pipeline.postgres.connections import statement, with_parameters
from myi_pipeline.postgres.embedded import embedded_server
from myi_pipeline.storage.backups import FolderBackups

MAY = 1.3
ALONE = "restored_alone"


def timed(what: Callable[[], object]) -> float:
    started = time.perf_counter()
    what()
    return time.perf_counter() - started


def run(command: Sequence[str], url: str) -> None:
    code, _, said = capture_program(command, parts=parts_of(url))
    if code != 0:
        raise SystemExit(f"{command[0]} failed: {said[-500:]}")


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def measure(setup: Setup, superuser: str) -> tuple[list[tuple[str, float, float]], int]:
    """Rows of (what, alone, MYI), and the bytes of the database."""
    programs = find_programs(setup.settings, server_major=18)
    alone, store = setup.folder / "alone", FolderBackups(setup.folder / "backups")
    dump = [programs.path("pg_dump"), "-Fd", f"-j{JOBS}", f"--file={alone}", "--no-password"]
    # The disk's cache is warm for both.
    timed(lambda: run(dump, superuser))
    shutil.rmtree(alone)
    dump_s = timed(lambda: run(dump, superuser))
    made = make_backup(setup.settings, setup.warehouse, store, passphrase=None, with_files=False)
    with psycopg.connect(with_parameters(superuser, dbname="postgres"), autocommit=True) as admin:
        admin.execute(statement("create database {} template template0", ALONE))
    load = [programs.path("pg_restore"), f"-j{JOBS}", "--no-password", f"--dbname={ALONE}", str(alone)]
    restore_s = timed(lambda: run(load, with_parameters(superuser, dbname=ALONE)))
    with psycopg.connect(with_parameters(superuser, dbname="postgres"), autocommit=True) as admin:
        admin.execute(statement("drop database {}", ALONE))
    restored = restore_backup(setup.settings, store, made.name, passphrase=None, replace=True)
    rows = [
        ("backup, s", dump_s, made.seconds),
        ("restore, s", restore_s, restored.seconds),
        ("size, MB", size(alone) / 1e6, size(Path(made.address)) / 1e6),
    ]
    return rows, made.database_bytes


def main() -> int:
    given = arguments(__doc__, plays=1_000_000, users=5)
    print_machine()
    with open_setup() as setup:
        console.print(f"{given.plays:,} plays of {given.users} users ...")
        fill(setup, given.plays, given.users)
        with embedded_server(setup.settings.home) as server:
            rows, database_bytes = measure(setup, server.url("myi"))
    title = f"A backup of {given.plays:,} plays, a database of {database_bytes / 1e6:,.0f} MB"
    shown = [(what, alone, own, own / alone) for what, alone, own in rows]
    print_table(title, ("", "pg_dump, pg_restore", "MYI", "ratio"), shown)
    return 1 if any(ratio > MAY for *_, ratio in shown) else 0


if __name__ == "__main__":
    sys.exit(main())
