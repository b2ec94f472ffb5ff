"""Looks into the uploads folder: which files make one archive, and which archives are complete.

Every entry belongs to a unit, is named in a remark, or is hidden on purpose (a leading dot). No link is followed.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from myi_pipeline.archives.files.formats import READ_SUFFIXES
from myi_pipeline.postgres.folders import why_no_folder

# Files that browsers and copying tools rename when they are done.
UNFINISHED_SUFFIXES = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".download", ".filepart", ".opdownload")
# Packed in a way that is not read: whoever puts one there expects something to happen.
_PACKED_SUFFIXES = (".7z", ".rar", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst")
# One file of these is an archive by itself: nothing is cut into several of them.
_WHOLE_SUFFIXES = (".csv", ".log")
# Hidden files are left alone, but players hide this one.
_PLAYERS_LOG = ".scrobbler"
_DEEPEST = 16


@dataclass
class Unit:
    """The files that make one archive."""

    name: str
    path: Path | None
    files: dict[str, Path] = field(default_factory=dict)
    unfinished: dict[str, Path] = field(default_factory=dict)


def entries_of(folder: Path, remarks: list[str]) -> list[os.DirEntry[str]]:
    """The entries of a folder, sorted by name; problems go to the remarks."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []
    except OSError as error:
        remarks.append(f"{folder.name}/ cannot be read: {error.strerror}")
        return []
    good = [entry for entry in found if _is_text(entry.name)]
    if len(good) < len(found):
        remarks.append(f"{folder.name}/ holds names that are not UTF-8 ({len(found) - len(good)}): rename them")
    return good


def _is_text(name: str) -> bool:
    """Whether it can be encoded: logs and databases accept nothing else."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def units_of(folder: Path, user_key: str, remarks: list[str]) -> Iterator[Unit]:
    """Each ZIP is an archive; the files below one sub-folder are one; loose JSON files together are one, and every
    other loose file is one.

    Files of one export belong together, because rows that agree are numbered over the whole archive.
    """
    loose = Unit(user_key, None)
    for entry in entries_of(folder / user_key, remarks):
        name = f"{user_key}/{entry.name}"
        if is_hidden(entry.name):
            continue
        if _is_left_alone(entry, name, remarks):
            continue
        if entry.is_dir():
            below = Unit(name, Path(entry.path))
            yield from _walk(folder, below, Path(entry.path), remarks, depth=1)
            if below.files or below.unfinished:
                yield below
        elif entry.name.lower().endswith(".zip") or entry.name.lower().endswith(_WHOLE_SUFFIXES):
            yield Unit(name, Path(entry.path), {name: Path(entry.path)})
        else:
            _add(loose, folder, Path(entry.path))
    if loose.files:
        yield loose


def is_hidden(name: str) -> bool:
    """Whether an entry is left alone without a word."""
    return name.startswith(".") and not (name.startswith(_PLAYERS_LOG) and name.endswith(".log"))


def _walk(folder: Path, unit: Unit, at: Path, remarks: list[str], *, depth: int) -> Iterator[Unit]:
    """Fills the unit with what lies below and yields the ZIPs that are found on the way."""
    if depth > _DEEPEST:
        remarks.append(f"{at.relative_to(folder).as_posix()}/ is nested too deeply: move its files up")
        return
    for entry in entries_of(at, remarks):
        name = Path(entry.path).relative_to(folder).as_posix()
        if is_hidden(entry.name) or _is_left_alone(entry, name, remarks):
            continue
        if entry.is_dir():
            yield from _walk(folder, unit, Path(entry.path), remarks, depth=depth + 1)
        elif entry.name.lower().endswith(".zip"):
            yield Unit(name, Path(entry.path), {name: Path(entry.path)})
        else:
            _add(unit, folder, Path(entry.path))


def _is_left_alone(entry: os.DirEntry[str], name: str, remarks: list[str]) -> bool:
    if entry.is_symlink():
        remarks.append(f"{name} is a symbolic link, which is not followed")
    elif not entry.is_dir() and not entry.is_file():
        remarks.append(f"{name} is not a regular file, and is left alone")
    elif entry.is_file() and entry.name.lower().endswith(_PACKED_SUFFIXES):
        remarks.append(f"{name} is not a ZIP: unpack it here")
    else:
        return False
    return True


def _add(unit: Unit, folder: Path, path: Path) -> None:
    if path.name.lower().endswith(UNFINISHED_SUFFIXES):
        unit.unfinished[path.relative_to(folder).as_posix()] = path
    elif path.name.lower().endswith(READ_SUFFIXES):
        unit.files[path.relative_to(folder).as_posix()] = path


# A file that was not touched for this long is taken at first sight; a younger one when it looks the same twice.
SETTLE_S = 30.0
# What has not grown for this long and is not whole has failed; if it grows all the same, it is looked at again.
STALE_S = 120.0
# SHA-256 runs at 0.5-2 GB/s: one look stays within a sensor's minute.
HASH_BYTES_A_LOOK = 4 * 1024**3
# An empty file of an archive's name and this says: it belongs to this user, though another one has it.
CONFIRMS_SUFFIX = ".confirm"
_CHUNK = 1024 * 1024
_END_OF_ZIP, _END_OF_ZIP_BYTES, _LONGEST_COMMENT = b"PK\x05\x06", 22, 65_535


@dataclass(frozen=True)
class Upload:
    """One archive: a ZIP, a folder, a table or log, or the loose JSON files of a user's folder taken together.

    `name` is its path below the uploads folder; `paths` is what the reader gets; `sha256` names the content: a ZIP's
    own (the same as in app.imports), else that of its JSON files' hashes, sorted. `seen_as` changes when it is put
    there again, with whatever content. `confirmed_by` are files beside it that say that it belongs to this user.
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
    """What a look remembers of a file: while size, mtime and inode stay, its hash does."""

    size: int
    mtime_ns: int
    inode: int
    sha256: str = ""
    # Not a part of what is remembered: it also changes with a file's name and rights.
    ctime_ns: int = field(default=0, compare=False)

    def is_same_as(self, other: SeenFile) -> bool:
        return (self.size, self.mtime_ns, self.inode) == (other.size, other.mtime_ns, other.inode)


