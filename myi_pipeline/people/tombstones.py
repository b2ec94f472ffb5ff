"""Erased users, recorded outside the database, so that restoring an older backup brings nobody back.

A tombstone is a keyed hash of a user's key and creation time: a later user with the same key has a different one.
`MYI_HOME/secrets/tombstones` has one JSON object per line, and no names; its key is next to it. A tombstone is written
before the first row is deleted. Both files are in backups, with the other secrets, so that restoring an older backup on
another machine brings nobody back either.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.local_keys import local_keys
from myi_pipeline.postgres.role_passwords import private_folder
from myi_pipeline.settings import Settings

# Files in MYI_HOME/secrets. A restored backup adds its lines to the existing ones.
TOMBSTONES, TOMBSTONES_KEYS = "tombstones", "tombstones.key"


def tombstones_file(settings: Settings) -> Path:
    return settings.secrets_folder / TOMBSTONES


def tombstone_of(settings: Settings, *, user_key: str, created_at: datetime) -> bytes:
    """Makes the key of this MYI_HOME if there is none."""
    return _tombstone(_keys(settings)[0], user_key, created_at)


def _tombstone(key: bytes, user_key: str, created_at: datetime) -> bytes:
    return hmac.new(key, f"{user_key}\0{created_at.timestamp():.6f}".encode(), hashlib.sha256).digest()


def write_tombstone(settings: Settings, tombstone: bytes, *, receipt_id: str, now: datetime) -> None:
    """Durable when this returns; an existing one is not written again."""
    if tombstone.hex() in read_tombstones(settings):
        return
    line = json.dumps({"tombstone": tombstone.hex(), "receipt": receipt_id, "at": now.isoformat()}) + "\n"
    private_folder(settings.secrets_folder)
    handle = os.open(tombstones_file(settings), os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        size = os.lseek(handle, 0, os.SEEK_END)
        # A process that was killed in the middle of a line left it without an end.
        is_torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
        os.write(handle, (("\n" if is_torn else "") + line).encode())
        os.fsync(handle)
    finally:
        os.close(handle)
    _sync_folder(settings.secrets_folder)


def read_tombstones(settings: Settings) -> dict[str, str]:
    """Receipts by tombstone, in hex; torn lines are ignored."""
    try:
        text = tombstones_file(settings).read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    found: dict[str, str] = {}
    for line in text.splitlines():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            entry: dict[str, Any] = json.loads(line)
            found[str(entry["tombstone"])] = str(entry["receipt"])
    return found


def users_with_tombstones(connection: Connection, settings: Settings) -> dict[int, str]:
    """Existing users who had been erased, with the receipts."""
    known = read_tombstones(settings)
    if not known:
        return {}
    keys, found = _keys(settings), dict[int, str]()
    for user_id, user_key, created_at in connection.execute("select user_id, user_key, created_at from app.users"):
        for key in keys:
            receipt = known.get(_tombstone(key, user_key, created_at).hex())
            if receipt is not None:
                found[int(user_id)] = receipt
    return found


def _keys(settings: Settings) -> tuple[bytes, ...]:
    """The first one makes tombstones; the others came with restored backups, and match the tombstones in those."""
    return local_keys(settings, TOMBSTONES)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
