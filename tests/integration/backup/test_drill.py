"""Backup, ruin, restore, verify: on the embedded server, with a small warehouse."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from myi_pipeline.errors import BadInput, Busy, DiskFull, SchemaMismatch
from myi_pipeline.operations.backup.make import MadeBackup
from myi_pipeline.operations.backup.restore import NUMBERS_LEFT_OUT
from myi_pipeline.operations.backup.verify import verify_backup
from myi_pipeline.operations.erase_users import erase_user
from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.people.tombstones import share_tombstones
from myi_pipeline.postgres.connections import Role
from myi_pipeline.storage.backups import MANIFEST, FolderBackups
from tests.integration.backup.conftest import PASSPHRASE, PLAYS, Installation, ask
from tests.integration.backup.rights import rights
from tests.s3_server import S3Server

COUNTS = (
    "select (select count(*) from app.users), (select count(*) from raw.listening_events),"
    " (select count(*) from marts.fct_plays)"
)


@pytest.mark.slow
def test_what_was_ruined_is_as_it_was(installation: Installation, backup: MadeBackup) -> None:
    with open_warehouse(installation.settings) as warehouse:
        rights_before = rights(warehouse)
        (last_run,) = ask(warehouse, "select max(run_id) from ops.mart_runs")[0]
        ask(warehouse, "delete from app.users where user_key = 'ana'")
        ask(warehouse, "drop schema marts cascade")
        ask(warehouse, "drop policy of_one_user on app.kept_answers")
        keys = (installation.settings.secrets_folder / "encryption_keys").read_text()
    (installation.settings.secrets_folder / "encryption_keys").unlink()
    shutil.rmtree(installation.settings.uploads_folder)

    done = installation.restore(backup.name, replace=True)

    assert done.manifest.counts["events"] == PLAYS
    assert (done.uploads.written, done.artifacts.written) == (1, 0)
    assert (installation.settings.secrets_folder / "encryption_keys").read_text() == keys
    assert (installation.settings.uploads_folder / "ana" / "archive.zip").stat().st_size > 1000
    with open_warehouse(installation.settings) as warehouse:
        assert ask(warehouse, COUNTS) == [(2, PLAYS, PLAYS)]
        assert rights(warehouse) == rights_before
        assert ask(warehouse, "select count(*) from app.sessions") == [(0,)]
        # No number is given a second time: neither to a refresh, whose number is its fence, nor to a user.
        assert ask(warehouse, "select run_id from ops.mart_fence") == [(last_run + NUMBERS_LEFT_OUT,)]
        ((user_id,),) = ask(
            warehouse, "insert into app.users (user_key, time_zone) values ('cem', 'UTC') returning user_id"
        )
        assert user_id > NUMBERS_LEFT_OUT
        row = ask(warehouse, "select state, bytes from ops.backups where name = %s", backup.name)
        assert row == [("completed", backup.bytes)]
        databases = {name for (name,) in ask(warehouse, "select datname from pg_database where not datistemplate")}
        assert databases == {"postgres", "myi", "myi_dagster"}
    assert installation.verify().is_good


@pytest.mark.long
def test_a_backup_is_proven_in_a_server_of_its_own_which_is_gone_afterwards(
    installation: Installation, backup: MadeBackup
) -> None:
    found = verify_backup(installation.settings, installation.store, backup.name, passphrase=PASSPHRASE)
    assert (found.problems, found.are_secrets_checked) == ((), True)
    assert found.marts_compared > 20
    assert list((installation.settings.home / "backup").iterdir()) == []


def test_a_warehouse_with_users_is_not_replaced_unasked(installation: Installation, backup: MadeBackup) -> None:
    before = installation.sql(COUNTS)
    with pytest.raises(BadInput, match="is not empty"):
        installation.restore(backup.name)
    assert installation.sql(COUNTS) == before


def test_nothing_is_replaced_while_somebody_uses_it(installation: Installation, backup: MadeBackup) -> None:
    with (
        open_warehouse(installation.settings) as warehouse,
        warehouse.connect(Role.APP, application_name="myi api"),
        pytest.raises(Busy, match=r"in use \(myi api\)"),
    ):
        installation.restore(backup.name, replace=True)


@pytest.fixture
def copied(installation: Installation, backup: MadeBackup, tmp_path: Path) -> Path:
    """A copy of the backup, to be spoilt."""
    return Path(shutil.copytree(Path(backup.address), tmp_path / "copies" / backup.name))


def cut_off(copied: Path) -> None:
    file = max((copied / "warehouse").iterdir(), key=lambda path: path.stat().st_size)
    with file.open("r+b") as handle:
        handle.truncate(file.stat().st_size - 1)


def change_a_byte(copied: Path) -> None:
    file = copied / "uploads.tar"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def rewrite(copied: Path, **changes: object) -> None:
    document = json.loads((copied / MANIFEST).read_text())
    (copied / MANIFEST).write_text(json.dumps(document | changes))


@pytest.mark.parametrize(
    ("spoil", "error", "said"),
    [
        (cut_off, BadInput, "cut off or changed"),
        (change_a_byte, BadInput, r"uploads.tar is damaged"),
        (lambda copied: (copied / "warehouse" / "toc.dat").unlink(), BadInput, r"toc.dat is missing"),
        (lambda copied: (copied / MANIFEST).unlink(), BadInput, "there is no backup"),
        (lambda copied: (copied / MANIFEST).write_text("{"), BadInput, "manifest .* cannot be read"),
        (
            lambda copied: rewrite(copied, format=2, myi_version="9.1"),
            SchemaMismatch,
            r"a newer MYI, 9\.1.*upgrade MYI",
        ),
        (lambda copied: rewrite(copied, schema_version="9999"), SchemaMismatch, "schema 9999"),
        (
            lambda copied: rewrite(copied, files=[{"path": "../x", "bytes": 1, "sha256": ""}]),
            BadInput,
            "cannot be read",
        ),
    ],
)
def test_a_backup_that_cannot_be_restored_is_refused_before_anything_is_touched(
    copied: Path, new_home: Callable[[str], Path], installation: Installation, spoil: Callable[[Path], None],
    error: type[Exception], said: str,
) -> None:  # fmt: skip
    spoil(copied)
    other = Installation(installation.elsewhere(new_home("other")).settings, FolderBackups(copied.parent))
    with pytest.raises(error, match=said):
        other.restore(copied.name)
    assert not other.settings.home.exists()


def test_another_passphrase_opens_nothing_and_changes_nothing(
    installation: Installation, backup: MadeBackup, new_home: Callable[[str], Path]
) -> None:
    other = installation.elsewhere(new_home("other"))
    with pytest.raises(BadInput, match="the passphrase does not open the secrets"):
        other.restore(backup.name, passphrase="another one entirely")
    assert not other.settings.home.exists()


def test_a_disk_that_is_too_small_is_told_before_anything_is_loaded(
    installation: Installation, backup: MadeBackup, new_home: Callable[[str], Path]
) -> None:
    other = installation.elsewhere(new_home("other"), disk_floor_mb=1_000_000_000)
    with pytest.raises(DiskFull, match=r"MiB more are needed"):
        other.restore(backup.name)
    assert not other.settings.secrets_folder.joinpath("encryption_keys").exists()
    assert not other.settings.uploads_folder.exists()


RESTORE = "import sys; from myi_pipeline.cli import main; main(['restore', *sys.argv[1:]])"


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_restore_that_is_killed_leaves_the_old_warehouse_or_the_new_one(
    installation: Installation, new_home: Callable[[str], Path], tmp_path: Path
) -> None:
    made = installation.back_up()
    other = installation.elsewhere(new_home("other"))
    with open_warehouse(other.settings) as warehouse:
        ask(warehouse, "insert into app.users (user_key, time_zone) values ('old', 'UTC')")
    passphrase = tmp_path / "passphrase"
    passphrase.write_text(PASSPHRASE)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MYI_")}
    command = [sys.executable, "-c", RESTORE, made.address, "--replace", "--passphrase-file", str(passphrase)]
    keys, kills, after_s = "select user_key from app.users order by 1", 0, 1.0
    while True:
        process = subprocess.Popen(
            command, env=inherited | other.settings.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            assert process.wait(after_s) == 0
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        kills += 1
        assert other.sql(keys) in ([("old",)], [("ana",), ("ben",)])
        after_s += 1.0
    assert kills > 3
    assert other.sql(keys) == [("ana",), ("ben",)]
    assert other.sql("select datname from pg_database where datname ~ 'restoring'") == []


@pytest.mark.slow
def test_whoever_was_erased_since_does_not_come_back(
    installation: Installation, backup: MadeBackup, new_home: Callable[[str], Path], s3: S3Server
) -> None:
    """Neither here nor on another machine, to which a backup or the object store brought the tombstone."""
    with open_warehouse(installation.settings) as warehouse:
        ((ben,),) = ask(warehouse, "select user_id from app.users where user_key = 'ben'")
        receipt = erase_user(warehouse, installation.settings, user_id=ben, now=datetime.now(UTC))
    newer = installation.back_up()
    assert installation.restore(backup.name, replace=True).erased_again == 1
    assert installation.sql("select user_key from app.users") == [("ana",)]
    assert installation.sql("select receipt_id::text from ops.erasures") == [(receipt,)]

    other = installation.elsewhere(new_home("other"))
    assert other.restore(newer.name).erased_again == 0
    assert other.restore(backup.name, replace=True).erased_again == 1
    assert other.sql("select user_key from app.users") == [("ana",)]

    s3.make_bucket("kept")
    stored = {"artifacts": "s3://kept/exports", "artifacts_options": SecretStr(s3.options)}
    assert share_tombstones(installation.settings.model_copy(update=stored)) == 1
    third = installation.elsewhere(new_home("third"), **stored)
    assert third.restore(backup.name, passphrase=None).erased_again == 1
    assert third.sql("select user_key from app.users") == [("ana",)]
