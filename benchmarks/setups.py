"""What every benchmark needs: a setup of its own in a temporary folder, archives of a size, tables that print ratios.

`--database-url` measures another server than the embedded one.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from myi_pipeline.archives.accounting import ImportResult
from myi_pipeline.archives.import_history import import_history
from myi_pipeline.archives.reading_settings import account_hasher, archive_limits
from myi_pipeline.marts.dbt_runner import DbtProcess, dbt_environment
from myi_pipeline.marts.refresh import RefreshResult, refresh_marts
from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.postgres.embedded.places import data_area
from myi_pipeline.settings import Settings, load_settings
from myi_pipeline.simulator import ArchiveSpec, build_listener, write_extended_archive

# Measured is what people have: with it, every command would compile what it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
console = Console(width=110, highlight=False)


@dataclass(frozen=True)
class Setup:
    """One open warehouse, with its settings and a folder for archives."""

    settings: Settings
    warehouse: Warehouse
    folder: Path

    def add_user(self, key: str, time_zone: str = "Europe/Berlin") -> int:
        with self.warehouse.connect(Role.OWNER, autocommit=True) as connection:
            row = connection.execute(
                "insert into app.users (user_key, time_zone) values (%s, %s)"
                " on conflict (user_key) do update set time_zone = excluded.time_zone returning user_id",
                (key, time_zone),
            ).fetchone()
            assert row is not None
            return int(row[0])

    def load(self, archive: Path, user_key: str, *, readers: int = 2) -> ImportResult:
        return import_history(
            self.warehouse,
            paths=archive,
            user_key=user_key,
            limits=archive_limits(self.settings),
            hash_account=account_hasher(self.settings),
            readers=readers,
            # Several users get one archive.
            is_confirmed=True,
        )

    def refresh(self, *, dbt: DbtProcess, run_tests: bool = False) -> RefreshResult:
        environment = dbt_environment(self.warehouse, target=self.settings.dbt_target, logs=self.settings.dbt_logs)
        result = refresh_marts(self.warehouse, dbt=dbt, environment=environment, run_tests=run_tests)
        if not result.is_good:
            raise SystemExit(f"the refresh failed: {result.error}")
        return result

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        with self.warehouse.connect(Role.OWNER, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


@contextmanager
def open_setup(database_url: str | None = None) -> Iterator[Setup]:
    """A setup in a new temporary folder, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="myi-bench-"))
    # As root the server runs as another account, which must be able to pass through.
    folder.chmod(0o711)
    try:
        os.environ["MYI_HOME"] = str(folder / "home")
        os.environ.pop("MYI_DATABASE_URL", None)
        if database_url:
            os.environ["MYI_DATABASE_URL"] = database_url
        settings = load_settings()
        with open_warehouse(settings, make_roles=True) as warehouse:
            yield Setup(settings, warehouse, folder)
    finally:
        # As root the data lie outside of the home.
        if (area := data_area(folder / "home")) is not None:
            shutil.rmtree(area, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


def make_archive(folder: Path, *, plays: int, seed: int = 1, name: str = "ana") -> Path:
    """A synthetic extended history over eleven years (or more years, if it takes that to hold so many plays)."""
    path = folder / f"{name}-{plays}-{seed}.zip"
    if not path.exists():
        years = max(11, plays // 75_000)
        spec = ArchiveSpec(
            seed=seed,
            listener=name,
            first_day=date(max(2006, 2025 - years), 1, 1),
            last_day=date(2024, 12, 31),
            plays=plays,
        )
        write_extended_archive(path, build_listener(spec))
    return path


def arguments(description: str | None, **defaults: int) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("--database-url", default=None, help="an external server instead of the embedded one")
    for name, value in defaults.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value)
    return parser.parse_args()


def print_machine() -> None:
    console.print(
        f"{datetime.now(UTC):%Y-%m-%d}  Python {platform.python_version()}, {os.cpu_count()} cores, {sys.platform}"
    )


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    table = Table(title=title, title_justify="left", pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    for row in rows:
        table.add_row(*(f"{cell:,.3f}" if isinstance(cell, float) else str(cell) for cell in row))
    console.print(table)


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


@contextmanager
def stopwatch(into: list[float]) -> Iterator[None]:
    started = time.perf_counter()
    yield
    into.append(time.perf_counter() - started)
