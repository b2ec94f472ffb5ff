"""Finding the tables of a dump: unpacked in a folder, in its subfolder `mbdump`, or in the archives as published.

Nothing is unpacked to disk, and only archive members named after tables are read. An archive is read from start to end;
tables whose rows depend on a later one need another pass.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Final

from myi_pipeline.catalogue.musicbrainz_dump.tables import DERIVED, TABLES
from myi_pipeline.errors import BadInput

# What Python can unpack in every version that MYI supports; others must be unpacked by hand.
_ARCHIVES: Final = (".tar", ".tar.bz2", ".tar.gz", ".tar.xz")
_PACKED_OTHERWISE: Final = (".tar.zst", ".tar.zstd", ".zip", ".7z")
_FOLDER: Final = "mbdump"
_BUFFER: Final = 1 << 20


@dataclass(frozen=True, kw_only=True)
class DumpFiles:
    """`tables`: the unpacked tables, by name. `digest` changes when any file's name, size or date changes."""

    folder: Path
    tables: dict[str, Path]
    archives: tuple[Path, ...]
    digest: str


def find_dump(folder: Path) -> DumpFiles:
    """The tables and archives in a folder. Raises BadInput if there are none."""
    try:
        places = [folder, folder / _FOLDER] if (folder / _FOLDER).is_dir() else [folder]
        files = [path for place in places for path in sorted(place.iterdir()) if path.is_file()]
    except OSError as error:
        raise BadInput(f"the folder of the dump cannot be read: {error.strerror}", place=str(folder)) from None
    tables = {path.name: path for path in files if path.name in TABLES}
    archives = tuple(path for path in files if path.name.startswith(_FOLDER) and path.name.endswith(_ARCHIVES))
    if not tables and not archives:
        dumps = (path.name for path in files if path.name.startswith(_FOLDER))
        packed = next((name for name in dumps if name.endswith(_PACKED_OTHERWISE)), None)
        hint = f"; unpack {packed} there first" if packed else ""
        raise BadInput(
            f"there is no MusicBrainz dump{hint}",
            place=str(folder),
            rule="mbdump.tar.bz2 and mbdump-derived.tar.bz2, or their unpacked content",
        )
    sign = sha256()
    for path in (*tables.values(), *archives):
        found = path.stat()
        sign.update(f"{path.name}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
    return DumpFiles(folder=folder, tables=tables, archives=archives, digest=sign.hexdigest())


def read_tables(files: DumpFiles, *, done: set[str], read: Callable[[str, IO[bytes]], None]) -> None:
    """Calls `read` once with each table that is not in `done`, after the tables it depends on.

    `read` adds to `done` what it has read. Raises BadInput if a table is missing or an archive is broken.
    """
    while missing := TABLES.keys() - done:
        before = len(done)
        for name in sorted(missing & files.tables.keys(), key=list(TABLES).index):
            if TABLES[name].after <= done:
                with _opened(files.tables[name]) as stream:
                    read(name, stream)
        for archive in files.archives:
            wanted = TABLES.keys() - done - files.tables.keys()
            if wanted:
                _read_archive(archive, wanted, done=done, read=read)
        if len(done) == before:
            raise BadInput(_what_is_missing(TABLES.keys() - done), place=str(files.folder))


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        with path.open("rb", buffering=_BUFFER) as stream:
            yield stream
    except OSError as error:
        raise BadInput(f"the file cannot be read: {error.strerror}", place=str(path)) from None


def _read_archive(
    archive: Path, wanted: set[str], *, done: set[str], read: Callable[[str, IO[bytes]], None]
) -> None:  # fmt: skip
    try:
        with tarfile.open(archive, mode="r|*", bufsize=_BUFFER) as opened:
            for member in opened:
                folder, _, name = member.name.rpartition("/")
                if name not in wanted or folder.rpartition("/")[2] != _FOLDER or not member.isfile():
                    continue
                stream = opened.extractfile(member)
                if stream is not None and name not in done and TABLES[name].after <= done:
                    read(name, stream)
                wanted.discard(name)
                if not wanted:
                    # No need to unpack the rest.
                    return
    except (tarfile.TarError, OSError, EOFError) as error:
        raise BadInput(f"the archive is broken or not an archive: {error}", place=str(archive)) from None


def _what_is_missing(names: set[str]) -> str:
    needed = {table for table in names if not TABLES[table].after & names}
    archive = "mbdump-derived.tar.bz2" if needed <= DERIVED else "mbdump.tar.bz2"
    return f"the dump is incomplete: {', '.join(sorted(needed))} is missing from {archive}"
