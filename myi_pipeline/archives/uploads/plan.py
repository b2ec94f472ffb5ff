"""Decides which of the uploaded archives, in a folder or an object store, are to be imported now.

The next step follows from the files, the rows of app.imports and the runs in Dagster, never from what a sensor
remembers. An archive that fails is tried again a few times at growing intervals; after that, its row says so until a
person does something about it.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from functools import partial
from hashlib import sha256
from pathlib import Path

from myi_pipeline.archives import import_log
from myi_pipeline.archives.files import Limits, open_history
from myi_pipeline.archives.owners import identifying_members
from myi_pipeline.archives.reading_settings import account_hasher, archive_limits
from myi_pipeline.archives.uploads import upload_log
from myi_pipeline.archives.uploads.bucket import fetched, scan_bucket
from myi_pipeline.archives.uploads.scan import Scan, Upload, UploadsSeen, scan_uploads
from myi_pipeline.archives.uploads.upload_log import KnownUpload
from myi_pipeline.errors import BadInput, DiskFull, Permanent, Transient
from myi_pipeline.people.manage_users import list_user_keys
from myi_pipeline.postgres.connections import Connection, Role, Warehouse
from myi_pipeline.postgres.disk_space import disk_guard
from myi_pipeline.settings import Settings
from myi_pipeline.storage.open_store import open_uploads
from myi_pipeline.storage.uploads_bucket import UploadsBucket

log = logging.getLogger(__name__)


# The play files of an archive: size and CRC-32 of each.
Members = Sequence[tuple[int, int]]
_NO_MEMBER: Members = ((0, 0),)
_INSPECTED_PER_SCAN = 5


class RunState(Enum):
    """What Dagster knows about a requested run."""

    NONE = "none"
    UNFINISHED = "unfinished"
    ENDED = "ended"


# From the keys of runs to their states.
FindRuns = Callable[[Collection[str]], Mapping[str, RunState]]


@dataclass(frozen=True)
class WantedImport:
    """An archive to be imported. `request_id` is set if a run was requested before and Dagster does not know it."""

    import_id: int
    user_key: str
    name: str
    request_id: str | None = None


@dataclass(frozen=True)
class UploadPlan:
    wanted: tuple[WantedImport, ...]
    remarks: tuple[str, ...]
    seen: UploadsSeen


def find_wanted_imports(
    warehouse: Warehouse, *, settings: Settings, seen: UploadsSeen, now_s: float, find_runs: FindRuns
) -> UploadPlan:
    """Scan the uploads of this installation once and compare them with its database."""
    users = list_user_keys(warehouse)
    limits, hash_account = archive_limits(settings), account_hasher(settings)

    def look_into(upload: Upload) -> Members:
        try:
            with paths_of(bucket, settings, upload) as paths:
                return archive_members(paths, limits=limits, hash_account=hash_account)
        except (Transient, Permanent) as error:
            log.warning("%s could not be opened: %s", upload.name, error)
            return ()

    bucket = open_uploads(settings)
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi uploads")) as connection:
        looked_at = upload_log.now_there(connection)
        if bucket is None:
            scan = scan_uploads(settings.uploads_folder, users=users, seen=seen, now_s=now_s)
        else:
            try:
                scan = scan_bucket(bucket, connection, users=users, seen=seen)
            except (Transient, Permanent) as error:
                # The archives there are not gone.
                return UploadPlan((), (str(error),), seen)
        plan = plan_uploads(
            connection,
            scan,
            looked_at=looked_at,
            identify=partial(identity_of, settings=settings, bucket=bucket),
            look_into=look_into,
            find_runs=find_runs,
        )
    try:
        disk_guard(settings).check()
    except DiskFull as error:
        # They have their rows, and wait.
        return replace(plan, wanted=(), remarks=(str(error), *plan.remarks)) if plan.wanted else plan
    return plan


def plan_uploads(
    connection: Connection,
    scan: Scan,
    *,
    looked_at: datetime,
    identify: Callable[[Upload], str],
    look_into: Callable[[Upload], Members],
    find_runs: FindRuns,
) -> UploadPlan:
    """Decide what to do about one scan, which began at `looked_at`.

    `identify` gives the hash by which app.imports knows an upload, or "" if it cannot be read; `look_into` gives its
    play files by size and CRC-32, for imports from before those were stored.
    """
    archives = _archives(connection, scan, identify)
    # Copies of the same content are one archive: the first of them is read.
    copies: dict[tuple[str, str], list[Upload]] = defaultdict(list)
    for upload in scan.ready:
        copies[upload.user_key, archives.get(upload.sha256) or upload.sha256].append(upload)
    known = upload_log.known_uploads(connection, list(copies))
    runs = find_runs({row.request_id for row in known.values() if row.is_asked and row.request_id})
    remarks = list(scan.remarks)
    wanted: list[WantedImport] = []
    found: list[int] = []
    for (user_key, content), uploads in copies.items():
        row = known.get((user_key, content))
        import_id = row.import_id if row is not None else None
        first, seen_as = uploads[0], _seen_as(uploads)
        # A failed one is first compared with its former state; the new state is recorded when it is tried again.
        is_compared = row is not None and row.is_given_up and row.seen_as is not None
        if row is None or row.upload_name != first.name or (row.seen_as != seen_as and not is_compared):
            import_id = upload_log.note_seen(
                connection,
                user_key=user_key,
                sha256=content,
                upload_name=first.name,
                size=first.size,
                seen_as=row.seen_as if row is not None and is_compared else seen_as,
            )
        if import_id is None:
            continue
        found.append(import_id)
        request = _next_step(connection, row, first, uploads, seen_as=seen_as, runs=runs, remarks=remarks)
        if request is not None:
            wanted.append(WantedImport(import_id, user_key, first.name, request or None))
    for row in [row for row in known.values() if row.is_done and not row.has_members][:_INSPECTED_PER_SCAN]:
        members = look_into(copies[row.user_key, row.sha256.hex()][0])
        if members:
            import_log.keep_members(connection, row.import_id, members)
    upload_log.note_stuck(
        connection, [(each.user_key, each.name, each.size, each.reason, each.has_failed) for each in scan.stuck]
    )
    upload_log.fail_missing(connection, user_keys=scan.seen_whole, found=found, looked_at=looked_at)
    return UploadPlan(tuple(wanted), tuple(remarks), replace(scan.seen, archives=archives))


def _archives(connection: Connection, scan: Scan, identify: Callable[[Upload], str]) -> dict[str, str]:
    """The hash by which app.imports knows each upload that is not a ZIP. An unreadable one is read again once its row
    is gone: it has been read in the meantime, or has another user."""
    others = [upload for upload in scan.ready if not upload.is_zip]
    unreadable = [upload for upload in others if scan.seen.archives.get(upload.sha256) == ""]
    known = upload_log.known_uploads(connection, [(upload.user_key, upload.sha256) for upload in unreadable])
    anew = {upload.sha256 for upload in unreadable if (upload.user_key, upload.sha256) not in known}
    return {
        upload.sha256: identify(upload)
        if upload.sha256 in anew or upload.sha256 not in scan.seen.archives
        else scan.seen.archives[upload.sha256]
        for upload in others
    }


def _next_step(
    connection: Connection,
    row: KnownUpload | None,
    upload: Upload,
    uploads: Sequence[Upload],
    *,
    seen_as: str,
    runs: Mapping[str, RunState],
    remarks: list[str],
) -> str | None:
    """None if there is nothing to request now, else the key of the request to repeat, or "" for a new one."""
    confirming = [path for each in uploads for path in each.confirmed_by]
    if row is None:
        # Whether it needs a confirmation is known once it is opened.
        return ""
    if row.is_done or row.is_alive:
        return None
    if row.confirmation == "needed":
        if not confirming:
            remarks.append(f"{upload.name} waits for confirmation: {row.error or ''}")
            return None
        upload_log.try_again(connection, row.import_id, is_confirmed=True)
        _take_away(confirming)
        return ""
    if row.status == "running":
        upload_log.note_failure(connection, row.import_id, error="its process ended without reporting a result")
        return None
    if row.is_given_up:
        if row.seen_as is not None and row.seen_as != seen_as:
            upload_log.try_again(connection, row.import_id, seen_as=seen_as)
            return ""
        remarks.append(f"{upload.name} has failed and is left alone: {row.error or 'the reason is unknown'}")
        return None
    if row.is_asked and row.request_id:
        state = runs.get(row.request_id, RunState.NONE)
        if state is RunState.ENDED:
            upload_log.note_failure(
                connection, row.import_id, error="the run that should have imported it ended before it began"
            )
        return row.request_id if state is RunState.NONE and row.is_asked_long_ago else None
    return None if row.is_too_early else ""


def request_imports(
    warehouse: Warehouse, wanted: Iterable[WantedImport], *, request_id: str
) -> tuple[WantedImport, ...]:
    """Record that one run was requested to import these; returns those that are still waiting for one."""
    asked = list(wanted)
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi uploads")) as connection:
        waiting = upload_log.ask_for(connection, [each.import_id for each in asked], request_id=request_id)
    return tuple(each for each in asked if each.import_id in waiting)


@contextmanager
def paths_of(bucket: UploadsBucket | None, settings: Settings, upload: Upload) -> Iterator[tuple[Path, ...]]:
    """An archive's files on this machine, for the duration of the block. If it has to be fetched, raises Gone,
    DiskFull, Transient, Permanent and OSError."""
    if bucket is None:
        yield upload.paths
        return
    with fetched(bucket, settings, upload.name, size=upload.size) as path:
        yield (path,)


def identity_of(upload: Upload, *, settings: Settings, bucket: UploadsBucket | None) -> str:
    """The hash by which app.imports knows an upload that is not a ZIP, "" if it cannot be read."""
    if bucket is not None:
        # A single file: it was already hashed as an archive.
        return upload.sha256
    return archive_sha256(upload.paths, limits=archive_limits(settings), hash_account=account_hasher(settings))


def archive_sha256(paths: Sequence[Path], *, limits: Limits, hash_account: Callable[[str], bytes]) -> str:
    """The hash of a folder or of JSON files as an archive: of its play files alone. "" if it is not one."""
    try:
        with open_history(_one_or_all(paths), limits=limits, hash_account=hash_account) as archive:
            return archive.sha256.hex()
    except (BadInput, OSError):
        return ""


def archive_members(paths: Sequence[Path], *, limits: Limits, hash_account: Callable[[str], bytes]) -> Members:
    """The play files of an archive by size and CRC-32; an empty file if it has none, or is not an archive."""
    try:
        with open_history(_one_or_all(paths), limits=limits, hash_account=hash_account) as archive:
            return identifying_members((each.size, each.crc32) for each in archive.contents) or _NO_MEMBER
    except (BadInput, OSError):
        return _NO_MEMBER


def _one_or_all(paths: Sequence[Path]) -> Path | Sequence[Path]:
    """A folder, or files that belong together."""
    return paths[0] if len(paths) == 1 else paths


def _seen_as(uploads: Sequence[Upload]) -> str:
    if len(uploads) == 1:
        return uploads[0].seen_as
    return sha256("\n".join(sorted(upload.seen_as for upload in uploads)).encode()).hexdigest()[:32]


def _take_away(paths: Sequence[Path]) -> None:
    """A confirmation is valid once: another archive of the same name needs its own."""
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s could not be removed (%s): remove it by hand", path.name, error.strerror)
