"""Imports the archives that one user has put into the uploads folder, one after another.

From an object store, each is first fetched into a local file, and loaded by the same code. The failure of one archive
does not stop the others, and is reported.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import psycopg

from myi_pipeline.archives.accounting import ImportResult, ProgressListener
from myi_pipeline.archives.files import Limits
from myi_pipeline.archives.files.export_package import is_export
from myi_pipeline.archives.import_history import import_history
from myi_pipeline.archives.list_imports import list_imports
from myi_pipeline.archives.reading_settings import account_hasher, archive_limits
from myi_pipeline.archives.uploads import upload_log
from myi_pipeline.archives.uploads.bucket import scan_bucket
from myi_pipeline.archives.uploads.plan import identity_of, paths_of
from myi_pipeline.archives.uploads.scan import Scan, Upload, UploadsSeen, scan_uploads
from myi_pipeline.errors import BadInput, DiskFull, Gone, MyiError, NotConfirmed, Transient
from myi_pipeline.postgres.connections import Role, Warehouse, is_mended_by_waiting
from myi_pipeline.postgres.disk_space import disk_guard
from myi_pipeline.settings import Settings
from myi_pipeline.storage.open_store import open_uploads
from myi_pipeline.storage.uploads_bucket import UploadsBucket

log = logging.getLogger(__name__)

# A file that has only just arrived is checked twice, this far apart, before it is imported.
_SECOND_LOOK_S = 2.0
# Unlike a sensor, a run has no time limit.
_NO_LIMIT = 2**62
_NOT_THERE = (
    "the run that was to import it did not find it: upload it again, or, if it is still where it was uploaded, see that"
    " every host has the same MYI_UPLOADS, and retry it"
)


class TakeInExport(Protocol):
    def __call__(
        self,
        warehouse: Warehouse,
        *,
        path: Path,
        user_key: str,
        limits: Limits,
        on_progress: ProgressListener | None,
        correlation_id: str | None,
        run_id: str | None,
        check_disk: Callable[[], None],
    ) -> ImportResult: ...


class ImportExtras(Protocol):
    def __call__(self, warehouse: Warehouse, paths: Sequence[Path], *, user_key: str) -> str | None: ...


@dataclass(frozen=True)
class FailedArchive:
    """An archive that could not be imported; `is_transient`: it may work later, unchanged."""

    name: str
    error: str
    is_transient: bool


@dataclass(frozen=True)
class UserImports:
    """The outcome of importing one user's uploads.

    `gone`: archives of earlier imports that are no longer in the folder; `missing`: those requested by name that are
    missing or incomplete; `waiting`: those that another user also has, until somebody confirms them; `done`: those that
    had been imported before.
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
    skip_imported: bool = False,
    on_progress: ProgressListener | None = None,
    correlation_id: str | None = None,
    run_id: str | None = None,
    sleep: Callable[[float], None] = time.sleep,
    take_in_export: TakeInExport | None = None,
    import_extras: ImportExtras | None = None,
) -> UserImports:
    """Import the named uploads of a user (paths below the folder), or all that are there, known or not.

    `take_in_export` does for an export of MYI what import_history does for other archives. `import_extras` keeps what
    an archive holds beside plays, and returns a remark on it; it is called after the plays are in. `skip_imported`: the
    plays of archives that have been imported are skipped, for a run that repeats what another one began. An archive's
    own failure, and an unavailable database, are in the result.
    """
    limits, hash_account = archive_limits(settings), account_hasher(settings)
    bucket = open_uploads(settings)
    identify = partial(identity_of, settings=settings, bucket=bucket)
    if bucket is None:
        scan = _look(settings.uploads_folder, user_key, sleep)
    else:
        scan = _list(warehouse, bucket, user_key, names)
    wanted: list[Upload] = [upload for upload in scan.ready if names is None or upload.name in names]
    missing = _left_out(names, wanted)
    if user_key in scan.seen_whole:
        # Otherwise it may be among those that cannot be read right now.
        _fail_missing(warehouse, user_key, sorted(set(missing) - {each.name for each in scan.stuck}))
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
            if skip_imported and _is_done(warehouse, upload, identify=identify):
                if import_extras is not None:
                    # The run that died may have been about to.
                    with paths_of(bucket, settings, upload) as paths:
                        remarks += _remark(upload, import_extras(warehouse, paths, user_key=user_key))
                done.append(upload.name)
                remarks.append(f"{upload.name} has been imported already")
                continue
            with paths_of(bucket, settings, upload) as paths:
                if take_in_export is not None and upload.is_zip and is_export(paths[0]):
                    results.append(
                        take_in_export(
                            warehouse,
                            path=paths[0],
                            user_key=user_key,
                            limits=limits,
                            on_progress=on_progress,
                            correlation_id=correlation_id,
                            run_id=run_id,
                            check_disk=guard.check,
                        )
                    )
                    continue
                result = import_history(
                    warehouse,
                    paths=paths[0] if len(paths) == 1 else paths,
                    user_key=user_key,
                    limits=limits,
                    hash_account=hash_account,
                    on_progress=on_progress,
                    correlation_id=correlation_id,
                    run_id=run_id,
                    check_disk=guard.check,
                )
                results.append(result)
                if import_extras is not None:
                    remarks += _remark(upload, import_extras(warehouse, paths, user_key=user_key))
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


