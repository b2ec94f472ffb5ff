"""A backup's description of itself, and checking its files against it.

The manifest is written last: a folder without one is not a backup.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from myi_pipeline.errors import BadInput, SchemaMismatch
from myi_pipeline.postgres.migrations import HEAD, REVISIONS
from myi_pipeline.storage.backups import MANIFEST, explained, is_backup_name, is_file_name

# Incremented if an older version could not restore what is written now.
FORMAT: Final = 1
WAREHOUSE, DAGSTER = "warehouse", "dagster"
SECRETS, UPLOADS, ARTIFACTS = "secrets.sealed", "uploads.tar", "artifacts.tar"
_CHUNK: Final = 1024 * 1024
_MOST_FILES: Final = 100_000

# Called with the bytes done, of all.
OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class BackupFile:
    """`path` is relative to the backup."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """`roles` are the names of the roles in the dump, by login; `counts` what was in the snapshot."""

    name: str
    made_at: datetime
    myi_version: str
    schema_version: str
    server_version: str
    database: str
    database_bytes: int
    # The major version of the pg_dump that made it.
    dump_major: int
    roles: Mapping[str, str]
    counts: Mapping[str, int]
    has_secrets: bool
    # Keys that came from the environment are not in the backup.
    has_keys_in_environment: bool
    artifacts_place: str | None
    # The location of uploads that are not in the backup.
    uploads_place: str | None = None
    # The installation it belongs to: ops.installation.
    installation: str | None = None
    files: tuple[BackupFile, ...]

    @property
    def total_bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    def has(self, path: str) -> bool:
        return any(file.path == path or file.path.startswith(f"{path}/") for file in self.files)

    def as_text(self) -> str:
        return json.dumps({"format": FORMAT, **asdict(self), "made_at": self.made_at.isoformat()}, indent=1) + "\n"

    @classmethod
    def parse(cls, text: bytes, *, place: str) -> Manifest:
        """Raises BadInput, and SchemaMismatch for the backup of a newer version."""
        try:
            found: dict[str, Any] = json.loads(text)
            format_version = int(found["format"])
            if format_version > FORMAT:
                raise _newer(place, str(found.get("myi_version", "?"))[:40])
            files = tuple(
                BackupFile(str(file["path"]), int(file["bytes"]), str(file["sha256"]))
                for file in found["files"][:_MOST_FILES]
            )
            manifest = cls(
                name=str(found["name"]),
                made_at=datetime.fromisoformat(found["made_at"]),
                myi_version=str(found["myi_version"])[:40],
                schema_version=str(found["schema_version"])[:40],
                server_version=str(found["server_version"])[:40],
                database=str(found["database"]),
                database_bytes=int(found["database_bytes"]),
                dump_major=int(found["dump_major"]),
                roles={str(login): str(role) for login, role in found["roles"].items()},
                counts={str(what): int(count) for what, count in found["counts"].items()},
                has_secrets=bool(found["has_secrets"]),
                has_keys_in_environment=bool(found["has_keys_in_environment"]),
                artifacts_place=None if found["artifacts_place"] is None else str(found["artifacts_place"]),
                uploads_place=None if found.get("uploads_place") is None else str(found["uploads_place"]),
                installation=None if found.get("installation") is None else str(found["installation"])[:40],
                files=files,
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            raise _damaged(place) from None
        if not is_backup_name(manifest.name) or not all(is_file_name(file.path) for file in files):
            raise _damaged(place)
        return manifest


def refuse_newer(manifest: Manifest, *, place: str) -> None:
    """Raises SchemaMismatch if this program does not know the backup's schema."""
    if manifest.schema_version not in REVISIONS:
        raise _newer(place, manifest.myi_version, f" (schema {manifest.schema_version}, this program's is {HEAD})")


def describe_files(folder: Path, *, on_progress: OnProgress = lambda *_: None) -> tuple[BackupFile, ...]:
    """Every file below a backup's folder, with its checksum."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    total, done = sum(path.stat().st_size for path in paths), 0
    files = []
    for path in paths:
        digest, size = _digest(path)
        done += size
        on_progress("checksums", done, total)
        files.append(BackupFile(str(path.relative_to(folder)), size, digest))
    return tuple(files)


def check_files(folder: Path, manifest: Manifest, *, place: str, on_progress: OnProgress = lambda *_: None) -> None:
    """Raises BadInput unless every file in the manifest exists, complete and unchanged."""
    done = 0
    for file in manifest.files:
        where = f"{place}/{file.path}"
        path = folder / file.path
        if not path.is_file():
            raise BadInput(
                f"{where} is missing: the backup is not whole", place=where, rule="every file of the manifest"
            )
        size = path.stat().st_size
        if size != file.bytes:
            rule = f"{file.bytes:,} bytes"
            raise BadInput(
                f"{where} has {size:,} bytes and not {rule}: it was cut off or changed", place=where, rule=rule
            )
        with explained(place):
            digest, _ = _digest(path)
        if digest != file.sha256:
            raise BadInput(
                f"{where} is damaged: its checksum is another one", place=where, rule=f"sha256 {file.sha256}"
            )
        done += size
        on_progress("checksums", done, manifest.total_bytes)


def _digest(path: Path) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size


def _damaged(place: str) -> BadInput:
    return BadInput(f"the manifest of {place} cannot be read", place=f"{place}/{MANIFEST}", rule="JSON that MYI wrote")


def _newer(place: str, version: str, more: str = "") -> SchemaMismatch:
    return SchemaMismatch(f"{place} was made by a newer MYI, {version}{more}: upgrade MYI, then restore")
