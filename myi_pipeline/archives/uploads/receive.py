"""Takes in an archive that arrives over the network and puts it with the uploads, if it is one.

The sensor never sees a file that is still growing or was refused. A name that a client sent is never used as a path. If
the process is killed, an archive that has reached its place is imported, and one that has not is removed a day later.
Checking and moving a file hold no database connection, since they may take seconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import psycopg

from myi_pipeline.archives.files import open_history
from myi_pipeline.archives.files.export_package import EXPORT_KIND, is_export, open_export
from myi_pipeline.archives.files.remote import RemoteFile
from myi_pipeline.archives.owners import (
    ArchiveFingerprint,
    SampledRow,
    identifying_members,
    may_begin,
    other_owner_message,
    sample_export,
    sample_rows,
)
from myi_pipeline.archives.reading_settings import account_hasher, archive_limits
from myi_pipeline.archives.uploads.incoming import Incoming, PlacedUpload
from myi_pipeline.people.manage_users import check_time_zone
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.settings import Settings

_LONGEST_NAME = 80
_ZIP_MAGIC = b"PK"
# A scrobbler log begins with comments, JSON with a bracket; a table is recognised by its name.
_TEXT_SUFFIXES = {b"#": ".log", b"{": ".json", b"[": ".json"}
_TABLE_SUFFIXES = (".csv", ".tsv", ".txt")


@dataclass(frozen=True, kw_only=True)
class JudgedUpload:
    """A file that is an archive, not yet in its place.

    `members` are its play files by size and CRC-32, `rows` a sample of their rows; `time_zone` is the player's zone for
    logs that do not state it, None if no file needs that.
    """

    upload: Incoming
    sha256: bytes
    archive_name: str
    kind: str
    size: int
    members: tuple[tuple[int, int], ...]
    rows: tuple[SampledRow, ...] = ()
    time_zone: str | None = None


@dataclass(frozen=True)
class TakenUpload:
    """The import of an archive's content; `is_known` if that content has been imported or is being imported."""

    import_id: int
    is_known: bool


def judge_upload(upload: Incoming, *, settings: Settings, name: str, time_zone: str) -> JudgedUpload:
    """Check the file. Raises BadInput (UnsafeArchive, WrongPackage) and OSError."""
    check_time_zone(time_zone)
    upload.finish()
    # Two simultaneous uploads have not counted each other.
    replace(upload.room, used=upload.used_bytes()).check(0)
    file = upload.named(partial(_name_for, name))
    if is_export(file):
        return _judge_export(upload, file, settings=settings)
    with open_history(file, limits=archive_limits(settings), hash_account=account_hasher(settings)) as archive:
        archive.time_zone = time_zone
        return JudgedUpload(
            upload=upload,
            sha256=archive.sha256,
            archive_name=archive.name,
            kind=archive.kind,
            size=sum(file.size for file in archive.files),
            members=identifying_members((content.size, content.crc32) for content in archive.contents),
            rows=sample_rows(archive),
            time_zone=time_zone if archive.files_without_zone else None,
        )


def _judge_export(upload: Incoming, file: Path | RemoteFile, *, settings: Settings) -> JudgedUpload:
    with open_export(file, limits=archive_limits(settings)) as package:
        package.check(with_marts=False)
        return JudgedUpload(
            upload=upload,
            sha256=package.sha256,
            archive_name=package.name,
            kind=EXPORT_KIND,
            size=package.bytes_total,
            members=(),
            rows=sample_export(package),
        )


def find_import_of(connection: Connection, judged: JudgedUpload, *, user_id: int) -> TakenUpload | None:
    """The import of this very content that is completed or under way, if any: the file is not needed then."""
    known = _find(connection, judged, user_id)
    is_known = known is not None and known[1] in ("completed", "completed_with_errors", "running")
    return TakenUpload(known[0], is_known=True) if known is not None and is_known else None


def place_upload(judged: JudgedUpload, *, user_key: str) -> PlacedUpload:
    """Move the file, or its object, to where it is imported from. Raises OSError, Transient and Permanent."""
    return judged.upload.put_in_place(user_key=user_key, suffix=place_suffix(judged.sha256.hex()))


def take_upload(connection: Connection, judged: JudgedUpload, placed: PlacedUpload, *, user_id: int) -> TakenUpload:
    """Record that an archive is waiting in its place. From then on it is imported, even if this process dies."""
    values = {
        "user_id": user_id,
        "sha256": judged.sha256,
        "archive_name": judged.archive_name,
        "kind": judged.kind,
        "bytes_total": judged.size,
        "time_zone": judged.time_zone,
    }
    known = _find(connection, judged, user_id)
    fingerprint = ArchiveFingerprint(sha256=judged.sha256, members=judged.members, rows=judged.rows)
    is_anothers = not may_begin(connection, fingerprint, user_id=user_id)
    values |= {
        "upload_name": placed.name,
        "seen_as": placed.seen_as,
        "confirmation": "needed" if is_anothers else None,
        "error": other_owner_message(judged.archive_name) if is_anothers else None,
    }
    # After the move: a row without a file would wait forever; a file without a row gets one from its import.
    try:
        announced = connection.execute(load_sql("archives/uploads/announce_import"), values).fetchone()
    except psycopg.errors.ForeignKeyViolation:
        # The user was removed in the meantime, and the folder may be somebody else's tomorrow.
        placed.take_back()
        raise
    found = announced or _find(connection, judged, user_id)
    assert found is not None
    return TakenUpload(int(found[0]), is_known=known is not None)


def _find(connection: Connection, judged: JudgedUpload, user_id: int) -> tuple[int, str] | None:
    values = {"user_id": user_id, "sha256": judged.sha256}
    row = connection.execute(load_sql("archives/uploads/find_import"), values).fetchone()
    return (int(row[0]), str(row[1])) if row is not None else None


def safe_name(name: str, *, suffix: str) -> str:
    """A file name of plain characters that begins with a letter or digit and ends with the suffix."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", name.rpartition("/")[2].rpartition("\\")[2])
    if stem.lower().endswith(suffix):
        stem = stem[: -len(suffix)]
    return (stem.strip("._-")[:_LONGEST_NAME] or "archive") + suffix


def place_suffix(sha256: str) -> str:
    """The end of a stored file's name: a part of its hash, so that two files with the same name stay apart."""
    return f"-{sha256[:8]}"


def _name_for(name: str, head: bytes) -> str:
    """A name that shows a file's kind, judged by its first bytes, whatever the client calls it."""
    # For UTF-16, every other byte, without the byte order mark.
    start = head.lstrip(b"\xef\xbb\xbf\xff\xfe").replace(b"\0", b"").lstrip()[:1]
    if head.startswith(_ZIP_MAGIC):
        suffix = ".zip"
    elif name.lower().endswith(_TABLE_SUFFIXES) and start not in (b"{", b"["):
        suffix = ".csv"
    else:
        suffix = _TEXT_SUFFIXES.get(start, ".json")
    return safe_name(name, suffix=suffix)
