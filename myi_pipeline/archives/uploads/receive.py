"""Takes in an archive that arrives over the network: into the uploads folder, if it is one.

A file that is still growing, or was refused, is never seen by the watch on that folder. A name that a client sent is
never used as a path. Killed anywhere, an archive that has reached its place is imported, and one that has not is
removed a day later. Checking a file holds no database connection, since it may take seconds.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import psycopg

from myi_pipeline.archives.files import open_history
from myi_pipeline.archives.owners import (
    ArchiveFingerprint,
    SampledRow,
    identifying_members,
    may_begin,
    other_owner_message,
    sample_rows,
)
from myi_pipeline.archives.reading_settings import account_hasher, archive_limits
from myi_pipeline.archives.uploads.scan import SETTLE_S
from myi_pipeline.errors import BadInput
from myi_pipeline.people.manage_users import check_time_zone
from myi_pipeline.people.uploads_folder import used_bytes
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.disk_space import DiskGuard, disk_guard
from myi_pipeline.postgres.folders import require_folder
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.settings import Settings

_PREFIX = ".incoming-"
_FORGOTTEN_S = 86_400
_LONGEST_NAME = 80
_MIB = 1024 * 1024
_ZIP_MAGIC = b"PK"
# A scrobbler log begins with comments, JSON with a bracket; a table is what its name says.
_TEXT_SUFFIXES = {b"#": ".log", b"{": ".json", b"[": ".json"}
_TABLE_SUFFIXES = (".csv", ".tsv", ".txt")


class OverQuota(BadInput):
    """With this upload a user would exceed MYI_UPLOADS_QUOTA_BYTES in the uploads folder."""


@dataclass(frozen=True)
class Incoming:
    """A hidden folder below the user's own, with one file that grows."""

    folder: Path
    file: BinaryIO
    room: UploadRoom

    def write(self, piece: bytes) -> None:
        """Raises DiskFull and OverQuota."""
        self.room.check(self.file.tell() + len(piece), written=self.file.tell())
        self.file.write(piece)


@dataclass(frozen=True)
class UploadRoom:
    """How much a user may put into the uploads folder, and how much the disk has room for; `used` bytes are there."""

    guard: DiskGuard
    used: int
    quota: int

    def check(self, size: int, *, written: int = 0) -> None:
        """Check that a file of this size may be stored, of which `written` bytes are. Raises DiskFull, OverQuota."""
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
    """A file that is an archive, still where it grew. `members` are its play files by size and CRC-32, `rows` some of
    what they hold; `time_zone` is where the player was of a log that does not say it, None where no file needs that."""

    path: Path
    sha256: bytes
    archive_name: str
    kind: str
    size: int
    members: tuple[tuple[int, int], ...]
    rows: tuple[SampledRow, ...] = ()
    time_zone: str | None = None


@dataclass(frozen=True)
class TakenUpload:
    """The import of an archive's content; `is_known` when that content has been imported or is being imported."""

    import_id: int
    is_known: bool


@contextmanager
def incoming(settings: Settings, *, user_key: str, most_bytes: int) -> Iterator[Incoming]:
    """A place for an upload; whatever is still there afterwards is removed. `most_bytes` is what the sender announced.

    Raises DiskFull, OverQuota, OSError, and Permanent when the uploads folder cannot be used.
    """
    require_folder(settings.uploads_folder, setting="MYI_UPLOADS")
    uploads = settings.uploads_folder / user_key
    uploads.mkdir(parents=True, exist_ok=True, mode=0o700)
    _forget_old(uploads)
    room = UploadRoom(disk_guard(settings), used_bytes(uploads), settings.uploads_quota_bytes)
    room.check(most_bytes)
    folder = uploads / f"{_PREFIX}{secrets.token_hex(8)}"
    folder.mkdir(mode=0o700)
    try:
        with (folder / "upload").open("xb") as file:
            yield Incoming(folder, file, room)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def judge_upload(upload: Incoming, *, settings: Settings, name: str, time_zone: str) -> JudgedUpload:
    """Look into the file. Raises BadInput (UnsafeArchive, WrongPackage) and OSError."""
    check_time_zone(time_zone)
    upload.file.flush()
    os.fsync(upload.file.fileno())
    # Two uploads at the same time have not counted each other.
    replace(upload.room, used=used_bytes(upload.folder.parent)).check(0)
    path = _named(upload.folder / "upload", name)
    with open_history(path, limits=archive_limits(settings), hash_account=account_hasher(settings)) as archive:
        archive.time_zone = time_zone
        return JudgedUpload(
            path=path,
            sha256=archive.sha256,
            archive_name=archive.name,
            kind=archive.kind,
            size=sum(file.size for file in archive.files),
            members=identifying_members((content.size, content.crc32) for content in archive.contents),
            rows=sample_rows(archive),
            time_zone=time_zone if archive.files_without_zone else None,
        )


