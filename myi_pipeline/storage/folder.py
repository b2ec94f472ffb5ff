"""Files in a local folder that other accounts cannot access.

A file is written under a name that readers ignore, and then renamed, so that a killed process leaves no partial file.
No link is followed, neither in a user's folder nor in place of one.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

from myi_pipeline.errors import DiskFull, Permanent, Transient
from myi_pipeline.storage.stored_files import StoredFile, check_name, is_name

# The prefix of files being written, which no stored file has.
_UNFINISHED: Final = "."
_UNFINISHED_END: Final = re.compile(r"\.[0-9a-f]{8}\Z")


class FolderStore:
    """A FileStore in a folder, which is created on first use."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def writing(self, user_id: int, name: str, media_type: str) -> Iterator[BinaryIO]:
        place = self._folder / str(user_id)
        unfinished = place / f"{_UNFINISHED}{check_name(name)}.{secrets.token_hex(4)}"
        with _explained(self._folder):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            place.mkdir(mode=0o700, exist_ok=True)
            if place.is_symlink():
                raise Permanent(f"{place} is a link, not a folder")
            handle = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with _explained(self._folder), os.fdopen(handle, "w+b") as out:
                yield out
                out.flush()
                os.fsync(out.fileno())
            with _explained(self._folder):
                os.replace(unfinished, place / name)
        finally:
            unfinished.unlink(missing_ok=True)

    def files(self, user_id: int) -> tuple[StoredFile, ...]:
        found = [file for file in self._all_of(self._folder / str(user_id)) if not file.name.startswith(_UNFINISHED)]
        return tuple(sorted(found, key=lambda file: (file.stored_at, file.name), reverse=True))

    def all_files(self) -> Iterator[StoredFile]:
        with _explained(self._folder):
            try:
                folders = sorted(each.name for each in os.scandir(self._folder) if each.is_dir(follow_symlinks=False))
            except FileNotFoundError:
                return
        for folder in folders:
            if folder.isascii() and folder.isdigit():
                yield from self._all_of(self._folder / folder)

    def delete(self, file: StoredFile) -> None:
        with _explained(self._folder):
            (self._folder / str(file.user_id) / file.name).unlink(missing_ok=True)

    def delete_all(self, user_id: int) -> None:
        place = self._folder / str(user_id)
        with _explained(self._folder):
            if place.is_symlink():
                place.unlink()
                return
            # Once more, for files written in the meantime.
            for _ in range(2):
                for name in [each.name for each in os.scandir(place)] if place.is_dir() else []:
                    if _is_ours(name):
                        (place / name).unlink(missing_ok=True)
            # Other content is not ours.
            with suppress(OSError):
                place.rmdir()

    def link(self, user_id: int, name: str, *, expires_in_s: int) -> None:
        return None

    def read(self, user_id: int, name: str) -> BinaryIO | None:
        """The file, to be closed by the caller; None if it does not exist."""
        place = self._folder / str(user_id)
        if place.is_symlink():
            return None
        try:
            handle = os.open(place / check_name(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return None
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            return None
        return os.fdopen(handle, "rb")

    def _all_of(self, place: Path) -> Iterator[StoredFile]:
        """Including unfinished files."""
        if place.is_symlink():
            return
        with _explained(self._folder):
            try:
                entries = list(os.scandir(place))
            except (FileNotFoundError, NotADirectoryError):
                return
            for entry in entries:
                try:
                    found = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if stat.S_ISREG(found.st_mode) and _is_ours(entry.name):
                    yield StoredFile(
                        user_id=int(place.name),
                        name=entry.name,
                        size_bytes=found.st_size,
                        stored_at=datetime.fromtimestamp(found.st_mtime, UTC),
                    )


def _is_ours(name: str) -> bool:
    if name.startswith(_UNFINISHED):
        return _UNFINISHED_END.search(name) is not None and is_name(_UNFINISHED_END.sub("", name[1:]))
    return is_name(name)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"there is too little room in {folder}") from None
        kind = Permanent if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR) else Transient
        raise kind(f"{folder} cannot be used: {error.strerror}") from None
