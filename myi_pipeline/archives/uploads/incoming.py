"""An upload on its way, in a place from which nothing is imported: a hidden file in the user's folder, or an object.

With an object store nothing is written to this machine's disk: what has been received is read from the store again, by
its ranges. If the process is killed, what it left is removed a day later.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from myi_pipeline.archives.files.remote import RemoteFile
from myi_pipeline.archives.uploads.scan import SETTLE_S
from myi_pipeline.errors import BadInput, Permanent, Transient
from myi_pipeline.people.uploads_folder import used_bytes
from myi_pipeline.postgres.disk_space import DiskGuard, disk_guard
from myi_pipeline.postgres.folders import require_folder
from myi_pipeline.settings import Settings
from myi_pipeline.storage.object_store import ObjectWriter
from myi_pipeline.storage.open_store import open_uploads
from myi_pipeline.storage.uploads_bucket import INCOMING_PREFIX, UploadsBucket

_FORGOTTEN_S = 86_400
_HEAD_BYTES = 100
# Until its first bytes have shown what it is.
_FILE = "upload"
_MIB = 1024 * 1024


class OverQuota(BadInput):
    """With this upload, a user would exceed MYI_UPLOADS_QUOTA_BYTES in the uploads folder."""


@dataclass(frozen=True)
class PlacedUpload:
    """Where an archive is imported from: its name among the uploads; `seen_as` as in app.imports, None if the first
    scan finds that out."""

    name: str
    seen_as: str | None
    take_back: Callable[[], None]


@dataclass(frozen=True)
class UploadRoom:
    """How much a user may put into the place of uploads, of which `used` bytes are taken; and how much room the disk
    has, on which uploads lie if `is_on_disk`."""

    guard: DiskGuard
    used: int
    quota: int
    is_on_disk: bool

    def check(self, size: int, *, written: int = 0) -> None:
        """Check that a file of this size, of which `written` bytes are stored, fits. Raises DiskFull, OverQuota."""
        # Below the floor nothing is taken in, wherever it would lie: its import needs room as well.
        self.guard.check(needed_bytes=size - written if self.is_on_disk else 0)
        if self.used + size > self.quota:
            raise OverQuota(
                f"Your archives may use {self.quota // _MIB:,} MiB on this machine, and {self.used // _MIB:,} MiB are"
                " in use. Delete the files of completed imports on their pages.",
                place="upload",
                rule="MYI_UPLOADS_QUOTA_BYTES",
            )


class Incoming(ABC):
    """A growing file, of which `size` bytes have come."""

    def __init__(self, room: UploadRoom) -> None:
        self.room, self.size = room, 0

    def write(self, piece: bytes) -> None:
        """Raises DiskFull, OverQuota, OSError, Transient and Permanent."""
        self.room.check(self.size + len(piece), written=self.size)
        self._write(piece)
        self.size += len(piece)

    @abstractmethod
    def _write(self, piece: bytes) -> None: ...

    @abstractmethod
    def finish(self) -> None:
        """Makes sure that every piece has been stored."""

    @abstractmethod
    def used_bytes(self) -> int:
        """How much the user has stored by now, including this upload."""

    @abstractmethod
    def named(self, name_for: Callable[[bytes], str]) -> Path | RemoteFile:
        """The finished file, under the name that its first bytes ask for."""

    @abstractmethod
    def put_in_place(self, *, user_key: str, suffix: str) -> PlacedUpload:
        """Move it to where it is imported from, once it has a name, with this at the end of the name.

        Raises OSError, Transient and Permanent.
        """


class IncomingFile(Incoming):
    """In a hidden folder in the user's own."""

    def __init__(self, room: UploadRoom, folder: Path, file: BinaryIO) -> None:
        super().__init__(room)
        self._folder, self._file, self._path = folder, file, folder / _FILE

    def _write(self, piece: bytes) -> None:
        self._file.write(piece)

    def finish(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def used_bytes(self) -> int:
        return used_bytes(self._folder.parent)

    def named(self, name_for: Callable[[bytes], str]) -> Path:
        with self._path.open("rb") as opened:
            head = opened.read(_HEAD_BYTES)
        self._path = self._path.rename(self._path.with_name(name_for(head)))
        return self._path

    def put_in_place(self, *, user_key: str, suffix: str) -> PlacedUpload:
        place = _put(self._path, self._folder.parent, suffix=suffix)
        return PlacedUpload(f"{user_key}/{place.name}", None, partial(_take_back, place))


class IncomingObject(Incoming):
    """In an object store. Nothing of it is written to this machine's disk."""

    def __init__(self, room: UploadRoom, bucket: UploadsBucket, key: str, writer: ObjectWriter) -> None:
        super().__init__(room)
        self._bucket, self._key, self._writer, self._path = bucket, key, writer, PurePosixPath(_FILE)

    def _write(self, piece: bytes) -> None:
        self._writer.write(piece)

    def finish(self) -> None:
        self._writer.finish()

    def used_bytes(self) -> int:
        return self._bucket.used_bytes(self._key.partition("/")[0])

    def named(self, name_for: Callable[[bytes], str]) -> RemoteFile:
        ranges = self._bucket.ranges(self._key)
        self._path = PurePosixPath(name_for(ranges.read_at(0, _HEAD_BYTES)))
        return RemoteFile(name=self._path.name, size=ranges.size, read_at=ranges.read_at)

    def put_in_place(self, *, user_key: str, suffix: str) -> PlacedUpload:
        path = self._path
        # Tables and history files are recognised by their names: each keeps its own, as in a folder.
        inside = f"{path.stem}{suffix}.zip" if path.suffix == ".zip" else f"{path.stem}{suffix}/{path.name}"
        name = f"{user_key}/{inside}"
        found = self._bucket.put_in_place(self._key, name)
        return PlacedUpload(name, found.identity, partial(self._bucket.delete, name))


@contextmanager
def incoming(settings: Settings, *, user_key: str, most_bytes: int) -> Iterator[Incoming]:
    """A place for an upload; whatever is still there afterwards is removed. `most_bytes` is the size the sender
    announced.

    Raises DiskFull, OverQuota, OSError, Transient if the object store does not answer, and Permanent if it, or the
    uploads folder, cannot be used.
    """
    bucket = open_uploads(settings)
    with (
        _in_folder(settings, user_key, most_bytes)
        if bucket is None
        else _in_bucket(bucket, settings, user_key, most_bytes) as upload
    ):
        yield upload


@contextmanager
def _in_folder(settings: Settings, user_key: str, most_bytes: int) -> Iterator[Incoming]:
    require_folder(settings.uploads_folder, setting="MYI_UPLOADS")
    uploads = settings.uploads_folder / user_key
    uploads.mkdir(parents=True, exist_ok=True, mode=0o700)
    _forget_old(uploads)
    room = UploadRoom(disk_guard(settings), used_bytes(uploads), settings.uploads_quota_bytes, is_on_disk=True)
    room.check(most_bytes)
    folder = uploads / f"{INCOMING_PREFIX}{secrets.token_hex(8)}"
    folder.mkdir(mode=0o700)
    try:
        with (folder / _FILE).open("xb") as file:
            yield IncomingFile(room, folder, file)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _in_bucket(bucket: UploadsBucket, settings: Settings, user_key: str, most_bytes: int) -> Iterator[Incoming]:
    used = bucket.used_bytes(user_key)
    room = UploadRoom(disk_guard(settings), used, settings.uploads_quota_bytes, is_on_disk=False)
    room.check(most_bytes)
    key, writer = bucket.incoming(user_key)
    try:
        yield IncomingObject(room, bucket, key, writer)
    finally:
        writer.give_up()
        # If the store is unavailable now, daily maintenance removes it.
        with contextlib.suppress(Transient, Permanent):
            bucket.delete(key)


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