def take_upload(connection: Connection, judged: JudgedUpload, *, user_id: int, user_key: str) -> TakenUpload:
    """Move the file to where the watch finds it, and note that in its row. Raises OSError."""
    values = {
        "user_id": user_id,
        "sha256": judged.sha256,
        "archive_name": judged.archive_name,
        "kind": judged.kind,
        "bytes_total": judged.size,
        "time_zone": judged.time_zone,
    }
    known = connection.execute(load_sql("archives/uploads/find_import"), values).fetchone()
    if known is not None and known[1] in ("completed", "completed_with_errors", "running"):
        return TakenUpload(int(known[0]), is_known=True)
    place = _put(judged.path, judged.path.parent.parent, suffix=place_suffix(judged.sha256.hex()))
    fingerprint = ArchiveFingerprint(sha256=judged.sha256, members=judged.members, rows=judged.rows)
    is_anothers = not may_begin(connection, fingerprint, user_id=user_id)
    values |= {
        "upload_name": f"{user_key}/{place.name}",
        "confirmation": "needed" if is_anothers else None,
        "error": other_owner_message(judged.archive_name) if is_anothers else None,
    }
    # After the move: a row without a file would wait for ever; a file without a row gets one from its import.
    try:
        announced = connection.execute(load_sql("archives/uploads/announce_import"), values).fetchone()
    except psycopg.errors.ForeignKeyViolation:
        # The user was removed meanwhile, and the folder may be somebody else's tomorrow.
        _take_back(place)
        raise
    found = announced or connection.execute(load_sql("archives/uploads/find_import"), values).fetchone()
    assert found is not None
    return TakenUpload(int(found[0]), is_known=known is not None)


def safe_name(name: str, *, suffix: str) -> str:
    """A file name of plain characters that begins with a letter or digit and ends with the suffix."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", name.rpartition("/")[2].rpartition("\\")[2])
    if stem.lower().endswith(suffix):
        stem = stem[: -len(suffix)]
    return (stem.strip("._-")[:_LONGEST_NAME] or "archive") + suffix


def place_suffix(sha256: str) -> str:
    """The end of a stored file's name: a part of its hash, so that two files of one name stay apart."""
    return f"-{sha256[:8]}"


def _named(file: Path, name: str) -> Path:
    """The file under a name that shows its kind, judged by its first bytes, whatever the client calls it."""
    with file.open("rb") as opened:
        head = opened.read(100)
    # Of UTF-16 every other byte, and no mark.
    start = head.lstrip(b"\xef\xbb\xbf\xff\xfe").replace(b"\0", b"").lstrip()[:1]
    if head.startswith(_ZIP_MAGIC):
        suffix = ".zip"
    elif name.lower().endswith(_TABLE_SUFFIXES) and start not in (b"{", b"["):
        suffix = ".csv"
    else:
        suffix = _TEXT_SUFFIXES.get(start, ".json")
    return file.rename(file.with_name(safe_name(name, suffix=suffix)))


def _put(path: Path, uploads: Path, *, suffix: str) -> Path:
    """A ZIP among the user's files, any other file in a folder of its own: loose ones would be taken for one archive.

    Returns the ZIP's or the folder's place.
    """
    # Whole already: the watch need not wait and see whether it still grows.
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


def _forget_old(uploads: Path) -> None:
    for folder in uploads.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > _FORGOTTEN_S:
                shutil.rmtree(folder, ignore_errors=True)
