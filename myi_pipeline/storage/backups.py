"""Where backups are stored: in a folder, or in a bucket of S3, Google Cloud Storage or Azure.

A backup is a folder of files with a manifest. The manifest is stored last and deleted first, so a folder without one is
an incomplete backup and ignored. Only folders and objects named like a backup are ever deleted.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from myi_pipeline.errors import BadInput, DiskFull, Permanent, Transient
from myi_pipeline.storage.object_store import Bucket

MANIFEST: Final = "manifest.json"
_NAME: Final = re.compile(r"myi-[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}\Z")
_FILE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}(/[A-Za-z0-9][A-Za-z0-9._-]{0,80})?\Z")
_LARGEST_MANIFEST: Final = 32 * 1024 * 1024
_UNFINISHED_END: Final = ".part"
# A dump of a billion plays takes hours; anything older was left by a killed process.
_UNFINISHED_FOR_S: Final = 2 * 24 * 3600.0


class BackupStore(Protocol):
    """Methods raise Transient if the place is unavailable or full, and Permanent if it denies access."""

    place: str

    def names(self) -> tuple[str, ...]:
        """The names of complete backups, oldest first: names begin with the time."""
        ...

    def manifest(self, name: str) -> bytes:
        """Raises BadInput if there is no such backup."""
        ...

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """A folder to fill, which is stored as this backup when the block ends, and discarded if it raises."""
        ...

    @contextmanager
    def reading(self, name: str) -> Iterator[Path]:
        """A folder with the backup's files, for the duration of the block. It must not be changed."""
        ...

    def delete(self, name: str) -> None: ...

    def delete_unfinished(self) -> int:
        """Delete incomplete backups left by killed processes; returns how many."""
        ...


def is_backup_name(name: str) -> bool:
    return _NAME.match(name) is not None


def is_file_name(path: str) -> bool:
    """Whether a manifest may contain this path: inside the backup, and at most one folder deep."""
    return _FILE.match(path) is not None and ".." not in path


class FolderBackups:
    """Backups in a local folder that other accounts cannot access."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.place = str(folder)

    def names(self) -> tuple[str, ...]:
        with explained(self.place):
            try:
                found = [each.name for each in os.scandir(self._folder) if is_backup_name(each.name)]
            except FileNotFoundError:
                return ()
        return tuple(sorted(name for name in found if (self._folder / name / MANIFEST).is_file()))

    def manifest(self, name: str) -> bytes:
        path = self._folder / name / MANIFEST
        with explained(self.place):
            try:
                with path.open("rb") as file:
                    return _bounded(file.read(_LARGEST_MANIFEST + 1), str(path))
            except (FileNotFoundError, NotADirectoryError):
                raise no_backup(f"{self.place}/{name}") from None

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        part = self._folder / f".{name}{_UNFINISHED_END}"
        with explained(self.place):
            if not self._folder.exists():
                self._folder.mkdir(mode=0o700, parents=True)
            part.mkdir(mode=0o700)
        try:
            with explained(self.place):
                yield part
                _sync(part / MANIFEST)
                os.rename(part, self._folder / name)
                _sync(self._folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)

    @contextmanager
    def reading(self, name: str) -> Iterator[Path]:
        self.manifest(name)
        yield self._folder / name

    def delete(self, name: str) -> None:
        if not is_backup_name(name):
            raise no_backup(f"{self.place}/{name}")
        with explained(self.place):
            (self._folder / name / MANIFEST).unlink(missing_ok=True)
            shutil.rmtree(self._folder / name)

    def delete_unfinished(self) -> int:
        removed = 0
        with explained(self.place):
            for each in list(os.scandir(self._folder)) if self._folder.is_dir() else []:
                name = each.name.removeprefix(".").removesuffix(_UNFINISHED_END)
                is_whole = each.name == name and (Path(each.path) / MANIFEST).exists()
                if is_backup_name(name) and not is_whole and time.time() - each.stat().st_mtime > _UNFINISHED_FOR_S:
                    shutil.rmtree(each.path)
                    removed += 1
        return removed


class BucketBackups:
    """Backups in a bucket. They are written and read in a folder in `scratch`, which needs space for one backup."""

    def __init__(self, place: str, options: Mapping[str, str], *, scratch: Path) -> None:
        """Raises Permanent without obstore, and for options that it does not know. `options` are secret."""
        self._bucket = Bucket(place, options, setting="MYI_BACKUP")
        self._scratch = scratch
        self.place = place

    def names(self) -> tuple[str, ...]:
        ends = f"/{MANIFEST}"
        found = (each.key.removesuffix(ends) for each in self._bucket.listed(None) if each.key.endswith(ends))
        return tuple(sorted(filter(is_backup_name, found)))

    def manifest(self, name: str) -> bytes:
        found = self._bucket.read(f"{name}/{MANIFEST}", limit=_LARGEST_MANIFEST + 1) if is_backup_name(name) else None
        if found is None:
            raise no_backup(f"{self.place}/{name}")
        return _bounded(found, f"{self.place}/{name}/{MANIFEST}")

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        with self._folder() as folder:
            yield folder
            files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
            for path in (*files, folder / MANIFEST):
                self._bucket.put(f"{name}/{path.relative_to(folder)}", path)
                # Uploaded files are deleted to free space.
                path.unlink()

    @contextmanager
    def reading(self, name: str) -> Iterator[Path]:
        self.manifest(name)
        with self._folder() as folder:
            for each in list(self._bucket.listed(f"{name}/")):
                inside = each.key.removeprefix(f"{name}/")
                if is_file_name(inside):
                    (folder / inside).parent.mkdir(mode=0o700, exist_ok=True)
                    with explained(str(self._scratch)):
                        self._bucket.fetch(each.key, folder / inside)
            yield folder

    def delete(self, name: str) -> None:
        if not is_backup_name(name):
            raise no_backup(f"{self.place}/{name}")
        self._bucket.delete([f"{name}/{MANIFEST}", *(each.key for each in list(self._bucket.listed(f"{name}/")))])

    def delete_unfinished(self) -> int:
        names = set(self.names())
        old: dict[str, list[str]] = {}
        for each in self._bucket.listed(None):
            name = each.key.partition("/")[0]
            if is_backup_name(name) and name not in names and each.age_s() > _UNFINISHED_FOR_S:
                old.setdefault(name, []).append(each.key)
        for paths in old.values():
            self._bucket.delete(paths)
        return len(old)

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        with explained(str(self._scratch)):
            self._scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix="backup-", dir=self._scratch))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def no_backup(place: str) -> BadInput:
    return BadInput(f"there is no backup at {place}", place=place, rule=f"a folder with a {MANIFEST}")


@contextmanager
def explained(place: str) -> Iterator[None]:
    """Convert OSError about a place into our own errors."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"there is too little room in {place}") from None
        refuses = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)
        kind: Any = Permanent if error.errno in refuses else Transient
        raise kind(f"{place} cannot be used: {error.strerror or error}") from None


def _bounded(text: bytes, place: str) -> bytes:
    if len(text) > _LARGEST_MANIFEST:
        raise BadInput(f"{place} is too large for a manifest", place=place, rule="at most 32 MiB")
    return text


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
