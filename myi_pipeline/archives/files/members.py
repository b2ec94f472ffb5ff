"""What all forms of an uploaded history have in common: named members that can be streamed, within limits.

Members on disk are read here: a folder, or single files. Symbolic links in a folder are never followed, and a file that
changes between opening and reading is broken.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from myi_pipeline.errors import BadInput, BrokenFile, UnsafeArchive

MIB: Final = 1024 * 1024
GIB: Final = 1024 * MIB
# Larger buffers are not faster: rows of 32 KiB stay in the processor's cache.
CHUNK_BYTES: Final = 32 * 1024
# Opening a named pipe would otherwise wait for a writer forever. Windows has neither flag.
_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_NO_LINKS: Final = getattr(os, "O_NOFOLLOW", 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits for an archive. The defaults allow eight to twenty times what a complete export has: 8 to 20 files of 12
    to 13 MB, 250 MB for 240,000 plays in ten years. Anything larger is not a listening history, or a setting raises the
    limit.

    `max_ratio` is unpacked to packed bytes. Real histories have ratios of 15 to 25, one track on repeat about 60;
    deflate can reach 1,030. It does not apply to the first MiB of a file.

    `max_row_bytes` is the most that one row may take, and thus the most that the parser ever holds in memory.

    `max_text_chars` is the longest name, URI or platform of a play; a row with a longer one is quarantined.
    """

    max_entries: int = 10_000
    max_file_bytes: int = 256 * MIB
    max_total_bytes: int = 2 * GIB
    max_ratio: int = 250
    max_row_bytes: int = MIB
    max_text_chars: int = 2_000
    max_unknown_keys: int = 100
    max_folder_depth: int = 32


class Member(Protocol):
    """One file of an archive, a folder or a list of files."""

    @property
    def name(self) -> str:
        """The path inside the archive, parts separated by `/`."""

    @property
    def size(self) -> int:
        """Unpacked bytes, as declared; enforced while streaming."""

    def chunks(self) -> Iterator[bytes]:
        """The unpacked bytes from the start. Raises BrokenFile with the offset up to which they were good."""


@dataclass(frozen=True, slots=True)
class PlainFile:
    """A regular file; `identity` is its device, inode, size and mtime when it was found."""

    path: Path
    name: str
    size: int
    identity: tuple[int, int, int, int]
    follow: bool

    def chunks(self) -> Iterator[bytes]:
        """See Member."""
        offset = 0
        try:
            descriptor = os.open(self.path, _FLAGS | (0 if self.follow else _NO_LINKS))
            with open(descriptor, "rb", buffering=0) as handle:
                if _identity(os.fstat(descriptor)) != self.identity:
                    raise self._broken(0, "was changed after it was found", "a file that does not change")
                while data := handle.read(CHUNK_BYTES):
                    good = data[: self.size - offset]
                    offset += len(good)
                    if good:
                        yield good
                    if len(good) < len(data):
                        raise self._broken(offset, "grew while it was being read", "a file that does not change")
        except OSError as error:
            raise self._broken(offset, f"cannot be read ({error.strerror})", "a readable file") from error
        if offset < self.size:
            raise self._broken(offset, "shrank while it was being read", "a file that does not change")

    def _broken(self, offset: int, what: str, rule: str) -> BrokenFile:
        return BrokenFile(f"{self.name}, byte {offset:,}: the file {what}.", place=self.name, rule=rule, offset=offset)


def single_file(path: Path) -> PlainFile:
    """The file that a person named; since it was named, a link is followed."""
    try:
        status = path.stat()
    except OSError as error:
        raise BadInput(
            f"{path.name}: cannot be read ({error.strerror}).", place=path.name, rule="a readable file"
        ) from error
    if not stat.S_ISREG(status.st_mode):
        is_folder = stat.S_ISDIR(status.st_mode)
        what = "this is a folder; import a folder on its own" if is_folder else "this is not a regular file"
        raise BadInput(f"{path.name}: {what}.", place=path.name, rule="a regular file")
    return _plain(path, path.name, status, follow=True)


def folder_files(root: Path, *, limits: Limits) -> tuple[list[PlainFile], list[str]]:
    """All regular files below `root`, and the names of links and special files, which are ignored."""
    files: list[PlainFile] = []
    left: list[str] = []
    waiting: list[tuple[Path, str, int]] = [(root, "", 0)]
    while waiting:
        folder, prefix, depth = waiting.pop()
        if depth > limits.max_folder_depth:
            raise UnsafeArchive(
                f"{root.name}: folders are nested deeper than {limits.max_folder_depth} levels.",
                place=root.name,
                rule="max_folder_depth",
            )
        try:
            with os.scandir(folder) as found:
                for entry in found:
                    name = prefix + entry.name
                    status = os.stat(entry.path, follow_symlinks=False)
                    if stat.S_ISDIR(status.st_mode):
                        waiting.append((Path(entry.path), name + "/", depth + 1))
                    elif stat.S_ISREG(status.st_mode):
                        files.append(_plain(Path(entry.path), name, status, follow=False))
                    else:
                        left.append(name)
                    if len(files) + len(left) + len(waiting) > limits.max_entries:
                        raise UnsafeArchive(
                            f"{root.name}: the folder contains more than {limits.max_entries:,} files.",
                            place=root.name,
                            rule="max_entries",
                        )
        except OSError as error:
            raise BadInput(
                f"{prefix or root.name}: the folder cannot be read ({error.strerror}).",
                place=root.name,
                rule="a readable folder",
            ) from error
    return files, left


def _plain(path: Path, name: str, status: os.stat_result, *, follow: bool) -> PlainFile:
    # A name on disk that is not UTF-8 contains surrogates, which no database accepts.
    name = name.encode("utf-8", "replace").decode()
    return PlainFile(path=path, name=name, size=status.st_size, identity=_identity(status), follow=follow)


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
