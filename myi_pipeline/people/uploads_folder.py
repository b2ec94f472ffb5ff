"""A user's place in the uploads folder: made with the user, deleted with the user.

Invariant: nothing outside MYI_UPLOADS is touched, whatever links lie in it or stand in a folder's place.
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

log = logging.getLogger(__name__)

_REMOVED_PREFIX = ".removed-"


def make_uploads_folder(settings: Settings, user_key: str) -> Path:
    """Make MYI_UPLOADS/<user_key>, closed to other accounts; one that cannot be made is reported and no more."""
    folder = settings.uploads_folder / user_key
    try:
        settings.uploads_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        why = why_no_folder(folder) or error.strerror
        log.warning("the folder %s could not be made (%s): archives cannot be dropped there", folder, why)
    return folder


def delete_uploads_folder(settings: Settings, *, user_key: str, removal_id: int) -> None:
    """Delete MYI_UPLOADS/<user_key> with all that is in it. Killed anywhere, the next call goes on. Raises OSError.

    The folder first gets a name that no user has: from then on nobody takes what lies in it for anybody's archive.
    """
    uploads = settings.uploads_folder
    doomed = uploads / f"{_REMOVED_PREFIX}{removal_id}"
    _delete(doomed)
    # One more for what somebody put there while it was being deleted.
    for _ in range(2):
        try:
            os.rename(uploads / user_key, doomed)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.EXDEV):
                raise
            # A disk of its own is mounted there: it stays, empty.
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
        # A link in a folder's place: what it leads to is not ours.
        path.unlink()
        return
    # rmtree follows no link and, where the system lets it, cannot be led astray by one that is made meanwhile.
    shutil.rmtree(path)


def used_bytes(folder: Path) -> int:
    """The bytes of all files below a folder; links are not followed, and what vanishes meanwhile counts nothing."""
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
