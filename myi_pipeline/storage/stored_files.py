"""The interface of stores of files: a folder for each user, by user id, with files that are complete or absent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Final, Protocol

from myi_pipeline.errors import BadInput

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,80}\.[a-z0-9]{1,10}\Z")


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    user_id: int
    name: str
    size_bytes: int
    stored_at: datetime


class FileStore(Protocol):
    """Methods raise Transient if the store is unavailable or full, Permanent if it denies access. Times are UTC."""

    def writing(self, user_id: int, name: str, media_type: str) -> AbstractContextManager[BinaryIO]:
        """A file to write, which is stored when the block ends, and discarded if it raises."""
        ...

    def files(self, user_id: int) -> tuple[StoredFile, ...]:
        """One user's files, newest first."""
        ...

    def all_files(self) -> Iterator[StoredFile]: ...

    def delete(self, file: StoredFile) -> None:
        """Does nothing if it no longer exists."""
        ...

    def delete_all(self, user_id: int) -> None:
        """Delete all files of a user, including unfinished ones."""
        ...

    def link(self, user_id: int, name: str, *, expires_in_s: int) -> str | None:
        """A URL of the store, valid for this long; None if it has none, so that the site must serve the file."""
        ...


def check_name(name: str) -> str:
    """Raises BadInput for an invalid name: names are safe in every store and URL."""
    if not _NAME.match(name):
        raise BadInput("there is no such file", place="file name")
    return name


def is_name(name: str) -> bool:
    """Whether MYI could have stored a file with this name; others are not touched."""
    return _NAME.match(name) is not None


def make_room(store: FileStore, user_id: int, *, quota_bytes: int, keep: str) -> None:
    """Delete a user's oldest files until the rest fits the quota; the file called `keep` is never deleted."""
    files = store.files(user_id)
    total = sum(file.size_bytes for file in files)
    for file in reversed(files):
        if total > quota_bytes and file.name != keep:
            store.delete(file)
            total -= file.size_bytes


def prune(store: FileStore, *, before: datetime) -> int:
    """Delete older files, including unfinished ones; returns how many."""
    doomed = [file for file in store.all_files() if file.stored_at < before]
    for file in doomed:
        store.delete(file)
    return len(doomed)
