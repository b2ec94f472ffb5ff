"""Which of the archives in the uploads folder are to be imported now.

Belongs here: comparing what lies there with what app.imports says. Not here: looking into the folder (scan_uploads),
importing, Dagster. Invariant: a content is asked for once per attempt, never again once it is in, and at most
MOST_ATTEMPTS times when it fails; a lost memory asks for nothing twice that the database knows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg

from myi_pipeline.core.errors import BadInput
from myi_pipeline.history import Limits, open_history
from myi_pipeline.services.list_user_keys import list_user_keys
from myi_pipeline.services.reading_rules import account_hasher, archive_limits
from myi_pipeline.services.scan_uploads import Scan, Upload, UploadsSeen, scan_uploads
from myi_pipeline.settings import Settings
from myi_pipeline.warehouse.connections import Role, Warehouse
from myi_pipeline.warehouse.sql_files import load_sql

Connection = psycopg.Connection[Any]

# The import itself waits for locks and the run is repeated after a crash: what failed thrice wants a person.
MOST_ATTEMPTS = 3
_DONE = ("completed", "completed_with_errors")


@dataclass(frozen=True)
class WantedImport:
    """An upload to be imported; `key` is the same for the same content, user and attempt."""

    user_key: str
    name: str
    key: str


@dataclass(frozen=True)
class UploadPlan:
    wanted: tuple[WantedImport, ...]
    remarks: tuple[str, ...]
    seen: UploadsSeen

    def with_asked(self, asked: Sequence[WantedImport]) -> UploadsSeen:
        """The memory after these were asked for."""
        return replace(self.seen, asked=self.seen.asked | {each.key for each in asked})


@dataclass(frozen=True)
class _Known:
    status: str
    attempt: int
    error: str | None
    is_alive: bool


def find_wanted_imports(warehouse: Warehouse, *, settings: Settings, seen: UploadsSeen, now_s: float) -> UploadPlan:
    """One look at the uploads folder of this installation, compared with its database."""
    users = list_user_keys(warehouse)
    scan = scan_uploads(settings.uploads_folder, users=users, seen=seen, now_s=now_s)
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi uploads")) as connection:
        return plan_uploads(
            connection,
            scan,
            identify=lambda upload: archive_sha256(
                upload, limits=archive_limits(settings), hash_account=account_hasher(settings)
            ),
        )


def plan_uploads(connection: Connection, scan: Scan, *, identify: Callable[[Upload], str]) -> UploadPlan:
    """Judge one look. `identify` gives the hash by which app.imports knows an upload, or "" when it cannot be read."""
    hashes = {upload: _hash(upload, scan.seen, identify) for upload in scan.ready}
    known = _known_imports(connection, [(upload.user_key, sha256) for upload, sha256 in hashes.items() if sha256])
    wanted: list[WantedImport] = []
    remarks = list(scan.remarks)
    asked: set[str] = set()
    for upload, sha256 in hashes.items():
        of_content = f"{upload.user_key}:{upload.sha256[:32]}:"
        asked |= {key for key in scan.seen.asked if key.startswith(of_content)}
        row = known.get((upload.user_key, sha256))
        if row is not None and (row.status in _DONE or row.is_alive):
            continue
        attempt = row.attempt if row else 0
        if row is not None and attempt >= MOST_ATTEMPTS:
            remarks.append(
                f"{upload.name} has failed {attempt} times and is left alone: {row.error or 'it was killed'}"
            )
            continue
        key = f"{of_content}{attempt}"
        if key not in asked:
            wanted.append(WantedImport(upload.user_key, upload.name, key))
    archives = {upload.sha256: sha256 for upload, sha256 in hashes.items() if not upload.is_zip}
    return UploadPlan(tuple(wanted), tuple(remarks), replace(scan.seen, asked=frozenset(asked), archives=archives))


def _hash(upload: Upload, seen: UploadsSeen, identify: Callable[[Upload], str]) -> str:
    if upload.is_zip:
        return upload.sha256
    return seen.archives[upload.sha256] if upload.sha256 in seen.archives else identify(upload)


def archive_sha256(upload: Upload, *, limits: Limits, hash_account: Callable[[str], bytes]) -> str:
    """The hash of a folder or of JSON files as an archive: of its play files alone. "" when it is none."""
    paths: Path | Sequence[Path] = upload.paths[0] if len(upload.paths) == 1 else upload.paths
    try:
        with open_history(paths, limits=limits, hash_account=hash_account) as archive:
            return archive.sha256.hex()
    except (BadInput, OSError):
        return ""


def _known_imports(connection: Connection, contents: Sequence[tuple[str, str]]) -> dict[tuple[str, str], _Known]:
    if not contents:
        return {}
    values = {"user_keys": [user for user, _ in contents], "hashes": [bytes.fromhex(value) for _, value in contents]}
    rows = connection.execute(load_sql("uploads/known_imports"), values).fetchall()
    return {(row[0], row[1].hex()): _Known(*row[2:]) for row in rows}
