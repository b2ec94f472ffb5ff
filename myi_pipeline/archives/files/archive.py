"""From a path to the play files behind it: a ZIP, a folder, or single files; or from a ZIP or file elsewhere.

Nothing is yielded from an archive that is unsafe or of the wrong kind. A ZIP is opened exactly once, so that what was
checked is what is read.
"""

from __future__ import annotations

import hashlib
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from myi_pipeline.archives.files import kinds
from myi_pipeline.archives.files.formats import (
    FORMATS,
    READ_SUFFIXES,
    FileReader,
    export_numbers,
    format_by_content,
    kind_by_name,
)
from myi_pipeline.archives.files.kinds import FileKind
from myi_pipeline.archives.files.members import Limits, Member, folder_files, single_file
from myi_pipeline.archives.files.remote import RemoteFile
from myi_pipeline.archives.files.rows import KnownNames
from myi_pipeline.archives.files.zip_files import ZIP_MARKS, ZipMember, open_zip
from myi_pipeline.catalogue.plays import Source
from myi_pipeline.catalogue.sources import TRAITS
from myi_pipeline.errors import BadInput, BrokenFile, UnsafeArchive, WrongPackage

_HASH_BYTES: Final = 1024 * 1024
_MAX_SNIFFED_FILES: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class FileContent:
    """What distinguishes one file's content from another's: size and CRC-32, and the sha256 if it was computed."""

    size: int
    crc32: int
    sha256: bytes = b""


@dataclass(frozen=True, slots=True)
class _Found:
    """The files behind a path, before their kinds are known."""

    name: str
    members: list[Member]
    left: list[str]  # never looked at: links, folders' special files
    sha256: bytes | None  # of the ZIP; None for plain files
    named: bool  # single files that a person chose: the content decides when the name does not


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFile:
    """One play file; `file_no` counts from 0 in natural order, `size` is in unpacked bytes as declared, `export_no` is
    the one of export_numbers."""

    file_no: int
    name: str
    kind: FileKind
    source: Source
    size: int
    export_no: int = 0


