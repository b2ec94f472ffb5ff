"""Erased users, recorded outside the database, so that restoring an older backup brings nobody back.

A tombstone is a keyed hash of a user's key and creation time: a later user with the same key has a different one.
`MYI_HOME/secrets/tombstones` has one JSON object per line, and no names; its key is next to it. A tombstone is written
before the first row is deleted. Both files are in backups, with the other secrets, so that restoring an older backup on
another machine brings nobody back either.

Homes of parts on several hosts come and go. Where backups or exports are in an object store, each tombstone is there as
an object of its own, which nobody overwrites, and so is each key that made one; a restore brings them into its home.
They are read at no other time: a copy of an installation that uses the same bucket must not erase the original's users.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import json
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.local_keys import local_keys
from myi_pipeline.postgres.role_passwords import private_folder
from myi_pipeline.settings import Settings
from myi_pipeline.storage.object_store import Bucket
from myi_pipeline.storage.open_store import record_buckets

# Files in MYI_HOME/secrets. A restored backup adds its lines to the existing ones.
TOMBSTONES, TOMBSTONES_KEYS = "tombstones", "tombstones.key"
# Objects beside backups and exports, of which neither has such a name.
RECORD, RECORD_KEYS = "erased/tombstones/", "erased/keys/"
_LONGEST_ENTRY = 1_024


def tombstones_file(settings: Settings) -> Path:
    return settings.secrets_folder / TOMBSTONES


def tombstone_of(settings: Settings, *, user_key: str, created_at: datetime) -> bytes:
    """Makes the key of this MYI_HOME if there is none."""
    return _tombstone(_keys(settings)[0], user_key, created_at)


def _tombstone(key: bytes, user_key: str, created_at: datetime) -> bytes:
    return hmac.new(key, f"{user_key}\0{created_at.timestamp():.6f}".encode(), hashlib.sha256).digest()


def write_tombstone(settings: Settings, tombstone: bytes, *, receipt_id: str, now: datetime) -> None:
    """Durable when this returns, here and in each object store that keeps the record; an existing line is not written
    again. Raises Transient and Permanent if a store does not take it."""
    line = json.dumps({"tombstone": tombstone.hex(), "receipt": receipt_id, "at": now.isoformat()}) + "\n"
    if tombstone.hex() not in read_tombstones(settings):
        _append(settings, line)
    for bucket in record_buckets(settings):
        _put_keys(settings, bucket)
        bucket.put(f"{RECORD}{tombstone.hex()}", line.encode())


def _append(settings: Settings, line: str) -> None:
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
    return {tombstone: receipt for tombstone, receipt, _ in _lines(settings)}


def _lines(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Tombstone in hex, receipt, and the whole line."""
    try:
        text = tombstones_file(settings).read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    for line in text.splitlines():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            entry: dict[str, Any] = json.loads(line)
            yield str(entry["tombstone"]), str(entry["receipt"]), line


def recorded_tombstones(settings: Settings) -> set[str]:
    """In hex, what a restore here would know: of this home and of the object stores. Raises Transient and Permanent."""
    listed = (each.key for bucket in record_buckets(settings) for each in bucket.listed(RECORD))
    return read_tombstones(settings).keys() | {key.removeprefix(RECORD) for key in listed}


def share_tombstones(settings: Settings) -> int:
    """Brings what only this home records into the object stores; returns how many. Raises Transient and Permanent."""
    lines = {tombstone: line for tombstone, _, line in _lines(settings)}
    shared = 0
    for bucket in record_buckets(settings) if lines else ():
        there = {each.key.removeprefix(RECORD) for each in bucket.listed(RECORD)}
        if missing := lines.keys() - there:
            _put_keys(settings, bucket)
        for tombstone in missing:
            bucket.put(f"{RECORD}{tombstone}", f"{lines[tombstone]}\n".encode())
            shared += 1
    return shared


def fetch_record(settings: Settings, *, backups: str) -> dict[str, bytes]:
    """What the object stores record, that of the backups at `backups` included, as files for MYI_HOME/secrets. Raises
    Transient and Permanent. Secret."""
    found: dict[str, list[bytes]] = {TOMBSTONES: [], TOMBSTONES_KEYS: []}
    for bucket in record_buckets(settings, backups=backups):
        for name, prefix in ((TOMBSTONES, RECORD), (TOMBSTONES_KEYS, RECORD_KEYS)):
            for each in bucket.listed(prefix):
                found[name].append(bucket.read(each.key, limit=_LONGEST_ENTRY) or b"")
    return {name: b"".join(dict.fromkeys(entries)) for name, entries in found.items() if entries}


def _put_keys(settings: Settings, bucket: Bucket) -> None:
    """Without its key a tombstone is recognised by nobody. What a key is called says nothing about it."""
    for key in _keys(settings):
        name = hashlib.blake2b(key, digest_size=16, person=b"myi tombstones").hexdigest()
        bucket.put(f"{RECORD_KEYS}{name}", f"{key.hex()}\n".encode())


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
