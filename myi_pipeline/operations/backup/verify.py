"""Proves that a backup can be restored, by restoring it into a temporary server and comparing its marts with a rebuild.

The server, its data and everything else made for it are removed afterwards, even data outside the scratch folder.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from myi_pipeline.errors import MyiError
from myi_pipeline.marts.dbt_runner import DbtProcess, dbt_environment
from myi_pipeline.marts.verify import VerifyResult, verify_marts
from myi_pipeline.operations import checks
from myi_pipeline.operations.backup.manifest import SECRETS, Manifest, OnProgress
from myi_pipeline.operations.backup.packing import open_secrets, put_secrets
from myi_pipeline.operations.backup.restore import restore_backup
from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.postgres.embedded import embedded_server
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.settings import Settings
from myi_pipeline.storage.backups import BackupStore

log = logging.getLogger(__name__)

_PREFIX = "verify-"


@dataclass(frozen=True)
class VerifiedBackup:
    """`problems` is empty if the backup is good.

    `are_secrets_checked`: they were opened, which needs the passphrase.
    """

    manifest: Manifest
    problems: tuple[str, ...]
    marts_compared: int
    are_secrets_checked: bool
    seconds: float

    @property
    def is_good(self) -> bool:
        return not self.problems


def verify_backup(
    settings: Settings,
    store: BackupStore,
    name: str,
    *,
    passphrase: str | None,
    on_progress: OnProgress = lambda *_: None,
    clock: Callable[[], float] = time.monotonic,
) -> VerifiedBackup:
    """Restores it into a scratch server and verifies that. Raises the same errors as restore_backup."""
    began = clock()
    manifest = Manifest.parse(store.manifest(name), place=f"{store.place}/{name}")
    with scratch_home(settings) as scratch:
        restore_backup(scratch, store, name, passphrase=None, on_progress=on_progress)
        if passphrase is not None and manifest.has_secrets:
            with store.reading(name) as folder:
                put_secrets(scratch.secrets_folder, open_secrets(folder / SECRETS, passphrase=passphrase))
        with open_warehouse(scratch, migrate=False) as warehouse:
            problems = list(_differences(warehouse, manifest))
            problems += [finding.text for finding in _findings(warehouse) if not finding.passed]
            on_progress("myi verify", 0, 0)
            marts = _verify_marts(scratch, warehouse)
    problems += [] if marts.is_good else [marts.error or f"{len(marts.differing)} marts differ from their rebuild"]
    return VerifiedBackup(
        manifest=manifest,
        problems=tuple(problems),
        marts_compared=len(marts.marts),
        are_secrets_checked=passphrase is not None and manifest.has_secrets,
        seconds=clock() - began,
    )


@contextmanager
def scratch_home(settings: Settings) -> Iterator[Settings]:
    """Settings of a temporary installation: a separate embedded server, and nothing of the real one.

    Removes what a killed one left behind.
    """
    parent = settings.home / "backup"
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in parent.glob(f"{_PREFIX}*"):
        with _held(left) as is_ours:
            if is_ours:
                _stop_and_remove(left)
    home = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    try:
        with _held(home):
            yield Settings(home=home, disk_floor_mb=settings.disk_floor_mb)
    finally:
        _remove(home)


@contextmanager
def _held(home: Path) -> Iterator[bool]:
    """Whether nobody else has this folder; the kernel releases it when its holder dies."""
    handle = os.open(home, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def _stop_and_remove(home: Path) -> None:
    try:
        if (home / "postgres" / "superuser").exists():
            # Whoever leaves last ends the server, also one that lost its users.
            with embedded_server(home):
                pass
    except MyiError as error:
        log.warning("what a killed verification left cannot be started: %s", error)
    _remove(home)


def _remove(home: Path) -> None:
    """Removes the scratch home, and its server's files outside of it: as root, data and sockets.

    The server stopped with the last lease.
    """
    try:
        found = json.loads((home / "postgres" / "places.json").read_text(encoding="utf-8"))
        outside = [(home / "postgres" / found[part]).resolve() for part in ("area", "socket")]
    except (OSError, ValueError, KeyError):
        outside = []
    for place in outside:
        # The names were drawn at random for this home alone.
        if not place.is_relative_to(home.resolve()) and found["server_id"] in place.name:
            shutil.rmtree(place, ignore_errors=True)
    shutil.rmtree(home, ignore_errors=True)


def _differences(warehouse: Warehouse, manifest: Manifest) -> Iterator[str]:
    with closing(warehouse.connect(Role.OWNER, autocommit=True)) as connection:
        row = connection.execute(load_sql("operations/backup/restored_counts")).fetchone()
    assert row is not None
    for what, found in zip(("users", "events"), row, strict=True):
        if found != manifest.counts.get(what):
            yield f"{found:,} {what} were restored of {manifest.counts.get(what, 0):,}"


def _findings(warehouse: Warehouse) -> Iterator[checks.Finding]:
    yield checks.accounting_closes(warehouse)
    yield checks.events_lie_in_their_month(warehouse)
    yield checks.events_belong_to_one_play(warehouse)
    yield checks.plays_have_one_event_a_source(warehouse)


def _verify_marts(settings: Settings, warehouse: Warehouse) -> VerifyResult:
    environment = dbt_environment(warehouse, target=settings.dbt_target, logs=settings.dbt_logs)
    with DbtProcess() as dbt:
        return verify_marts(warehouse, dbt=dbt, environment=environment, examples=0)
