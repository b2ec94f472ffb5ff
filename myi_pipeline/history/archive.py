"""The door of this room: from a path to the play files behind it.

Belongs here: what is opened how, and the checks across files. Not here: ZIP, disk, JSON and row details.
Invariant: nothing is yielded from an archive that is unsafe or of the wrong kind, and a ZIP is opened exactly once,
so that what was checked is what is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from myi_pipeline.core.errors import BadInput
from myi_pipeline.core.plays import Source
from myi_pipeline.history import kinds
from myi_pipeline.history.extended_rows import KnownNames
from myi_pipeline.history.kinds import FileKind
from myi_pipeline.history.limits import Limits
from myi_pipeline.history.members import Member
from myi_pipeline.history.plain_files import folder_files, single_file
from myi_pipeline.history.reader import FileReader
from myi_pipeline.history.recognise import Found, recognise, without_twins
from myi_pipeline.history.zip_directory import read_directory
from myi_pipeline.history.zip_member import ZipMember
from myi_pipeline.history.zip_safety import check_entries

_HASH_BYTES: Final = 1024 * 1024
_ZIP_MAGIC: Final = (b"PK\x03\x04", b"PK\x05\x06")


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFile:
    """One play file; `file_no` counts from 0 in natural order, `size` is in unpacked bytes as declared."""

    file_no: int
    name: str
    kind: FileKind
    source: Source
    size: int


class HistoryArchive:
    """An opened history; use it as a context manager. Read-only, and not shared between threads."""

    def __init__(
        self,
        found: Found,
        resources: ExitStack,
        *,
        limits: Limits,
        hash_account: Callable[[str], bytes],
        now: Callable[[], datetime],
    ) -> None:
        self._resources = resources
        self._limits = limits
        self._hash_account = hash_account
        self._now = now
        self._known = KnownNames()
        plays, others = recognise(found, limits)
        plays, digests, twins = without_twins(plays, hash_all=found.sha256 is None)
        self._members = [member for member, _ in plays]
        self.name: str = found.name
        self.files: tuple[HistoryFile, ...] = tuple(
            HistoryFile(file_no=number, name=member.name, kind=kind, source=kind.source, size=member.size)
            for number, (member, kind) in enumerate(plays)
        )
        self.skipped: tuple[str, ...] = tuple(sorted([*found.left, *others, *twins]))
        self.sha256: bytes = found.sha256 or hashlib.sha256(b"".join(sorted(digests))).digest()

    @property
    def kind(self) -> str:
        """`extended_history`, `account_history`, or `mixed`."""
        sources = {file.source for file in self.files}
        return sources.pop().name.lower() if len(sources) == 1 else "mixed"

    def read(self, file: HistoryFile) -> FileReader:
        """The rows of one of `files`, from its start."""
        return FileReader(
            self._members[file.file_no],
            source=file.source,
            limits=self._limits,
            hash_account=self._hash_account,
            now=self._now(),
            known=self._known,
        )

    def close(self) -> None:
        """Close what is open; readers of a ZIP end with it."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_history(
    path: Path | Sequence[Path],
    *,
    limits: Limits,
    hash_account: Callable[[str], bytes],
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> HistoryArchive:
    """Open a ZIP, a folder, a JSON file, or several JSON files, and find the play files in it.

    `hash_account` turns a user name into a keyed hash; `now` decides what lies in the future. The sha256 of a ZIP is
    that of its bytes; that of a folder or of files is taken over the sorted sha256 of each play file's content, so
    neither names nor other files matter.
    Raises UnsafeArchive, WrongPackage or BadInput before any row is read.
    """
    paths = [Path(path)] if isinstance(path, str | Path) else [Path(each) for each in path]
    resources = ExitStack()
    try:
        found = _find(paths, resources, limits)
        return HistoryArchive(found, resources, limits=limits, hash_account=hash_account, now=now)
    except OSError as error:
        resources.close()
        name = paths[0].name
        raise BadInput(f"{name}: cannot be read ({error.strerror}).", place=name, rule="a readable file") from error
    except BaseException:
        resources.close()
        raise


def _find(paths: list[Path], resources: ExitStack, limits: Limits) -> Found:
    if not paths:
        raise BadInput("No file was given.", rule=kinds.WANTED)
    if len(paths) == 1 and paths[0].is_dir():
        files, left = folder_files(paths[0], limits=limits)
        return Found(paths[0].resolve().name, list(files), left, None, named=False)
    singles = [single_file(path) for path in paths]
    if len(paths) == 1:
        handle = resources.enter_context(paths[0].open("rb"))
        if handle.read(4) in _ZIP_MAGIC or paths[0].suffix.lower() == ".zip":
            return _find_in_zip(handle, paths[0].name, limits)
        handle.close()
    for file in singles:
        if kinds.is_archive(file.name):
            what = "hand over archives one by one" if len(singles) > 1 else "unpack it: only ZIP archives are read"
            raise BadInput(f"{file.name}: {what}.", place=file.name, rule="one ZIP, one folder, or JSON files")
    name = singles[0].name if len(singles) == 1 else f"{singles[0].name} and {len(singles) - 1} more"
    return Found(name, list(singles), [], None, named=True)


def _find_in_zip(handle: BinaryIO, place: str, limits: Limits) -> Found:
    entries = read_directory(handle, place=place, max_entries=limits.max_entries)
    check_entries(entries, place=place, limits=limits)
    handle.seek(0)
    digest = hashlib.sha256()
    while data := handle.read(_HASH_BYTES):
        digest.update(data)
    members: list[Member] = [ZipMember(handle, entry, limits.max_ratio) for entry in entries if not entry.is_folder]
    return Found(place, members, [], digest.digest(), named=False)
