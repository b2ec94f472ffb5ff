"""Small archives, made once a session, and a setup to import them into.

The listener's five months hold every quirk in 1,500 plays; small files and chunks (see `small_steps`) make many commit
points of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from myi_pipeline.archives import loading, read_files
from myi_pipeline.postgres.connections import Warehouse
from myi_pipeline.simulator import (
    ArchiveSpec,
    ArchiveTruth,
    build_listener,
    write_account_archive,
    write_extended_archive,
)
from myi_pipeline.simulator.bad_rows import BAD_ROWS
from tests.integration.archives.setups import Setup

SPEC = ArchiveSpec(
    seed=11,
    first_day=date(2021, 10, 1),
    last_day=date(2022, 2, 28),
    plays=1_500,
    identical_rows=0.02,
    twin_plays=0.02,
    without_ms_played=0.005,
    under_both_uris=0.3,
    unknown_tracks=0.02,
    removed_tracks=0.03,
    renamed_tracks=0.05,
    unnamed_tracks=0.01,
    uriless_tracks=0.02,
    relinked_tracks=0.03,
    audiobooks_from=date(2021, 10, 1),
    videos_from=date(2021, 10, 1),
    audiobook_sessions=0.05,
    video_sessions=0.05,
)


@dataclass(frozen=True)
class Archives:
    """`older` ends in the middle, knows the old catalogue and is spelt the old way; `newer` starts before that end."""

    older: ArchiveTruth
    newer: ArchiveTruth
    whole: ArchiveTruth
    account: ArchiveTruth


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Archives:
    folder = tmp_path_factory.mktemp("archives")
    listener = build_listener(SPEC)
    bad = dict.fromkeys(BAD_ROWS, 2)
    return Archives(
        older=write_extended_archive(
            folder / "older.zip", listener, until=date(2021, 12, 31), vintage="endsong", rows_per_file=300
        ),
        newer=write_extended_archive(folder / "newer.zip", listener, since=date(2021, 12, 1), rows_per_file=300),
        whole=write_extended_archive(folder / "whole.zip", listener, rows_per_file=400, bad=bad),
        account=write_account_archive(folder / "account.zip", listener, until=date(2022, 1, 31), rows_per_file=400),
    )


@pytest.fixture
def setup(warehouse: Warehouse) -> Setup:
    """A fresh database with the user `ana`."""
    setup = Setup(warehouse)
    setup.add_user()
    return setup


@pytest.fixture(scope="module")
def setup_of_module(server_for: Callable[[str], Any], request: pytest.FixtureRequest) -> Iterator[Setup]:
    server = server_for("embedded")
    name = f"{server.template.database}_{request.module.__name__.rpartition('.')[2]}"[-50:]
    try:
        yield Setup(server.clone(name))
    finally:
        server.drop(name)


@pytest.fixture
def shared_setup(setup_of_module: Setup) -> Setup:
    """One database for the tests of a module, empty save for `ana`: cheaper than a fresh one each."""
    setup_of_module.empty()
    setup_of_module.add_user()
    return setup_of_module


def set_steps(monkeypatch: pytest.MonkeyPatch, *, batch: int, chunk: int) -> None:
    monkeypatch.setattr(read_files, "_ROWS_A_BATCH", batch)
    monkeypatch.setattr(loading, "ROWS_A_CHUNK", chunk)


@contextmanager
def stopping_after(chunks: int) -> Iterator[type[Exception]]:
    """Loading fails with what is yielded once so many chunks have begun. Whoever waits to be told of a chunk may stop
    too late: two loaders can be done with all of them before that."""

    class Stopped(Exception):
        pass

    left, insert = iter(range(chunks)), loading._insert

    def insert_or_stop(*arguments: Any, **named: Any) -> Any:
        if next(left, None) is None:
            raise Stopped
        return insert(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "_insert", insert_or_stop)
        yield Stopped


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches and chunks so small that these small archives have many."""
    set_steps(monkeypatch, batch=50, chunk=100)


@pytest.fixture
def archive_path(tmp_path: Path) -> Path:
    return tmp_path / "my_spotify_data.zip"
