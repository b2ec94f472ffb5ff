"""The uploads folder: which archives of which users lie there, whole, and not seen before.

Belongs here: the folder's rules (one sub-folder per user key; what counts as one archive; when it is complete) and what
is remembered from one look to the next. Not here: importing, the database, Dagster. Invariant: an archive that is still
being written is never handed out, one that is handed out is named by its content, and nothing that a person puts into
the folder stops the others from being found.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from myi_pipeline.services.uploads_units import Unit, entries_of, units_of

# A file that nobody has touched for this long is taken at first sight; a younger one when it looks the same twice.
SETTLE_S = 30.0
# After this long something that is still not whole is worth a remark.
STALE_S = 600.0
# SHA-256 runs at 0.5-2 GB/s: one look stays within a sensor's minute.
HASH_BYTES_A_LOOK = 4 * 1024**3
_CHUNK = 1024 * 1024
_END_OF_ZIP, _END_OF_ZIP_BYTES, _LONGEST_COMMENT = b"PK\x05\x06", 22, 65_535


@dataclass(frozen=True)
class Upload:
    """One archive: a ZIP, a folder, or the loose JSON files of a user's folder taken together.

    `name` is its path below the uploads folder; `paths` is what the reader gets; `sha256` names the content: a ZIP's
    own (the same as in app.imports), else that of its JSON files' hashes, sorted.
    """

    user_key: str
    name: str
    paths: tuple[Path, ...]
    sha256: str
    size: int

    @property
    def is_zip(self) -> bool:
        return len(self.paths) == 1 and self.paths[0].suffix.lower() == ".zip"


@dataclass(frozen=True)
class SeenFile:
    """What a look remembers of a file: while size, mtime and inode stay, its hash does."""

    size: int
    mtime_ns: int
    inode: int
    sha256: str = ""

    def is_same_as(self, other: SeenFile) -> bool:
        return (self.size, self.mtime_ns, self.inode) == (other.size, other.mtime_ns, other.inode)


@dataclass(frozen=True)
class UploadsSeen:
    """The memory between two looks: every file by its path below the folder, what was asked for already, and the hash
    under which app.imports knows an upload that is no ZIP."""

    files: Mapping[str, SeenFile] = field(default_factory=dict)
    asked: frozenset[str] = frozenset()
    archives: Mapping[str, str] = field(default_factory=dict)

    def as_text(self) -> str:
        files = {name: [f.size, f.mtime_ns, f.inode, f.sha256] for name, f in self.files.items()}
        values = {"version": 1, "files": files, "asked": sorted(self.asked), "archives": dict(self.archives)}
        return json.dumps(values, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str | None) -> UploadsSeen:
        """What as_text wrote. Anything else is an empty memory: looking again costs a hash, never a play."""
        try:
            values = json.loads(text or "{}")
            files = {str(name): SeenFile(*known) for name, known in values["files"].items()}
            return cls(files, frozenset(map(str, values["asked"])), dict(values["archives"]))
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls()


@dataclass(frozen=True)
class Scan:
    """One look: what is ready, what a person may want to know, and what to remember."""

    ready: tuple[Upload, ...]
    remarks: tuple[str, ...]
    waiting: int
    seen: UploadsSeen


def scan_uploads(
    folder: Path,
    *,
    users: Collection[str],
    seen: UploadsSeen,
    now_s: float,
    hash_bytes: int = HASH_BYTES_A_LOOK,
    only: Collection[str] | None = None,
) -> Scan:
    """Look once. `users` are the known keys; `only` limits the look to some of them; `now_s` is Unix time.

    Never raises because of what lies in the folder; a missing folder is an empty one.
    """
    look = _Look(folder, seen, now_s, hash_bytes)
    ready: list[Upload] = []
    known = set(users)
    for entry in entries_of(folder, look.remarks):
        if entry.name.startswith("."):
            continue
        if not entry.is_dir(follow_symlinks=False):
            look.remarks.append(f"{entry.name} lies beside the users' folders: move it into one of them")
        elif entry.name not in known:
            look.remarks.append(f"{entry.name}/ is no user's folder; add the user with: myi user add {entry.name}")
        elif only is None or entry.name in only:
            for unit in units_of(folder, entry.name, look.remarks):
                upload = look.judge(entry.name, unit)
                if upload is not None:
                    ready.append(upload)
    return Scan(tuple(ready), tuple(look.remarks), look.waiting, replace(seen, files=look.files))


class _Look:
    def __init__(self, folder: Path, seen: UploadsSeen, now_s: float, hash_bytes: int) -> None:
        self._folder, self._seen, self._now_s, self._hash_bytes = folder, seen, now_s, hash_bytes
        self.files: dict[str, SeenFile] = {}
        self.remarks: list[str] = []
        self.waiting = 0

    def judge(self, user_key: str, unit: Unit) -> Upload | None:
        """The unit as an upload, or None while it is not whole."""
        known = {name: self._look_at(name, path) for name, path in unit.files.items()}
        found = {name: file for name, file in known.items() if file is not None}
        if unit.is_unfinished or len(found) < len(known) or not all(map(self._is_settled, found, found.values())):
            self.waiting += 1
            return None
        broken = next((name for name, path in unit.files.items() if not ends_whole(path)), None)
        if broken is not None:
            self.waiting += 1
            if self._now_s - found[broken].mtime_ns / 1e9 > STALE_S:
                self.remarks.append(f"{broken} ends in the middle and has not grown for 10 min: upload it again")
            return None
        hashes = [self._hash(name, path, found[name]) for name, path in unit.files.items()]
        if not all(hashes):
            self.waiting += 1
            return None
        size = sum(file.size for file in found.values())
        if unit.path is not None and unit.path.suffix.lower() == ".zip":
            return Upload(user_key, unit.name, (unit.path,), hashes[0], size)
        paths = (unit.path,) if unit.path is not None else tuple(unit.files.values())
        return Upload(user_key, unit.name, paths, hash_of_files(hashes), size)

    def _look_at(self, name: str, path: Path) -> SeenFile | None:
        try:
            status = path.lstat()
        except OSError:
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        file = SeenFile(status.st_size, status.st_mtime_ns, status.st_ino)
        before = self._seen.files.get(name)
        self.files[name] = replace(file, sha256=before.sha256) if before and before.is_same_as(file) else file
        return self.files[name]

    def _is_settled(self, name: str, file: SeenFile) -> bool:
        before = self._seen.files.get(name)
        untouched_s = self._now_s - file.mtime_ns / 1e9
        return (before is not None and before.is_same_as(file)) or untouched_s >= SETTLE_S

    def _hash(self, name: str, path: Path, file: SeenFile) -> str:
        if file.sha256:
            return file.sha256
        if self._hash_bytes <= 0:
            return ""
        self._hash_bytes -= file.size
        try:
            value = hash_of_file(path)
        except OSError as error:
            self.remarks.append(f"{name} cannot be read: {error.strerror}")
            return ""
        self.files[name] = replace(file, sha256=value)
        return value


def hash_of_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def hash_of_files(hashes: Collection[str]) -> str:
    return hashlib.sha256(b"".join(sorted(bytes.fromhex(value) for value in hashes))).hexdigest()


def ends_whole(path: Path) -> bool:
    """Does the file end as a whole one would: a ZIP with its directory's end, JSON with a bracket?"""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _END_OF_ZIP_BYTES - _LONGEST_COMMENT))
            tail = file.read()
    except OSError:
        return False
    if path.suffix.lower() != ".zip":
        return tail.rstrip()[-1:] in (b"]", b"}")
    at = tail.rfind(_END_OF_ZIP)
    while at >= 0:
        # The comment's length must lead to the end of the file: the four bytes also occur by chance.
        if at + _END_OF_ZIP_BYTES + int.from_bytes(tail[at + 20 : at + 22], "little") == len(tail):
            return True
        at = tail.rfind(_END_OF_ZIP, 0, at)
    return False
