"""Where backups lie: whole or not there, in a folder, on a full disk, in a bucket; and what is known of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from myi_pipeline.errors import BadInput, Busy, DiskFull, Permanent
from myi_pipeline.operations.backup import journal
from myi_pipeline.operations.backup.journal import backup_health, journalled
from myi_pipeline.operations.backup.make import forget_old, installation_id, list_backups, make_backup, new_name
from myi_pipeline.operations.backup.manifest import Manifest, check_files
from myi_pipeline.operations.backup.restore import find_backup
from myi_pipeline.operations.doctor.check import Status
from myi_pipeline.operations.doctor.run import run_checks
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.postgres.embedded.binaries import find_binaries
from myi_pipeline.settings import Settings
from myi_pipeline.storage.backups import BackupStore, BucketBackups, FolderBackups
from myi_pipeline.storage.open_store import open_backups
from tests.integration.backup.conftest import PASSPHRASE, ask
from tests.s3_server import S3Server

NOW = datetime.now(UTC)


def names(days: int) -> list[str]:
    return [new_name(NOW - timedelta(days=day)) for day in range(days)]


def put(store: BackupStore, name: str, content: bytes = b"rows") -> None:
    with store.writing(name) as folder:
        (folder / "warehouse").mkdir()
        (folder / "warehouse" / "toc.dat").write_bytes(content)
        (folder / "manifest.json").write_text("{}")


def fail_to_put(store: BackupStore, name: str) -> None:
    with store.writing(name) as folder:
        (folder / "manifest.json").write_text("{}")
        raise ZeroDivisionError


@pytest.fixture
def bucket(s3: S3Server, tmp_path: Path) -> BackupStore:
    s3.make_bucket("backups")
    return open_backups("s3://backups/of/myi", options=SecretStr(s3.options), scratch=tmp_path / "scratch")


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BackupStore:
    if request.param == "folder":
        return FolderBackups(tmp_path / "backups")
    found: BackupStore = request.getfixturevalue("bucket")
    return found


def test_a_backup_is_there_when_it_is_whole_and_nothing_else_is_touched(store: BackupStore) -> None:
    assert store.names() == ()
    first, second, third = reversed(names(3))
    put(store, first)
    put(store, second)
    with pytest.raises(ZeroDivisionError):
        fail_to_put(store, third)
    assert store.names() == (first, second)
    with store.reading(second) as folder:
        assert (folder / "warehouse" / "toc.dat").read_bytes() == b"rows"
    assert store.manifest(first) == b"{}"
    store.delete(first)
    assert store.names() == (second,)
    for missing in (first, third, "../etc", "x"):
        with pytest.raises(BadInput, match="there is no backup"):
            store.manifest(missing)
    assert store.delete_unfinished() == 0


def test_only_what_has_the_name_of_a_backup_is_deleted(tmp_path: Path) -> None:
    store = FolderBackups(tmp_path)
    (tmp_path / "photos").mkdir()
    with pytest.raises(BadInput):
        store.delete("photos")
    killed, strange = tmp_path / f".{names(1)[0]}.part", tmp_path / ".something.part"
    for folder in (killed, strange):
        folder.mkdir()
        os.utime(folder, (0, 0))
    assert store.delete_unfinished() == 1
    assert not killed.exists()
    assert strange.exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with 300 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("no small file system can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_leaves_no_backup_and_is_told(
    small_disk: Path, settings_for_tests: Settings, warehouse: Warehouse, dagster_storage: None
) -> None:
    store = FolderBackups(small_disk)
    older = names(2)[1]
    put(store, older)
    with pytest.raises(DiskFull, match=f"too little room in {small_disk}"):
        make_backup(settings_for_tests, warehouse, store, passphrase=None, keep="1d")
    assert store.names() == (older,)
    assert [each.name for each in small_disk.iterdir()] == [older]
    health = backup_health(settings_for_tests, warehouse, now=NOW)
    assert health.trouble is not None
    assert "too little room" in health.trouble


@pytest.mark.slow
def test_a_bucket_takes_a_whole_backup_and_lists_it(
    bucket: BackupStore, settings_for_tests: Settings, warehouse: Warehouse, dagster_storage: None
) -> None:
    for name in names(3)[1:]:
        put_of(bucket, name, installation_id(warehouse))
    made = make_backup(settings_for_tests, warehouse, bucket, passphrase=PASSPHRASE, keep="1d")
    assert len(made.deleted) == 2
    (manifest,) = list_backups(bucket)
    assert (manifest.name, manifest.total_bytes) == (made.name, made.bytes)
    with bucket.reading(made.name) as folder:
        check_files(folder, manifest, place="bucket")
        assert (folder / "dagster" / "toc.dat").exists()
    assert isinstance(bucket, BucketBackups)
    assert list((settings_for_tests.home.parent / "scratch").iterdir()) == []


def test_a_bucket_that_is_not_there_is_named(s3: S3Server, tmp_path: Path) -> None:
    store = open_backups("s3://missing/of", options=SecretStr(s3.options), scratch=tmp_path)
    with pytest.raises(Permanent, match="the bucket of MYI_BACKUP does not exist"):
        store.names()


def test_one_backup_is_made_at_a_time_and_a_killed_one_is_known(warehouse: Warehouse) -> None:
    with journalled(warehouse, place="/b", name="one", is_scheduled=False) as entry:
        with pytest.raises(Busy), journalled(warehouse, place="/b", name="two", is_scheduled=False):
            pass
        # As a kill leaves it: the row says that it runs, and the lock is free.
        entry.connection.close()
    # The server lets go of it when it has seen that the other end is gone.
    held = (
        "select count(*) from pg_locks where locktype = 'advisory'"
        " and database = (select oid from pg_database where datname = current_database())"
    )
    deadline = time.monotonic() + 60
    while ask(warehouse, held) != [(0,)] and time.monotonic() < deadline:
        time.sleep(0.05)
    with journalled(warehouse, place="/b", name="three", is_scheduled=True) as entry:
        entry.completed(total_bytes=7, has_secrets=True)
    rows = ask(warehouse, "select name, state, error from ops.backups order by backup_id")
    assert rows == [("one", "failed", "it was killed before it finished"), ("three", "completed", None)]


def test_doctor_and_metrics_tell_of_backups_that_fail_or_lack(
    settings_for_tests: Settings, warehouse: Warehouse
) -> None:
    unsealed = settings_for_tests.model_copy(update={"backup": "/b"})
    settings = unsealed.model_copy(update={"backup_without_secrets": True})

    def told(chosen: Settings, now: datetime = NOW) -> str:
        return backup_health(chosen, warehouse, now=now).trouble or ""

    def figures() -> dict[str, float]:
        return dict(ask(warehouse, "select name, value from ops.backup_figures", role=Role.MONITOR))  # type: ignore[arg-type]

    assert told(settings_for_tests) == ""
    assert "nothing seals the secrets in backups, so none is made" in told(unsealed)
    assert told(settings) == "one is to be made every day, and there is none yet"
    with journalled(warehouse, place="/b", name="one", is_scheduled=True) as entry:
        entry.completed(total_bytes=7, has_secrets=True)
    assert told(settings) == ""
    assert "one is to be made every day" in told(settings, NOW + timedelta(days=3))
    with pytest.raises(DiskFull), journalled(warehouse, place="/b", name="two", is_scheduled=True):
        raise DiskFull("there is too little room in /b")
    assert "the last backup failed: there is too little room in /b" in told(settings)
    assert (figures()["backup_failed"], figures()["backup_bytes"]) == (1, 7)
    check = next(check for check in run_checks(settings, {}) if check.name == "backups")
    assert (check.status, "too little room" in check.found) == (Status.WARN, True)
    with journalled(warehouse, place="/b", name="three", is_scheduled=True) as entry:
        entry.completed(total_bytes=8, has_secrets=True)
    assert (told(settings), figures()["backup_failed"]) == ("", 0)
    journal.note_verified(warehouse, name="three", error="1 mart differs")
    assert "1 mart differs" in told(settings)


MAKE = "import sys; from myi_pipeline.cli import main; main(['backup', *sys.argv[1:]])"


def test_a_backup_that_is_killed_is_no_backup(
    environment_for_tests: dict[str, str], warehouse: Warehouse, tmp_path: Path
) -> None:
    place = tmp_path / "backups"
    command = [sys.executable, "-c", MAKE, str(place), "--without-secrets"]
    process = subprocess.Popen(command, env=environment_for_tests, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (place.is_dir() and list(place.iterdir())):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert FolderBackups(place).names() == ()
    done = subprocess.run(command, env=environment_for_tests, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(FolderBackups(place).names()) == 1
    rows = ask(warehouse, "select state from ops.backups order by backup_id")
    assert [state for (state,) in rows] == ["failed", "completed"]


def test_a_password_is_in_no_process_of_a_backup(
    environment_for_tests: dict[str, str], warehouse: Warehouse, tmp_path: Path
) -> None:
    """pg_dump that looks at its own arguments and then does its work."""
    real = find_binaries().root / "bin"
    seen = tmp_path / "seen"
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("pg_dump", "pg_restore"):
        (folder / name).write_text(f'#!/bin/sh\necho "$0 $*" >> {seen}\nexec {real}/{name} "$@"\n')
        (folder / name).chmod(0o755)
    environment = environment_for_tests | {"MYI_POSTGRES_PROGRAMS": str(folder)}
    command = [sys.executable, "-c", MAKE, str(tmp_path / "backups"), "--without-secrets"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = seen.read_text() + done.stdout + done.stderr
    assert "--snapshot=" in said
    for role in (Role.OWNER, Role.INGEST):
        assert warehouse.parts(role).password not in said


def put_of(store: BackupStore, name: str, installation: str | None) -> None:
    manifest = Manifest(
        name=name, made_at=NOW, myi_version="1", schema_version="0012", server_version="18", database="myi",
        database_bytes=1, dump_major=18, roles={}, counts={}, has_secrets=False, has_keys_in_environment=False,
        artifacts_place=None, installation=installation, files=(),
    )  # fmt: skip
    with store.writing(name) as folder:
        (folder / "manifest.json").write_text(manifest.as_text())


def test_each_installation_deletes_and_finds_its_own_backups(tmp_path: Path, warehouse: Warehouse) -> None:
    store, own = FolderBackups(tmp_path), installation_id(warehouse)
    newest, others, ours, older, damaged, nobodys = names(6)
    for name, whose in ((newest, "other"), (others, "other"), (ours, own), (older, own), (nobodys, None)):
        put_of(store, name, whose)
    put(store, damaged)
    assert forget_old(warehouse, store, keep="1d") == (older,)
    assert set(store.names()) == {newest, others, ours, damaged, nobodys}
    assert find_backup(store, own=own) == ours
    for stranger in (None, "one that has none here"):
        with pytest.raises(BadInput, match="of several installations"):
            find_backup(store, own=stranger)
    for name in (newest, others, damaged, nobodys):
        store.delete(name)
    assert find_backup(store) == ours
    # On a new machine, for a look before it is restored there.
    assert find_backup(store, own="one that has none here") == ours