class HistoryArchive:
    """An opened history; use it as a context manager. Read-only, and not shared between threads."""

    def __init__(
        self,
        found: _Found,
        resources: ExitStack,
        *,
        limits: Limits,
        hash_account: Callable[[str], bytes],
        now: Callable[[], datetime],
    ) -> None:
        self._resources = resources
        self._limits = limits
        self._hash_account = hash_account
        # One moment for all files, so that rows of the same second are all accepted or all refused.
        self._read_at = now()
        self._known = KnownNames()
        # The zone of players whose times do not name one: known once the archive's owner is known.
        self.time_zone = "UTC"
        plays, others = _play_files(found, limits)
        plays, contents, copies = _without_copies(plays, hash_all=found.sha256 is None)
        self._members = [member for member, _ in plays]
        self.name: str = found.name
        export_nos = export_numbers([(member.name, kind) for member, kind in plays])
        self.files: tuple[HistoryFile, ...] = tuple(
            HistoryFile(
                file_no=number,
                name=member.name,
                kind=kind,
                source=FORMATS[kind].source,
                size=member.size,
                export_no=export_nos[number],
            )
            for number, (member, kind) in enumerate(plays)
        )
        self.skipped: tuple[str, ...] = tuple(sorted([*found.left, *others, *copies]))
        self.contents: tuple[FileContent, ...] = tuple(contents)
        self.sha256: bytes = found.sha256 or hashlib.sha256(b"".join(sorted(each.sha256 for each in contents))).digest()

    @property
    def kind(self) -> str:
        """The name of the source of all its files, as in raw.sources, or `mixed`."""
        sources = {file.source for file in self.files}
        return sources.pop().name.lower() if len(sources) == 1 else "mixed"

    def read(self, file: HistoryFile) -> FileReader:
        """The rows of one of `files`, from its start."""
        return FileReader(
            self._members[file.file_no],
            kind=file.kind,
            limits=self._limits,
            hash_account=self._hash_account,
            now=self._read_at,
            known=self._known,
            time_zone=self.time_zone,
        )

    @property
    def files_without_zone(self) -> tuple[HistoryFile, ...]:
        """Files with times of a player that does not state its zone: `time_zone` is used for them."""
        return tuple(file for file in self.files if FORMATS[file.kind].needs_time_zone)

    def close(self) -> None:
        """Close all files; readers of a ZIP end with it."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_history(
    path: Path | Sequence[Path] | RemoteFile,
    *,
    limits: Limits,
    hash_account: Callable[[str], bytes],
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> HistoryArchive:
    """Open a ZIP, a folder, a file, or several files, and find the play files in it. One ZIP or file may be remote.

    `hash_account` turns a user name into a keyed hash; `now` decides what is in the future. The sha256 of a ZIP is that
    of its bytes; that of a folder or of files is computed from the sorted sha256 of each play file's content, so
    neither names nor other files matter.

    Raises UnsafeArchive, WrongPackage or BadInput before any row is read.
    """
    paths: list[Path | RemoteFile]
    if isinstance(path, RemoteFile):
        paths = [path]
    elif isinstance(path, str | Path):
        paths = [Path(path)]
    else:
        paths = [Path(each) for each in path]
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


def _find(paths: Sequence[Path | RemoteFile], resources: ExitStack, limits: Limits) -> _Found:
    if not paths:
        raise BadInput("No file was given.", rule=kinds.WANTED)
    if len(paths) == 1 and isinstance(paths[0], Path) and paths[0].is_dir():
        files, left = folder_files(paths[0], limits=limits)
        return _Found(paths[0].resolve().name, list(files), left, None, named=False)
    singles = [path if isinstance(path, RemoteFile) else single_file(path) for path in paths]
    if len(paths) == 1:
        handle = resources.enter_context(paths[0].open("rb"))
        if handle.read(4) in ZIP_MARKS or paths[0].name.lower().endswith(".zip"):
            return _find_in_zip(handle, paths[0].name, limits)
        handle.close()
    for file in singles:
        if kinds.is_archive(file.name):
            what = "import archives one at a time" if len(singles) > 1 else "unpack it: only ZIP archives are read"
            raise BadInput(f"{file.name}: {what}.", place=file.name, rule="one ZIP, one folder, or single files")
    name = singles[0].name if len(singles) == 1 else f"{singles[0].name} and {len(singles) - 1} more"
    return _Found(name, list(singles), [], None, named=True)


def _find_in_zip(handle: BinaryIO, place: str, limits: Limits) -> _Found:
    members = open_zip(handle, place=place, limits=limits)
    handle.seek(0)
    digest = hashlib.sha256()
    while data := handle.read(_HASH_BYTES):
        digest.update(data)
    return _Found(place, list(members), [], digest.digest(), named=False)


def _play_files(found: _Found, limits: Limits) -> tuple[list[tuple[Member, FileKind]], list[str]]:
    """Play files in natural order, and the names of the others. Raises WrongPackage if there is no play file."""
    plays: list[tuple[Member, FileKind]] = []
    others: list[str] = []
    by_name = [(member, kind_by_name(member.name)) for member in found.members]
    # A name decides if it says anything, otherwise the content does.
    trusts_names = not found.named and any(kind for _, kind in by_name)
    may_sniff = _MAX_SNIFFED_FILES
    why = ""
    for member, name_kind in sorted(by_name, key=lambda found: kinds.natural_key(found[0].name)):
        kind = name_kind
        may_hold_plays = member.name.lower().endswith(READ_SUFFIXES) and not (
            trusts_names and kinds.is_other_file(member.name)
        )
        if kind is None and may_sniff and (found.named or may_hold_plays):
            may_sniff -= 1
            kind, problem = _kind_by_content(member, limits)
            why = why or problem
            # If times are truncated to minutes, a copy of a row looks like another row: next to files with the names of
            # their format, a copied file would count twice.
            if trusts_names and kind is not None and _needs_its_name(kind):
                kind = None
        if kind is None:
            others.append(member.name)
        else:
            plays.append((member, kind))
    if not plays:
        what = kinds.describe_wrong([*others, *found.left])
        if found.named and why:
            what = _with_reason(what, why, name=found.name)
        raise WrongPackage(f"{found.name}: {what} {kinds.WANTED}", place=found.name, rule=kinds.WANTED)
    _check_plays(found, plays, limits)
    return plays, others


def _with_reason(what: str, why: str, *, name: str) -> str:
    """One sentence if `what` is one. The name and the start of a single file need not be told again."""
    why = why.removeprefix(f"{name}, byte 0: ").removesuffix(".")
    return f"{what} ({why})" if ". " in what else f"{what.removesuffix('.')}: {why}."


def _needs_its_name(kind: FileKind) -> bool:
    return FORMATS[kind].names is not None and TRAITS[FORMATS[kind].source].cuts_to_minutes


def _check_plays(found: _Found, plays: list[tuple[Member, FileKind]], limits: Limits) -> None:
    for member, _ in plays:
        if isinstance(member, ZipMember) and not member.can_be_unpacked:
            raise BadInput(
                f"{found.name}: {member.name} uses an unsupported compression method ({member.info.compress_type})."
                f" Unpack the archive and import the folder.",
                place=found.name,
                rule="stored or deflated entries",
            )
        if member.size > limits.max_file_bytes:
            raise UnsafeArchive(
                f"{member.name}: has {member.size:,} bytes; at most {limits.max_file_bytes:,} are allowed.",
                place=member.name,
                rule="max_file_bytes",
            )
    if (total := sum(member.size for member, _ in plays)) > limits.max_total_bytes:
        raise UnsafeArchive(
            f"{found.name}: has {total:,} bytes; at most {limits.max_total_bytes:,} are allowed.",
            place=found.name,
            rule="max_total_bytes",
        )


def _kind_by_content(member: Member, limits: Limits) -> tuple[FileKind | None, str]:
    """The kind according to the first rows, and what is wrong with a file that has none."""
    if isinstance(member, ZipMember) and not member.can_be_unpacked:
        return None, ""
    found, problem = format_by_content(member, limits)
    return (found.kind if found is not None else None), problem


def _without_copies(
    plays: list[tuple[Member, FileKind]], *, hash_all: bool
) -> tuple[list[tuple[Member, FileKind]], list[FileContent], list[str]]:
    """Drop files with the same content as an earlier one: nothing else reveals copies among rows of account data.

    Returns what is left, the content of each, and the names of the copies. A ZIP states size and CRC-32 of its files,
    so that only those equal in both are unpacked and hashed; `hash_all` asks for every sha256.
    """
    named = [(member.size, member.crc) if isinstance(member, ZipMember) else (member.size, None) for member, _ in plays]
    alike = Counter(named)
    kept: list[tuple[Member, FileKind]] = []
    contents: list[FileContent] = []
    seen: set[bytes] = set()
    copies: list[str] = []
    for (member, kind), (size, crc) in zip(plays, named, strict=True):
        if crc is not None and not hash_all and alike[size, crc] == 1:
            content = FileContent(size=size, crc32=crc)
        else:
            content = _content_of(member)
            if content.sha256 in seen and member.size:
                copies.append(member.name)
                continue
            seen.add(content.sha256)
        kept.append((member, kind))
        contents.append(content)
    return kept, contents, copies


def _content_of(member: Member) -> FileContent:
    """The whole content of a member. A broken one equals no other; the break is reported when it is imported."""
    digest, crc, size = hashlib.sha256(), 0, 0
    try:
        for chunk in member.chunks():
            digest.update(chunk)
            crc = zlib.crc32(chunk, crc)
            size += len(chunk)
    except BrokenFile as error:
        digest.update(f"broken: {member.name} at {error.offset}".encode())
    return FileContent(size=size, crc32=crc, sha256=digest.digest())
