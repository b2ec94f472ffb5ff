"""Deletes the files of an archive from the uploads once they are no longer needed.

Only copies of that very archive, and of its files, in the user's own folder are deleted; links are not followed.
"""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from myi_pipeline.archives.files import open_history
from myi_pipeline.archives.files.formats import READ_SUFFIXES
from myi_pipeline.archives.owners import identifying_members
from myi_pipeline.archives.reading_settings import account_hasher, archive_limits
from myi_pipeline.archives.uploads.bucket import fetched
from myi_pipeline.archives.uploads.plan import archive_sha256
from myi_pipeline.archives.uploads.receive import place_suffix
from myi_pipeline.archives.uploads.units import units_of
from myi_pipeline.errors import BadInput, Gone, Permanent, Transient
from myi_pipeline.settings import Settings
from myi_pipeline.storage.open_store import open_uploads
from myi_pipeline.storage.uploads_bucket import UploadsBucket

_CHUNK = 1024 * 1024
# Play files by size and CRC-32.
Members = Collection[tuple[int, int]]


def has_file(settings: Settings, *, user_key: str, sha256: str, upload_name: str | None) -> bool:
    """Whether the archive is still where it was seen; checks only names. False while an object store is unavailable."""
    bucket = open_uploads(settings)
    if bucket is not None:
        try:
            names = {each.key for each in bucket.objects(user_key)}
        except (Transient, Permanent):
            return False
        return upload_name in names or any(place_suffix(sha256) in name for name in names)
    folder = settings.uploads_folder / user_key
    if upload_name == user_key:
        return any(path.name.lower().endswith(READ_SUFFIXES) for path in folder.glob("[!.]*"))
    if upload_name is not None and os.path.lexists(settings.uploads_folder / upload_name):
        return True
    return any(folder.glob(f"[!.]*{place_suffix(sha256)}*"))


def forget_upload(settings: Settings, *, user_key: str, sha256: str, members: Members) -> int:
    """Delete every copy of an archive from the user's folder: the same content under any name, packed again or
    unpacked, its files alone, and copies that are not in their place yet. Returns how many files were deleted. Raises
    OSError and, for an object store, Transient and Permanent."""
    bucket = open_uploads(settings)
    if bucket is not None:
        return _forget_objects(bucket, settings, user_key, sha256=sha256, members=members)
    folder = settings.uploads_folder / user_key
    if folder.is_symlink():
        return 0
    doomed = {path for unit in _same_units(settings, user_key, sha256) for path in unit}
    for path in _files_below(folder):
        if path not in doomed and _is_copy(settings, path, sha256=sha256, members=members):
            doomed.add(path)
    for path in doomed:
        path.unlink(missing_ok=True)
    for parent in {parent for path in doomed for parent in path.parents if folder in parent.parents}:
        _remove_if_empty(parent, folder)
    return len(doomed)


def _forget_objects(bucket: UploadsBucket, settings: Settings, user_key: str, *, sha256: str, members: Members) -> int:
    forgotten = 0
    for each in list(bucket.objects(user_key)):
        with suppress(Gone), fetched(bucket, settings, each.key, size=each.size) as path:
            if _is_archive(settings, (path,), sha256) or _is_copy(settings, path, sha256=sha256, members=members):
                bucket.delete(each.key)
                forgotten += 1
    return forgotten


def _is_archive(settings: Settings, paths: Sequence[Path], sha256: str) -> bool:
    limits, hash_account = archive_limits(settings), account_hasher(settings)
    return archive_sha256(paths, limits=limits, hash_account=hash_account) == sha256


def _same_units(settings: Settings, user_key: str, sha256: str) -> Iterator[Collection[Path]]:
    """Folders and loose files that are this archive as a whole."""
    for unit in units_of(settings.uploads_folder, user_key, []):
        paths = (unit.path,) if unit.path is not None else tuple(unit.files.values())
        is_zip = unit.path is not None and unit.path.suffix.lower() == ".zip"
        if not is_zip and _is_archive(settings, paths, sha256):
            yield unit.files.values()


def _files_below(folder: Path) -> Iterator[Path]:
    """Regular files, including hidden ones: an interrupted upload may have left one."""
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place) / name
            with suppress(OSError):
                if stat.S_ISREG(path.lstat().st_mode):
                    yield path


def _is_copy(settings: Settings, path: Path, *, sha256: str, members: Members) -> bool:
    with path.open("rb") as file:
        is_zip = file.read(2) == b"PK"
    if not is_zip:
        return path.stat().st_size in {size for size, _ in members} and _content(path) in set(members)
    try:
        with open_history(path, limits=archive_limits(settings), hash_account=account_hasher(settings)) as archive:
            found = identifying_members((content.size, content.crc32) for content in archive.contents)
            return archive.sha256.hex() == sha256 or (bool(found) and set(found) <= set(members))
    except BadInput:
        return False


def _content(path: Path) -> tuple[int, int]:
    size = crc = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            size, crc = size + len(chunk), zlib.crc32(chunk, crc)
    return size, crc


def _remove_if_empty(folder: Path, top: Path) -> None:
    while folder != top:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent
