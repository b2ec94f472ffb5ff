"""The files in a backup: secrets, sealed; uploads and exports, each folder as one tar.

Unpacking writes only regular files below the given folder; an existing file is not replaced unless requested.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from myi_pipeline.archives.reading_settings import ACCOUNT_NAMES
from myi_pipeline.errors import BadInput
from myi_pipeline.operations.backup.sealing import seal, unseal
from myi_pipeline.people.tombstones import TOMBSTONES, TOMBSTONES_KEYS
from myi_pipeline.postgres.role_passwords import private_folder, write_private
from myi_pipeline.providers.encryption_keys import FILE_NAME as ENCRYPTION_KEYS
from myi_pipeline.settings import Settings
from myi_pipeline.storage.backups import explained

# Passwords of roles belong to one server, and are made again.
_LEFT_OUT: Final = ("roles-*.json", "*.pgpass", ".*")
ACCOUNT_NAMES_KEY: Final = f"{ACCOUNT_NAMES}.key"
# Tombstones take 160 bytes each.
_LARGEST_SECRET: Final = 16 * 1024 * 1024
# The first key is the one in use: for logins, that of the backup, which sealed the restored ones.
_ADDED_TO: Final = (ENCRYPTION_KEYS, TOMBSTONES, TOMBSTONES_KEYS)


def pack_secrets(settings: Settings, target: Path, *, passphrase: str) -> None:
    """What MYI_HOME/secrets keeps, and the key of account names even if it came by environment: no other key makes the
    hashes that are in the database. Raises BadInput for a passphrase that is too short."""
    found = {path.name: path.read_bytes() for path in _secrets_in(settings.secrets_folder)}
    if settings.account_names_key is not None:
        found[ACCOUNT_NAMES_KEY] = f"{settings.account_names_key.get_secret_value()}\n".encode()
    text = json.dumps({name: base64.b64encode(data).decode("ascii") for name, data in found.items()})
    target.write_bytes(seal(text.encode(), passphrase))


def open_secrets(sealed: Path, *, passphrase: str) -> dict[str, bytes]:
    """Name and content of each secret. Raises BadInput. Secret."""
    found: dict[str, str] = json.loads(unseal(sealed.read_bytes(), passphrase))
    for name in found:
        if "/" in name or name.startswith("."):
            raise BadInput("the sealed secrets cannot be read", place=sealed.name, rule="names of files")
    return {name: base64.b64decode(text) for name, text in found.items()}


def put_secrets(folder: Path, found: Mapping[str, bytes]) -> None:
    """Writes them to MYI_HOME/secrets.

    Existing keys for logins still open what they sealed; users erased here stay erased, and so do those erased where
    the backup was made."""
    private_folder(folder)
    for name, data in found.items():
        path = folder / name
        if name in _ADDED_TO and path.exists():
            separate = bytes.splitlines if name == TOMBSTONES else bytes.split
            lines, there = separate(data), separate(path.read_bytes())
            first, then = (lines, there) if name == ENCRYPTION_KEYS else (there, lines)
            data = b"".join(line + b"\n" for line in dict.fromkeys((*first, *then)) if line)
        write_private(path, data)


def _secrets_in(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        is_kept = path.is_file() and not path.is_symlink() and path.stat().st_size <= _LARGEST_SECRET
        if is_kept and not any(path.match(pattern) for pattern in _LEFT_OUT):
            yield path


def pack_folder(folder: Path, target: Path) -> int:
    """Packs the regular files below a folder as a tar; returns how many. Files that vanish meanwhile are left out."""
    packed = 0
    with target.open("xb") as out, tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for parent, folders, names in os.walk(folder):
            folders.sort()
            for name in sorted(names):
                path = Path(parent) / name
                try:
                    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
                except OSError:
                    continue
                with os.fdopen(handle, "rb") as file:
                    info = tar.gettarinfo(arcname=str(path.relative_to(folder)), fileobj=file)
                    if not info.isreg():
                        continue
                    info.uid = info.gid = 0
                    info.uname = info.gname = ""
                    tar.addfile(info, file)
                    packed += 1
    return packed


@dataclass(frozen=True)
class Unpacked:
    """How many files were written, and how many were skipped because something else was there."""

    written: int = 0
    kept: int = 0


def unpack_folder(source: Path, folder: Path, *, replace: bool = False) -> Unpacked:
    """Unpacks what pack_folder packed. Raises BadInput for anything else, DiskFull."""
    written = kept = 0
    with explained(str(folder)), tarfile.open(source, mode="r:") as tar:
        if not folder.exists():
            folder.mkdir(mode=0o700, parents=True)
        for member in tar:
            inside = PurePosixPath(member.name)
            if not member.isreg() or inside.is_absolute() or ".." in inside.parts or not inside.parts:
                rule = "regular files inside the folder"
                raise BadInput(
                    f"{source.name} holds {member.name!r}, which is none of MYI's", place=source.name, rule=rule
                )
            path = folder / inside
            if path.exists() and not replace and path.stat().st_size != member.size:
                kept += 1
                continue
            if path.exists() and path.stat().st_size == member.size:
                continue
            _write(tar, member, path, below=folder)
            written += 1
    return Unpacked(written, kept)


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path, *, below: Path) -> None:
    for parent in reversed(path.relative_to(below).parents):
        where = below / parent
        if where.is_symlink():
            raise BadInput(f"{where} is a link, and files are restored into folders", place=str(where), rule="a folder")
        where.mkdir(mode=0o700, exist_ok=True)
    beside = path.with_name(f".{secrets.token_hex(8)}")
    source = tar.extractfile(member)
    assert source is not None
    try:
        with beside.open("xb") as out:
            os.fchmod(out.fileno(), 0o600)
            shutil.copyfileobj(source, out)
        os.utime(beside, (member.mtime, member.mtime))
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
