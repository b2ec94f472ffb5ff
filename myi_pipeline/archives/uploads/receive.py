"""Takes in an archive that arrives over the network and puts it with the uploads, if it is one.

With an object store, each piece is sent there as it arrives, and a local copy is kept until the archive has been
checked, because that needs to read pieces in sequence, starting from its end. The sensor never sees a file that is
still growing or was refused. A name that a client sent is never used as a path. If the process is killed, an archive
that has reached its place is imported, and one that has not is removed a day later. Checking and moving a file hold no
database connection, since they may take seconds.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import psycopg

from myi_pipeline.archives.files import open_history
from myi_pipeline.archives.files.export_package import EXPORT_KIND, is_export, open_export
from myi_pipeline.archives.owners import (
    ArchiveFingerprint,
    SampledRow,
    identifying_members,
    may_begin,
    other_owner_message,
    sample_export,
    sample_rows,
)
from myi_pipeline.archives.reading_settings import account_hasher, archive_limits
from myi_pipeline.archives.uploads.scan import SETTLE_S
from myi_pipeline.errors import BadInput, Permanent, Transient
from myi_pipeline.people.manage_users import check_time_zone
from myi_pipeline.people.uploads_folder import used_bytes
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.disk_space import DiskGuard, disk_guard
from myi_pipeline.postgres.folders import require_folder
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.settings import Settings
from myi_pipeline.storage.object_store import ObjectWriter
from myi_pipeline.storage.open_store import open_uploads
from myi_pipeline.storage.uploads_bucket import INCOMING_PREFIX, UploadsBucket

_FORGOTTEN_S = 86_400
_LONGEST_NAME = 80
_MIB = 1024 * 1024
_ZIP_MAGIC = b"PK"
# A scrobbler log begins with comments, JSON with a bracket; a table is recognised by its name.
_TEXT_SUFFIXES = {b"#": ".log", b"{": ".json", b"[": ".json"}
_TABLE_SUFFIXES = (".csv", ".tsv", ".txt")


class OverQuota(BadInput):
    """With this upload, a user would exceed MYI_UPLOADS_QUOTA_BYTES in the uploads folder."""


@dataclass(frozen=True)
class IncomingObject:
    """The same upload on its way into the object store."""

    bucket: UploadsBucket
    name: str
    writer: ObjectWriter


@dataclass(frozen=True)
class Incoming:
    """A hidden folder in the user's own, with one growing file."""

    folder: Path
    file: BinaryIO
    room: UploadRoom
    stored: IncomingObject | None = None

    def write(self, piece: bytes) -> None:
        """Raises DiskFull, OverQuota, Transient and Permanent."""
        self.room.check(self.file.tell() + len(piece), written=self.file.tell())
        self.file.write(piece)
        if self.stored is not None:
            self.stored.writer.write(piece)

    def finish(self) -> None:
        """Makes sure that every piece has been stored."""
        self.file.flush()
        os.fsync(self.file.fileno())
        if self.stored is not None:
            self.stored.writer.finish()

    def used_bytes(self) -> int:
        """How much the user has stored by now, including this upload."""
        user_key = self.folder.parent.name
        return self.stored.bucket.used_bytes(user_key) if self.stored is not None else used_bytes(self.folder.parent)


@dataclass(frozen=True)
class UploadRoom:
    """How much a user may put into the uploads folder, and how much room the disk has; `used` bytes are taken."""

    guard: DiskGuard
    used: int
    quota: int

    def check(self, size: int, *, written: int = 0) -> None:
        """Check that a file of this size, of which `written` bytes are stored, fits. Raises DiskFull, OverQuota."""
        self.guard.check(needed_bytes=size - written)
        if self.used + size > self.quota:
            raise OverQuota(
                f"Your archives may use {self.quota // _MIB:,} MiB on this machine, and {self.used // _MIB:,} MiB are"
                " in use. Delete the files of completed imports on their pages.",
                place="upload",
                rule="MYI_UPLOADS_QUOTA_BYTES",
            )


@dataclass(frozen=True, kw_only=True)
class JudgedUpload:
    """A file that is an archive, still in the incoming folder.

    `members` are its play files by size and CRC-32, `rows` a sample of their rows; `time_zone` is the player's zone for
    logs that do not state it, None if no file needs that.
    """

    path: Path
    stored: IncomingObject | None
    sha256: bytes
    archive_name: str
    kind: str
    size: int
    members: tuple[tuple[int, int], ...]
    rows: tuple[SampledRow, ...] = ()
    time_zone: str | None = None


