"""Scans the uploads folder: which archives in it are complete, and which are stuck."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from myi_pipeline.archives.files.formats import WHOLE_SUFFIXES
from myi_pipeline.archives.uploads.units import Unit, entries_of, units_of
from myi_pipeline.postgres.folders import why_no_folder

# A file unchanged for this long is accepted at once; a younger one, if it looks the same in two scans.
SETTLE_S = 30.0
# A file that has not grown for this long and is incomplete has failed; if it grows after all, it is scanned again.
STALE_S = 120.0
# SHA-256 runs at 0.5-2 GB/s: one scan stays within a sensor's minute.
HASH_BYTES_PER_SCAN = 4 * 1024**3
# An empty file with an archive's name and this suffix says: it belongs to this user, although another one has it.
CONFIRMS_SUFFIX = ".confirm"
_CHUNK = 1024 * 1024
_END_OF_ZIP, _END_OF_ZIP_BYTES, _LONGEST_COMMENT = b"PK\x05\x06", 22, 65_535


@dataclass(frozen=True)
class Upload:
    """One archive: a ZIP, a folder, a table or log, or the loose JSON files of a user's folder taken together.

    `name` is its path below the uploads folder; `paths` is what the reader gets; `sha256` identifies the content: a
    ZIP's own (the same as in app.imports), or else that of its files' sorted hashes. `seen_as` changes when it is put
    there again, with any content. `confirmed_by` are files next to it that say that it belongs to this user.
    """

    user_key: str
    name: str
    paths: tuple[Path, ...]
    sha256: str
    size: int
    seen_as: str = ""
    confirmed_by: tuple[Path, ...] = ()

    @property
    def is_zip(self) -> bool:
        return len(self.paths) == 1 and self.paths[0].suffix.lower() == ".zip"


@dataclass(frozen=True)
class SeenFile:
    """What a scan remembers of a file: as long as size, mtime and inode stay the same, so does its hash."""

    size: int
    mtime_ns: int
    inode: int
    sha256: str = ""
    # Not compared: it also changes with a file's name and permissions.
    ctime_ns: int = field(default=0, compare=False)

    def is_same_as(self, other: SeenFile) -> bool:
        return (self.size, self.mtime_ns, self.inode) == (other.size, other.mtime_ns, other.inode)


@dataclass(frozen=True)
class UploadsSeen:
    """What is remembered between two scans: every file by its path below the folder, and the hash under which
    app.imports knows an upload that is not a ZIP. It saves hashing; nothing depends on it."""

    files: Mapping[str, SeenFile] = field(default_factory=dict)
    archives: Mapping[str, str] = field(default_factory=dict)

    def as_text(self) -> str:
        files = {name: [f.size, f.mtime_ns, f.inode, f.sha256] for name, f in self.files.items()}
        values = {"version": 2, "files": files, "archives": dict(self.archives)}
        return json.dumps(values, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str | None) -> UploadsSeen:
        """Reads what as_text wrote. Anything else is an empty memory: scanning again costs a hash, never a play."""
        try:
            values = json.loads(text or "{}")
            files = {str(name): SeenFile(*known) for name, known in values["files"].items()}
            return cls(files, dict(values["archives"]))
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls()


@dataclass(frozen=True)
class StuckUpload:
    """What looks like an archive but cannot be imported as it is: still being written, cut off, or unreadable.

    `name` is its path. `has_failed`: it will not become complete by itself.
    """

    user_key: str
    name: str
    size: int
    reason: str
    has_failed: bool


@dataclass(frozen=True)
class Scan:
    """One scan: what is ready, what a person may want to know, and what to remember.

    `seen_whole` are the users all of whose archives are in `ready`: an archive that is not there is not in the folder.
    `stuck` are the archives that are incomplete, whether they may still become complete or have failed.
    """

    ready: tuple[Upload, ...]
    remarks: tuple[str, ...]
    waiting: int
    seen: UploadsSeen
    seen_whole: frozenset[str] = frozenset()
    stuck: tuple[StuckUpload, ...] = ()


def scan_uploads(
    folder: Path,
    *,
    users: Collection[str],
    seen: UploadsSeen,
    now_s: float,
    hash_bytes: int = HASH_BYTES_PER_SCAN,
    only: Collection[str] | None = None,
) -> Scan:
    """Scan once. `users` are the known keys; `only` limits the scan to some of them; `now_s` is Unix time.

    Never raises because of what is in the folder; a missing folder counts as empty.
    """
    scanner = _Scanner(folder, seen, now_s, hash_bytes)
    ready: list[Upload] = []
    known = set(users)
    not_whole: set[str] = set()
    why = why_no_folder(folder)
    if why is not None:
        scanner.remarks.append(f"the uploads folder (MYI_UPLOADS) cannot be used: {why}")
    for entry in entries_of(folder, scanner.remarks):
        if entry.name.startswith("."):
            continue
        if not entry.is_dir(follow_symlinks=False):
            scanner.remarks.append(f"{entry.name} is not in a user's folder: move it into one")
        elif entry.name not in known:
            scanner.remarks.append(
                f"{entry.name}/ does not belong to any user; add the user with: myi user add {entry.name}"
            )
        elif only is None or entry.name in only:
            remarks = len(scanner.remarks)
            for unit in units_of(folder, entry.name, scanner.remarks):
                upload = scanner.upload_from(entry.name, unit)
                if upload is not None:
                    ready.append(upload)
                else:
                    not_whole.add(entry.name)
            if any("cannot be read" in remark for remark in scanner.remarks[remarks:]):
                # What is in there is not gone.
                not_whole.add(entry.name)
    whole = (known if only is None else known & set(only)) - not_whole if folder.is_dir() else set()
    return Scan(
        tuple(ready),
        tuple(scanner.remarks),
        scanner.waiting,
        replace(seen, files=scanner.files),
        frozenset(whole),
        tuple(scanner.stuck),
    )


class _Scanner:
    def __init__(self, folder: Path, seen: UploadsSeen, now_s: float, hash_bytes: int) -> None:
        self._folder, self._seen, self._now_s, self._hash_bytes = folder, seen, now_s, hash_bytes
        self.files: dict[str, SeenFile] = {}
        self.remarks: list[str] = []
        self.stuck: list[StuckUpload] = []
        self.unreadable: dict[str, str] = {}
        self.waiting = 0

    def upload_from(self, user_key: str, unit: Unit) -> Upload | None:
        """The unit as an upload, or None while it is incomplete."""
        known = {name: self._look_at(name, path) for name, path in unit.files.items()}
        found = {name: file for name, file in known.items() if file is not None}
        abandoned = self._abandoned(unit)
        if abandoned is not None and found:
            self.waiting += 1
            reason = (
                f"{abandoned} has not grown for {STALE_S / 60:.0f} min: finish or delete it, the files beside it wait"
            )
            self._note_stuck(user_key, unit, found, reason, has_failed=True)
            return None
        if unit.unfinished or len(found) < len(known) or not all(map(self._is_settled, found, found.values())):
            self.waiting += 1
            if found:
                self._note_stuck(user_key, unit, found, f"{unit.name} is still being written", has_failed=False)
            return None
        for name, path in unit.files.items():
            self._try_to_open(name, path)
        broken = next(
            (name for name, path in unit.files.items() if name not in self.unreadable and not ends_whole(path)), None
        )
        if broken is not None:
            self.waiting += 1
            has_failed = self._now_s - found[broken].mtime_ns / 1e9 > STALE_S
            is_zip = broken.lower().endswith(".zip")
            end = "a ZIP file must end with its directory" if is_zip else "JSON must end with ] or }"
            stale = f"It has not grown for {STALE_S / 60:.0f} min: upload it again."
            reason = f"{broken} is incomplete ({end}). {stale if has_failed else 'It may still be uploading.'}"
            self._note_stuck(user_key, unit, found, reason, has_failed=has_failed)
            return None
        hashes = [self._hash(name, path, found[name]) for name, path in unit.files.items()]
        if not all(hashes):
            self.waiting += 1
            unreadable = next((name for name in unit.files if name in self.unreadable), None)
            if unreadable is not None:
                reason = f"{unreadable} cannot be read: {self.unreadable[unreadable]}"
                self._note_stuck(user_key, unit, found, reason, has_failed=True)
            return None
        size = sum(file.size for file in found.values())
        is_zip = unit.path is not None and unit.path.suffix.lower() == ".zip"
        paths = (unit.path,) if unit.path is not None else tuple(unit.files.values())
        sha256 = hashes[0] if is_zip else hash_of_files(hashes)
        confirmed_by = tuple(path for path in _beside(paths) if path.is_file() and not path.is_symlink())
        return Upload(user_key, unit.name, paths, sha256, size, _seen_as(found), confirmed_by)

    def _abandoned(self, unit: Unit) -> str | None:
        """The file that a copying tool or browser was to rename when done, if none of them has grown for long."""
        touched: dict[str, float] = {}
        for name, path in unit.unfinished.items():
            with suppress(OSError):
                touched[name] = path.lstat().st_mtime
        is_over = bool(touched) and self._now_s - max(touched.values()) > STALE_S
        return max(touched, key=touched.__getitem__) if is_over else None

    def _note_stuck(
        self, user_key: str, unit: Unit, files: Mapping[str, SeenFile], reason: str, *, has_failed: bool
    ) -> None:
        if has_failed:
            self.remarks.append(reason)
        size = sum(file.size for file in files.values())
        self.stuck.append(StuckUpload(user_key, unit.name, size, reason, has_failed))

    def _try_to_open(self, name: str, path: Path) -> None:
        try:
            path.open("rb").close()
        except OSError as error:
            self.unreadable[name] = error.strerror or type(error).__name__

    def _look_at(self, name: str, path: Path) -> SeenFile | None:
        try:
            status = path.lstat()
        except OSError:
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        file = SeenFile(status.st_size, status.st_mtime_ns, status.st_ino, ctime_ns=status.st_ctime_ns)
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
        if self._hash_bytes <= 0 or name in self.unreadable:
            return ""
        self._hash_bytes -= file.size
        try:
            value = hash_of_file(path)
        except OSError as error:
            self.unreadable[name] = error.strerror or type(error).__name__
            return ""
        self.files[name] = replace(file, sha256=value)
        return value


def _seen_as(files: Mapping[str, SeenFile]) -> str:
    identities = sorted(f"{name}:{file.inode}:{file.ctime_ns}" for name, file in files.items())
    return hashlib.sha256("\n".join(identities).encode()).hexdigest()[:32]


def _beside(paths: Sequence[Path]) -> list[Path]:
    return [path.with_name(path.name + CONFIRMS_SUFFIX) for path in paths]


def hash_of_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def hash_of_files(hashes: Collection[str]) -> str:
    return hashlib.sha256(b"".join(sorted(bytes.fromhex(value) for value in hashes))).hexdigest()


def ends_whole(path: Path) -> bool:
    """Whether the file ends as a complete one would: a ZIP with the end of its directory, JSON with a bracket. Tables
    and logs always do unless they are empty."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _END_OF_ZIP_BYTES - _LONGEST_COMMENT))
            tail = file.read()
    except OSError:
        return False
    if path.suffix.lower() in WHOLE_SUFFIXES:
        return size > 0
    if path.suffix.lower() != ".zip":
        # Also in UTF-16: reading it reports what is wrong with that.
        return tail.replace(b"\0", b"").rstrip()[-1:] in (b"]", b"}")
    at = tail.rfind(_END_OF_ZIP)
    while at >= 0:
        # The comment's length must lead to the end of the file: the four bytes also occur by chance.
        if at + _END_OF_ZIP_BYTES + int.from_bytes(tail[at + 20 : at + 22], "little") == len(tail):
            return True
        at = tail.rfind(_END_OF_ZIP, 0, at)
    return False