def _remark(upload: Upload, said: str | None) -> list[str]:
    return [f"{upload.name}: {said}"] if said else []


def _failure(upload: Upload, error: Exception) -> FailedArchive:
    text = str(error) if isinstance(error, MyiError) else f"{type(error).__name__}: {error}"
    # An unreadable file may be readable in a minute: a network drive, a sleeping disk.
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
    """Record in the archive's row why it failed and whether it is tried again; create the row if there is none."""
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
                    is_refused=isinstance(error, (BadInput, Gone)) and not failure.is_transient,
                    is_counted=not isinstance(error, DiskFull),
                )
    except psycopg.Error as lost:
        # The row still says that a run was requested: once that run has ended, the sensor finds out.
        log.warning("the failure of %s could not be recorded: %s", upload.name, type(lost).__name__)


def _forget_unread(warehouse: Warehouse, upload: Upload) -> None:
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi import")) as connection:
        upload_log.drop_unknown(connection, user_key=upload.user_key, sha256=upload.sha256)


def _look(folder: Path, user_key: str, sleep: Callable[[float], None]) -> Scan:
    def look(seen: UploadsSeen) -> Scan:
        return scan_uploads(
            folder, users=[user_key], only=[user_key], seen=seen, now_s=time.time(), hash_bytes=_NO_LIMIT
        )

    scan = look(UploadsSeen())
    if scan.waiting:
        sleep(_SECOND_LOOK_S)
        scan = look(scan.seen)
    own = tuple(remark for remark in scan.remarks if remark.startswith(f"{user_key}/"))
    return replace(scan, remarks=own)


def _list(warehouse: Warehouse, bucket: UploadsBucket, user_key: str, names: Collection[str] | None) -> Scan:
    """Raises Transient and Permanent: a requested archive is not missing because the store is unavailable."""
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi import")) as connection:
        return scan_bucket(
            bucket,
            connection,
            users=[user_key],
            seen=UploadsSeen(),
            only=user_key,
            names=names,
            is_limited=False,
        )


def _fail_missing(warehouse: Warehouse, user_key: str, names: Collection[str]) -> None:
    """Keeps an import from waiting for a run that has looked for its archive in vain. The archive may be back in a
    minute: a disk that was not mounted, a worker that looks elsewhere."""
    if not names:
        return
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi import")) as connection:
        for name in names:
            if upload_log.fail_by_name(connection, user_key=user_key, name=name, error=_NOT_THERE):
                log.warning("%s was requested but is not where %s looks for uploads", name, socket.gethostname())


def _left_out(names: Collection[str] | None, wanted: list[Upload]) -> list[str]:
    return sorted(set(names or ()) - {upload.name for upload in wanted})


def _gone(warehouse: Warehouse, user_key: str, here: Collection[str]) -> tuple[str, ...]:
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi import")) as connection:
        imports = list_imports(connection, user_key=user_key, limit=1000)
    return tuple(f"{each.archive_name} (import {each.import_id})" for each in imports if each.sha256 not in here)
