"""A user's place for uploads, in a folder or an object store: created and deleted with the user.

Invariant: nothing outside MYI_UPLOADS is touched, whatever links are in it or replace a folder.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import stat
from pathlib import Path

from myi_pipeline.postgres.folders import why_no_folder
from myi_pipeline.settings import Settings
from myi_pipeline.settings.artifacts import is_object_store
from myi_pipeline.storage.open_store import open_uploads

log = logging.getLogger(__name__)

_REMOVED_PREFIX = ".removed-"


def make_uploads_folder(settings: Settings, user_key: str) -> None:
    """Creates MYI_UPLOADS/<user_key>, without access for other accounts; a failure is only logged. An object store
    needs no folder."""
    if is_object_store(settings.uploads_place):
        return
    folder = settings.uploads_folder / user_key
    try:
        settings.uploads_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        why = why_no_folder(folder) or error.strerror
        log.warning("the folder %s could not be created (%s): archives cannot be put there", folder, why)


def delete_uploads_folder(settings: Settings, *, user_key: str, removal_id: int) -> None:
    """Deletes MYI_UPLOADS/<user_key> with its content. If killed, the next call continues. Raises OSError and, for an
    object store, Transient and Permanent.

    The folder is first renamed to a name that no user has, so that its files are no longer taken for anybody's
    archives.
    """
    bucket = open_uploads(settings)
    if bucket is not None:
        bucket.delete_all(user_key)
    # Also with an object store: files that were still being uploaded.
    uploads = settings.uploads_folder
    doomed = uploads / f"{_REMOVED_PREFIX}{removal_id}"
    _delete(doomed)
    # One more for files that were put there during the deletion.
    for _ in range(2):
        try:
            os.rename(uploads / user_key, doomed)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.EXDEV):
                raise
            # A separate disk is mounted there: it stays, empty.
            for path in (uploads / user_key).iterdir():
                _delete(path)
            return
        _delete(doomed)


def _delete(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(mode):
        # A link instead of a folder: its target is not ours.
        path.unlink()
        return
    # rmtree follows no links and, if the system supports it, is safe against links made in the meantime.
    shutil.rmtree(path)


def used_bytes(folder: Path) -> int:
    """The bytes of all files below a folder; links are not followed, and files that vanish meanwhile do not count."""
    total = 0
    waiting = [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
                    else:
                        with contextlib.suppress(FileNotFoundError):
                            total += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
    return total


def count_uploads(settings: Settings, user_key: str) -> int:
    """A user's files, or objects; links count as one and are not followed. Raises Transient and Permanent."""
    bucket = open_uploads(settings)
    if bucket is not None:
        return sum(1 for _ in bucket.objects(user_key))
    count = 0
    waiting = [settings.uploads_folder / user_key]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
                    else:
                        count += 1
        except OSError:
            continue
    return count
