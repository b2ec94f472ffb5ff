"""The use case: the archives that one user has put into the uploads folder become events.

Belongs here: which of them, one after the other, and what became of each. Not here: the folder's rules (scan_uploads),
one archive's import (import_history). Invariant: one archive's failure neither stops the others nor goes unsaid.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg

from myi_pipeline.core.errors import MyiError, Transient
from myi_pipeline.services.import_history import import_history
from myi_pipeline.services.import_results import ImportResult, ProgressListener
from myi_pipeline.services.list_imports import list_imports
from myi_pipeline.services.plan_uploads import archive_sha256
from myi_pipeline.services.reading_rules import account_hasher, archive_limits
from myi_pipeline.services.scan_uploads import Scan, Upload, UploadsSeen, scan_uploads
from myi_pipeline.settings import Settings
from myi_pipeline.warehouse.connections import Role, Warehouse

# A file that was put there this moment is looked at twice, this far apart, before it is taken.
_SECOND_LOOK_S = 2.0


@dataclass(frozen=True)
class FailedArchive:
    """An archive that could not be imported; `is_transient`: it may work later, unchanged."""

    name: str
    error: str
    is_transient: bool


@dataclass(frozen=True)
class UserImports:
    """What became of one user's uploads. `gone`: archives of earlier imports that lie in the folder no more."""

    user_key: str
    results: tuple[ImportResult, ...] = ()
    failures: tuple[FailedArchive, ...] = ()
    gone: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def is_untouched(self) -> bool:
        return not self.results and not self.failures


def import_uploads(
    warehouse: Warehouse,
    *,
    settings: Settings,
    user_key: str,
    names: Collection[str] | None,
    on_progress: ProgressListener | None = None,
    correlation_id: str | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> UserImports:
    """Import the named uploads of a user (paths below the folder), or all that lie there, known or not.

    An archive's own failure, and a database out of reach, are in the result.
    """
    limits, hash_account = archive_limits(settings), account_hasher(settings)
    scan = _look(settings.uploads_folder, user_key, sleep)
    wanted: list[Upload] = [upload for upload in scan.ready if names is None or upload.name in names]
    remarks = list(scan.remarks) + [f"{name} is not there, or not whole" for name in _left_out(names, wanted)]
    if names is None and scan.waiting:
        remarks.append(f"{scan.waiting} uploads are not whole yet")
    results: list[ImportResult] = []
    failures: list[FailedArchive] = []
    for upload in wanted:
        try:
            results.append(
                import_history(
                    warehouse,
                    paths=upload.paths[0] if len(upload.paths) == 1 else upload.paths,
                    user_key=user_key,
                    limits=limits,
                    hash_account=hash_account,
                    on_progress=on_progress,
                    correlation_id=correlation_id,
                )
            )
        except (MyiError, psycopg.Error, OSError) as error:
            text = str(error) if isinstance(error, MyiError) else f"{type(error).__name__}: {error}"
            failures.append(FailedArchive(upload.name, text, isinstance(error, (Transient, psycopg.OperationalError))))
    here = {result.sha256 for result in results}
    here |= {
        upload.sha256 if upload.is_zip else archive_sha256(upload, limits=limits, hash_account=hash_account)
        for upload in scan.ready
    }
    gone: tuple[str, ...] = ()
    try:
        gone = _gone(warehouse, user_key, here)
    except psycopg.Error as error:
        failures.append(FailedArchive(user_key, f"{type(error).__name__}: {error}", True))
    return UserImports(user_key, tuple(results), tuple(failures), gone, tuple(remarks))


def _look(folder: Path, user_key: str, sleep: Callable[[float], None]) -> Scan:
    scan = scan_uploads(folder, users=[user_key], only=[user_key], seen=UploadsSeen(), now_s=time.time())
    if scan.waiting:
        sleep(_SECOND_LOOK_S)
        scan = scan_uploads(folder, users=[user_key], only=[user_key], seen=scan.seen, now_s=time.time())
    own = tuple(remark for remark in scan.remarks if remark.startswith(f"{user_key}/"))
    return Scan(scan.ready, own, scan.waiting, scan.seen)


def _left_out(names: Collection[str] | None, wanted: list[Upload]) -> list[str]:
    return sorted(set(names or ()) - {upload.name for upload in wanted})


def _gone(warehouse: Warehouse, user_key: str, here: Collection[str]) -> tuple[str, ...]:
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi import")) as connection:
        imports = list_imports(connection, user_key=user_key, limit=1000)
    return tuple(f"{each.archive_name} (import {each.import_id})" for each in imports if each.sha256 not in here)
