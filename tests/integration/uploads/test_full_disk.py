"""A disk that fills up: imports and refreshes stop before Postgres has to, and go on once there is room."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from myi_pipeline.archives import import_log
from myi_pipeline.archives.import_history import import_history
from myi_pipeline.archives.reading_settings import account_hasher, archive_limits
from myi_pipeline.archives.uploads.import_uploads import import_uploads
from myi_pipeline.errors import DiskFull
from myi_pipeline.marts.refresh import refresh_marts
from myi_pipeline.operations import checks
from myi_pipeline.postgres.connections import Role
from myi_pipeline.postgres.disk_space import MIB, DiskGuard, disk_guard, free_bytes
from myi_pipeline.postgres.sql_files import load_sql
from tests.hostile import decoys
from tests.integration.uploads.conftest import Uploads

ROOM = 10**12


def filling(looks: int) -> Callable[[Path], int]:
    """A disk that is full from the look after the first `looks` on."""
    left = iter([ROOM] * looks)
    return lambda _: next(left, 0)


def told(uploads: Uploads) -> list[object]:
    """All that is kept of imports, but what says that one was tried again."""
    queries = (
        "to_jsonb(i) - array['warnings', 'seen_as', 'upload_name'] from app.imports as i",
        "to_jsonb(f) from app.import_files as f",
        "to_jsonb(q) from ops.quarantine as q order by quarantine_id",
        "to_jsonb(e) from raw.listening_events as e order by played_at",
    )
    return [uploads.sql(f"select {query}") for query in queries]


def test_uploads_wait_while_too_little_is_free_and_are_imported_once_there_is_room(uploads: Uploads) -> None:
    uploads.put("ana/one.zip", rows=20)
    full = uploads.settings.model_copy(update={"disk_floor_mb": 10**9})

    stopped = import_uploads(uploads.warehouse, settings=full, user_key="ana", names=None)

    (failure,) = stopped.failures
    assert failure.is_transient
    assert "MYI_DISK_FLOOR_MB" in failure.error
    assert uploads.sql("select count(*) from raw.listening_events") == [(0,)]
    (result,) = uploads.run("ana").results
    assert (result.status, result.accounting.loaded) == ("completed", 20)


def test_an_import_that_the_disk_stopped_in_the_middle_is_complete_when_it_is_run_again(uploads: Uploads) -> None:
    path = uploads.put("ana/one.zip", rows=20)
    disk = disk_guard(uploads.settings)
    disk = replace(disk, probe=filling(looks=len(disk.folders)))

    with pytest.raises(DiskFull, match="MYI_DISK_FLOOR_MB"):
        import_history(
            uploads.warehouse,
            paths=path,
            user_key="ana",
            limits=archive_limits(uploads.settings),
            hash_account=account_hasher(uploads.settings),
            check_disk=disk.check,
        )

    assert uploads.sql("select status, error like '%MYI_DISK_FLOOR_MB%' from app.imports") == [("failed", True)]
    (result,) = uploads.run("ana").results
    assert (result.status, result.accounting.loaded + result.accounting.present) == ("completed", 20)
    assert checks.accounting_closes(uploads.warehouse).passed
    assert uploads.sql("select count(*) from raw.listening_events") == [(20,)]


def test_an_archive_that_is_in_stays_so_when_the_disk_stops_its_next_import(uploads: Uploads) -> None:
    rows = [*decoys.good_rows(20), {"ts": "no time"}, decoys.good_rows(1)[0] | {"ts": "2190-01-01T00:00:00Z"}]
    path = uploads.put("ana/export/endsong_0.json", content=json.dumps(rows).encode())
    (first,) = uploads.run("ana").results
    assert (first.status, first.accounting.loaded, first.accounting.quarantined) == ("completed", 20, 2)
    before = told(uploads)
    full = uploads.settings.model_copy(update={"disk_floor_mb": 10**9})

    def repeat(looks: int) -> None:
        disk = disk_guard(uploads.settings)
        disk = replace(disk, probe=filling(looks=looks * len(disk.folders)))
        with pytest.raises(DiskFull):
            import_history(
                uploads.warehouse,
                paths=path.parent,
                user_key="ana",
                limits=archive_limits(uploads.settings),
                hash_account=account_hasher(uploads.settings),
                check_disk=disk.check,
            )

    # Before it begins, while it reads, and by the run of the uploads folder.
    for looks in (0, 1):
        repeat(looks)
        assert told(uploads) == before
    assert import_uploads(uploads.warehouse, settings=full, user_key="ana", names=None).failures
    assert told(uploads) == before
    assert uploads.sql("select cardinality(warnings), warnings::text like '%MYI_DISK_FLOOR_MB%' from app.imports") == [
        (1, True)
    ]
    assert uploads.wanted() == []

    # Killed twice, and found dead by maintenance.
    for _ in range(2):
        with uploads.warehouse.connect(Role.INGEST, autocommit=True) as connection:
            import_log.begin(
                connection,
                user_id=1,
                sha256=bytes.fromhex(first.sha256),
                contents=(),
                archive_name="export",
                kind="extended_history",
                bytes_total=1,
                correlation_id=None,
            )
    assert uploads.row("status") == "running"
    uploads.later(70)
    with uploads.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        connection.execute(load_sql("operations/maintain/fail_abandoned_imports"))
    assert told(uploads) == before

    (again,) = uploads.run("ana").results
    assert (again.status, again.attempt, again.accounting.present, again.warnings) == ("completed", 2, 20, ())
    assert uploads.sql("select warnings, completed_before from app.imports") == [([], None)]
    assert uploads.sql(
        "select (select count(*) from ops.quarantine), (select count(*) from ops.quarantine_before)"
    ) == [(2, 0)]
    assert checks.accounting_closes(uploads.warehouse).passed


def test_a_refresh_waits_for_room_too(uploads: Uploads) -> None:
    uploads.put("ana/one.zip")
    uploads.run("ana")

    class NoDbt:
        def invoke(self, *_: object, **__: object) -> None:
            raise AssertionError("dbt was started")

    disk = disk_guard(uploads.settings, probe=filling(0))
    result = refresh_marts(uploads.warehouse, dbt=NoDbt(), environment={}, disk=disk)  # type: ignore[arg-type]
    assert result.status == "failed"
    assert "MYI_DISK_FLOOR_MB" in (result.error or "")
    assert uploads.sql("select count(*) from ops.changed_days") != [(0,)]


def test_a_floor_of_nothing_switches_it_off(tmp_path: Path) -> None:
    DiskGuard((tmp_path,), 0, probe=lambda _: 0).check()
    with pytest.raises(DiskFull, match="only 5 MiB are free"):
        DiskGuard((tmp_path,), 6 * MIB, probe=lambda _: 5 * MIB).check()
    with pytest.raises(DiskFull, match="3 MiB more are needed"):
        DiskGuard((tmp_path,), 6 * MIB, probe=lambda _: 8 * MIB).check(needed_bytes=3 * MIB)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m,nr_inodes=2000", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_room_is_what_the_disk_says_of_folders_that_are_there_or_not_yet(small_disk: Path) -> None:
    guard = DiskGuard((small_disk / "home" / "later",), 4 * MIB)
    guard.check()
    (small_disk / "large").write_bytes(b"\0" * 5 * MIB)
    with pytest.raises(DiskFull):
        guard.check()
    (small_disk / "large").unlink()
    for number in range(1_100):
        (small_disk / str(number)).touch()
    assert free_bytes(small_disk) == 0
