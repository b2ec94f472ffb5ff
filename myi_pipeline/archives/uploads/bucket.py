"""The uploads of an installation whose MYI_UPLOADS is an object store: listing them, and fetching one temporarily.

Each object is an archive by itself, a ZIP or a single file, and exists completely or not at all.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from myi_pipeline.archives.files.formats import READ_SUFFIXES
from myi_pipeline.archives.uploads import upload_log
from myi_pipeline.archives.uploads.scan import Scan, SeenFile, Upload, UploadsSeen, hash_of_files
from myi_pipeline.archives.uploads.units import PACKED_SUFFIXES, is_hidden
from myi_pipeline.errors import Gone, MyiError, Transient
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.disk_space import disk_guard
from myi_pipeline.settings import Settings
from myi_pipeline.storage.object_store import StoredObject
from myi_pipeline.storage.uploads_bucket import UploadsBucket

_FETCHED = ".fetched"
_LONGEST_NAME_BYTES = 255
# A sensor has 60 s: no read starts after the first of these, and a read is given up after the second.
_READ_FOR_S, _LOOK_ENDS_S = 20.0, 40.0


def scan_bucket(
    bucket: UploadsBucket,
    connection: Connection,
    *,
    users: Collection[str],
    seen: UploadsSeen,
    only: str | None = None,
    names: Collection[str] | None = None,
    is_limited: bool = True,
    clock: Callable[[], float] = time.monotonic,
) -> Scan:
    """Scan once, as scan_uploads does for a folder; `only` limits the scan to one user.

    What came over the network is known by its row. Anything else that is new is read once, in parts, for its hash, and
    has a row from then on; with `names`, only objects with these names. A limited scan ends within a sensor's minute,
    and the next one continues. Raises Transient and Permanent if the store cannot be listed, and Transient if one of
    `names` cannot be read right now.
    """
    remarks: list[str] = []
    found = [each for each in bucket.objects(only) if _is_archive(each.key, remarks)]
    by_name = upload_log.hashes_by_name(connection, user_keys=[only] if only is not None else list(users))
    files: dict[str, SeenFile] = {}
    ready: list[Upload] = []
    not_whole: set[str] = set()
    strangers: set[str] = set()
    gone: set[str] = set()
    hashes = {each.key: _known_hash(each, seen.files.get(each.key), by_name.get(each.key)) for each in found}
    began = clock()

    def check_time() -> None:
        if is_limited and clock() - began > _LOOK_ENDS_S:
            raise TimeoutError

    # The smallest first: a large one that is not read in time does not delay others.
    for each in sorted(found, key=lambda found: found.size):
        user_key = each.key.partition("/")[0]
        if hashes[each.key] or user_key not in users or (names is not None and each.key not in names):
            continue
        if is_limited and clock() - began > _READ_FOR_S:
            break
        try:
            hashes[each.key] = _hash(bucket, each, check_time)
        except Gone:
            gone.add(each.key)
            continue
        except TimeoutError:
            remarks.append(
                f"{each.key} is too large to be read in one scan: a run of import_uploads for its user can read it"
            )
            break
        except MyiError as error:
            if names is not None and isinstance(error, Transient):
                raise
            remarks.append(f"{each.key} cannot be read: {error}")
            continue
        upload_log.note_new(
            connection,
            user_key=user_key,
            sha256=hashes[each.key],
            upload_name=each.key,
            size=each.size,
            seen_as=each.identity,
        )
    for each in sorted(found, key=lambda found: found.key):
        user_key = each.key.partition("/")[0]
        if user_key not in users:
            strangers.add(user_key)
            continue
        if each.key in gone:
            continue
        sha256 = hashes[each.key]
        files[each.key] = _as_seen(each, sha256)
        if sha256:
            ready.append(Upload(user_key, each.key, (Path(each.key),), sha256, each.size, each.identity))
        elif names is None:
            not_whole.add(user_key)
    remarks += [
        f"{key}/ does not belong to any user; add the user with: myi user add {key}" for key in sorted(strangers)
    ]
    whole = ({only} if only is not None else set(users)) - not_whole
    return Scan(tuple(ready), tuple(remarks), len(files) - len(ready), replace(seen, files=files), frozenset(whole))


@contextmanager
def fetched(bucket: UploadsBucket, settings: Settings, name: str, *, size: int) -> Iterator[Path]:
    """A copy of an object in a local file, under its own name, for the duration of the block.

    If the process is killed, the next forget_fetched on this machine removes the copy. Raises Gone, DiskFull,
    Transient, Permanent, OSError.
    """
    disk_guard(settings).check(needed_bytes=size)
    with _folder_of_its_own(settings.uploads_folder / _FETCHED) as folder:
        path = folder / _file_name(name)
        bucket.fetch(name, path)
        yield path


def forget_fetched(settings: Settings) -> None:
    """Remove the copies that killed processes left on this machine. Raises OSError."""
    parent = settings.uploads_folder / _FETCHED
    if parent.is_dir():
        with _locked(parent):
            _remove_unused(parent)


def _remove_unused(parent: Path) -> None:
    for left in parent.iterdir():
        with suppress(BlockingIOError), _locked(left, may_wait=False):
            shutil.rmtree(left, ignore_errors=True)


def _file_name(name: str) -> str:
    """A valid file name: an object's name may not be one."""
    last = name.rpartition("/")[2]
    if last.strip(".") and "\0" not in last and len(last.encode("utf-8", "replace")) <= _LONGEST_NAME_BYTES:
        return last
    return "archive.zip" if last.lower().endswith(".zip") else "archive.json"


@contextmanager
def _folder_of_its_own(parent: Path) -> Iterator[Path]:
    """A new folder, locked while it is in use: the kernel drops the lock of a dead process, and the next call removes
    what it left."""
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = parent / secrets.token_hex(8)
    with _locked(parent):
        _remove_unused(parent)
        folder.mkdir(mode=0o700)
        handle = _lock(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


@contextmanager
def _locked(folder: Path, *, may_wait: bool = True) -> Iterator[None]:
    handle = _lock(folder, may_wait=may_wait)
    try:
        yield
    finally:
        os.close(handle)


def _lock(folder: Path, *, may_wait: bool = True) -> int:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if may_wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle


def _is_archive(key: str, remarks: list[str]) -> bool:
    parts = key.split("/")
    if any(map(is_hidden, parts)):
        return False
    if len(parts) == 1:
        remarks.append(f"{key} is not in a user's folder: move it into one")
        return False
    if key.lower().endswith(PACKED_SUFFIXES):
        remarks.append(f"{key} is not a ZIP: unpack it, and upload its files as a ZIP")
        return False
    return key.lower().endswith((".zip", *READ_SUFFIXES))


def _known_hash(each: StoredObject, before: SeenFile | None, row: Mapping[str, str] | None) -> str:
    remembered = before.sha256 if before is not None and before.is_same_as(_as_seen(each)) else ""
    return remembered or (row or {}).get(each.identity, "")


def _as_seen(each: StoredObject, sha256: str = "") -> SeenFile:
    stored_ns = int(each.stored_at.timestamp()) * 1_000_000_000
    return SeenFile(each.size, stored_ns, int(each.identity[:12], 16), sha256)


def _hash(bucket: UploadsBucket, each: StoredObject, check_time: Callable[[], None]) -> str:
    """The hash that identifies an archive in app.imports: of a ZIP's bytes, or of a single file's hash."""
    digest = hashlib.sha256()
    for chunk in bucket.chunks(each.key):
        check_time()
        digest.update(chunk)
    return digest.hexdigest() if each.key.lower().endswith(".zip") else hash_of_files([digest.hexdigest()])
