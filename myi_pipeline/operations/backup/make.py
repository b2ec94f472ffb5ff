"""Making a backup while everything runs.

The warehouse comes first and Dagster's database after it, so Dagster may know more than the warehouse, but never less.
Refreshes wait meanwhile: one that replaces a table would wait for the dump to release it, and all readers of that table
would wait behind the refresh.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from myi_pipeline import __version__
from myi_pipeline.errors import BadInput, Busy, Permanent, SchemaMismatch
from myi_pipeline.marts.runs import mart_lock
from myi_pipeline.operations.backup import journal
from myi_pipeline.operations.backup.dump import dump_dagster, dump_warehouse, snapshot_of
from myi_pipeline.operations.backup.manifest import (
    ARTIFACTS,
    DAGSTER,
    SECRETS,
    UPLOADS,
    WAREHOUSE,
    Manifest,
    OnProgress,
    describe_files,
)
from myi_pipeline.operations.backup.packing import pack_folder, pack_secrets
from myi_pipeline.operations.backup.programs import find_programs
from myi_pipeline.operations.backup.retention import kept
from myi_pipeline.postgres import roles
from myi_pipeline.postgres.connections import Role, Warehouse, parse_url
from myi_pipeline.settings import Settings
from myi_pipeline.settings.artifacts import is_object_store
from myi_pipeline.settings.backups import keep_counts
from myi_pipeline.storage.backups import MANIFEST, BackupStore
from myi_pipeline.storage.open_store import open_backups

# A rebuild of ten million plays takes a quarter of an hour.
_REFRESH_PATIENCE_S: Final = 2 * 3600.0
_LOOK_EVERY_S: Final = 2.0


@dataclass(frozen=True)
class MadeBackup:
    """`place` and `name` together are what `myi restore` takes."""

    place: str
    name: str
    bytes: int
    database_bytes: int
    has_secrets: bool
    seconds: float
    deleted: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        return f"{self.place}/{self.name}"


def make_backup(
    settings: Settings,
    warehouse: Warehouse,
    store: BackupStore,
    *,
    passphrase: str | None,
    with_files: bool = True,
    keep: str | None = None,
    is_scheduled: bool = False,
    on_progress: OnProgress = lambda *_: None,
    clock: Callable[[], float] = time.monotonic,
) -> MadeBackup:
    """Backs up to `store`; without a passphrase, the secrets are left out. `keep` deletes older ones afterwards.

    Raises Busy, DiskFull, Transient, Permanent, BadInput; then nothing was stored and nothing deleted.
    """
    began, made_at = clock(), datetime.now(UTC)
    name = new_name(made_at)
    with (
        journal.journalled(warehouse, place=store.place, name=name, is_scheduled=is_scheduled) as entry,
        _no_refresh(warehouse) as refreshes,
    ):
        with store.writing(name) as folder:
            on_progress("the warehouse", 0, 0)
            with snapshot_of(warehouse) as snapshot:
                programs = find_programs(settings, server_major=snapshot.server_major)
                dump_warehouse(programs, warehouse, folder / WAREHOUSE, snapshot=snapshot, place=store.place)
            refreshes.go_on()
            on_progress("Dagster's database", 0, 0)
            dump_dagster(programs, warehouse, folder / DAGSTER, place=store.place)
            on_progress("files", 0, 0)
            if passphrase is not None:
                pack_secrets(settings, folder / SECRETS, passphrase=passphrase)
            if with_files:
                if not is_object_store(settings.uploads_place):
                    pack_folder(settings.uploads_folder, folder / UPLOADS)
                if settings.artifacts_folder is not None:
                    pack_folder(settings.artifacts_folder, folder / ARTIFACTS)
            manifest = Manifest(
                name=name,
                made_at=made_at,
                myi_version=__version__,
                schema_version=snapshot.schema_version,
                server_version=snapshot.server_version,
                database=warehouse.database,
                database_bytes=snapshot.database_bytes,
                dump_major=programs.major,
                roles=_role_names(warehouse),
                counts=snapshot.counts,
                has_secrets=passphrase is not None,
                has_keys_in_environment=settings.encryption_keys is not None,
                artifacts_place=settings.artifacts if settings.artifacts_folder is None else None,
                uploads_place=settings.uploads if is_object_store(settings.uploads_place) else None,
                installation=installation_id(warehouse),
                files=describe_files(folder, on_progress=on_progress),
            )
            (folder / MANIFEST).write_text(manifest.as_text(), encoding="utf-8")
        entry.completed(total_bytes=manifest.total_bytes, has_secrets=manifest.has_secrets)
        deleted = forget_old(warehouse, store, keep=keep) if keep is not None else ()
    return MadeBackup(
        place=store.place,
        name=name,
        bytes=manifest.total_bytes,
        database_bytes=snapshot.database_bytes,
        has_secrets=manifest.has_secrets,
        seconds=clock() - began,
        deleted=deleted,
    )


def backup_store(settings: Settings, place: str | None = None) -> BackupStore:
    """The store of backups: `place`, or else MYI_BACKUP. Raises Permanent without either."""
    chosen = place if place is not None else settings.backup
    if chosen is None:
        raise Permanent("where are the backups? Name a folder or bucket, or set MYI_BACKUP")
    return open_backups(chosen, options=settings.backup_options, scratch=settings.home / "backup")


def forget_old(warehouse: Warehouse, store: BackupStore, *, keep: str) -> tuple[str, ...]:
    """Delete this installation's backups at this place that `keep` (`7d,4w,12m`) does not keep; returns their names."""
    own = installation_id(warehouse)
    moments = {name: made_at_of(name) for name in store.names() if installation_of(store, name) == own}
    keeping = kept(list(moments.values()), keep_counts(keep))
    deleted = tuple(name for name, at in moments.items() if at not in keeping)
    for name in deleted:
        store.delete(name)
    if deleted:
        journal.note_deleted(warehouse, place=store.place, names=list(deleted))
    store.delete_unfinished()
    return deleted


def installation_id(warehouse: Warehouse) -> str:
    """Identifies this installation's backups; a restored installation has the id from the backup."""
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi backup")) as connection:
        row = connection.execute("select installation_id from ops.installation").fetchone()
    assert row is not None
    return str(row[0])


def installation_of(store: BackupStore, name: str) -> str | None:
    """The installation that a backup belongs to; None if the manifest is missing or unreadable."""
    try:
        return Manifest.parse(store.manifest(name), place=f"{store.place}/{name}").installation
    except (BadInput, SchemaMismatch):
        return None


def new_name(made_at: datetime) -> str:
    """A name that sorts by time, also among backups of one second: its end begins with the microseconds."""
    return f"myi-{made_at:%Y%m%dT%H%M%SZ}-{made_at.microsecond:05x}{secrets.token_hex(1)[0]}"


def made_at_of(name: str) -> datetime:
    """The time that a backup's name states. Older versions ended names at random: then it is right to the second."""
    _, second, end = name.split("-")
    at = datetime.strptime(second, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return at.replace(microsecond=min(int(end[:5], 16), 999_999))


class _Refreshes:
    """Holds refreshes back until they may continue."""

    def __init__(self, release: Callable[[], None]) -> None:
        self.go_on = release


@contextmanager
def _no_refresh(warehouse: Warehouse) -> Iterator[_Refreshes]:
    """Raises Busy if a running refresh takes too long."""
    deadline = time.monotonic() + _REFRESH_PATIENCE_S
    while True:
        held = mart_lock(warehouse, on_busy="leave")
        try:
            connection = held.__enter__()
            break
        except Busy:
            if time.monotonic() > deadline:
                raise Busy("a refresh has been running for two hours; back up when it has ended") from None
            time.sleep(_LOOK_EVERY_S)
    try:
        yield _Refreshes(connection.close)
    finally:
        held.__exit__(None, None, None)


def _role_names(warehouse: Warehouse) -> dict[str, str]:
    names = {login: name for login, name in warehouse.names().items() if login != "database"}
    return names | {roles.DAGSTER: parse_url(warehouse.dagster_url()).get("user", "")}


def list_backups(store: BackupStore) -> Iterator[Manifest]:
    """The manifests, oldest first. Raises BadInput and SchemaMismatch for one that cannot be read."""
    for name in store.names():
        yield Manifest.parse(store.manifest(name), place=f"{store.place}/{name}")


def passphrase_file_text(path: Path) -> str:
    """The first line of a file. Raises Permanent."""
    try:
        line = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Permanent(f"the passphrase cannot be read from {path}: {error}") from None
    if not line or not line[0].strip():
        raise Permanent(f"the first line of {path} is empty; it must be the passphrase")
    return line[0].strip()


def given_passphrase(settings: Settings) -> str | None:
    """The passphrase of the settings. Secret. Raises Permanent if its file cannot be read."""
    if settings.backup_passphrase is not None:
        return settings.backup_passphrase.get_secret_value()
    if settings.backup_passphrase_file is not None:
        return passphrase_file_text(settings.backup_passphrase_file)
    return None
