"""An archive that arrives over the network: into the uploads folder, if it is one.

Belongs here: where an upload lies while it grows, judging it by its content, its row in app.imports. Not here: HTTP,
importing (the uploads folder is watched). Invariants: what is still growing or was refused is never seen by that watch;
a name that a client sent is never a path; killed anywhere, an archive that lies in its place is imported, and one that
does not is gone a day later.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import psycopg

from myi_pipeline.history import HistoryArchive, open_history
from myi_pipeline.services.reading_rules import account_hasher, archive_limits
from myi_pipeline.services.scan_uploads import SETTLE_S
from myi_pipeline.settings import Settings
from myi_pipeline.warehouse.sql_files import load_sql

Connection = psycopg.Connection[Any]

_PREFIX = ".incoming-"
_FORGOTTEN_S = 86_400
_LONGEST_NAME = 80
_ZIP_MAGIC = b"PK"


@dataclass(frozen=True)
class Incoming:
    """A hidden folder below the user's own, with one file that grows."""

    folder: Path
    file: BinaryIO


@dataclass(frozen=True)
class TakenUpload:
    """The import of an archive's content; `is_known` when that content is in already, or on its way."""

    import_id: int
    is_known: bool


@contextmanager
def incoming(settings: Settings, *, user_key: str) -> Iterator[Incoming]:
    """A place for an upload; whatever is still there afterwards is removed. Raises OSError."""
    uploads = settings.uploads_folder / user_key
    uploads.mkdir(parents=True, exist_ok=True, mode=0o700)
    _forget_old(uploads)
    folder = uploads / f"{_PREFIX}{secrets.token_hex(8)}"
    folder.mkdir(mode=0o700)
    try:
        with (folder / "upload").open("xb") as file:
            yield Incoming(folder, file)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def take_upload(
    connection: Connection, upload: Incoming, *, settings: Settings, user_id: int, user_key: str, name: str
) -> TakenUpload:
    """Judge the file and put it where it is found. Raises BadInput (UnsafeArchive, WrongPackage) and OSError."""
    upload.file.flush()
    os.fsync(upload.file.fileno())
    path = _named(upload.folder / "upload", name)
    with open_history(path, limits=archive_limits(settings), hash_account=account_hasher(settings)) as archive:
        values = _values(archive, user_id)
    known = connection.execute(load_sql("uploads/find_import"), values).fetchone()
    if known is not None and known[1] in ("completed", "completed_with_errors", "running"):
        return TakenUpload(int(known[0]), is_known=True)
    _put(path, upload.folder.parent, suffix=place_suffix(values["sha256"].hex()))
    # After the move: a row without a file would wait for ever; a file without a row gets one from its import.
    announced = connection.execute(load_sql("uploads/announce_import"), values).fetchone()
    found = announced or connection.execute(load_sql("uploads/find_import"), values).fetchone()
    assert found is not None
    return TakenUpload(int(found[0]), is_known=announced is None)


def safe_name(name: str, *, suffix: str) -> str:
    """A file name of plain characters that begins with a letter or digit and ends with the suffix."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", name.rpartition("/")[2].rpartition("\\")[2])
    if stem.lower().endswith(suffix):
        stem = stem[: -len(suffix)]
    return (stem.strip("._-")[:_LONGEST_NAME] or "archive") + suffix


def place_suffix(sha256: str) -> str:
    """What the name of a file in its place ends with: its content, so that two of one name are two."""
    return f"-{sha256[:8]}"


def _named(file: Path, name: str) -> Path:
    """The file under a name that tells its kind by its first bytes, whatever the client calls it."""
    with file.open("rb") as opened:
        suffix = ".zip" if opened.read(2) == _ZIP_MAGIC else ".json"
    return file.rename(file.with_name(safe_name(name, suffix=suffix)))


def _values(archive: HistoryArchive, user_id: int) -> dict[str, Any]:
    size = sum(file.size for file in archive.files)
    return {
        "user_id": user_id,
        "sha256": archive.sha256,
        "archive_name": archive.name,
        "kind": archive.kind,
        "bytes_total": size,
    }


def _put(path: Path, uploads: Path, *, suffix: str) -> None:
    """A ZIP among the user's files, a JSON file in a folder of its own: loose ones would be taken for one archive."""
    # Whole already: the watch need not wait and see whether it still grows.
    settled = time.time() - SETTLE_S - 1
    os.utime(path, (settled, settled))
    if path.suffix == ".zip":
        path.replace(uploads / f"{path.stem}{suffix}.zip")
        return
    target = uploads / f"{path.stem}{suffix}"
    with contextlib.suppress(FileExistsError):
        target.mkdir(mode=0o700)
    path.replace(target / path.name)


def _forget_old(uploads: Path) -> None:
    for folder in uploads.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > _FORGOTTEN_S:
                shutil.rmtree(folder, ignore_errors=True)