@dataclass(frozen=True)
class PlacedUpload:
    """Where an archive is imported from: its name among the uploads; `seen_as` as in app.imports, None if the first
    scan finds that out."""

    name: str
    seen_as: str | None
    take_back: Callable[[], None]


@dataclass(frozen=True)
class TakenUpload:
    """The import of an archive's content; `is_known` if that content has been imported or is being imported."""

    import_id: int
    is_known: bool


@contextmanager
def incoming(settings: Settings, *, user_key: str, most_bytes: int) -> Iterator[Incoming]:
    """A place for an upload; whatever is still there afterwards is removed. `most_bytes` is the size the sender
    announced.

    Raises DiskFull, OverQuota, OSError, Transient if the object store does not answer, and Permanent if it, or the
    uploads folder, cannot be used.
    """
    require_folder(settings.uploads_folder, setting="MYI_UPLOADS")
    uploads = settings.uploads_folder / user_key
    uploads.mkdir(parents=True, exist_ok=True, mode=0o700)
    _forget_old(uploads)
    bucket = open_uploads(settings)
    used = used_bytes(uploads) if bucket is None else bucket.used_bytes(user_key)
    room = UploadRoom(disk_guard(settings), used, settings.uploads_quota_bytes)
    room.check(most_bytes)
    folder = uploads / f"{INCOMING_PREFIX}{secrets.token_hex(8)}"
    folder.mkdir(mode=0o700)
    try:
        with (folder / "upload").open("xb") as file, _incoming_object(bucket, user_key) as stored:
            yield Incoming(folder, file, room, stored)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _incoming_object(bucket: UploadsBucket | None, user_key: str) -> Iterator[IncomingObject | None]:
    if bucket is None:
        yield None
        return
    name, writer = bucket.incoming(user_key)
    try:
        yield IncomingObject(bucket, name, writer)
    finally:
        writer.give_up()
        # If the store is unavailable now, daily maintenance removes it.
        with contextlib.suppress(Transient, Permanent):
            bucket.delete(name)


def judge_upload(upload: Incoming, *, settings: Settings, name: str, time_zone: str) -> JudgedUpload:
    """Check the file. Raises BadInput (UnsafeArchive, WrongPackage) and OSError."""
    check_time_zone(time_zone)
    upload.finish()
    # Two simultaneous uploads have not counted each other.
    replace(upload.room, used=upload.used_bytes()).check(0)
    path = _named(upload.folder / "upload", name)
    if is_export(path):
        return _judge_export(path, upload.stored, settings=settings)
    with open_history(path, limits=archive_limits(settings), hash_account=account_hasher(settings)) as archive:
        archive.time_zone = time_zone
        return JudgedUpload(
            path=path,
            stored=upload.stored,
            sha256=archive.sha256,
            archive_name=archive.name,
            kind=archive.kind,
            size=sum(file.size for file in archive.files),
            members=identifying_members((content.size, content.crc32) for content in archive.contents),
            rows=sample_rows(archive),
            time_zone=time_zone if archive.files_without_zone else None,
        )


def _judge_export(path: Path, stored: IncomingObject | None, *, settings: Settings) -> JudgedUpload:
    with open_export(path, limits=archive_limits(settings)) as package:
        package.check(with_marts=False)
        return JudgedUpload(
            path=path,
            stored=stored,
            sha256=package.sha256,
            archive_name=package.name,
            kind=EXPORT_KIND,
            size=package.bytes_total,
            members=(),
            rows=sample_export(package),
        )


def find_import_of(connection: Connection, judged: JudgedUpload, *, user_id: int) -> TakenUpload | None:
    """The import of this very content that is completed or under way, if any: the file is not needed then."""
    known = _find(connection, judged, user_id)
    is_known = known is not None and known[1] in ("completed", "completed_with_errors", "running")
    return TakenUpload(known[0], is_known=True) if known is not None and is_known else None


def place_upload(judged: JudgedUpload, *, user_key: str) -> PlacedUpload:
    """Move the file, or its object, to where it is imported from. Raises OSError, Transient and Permanent."""
    suffix, path, stored = place_suffix(judged.sha256.hex()), judged.path, judged.stored
    if stored is None:
        place = _put(path, path.parent.parent, suffix=suffix)
        return PlacedUpload(f"{user_key}/{place.name}", None, partial(_take_back, place))
    # Tables and history files are recognised by their names: each keeps its own, as in a folder.
    inside = f"{path.stem}{suffix}.zip" if path.suffix == ".zip" else f"{path.stem}{suffix}/{path.name}"
    name = f"{user_key}/{inside}"
    found = stored.bucket.put_in_place(stored.name, name)
    return PlacedUpload(name, found.identity, partial(stored.bucket.delete, name))


def take_upload(connection: Connection, judged: JudgedUpload, placed: PlacedUpload, *, user_id: int) -> TakenUpload:
    """Record that an archive is waiting in its place. From then on it is imported, even if this process dies."""
    values = {
        "user_id": user_id,
        "sha256": judged.sha256,
        "archive_name": judged.archive_name,
        "kind": judged.kind,
        "bytes_total": judged.size,
        "time_zone": judged.time_zone,
    }
    known = _find(connection, judged, user_id)
    fingerprint = ArchiveFingerprint(sha256=judged.sha256, members=judged.members, rows=judged.rows)
    is_anothers = not may_begin(connection, fingerprint, user_id=user_id)
    values |= {
        "upload_name": placed.name,
        "seen_as": placed.seen_as,
        "confirmation": "needed" if is_anothers else None,
        "error": other_owner_message(judged.archive_name) if is_anothers else None,
    }
    # After the move: a row without a file would wait forever; a file without a row gets one from its import.
    try:
        announced = connection.execute(load_sql("archives/uploads/announce_import"), values).fetchone()
    except psycopg.errors.ForeignKeyViolation:
        # The user was removed in the meantime, and the folder may be somebody else's tomorrow.
        placed.take_back()
        raise
    found = announced or _find(connection, judged, user_id)
    assert found is not None
    return TakenUpload(int(found[0]), is_known=known is not None)


def _find(connection: Connection, judged: JudgedUpload, user_id: int) -> tuple[int, str] | None:
    values = {"user_id": user_id, "sha256": judged.sha256}
    row = connection.execute(load_sql("archives/uploads/find_import"), values).fetchone()
    return (int(row[0]), str(row[1])) if row is not None else None


def safe_name(name: str, *, suffix: str) -> str:
    """A file name of plain characters that begins with a letter or digit and ends with the suffix."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", name.rpartition("/")[2].rpartition("\\")[2])
    if stem.lower().endswith(suffix):
        stem = stem[: -len(suffix)]
    return (stem.strip("._-")[:_LONGEST_NAME] or "archive") + suffix


def place_suffix(sha256: str) -> str:
    """The end of a stored file's name: a part of its hash, so that two files with the same name stay apart."""
    return f"-{sha256[:8]}"


def _named(file: Path, name: str) -> Path:
    """The file under a name that shows its kind, judged by its first bytes, whatever the client calls it."""
    with file.open("rb") as opened:
        head = opened.read(100)
    # For UTF-16, every other byte, without the byte order mark.
    start = head.lstrip(b"\xef\xbb\xbf\xff\xfe").replace(b"\0", b"").lstrip()[:1]
    if head.startswith(_ZIP_MAGIC):
        suffix = ".zip"
    elif name.lower().endswith(_TABLE_SUFFIXES) and start not in (b"{", b"["):
        suffix = ".csv"
    else:
        suffix = _TEXT_SUFFIXES.get(start, ".json")
    return file.rename(file.with_name(safe_name(name, suffix=suffix)))


def _put(path: Path, uploads: Path, *, suffix: str) -> Path:
    """Moves a ZIP to the user's files, any other file into a folder of its own: loose ones would count as one archive.

    Returns the path of the ZIP or the folder.
    """
    # Already complete: the sensor need not wait to see whether it still grows.
    settled = time.time() - SETTLE_S - 1
    os.utime(path, (settled, settled))
    if path.suffix == ".zip":
        return path.replace(uploads / f"{path.stem}{suffix}.zip")
    target = uploads / f"{path.stem}{suffix}"
    with contextlib.suppress(FileExistsError):
        target.mkdir(mode=0o700)
    path.replace(target / path.name)
    return target


def _take_back(place: Path) -> None:
    if place.is_dir():
        shutil.rmtree(place, ignore_errors=True)
    else:
        place.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        place.parent.rmdir()


def forget_unfinished(settings: Settings) -> None:
    """Remove what killed processes on this machine left of uploads more than a day ago, for all users."""
    for uploads in settings.uploads_folder.glob("[!.]*"):
        if not uploads.is_symlink():
            _forget_old(uploads)


def _forget_old(uploads: Path) -> None:
    for folder in uploads.glob(f"{INCOMING_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > _FORGOTTEN_S:
                shutil.rmtree(folder, ignore_errors=True)