@dataclass(frozen=True)
class UploadsSeen:
    """The memory between two looks: every file by its path below the folder, and the hash under which app.imports knows
    an upload that is no ZIP. It saves hashing; nothing depends on it."""

    files: Mapping[str, SeenFile] = field(default_factory=dict)
    archives: Mapping[str, str] = field(default_factory=dict)

    def as_text(self) -> str:
        files = {name: [f.size, f.mtime_ns, f.inode, f.sha256] for name, f in self.files.items()}
        values = {"version": 2, "files": files, "archives": dict(self.archives)}
        return json.dumps(values, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str | None) -> UploadsSeen:
        """What as_text wrote. Anything else is an empty memory: looking again costs a hash, never a play."""
        try:
            values = json.loads(text or "{}")
            files = {str(name): SeenFile(*known) for name, known in values["files"].items()}
            return cls(files, dict(values["archives"]))
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls()


@dataclass(frozen=True)
class StuckUpload:
    """What looks like an archive and cannot be imported as it is: still being written, cut off, or not readable.

    `name` is its path. `has_failed`: it will not get better by itself.
    """

    user_key: str
    name: str
    size: int
    reason: str
    has_failed: bool


@dataclass(frozen=True)
class Scan:
    """One look: what is ready, what a person may want to know, and what to remember.

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
    hash_bytes: int = HASH_BYTES_A_LOOK,
    only: Collection[str] | None = None,
) -> Scan:
    """Look once. `users` are the known keys; `only` limits the look to some of them; `now_s` is Unix time.

    Never raises because of what lies in the folder; a missing folder is an empty one.
    """
    look = _Look(folder, seen, now_s, hash_bytes)
    ready: list[Upload] = []
    known = set(users)
    not_whole: set[str] = set()
    why = why_no_folder(folder)
    if why is not None:
        look.remarks.append(f"the uploads folder (MYI_UPLOADS) cannot be used: {why}")
    for entry in entries_of(folder, look.remarks):
        if entry.name.startswith("."):
            continue
        if not entry.is_dir(follow_symlinks=False):
            look.remarks.append(f"{entry.name} is not in a user's folder: move it into one")
        elif entry.name not in known:
            look.remarks.append(
                f"{entry.name}/ does not belong to any user; add the user with: myi user add {entry.name}"
            )
        elif only is None or entry.name in only:
            remarks = len(look.remarks)
            for unit in units_of(folder, entry.name, look.remarks):
                upload = look.upload_from(entry.name, unit)
                if upload is not None:
                    ready.append(upload)
                else:
                    not_whole.add(entry.name)
            if any("cannot be read" in remark for remark in look.remarks[remarks:]):
                # What lies there is not gone.
                not_whole.add(entry.name)
    whole = (known if only is None else known & set(only)) - not_whole if folder.is_dir() else set()
    return Scan(
        tuple(ready),
        tuple(look.remarks),
        look.waiting,
        replace(seen, files=look.files),
        frozenset(whole),
        tuple(look.stuck),
    )


class _Look:
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
        """What a copying tool or browser was to rename when done, when none of it has grown for long."""
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
    """Does the file end as a whole one would: a ZIP with its directory's end, JSON with a bracket? Of tables and logs
    nobody can tell."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _END_OF_ZIP_BYTES - _LONGEST_COMMENT))
            tail = file.read()
    except OSError:
        return False
    if path.suffix.lower() in _WHOLE_SUFFIXES:
        return size > 0
    if path.suffix.lower() != ".zip":
        # In UTF-16, too: what is wrong with that is said when it is read.
        return tail.replace(b"\0", b"").rstrip()[-1:] in (b"]", b"}")
    at = tail.rfind(_END_OF_ZIP)
    while at >= 0:
        # The comment's length must lead to the end of the file: the four bytes also occur by chance.
        if at + _END_OF_ZIP_BYTES + int.from_bytes(tail[at + 20 : at + 22], "little") == len(tail):
            return True
        at = tail.rfind(_END_OF_ZIP, 0, at)
    return False
