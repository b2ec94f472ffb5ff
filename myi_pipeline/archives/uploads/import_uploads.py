"""Imports the archives that one user has put into the uploads folder, one after the other.

The failure of one archive does not stop the others, and is reported.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psycopg

from myi_pipeline.archives.accounting import ImportResult, ProgressListener
from myi_pipeline.archives.import_history import import_history
from myi_pipeline.archives.list_imports import list_imports
from myi_pipeline.archives.reading_settings import account_hasher, archive_limits
from myi_pipeline.archives.uploads import upload_log
from myi_pipeline.archives.uploads.plan import archive_sha256
from myi_pipeline.archives.uploads.scan import Scan, Upload, UploadsSeen, scan_uploads
from myi_pipeline.errors import BadInput, DiskFull, MyiError, NotConfirmed, Transient
from myi_pipeline.postgres.connections import Role, Warehouse, is_mended_by_waiting
from myi_pipeline.postgres.disk_space import disk_guard
from myi_pipeline.settings import Settings

log = logging.getLogger(__name__)

# A file that has only just arrived is looked at twice, this far apart, before it is imported.
_SECOND_LOOK_S = 2.0


@dataclass(frozen=True)
class FailedArchive:
    """An archive that could not be imported; `is_transient`: it may work later, unchanged."""

    name: str
    error: str
    is_transient: bool


@dataclass(frozen=True)
class UserImports:
    """The outcome of importing one user's uploads.

    `gone`: archives of earlier imports that are no longer in the folder; `missing`: those that were requested by name
    and are missing or incomplete; `waiting`: those that another user has as well, until somebody confirms them; `done`:
    those that had been imported before.
    """

    user_key: str
    results: tuple[ImportResult, ...] = ()
    failures: tuple[FailedArchive, ...] = ()
    waiting: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    done: tuple[str, ...] = ()

    @property
    def is_untouched(self) -> bool:
        return not self.results and not self.failures


def import_uploads(
    warehouse: Warehouse,
    *,
    settings: Settings,
    user_key: str,
    names: Collection[str] | None,
    leaves_done: bool = False,
    on_progress: ProgressListener | None = None,
    correlation_id: str | None = None,
    run_id: str | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> UserImports:
    """Import the named uploads of a user (paths below the folder), or all that are there, known or not.

    `leaves_done`: archives that have been imported are left alone, for a run that repeats what another one began. An
    archive's own failure, and a database out of reach, are in the result.
    """
    limits, hash_account = archive_limits(settings), account_hasher(settings)
    identify = partial(archive_sha256, limits=limits, hash_account=hash_account)
    scan = _look(settings.uploads_folder, user_key, sleep)
    wanted: list[Upload] = [upload for upload in scan.ready if names is None or upload.name in names]
    missing = _left_out(names, wanted)
    remarks = list(scan.remarks) + [f"{name} is missing or incomplete" for name in missing]
    if names is None and scan.waiting:
        remarks.append(f"{scan.waiting} uploads are still incomplete")
    results: list[ImportResult] = []
    failures: list[FailedArchive] = []
    waiting: list[str] = []
    done: list[str] = []
    guard = disk_guard(settings)
    for upload in wanted:
        try:
            if leaves_done and _is_done(warehouse, upload, identify=identify):
                done.append(upload.name)
                remarks.append(f"{upload.name} has been imported already")
                continue
            result = import_history(
                warehouse,
                paths=upload.paths[0] if len(upload.paths) == 1 else upload.paths,
                user_key=user_key,
                limits=limits,
                hash_account=hash_account,
                on_progress=on_progress,
                correlation_id=correlation_id,
                run_id=run_id,
                check_disk=guard.check,
            )
            results.append(result)
            if not upload.is_zip and result.sha256 != upload.sha256:
                _forget_unread(warehouse, upload)
        except NotConfirmed as error:
            waiting.append(upload.name)
            remarks.append(str(error))
        except (MyiError, psycopg.Error, OSError) as error:
            failure = _failure(upload, error)
            failures.append(failure)
            _note_failure(warehouse, upload, failure, error, identify=identify)
    here = {result.sha256 for result in results}
    here |= {upload.sha256 if upload.is_zip else identify(upload) for upload in scan.ready}
    gone: tuple[str, ...] = ()
    try:
        gone = _gone(warehouse, user_key, here)
    except psycopg.Error as error:
        failures.append(FailedArchive(user_key, f"{type(error).__name__}: {error}", True))
    return UserImports(
        user_key, tuple(results), tuple(failures), tuple(waiting), gone, tuple(remarks), tuple(missing), tuple(done)
    )


def _is_done(warehouse: Warehouse, upload: Upload, *, identify: Callable[[Upload], str]) -> bool:
    content = upload.sha256 if upload.is_zip else identify(upload) or upload.sha256
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi import")) as connection:
        known = upload_log.known_uploads(connection, [(upload.user_key, content)])
    return any(row.is_done for row in known.values())


def _failure(upload: Upload, error: Exception) -> FailedArchive:
    text = str(error) if isinstance(error, MyiError) else f"{type(error).__name__}: {error}"
    # A file that could not be read may be readable in a minute: a network drive, a disk that sleeps.
    is_transient = (
        isinstance(error, (Transient, OSError))
        or isinstance(error.__cause__, OSError)
        or (isinstance(error, psycopg.OperationalError) and is_mended_by_waiting(error))
    )
    return FailedArchive(upload.name, text, is_transient)


def _note_failure(
    warehouse: Warehouse,
    upload: Upload,
    failure: FailedArchive,
    error: Exception,
    *,
    identify: Callable[[Upload], str],
) -> None:
    """Note in the archive's row why it failed and whether it is tried again; make the row if there is none."""
    content = upload.sha256 if upload.is_zip else identify(upload) or upload.sha256
    try:
        with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi import")) as connection:
            import_id = upload_log.note_seen(
                connection,
                user_key=upload.user_key,
                sha256=content,
                upload_name=upload.name,
                size=upload.size,
                seen_as=upload.seen_as,
            )
            if import_id is not None:
                upload_log.note_failure(
                    connection,
                    import_id,
                    error=failure.error,
                    is_refused=isinstance(error, BadInput) and not failure.is_transient,
                    is_counted=not isinstance(error, DiskFull),
                )
    except psycopg.Error as lost:
        # The row still says that a run was requested: when that run has ended, the sensor finds out.
        log.warning("the failure of %s could not be noted: %s", upload.name, type(lost).__name__)


def _forget_unread(warehouse: Warehouse, upload: Upload) -> None:
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi import")) as connection:
        upload_log.drop_unknown(connection, user_key=upload.user_key, sha256=upload.sha256)


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
