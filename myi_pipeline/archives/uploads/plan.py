"""Decides which of the archives in the uploads folder are to be imported now.

The next step follows from the folder, the rows of app.imports and the runs in Dagster, never from what a sensor
remembers. An archive that fails is tried again a few times, further and further apart; after that its row says so until
a person does something about it.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from enum import Enum
from hashlib import sha256
from pathlib import Path

from myi_pipeline.archives import import_log
from myi_pipeline.archives.files import Limits, open_history
from myi_pipeline.archives.owners import identifying_members
from myi_pipeline.archives.reading_settings import account_hasher, archive_limits
from myi_pipeline.archives.uploads import upload_log
from myi_pipeline.archives.uploads.scan import Scan, Upload, UploadsSeen, scan_uploads
from myi_pipeline.archives.uploads.upload_log import KnownUpload
from myi_pipeline.errors import BadInput, DiskFull
from myi_pipeline.people.manage_users import list_user_keys
from myi_pipeline.postgres.connections import Connection, Role, Warehouse
from myi_pipeline.postgres.disk_space import disk_guard
from myi_pipeline.settings import Settings

log = logging.getLogger(__name__)


# From the play files of an archive: size and CRC-32 of each.
Members = Sequence[tuple[int, int]]
_NO_MEMBER: Members = ((0, 0),)
_LOOKED_INTO_A_LOOK = 5


class RunState(Enum):
    """What Dagster knows about a requested run."""

    NONE = "none"
    UNFINISHED = "unfinished"
    ENDED = "ended"


# From the keys of runs to their states.
FindRuns = Callable[[Collection[str]], Mapping[str, RunState]]


@dataclass(frozen=True)
class WantedImport:
    """An archive to be imported. `request_id` is set if a run was requested before and Dagster does not know of it."""

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
    """One look at the uploads folder of this installation, compared with its database."""
    users = list_user_keys(warehouse)
    scan = scan_uploads(settings.uploads_folder, users=users, seen=seen, now_s=now_s)
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi uploads")) as connection:
        limits, hash_account = archive_limits(settings), account_hasher(settings)
        plan = plan_uploads(
            connection,
            scan,
            identify=lambda upload: archive_sha256(upload, limits=limits, hash_account=hash_account),
            look_into=lambda upload: archive_members(upload, limits=limits, hash_account=hash_account),
            find_runs=find_runs,
        )
    try:
        disk_guard(settings).check()
    except DiskFull as error:
        # They have their rows and wait.
        return replace(plan, wanted=(), remarks=(str(error), *plan.remarks)) if plan.wanted else plan
    return plan


def plan_uploads(
    connection: Connection,
    scan: Scan,
    *,
    identify: Callable[[Upload], str],
    look_into: Callable[[Upload], Members],
    find_runs: FindRuns,
) -> UploadPlan:
    """Decide what to do about one scan.

    `identify` gives the hash by which app.imports knows an upload, or "" when it cannot be read; `look_into` gives its
    play files by size and CRC-32, for imports from before those were kept.
    """
    archives = _archives(connection, scan, identify)
    # Copies of one content are one archive: the first of them is read.
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
        # A failed one is first compared with what it was; the new value is noted when it is tried again.
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
    for row in [row for row in known.values() if row.is_done and not row.has_members][:_LOOKED_INTO_A_LOOK]:
        import_log.keep_members(connection, row.import_id, look_into(copies[row.user_key, row.sha256.hex()][0]))
    upload_log.note_stuck(
        connection, [(each.user_key, each.name, each.size, each.reason, each.has_failed) for each in scan.stuck]
    )
    upload_log.fail_missing(connection, user_keys=scan.seen_whole, found=found)
    return UploadPlan(tuple(wanted), tuple(remarks), replace(scan.seen, archives=archives))


def _archives(connection: Connection, scan: Scan, identify: Callable[[Upload], str]) -> dict[str, str]:
    """By what hash app.imports knows what is no ZIP. What could not be read is looked into again once its row is gone:
    it was read meanwhile, or its user is another one."""
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
    """None when there is nothing to request now, else the key of the request to repeat, or "" for a new one."""
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
    """Note that one run was requested that imports these; returns those that still wait for one."""
    asked = list(wanted)
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi uploads")) as connection:
        waiting = upload_log.ask_for(connection, [each.import_id for each in asked], request_id=request_id)
    return tuple(each for each in asked if each.import_id in waiting)


def archive_sha256(upload: Upload, *, limits: Limits, hash_account: Callable[[str], bytes]) -> str:
    """The hash of a folder or of JSON files as an archive: of its play files alone. "" when it is none."""
    paths: Path | Sequence[Path] = upload.paths[0] if len(upload.paths) == 1 else upload.paths
    try:
        with open_history(paths, limits=limits, hash_account=hash_account) as archive:
            return archive.sha256.hex()
    except (BadInput, OSError):
        return ""


def archive_members(upload: Upload, *, limits: Limits, hash_account: Callable[[str], bytes]) -> Members:
    """The play files of an archive by size and CRC-32; of one that has none, or is no archive, an empty file."""
    paths: Path | Sequence[Path] = upload.paths[0] if len(upload.paths) == 1 else upload.paths
    try:
        with open_history(paths, limits=limits, hash_account=hash_account) as archive:
            return identifying_members((each.size, each.crc32) for each in archive.contents) or _NO_MEMBER
    except (BadInput, OSError):
        return _NO_MEMBER


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
